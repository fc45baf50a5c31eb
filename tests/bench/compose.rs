//! The rival: Docker Compose in a git worktree made by hand, with the same files as envtree.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fault;
use crate::common::Sandbox;
use crate::program::timed;

/// Two services with health checks every second, as both sides know them.
///
/// `pg_isready` asks by TCP, since the server that fills a new data directory answers at its socket alone.
pub(crate) const POSTGRES_AND_REDIS: &str = "\
services:
  postgres:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret }
    ports: ['127.0.0.1::5432']
    volumes: ['postgres-data:/var/lib/postgresql/data']
    healthcheck: { test: ['CMD', 'pg_isready', '-h', '127.0.0.1', '-U', 'app'], interval: 1s, timeout: 5s, retries: 60 }
  redis:
    image: redis:8
    ports: ['127.0.0.1::6379']
    volumes: ['redis-data:/data']
    healthcheck: { test: ['CMD', 'redis-cli', 'ping'], interval: 1s, timeout: 5s, retries: 60 }
volumes:
  postgres-data: {}
  redis-data: {}
";

/// Returns a repository with one commit that holds a Compose file.
pub(crate) fn repository(compose_file: &str) -> Sandbox {
    Sandbox::with_files(&[("compose.yaml", compose_file)])
}

/// A worktree and its Compose project; dropping it takes both away.
pub(crate) struct ComposeProject<'a> {
    sandbox: &'a Sandbox,
    name: String,
    worktree: PathBuf,
    is_removed: bool,
}

impl<'a> ComposeProject<'a> {
    /// Makes the worktree, and nothing else.
    pub(crate) fn new(sandbox: &'a Sandbox, task: &str) -> Self {
        let repository = sandbox.repository();
        let folder = repository.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("{folder}-by-compose-{task}");
        let worktree = repository.with_file_name(&name);
        sandbox.git(&["worktree", "add", "--quiet", "-b", &name, &worktree.to_string_lossy()]);
        Self { sandbox, name, worktree, is_removed: false }
    }

    /// Returns `docker compose up` that waits for the services.
    pub(crate) fn up(&self) -> Command {
        self.command(&["up", "--detach", "--wait"])
    }

    /// Returns the container of a service.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// Returns the Engine's name of a volume.
    pub(crate) fn volume(&self, key: &str) -> String {
        format!("{}_{key}", self.name)
    }

    /// Returns what makes a volume as Compose does, which removes no other.
    pub(crate) fn create_volume(&self, key: &str) -> Command {
        let labels =
            [format!("com.docker.compose.project={}", self.name), format!("com.docker.compose.volume={key}")];
        let mut create = self.sandbox.command("docker");
        create.args(["volume", "create", "--label", &labels[0], "--label", &labels[1], &self.volume(key)]);
        create
    }

    /// Returns `docker compose down`.
    pub(crate) fn down(&self) -> Command {
        self.command(&["down"])
    }

    /// Removes everything; returns how many seconds it took.
    pub(crate) fn remove(mut self) -> Result<f64, Fault> {
        let compose = timed(&mut self.command(&["down", "--volumes"]))?;
        let git = timed(self.sandbox.command("git").args(["worktree", "remove"]).arg(&self.worktree))?;
        self.is_removed = true;
        Ok(compose + git)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command("docker");
        command.current_dir(Path::new(&self.worktree));
        command.args(["compose", "--project-name", &self.name]).args(arguments);
        command
    }
}

impl Drop for ComposeProject<'_> {
    fn drop(&mut self) {
        if !self.is_removed {
            // The fault that led here says more than one of this.
            let _ = timed(&mut self.command(&["down", "--volumes"]));
        }
    }
}
