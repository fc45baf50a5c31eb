//! An Engine behind ssh, which counts as one on another machine: a real sshd, and the docker client behind it.
//!
//! The daemon is run anew for each connection, as inetd would, so that it needs no port.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::{Ran, Sandbox};
use crate::stage::{WEB, sandbox_with};
use crate::support::{checked, docker};

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

const HOST: &str = "ssh://root@engine";

/// Another machine as far as ssh can tell, with keys and configuration of its own.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["host", "person", "stranger"] {
            let mut keygen = Command::new("ssh-keygen");
            checked(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(machine.path(name)));
        }
        let read = |name: &str| fs::read_to_string(machine.path(name)).unwrap();
        machine.write("authorized", &read("person.pub"));
        machine.write("known", &format!("engine {}", read("host.pub")));
        machine.write("empty", "");
        // Where its own package keeps sshd from what it need not see.
        fs::create_dir_all("/run/sshd").unwrap();
        machine.configure("");
        machine.connect_with("person", "known");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes the configuration of the daemon.
    fn configure(&self, more: &str) {
        let folder = self.folder.path().display();
        self.write(
            "sshd_config",
            &format!(
                "HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n{more}"
            ),
        );
    }

    /// Makes an `ssh` that reads a configuration with this key and these known hosts, in place of the person's own.
    fn connect_with(&self, key: &str, known: &str) {
        let folder = self.folder.path().display();
        self.write(
            "ssh_config",
            &format!(
                "Host engine\n  IdentityFile {folder}/{key}\n  IdentitiesOnly yes\n  IdentityAgent none\n\
                 \x20 UserKnownHostsFile {folder}/{known}\n  GlobalKnownHostsFile /dev/null\n\
                 \x20 ProxyCommand /usr/sbin/sshd -i -f {folder}/sshd_config\n"
            ),
        );
        let ssh = self.path("bin/ssh");
        fs::create_dir_all(ssh.parent().unwrap()).unwrap();
        fs::write(&ssh, format!("#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config \"$@\"\n")).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Returns envtree, whose Engine is this machine's.
    fn envtree(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.envtree_with(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("DOCKER_HOST", HOST).env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    fn ran(&self, sandbox: &Sandbox, arguments: &[&str]) -> Ran {
        sandbox.ran(&self.envtree(sandbox, arguments).output().unwrap())
    }

    /// Returns what a dry run says that finds no Engine.
    fn refusal(&self, sandbox: &Sandbox) -> String {
        refusal(sandbox, &mut self.envtree(sandbox, &["up", "fix", "--dry-run"]))
    }
}

fn refusal(sandbox: &Sandbox, command: &mut Command) -> String {
    let ran = sandbox.ran(&command.output().unwrap());
    assert_eq!(ran.status, Some(4), "{ran}");
    ran.stderr
}

#[test]
fn an_environment_lives_on_an_engine_behind_ssh() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let machine = Machine::new();
    let up = machine.ran(&sandbox, &["up", "fix"]);
    assert_eq!(up.status, Some(0), "{up}");
    assert_eq!(up.stderr.matches("the Engine runs on `engine`").count(), 1, "{up}");
    let published = docker(&["port", &sandbox.container("fix", "web")]);
    assert!(published.starts_with("80/tcp -> 127.0.0.1:2"), "{published}");
    let cat = ["exec", "fix", "web", "--", "cat"];
    assert_eq!(fed(&mut machine.envtree(&sandbox, &cat), "over ssh\n"), "over ssh\n");
    let output = "x".repeat(1 << 20);
    assert_eq!(fed(&mut machine.envtree(&sandbox, &cat), &output), output);
    let again = checked(&mut machine.envtree(&sandbox, &["up", "fix", "--json"]));
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["operations"], 0, "{again}");
    checked(&mut machine.envtree(&sandbox, &["rm", "fix", "--yes"]));
    assert!(sandbox.objects("fix").is_empty());
}

