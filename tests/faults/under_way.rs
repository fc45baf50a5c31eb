//! Commands that begin while the Engine still carries out what an interrupted one asked for.

use std::time::Duration;

use crate::every_request::Range;
use crate::proxy::{Harm, Moment};

const COMPOSE: &str = "\
services:
  web: { image: 'busybox:1', command: 'httpd -f -p 80', init: true, stop_signal: SIGKILL, ports: ['80'] }
";

/// How long after the Engine heard that it is to start a container the command is killed, in milliseconds.
const MOMENTS: [u64; 5] = [0, 40, 80, 160, 320];

/// A container holds its port before it runs, and until then the list has it as stopped.
fn goes_on_after_a_start_was_cut_off(next: &str) {
    let range = Range::new(&[("compose.yaml", COMPOSE)]);
    let mut ran = range.sandbox.run(&["up", "fix"]);
    for moment in MOMENTS {
        range.mend(&["stop", "fix"], &ran);
        let harm = Harm::KillDuring(Duration::from_millis(moment));
        ran = range.harm_at(Moment::FirstTo("/start"), &["up", "fix"], harm);
        assert_eq!(ran.status, None, "{ran}");
        range.mend(&[next, "fix"], &ran);
        let status = range.mend(&["status", "fix"], &ran);
        assert_eq!(status["environment"]["state"], "ready", "{moment} ms\n{status}");
    }
    let ran = range.sandbox.run(&["rm", "fix", "--yes"]);
    range.is_clean(&ran);
}

#[test]
fn up_goes_on_after_a_start_was_cut_off() {
    goes_on_after_a_start_was_cut_off("up");
}

#[test]
fn start_goes_on_after_a_start_was_cut_off() {
    goes_on_after_a_start_was_cut_off("start");
}
