//! Services that the environments of a repository share: made once, joined by each, stopped with the last.

use std::process::Command;

use serde_json::Value;

use crate::common::Sandbox;
use crate::leftovers::leftovers;
use crate::stage::sandbox_with;
use crate::support::{SOON, checked, docker, eventually, inspect, port};

/// A store that is shared, and a service of the environment's own that needs it.
const COMPOSE: &str = "\
services:
  store:
    image: redis:8
    command: [redis-server, --save, '']
    ports: ['6379']
    volumes: ['data:/data']
    networks: { default: { aliases: [cache] } }
    healthcheck: { test: [CMD, redis-cli, ping], interval: 1s }
  app:
    image: busybox:1
    command: [sh, -c, 'nslookup store && exec sleep 1000']
    init: true
    depends_on: { store: { condition: service_healthy } }
volumes: { data: }
";

fn sandbox(settings: &str) -> Sandbox {
    sandbox_with(&[("compose.yaml", COMPOSE), ("envtree.yaml", settings)])
}

fn shared(sandbox: &Sandbox) -> String {
    format!("{}_shared-store-1", sandbox.repository().file_name().unwrap().to_str().unwrap())
}

fn is_running(container: &str) -> bool {
    inspect("container", container)["State"]["Running"] == true
}

/// Returns whether the application of an environment reaches the store by its name now.
fn reaches_store(sandbox: &Sandbox, task: &str) -> bool {
    let command = ["exec", task, "app", "--", "sh", "-c", "echo PING | nc -w 5 store 6379"];
    sandbox.run(&command).stdout.contains("PONG")
}

/// Returns what a service of the answer says.
fn service<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let services = answer["environment"]["services"].as_array().unwrap();
    services.iter().find(|service| service["name"] == name).unwrap()
}

#[test]
fn a_shared_service_runs_once_and_stops_with_its_last_user() {
    let sandbox = sandbox("shared: [store]\n");
    let one = sandbox.up("one");
    let store = shared(&sandbox);
    let id = inspect("container", &store)["Id"].clone();
    let two = sandbox.up("two");

    // It was made once, and both see it under its names, inside and on the host.
    assert_eq!(inspect("container", &store)["Id"], id);
    assert_eq!(port(&one, "store"), port(&two, "store"));
    assert_eq!(service(&two, "store")["shared"], true);
    assert_eq!(service(&two, "store")["container"], store.as_str());
    assert_eq!(service(&two, "app")["shared"], Value::Null);
    assert_eq!(sandbox.redis_in("one", &["SET", "note", "of one"]), "OK");
    assert_eq!(sandbox.redis_in("two", &["GET", "note"]), "of one");
    for task in ["one", "two"] {
        for name in ["store", "cache"] {
            sandbox.inside(task, "app", &["nslookup", name]);
            let ping = format!("echo PING | nc -w 5 {name} 6379");
            assert_eq!(sandbox.inside(task, "app", &["sh", "-c", &ping]), "+PONG");
        }
        let variables = sandbox.json(&["env", task]);
        assert_eq!(variables["variables"]["STORE_PORT"], port(&one, "store").to_string());
        let objects = sandbox.objects(task);
        assert_eq!(objects, [sandbox.container(task, "app"), format!("{}_default", sandbox.project(task))]);
        assert!(sandbox.succeed(&["logs", task, "store"]).stdout.contains("Ready to accept connections"));
    }
    assert!(sandbox.succeed(&["status", "one"]).stdout.contains("redis:8  shared"));
    let listed = sandbox.json(&["ls"]);
    assert_eq!(listed["environments"].as_array().unwrap().len(), 2, "{listed}");

    // Nothing changes with another `up`.
    assert_eq!(sandbox.up("one")["operations"], 0);
    // One of two users leaves, and comes back.
    sandbox.succeed(&["down", "one"]);
    assert!(is_running(&store));
    assert_eq!(sandbox.json(&["status", "one"])["environment"]["state"], "down");
    sandbox.up("one");
    sandbox.succeed(&["stop", "one"]);
    assert!(is_running(&store));
    sandbox.succeed(&["stop", "two"]);
    assert!(!is_running(&store));
    sandbox.succeed(&["start", "two"]);
    assert!(is_running(&store));
    assert_eq!(sandbox.inside("two", "app", &["sh", "-c", "echo PING | nc -w 5 cache 6379"]), "+PONG");
    sandbox.succeed(&["down", "two"]);
    assert!(!is_running(&store));

    removal_of_the_last(&sandbox, &store);
}

