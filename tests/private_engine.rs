//! An Engine of a test's own, in a network namespace of its own, so that no other test is disturbed.
//!
//! It needs root on Linux, `dockerd`, `ip` and `nsenter`: hence the feature `private-engine`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{SOON, Sandbox, eventually};
use crate::engine::checked;

/// A Docker Engine that nobody else uses; dropping it ends it.
pub(crate) struct PrivateEngine {
    directory: TempDir,
    namespace: String,
    data: PathBuf,
    arguments: Vec<String>,
    /// `dockerd` itself.
    pub(crate) process: Child,
}

impl PrivateEngine {
    /// Starts an Engine with more arguments than it needs, and its data in `data`, else in a folder of its own.
    pub(crate) fn start(arguments: &[String], data: Option<&Path>) -> Self {
        let directory = tempfile::Builder::new().prefix("envtree-engine-").tempdir().unwrap();
        let namespace = directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        add_namespace(&namespace);
        let data = data.map_or_else(|| directory.path().join("data"), Path::to_owned);
        let process = spawn(directory.path(), &namespace, &data, arguments);
        let engine = Self { directory, namespace, data, arguments: arguments.to_vec(), process };
        engine.wait_until_it_answers();
        engine
    }

    /// Ends the Engine, unless somebody killed it, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        // The next Engine would take a containerd that is still dying for its own.
        let containerd = fs::read_to_string(self.directory.path().join("exec/containerd/containerd.pid"));
        if let Ok(pid) = containerd {
            eventually(|| !Path::new("/proc").join(pid.trim()).exists(), SOON);
        }
        self.process = spawn(self.directory.path(), &self.namespace, &self.data, &self.arguments);
        if self.dies_of_a_network() {
            fs::remove_file(self.data.join("network/files/local-kv.db")).unwrap();
            self.process = spawn(self.directory.path(), &self.namespace, &self.data, &self.arguments);
        }
        self.wait_until_it_answers();
    }

    /// Leaves of the Engine what the power button leaves: its data. No process is told to end, nothing is mounted any more,
    /// and the network begins anew.
    pub(crate) fn lose_power(&mut self) {
        let own = self.directory.path().to_str().unwrap();
        // The Engine, containerd and its shims name the folder; what runs in containers descends from a shim.
        let processes = with_descendants(processes_that_name(own));
        let _ = self.process.kill();
        self.process.wait().unwrap();
        for pid in &processes {
            let _ = Command::new("kill").args(["-KILL", pid]).output();
        }
        eventually(|| processes.iter().all(|pid| has_ended(pid)), SOON);
        for mounted in mounts_below(own) {
            checked(Command::new("umount").arg(mounted));
        }
        let _ = fs::remove_dir_all(self.directory.path().join("exec"));
        let _ = fs::remove_file(self.directory.path().join("pid"));
        checked(Command::new("ip").args(["netns", "del", &self.namespace]));
        add_namespace(&self.namespace);
    }

    /// Returns whether the Engine that was just started ended because of what it knows of networks.
    ///
    /// Version 20.10 writes a network in several steps, and panics if it finds one of which it wrote the first alone.
    /// People then remove the file, and with it all networks.
    fn dies_of_a_network(&mut self) -> bool {
        let mut has_ended = false;
        eventually(
            || {
                has_ended = self.process.try_wait().unwrap().is_some();
                has_ended || self.answers()
            },
            SOON,
        );
        has_ended && self.log().contains("libnetwork.(*controller).reservePools")
    }

    fn answers(&self) -> bool {
        self.docker(&["version"]).output().unwrap().status.success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn stop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            checked(Command::new("kill").arg(self.process.id().to_string()));
            self.process.wait().unwrap();
        }
    }

    /// Returns the socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn wait_until_it_answers(&self) {
        let started = Instant::now();
        while !self.answers() {
            assert!(started.elapsed() < SOON, "the Engine does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
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
        // Only an Engine that was never killed takes down what it mounts; a disk of the test's own is the test's.
        if self.data.starts_with(self.directory.path()) {
            let _ =
                Command::new("umount").args(["--quiet", "--recursive", "--lazy"]).arg(&self.data).output();
        }
        checked(Command::new("ip").args(["netns", "del", &self.namespace]));
    }
}

fn add_namespace(name: &str) {
    checked(Command::new("ip").args(["netns", "add", name]));
    checked(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"]));
}

/// Returns the state of a process and its parent's number; nothing if it is gone.
fn stat(pid: &str) -> Option<(char, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.to_owned()))
}

/// Returns whether a process is gone, or only waits for its parent.
fn has_ended(pid: &str) -> bool {
    stat(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

fn all_processes() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Returns the processes with a folder in their command line.
fn processes_that_name(folder: &str) -> Vec<String> {
    let names = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    all_processes().filter(names).collect()
}

fn with_descendants(mut processes: Vec<String>) -> Vec<String> {
    loop {
        let is_new = |pid: &String| {
            let is_child = stat(pid).is_some_and(|(_, parent)| processes.contains(&parent));
            is_child && !processes.contains(pid)
        };
        let children: Vec<String> = all_processes().filter(is_new).collect();
        if children.is_empty() {
            return processes;
        }
        processes.extend(children);
    }
}

/// Returns what is mounted below a folder, the last first.
fn mounts_below(folder: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below = targets.filter(|target| Path::new(target).starts_with(folder));
    below.map(str::to_owned).rev().collect()
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("engine.sock")
}

fn spawn(directory: &Path, namespace: &str, data: &Path, arguments: &[String]) -> Child {
    let below = |name: &str| directory.join(name);
    let log = File::options().create(true).append(true).open(below("log")).unwrap();
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("dockerd")
        .arg(format!("--host=unix://{}", socket(directory).display()))
        .arg(format!("--data-root={}", data.display()))
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
