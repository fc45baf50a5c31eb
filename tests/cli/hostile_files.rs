//! Compose files that would take all time and memory if they were read to their end.

use std::time::{Duration, Instant};

use crate::common::Sandbox;

/// Enough for a program that is not optimised, on a machine that others keep busy; without bounds it takes minutes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Returns what `config` says about a Compose file.
fn said_about(text: &str) -> String {
    let sandbox = Sandbox::with_files(&[("compose.yaml", text)]);
    let started = Instant::now();
    let mut command = sandbox.envtree();
    let output =
        command.args(["config", "--raw"]).env("DOCKER_HOST", "unix:///nonexistent").output().unwrap();
    assert!(started.elapsed() < DEADLINE, "it took {:?}", started.elapsed());
    let ran = sandbox.ran(&output);
    assert_eq!(ran.status, Some(1), "{ran}");
    ran.stderr.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    let line = "# a comment that goes on and on\n";
    let text = format!("services: {{}}\n{}", line.repeat(10_000_000 / line.len()));
    insta::assert_snapshot!(said_about(&text), @"error: compose.yaml:1:1: the file has more than 4 MiB");
}

#[test]
fn a_file_of_many_values_is_refused() {
    let text = format!("services: [{}]\n", "a,".repeat(1_500_000));
    let said = said_about(&text);
    assert!(said.ends_with("the file has more than 150000 values"), "{said}");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
    }
    let said = said_about(&text);
    assert!(said.ends_with("the aliases up to here stand for more than 16 MiB"), "{said}");
}

#[test]
fn deep_nesting_is_refused() {
    let said = said_about(&format!("a: {}", "[".repeat(1_000_000)));
    assert!(said.ends_with("nested too deeply"), "{said}");
}

#[test]
fn variables_that_multiply_are_refused() {
    let lines: Vec<_> = (1..60).map(|n| format!("A{n}=$A{}$A{}\n", n - 1, n - 1)).collect();
    let sandbox = Sandbox::with_files(&[
        ("compose.yaml", "services: {}\n"),
        (".env", &format!("A0=x\n{}", lines.concat())),
    ]);
    let ran = sandbox.run(&["config", "--raw"]);
    assert!(ran.stderr.contains("the file and its values have more than 4 MiB"), "{ran}");
}
