//! envtree at a terminal and at outputs of every kind, with an Engine: modes, widths, character sets.

use std::fs;

use rustix::termios::LocalModes;

use crate::interruption::{SIGNALS, send};
use crate::pty::{INTERRUPT, Terminal};
use crate::stage::{containers, done, environment, idle};
use crate::support::{SOON, eventually};

/// Returns whether the terminal passes every key on.
fn is_raw(terminal: &Terminal) -> bool {
    !terminal.modes().local_modes.contains(LocalModes::ICANON)
}

#[test]
fn the_terminal_is_as_it_was_after_a_command_inside_a_service() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix"]);
    let arguments = ["exec", "fix", "app", "--", "sh", "-c", "echo in''side; exec sleep 1000"];
    for (signal, expected) in SIGNALS {
        let terminal = Terminal::new(&sandbox, 80, &arguments);
        terminal.wait_for("inside");
        eventually(|| is_raw(&terminal), SOON);
        send(signal, terminal.child.id());
        let (status, shown) = terminal.end();
        assert_eq!(status, Some(expected), "{shown}");
        assert!(shown.contains("the command may go on inside the container"), "{shown}");
    }
    // A key of the terminal is the command's own.
    let mut terminal =
        Terminal::new(&sandbox, 80, &["exec", "fix", "app", "--", "sh", "-c", "echo in''side; exec cat"]);
    terminal.wait_for("inside");
    eventually(|| is_raw(&terminal), SOON);
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
}

#[test]
fn a_terminal_without_its_locale_shows_ascii_alone_and_tasks_keep_their_names() {
    let sandbox = idle();
    let task = "fix-größe";
    for (locale, is_ascii) in [("C", true), ("POSIX", true), ("C.UTF-8", false)] {
        let (status, shown) =
            Terminal::with(&sandbox, 40, &["up", task, "--force-recreate"], &[("LC_ALL", locale)]).end();
        assert_eq!(status, Some(0), "{shown}");
        let words = shown.replace(task, "");
        assert_eq!(words.is_ascii(), is_ascii, "{locale}: {words}");
    }
    for columns in [1, 40] {
        let (status, shown) = Terminal::new(&sandbox, columns, &["up", task, "--force-recreate"]).end();
        assert_eq!(status, Some(0), "{columns}: {shown}");
    }
    let (_, shown) = Terminal::new(&sandbox, 40, &["ls"]).end();
    assert!(shown.contains(&format!("TASK      {task}\r\n")), "{shown}");
    assert_eq!(environment(&sandbox, task)["branch"], task);
}

#[test]
fn a_command_inside_a_service_that_was_stopped_goes_on_with_the_keys_passed_on() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix"]);
    let arguments =
        ["exec", "fix", "app", "--", "sh", "-c", "echo in''side; read line; echo got $line; exit 3"];
    let mut terminal = Terminal::new(&sandbox, 80, &arguments);
    terminal.wait_for("inside");
    eventually(|| is_raw(&terminal), SOON);
    let pid = terminal.child.id();
    send("STOP", pid);
    let is_stopped = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().any(|line| line.starts_with("State:") && line.contains("stopped"))
    };
    eventually(is_stopped, SOON);
    // What a shell does when it is back.
    terminal.reset();
    assert!(!is_raw(&terminal));
    send("CONT", pid);
    eventually(|| is_raw(&terminal), SOON);
    terminal.press("it\r");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(3), "{shown}");
    assert!(shown.contains("got it"), "{shown}");
}

#[test]
fn outputs_that_are_closed_or_full_keep_no_work_from_being_done() {
    let sandbox = idle();
    let run = |script: &str, arguments: &[&str]| {
        let mut command = sandbox.through(&["sh", "-c", script, "sh"], arguments);
        sandbox.ran(&command.output().unwrap())
    };
    let closed = run("exec \"$@\" >&- 2>&-", &["up", "fix"]);
    assert_eq!(closed.status, Some(0), "{closed}");
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
    let gone = run("\"$@\" 2>&1 | head -c0", &["up", "fix", "--force-recreate", "--verbose"]);
    assert_eq!(gone.to_string(), "exit status 0\n");
    eventually(|| environment(&sandbox, "fix")["state"] == "ready", SOON);
    let full = run("exec \"$@\" 2>/dev/full", &["up", "fix", "--force-recreate", "--verbose"]);
    assert_eq!(full.status, Some(0), "{full}");
    for command in [&["ls"][..], &["status", "fix"], &["env", "fix"], &["config", "fix"]] {
        let cut = run("\"$@\" | head -c0", command);
        assert_eq!(cut.to_string(), "exit status 0\n", "{command:?}");
        let full = run("exec \"$@\" >/dev/full", command);
        assert_eq!(full.status, Some(1), "{command:?}: {full}");
        assert!(full.stderr.starts_with("error: cannot write the output\n"), "{command:?}: {full}");
        let closed = run("exec \"$@\" >&-", command);
        assert_eq!(closed.to_string(), "exit status 0\n", "{command:?}");
    }
}
