//! What an Engine that is restarted leaves: environments with their data, on the ports that they had.
//!
//! The Engine is one of the test's own, in a network namespace of its own, so that no other test is disturbed. It needs
//! root on Linux, `dockerd`, `ip` and `nsenter`: hence the feature `private-engine`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::Sandbox;
use crate::support::{SOON, checked, eventually};

const COMPOSE: &str = "\
services:
  redis:
    image: redis:8
    command: redis-server --appendonly yes
    restart: unless-stopped
    ports: ['6379']
    volumes: ['data:/data']
volumes:
  data: {}
";

/// A Docker Engine that nobody else uses; dropping it ends it.
struct PrivateEngine {
    directory: TempDir,
    namespace: String,
    process: Child,
}

impl PrivateEngine {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("envtree-engine-").tempdir().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        checked(Command::new("ip").args(["netns", "add", &name]));
        checked(Command::new("ip").args(["-n", &name, "link", "set", "lo", "up"]));
        let process = spawn(&directory, &name);
        let engine = Self { directory, namespace: name, process };
        engine.wait_until_it_answers();
        engine
    }

    fn restart(&mut self) {
        self.stop();
        self.process = spawn(&self.directory, &self.namespace);
        self.wait_until_it_answers();
    }

    fn stop(&mut self) {
        checked(Command::new("kill").arg(self.process.id().to_string()));
        self.process.wait().unwrap();
    }

    fn host(&self) -> String {
        format!("unix://{}", socket(&self.directory).display())
    }

    fn wait_until_it_answers(&self) {
        let answers = || self.docker(&["version"]).output().unwrap().status.success();
        eventually(answers, SOON);
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.host()]).args(arguments);
        docker
    }

    /// Returns envtree, to be run where this Engine publishes its ports.
    fn envtree(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.command("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(env!("CARGO_BIN_EXE_envtree"))
            .args(arguments)
            .env("DOCKER_HOST", self.host());
        command
    }

    /// Returns the answer of envtree as JSON.
    fn answer(&self, sandbox: &Sandbox, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&checked(&mut self.envtree(sandbox, arguments))).unwrap()
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.stop();
        checked(Command::new("ip").args(["netns", "del", &self.namespace]));
    }
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("engine.sock")
}

fn spawn(directory: &TempDir, namespace: &str) -> Child {
    let below = |name: &str| directory.path().join(name);
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
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Brings the image to the shared Engine, which knows the mirrors, and from there to the private one.
fn bring_image(engine: &PrivateEngine, sandbox: &Sandbox) {
    assert_eq!(sandbox.run(&["up", "shared", "--no-wait"]).status, Some(0));
    assert_eq!(sandbox.run(&["rm", "shared"]).status, Some(0));
    let archive = engine.directory.path().join("image.tar");
    checked(Command::new("docker").args(["save", "redis:8", "--output"]).arg(&archive));
    checked(engine.docker(&["load", "--quiet", "--input"]).arg(&archive));
}

#[test]
fn ports_and_data_survive_a_restart_of_the_engine() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", COMPOSE);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "--quiet", "--message", "Use Redis"]);
    let mut engine = PrivateEngine::start();
    bring_image(&engine, &sandbox);
    let before = engine.answer(&sandbox, &["up", "fix", "--json"]);
    let port = before["environment"]["services"][0]["ports"][0]["published"].clone();
    assert!(port.is_number(), "{before}");
    checked(
        &mut engine.envtree(&sandbox, &["exec", "fix", "redis", "--", "redis-cli", "set", "key", "kept"]),
    );

    engine.restart();

    // The Engine starts the container again, as its policy says, on the very port.
    let is_ready =
        || engine.answer(&sandbox, &["status", "fix", "--json"])["environment"]["state"] == "ready";
    eventually(is_ready, SOON);
    let published = checked(&mut engine.docker(&["ps", "--format", "{{.Ports}}"]));
    assert_eq!(published, format!("127.0.0.1:{port}->6379/tcp"));
    let again = engine.answer(&sandbox, &["up", "fix", "--json"]);
    assert_eq!(again["operations"], 0, "{again}");
    assert_eq!(again["environment"]["services"][0]["ports"][0]["published"], port);
    let key = ["exec", "fix", "redis", "--", "redis-cli", "get", "key"];
    assert_eq!(checked(&mut engine.envtree(&sandbox, &key)), "kept");
    checked(&mut engine.envtree(&sandbox, &["rm", "fix", "--yes"]));
}
