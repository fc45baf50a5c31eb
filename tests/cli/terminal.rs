//! Terminals, locales and outputs of every kind: nothing panics, and nothing is said in characters that cannot be read.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use crate::common::Sandbox;
use crate::pty::{INTERRUPT, Terminal};

/// A repository whose hook `post_create` is not trusted yet, so that `trust` asks.
fn asking() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("envtree.yaml", "hooks: { post_create: echo made }\n");
    sandbox
}

#[test]
fn a_question_is_answered_at_the_terminal() {
    let sandbox = asking();
    let mut terminal = Terminal::new(&sandbox, 80, &["trust"]);
    terminal.wait_for("[y/N]");
    terminal.press("y\n");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(0), "{shown}");
}

#[test]
fn a_question_can_be_interrupted() {
    let sandbox = asking();
    let mut terminal = Terminal::new(&sandbox, 80, &["trust"]);
    terminal.wait_for("[y/N]");
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("error: interrupted"), "{shown}");
    let mut terminal = Terminal::new(&sandbox, 80, &["trust"]);
    terminal.wait_for("[y/N]");
    terminal.press("n\n");
    assert_ne!(terminal.end().0, Some(0), "nothing had been accepted");
}

#[test]
fn the_narrowest_terminals_are_wide_enough() {
    let sandbox = asking();
    for columns in [1, 2, 40] {
        for arguments in [&["ls"][..], &["trust"], &["--help"], &["up", "a..b"]] {
            let mut terminal = Terminal::new(&sandbox, columns, arguments);
            // An answer for those that ask.
            terminal.press("n\n");
            let (status, shown) = terminal.end();
            assert!([Some(0), Some(1)].contains(&status), "{arguments:?} at {columns}: {status:?} {shown}");
        }
    }
}

#[test]
fn colours_follow_the_variables_that_people_set() {
    let sandbox = Sandbox::new();
    let is_colored = |variables: &[(&str, &str)]| {
        let (status, shown) = Terminal::with(&sandbox, 80, &["up", "a..b"], variables).end();
        assert_eq!(status, Some(1), "{shown}");
        shown.contains("\u{1b}[1m\u{1b}[31m") || shown.contains("\u{1b}[31m")
    };
    assert!(is_colored(&[]));
    assert!(!is_colored(&[("NO_COLOR", "1")]));
    assert!(!is_colored(&[("TERM", "dumb")]));
    let forced = sandbox.envtree().args(["up", "a..b"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(String::from_utf8_lossy(&forced.stderr).contains('\u{1b}'));
}

#[test]
fn a_full_output_is_a_failure_that_is_told() {
    let sandbox = Sandbox::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox.envtree().args(["completions", "bash"]).stdout(full).output().unwrap();
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 1
    --- stderr
    error: cannot write the output
      caused by: No space left on device (os error 28)
    ");
}

#[test]
fn closed_outputs_are_no_failure() {
    let sandbox = Sandbox::new();
    for closing in ["exec \"$@\" >&-", "exec \"$@\" 2>&-", "exec \"$@\" <&- >&- 2>&-", "\"$@\" | head -c0"] {
        let mut command = sandbox.through(&["sh", "-c", closing, "sh"], &["completions", "bash"]);
        let ran = sandbox.ran(&command.output().unwrap());
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{closing}");
    }
    // With standard error closed, the exit status alone tells of a failure.
    let mut command = sandbox.through(&["sh", "-c", "exec \"$@\" 2>&-", "sh"], &["up", "a..b"]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}

#[test]
fn words_that_are_no_text_are_refused() {
    let sandbox = Sandbox::new();
    let bytes = OsStr::from_bytes(b"a\xffb");
    for arguments in [vec!["up"], vec!["up", "x", "--from"], vec!["rm"], vec![]] {
        let output = sandbox.envtree().args(arguments).arg(bytes).output().unwrap();
        let ran = sandbox.ran(&output);
        assert_eq!(ran.status, Some(2), "{ran}");
    }
    for option in ["-C", "--file"] {
        let output = sandbox.envtree().arg(option).arg(bytes).args(["config"]).output().unwrap();
        let ran = sandbox.ran(&output);
        assert_eq!(ran.status, Some(1), "{ran}");
        assert!(ran.stderr.starts_with("error: "), "{ran}");
    }
    // A folder of that name is as good as any, and so is such a variable.
    let folder = sandbox.repository().join(bytes);
    std::fs::create_dir(&folder).unwrap();
    let output = sandbox.envtree().arg("trust").current_dir(&folder).env("X", bytes).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", sandbox.ran(&output));
}
