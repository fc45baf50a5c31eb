//! Interruptions at every stage: what is said, that no process is left, and that the next `up` completes the work.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::common::{Ran, Sandbox};
use crate::pty::{INTERRUPT, Terminal};
use crate::stage::{IDLE, beside, commit, containers, done, environment, idle, sandbox_with, worktree};
use crate::support::{SOON, checked, docker, eventually, inspect};

/// The signals that ask a command to end, with the exit status of one that they ended.
pub(crate) const SIGNALS: [(&str, i32); 4] = [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)];

/// A service that runs and never becomes ready.
const NEVER: &str = "\
services:
  app:
    image: busybox:1
    command: sleep inf
    init: true
    healthcheck: { test: [CMD, 'false'], interval: 1s, retries: 100000 }
";

/// Starts envtree with its output in pipes.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = sandbox.envtree_with(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to one process.
pub(crate) fn send(signal: &str, pid: u32) {
    checked(std::process::Command::new("kill").args(["-s", signal, &pid.to_string()]));
}

/// Interrupts envtree, and returns how it ended once every process that it started is gone.
#[track_caller]
pub(crate) fn interrupted(sandbox: &Sandbox, running: Child, signal: &str) -> Ran {
    send(signal, running.id());
    let ran = sandbox.ran(&running.wait_with_output().unwrap());
    assert_none_left(sandbox);
    ran
}

