//! Locks that another process holds: the wait is told with its holder, and ends at a deadline.

use std::fs::File;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::stage::{IDLE, beside, done, idle, sandbox_with};

/// Runs envtree, which waits two seconds at most for others.
fn hasty(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let output = sandbox.envtree_with(arguments).env("ENVTREE_LOCK_TIMEOUT", "2s").output().unwrap();
    sandbox.ran(&output)
}

/// An `up` that stays in its hook until it is interrupted, at the latest when this is dropped.
struct Hanging(Child);

impl Hanging {
    fn start(sandbox: &Sandbox) -> Self {
        done(sandbox, &["trust", "--yes"]);
        let mut command = sandbox.envtree_with(&["up", "fix"]);
        let hanging = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        eventually(|| beside(sandbox, "hanging").exists(), SOON);
        hanging
    }

    fn interrupt(&mut self) -> Option<i32> {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        self.0.wait().unwrap().code()
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.interrupt();
    }
}

/// Masks the number of the process that is waited for, which may look like a port.
fn masked(ran: &Ran) -> String {
    let mut parts = ran.stderr.split("(pid ");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str("(pid [pid]");
        text.push_str(&part[part.find(')').unwrap()..]);
    }
    text
}

#[test]
fn a_wait_for_another_command_names_it_and_ends_at_the_deadline() {
    let hook = "hooks:\n  post_create: touch \"$WORKTREE_MAIN_PATH/../hanging\"; sleep inf\n";
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", hook)]);
    let mut hanging = Hanging::start(&sandbox);
    let ran = hasty(&sandbox, &["up", "fix"]);
    insta::assert_snapshot!(masked(&ran), @"
    waiting for `envtree up fix` (pid [pid])
    error: `envtree up fix` (pid [pid]) still holds the lock `/root----------------/home/state/envtree/locks/sandbox-xxxxxxxx-fix.lock` after 2s
    hint: run the command again when that one has ended; `ENVTREE_LOCK_TIMEOUT=10m` waits longer
    ");
    let ran = hasty(&sandbox, &["down", "fix"]);
    assert_eq!(ran.status, Some(1), "{ran}");
    assert!(masked(&ran).contains("waiting for `envtree up fix` (pid [pid])"), "{ran}");
    // Looking waits for nobody.
    for command in [&["ls"][..], &["status", "fix"], &["env", "fix"]] {
        let ran = hasty(&sandbox, command);
        assert_eq!((ran.status, ran.stderr.contains("waiting")), (Some(0), false), "{ran}");
    }
    // A hook has no limit of time: the person ends it.
    assert_eq!(hanging.interrupt(), Some(130));
}

#[test]
fn a_lock_that_an_unknown_program_holds_is_waited_for_aloud() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let held = File::options().write(true).open(beside(&sandbox, "home/state/envtree/state.lock")).unwrap();
    held.lock().unwrap();
    let ran = hasty(&sandbox, &["up", "fix"]);
    drop(held);
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    waiting for another process
    error: another process still holds the lock `/root----------------/home/state/envtree/state.lock` after 2s
    hint: run the command again when that one has ended; `ENVTREE_LOCK_TIMEOUT=10m` waits longer
    ");
}

#[test]
fn a_time_to_wait_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.envtree().arg("ls").env("ENVTREE_LOCK_TIMEOUT", "soon").output().unwrap();
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 1
    --- stderr
    error: `soon` in `ENVTREE_LOCK_TIMEOUT` is no time to wait: expected a duration such as `60s`, `2m` or `1h30m`; a bare number is seconds
    ");
}
