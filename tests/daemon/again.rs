//! `up` again: it changes what differs and nothing else.

use std::fs;

use serde_json::Value;

use crate::common::Sandbox;
use crate::compose_file::with_compose;
use crate::leftovers::{leftovers, state_directory};
use crate::stage::worktree;
use crate::support::{docker, port};

const SERVICES: [&str; 2] = ["cache", "queue"];

/// Two Redis servers with a named volume and an anonymous one each.
const COMPOSE: &str = "\
services:
  cache: { image: redis:8, ports: [6379], volumes: ['cache:/data', /scratch] }
  queue: { image: redis:8, ports: [6379], volumes: ['queue:/data', /scratch] }
volumes: { cache: {}, queue: {} }
";

/// A sandbox in which `one` was brought up; returns the answer too.
pub(crate) fn with_two_servers() -> (Sandbox, Value) {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", COMPOSE);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Two Redis servers"]);
    let answer = sandbox.up("one");
    (sandbox, answer)
}

/// Writes the Compose file of task `one`.
fn redefine(sandbox: &Sandbox, compose: &str) {
    let worktree = sandbox.json(&["status", "one"])["environment"]["worktree"].clone();
    fs::write(format!("{}/compose.yaml", worktree.as_str().unwrap()), compose).unwrap();
}

#[test]
fn a_dry_run_leaves_nothing_not_even_a_folder() {
    let sandbox = Sandbox::new();
    let planned = sandbox.succeed(&["up", "one", "--dry-run"]).stdout;
    assert!(planned.starts_with("create worktree "), "{planned}");
    assert_eq!(leftovers(&sandbox), [""; 0]);
    assert!(!state_directory(&sandbox).exists());
}

#[test]
fn a_second_up_changes_nothing() {
    let sandbox = Sandbox::new();
    let first = sandbox.up("one");
    let services = ["postgres", "redis"];
    let lives = sandbox.lives("one", &services);

    let planned = sandbox.succeed(&["up", "one", "--dry-run"]).stdout;
    assert!(planned.starts_with("nothing to do: "), "{planned}");
    let second = sandbox.up("one");
    assert_eq!(sandbox.lives("one", &services), lives);
    assert_eq!(second["operations"], 0);
    assert_eq!(second["created_worktree"], false);
    assert_eq!(second["environment"]["services"], first["environment"]["services"]);
}

#[test]
fn a_changed_service_alone_is_recreated_and_keeps_its_volumes() {
    let (sandbox, first) = with_two_servers();
    let queue = sandbox.lives("one", &["queue"]);
    let old = sandbox.look("one", "cache")["Id"].clone();
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);
    sandbox.inside("one", "cache", &["sh", "-c", "echo scratched > /scratch/note"]);

    redefine(&sandbox, &COMPOSE.replacen("redis:8", "redis:8, environment: { COLOUR: red }", 1));
    let second = sandbox.up("one");
    assert_ne!(sandbox.look("one", "cache")["Id"], old);
    assert_eq!(sandbox.lives("one", &["queue"]), queue);
    assert_eq!(sandbox.inside("one", "cache", &["printenv", "COLOUR"]), "red");
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    assert_eq!(sandbox.inside("one", "cache", &["cat", "/scratch/note"]), "scratched");
    assert_eq!(SERVICES.map(|name| port(&second, name)), SERVICES.map(|name| port(&first, name)));
}

#[test]
fn an_added_service_moves_no_port_and_touches_no_container() {
    let (sandbox, first) = with_two_servers();
    let lives = sandbox.lives("one", &SERVICES);

    // It stands first, where ports that were given out in order would move.
    redefine(
        &sandbox,
        &COMPOSE.replace("services:\n", "services:\n  a: { image: redis:8, ports: [6379] }\n"),
    );
    let second = sandbox.up("one");
    assert_eq!(sandbox.lives("one", &SERVICES), lives);
    assert_eq!(SERVICES.map(|name| port(&second, name)), SERVICES.map(|name| port(&first, name)));
    assert_eq!(sandbox.inside("one", "a", &["redis-cli", "-h", "cache", "PING"]), "PONG");
}