/// Returns the processes that have the sandbox's variables: envtree itself, and whatever it started on the host.
fn processes(sandbox: &Sandbox) -> Vec<PathBuf> {
    let home = format!("HOME={}", beside(sandbox, "home").display());
    let has_home = |folder: &PathBuf| {
        let variables = fs::read(folder.join("environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    };
    let folders = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    folders.filter(has_home).collect()
}

#[track_caller]
fn assert_none_left(sandbox: &Sandbox) {
    eventually(|| processes(sandbox).is_empty(), SOON);
}

/// Waits until a command of the sandbox's repository wrote the file `begun` beside it.
#[track_caller]
fn begun(sandbox: &Sandbox) {
    let file = beside(sandbox, "begun");
    eventually(|| file.exists(), SOON);
    fs::remove_file(file).unwrap();
}

/// Returns a sandbox whose trusted hook says that it has begun and goes on, with a process of its own, until it is let.
fn with_hook(hook: &str) -> Sandbox {
    let text = "touch \"$WORKTREE_MAIN_PATH/../begun\"; test -e \"$WORKTREE_MAIN_PATH/../pass\" || { sleep 1000 & setsid sleep 1002 & (setsid sleep 1003 &); sleep 1001; }";
    let settings = format!("hooks:\n  {hook}: |\n    {text}\n");
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", &settings)]);
    done(&sandbox, &["trust", "--yes"]);
    sandbox
}

fn assert_continued(sandbox: &Sandbox) {
    done(sandbox, &["up", "fix"]);
    assert_eq!(environment(sandbox, "fix")["state"], "ready");
    assert_eq!(containers(sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn a_hook_ends_with_all_its_processes_whatever_the_signal() {
    let sandbox = with_hook("post_create");
    for (signal, status) in SIGNALS {
        let running = start(&sandbox, &["up", "fix"]);
        begun(&sandbox);
        let ran = interrupted(&sandbox, running, signal);
        assert_eq!(ran.status, Some(status), "{signal}: {ran}");
        let told = "error: interrupted\nhint: `envtree up fix` continues from here\nnote: ";
        assert!(ran.stderr.contains(told), "{signal}: {ran}");
    }
    fs::write(beside(&sandbox, "pass"), "").unwrap();
    assert_continued(&sandbox);
}

#[test]
fn a_hook_after_the_services_is_run_again() {
    let sandbox = with_hook("post_up");
    let running = start(&sandbox, &["up", "fix"]);
    begun(&sandbox);
    assert_eq!(interrupted(&sandbox, running, "INT").status, Some(130));
    fs::write(beside(&sandbox, "pass"), "").unwrap();
    assert_continued(&sandbox);
    begun(&sandbox);
}

#[test]
fn an_up_that_was_told_to_ignore_a_signal_goes_on() {
    let text = "cd \"$WORKTREE_MAIN_PATH/..\"; touch begun; while ! test -e pass; do sleep 0.1; done";
    let settings = format!("hooks:\n  post_create: |\n    {text}\n");
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", &settings)]);
    done(&sandbox, &["trust", "--yes"]);
    let ignoring = "trap '' HUP INT; exec \"$@\"";
    let mut command = sandbox.through(&["sh", "-c", ignoring, "sh"], &["up", "fix"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    begun(&sandbox);
    send("HUP", running.id());
    send("INT", running.id());
    fs::write(beside(&sandbox, "pass"), "").unwrap();
    let ran = sandbox.ran(&running.wait_with_output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran}");
}

#[test]
fn a_checkout_ends_with_the_hooks_of_git_and_is_completed() {
    let sandbox = idle();
    let hook = sandbox.repository().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let begun_file = beside(&sandbox, "begun");
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\nsleep 1000\n", begun_file.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    for (signal, status) in SIGNALS {
        let running = start(&sandbox, &["up", "fix"]);
        begun(&sandbox);
        let ran = interrupted(&sandbox, running, signal);
        assert_eq!(ran.status, Some(status), "{signal}: {ran}");
    }
    fs::remove_file(hook).unwrap();
    assert_continued(&sandbox);
    assert_eq!(crate::stage::git_in(&sandbox, &worktree(&sandbox, "fix"), &["status", "--porcelain"]), "");
}

#[test]
fn a_pull_that_does_not_come_forward_can_be_given_up() {
    // A registry that takes connections and answers none.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("127.0.0.1:{}/slow:1", registry.local_addr().unwrap().port());
    let sandbox = sandbox_with(&[("compose.yaml", &IDLE.replace("busybox:1", &image))]);
    let mut terminal = Terminal::new(&sandbox, 60, &["up", "fix"]);
    terminal.wait_for("pulling 127.0.0.1");
    // What a checkout that is cut short wrote is written again.
    terminal.wait_for("created worktree");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("continues from here"), "{shown}");
    assert_none_left(&sandbox);
    fs::write(worktree(&sandbox, "fix").join("compose.yaml"), IDLE).unwrap();
    drop(registry);
    assert_continued(&sandbox);
}

#[test]
fn waiting_for_a_service_can_be_given_up() {
    let sandbox = sandbox_with(&[("compose.yaml", NEVER)]);
    let mut terminal = Terminal::new(&sandbox, 40, &["up", "fix"]);
    terminal.wait_for("waiting for app");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("continues from here"), "{shown}");
    assert_none_left(&sandbox);
    sandbox.write("compose.yaml", IDLE);
    commit(&sandbox, "Drop the check");
    fs::write(worktree(&sandbox, "fix").join("compose.yaml"), IDLE).unwrap();
    assert_continued(&sandbox);
}

#[test]
fn a_second_interrupt_ends_it_at_once_and_leaves_no_process() {
    let sandbox = with_hook("post_create");
    let mut terminal = Terminal::new(&sandbox, 80, &["up", "fix"]);
    begun(&sandbox);
    terminal.press(&INTERRUPT.repeat(2));
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert_none_left(&sandbox);
    fs::write(beside(&sandbox, "pass"), "").unwrap();
    assert_continued(&sandbox);
}

/// Brings `fix` up, and changes its definition so that the next `up` asks before it goes on.
fn with_question() -> Sandbox {
    let sandbox = idle();
    let compose = |driver: &str| {
        IDLE.to_owned()
            + &format!(
                "    volumes: ['data:/data']\nvolumes: {{ data: {{ labels: {{ made: {driver} }} }} }}\n"
            )
    };
    sandbox.write("compose.yaml", &compose("one"));
    commit(&sandbox, "Keep data");
    done(&sandbox, &["up", "fix"]);
    fs::write(worktree(&sandbox, "fix").join("compose.yaml"), compose("two")).unwrap();
    sandbox
}

#[test]
fn a_question_of_up_can_be_interrupted_and_nothing_is_changed() {
    let sandbox = with_question();
    let mut terminal = Terminal::new(&sandbox, 80, &["up", "fix"]);
    terminal.wait_for("[y/N]");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert_none_left(&sandbox);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn logs_that_are_followed_end_quietly() {
    let sandbox =
        sandbox_with(&[("compose.yaml", &IDLE.replace("sleep inf", "sh -c 'echo hello; exec sleep inf'"))]);
    done(&sandbox, &["up", "fix"]);
    let mut terminal = Terminal::new(&sandbox, 80, &["logs", "--follow", "fix"]);
    terminal.wait_for("hello");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn a_signal_reaches_a_command_on_the_host_once_and_its_status_comes_back() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix"]);
    let count = beside(&sandbox, "count");
    let script = format!(
        "trap 'echo got >>{0}' INT TERM HUP; touch {1}; while ! test -e {0}; do sleep 0.1; done; sleep 0.5; exit 9",
        count.display(),
        beside(&sandbox, "begun").display()
    );
    for signal in ["INT", "TERM", "HUP"] {
        let running = start(&sandbox, &["exec", "fix", "--", "sh", "-c", &script]);
        begun(&sandbox);
        let ran = interrupted(&sandbox, running, signal);
        assert_eq!(ran.status, Some(9), "{signal}: {ran}");
        assert_eq!(fs::read_to_string(&count).unwrap(), "got\n", "{signal}");
        fs::remove_file(&count).unwrap();
    }
    // At a terminal, its keys reach the command by themselves.
    let mut terminal = Terminal::new(&sandbox, 80, &["exec", "fix", "--", "sh", "-c", &script]);
    begun(&sandbox);
    terminal.press(INTERRUPT);
    assert_eq!(terminal.end().0, Some(9));
    assert_eq!(fs::read_to_string(&count).unwrap(), "got\n");
    // A command that catches nothing.
    let plain = format!("touch {}; exec sleep 1000", beside(&sandbox, "begun").display());
    for (signal, status) in SIGNALS {
        let running = start(&sandbox, &["exec", "fix", "--", "sh", "-c", &plain]);
        begun(&sandbox);
        assert_eq!(interrupted(&sandbox, running, signal).status, Some(status), "{signal}");
    }
}

#[test]
fn a_network_that_the_engine_makes_late_for_an_interrupted_up_is_taken_over() {
    let sandbox = with_question();
    let name = format!("{}_default", sandbox.project("fix"));
    let network = inspect("network", &name);
    done(&sandbox, &["down", "fix"]);
    let mut terminal = Terminal::new(&sandbox, 80, &["up", "fix"]);
    terminal.wait_for("[y/N]");
    // It comes into being after envtree looked, with everything that envtree had asked for.
    let subnet = network["IPAM"]["Config"][0]["Subnet"].as_str().unwrap();
    let labels = network["Labels"].as_object().unwrap().iter();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("--label={key}={}", value.as_str().unwrap())).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    docker(&[&["network", "create", "--subnet", subnet], &labels[..], &[&name]].concat());
    terminal.press("y\n");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(0), "{shown}");
    assert_eq!(crate::stage::answer(&sandbox, &["up", "fix"])["operations"], 0);
}

#[test]
fn an_up_that_was_stopped_goes_on_and_leaves_the_terminal_as_it_was() {
    let sandbox = with_hook("post_create");
    let terminal = Terminal::new(&sandbox, 40, &["up", "fix"]);
    begun(&sandbox);
    let pid = terminal.child.id();
    send("STOP", pid);
    fs::write(beside(&sandbox, "pass"), "").unwrap();
    send("CONT", pid);
    send("INT", pid);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert_none_left(&sandbox);
    assert_continued(&sandbox);
}
