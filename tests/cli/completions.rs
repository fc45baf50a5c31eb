//! The completion scripts, and what they ask envtree for.

use crate::common::Sandbox;

#[test]
fn every_shell_has_a_script() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.run(&["completions", shell]);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.stdout.contains("COMPLETE") && ran.stdout.contains("envtree"), "{}", ran.stdout);
    }
}

#[test]
fn commands_are_completed() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.envtree();
    command.args(["--", "envtree", "st"]).env("COMPLETE", "bash");
    let output = command.env("_CLAP_COMPLETE_INDEX", "1").env("_CLAP_IFS", "\n").output().unwrap();
    insta::assert_snapshot!(sandbox.ran(&output), @"
    exit status 0
    --- stdout
    stop
    start
    status
    ");
}
