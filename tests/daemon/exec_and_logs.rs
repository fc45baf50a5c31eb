//! `exec` and `logs`: commands beside and inside the services, and what services write.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::again::with_two_servers;
use crate::common::Sandbox;
use crate::support::{SOON, docker, eventually, port};

/// Runs a command with `input` on its standard input.
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let mut running =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    // Podman stops reading while its output is not read.
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        running.wait_with_output().unwrap()
    })
}

#[test]
fn a_command_on_the_host_gets_the_variables_the_input_and_the_worktree() {
    let (sandbox, answer) = with_two_servers();
    let script = "cat; echo $CACHE_PORT; echo $ENVTREE_TASK; pwd; echo complaint >&2; exit 7";
    let output = fed(&mut sandbox.envtree_with(&["exec", "one", "--", "sh", "-c", script]), "typed\n");
    let worktree = answer["environment"]["worktree"].as_str().unwrap();
    let expected = format!("typed\n{}\none\n{worktree}\n", port(&answer, "cache"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "complaint\n");
    assert_eq!(output.status.code(), Some(7));

    let status = |script: &str| sandbox.run(&["exec", "one", "--", "sh", "-c", script]).status;
    assert_eq!(status("kill -TERM $$"), Some(128 + 15));
    assert_eq!(sandbox.run(&["exec", "one", "--", "no-such-program"]).status, Some(127));
}

#[test]
fn a_command_inside_a_service_gets_input_and_passes_on_output_and_status() {
    let (sandbox, _) = with_two_servers();
    let script = "cat; hostname; echo complaint >&2; exit 7";
    let command = ["exec", "one", "cache", "--", "sh", "-c", script];
    // More than the buffers on the way hold.
    let input = "a line of many\n".repeat(100_000);
    let output = fed(&mut sandbox.envtree_with(&command), &input);
    let id = sandbox.look("one", "cache")["Id"].as_str().unwrap()[..12].to_owned();
    assert!(String::from_utf8(output.stdout).unwrap() == format!("{input}{id}\n"), "the input was changed");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "complaint\n");
    assert_eq!(output.status.code(), Some(7));

    let restored =
        fed(&mut sandbox.envtree_with(&["exec", "one", "cache", "--", "redis-cli"]), "SET a 1\nGET a\n");
    assert_eq!(String::from_utf8(restored.stdout).unwrap(), "OK\n1\n");
    // Engines before 23 do not tell apart what is missing and what cannot be executed.
    let status = sandbox.run(&["exec", "one", "cache", "--", "no-such-program"]).status;
    assert!([Some(126), Some(127)].contains(&status), "{status:?}");
}

