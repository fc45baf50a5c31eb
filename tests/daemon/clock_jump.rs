//! A clock that jumps by a day, forth or back, while a command runs: no wait is cut short or drawn out by it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::leftovers::{leftovers, state_directory};
use crate::stage::{answer, beside, done, output_of, sandbox_with};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A service that nothing can probe, and one whose check notes that it ran, and passes once it is let.
const COMPOSE: &str = "\
services:
  app:
    image: busybox:1
    command: sleep inf
    init: true
  web:
    image: busybox:1
    command: sleep inf
    init: true
    healthcheck: { test: 'touch /tmp/asked; test -e /tmp/let', interval: 10m }
";

/// The first hook notes that it runs, and ends once it is let.
const HOOKS: &str = "\
hooks:
  post_create: cd \"$WORKTREE_MAIN_PATH/..\"; touch begun; until test -e let; do sleep 0.1; done
  post_up: test -e .
";

/// The wall clock of the commands that are started with it; the test and the Engine keep the true one.
struct Clock<'a> {
    sandbox: &'a Sandbox,
    library: PathBuf,
    offset: PathBuf,
}

impl<'a> Clock<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let clock = Self { sandbox, library: beside(sandbox, "clock.so"), offset: beside(sandbox, "offset") };
        let source = beside(sandbox, "clock.c");
        fs::write(&source, include_str!("clock_jump.c")).unwrap();
        output_of(sandbox.command("cc").args(["-shared", "-fPIC", "-o"]).args([&clock.library, &source]));
        clock
    }

    /// Makes the clock jump to so much from the true time.
    fn jump(&self, offset: SignedDuration) {
        let new = self.offset.with_extension("new");
        fs::write(&new, offset.as_secs().to_string()).unwrap();
        fs::rename(&new, &self.offset).unwrap();
    }

    /// Returns envtree with this clock.
    fn envtree(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.envtree_with(arguments);
        command.env("LD_PRELOAD", &self.library).env("TEST_CLOCK_OFFSET", &self.offset);
        command
    }

    /// Runs envtree, which must succeed, and returns what it answered.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        output_of(&mut self.envtree(arguments))
    }

    fn start(&self, arguments: &[&str]) -> Running<'a> {
        Running::start(self.sandbox, self.envtree(arguments))
    }
}

/// A command that runs; it is interrupted when this is dropped before its end.
struct Running<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    stdout: File,
    stderr: File,
    since: Instant,
}

impl<'a> Running<'a> {
    fn start(sandbox: &'a Sandbox, mut command: Command) -> Self {
        let [stdout, stderr] = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        Self { sandbox, child: command.spawn().unwrap(), stdout, stderr, since: Instant::now() }
    }

    /// Waits until the command has written this to standard error.
    #[track_caller]
    fn says(&self, words: &str) {
        eventually(|| written(&self.stderr).contains(words), SOON);
    }

    /// Waits for the end, and returns what was written until then and how long it took.
    #[track_caller]
    fn end(mut self) -> (Ran, Duration) {
        eventually(|| self.child.try_wait().unwrap().is_some(), SOON * 2);
        let elapsed = self.since.elapsed();
        let status = self.child.wait().unwrap().code();
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(|file| self.sandbox.redact(&written(file)));
        (Ran { stdout, stderr, status }, elapsed)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", written(&self.stderr));
        }
    }
}

/// Returns what the command has written so far; where it writes on, which both share, is not moved.
fn written(file: &File) -> String {
    let mut text = vec![0; file.metadata().unwrap().len().try_into().unwrap()];
    file.read_exact_at(&mut text, 0).unwrap();
    String::from_utf8(text).unwrap()
}

/// Waits until `web` is asked whether it is ready, and once more, so that nothing of the first time goes on.
#[track_caller]
fn asked_again(sandbox: &Sandbox) {
    for _ in 0..2 {
        eventually(|| inside(sandbox, "web", &["rm", "/tmp/asked"]), SOON);
    }
}