fn removal_of_the_last(sandbox: &Sandbox, store: &str) {
    sandbox.up("two");
    sandbox.succeed(&["rm", "--yes", "one"]);
    assert!(is_running(store));
    let volume = format!("{}_data", store.trim_end_matches("-store-1"));
    let removed = sandbox.succeed(&["rm", "--yes", "two"]);
    assert!(removed.stderr.contains(&sandbox.redact(&volume)), "{removed}");
    assert_eq!(leftovers(sandbox), [""; 0]);
}

impl Sandbox {
    fn redis_in(&self, task: &str, words: &[&str]) -> String {
        self.inside(task, "store", &[&["redis-cli"], words].concat())
    }
}

#[test]
fn a_link_reaches_a_shared_service_by_its_alias() {
    let compose = COMPOSE.replace("nslookup store", "nslookup keeper").replace(
        "init: true",
        "init: true\n    links: ['store:keeper', store]\n    external_links: ['${COMPOSE_PROJECT_NAME}-store-1:far']",
    );
    let sandbox = sandbox_with(&[("compose.yaml", &compose), ("envtree.yaml", "")]);
    let worktree = sandbox.up("one")["environment"]["worktree"].clone();
    let reaches = |task: &str, name: &str| {
        let ping = format!("echo PING | nc -w 5 {name} 6379");
        assert_eq!(sandbox.inside(task, "app", &["sh", "-c", &ping]), "+PONG", "{task} {name}");
    };
    reaches("one", "keeper");
    reaches("one", "far");

    // The link leads to the shared container from now on, also after that was made again.
    std::fs::write(format!("{}/envtree.yaml", worktree.as_str().unwrap()), "shared: [store]\n").unwrap();
    sandbox.up("one");
    let store = shared(&sandbox);
    assert_eq!(sandbox.up("one")["operations"], 0);
    for name in ["keeper", "store", "cache"] {
        reaches("one", name);
    }
    let ping = ["run", "-q", "one", "app", "--", "sh", "-c", "echo PING | nc -w 5 keeper 6379"];
    assert_eq!(sandbox.succeed(&ping).stdout.trim_end(), "+PONG");
    docker(&["container", "rm", "--force", &store]);
    sandbox.up("one");
    reaches("one", "keeper");
    sandbox.succeed(&["stop", "one"]);
    sandbox.succeed(&["start", "one"]);
    reaches("one", "keeper");
}

#[test]
fn what_was_waited_for_is_ready_though_the_engine_has_not_checked_it_yet() {
    // The Engine's first check comes after an interval.
    let compose = COMPOSE.replace("interval: 1s", "interval: 1h");
    let sandbox = sandbox_with(&[("compose.yaml", &compose), ("envtree.yaml", "shared: [store]\n")]);
    for task in ["one", "two"] {
        let answer = sandbox.up(task);
        assert_eq!(answer["environment"]["state"], "ready", "{answer}");
        assert_eq!(service(&answer, "store")["ready"], true, "{answer}");
        assert_eq!(sandbox.json(&["status", task])["environment"]["state"], "ready");
    }
}