#[test]
fn a_command_inside_a_service_has_a_terminal_if_both_ends_are_one() {
    let (sandbox, _) = with_two_servers();
    let envtree = env!("CARGO_BIN_EXE_envtree");
    let on_a_terminal = |arguments: &str| {
        let line = format!("{envtree} exec one cache {arguments} -- tty");
        let mut script = sandbox.command("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        // Held open: `script` writes the end of its own input to the terminal, which shows it.
        let input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(input);
        let shown = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (shown, output.status.code())
    };
    assert_eq!(on_a_terminal(""), ("/dev/pts/0".to_owned(), Some(0)));
    assert_eq!(on_a_terminal("-T"), ("not a tty".to_owned(), Some(1)));
    let ran = sandbox.run(&["exec", "one", "cache", "--", "tty"]);
    assert_eq!((ran.stdout.as_str(), ran.status), ("not a tty\n", Some(1)));
}

#[test]
fn a_command_that_a_service_does_not_have_is_127_and_one_that_cannot_run_126() {
    let (sandbox, _) = with_two_servers();
    insta::assert_snapshot!(sandbox.run(&["exec", "one", "cache", "--", "nonexist"]), @"
    exit status 127
    --- stderr
    error: service `cache` has no command `nonexist`
    ");
    let ran = sandbox.run(&["exec", "one", "cache", "--", "/no/such/file"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(127), ""), "{ran}");
    let ran = sandbox.run(&["exec", "one", "cache", "--", "/etc/passwd"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(126), ""), "{ran}");
}

#[test]
fn a_service_without_a_running_container_is_an_error() {
    let (sandbox, _) = with_two_servers();
    sandbox.succeed(&["stop", "one", "queue"]);
    insta::assert_snapshot!(sandbox.run(&["exec", "one", "queue", "--", "true"]), @"
    exit status 5
    --- stderr
    error: container `sandbox-xxxxxxxx-one-queue-1` does not run
    hint: `envtree start one` starts it, `envtree logs one` shows what it last wrote
    ");
    insta::assert_snapshot!(sandbox.run(&["exec", "one", "cash", "--", "true"]), @"
    exit status 1
    --- stderr
    error: environment `sandbox-xxxxxxxx-one` has no service `cash`
    hint: did you mean `cache`?
    note: there are: `cache`, `queue`
    ");
    insta::assert_snapshot!(sandbox.run(&["logs", "one", "cash"]), @"
    exit status 1
    --- stderr
    error: environment `sandbox-xxxxxxxx-one` has no service `cash`
    hint: did you mean `cache`?
    note: there are: `cache`, `queue`
    ");
    insta::assert_snapshot!(sandbox.run(&["exec", "two", "--", "true"]), @"
    exit status 1
    --- stderr
    error: no environment of this repository has the task `two`
    hint: `envtree ls` lists them; `envtree up two` makes it
    note: there are: `one`
    ");
}

/// A sandbox whose environment `one` has a service that counts to three, and one that says one word and goes on.
fn with_talkers() -> Sandbox {
    let sandbox = Sandbox::new();
    let compose = "\
services:
  counter: { image: busybox:1, init: true, command: \"sh -c 'echo one; echo two; echo three >&2; sleep 600'\" }
  idler: { image: busybox:1, init: true, command: \"sh -c 'echo idle; sleep 600'\" }
";
    sandbox.write("compose.yaml", compose);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Talk"]);
    sandbox.up("one");
    let wrote = || {
        let told = sandbox.run(&["logs", "one"]).stdout;
        ["two", "three", "idle"].iter().all(|word| told.contains(word))
    };
    eventually(wrote, SOON);
    sandbox
}

#[test]
fn logs_are_those_of_the_chosen_services_and_as_many_lines_as_wanted() {
    let sandbox = with_talkers();
    let sorted = |arguments: &[&str]| {
        let mut lines: Vec<String> = sandbox.succeed(arguments).stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let counted = ["counter | one", "counter | three", "counter | two"];
    assert_eq!(sorted(&["logs", "one", "counter"]), counted);
    let all = sorted(&["logs", "one"]);
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(sorted(&["logs", "one", "counter", "--tail", "1"]).len(), 1);
    assert_eq!(sorted(&["logs", "one", "counter", "--tail", "0"]).len(), 0);
    assert_eq!(sorted(&["logs", "one", "--since", "2999-01-01T00:00:00Z"]).len(), 0);
}

#[test]
fn followed_logs_end_when_the_containers_end() {
    let sandbox = with_talkers();
    let mut command = sandbox.envtree_with(&["logs", "one", "-f", "counter"]);
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let before: Vec<String> = lines.by_ref().take(3).collect();
    assert_eq!(before.len(), 3);
    // What is written while it follows arrives too.
    docker(&["exec", &sandbox.container("one", "counter"), "sh", "-c", "echo four >/proc/1/fd/1"]);
    assert_eq!(lines.next().unwrap(), "counter | four");
    assert!(running.try_wait().unwrap().is_none(), "it ended before the container");
    docker(&["kill", &sandbox.container("one", "counter")]);
    assert_eq!(lines.next(), None);
    assert_eq!(running.wait().unwrap().code(), Some(0));
}
