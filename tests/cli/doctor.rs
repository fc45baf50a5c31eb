//! `doctor` where no Engine answers: what needs none is checked all the same, and what is wrong comes with what to do.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::{Ran, Sandbox};

const COMPOSE: &str = "services:\n  web:\n    image: busybox:1\n    ports: ['80']\n";

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut command = sandbox.envtree();
    let command = command.arg("doctor").args(arguments).env("DOCKER_HOST", "unix:///nonexistent");
    sandbox.ran(&command.output().unwrap())
}

/// Returns the checks, with nothing redacted; some must fail, since no Engine answers.
fn checks(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let mut command = sandbox.envtree();
    let command = command.args(["doctor", "--json"]).args(arguments);
    let output = command.env("DOCKER_HOST", "unix:///nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["version"], &answer["verdict"]), (&1.into(), &"fail".into()));
    answer["checks"].as_array().unwrap().clone()
}

/// Returns the checks a line each, but for their findings; how the machine is set up does not count.
fn verdicts(checks: &[Value]) -> String {
    let line = |check: &Value| {
        let [group, name, verdict] = ["group", "name", "verdict"].map(|key| check[key].as_str().unwrap());
        assert_eq!(verdict == "ok", check["remedy"].is_null(), "{check:#}");
        let is_machines = group == "disk" || name == "ephemeral";
        if is_machines { format!("{group} {name}") } else { format!("{group} {name} {verdict}") }
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check<'a>(checks: &'a [Value], group: &str, name: &str) -> &'a Value {
    checks.iter().find(|check| check["group"] == group && check["name"] == name).unwrap()
}

fn state(sandbox: &Sandbox) -> PathBuf {
    sandbox.repository().join("../home/state/envtree")
}

#[test]
fn without_an_engine_all_that_needs_none_is_checked() {
    let sandbox = Sandbox::with_files(&[("compose.yaml", COMPOSE)]);
    insta::assert_snapshot!(verdicts(&checks(&sandbox, &[])), @"
    engine endpoint fail
    git program ok
    git repository ok
    git place ok
    git worktrees ok
    state folder ok
    state records ok
    state locks ok
    configuration machine ok
    configuration repository ok
    configuration compose ok
    ports range ok
    ports ephemeral
    networks pool ok
    disk worktrees
    disk state
    data mode ok
    ");
    assert!(!state(&sandbox).exists(), "nothing is made");
    let ran = run(&sandbox, &[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(3), ""));
    let first: Vec<&str> = ran.stdout.lines().take(3).collect();
    insta::assert_snapshot!(first.join("\n"), @"
    engine
      fail  endpoint    no Engine answers at `unix:///nonexistent` (no such socket)
                        hint: start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
    ");
}

#[test]
fn outside_a_repository_the_machine_is_checked() {
    let sandbox = Sandbox::new();
    let folder = sandbox.repository().join("../plain");
    fs::create_dir(&folder).unwrap();
    let checks = checks(&sandbox, &["-C", folder.to_str().unwrap()]);
    insta::assert_snapshot!(verdicts(&checks), @"
    engine endpoint fail
    git program ok
    git repository ok
    state folder ok
    state records ok
    state locks ok
    configuration machine ok
    ports range ok
    ports ephemeral
    networks pool ok
    disk state
    data mode ok
    ");
    let told = check(&checks, "git", "repository")["finding"].as_str().unwrap().to_owned();
    assert!(told.ends_with("is not in a git repository: what belongs to one is not looked at"), "{told}");
}

#[test]
fn what_is_wrong_in_files_is_told_with_its_place_and_left_as_it_is() {
    let sandbox = Sandbox::with_files(&[("compose.yaml", &COMPOSE.replace("image", "imagine"))]);
    fs::create_dir_all(state(&sandbox)).unwrap();
    let file = state(&sandbox).join("environments.json");
    fs::write(&file, "{").unwrap();
    let checks = checks(&sandbox, &[]);
    let compose = check(&checks, "configuration", "compose");
    assert_eq!(compose["verdict"], "fail");
    let told = compose["finding"].as_str().unwrap();
    assert!(told.starts_with("compose.yaml:3:5: service `web`: `imagine` is not a known key"), "{told}");
    let records = check(&checks, "state", "records");
    assert_eq!(records["verdict"], "fail");
    assert!(records["remedy"].as_str().unwrap().contains("`envtree ls`"), "{records:#}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{");
    assert_eq!(fs::read_dir(state(&sandbox)).unwrap().count(), 1);
}

#[test]
fn a_worktree_whose_repository_was_moved_is_told_with_what_mends_it() {
    let sandbox = Sandbox::new();
    let beside = |name: &str| sandbox.repository().parent().unwrap().join(name);
    sandbox.git(&["worktree", "add", "--quiet", "--detach", beside("linked").to_str().unwrap()]);
    fs::rename(sandbox.repository(), beside("moved")).unwrap();
    fs::create_dir(sandbox.repository()).unwrap();
    let linked = beside("linked");
    let found = checks(&sandbox, &["-C", linked.to_str().unwrap()]);
    let found = check(&found, "git", "repository");
    assert_eq!(found["verdict"], "fail");
    let remedy = found["remedy"].as_str().unwrap();
    let (command, place) = remedy.trim_start_matches('`').split_once('`').unwrap();
    assert_eq!(place, ", in the repository's main worktree");
    let mut shell = sandbox.command("sh");
    let mended = shell.current_dir(beside("moved")).args(["-c", command]).output().unwrap();
    assert!(mended.status.success(), "{command}: {}", String::from_utf8_lossy(&mended.stderr));
    let now = checks(&sandbox, &["-C", linked.to_str().unwrap()]);
    assert_eq!(check(&now, "git", "repository")["verdict"], "ok");
    fs::remove_dir(sandbox.repository()).unwrap();
    fs::rename(beside("moved"), sandbox.repository()).unwrap();
}
