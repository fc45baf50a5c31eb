//! What the scenarios share: a small Compose file, answers as JSON, and folders beside the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::{Ran, Sandbox};

/// One service that does nothing, and ends as soon as it is asked to.
pub(crate) const IDLE: &str = "\
services:
  app:
    image: busybox:1
    command: sleep inf
    init: true
";

/// One service that answers HTTP.
pub(crate) const WEB: &str = "\
services:
  web:
    image: busybox:1
    command: sh -c 'echo hello >/index.html; exec httpd -f -p 80 -h /'
    init: true
    ports: ['80']
";

/// Returns a sandbox whose only commit after the first has these files.
pub(crate) fn sandbox_with(files: &[(&str, &str)]) -> Sandbox {
    Sandbox::with_files(files)
}

/// Returns a sandbox with the Compose file [`IDLE`].
pub(crate) fn idle() -> Sandbox {
    sandbox_with(&[("compose.yaml", IDLE)])
}

/// Commits everything in the main worktree.
pub(crate) fn commit(sandbox: &Sandbox, message: &str) {
    sandbox.git(&["add", "--all"]);
    sandbox.git(&["commit", "--quiet", "--message", message]);
}

/// Returns a path beside the main worktree.
pub(crate) fn beside(sandbox: &Sandbox, path: impl AsRef<Path>) -> PathBuf {
    sandbox.repository().parent().unwrap().join(path)
}

/// Returns where envtree makes the linked worktree of the environment `id`.
pub(crate) fn worktree(sandbox: &Sandbox, id: &str) -> PathBuf {
    let repository = sandbox.repository();
    let name = repository.file_name().unwrap().to_str().unwrap();
    beside(sandbox, format!("{name}.worktrees")).join(id)
}

/// Runs envtree, which must succeed.
pub(crate) fn done(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let ran = sandbox.run(arguments);
    assert_eq!(ran.status, Some(0), "envtree {arguments:?}: {ran}");
    ran
}

/// Runs envtree, which must fail with this status.
pub(crate) fn refused(sandbox: &Sandbox, status: i32, arguments: &[&str]) -> Ran {
    let ran = sandbox.run(arguments);
    assert_eq!(ran.status, Some(status), "envtree {arguments:?}: {ran}");
    ran
}

/// Runs envtree with `--json`, and returns its answer as it is, whatever the exit status.
pub(crate) fn answer(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.envtree_with(arguments).arg("--json").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stderr}"))
}

/// Returns the environment that `status` shows for `task`.
pub(crate) fn environment(sandbox: &Sandbox, task: &str) -> Value {
    answer(sandbox, &["status", task])["environment"].clone()
}

/// Returns the host port of the first published port of `service`.
pub(crate) fn port(sandbox: &Sandbox, task: &str, service: &str) -> u16 {
    let environment = environment(sandbox, task);
    let services = environment["services"].as_array().unwrap();
    let service = services.iter().find(|entry| entry["name"] == service).unwrap();
    service["ports"][0]["published"].as_u64().unwrap().try_into().unwrap()
}

/// Runs git in `folder`, and returns what it printed without the last line's end.
pub(crate) fn git_in(sandbox: &Sandbox, folder: &Path, arguments: &[&str]) -> String {
    output_of(sandbox.command("git").arg("-C").arg(folder).args(arguments))
}

/// Runs the Engine's own client, and returns what it printed without the last line's end.
pub(crate) fn docker(sandbox: &Sandbox, arguments: &[&str]) -> String {
    output_of(sandbox.command("docker").args(arguments))
}

/// Returns how many worktrees git knows.
pub(crate) fn worktrees(sandbox: &Sandbox) -> usize {
    sandbox.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count()
}

/// Returns the names that the Engine gives the running containers of this sandbox.
pub(crate) fn containers(sandbox: &Sandbox) -> String {
    let repository = sandbox.repository();
    let name = repository.file_name().unwrap().to_str().unwrap();
    let label = format!("label=dev.envtree.repository.name={name}");
    let names = docker(sandbox, &["container", "ls", "--filter", &label, "--format", "{{.Names}}"]);
    sandbox.redact(&names)
}

/// Runs a program, which must succeed, and returns what it printed without the last line's end.
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Removes the environments of a repository that is not the sandbox's own.
pub(crate) struct Elsewhere<'a> {
    /// The sandbox that it lies in.
    pub(crate) sandbox: &'a Sandbox,
    /// Where envtree is run.
    pub(crate) folder: PathBuf,
}

impl Elsewhere<'_> {
    /// Runs envtree there, which must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> Ran {
        let all = [&["-C", self.folder.to_str().unwrap()], arguments].concat();
        done(self.sandbox, &all)
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        let listed =
            self.sandbox.envtree().arg("-C").arg(&self.folder).args(["ls", "--json"]).output().unwrap();
        let listing: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        for environment in listing["environments"].as_array().into_iter().flatten() {
            let task = environment["task"].as_str().unwrap_or_default();
            let mut command = self.sandbox.envtree();
            let removed = command.arg("-C").arg(&self.folder).args(["rm", "--force", "--yes", task]).output();
            assert!(std::thread::panicking() || removed.unwrap().status.success(), "rm {task} failed");
        }
    }
}