#[test]
fn an_orphan_is_kept_until_its_removal_is_wanted() {
    let (sandbox, _) = with_two_servers();
    let queue = sandbox.lives("one", &["queue"]);
    let name = sandbox.container("one", "queue");
    let volume = format!("{}_queue", sandbox.project("one"));
    sandbox.inside("one", "queue", &["redis-cli", "SET", "note", "kept"]);
    let alone = "services:\n  cache: { image: redis:8, ports: [6379], volumes: ['cache:/data', /scratch] }\nvolumes: { cache: {} }\n";
    redefine(&sandbox, alone);

    let kept = sandbox.succeed(&["up", "one"]);
    assert_eq!(sandbox.lives("one", &["queue"]), queue);
    insta::assert_snapshot!(kept.warnings(), @"
    warning: container `sandbox-xxxxxxxx-one-queue-1` belongs to no service any more; `--remove-orphans` removes it
    warning: volume `sandbox-xxxxxxxx-one_queue` is wanted by no service any more; it is kept with its data
    ");

    let planned = sandbox.json(&["up", "one", "--dry-run", "--remove-orphans"]);
    assert_eq!(planned["confirmations"], serde_json::json!([]));
    sandbox.succeed(&["up", "one", "--remove-orphans"]);
    let objects = sandbox.objects("one");
    assert!(!objects.contains(&name), "{objects:?}");
    assert!(objects.contains(&volume), "a volume holds data: {objects:?}");

    redefine(&sandbox, COMPOSE);
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "queue", &["redis-cli", "GET", "note"]), "kept");
}

#[test]
fn a_changed_volume_is_made_again_only_with_consent() {
    let (sandbox, _) = with_two_servers();
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);
    redefine(&sandbox, &COMPOSE.replace("cache: {}", "cache: { labels: { colour: red } }"));

    let kept = sandbox.succeed(&["up", "one"]);
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    insta::assert_snapshot!(kept.warnings(), @"warning: the definition of volume `cache` changed; `sandbox-xxxxxxxx-one_cache` is kept as it is, with its data, unless `--yes` has it made again");

    sandbox.succeed(&["up", "one", "--yes"]);
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "");
    let volume = format!("{}_cache", sandbox.project("one"));
    assert_eq!(docker(&["volume", "inspect", "--format", "{{.Labels.colour}}", &volume]), "red");
    assert_eq!(sandbox.up("one")["operations"], 0);
}

#[test]
fn force_recreate_makes_every_container_again_and_keeps_data_and_ports() {
    let (sandbox, first) = with_two_servers();
    let ids = || SERVICES.map(|service| sandbox.look("one", service)["Id"].clone());
    let old = ids();
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);

    let second = sandbox.json(&["up", "one", "--force-recreate"]);
    assert!(ids().iter().all(|id| !old.contains(id)));
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    assert_eq!(SERVICES.map(|name| port(&second, name)), SERVICES.map(|name| port(&first, name)));
}

#[test]
fn pull_always_asks_the_registry_and_keeps_containers_of_the_same_image() {
    let (sandbox, _) = with_two_servers();
    let lives = sandbox.lives("one", &SERVICES);

    let pulled = sandbox.succeed(&["up", "one", "--pull", "always"]);
    assert_eq!(sandbox.lives("one", &SERVICES), lives);
    assert!(
        pulled.stderr.contains("pulled redis:8") || pulled.stderr.contains("pulled image redis:8"),
        "{pulled}"
    );
}

#[test]
fn a_timed_pull_policy_asks_the_registry_once_in_its_time() {
    let sandbox = with_compose("services: { web: { image: 'redis:8', pull_policy: every_0s } }\n");
    sandbox.up("one");
    let lives = sandbox.lives("one", &["web"]);
    let pulled = sandbox.succeed(&["up", "one"]);
    assert!(pulled.stderr.contains("pulled redis:8"), "{pulled}");
    assert_eq!(sandbox.lives("one", &["web"]), lives);

    let compose = worktree(&sandbox, "one").join("compose.yaml");
    let text = fs::read_to_string(&compose).unwrap().replace("every_0s", "weekly");
    fs::write(compose, text).unwrap();
    assert_eq!(sandbox.up("one")["operations"], 0);
    let fresh = sandbox.succeed(&["up", "one"]);
    assert!(!fresh.stderr.contains("pull"), "{fresh}");
}
