//! Failures before any work: where they are written, and in which form.

use crate::common::Sandbox;

#[test]
fn a_missing_directory_is_a_failure_of_the_input() {
    insta::assert_snapshot!(Sandbox::new().run(&["-C", "nowhere", "ls"]), @"
    exit status 1
    --- stderr
    error: cannot enter `nowhere`
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn with_json_a_failure_is_an_answer() {
    insta::assert_snapshot!(Sandbox::new().run(&["-C", "nowhere", "ls", "--json"]), @r#"
    exit status 1
    --- stdout
    {"version":1,"error":{"kind":"input","message":"cannot enter `nowhere`","causes":["No such file or directory (os error 2)"],"losses":[],"hints":[],"notes":[],"output":[]}}
    "#);
}

#[test]
fn exec_writes_no_json_of_its_own() {
    let ran = Sandbox::new().run(&["-C", "nowhere", "exec", "x", "--json", "--", "true"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""));
}

#[test]
fn colours_come_on_demand_alone() {
    let sandbox = Sandbox::new();
    let colored = |when| sandbox.run(&["--color", when, "-C", "nowhere", "ls"]).stderr.contains('\u{1b}');
    assert_eq!(["auto", "never", "always"].map(colored), [false, false, true]);
}

#[test]
fn trust_is_not_granted_inside_an_environment() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.envtree();
    let output = command.args(["trust", "--yes"]).env("ENVTREE_ENVIRONMENT", "x").output().unwrap();
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 1
    --- stderr
    error: nothing inside an environment can grant trust
    hint: run `envtree trust` in a shell of your own, without `ENVTREE_ENVIRONMENT`
    ");
}

#[test]
fn a_reader_that_stops_is_no_failure() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sandbox.envtree().args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!(sandbox.ran(&output).to_string(), "exit status 0\n");
}
