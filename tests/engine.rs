//! Looks at the Engine through its own client, or by its API where that is asked often.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

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

/// Returns the socket of the Engine that the tests share.
pub(crate) fn socket() -> PathBuf {
    static HOST: LazyLock<String> =
        LazyLock::new(|| docker(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]));
    PathBuf::from(HOST.strip_prefix("unix://").expect("the Engine listens at a socket of this machine"))
}

/// Returns what the Engine answers to a `GET` of `path`: a start of its client takes ten times as long.
#[track_caller]
pub(crate) fn get(path: &str) -> Value {
    let mut stream = UnixStream::connect(socket()).unwrap();
    // Version 1.0 has the answer end with the connection, in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.split(' ').nth(1), Some("200"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}
