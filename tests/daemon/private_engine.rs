//! An Engine of a test's own, in a network namespace of its own, so that no other test is disturbed.
//!
//! It needs root on Linux, `dockerd`, `ip` and `nsenter`: hence the feature `private-engine`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::Sandbox;
use crate::support::{SOON, checked, eventually};

/// Returns the standard output of a program that reads `input` to its end, and must succeed.
#[track_caller]
pub(crate) fn fed(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { stdout, stderr, status } = child.wait_with_output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// A Docker Engine that nobody else uses; dropping it ends it.
pub(crate) struct PrivateEngine {
    directory: TempDir,
    namespace: String,
    arguments: Vec<String>,
    process: Child,
}

impl PrivateEngine {
    /// Starts an Engine that listens on a unix socket.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an Engine with more arguments.
    pub(crate) fn start_with(arguments: &[String]) -> Self {
        let directory = tempfile::Builder::new().prefix("envtree-engine-").tempdir().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        checked(Command::new("ip").args(["netns", "add", &name]));
        checked(Command::new("ip").args(["-n", &name, "link", "set", "lo", "up"]));
        let process = spawn(directory.path(), &name, arguments);
        let engine = Self { directory, namespace: name, arguments: arguments.to_vec(), process };
        engine.wait_until_it_answers();
        engine
    }

    /// Ends the Engine and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.process = spawn(self.directory.path(), &self.namespace, &self.arguments);
        self.wait_until_it_answers();
    }

    fn stop(&mut self) {
        checked(Command::new("kill").arg(self.process.id().to_string()));
        self.process.wait().unwrap();
    }

    fn host(&self) -> String {
        format!("unix://{}", socket(self.directory.path()).display())
    }

    fn wait_until_it_answers(&self) {
        let answers = || self.docker(&["version"]).output().unwrap().status.success();
        eventually(answers, SOON);
    }

    /// Returns Docker's client of this Engine.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.host()]).args(arguments);
        docker
    }

    /// Returns envtree, to be run where this Engine publishes its ports.
    pub(crate) fn envtree(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.command("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(env!("CARGO_BIN_EXE_envtree"))
            .args(arguments)
            .env("DOCKER_HOST", self.host());
        command
    }

    /// Returns the answer of envtree as JSON.
    pub(crate) fn answer(&self, sandbox: &Sandbox, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&checked(&mut self.envtree(sandbox, arguments))).unwrap()
    }

    /// Brings an image of the sandbox's services to the shared Engine, which knows the mirrors, and from there here.
    pub(crate) fn bring_image(&self, sandbox: &Sandbox, image: &str) {
        assert_eq!(sandbox.run(&["up", "shared", "--no-wait"]).status, Some(0));
        assert_eq!(sandbox.run(&["rm", "shared"]).status, Some(0));
        let archive = self.directory.path().join("image.tar");
        checked(Command::new("docker").args(["save", image, "--output"]).arg(&archive));
        checked(self.docker(&["load", "--quiet", "--input"]).arg(&archive));
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.stop();
        checked(Command::new("ip").args(["netns", "del", &self.namespace]));
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("engine.sock")
}

fn spawn(directory: &Path, namespace: &str, arguments: &[String]) -> Child {
    let below = |name: &str| directory.join(name);
    let log = File::options().create(true).append(true).open(below("log")).unwrap();
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("dockerd")
        .arg(format!("--host=unix://{}", socket(directory).display()))
        .arg(format!("--data-root={}", below("data").display()))
        .arg(format!("--exec-root={}", below("exec").display()))
        .arg(format!("--pidfile={}", below("pid").display()))
        // A containerd of the system keeps what it has for this Engine apart.
        .args(["--containerd-namespace", namespace])
        .args(["--containerd-plugins-namespace", &format!("{namespace}-plugins")])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