/// Runs a command in a service's container, and returns whether it succeeded; it does not while there is none.
fn inside(sandbox: &Sandbox, service: &str, command: &[&str]) -> bool {
    let mut docker = sandbox.command("docker");
    docker.args(["exec", &sandbox.container("fix", service)]).args(command);
    docker.output().unwrap().status.success()
}

/// Returns the environment's record.
fn record(sandbox: &Sandbox) -> Value {
    let text = fs::read_to_string(state_directory(sandbox).join("environments.json")).unwrap_or_default();
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    state["environments"][0].clone()
}

/// Checks that a moment was written after `since`, by a clock that was so far from the true time.
#[track_caller]
fn assert_written(moment: &Value, since: Timestamp, offset: SignedDuration) {
    let moment: Timestamp = moment.as_str().unwrap().parse().unwrap();
    let moment = moment - offset;
    assert!(moment >= since && moment <= Timestamp::now(), "{moment} is not between {since} and now");
}

fn touch(path: &Path) {
    fs::write(path, "").unwrap();
}

/// Brings an environment up while the clock jumps by `first` in a hook and to the other side in the wait for a service.
fn up_goes_on(first: SignedDuration) {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE), ("envtree.yaml", HOOKS)]);
    done(&sandbox, &["trust", "--yes"]);
    let clock = Clock::new(&sandbox);
    let since = Timestamp::now();
    let up = clock.start(&["up", "fix"]);
    eventually(|| beside(&sandbox, "begun").exists(), SOON);
    clock.jump(first);
    touch(&beside(&sandbox, "let"));
    eventually(|| record(&sandbox)["hooks_done"]["post_create"].is_object(), SOON);
    asked_again(&sandbox);
    clock.jump(-first);
    asked_again(&sandbox);
    eventually(|| inside(&sandbox, "web", &["touch", "/tmp/let"]), SOON);
    let (ran, _) = up.end();
    assert_eq!(ran.status, Some(0), "{ran}");
    let record = record(&sandbox);
    assert_written(&record["created"], since, SignedDuration::ZERO);
    assert_written(&record["hooks_done"]["post_create"]["at"], since, first);
    assert_written(&record["hooks_done"]["post_up"]["at"], since, -first);
    works_on(&sandbox, &clock);
}

/// Checks that the environment is listed, brought up again and removed, whatever the clock says.
fn works_on(sandbox: &Sandbox, clock: &Clock<'_>) {
    for (offset, age) in [(DAY, "1 d"), (SignedDuration::ZERO, "now"), (-DAY, "now")] {
        clock.jump(offset);
        let listed = clock.done(&["ls"]);
        let line = listed.lines().nth(1).unwrap();
        assert!(line.contains(age) && line.contains("2/2") && !line.contains('-'), "{offset}: {listed}");
        let again: Value = serde_json::from_str(&clock.done(&["up", "fix", "--json"])).unwrap();
        assert_eq!(again["operations"], 0, "{offset}: {again:#}");
    }
    for (offset, command) in [(DAY, "down"), (-DAY, "up"), (DAY, "rm")] {
        clock.jump(offset);
        clock.done(&[command, "fix", if command == "up" { "--no-wait" } else { "--quiet" }]);
    }
    assert_eq!(leftovers(sandbox), [""; 0]);
    assert_eq!(answer(sandbox, &["ls"])["environments"], serde_json::json!([]));
}

#[test]
fn up_goes_on_when_the_clock_jumps_forth_and_then_back() {
    up_goes_on(DAY);
}

#[test]
fn up_goes_on_when_the_clock_jumps_back_and_then_forth() {
    up_goes_on(-DAY);
}

