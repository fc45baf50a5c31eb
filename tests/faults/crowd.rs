//! Many commands at once, from several processes and repositories: none takes what is another's, none waits for ever.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::common::{Ran, Sandbox};
use crate::engine::{docker, inspect};
use crate::leftovers::leftovers;
use crate::process::finish;

/// A service with a port, a volume and the project's network, quick to start and to stop.
pub(crate) const WEB: &str = "\
services:
  web:
    image: busybox:1
    command: httpd -f -p 80 -h /data
    init: true
    stop_signal: SIGKILL
    ports: ['80']
    volumes: ['data:/data']
volumes:
  data: {}
";

/// Two repositories of one person, whose folders have the same name.
pub(crate) struct Repositories {
    pub(crate) sandbox: Sandbox,
    other: PathBuf,
}

impl Repositories {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::with_files(&[("compose.yaml", WEB)]);
        let repository = sandbox.repository();
        let other = repository.with_file_name("other").join(repository.file_name().unwrap());
        sandbox.git(&["clone", "--quiet", ".", other.to_str().unwrap()]);
        Self { sandbox, other }
    }

    /// Returns the folder of a repository: 0 or 1.
    pub(crate) fn folder(&self, repository: usize) -> PathBuf {
        if repository == 0 { self.sandbox.repository() } else { self.other.clone() }
    }

    /// Runs commands at once, each in one of the repositories; returns what they did, in their order.
    fn at_once(&self, commands: &[(usize, Vec<&str>)]) -> Vec<Output> {
        let children: Vec<_> = commands
            .iter()
            .map(|(repository, arguments)| {
                let mut envtree = self.sandbox.envtree_with(arguments);
                envtree.current_dir(self.folder(*repository));
                envtree.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        children.into_iter().map(finish).collect()
    }

    /// Runs envtree in a repository; it must succeed.
    pub(crate) fn answer(&self, repository: usize, arguments: &[&str]) -> Value {
        let output = self.at_once(&[(repository, [arguments, &["--json"]].concat())]).remove(0);
        assert!(output.status.success(), "{arguments:?}: {}", self.sandbox.ran(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns the environments of both repositories.
    pub(crate) fn environments(&self) -> Vec<Value> {
        let listed = [0, 1].map(|repository| self.answer(repository, &["ls"])["environments"].take());
        listed.iter().flat_map(|environments| environments.as_array().unwrap().clone()).collect()
    }

    /// Removes every environment, after which nothing is left.
    pub(crate) fn remove_all(&self) {
        for repository in [0, 1] {
            let listed = self.answer(repository, &["ls"]);
            let tasks = listed["environments"].as_array().unwrap().iter();
            let tasks: Vec<_> = tasks.map(|environment| environment["task"].as_str().unwrap()).collect();
            if !tasks.is_empty() {
                self.answer(repository, &[&["rm", "--force", "--yes"], tasks.as_slice()].concat());
            }
        }
        let left = leftovers(&self.sandbox);
        assert!(left.is_empty(), "{}", left.join("\n"));
        assert_eq!(worktrees(&self.sandbox, &self.other), 1);
    }
}

impl Drop for Repositories {
    /// The sandbox knows its own repository alone.
    fn drop(&mut self) {
        let listed = self.sandbox.envtree().current_dir(&self.other).args(["ls", "--json"]).output();
        let listed: Value =
            listed.map(|output| serde_json::from_slice(&output.stdout).unwrap_or_default()).unwrap();
        for environment in listed["environments"].as_array().into_iter().flatten() {
            let task = environment["task"].as_str().unwrap();
            let mut remove = self.sandbox.envtree();
            remove.current_dir(&self.other).args(["rm", "--force", "--yes", task]);
            let removed = remove.output().unwrap().status;
            assert!(removed.success() || std::thread::panicking(), "rm {task} failed");
        }
    }
}

fn worktrees(sandbox: &Sandbox, folder: &Path) -> usize {
    let listed = sandbox.git(&["-C", folder.to_str().unwrap(), "worktree", "list", "--porcelain"]);
    listed.matches("worktree ").count()
}

/// Checks that no two environments share a project, a worktree, a port or a subnet.
pub(crate) fn check_apart(environments: &[Value]) {
    let mut all = BTreeSet::new();
    let mut take = |what: String| assert!(all.insert(what.clone()), "two environments share {what}");
    for environment in environments {
        let project = environment["project"].as_str().unwrap();
        take(format!("project {project}"));
        take(format!("worktree {}", environment["worktree"]));
        for service in environment["services"].as_array().unwrap() {
            for port in service["ports"].as_array().unwrap() {
                take(format!("port {}", port["published"]));
            }
        }
        let label = format!("label=com.docker.compose.project={project}");
        for network in docker(&["network", "ls", "--quiet", "--filter", &label]).lines() {
            let network = inspect("network", network);
            take(format!("network {}", network["Name"]));
            for config in network["IPAM"]["Config"].as_array().unwrap() {
                take(format!("subnet {}", config["Subnet"]));
            }
        }
    }
}

fn check_all(sandbox: &Sandbox, outputs: &[Output], allowed: &[i32]) -> Vec<Ran> {
    let check = |output: &Output| {
        let ran = sandbox.ran(output);
        assert!(ran.status.is_some_and(|status| allowed.contains(&status)), "{ran}");
        ran
    };
    outputs.iter().map(check).collect()
}

#[test]
fn twenty_tasks_of_two_repositories_come_up_at_once() {
    let repositories = Repositories::new();
    let tasks: Vec<String> = (0..10).map(|number| format!("task-{number}")).collect();
    let commands: Vec<_> = [0, 1]
        .into_iter()
        .flat_map(|at| tasks.iter().map(move |task| (at, vec!["up", task.as_str()])))
        .collect();
    let started = Instant::now();
    check_all(&repositories.sandbox, &repositories.at_once(&commands), &[0]);
    let elapsed = started.elapsed();
    let environments = repositories.environments();
    assert_eq!(environments.len(), 20);
    assert!(environments.iter().all(|environment| environment["state"] == "ready"), "{environments:#?}");
    check_apart(&environments);
    let commands: Vec<_> = commands.iter().map(|(at, words)| (*at, vec!["rm", words[1]])).collect();
    check_all(&repositories.sandbox, &repositories.at_once(&commands), &[0]);
    repositories.remove_all();
    println!(
        "20 environments at once in {:.1} s; shared names, ports and subnets 0; leftovers 0",
        elapsed.as_secs_f32()
    );
}

#[test]
fn ten_times_the_same_task_is_one_environment() {
    let repositories = Repositories::new();
    let outputs = repositories.at_once(&vec![(0, vec!["up", "fix"]); 10]);
    let ran = check_all(&repositories.sandbox, &outputs, &[0]);
    let waited = ran.iter().filter(|ran| ran.stderr.contains("waiting for `envtree up fix` (pid "));
    assert!(waited.count() > 0, "nobody says that he waits, and for whom: {ran:#?}");
    let made = ran.iter().filter(|ran| ran.stderr.contains("created worktree"));
    assert_eq!(made.count(), 1, "{ran:#?}");
    assert_eq!(repositories.environments().len(), 1);
    assert_eq!(repositories.answer(0, &["up", "fix"])["operations"], 0);
    repositories.remove_all();
}

#[test]
fn up_and_rm_of_the_same_task_come_one_after_the_other() {
    let repositories = Repositories::new();
    let commands: Vec<_> = (0..12)
        .map(|number| (0, if number % 2 == 0 { vec!["up", "fix"] } else { vec!["rm", "fix", "--yes"] }))
        .collect();
    let outputs = repositories.at_once(&commands);
    for ((_, words), output) in commands.iter().zip(&outputs) {
        // There may be nothing to remove yet.
        let allowed: &[i32] = if words[0] == "up" { &[0] } else { &[0, 1] };
        check_all(&repositories.sandbox, std::slice::from_ref(output), allowed);
    }
    repositories.remove_all();
}