#[test]
fn a_port_that_is_taken_on_the_other_machine_is_told_by_its_engine_and_reassigned() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let machine = Machine::new();
    let up = |arguments: &[&str]| {
        let answer = machine.envtree(&sandbox, &[&["up", "fix", "--json"], arguments].concat());
        let answer: serde_json::Value = serde_json::from_str(&checked(&mut { answer })).unwrap();
        crate::support::port(&answer, "web")
    };
    let first = up(&[]);
    checked(&mut machine.envtree(&sandbox, &["down", "fix"]));
    let _taken = TcpListener::bind(("127.0.0.1", first)).unwrap();
    let refused = machine.ran(&sandbox, &["up", "fix"]);
    assert_eq!(refused.status, Some(5), "{refused}");
    assert!(refused.stderr.contains("--reassign-ports"), "{refused}");
    assert_ne!(up(&["--reassign-ports"]), first);
}

#[test]
fn files_of_this_machine_cannot_be_mounted_there() {
    let compose = "services:\n  app:\n    image: busybox:1\n    command: sleep inf\n    volumes:\n      - ./src:/src\n      - /var/run/docker.sock:/var/run/docker.sock\n";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    let refused = Machine::new().ran(&sandbox, &["up", "fix"]);
    assert_eq!(sandbox.git(&["worktree", "list"]).lines().count(), 1);
    insta::assert_snapshot!(refused, @"
    exit status 1
    --- stderr
    error: main:compose.yaml:6:9: service `app`: cannot mount `/root----------------/sandbox-xxxxxxxx.worktrees/fix/src` of this machine, because the Engine runs on `engine`; use a named volume, or an Engine on this machine
    ");
}

#[test]
fn what_bars_the_way_is_named_with_a_remedy() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let machine = Machine::new();
    machine.connect_with("person", "empty");
    insta::assert_snapshot!(machine.refusal(&sandbox), @"
    error: cannot reach the Engine at `ssh://root@engine` through ssh: Host key verification failed.
    hint: `ssh ssh://root@engine` shows the key of the machine; accept it there if it is the right one
    ");
    machine.write("changed", &format!("engine {}", fs::read_to_string(machine.path("person.pub")).unwrap()));
    machine.connect_with("person", "changed");
    assert!(machine.refusal(&sandbox).contains("hint: find out why the key changed"));
    machine.connect_with("stranger", "known");
    insta::assert_snapshot!(machine.refusal(&sandbox), @"
    error: cannot reach the Engine at `ssh://root@engine` through ssh: root@engine: Permission denied (publickey).
    hint: `ssh ssh://root@engine true` must work without a question: add a key to the agent with `ssh-add`, and to that machine with `ssh-copy-id`
    ");
    machine.connect_with("person", "known");
    machine.configure("SetEnv PATH=/nonexistent\n");
    // What else the shell says depends on the files that it reads.
    assert!(machine.refusal(&sandbox).contains("hint: install Docker's client there"));
    machine.configure("");
    let mut command = machine.envtree(&sandbox, &["up", "fix", "--dry-run"]);
    insta::assert_snapshot!(refusal(&sandbox, command.env("DOCKER_HOST", format!("{HOST}/nonexistent"))), @"
    error: cannot reach the Engine at `ssh://root@engine/nonexistent` through ssh: failed to open the raw stream connection: dial unix /nonexistent: connect: no such file or directory
    hint: start Docker there; `ssh ssh://root@engine docker version` shows whether it answers
    ");
    let mut command = machine.envtree(&sandbox, &["up", "fix", "--dry-run"]);
    insta::assert_snapshot!(refusal(&sandbox, command.env("PATH", only_git(machine.folder.path()))), @"
    error: cannot reach the Engine at `ssh://root@engine` through ssh: there is no program `ssh`
    hint: install OpenSSH's client, or reach the Engine over `tcp://` with TLS
    ");
}

/// Makes a folder of programs without ssh.
fn only_git(folder: &Path) -> PathBuf {
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink("/usr/bin/git", programs.join("git")).unwrap();
    programs
}