#[test]
fn a_wait_for_a_service_ends_at_its_timeout_by_no_jump_earlier_or_later() {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
    let clock = Clock::new(&sandbox);
    let since = Timestamp::now();
    let up = clock.start(&["up", "fix", "--timeout", "10s"]);
    asked_again(&sandbox);
    clock.jump(DAY);
    asked_again(&sandbox);
    clock.jump(-DAY);
    let (ran, elapsed) = up.end();
    assert!(elapsed >= Duration::from_secs(10), "{elapsed:?}: {ran}");
    assert_eq!(ran.status, Some(5), "{ran}");
    assert!(ran.stderr.contains("\n  caused by: service `web` was not ready after [time]"), "{ran}");
    assert_written(&record(&sandbox)["last_failure"]["at"], since, -DAY);
    eventually(|| inside(&sandbox, "web", &["touch", "/tmp/let"]), SOON);
    done(&sandbox, &["up", "fix"]);
    assert!(record(&sandbox)["last_failure"].is_null());
    done(&sandbox, &["rm", "fix"]);
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn exec_hands_on_the_status_of_a_command_during_which_the_clock_jumps() {
    let sandbox = sandbox_with(&[("compose.yaml", crate::stage::IDLE)]);
    done(&sandbox, &["up", "fix"]);
    let clock = Clock::new(&sandbox);
    let [begun, go] = ["begun", "go"].map(|name| beside(&sandbox, name));
    for offset in [DAY, -DAY] {
        let waits = format!(
            "touch {begun}; until test -e {go}; do sleep 0.1; done; date +%s; exit 7",
            begun = begun.display(),
            go = go.display()
        );
        let on_host = clock.start(&["exec", "fix", "--", "sh", "-c", &waits]);
        let waits = "touch /tmp/begun; until test -e /tmp/let; do sleep 0.1; done; rm /tmp/let; exit 8";
        let in_service = clock.start(&["exec", "fix", "app", "--", "sh", "-c", waits]);
        eventually(|| begun.exists() && inside(&sandbox, "app", &["rm", "/tmp/begun"]), SOON);
        let since = Timestamp::now();
        clock.jump(offset);
        touch(&go);
        eventually(|| inside(&sandbox, "app", &["touch", "/tmp/let"]), SOON);
        let ends = [on_host, in_service].map(|running| running.end().0);
        assert_eq!(ends.clone().map(|ran| ran.status), [Some(7), Some(8)], "{ends:?}");
        let second: i64 = ends[0].stdout.trim().parse().unwrap();
        assert!((second - (since + offset).as_second()).abs() < 3_600, "its own clock jumped: {ends:?}");
        fs::remove_file(&begun).unwrap();
        fs::remove_file(&go).unwrap();
        clock.jump(SignedDuration::ZERO);
    }
}

#[test]
fn a_wait_for_a_lock_ends_at_its_deadline_by_no_jump_earlier_or_later() {
    let sandbox = sandbox_with(&[("compose.yaml", crate::stage::IDLE)]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let clock = Clock::new(&sandbox);
    let lock = File::options().write(true).open(state_directory(&sandbox).join("state.lock")).unwrap();
    for offset in [DAY, -DAY] {
        lock.lock().unwrap();
        let mut command = clock.envtree(&["up", "fix"]);
        command.env("ENVTREE_LOCK_TIMEOUT", "5s");
        let up = Running::start(&sandbox, command);
        up.says("waiting for another process");
        clock.jump(offset);
        let (ran, elapsed) = up.end();
        assert!(elapsed >= Duration::from_secs(5), "{offset}: {elapsed:?}: {ran}");
        assert_eq!(ran.status, Some(1), "{offset}: {ran}");
        assert!(ran.stderr.contains("error: another process still holds the lock"), "{offset}: {ran}");

        let up = clock.start(&["up", "fix"]);
        up.says("waiting for another process");
        clock.jump(-offset);
        lock.unlock().unwrap();
        let (ran, _) = up.end();
        assert_eq!(ran.status, Some(0), "{offset}: {ran}");
        clock.jump(SignedDuration::ZERO);
    }
}
