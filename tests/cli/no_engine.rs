//! What works while no Engine answers, and what says so before it makes anything.

use std::io::Write as _;
use std::process::Stdio;

use crate::common::{Ran, Sandbox};

const COMPOSE: &str = "services:\n  web:\n    image: busybox:1\n    ports: ['80']\n";

fn with_compose() -> Sandbox {
    Sandbox::with_files(&[("compose.yaml", COMPOSE)])
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut command = sandbox.envtree();
    let output = command.args(arguments).env("DOCKER_HOST", "unix:///nonexistent").output().unwrap();
    sandbox.ran(&output)
}

#[test]
fn up_says_so_and_makes_nothing() {
    let sandbox = with_compose();
    let ran = run(&sandbox, &["up", "fix"]);
    assert_eq!(sandbox.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(sandbox.git(&["branch", "--list", "fix"]), "");
    assert!(!sandbox.repository().join("../home/state/envtree/environments.json").exists());
    insta::assert_snapshot!(ran, @"
    exit status 4
    --- stderr
    error: no Engine answers at `unix:///nonexistent` (no such socket)
      caused by: unix:///nonexistent: no such socket
    hint: start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
    note: nothing was changed
    ");
    assert_eq!(run(&sandbox, &["up", "fix", "--json"]).status, Some(4));
}

#[test]
fn ls_lists_what_the_state_knows() {
    let ran = run(&with_compose(), &["ls"]);
    insta::assert_snapshot!(ran, @"
    exit status 0
    --- stderr
    warning: states are unknown: no Engine answers at `unix:///nonexistent` (no such socket)
    no environments in this repository yet; `envtree up TASK` makes one
    ");
}

#[test]
fn config_is_worked_out_from_the_files() {
    let ran = run(&with_compose(), &["config", "fix", "--raw"]);
    assert_eq!(ran.status, Some(0), "{ran}");
    assert!(ran.stdout.contains("image: busybox:1"), "{ran}");
    let ran = run(&with_compose(), &["config", "fix"]);
    assert_eq!(ran.status, Some(0), "{ran}");
}

#[test]
fn the_model_of_the_files_wants_no_free_ports() {
    let ports = "services:\n  calls:\n    image: busybox:1\n    ports: ['10000-20000:10000-20000/udp']\n";
    let sandbox = Sandbox::with_files(&[("compose.yaml", ports)]);
    let ran = run(&sandbox, &["config", "--raw", "--json"]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let refused = run(&sandbox, &["config"]);
    insta::assert_snapshot!(refused, @"
    exit status 1
    --- stderr
    error: compose.yaml:4:5: service `calls`: `ports`: 10001 host ports are needed, and the range 2####-2#### has 50
    hint: publish fewer ports, or widen `ports: { range: … }` in the machine's configuration, `~/.config/envtree/config.yaml`
    ");
}

#[test]
fn a_compose_file_can_be_written_to_the_standard_input() {
    let sandbox = with_compose();
    let mut command = sandbox.envtree_with(&["config", "--raw", "--file", "-"]);
    let mut child = command
        .env("DOCKER_HOST", "unix:///nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"services: { api: { image: 'redis:8', prots: [80] } }\n").unwrap();
    let ran = sandbox.ran(&child.wait_with_output().unwrap());
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: <stdin>:1:38: service `api`: `prots` is not a known key; did you mean `ports`?
    ");
}

#[test]
fn a_folder_without_a_repository_needs_no_engine_to_be_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.repository().join("../plain");
    std::fs::create_dir(&folder).unwrap();
    let ran = run(&sandbox, &["-C", folder.to_str().unwrap(), "up", "fix"]);
    assert_eq!(ran.status, Some(1), "{ran}");
}
