//! `doctor` on a real Engine: a healthy one is found so, and what it says to do about what is wrong mends that.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::common::Sandbox;
use crate::prune::{files, objects, state};
use crate::stage::{WEB, done, port, sandbox_with, worktree};

/// Returns the checks, and the exit status.
fn doctor(sandbox: &Sandbox) -> (Vec<Value>, Option<i32>) {
    let output = sandbox.envtree().args(["doctor", "--json"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    (answer["checks"].as_array().unwrap().clone(), output.status.code())
}

/// Returns the checks of a group that are not ok and tell of this sandbox; others use the Engine too.
fn wrong(sandbox: &Sandbox, group: &str) -> Vec<Value> {
    let own = sandbox.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let (mut checks, _) = doctor(sandbox);
    checks.retain(|check| check["group"] == group && check["verdict"] != "ok");
    checks.retain(|check| check["finding"].as_str().unwrap().contains(&own));
    checks
}

/// Runs the commands in backticks of the only remedy, of which the last ones may be alternatives.
fn paste(sandbox: &Sandbox, checks: &[Value], count: usize) {
    let [check] = checks else { panic!("{checks:#?}") };
    let remedy = check["remedy"].as_str().unwrap();
    let commands: Vec<&str> = remedy.split('`').skip(1).step_by(2).take(count).collect();
    assert_eq!(commands.len(), count, "{remedy}");
    let binary = Path::new(env!("CARGO_BIN_EXE_envtree")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for command in commands {
        let ran = sandbox.command("sh").args(["-c", command]).env("PATH", &path).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn a_healthy_machine_is_found_so_and_left_as_it_is() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    done(&sandbox, &["up", "fix"]);
    let before = (objects(&sandbox), files(&state(&sandbox)));
    let (checks, status) = doctor(&sandbox);
    assert_eq!((objects(&sandbox), files(&state(&sandbox))), before);
    let failed: Vec<&Value> = checks.iter().filter(|check| check["verdict"] == "fail").collect();
    assert!(failed.is_empty() && status == Some(0), "{failed:#?}");
    // What else there is on the Engine, what it lacks, and how the machine is set up is not this test's business.
    let is_own = |check: &&Value| {
        let [group, name] = ["group", "name"].map(|key| check[key].as_str().unwrap());
        !["disk", "leftovers"].contains(&group) && !["builder", "storage", "ephemeral"].contains(&name)
    };
    let own: Vec<&Value> = checks.iter().filter(is_own).collect();
    assert!(own.iter().all(|check| check["verdict"] == "ok"), "{own:#?}");
    assert!(wrong(&sandbox, "leftovers").is_empty());
    let names: Vec<String> = checks
        .iter()
        .map(|check| format!("{} {}", check["group"].as_str().unwrap(), check["name"].as_str().unwrap()))
        .collect();
    for expected in [
        "engine endpoint",
        "engine version",
        "engine clock",
        "ports reserved",
        "networks routes",
        "data unused",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected}: {names:?}");
    }
}

#[test]
fn a_reserved_port_that_somebody_took_is_told_until_it_is_moved() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["down", "fix"]);
    assert!(wrong(&sandbox, "ports").is_empty());
    let reserved = port(&sandbox, "fix", "web");
    let _listener = TcpListener::bind(("127.0.0.1", reserved)).unwrap();
    assert_eq!(doctor(&sandbox).1, Some(3));
    let taken = wrong(&sandbox, "ports");
    let expected = format!(
        "port {reserved}, reserved for service `web` of `{}`, is taken by process {} (",
        sandbox.project("fix"),
        std::process::id()
    );
    assert!(taken[0]["finding"].as_str().unwrap().starts_with(&expected), "{taken:#?}");
    paste(&sandbox, &taken, 1);
    assert!(wrong(&sandbox, "ports").is_empty());
    assert_ne!(port(&sandbox, "fix", "web"), reserved);
    assert_eq!(doctor(&sandbox).1, Some(0));
}

#[test]
fn what_is_left_of_environments_is_told_and_removed_as_it_says() {
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{WEB}    volumes: ['/data']\n"))]);
    for task in ["unrecorded", "unworktreed", "kept"] {
        done(&sandbox, &["up", task]);
    }
    fs::remove_dir_all(worktree(&sandbox, "unworktreed")).unwrap();
    paste(&sandbox, &wrong(&sandbox, "git"), 1);
    assert!(wrong(&sandbox, "git").is_empty());
    paste(&sandbox, &wrong(&sandbox, "state"), 1);
    assert!(wrong(&sandbox, "state").is_empty() && sandbox.objects("unworktreed").is_empty());
    assert!(wrong(&sandbox, "leftovers").is_empty());
    fs::remove_file(state(&sandbox).join("environments.json")).unwrap();
    fs::remove_dir_all(worktree(&sandbox, "unrecorded")).unwrap();
    let (told, kept): (Vec<Value>, Vec<Value>) = wrong(&sandbox, "leftovers")
        .into_iter()
        .partition(|check| check["finding"].as_str().unwrap().contains("unrecorded"));
    let words = "1 container, 1 network, 1 volume of `";
    assert!(told[0]["finding"].as_str().unwrap().starts_with(words), "{told:#?}");
    paste(&sandbox, &told, 1);
    assert!(sandbox.objects("unrecorded").is_empty() && !sandbox.objects("kept").is_empty());
    // Its worktree is there, so it comes back.
    paste(&sandbox, &kept, 1);
    assert!(wrong(&sandbox, "leftovers").is_empty());
    done(&sandbox, &["status", "kept"]);
}

#[test]
fn what_is_left_of_a_repository_that_is_gone_is_removed_as_it_says() {
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{WEB}    volumes: ['/data']\n"))]);
    let aside = sandbox.repository().with_extension("aside");
    let without = |check: &dyn Fn()| {
        fs::rename(sandbox.repository(), &aside).unwrap();
        fs::create_dir(sandbox.repository()).unwrap();
        check();
        fs::remove_dir_all(sandbox.repository()).unwrap();
        fs::rename(&aside, sandbox.repository()).unwrap();
    };
    done(&sandbox, &["up", "one"]);
    fs::remove_dir_all(worktree(&sandbox, "one")).unwrap();
    without(&|| {
        paste(&sandbox, &wrong(&sandbox, "state"), 2);
        assert!(sandbox.objects("one").is_empty());
    });
    assert!(wrong(&sandbox, "state").is_empty());
    sandbox.git(&["worktree", "prune"]);
    done(&sandbox, &["up", "two"]);
    fs::remove_file(state(&sandbox).join("environments.json")).unwrap();
    without(&|| {
        paste(&sandbox, &wrong(&sandbox, "leftovers"), 1);
        assert!(sandbox.objects("two").is_empty());
    });
}
