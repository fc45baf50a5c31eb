//! Harm at every single request of `data snapshot`, `data restore` and `data drop`: no data is lost, none that is torn
//! is ever branched, and nothing is left.

use crate::common::Ran;
use crate::engine::docker;
use crate::every_request::Range;
use crate::leftovers::engine_objects;
use crate::proxy::Harm;

const COMPOSE: &str = "\
services:
  redis:
    image: redis:8
    ports: ['6379']
    stop_signal: SIGTERM
";

const SETTINGS: &str =
    "data: { mode: MODE, seed: 'docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli set n seeded' }\n";

/// What branches consist of.
const OVERLAY: &str = "overlay";
const COPY: &str = "copy";

/// Each request meets one of so many kinds of harm.
const KINDS: usize = 3;

/// An environment whose data is branched.
struct Stage {
    range: Range,
    project: String,
    /// The objects of an environment without snapshots.
    plain: usize,
}

impl Stage {
    fn new(mode: &str) -> Self {
        let settings = SETTINGS.replace("MODE", mode);
        let range = Range::new(&[("compose.yaml", COMPOSE), ("envtree.yaml", &settings)]);
        let ran = range.sandbox.run(&["trust", "--yes"]);
        let up = range.mend(&["up", "fix"], &ran);
        let project = up["environment"]["project"].as_str().unwrap().to_owned();
        let plain = engine_objects(&range.sandbox).len();
        Self { range, project, plain }
    }

    fn redis(&self, words: &[&str]) -> String {
        docker(&[&["exec", &format!("{}-redis-1", self.project), "redis-cli"], words].concat())
    }

    fn snapshots(&self, after: &Ran) -> Vec<String> {
        let listed = self.range.mend(&["data", "list"], after);
        let bases = listed["bases"].as_array().unwrap().iter();
        let snapshots = bases.filter(|base| !base["snapshot"].is_null());
        snapshots.map(|base| base["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Brings the environment up, and looks whether its data is what it was.
    fn holds(&self, value: &str, after: &Ran) {
        self.range.mend(&["up", "fix"], after);
        assert_eq!(self.redis(&["get", "n"]), value, "after\n{after}");
        let again = self.range.mend(&["up", "fix"], after);
        assert_eq!(again["operations"], 0, "after\n{after}\n{again}");
    }

    /// Goes back to the seeded data, and drops what was made.
    fn clear(&self, after: &Ran) {
        self.range.mend(&["data", "reset", "fix", "--yes"], after);
        assert_eq!(self.redis(&["get", "n"]), "seeded", "after\n{after}");
        for name in self.snapshots(after) {
            self.range.mend(&["data", "drop", &name], after);
        }
        // Which also sweeps what was cut off.
        self.range.mend(&["data", "drop", "--unused"], after);
        let objects = engine_objects(&self.range.sandbox);
        assert_eq!(objects.len(), self.plain, "left after\n{after}\n{}", objects.join("\n"));
    }

    fn end(self, what: &str, harm: Harm) {
        let ran = self.range.sandbox.run(&["status", "fix"]);
        self.range.remove_with_base(&ran);
        println!("{harm:?} at {what}: {}", self.range.report);
        assert!(self.range.report.harmed >= 3, "{}", self.range.report);
    }
}

fn survive_snapshots(mode: &str, harm: Harm, first: usize) {
    let mut stage = Stage::new(mode);
    let mut number = first;
    loop {
        let value = format!("before {number}");
        stage.redis(&["set", "n", &value]);
        let (is_met, ran) = stage.range.harm(0, &["data", "snapshot", "fix", "kept"], number, harm);
        stage.holds(&value, &ran);
        // A snapshot is there as a whole, or not at all.
        if stage.snapshots(&ran).is_empty() {
            assert_ne!(ran.status, Some(0), "{ran}");
            stage.range.mend(&["data", "snapshot", "fix", "kept"], &ran);
        }
        stage.redis(&["set", "n", "after"]);
        stage.range.mend(&["data", "restore", "fix", "kept", "--yes"], &ran);
        assert_eq!(stage.redis(&["get", "n"]), value, "after\n{ran}");
        stage.clear(&ran);
        if !is_met {
            break;
        }
        number += KINDS;
    }
    stage.end("a snapshot", harm);
}

fn survive_restores(mode: &str, harm: Harm, first: usize) {
    let mut stage = Stage::new(mode);
    stage.redis(&["set", "n", "kept"]);
    stage.range.sandbox.run(&["data", "snapshot", "fix", "kept"]);
    let mut number = first;
    loop {
        stage.redis(&["set", "n", "later"]);
        let (is_met, ran) = stage.range.harm(0, &["data", "restore", "fix", "kept", "--yes"], number, harm);
        stage.range.mend(&["up", "fix"], &ran);
        let value = stage.redis(&["get", "n"]);
        assert!(value == "kept" || (value == "later" && ran.status != Some(0)), "{value} after\n{ran}");
        if !is_met {
            stage.clear(&ran);
            break;
        }
        number += KINDS;
    }
    stage.end("a restore", harm);
}

fn survive_drops(harm: Harm, first: usize) {
    let mut stage = Stage::new(OVERLAY);
    let mut number = first;
    loop {
        let after = stage.range.sandbox.run(&["data", "snapshot", "fix", "kept"]);
        stage.range.mend(&["data", "reset", "fix", "--yes"], &after);
        let (is_met, ran) = stage.range.harm(1, &["data", "drop", "kept"], number, harm);
        stage.clear(&ran);
        if !is_met {
            break;
        }
        number += KINDS;
    }
    stage.end("a drop", harm);
}

#[test]
fn a_connection_that_ends_while_a_snapshot_is_taken() {
    survive_snapshots(OVERLAY, Harm::CutBefore, 1);
}

#[test]
fn an_engine_that_fails_while_a_snapshot_is_taken() {
    survive_snapshots(OVERLAY, Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_snapshot_is_taken() {
    survive_snapshots(OVERLAY, Harm::KillAfter, 3);
}

#[test]
fn a_connection_that_ends_while_data_is_restored() {
    survive_restores(OVERLAY, Harm::CutAfter, 1);
}

#[test]
fn an_engine_that_fails_while_data_is_restored() {
    survive_restores(OVERLAY, Harm::Refuse, 2);
}

#[test]
fn a_kill_while_data_is_restored() {
    survive_restores(OVERLAY, Harm::KillBefore, 3);
}

#[test]
fn a_connection_that_ends_while_a_snapshot_is_dropped() {
    survive_drops(Harm::CutBefore, 1);
}

#[test]
fn an_engine_that_fails_while_a_snapshot_is_dropped() {
    survive_drops(Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_snapshot_is_dropped() {
    survive_drops(Harm::KillAfter, 3);
}

#[test]
fn a_kill_while_a_snapshot_of_a_copy_is_taken() {
    survive_snapshots(COPY, Harm::KillAfter, 1);
}

#[test]
fn an_engine_that_fails_while_a_copy_is_restored() {
    survive_restores(COPY, Harm::Refuse, 1);
}

#[test]
fn a_kill_while_a_copy_is_restored() {
    survive_restores(COPY, Harm::KillAfter, 2);
}
