//! Command lines that cannot be understood: exit status 2, and nothing on standard output.

use crate::common::Sandbox;

#[test]
fn an_unknown_option_gets_a_suggestion() {
    insta::assert_snapshot!(Sandbox::new().run(&["up", "--dry-rum"]), @"
    exit status 2
    --- stderr
    error: unexpected argument '--dry-rum' found

      tip: a similar argument exists: '--dry-run'

    Usage: envtree up --dry-run [TASK]

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_command_gets_a_suggestion() {
    insta::assert_snapshot!(Sandbox::new().run(&["statsu"]), @"
    exit status 2
    --- stderr
    error: unrecognized subcommand 'statsu'

      tip: some similar subcommands exist: 'start', 'status'

    Usage: envtree [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_duration_names_its_units() {
    insta::assert_snapshot!(Sandbox::new().run(&["up", "x", "--timeout", "soon"]), @"
    exit status 2
    --- stderr
    error: invalid value 'soon' for '--timeout <DURATION>': expected a duration such as `60s`, `2m` or `1h30m`; a bare number is seconds

    For more information, try '--help'.
    ");
}

#[test]
fn exec_needs_a_command() {
    insta::assert_snapshot!(Sandbox::new().run(&["exec", "x"]), @"
    exit status 2
    --- stderr
    error: the following required arguments were not provided:
      <CMD>...

    Usage: envtree exec <TASK> [SERVICE] -- <CMD>...

    For more information, try '--help'.
    ");
}

#[test]
fn rm_needs_a_task() {
    insta::assert_snapshot!(Sandbox::new().run(&["rm"]), @"
    exit status 2
    --- stderr
    error: the following required arguments were not provided:
      <TASK>...

    Usage: envtree rm <TASK>...

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_template_names_those_there_are() {
    insta::assert_snapshot!(Sandbox::new().run(&["init", "--template", "oracle"]), @"
    exit status 2
    --- stderr
    error: invalid value 'oracle' for '--template <NAME>'
      [possible values: postgres-redis, postgres, mariadb-redis, full]

    For more information, try '--help'.
    ");
}

#[test]
fn choices_of_a_new_worktree_need_its_task() {
    insta::assert_snapshot!(Sandbox::new().run(&["up", "--from", "main"]), @"
    exit status 2
    --- stderr
    error: the following required arguments were not provided:
      <TASK>

    Usage: envtree up --from <REF> <TASK>

    For more information, try '--help'.
    ");
}

#[test]
fn with_json_a_usage_error_is_json() {
    let ran = Sandbox::new().run(&["--json", "up", "--dry-rum"]);
    assert_eq!(ran.status, Some(2));
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["error"]["kind"], "usage");
    assert_eq!(ran.stderr, "");
}

#[test]
fn json_after_two_dashes_belongs_to_another_program() {
    let ran = Sandbox::new().run(&["exec", "--", "x", "--json"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""));
}
