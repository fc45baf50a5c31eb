//! What environments of one machine share: the Engine, ports, addresses, and envtree's own state.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::common::Sandbox;
use crate::stage::{
    IDLE, WEB, answer, beside, containers, done, idle, port, sandbox_with, worktree, worktrees,
};

fn web() -> Sandbox {
    sandbox_with(&[("compose.yaml", WEB)])
}

fn state_file(sandbox: &Sandbox) -> PathBuf {
    beside(sandbox, "home/state/envtree/environments.json")
}

/// Runs envtree with this machine configuration after the sandbox's mirrors.
fn run_with_machine(sandbox: &Sandbox, settings: &str, arguments: &[&str]) -> crate::common::Ran {
    let machine = std::env::var_os("ENVTREE_CONFIG").map(|path| fs::read_to_string(path).unwrap());
    let machine = machine.unwrap_or_default().replace("{}", "");
    let path = beside(sandbox, "machine.yaml");
    fs::write(&path, format!("{machine}\n{settings}")).unwrap();
    let output = sandbox.envtree_with(arguments).env("ENVTREE_CONFIG", path).output().unwrap();
    sandbox.ran(&output)
}

#[test]
fn a_range_of_ports_that_is_used_up_is_refused_and_nothing_is_made() {
    let sandbox = web();
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = first.local_addr().unwrap().port();
    let range = format!("ports: {{ range: {taken}-{taken} }}\n");
    let ran = run_with_machine(&sandbox, &range, &["up", "fix"]);
    assert_eq!((worktrees(&sandbox), containers(&sandbox).as_str()), (1, ""));
    assert_eq!(ran.status, Some(1), "{ran}");
    assert!(
        ran.stderr.contains(&format!("{taken}")) && ran.stderr.contains("hint: `envtree ls --all`"),
        "{ran}"
    );
    assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
}

#[test]
fn a_pool_of_addresses_that_is_used_up_is_refused_and_nothing_is_made() {
    let sandbox = idle();
    let pool = "network: { pool: 10.199.255.0/27, size: 28 }\n";
    for task in ["one", "two"] {
        let ran = run_with_machine(&sandbox, pool, &["up", task, "--no-wait"]);
        assert_eq!(ran.status, Some(0), "{ran}");
    }
    let ran = run_with_machine(&sandbox, pool, &["up", "three"]);
    assert_eq!((ran.status, worktrees(&sandbox)), (Some(1), 3));
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: no free subnet of size /28 is left in 10.199.255.0/27
    hint: `envtree ls --all` shows who holds them; `network.pool` in the machine's configuration names another pool
    ");
    done(&sandbox, &["rm", "one"]);
    let ran = run_with_machine(&sandbox, pool, &["up", "three", "--no-wait"]);
    assert_eq!(ran.status, Some(0), "{ran}");
}

#[test]
fn a_state_file_that_is_gone_or_broken_is_rebuilt_with_the_same_ports() {
    let sandbox = web();
    done(&sandbox, &["up", "feature/Fix"]);
    let before = port(&sandbox, "feature/Fix", "web");
    let whole = fs::read_to_string(state_file(&sandbox)).unwrap();
    fs::write(state_file(&sandbox), &whole[..whole.len() / 2]).unwrap();
    let listed = done(&sandbox, &["ls"]);
    assert!(listed.stdout.contains("feature/Fix"), "{listed}");
    assert!(listed.stderr.contains("environments.json"), "it says where the broken file is: {listed}");
    assert_eq!(port(&sandbox, "feature/Fix", "web"), before);
    fs::remove_file(state_file(&sandbox)).unwrap();
    let again = answer(&sandbox, &["up", "feature/Fix"]);
    assert_eq!(again["operations"], 0, "{again:#}");
    assert_eq!(port(&sandbox, "feature/Fix", "web"), before);
    assert_eq!(again["environment"]["branch"], "feature/Fix");
    fs::remove_file(state_file(&sandbox)).unwrap();
    done(&sandbox, &["rm", "feature/Fix"]);
    assert_eq!(containers(&sandbox), "");
    assert!(!worktree(&sandbox, "feature-fix").exists(), "its mark says who made the worktree");
}

