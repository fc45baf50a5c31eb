//! Looks at the Engine through its own client.

use std::process::{Command, Output};

use serde_json::Value;

/// Returns the standard output of a program that must succeed, without the last line's end.
#[track_caller]
pub(crate) fn checked(command: &mut Command) -> String {
    let Output { stdout, stderr, status } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.trim_end().to_owned()
}

/// Runs Docker's own client.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    checked(Command::new("docker").args(arguments))
}

/// Returns the Engine's description of an object, which must exist.
#[track_caller]
pub(crate) fn inspect(kind: &str, name: &str) -> Value {
    let described = docker(&[kind, "inspect", name]);
    serde_json::from_str::<Value>(&described).unwrap()[0].take()
}
