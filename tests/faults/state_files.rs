//! State files that are cut short, foreign, taken away or replaced by something else, and worktrees that vanish.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::{Ran, Sandbox};
use crate::crowd::WEB;
use crate::leftovers::{leftovers, root, state_directory};

/// A sandbox with the environment `fix`, made by `up`.
fn with_fix() -> Sandbox {
    let sandbox = Sandbox::with_files(&[("compose.yaml", WEB)]);
    done(&sandbox, &["up", "fix"]);
    sandbox
}

fn done(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let ran = sandbox.run(arguments);
    assert_eq!(ran.status, Some(0), "{arguments:?}: {ran}");
    ran
}

fn state_file(sandbox: &Sandbox) -> PathBuf {
    state_directory(sandbox).join("environments.json")
}

/// Returns the published port of the environment's service.
fn port(sandbox: &Sandbox) -> Value {
    let output = sandbox.envtree_with(&["status", "fix", "--json"]).output().unwrap();
    let mut status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["environment"]["services"][0]["ports"][0]["published"].take()
}

/// Brings `fix` up again and removes it, after which nothing is left but the file that was set aside.
fn mends(sandbox: &Sandbox, what: &str) {
    let before = sandbox.envtree_with(&["up", "fix", "--json"]).output().unwrap();
    let answer: Value =
        serde_json::from_slice(&before.stdout).unwrap_or_else(|_| panic!("{what}: {}", sandbox.ran(&before)));
    assert_eq!(answer["environment"]["state"], "ready", "{what}: {answer:#}");
    let removed = done(sandbox, &["rm", "fix", "--yes"]);
    let left = leftovers(sandbox);
    let left: Vec<_> = left.iter().filter(|line| !line.contains(".broken-")).collect();
    assert!(left.is_empty(), "{what}: {left:?}\n{removed}");
}

#[test]
fn a_state_that_cannot_be_read_is_set_aside_and_rebuilt() {
    let sandbox = with_fix();
    let whole = fs::read_to_string(state_file(&sandbox)).unwrap();
    let damages = [
        ("cut short", whole[..whole.len() / 2].to_owned()),
        ("empty", String::new()),
        ("not JSON", "\u{0}\u{1}\u{2}".to_owned()),
        ("of another form", "[1, 2, 3]".to_owned()),
        ("without a version", "{\"hello\": \"world\"}".to_owned()),
        ("of a later version", "{\"version\": 99, \"environments\": {}}".to_owned()),
    ];
    for (what, text) in damages {
        done(&sandbox, &["up", "fix"]);
        let port_before = port(&sandbox);
        fs::write(state_file(&sandbox), &text).unwrap();
        let ran = done(&sandbox, &["up", "fix"]);
        assert!(ran.stderr.contains("environments.json") && ran.stderr.contains("was lost"), "{what}: {ran}");
        assert_eq!(port(&sandbox), port_before, "{what}");
        mends(&sandbox, what);
        let aside = fs::read_dir(state_directory(&sandbox)).unwrap().flatten();
        let aside =
            aside.filter(|entry| entry.file_name().to_str().unwrap().contains("environments.json.broken"));
        let kept: Vec<_> =
            aside.map(|entry| (entry.path(), fs::read_to_string(entry.path()).unwrap())).collect();
        assert_eq!(kept.len(), 1, "{what}: {kept:?}");
        assert_eq!(kept[0].1, text, "nothing of it is thrown away");
        fs::remove_file(&kept[0].0).unwrap();
    }
}

#[test]
fn a_state_directory_that_is_gone_is_made_again() {
    let sandbox = with_fix();
    let port_before = port(&sandbox);
    fs::remove_dir_all(state_directory(&sandbox)).unwrap();
    done(&sandbox, &["up", "fix"]);
    assert_eq!(port(&sandbox), port_before);
    fs::remove_dir_all(state_directory(&sandbox)).unwrap();
    let removed = done(&sandbox, &["rm", "fix", "--yes"]);
    assert!(leftovers(&sandbox).is_empty(), "{:?}\n{removed}", leftovers(&sandbox));
}

#[test]
fn an_environment_without_engine_objects_is_known_by_its_worktree() {
    let sandbox = with_fix();
    done(&sandbox, &["down", "fix", "--volumes", "--yes"]);
    fs::remove_dir_all(state_directory(&sandbox)).unwrap();
    let listed = done(&sandbox, &["ls"]);
    assert!(listed.stdout.contains("fix"), "{listed}");
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
}

#[test]
fn ports_survive_the_loss_of_the_state_while_there_are_no_containers() {
    let sandbox = with_fix();
    // The first task has the first ports: without it, the second would get them.
    let other = || -> Value {
        let output = sandbox.envtree_with(&["up", "other", "--json"]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["environment"]["services"].take()
    };
    let before = other()[0]["ports"].clone();
    done(&sandbox, &["down", "other"]);
    done(&sandbox, &["rm", "fix", "--yes"]);
    fs::write(state_file(&sandbox), "{").unwrap();
    assert_eq!(other()[0]["ports"], before);
    done(&sandbox, &["rm", "other", "--yes"]);
}

#[test]
fn a_symlink_in_place_of_the_state_is_not_followed() {
    let sandbox = with_fix();
    let elsewhere = root(&sandbox).join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    let state = fs::read(state_file(&sandbox)).unwrap();
    fs::remove_file(state_file(&sandbox)).unwrap();
    symlink(&elsewhere, state_file(&sandbox)).unwrap();
    let ran = sandbox.run(&["up", "fix"]);
    assert_eq!(ran.status, Some(1), "{ran}");
    assert!(ran.stderr.contains("is a symlink"), "{ran}");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
    fs::remove_file(state_file(&sandbox)).unwrap();
    fs::write(state_file(&sandbox), state).unwrap();
    mends(&sandbox, "the state put back");
}

#[test]
fn a_worktree_removed_by_hand_is_made_again_or_forgotten() {
    let sandbox = with_fix();
    let repository = sandbox.repository();
    let folder = repository
        .with_file_name(format!("{}.worktrees/fix", repository.file_name().unwrap().to_str().unwrap()));
    fs::remove_dir_all(&folder).unwrap();
    let listed = done(&sandbox, &["ls"]);
    assert!(listed.stdout.contains("prunable"), "{listed}");
    done(&sandbox, &["up", "fix"]);
    assert!(folder.join("compose.yaml").is_file());
    fs::remove_dir_all(&folder).unwrap();
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
}