#[test]
fn commands_that_come_together_make_a_shared_service_once() {
    let sandbox = sandbox("shared: store\n");
    let tasks = ["one", "two", "three", "four"];
    let running = tasks.map(|task| sandbox.envtree_with(&["--json", "up", task]).spawn().unwrap());
    for (mut child, task) in running.into_iter().zip(tasks) {
        assert!(child.wait().unwrap().success(), "{task}");
    }
    let store = shared(&sandbox);
    for task in tasks {
        // The DNS of Podman reads its files anew whenever a network changes, and knows no names meanwhile.
        eventually(|| reaches_store(&sandbox, task), SOON);
        assert_eq!(sandbox.up(task)["operations"], 0);
    }
    let networks = inspect("container", &store)["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks.as_object().unwrap().len(), 5, "{networks}");
    let created = inspect("container", &store)["Created"].clone();

    // They leave together, too.
    let running = tasks.map(|task| sandbox.envtree_with(&["rm", "--yes", task]).spawn().unwrap());
    for (mut child, task) in running.into_iter().zip(tasks) {
        assert!(child.wait().unwrap().success(), "{task}, whose store was made at {created}");
    }
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn what_happened_to_a_shared_service_is_mended_by_the_next_up() {
    let sandbox = sandbox("shared: [store]\n");
    sandbox.up("one");
    sandbox.up("two");
    let store = shared(&sandbox);
    let ping = |task: &str| reaches_store(&sandbox, task);

    docker(&["container", "rm", "--force", &store]);
    sandbox.up("one");
    // Podman's names follow a little later.
    eventually(|| ping("one"), SOON);
    sandbox.up("two");
    eventually(|| ping("one") && ping("two"), SOON);

    // A changed definition makes it again once, and whoever uses it does not lose it.
    let changed = COMPOSE.replace("--save, ''", "--save, '', --maxclients, '50'");
    let worktree = sandbox.json(&["status", "one"])["environment"]["worktree"].clone();
    std::fs::write(format!("{}/compose.yaml", worktree.as_str().unwrap()), changed).unwrap();
    let before = inspect("container", &store)["Id"].clone();
    sandbox.up("one");
    assert_ne!(inspect("container", &store)["Id"], before);
    eventually(|| ping("one") && ping("two"), SOON);

    // A branch that does not share it any more has its own.
    std::fs::write(format!("{}/envtree.yaml", worktree.as_str().unwrap()), "").unwrap();
    sandbox.up("one");
    assert_eq!(sandbox.objects("one").len(), 4, "{:?}", sandbox.objects("one"));
    assert_eq!(sandbox.redis_in("one", &["DBSIZE"]), "0");
    sandbox.succeed(&["down", "two"]);
    assert!(!is_running(&store));
}

#[test]
fn an_interrupted_up_leaves_what_the_next_one_completes() {
    let sandbox = sandbox("shared: [store]\n");
    let store = shared(&sandbox);
    let exists = || {
        let found = Command::new("docker").args(["container", "inspect", &store]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let mut child = sandbox.envtree_with(&["up", "one"]).spawn().unwrap();
    eventually(exists, SOON);
    child.kill().unwrap();
    child.wait().unwrap();

    sandbox.up("two");
    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "app", &["sh", "-c", "echo PING | nc -w 5 store 6379"]), "+PONG");
    sandbox.succeed(&["down", "two"]);
    assert!(is_running(&store));
    sandbox.succeed(&["down", "one"]);
    assert!(!is_running(&store));
}

#[test]
fn an_up_that_was_killed_uses_nothing_any_more_once_it_is_down() {
    // The app never passes its check, so that the command is killed while it waits.
    let compose =
        COMPOSE.replace("init: true", "init: true\n    healthcheck: { test: 'false', retries: 1000 }");
    let sandbox = sandbox_with(&[("compose.yaml", &compose), ("envtree.yaml", "shared: [store]\n")]);
    let store = shared(&sandbox);
    sandbox.succeed(&["up", "--no-wait", "one"]);
    let mut child = sandbox.envtree_with(&["up", "two"]).spawn().unwrap();
    eventually(|| sandbox.objects("two").contains(&sandbox.container("two", "app")), SOON);
    child.kill().unwrap();
    child.wait().unwrap();

    sandbox.succeed(&["down", "two"]);
    assert!(is_running(&store));
    sandbox.succeed(&["down", "one"]);
    assert!(!is_running(&store));
}

#[test]
fn a_command_starts_what_is_shared_and_the_next_down_stops_it() {
    let sandbox = sandbox("shared: [store]\n");
    let store = shared(&sandbox);
    sandbox.up("one");
    sandbox.succeed(&["down", "one"]);
    assert!(!is_running(&store));
    let ping = ["run", "-q", "one", "app", "--", "sh", "-c", "echo PING | nc -w 5 store 6379"];
    assert_eq!(sandbox.succeed(&ping).stdout.trim_end(), "+PONG");
    assert!(is_running(&store));
    assert_eq!(sandbox.succeed(&ping).stdout.trim_end(), "+PONG");
    sandbox.succeed(&["down", "one"]);
    assert!(!is_running(&store));
}

#[test]
fn a_service_that_becomes_shared_has_no_container_of_its_own_any_more() {
    let sandbox = sandbox("");
    sandbox.up("one");
    let worktree = sandbox.json(&["status", "one"])["environment"]["worktree"].clone();
    std::fs::write(format!("{}/envtree.yaml", worktree.as_str().unwrap()), "shared: [store]\n").unwrap();
    sandbox.up("one");
    let project = sandbox.project("one");
    let objects = sandbox.objects("one");
    // Its data stay.
    assert_eq!(
        objects,
        [format!("{project}-app-1"), format!("{project}_default"), format!("{project}_data")]
    );
    let id = inspect("container", &shared(&sandbox))["Id"].clone();
    for _ in 0..2 {
        assert_eq!(sandbox.up("one")["operations"], 0);
    }
    assert_eq!(inspect("container", &shared(&sandbox))["Id"], id);
}

#[test]
fn a_service_that_is_shared_no_more_stops_with_the_up_that_finds_no_user_of_it() {
    let sandbox = sandbox("shared: [store]\n");
    let store = shared(&sandbox);
    let worktrees = ["one", "two"].map(|task| sandbox.up(task)["environment"]["worktree"].clone());
    let unshare = |worktree: &Value| {
        std::fs::write(format!("{}/envtree.yaml", worktree.as_str().unwrap()), "").unwrap();
    };
    unshare(&worktrees[0]);
    sandbox.up("one");
    assert!(is_running(&store));
    let networks = inspect("container", &store)["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks.get(format!("{}_default", sandbox.project("one"))), None, "{networks}");

    unshare(&worktrees[1]);
    sandbox.up("two");
    assert!(!is_running(&store));
    let volume = format!("{}_data", store.trim_end_matches("-store-1"));
    assert_eq!(inspect("volume", &volume)["Name"], volume.as_str());
    assert_eq!(sandbox.up("two")["operations"], 0);
    // It is there for the next who shares it.
    std::fs::write(format!("{}/envtree.yaml", worktrees[0].as_str().unwrap()), "shared: [store]\n").unwrap();
    sandbox.up("one");
    assert!(is_running(&store));
}

#[test]
fn a_shared_service_of_a_profile_that_is_off_is_left_as_it_is() {
    let compose = "\
services:
  store: { image: busybox:1, command: sleep inf, init: true, profiles: [cache] }
  app: { image: busybox:1, command: sleep inf, init: true }
";
    let sandbox = sandbox_with(&[("compose.yaml", compose), ("envtree.yaml", "shared: [store]\n")]);
    let store = shared(&sandbox);
    sandbox.succeed(&["up", "one", "--profile", "cache"]);
    assert_eq!(sandbox.up("one")["operations"], 0);
    assert!(is_running(&store));
    sandbox.inside("one", "app", &["nslookup", "store"]);
    // Without a user it stops, and an environment that does not ask for it does not start it.
    sandbox.succeed(&["stop", "one"]);
    sandbox.succeed(&["start", "one"]);
    assert!(!is_running(&store));
    sandbox.succeed(&["rm", "--yes", "one"]);
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn what_cannot_be_shared_is_refused_with_its_place() {
    let refused = |settings: &str| sandbox(settings).fail(1, &["up", "one"]);
    insta::assert_snapshot!(refused("shared: [storr]\n"), @"error: main:envtree.yaml:1:10: no service is called `storr`; did you mean `store`?");
    insta::assert_snapshot!(refused("shared:\n  - app\n"), @"error: main:envtree.yaml:2:5: service `app` cannot be shared, because it depends on `store`, which each environment has for itself; share `store` too");
}

#[test]
fn one_environment_neither_stops_nor_restarts_what_all_use() {
    let sandbox = sandbox("shared: [store]\n");
    sandbox.up("one");
    insta::assert_snapshot!(sandbox.fail(1, &["stop", "one", "store"]), @r"
    error: service `store` is shared by the environments of the repository
    hint: it starts with its first user and stops with its last; `envtree exec TASK SERVICE -- CMD` runs a command in it
    ");
    let ran = sandbox.fail(1, &["run", "one", "store", "--", "true"]);
    assert!(ran.starts_with("error: service `store` is shared"), "{ran}");
    assert!(is_running(&shared(&sandbox)));
    // The project tells of it, and a command with the task's variables reaches it.
    let config = sandbox.succeed(&["config", "one"]).stdout;
    assert!(config.contains(&sandbox.redact(&shared(&sandbox))), "{config}");
    let command = ["exec", "one", "--", "sh", "-c", "echo $STORE_URL"];
    let url = checked(&mut sandbox.envtree_with(&command));
    assert!(url.starts_with("redis://127.0.0.1:2"), "{url}");
}