#[test]
fn two_ups_of_one_task_at_once_make_one_environment() {
    let sandbox = web();
    let start = || {
        sandbox.envtree_with(&["up", "fix", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let answers = runs.map(|output| {
        assert!(output.status.success(), "{}", sandbox.ran(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    });
    assert_eq!(answers[0]["environment"]["services"], answers[1]["environment"]["services"]);
    let created = answers.iter().filter(|answer| answer["created_worktree"] == true).count();
    let changed = answers.iter().filter(|answer| answer["operations"] != 0).count();
    assert_eq!((created, changed, worktrees(&sandbox)), (1, 1, 2));
}

#[test]
fn ten_ups_at_once_share_neither_port_nor_address() {
    let sandbox = web();
    let start = |number| {
        let task = format!("task-{number}");
        sandbox.envtree_with(&["up", &task, "--quiet"]).spawn().unwrap()
    };
    let children: Vec<_> = (0..10).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", sandbox.ran(&output));
    }
    let ports: BTreeSet<u16> =
        (0..10).map(|number| port(&sandbox, &format!("task-{number}"), "web")).collect();
    assert_eq!((ports.len(), worktrees(&sandbox)), (10, 11));
    let state: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(state_file(&sandbox)).unwrap()).unwrap();
    let subnets: BTreeSet<String> = subnets_in(&state);
    assert_eq!(subnets.len(), 10, "{subnets:?}");
}

/// Returns every `subnet` of a document.
fn subnets_in(value: &serde_json::Value) -> BTreeSet<String> {
    match value {
        serde_json::Value::Object(map) => {
            let own = map.get("subnet").and_then(|subnet| subnet.as_str()).map(str::to_owned);
            map.values().flat_map(subnets_in).chain(own).collect()
        }
        serde_json::Value::Array(items) => items.iter().flat_map(subnets_in).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_answer_obeys_the_schema() {
    let settings = "apps:\n  site: { port: 3000 }\nhooks:\n  post_up: 'true'\n";
    let compose = WEB.replace("ports:", "volumes: ['data:/data']\n    ports:") + "volumes:\n  data: {}\n";
    let sandbox = sandbox_with(&[("compose.yaml", &compose), ("envtree.yaml", settings)]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/output.json");
    let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let runs: [&[&str]; 19] = [
        &["up", "fix", "--dry-run"],
        &["trust", "--yes"],
        &["up", "fix"],
        &["up", "fix"],
        &["ls"],
        &["ls", "--all"],
        &["status", "fix"],
        &["env", "fix"],
        &["env", "fix", "--inside"],
        &["config", "fix"],
        &["config", "fix", "--raw"],
        &["stop", "fix"],
        &["start", "fix"],
        &["restart", "fix"],
        &["down", "fix"],
        &["status", "nobody"],
        &["up", "a..b"],
        &["rm", "fix"],
        &["ls"],
    ];
    for arguments in runs {
        let answer = answer(&sandbox, arguments);
        let errors: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(errors.is_empty() && answer["version"] == 1, "{arguments:?}: {errors:?}\n{answer:#}");
    }
}

#[test]
fn tasks_and_services_are_completed() {
    let sandbox = idle();
    done(&sandbox, &["up", "fix-login", "--no-wait"]);
    done(&sandbox, &["up", "feature/search", "--no-wait"]);
    let complete = |words: &[&str]| {
        let mut command = sandbox.envtree();
        command.arg("--").arg("envtree").args(words).env("COMPLETE", "bash");
        let index = words.len().to_string();
        let output = command.env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete(&["status", "f"]), "fix-login\nfeature/search");
    assert_eq!(complete(&["rm", "fix"]), "fix-login");
    assert_eq!(complete(&["logs", "fix-login", ""]).lines().next(), Some("app"));
}

#[test]
fn a_pull_is_told_in_lines_where_there_is_no_terminal() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE)]);
    let ran = done(&sandbox, &["up", "fix", "--pull", "always"]);
    assert!(!ran.stderr.contains('\r') && !ran.stderr.contains('\u{1b}'), "{ran}");
    // The checkout goes on beside the pull: whichever ends first is told first.
    let (worktree, rest): (Vec<_>, Vec<_>) =
        ran.stderr.lines().partition(|line| line.starts_with("created worktree "));
    assert_eq!(worktree.len(), 1, "{ran}");
    insta::assert_snapshot!(rest.join("\n"), @"
    pulling busybox:1
    pulled busybox:1 ([time])
    app is ready ([time])
    ");
}

#[test]
fn what_is_known_is_shown_while_the_engine_is_away() {
    let sandbox = web();
    done(&sandbox, &["up", "fix"]);
    let away = |arguments: &[&str]| {
        let output = sandbox.envtree().args(arguments).env("DOCKER_HOST", "unix:///nonexistent").output();
        sandbox.ran(&output.unwrap())
    };
    let listed = away(&["ls"]);
    assert!(listed.stdout.contains("fix"), "{listed}");
    assert_eq!(away(&["env", "fix"]).stdout, done(&sandbox, &["env", "fix"]).stdout);
    assert_eq!(away(&["config", "fix"]).stdout, done(&sandbox, &["config", "fix"]).stdout);
    assert_eq!(
        [listed.status, away(&["env", "fix"]).status, away(&["down", "fix"]).status],
        [Some(0), Some(0), Some(4)]
    );
}
