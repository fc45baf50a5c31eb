//! What an Engine leaves that is killed while it makes a volume: the volume, without its labels.

use std::fs;

use serde_json::Value;

use crate::common::{Ran, Sandbox};
use crate::engine::{self, docker};
use crate::leftovers::{leftovers, state_directory};
use crate::proxy::{Harm, Moment, Proxy};

const COMPOSE: &str = "\
services:
  store:
    image: busybox:1
    command: sleep inf
    init: true
    stop_signal: SIGKILL
    volumes: ['data:/data']
volumes:
  data: {}
";

/// A sandbox whose `up fix` was cut off while it asked for a volume.
struct CutOff {
    sandbox: Sandbox,
    /// The volume's name.
    volume: String,
}

impl CutOff {
    fn new() -> Self {
        let sandbox = Sandbox::with_files(&[("compose.yaml", COMPOSE)]);
        let proxy = Proxy::start(sandbox.repository().with_file_name("engine.sock"), &engine::socket());
        proxy.arm(Moment::First("POST /volumes/create"), Harm::CutBefore);
        let mut up = sandbox.envtree_with(&["up", "fix"]);
        let ran = sandbox.ran(&up.env("DOCKER_HOST", proxy.host()).output().unwrap());
        assert!(proxy.has_harmed() && ran.status == Some(5), "{ran}");
        let state = fs::read(state_directory(&sandbox).join("environments.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        let volume = state["environments"][0]["unsettled"]["volumes"][0].as_str().unwrap().to_owned();
        Self { sandbox, volume }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }
}

#[test]
fn a_volume_that_was_left_half_made_is_made_again() {
    let cut_off = CutOff::new();
    docker(&["volume", "create", &cut_off.volume]);
    let planned = cut_off.run(&["up", "fix", "--dry-run"]);
    assert_eq!(planned.status, Some(0), "{planned}");
    let up = cut_off.run(&["up", "fix"]);
    assert_eq!(up.status, Some(0), "{up}");
    let labels = &engine::inspect("volume", &cut_off.volume)["Labels"];
    assert_eq!(labels[envtree_core::label::TASK], "fix", "{labels}");
    let removed = cut_off.run(&["rm", "fix", "--yes"]);
    assert_eq!(removed.status, Some(0), "{removed}");
    assert_eq!(leftovers(&cut_off.sandbox), [""; 0]);
}

#[test]
fn a_volume_that_was_left_half_made_goes_with_its_environment() {
    let cut_off = CutOff::new();
    docker(&["volume", "create", &cut_off.volume]);
    let removed = cut_off.run(&["rm", "fix", "--yes"]);
    assert_eq!(removed.status, Some(0), "{removed}");
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={}", cut_off.volume)]), "");
    assert_eq!(leftovers(&cut_off.sandbox), [""; 0]);
}

#[test]
fn a_volume_that_somebody_filled_is_not_taken_for_one() {
    let cut_off = CutOff::new();
    let mount = format!("{}:/data", cut_off.volume);
    docker(&["run", "--rm", "--volume", &mount, "busybox:1", "sh", "-c", "echo mine >/data/note"]);
    let up = cut_off.run(&["up", "fix"]);
    assert_eq!(up.status, Some(1), "{up}");
    assert!(up.stderr.contains("exists, and envtree did not make it"), "{up}");
    let removed = cut_off.run(&["rm", "fix", "--yes"]);
    assert_eq!(removed.status, Some(0), "{removed}");
    let note = docker(&["run", "--rm", "--volume", &mount, "busybox:1", "cat", "/data/note"]);
    assert_eq!(note, "mine");
    docker(&["volume", "rm", &cut_off.volume]);
}
