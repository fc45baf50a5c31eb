//! `up` after something went wrong: it mends what was taken away, and completes what was broken off.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::again::with_two_servers;
use crate::common::Sandbox;
use crate::support::{SOON, checked, docker, eventually, inspect, port};

#[test]
fn a_container_removed_by_hand_is_made_again() {
    let (sandbox, _) = with_two_servers();
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);
    sandbox.inside("one", "cache", &["redis-cli", "SAVE"]);
    let queue = sandbox.lives("one", &["queue"]);
    docker(&["rm", "--force", "--volumes", &sandbox.container("one", "cache")]);

    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "GET", "note"]), "kept");
    assert_eq!(sandbox.lives("one", &["queue"]), queue);
}

#[test]
fn a_network_removed_by_hand_is_made_again() {
    let (sandbox, _) = with_two_servers();
    let network = format!("{}_default", sandbox.project("one"));
    for service in ["cache", "queue"] {
        docker(&["network", "disconnect", "--force", &network, &sandbox.container("one", service)]);
    }
    docker(&["network", "rm", &network]);

    sandbox.up("one");
    let containers = inspect("network", &network)["Containers"].as_object().unwrap().len();
    assert_eq!(containers, 2);
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "-h", "queue", "PING"]), "PONG");
}

#[test]
fn a_container_taken_off_its_network_is_put_back() {
    let (sandbox, _) = with_two_servers();
    let network = format!("{}_default", sandbox.project("one"));
    docker(&["network", "disconnect", &network, &sandbox.container("one", "queue")]);

    sandbox.up("one");
    assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "-h", "queue", "PING"]), "PONG");
    assert_eq!(sandbox.up("one")["operations"], 0);
}

#[test]
fn stopped_killed_and_paused_containers_run_again_without_being_made_again() {
    let (sandbox, _) = with_two_servers();
    let ids = || ["cache", "queue"].map(|service| sandbox.look("one", service)["Id"].clone());
    let before = ids();
    for (act, state) in [("stop", "exited"), ("kill", "exited"), ("pause", "paused")] {
        let mut command = sandbox.command("docker");
        command.args([act, &sandbox.container("one", "cache")]);
        // The kernel of a busy machine does not freeze a container at every attempt.
        eventually(|| command.output().unwrap().status.success(), SOON);
        let is_there = || sandbox.look("one", "cache")["State"]["Status"] == state;
        eventually(is_there, SOON);
        let answer = sandbox.up("one");
        assert_eq!(answer["operations"], 1, "after `docker {act}`");
        assert_eq!(sandbox.inside("one", "cache", &["redis-cli", "PING"]), "PONG");
    }
    assert_eq!(ids(), before);
}

#[test]
fn ports_and_data_survive_restarts_that_envtree_did_not_ask_for() {
    let (sandbox, first) = with_two_servers();
    let published = port(&first, "cache");
    let answers = || {
        let ask = ["exec", "one", "cache", "--", "redis-cli", "GET", "note"];
        sandbox.run(&ask).stdout == "kept\n" && TcpStream::connect(("127.0.0.1", published)).is_ok()
    };
    sandbox.inside("one", "cache", &["redis-cli", "SET", "note", "kept"]);
    sandbox.inside("one", "cache", &["redis-cli", "SAVE"]);

    docker(&["restart", &sandbox.container("one", "cache")]);
    eventually(answers, SOON);
    docker(&["kill", &sandbox.container("one", "cache")]);
    sandbox.succeed(&["start", "one"]);
    assert!(answers());
    assert_eq!(port(&sandbox.json(&["status", "one"]), "cache"), published);
    assert_eq!(sandbox.up("one")["operations"], 0);
}

/// Starts an `up` of the default services and returns it as soon as Postgres's container exists.
fn halfway(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.envtree_with(&["up", "one"]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let container = sandbox.container("one", "postgres");
    eventually(|| sandbox.objects("one").contains(&container), SOON);
    running
}

#[test]
fn an_up_that_was_killed_is_completed_by_the_next() {
    let sandbox = Sandbox::new();
    let mut running = halfway(&sandbox);
    running.kill().unwrap();
    running.wait().unwrap();

    let answer = sandbox.up("one");
    assert_eq!(answer["environment"]["state"], "ready");
    assert_eq!(sandbox.sql("one", "SELECT 1"), "1");
    assert_eq!(sandbox.redis("one", &["PING"]), "PONG");
}

#[test]
fn what_a_killed_up_left_is_removed_whole() {
    let sandbox = Sandbox::new();
    let mut running = halfway(&sandbox);
    running.kill().unwrap();
    running.wait().unwrap();

    sandbox.succeed(&["rm", "one"]);
    assert_eq!(sandbox.objects("one"), [""; 0]);
    assert_eq!(sandbox.git(&["branch", "--format", "%(refname:short)"]), "main");
    assert_eq!(sandbox.json(&["ls"])["environments"], serde_json::json!([]));
}

#[test]
fn an_interrupted_up_says_how_to_go_on_and_is_completed_by_the_next() {
    let sandbox = Sandbox::new();
    let running = halfway(&sandbox);
    checked(Command::new("kill").args(["-s", "INT", &running.id().to_string()]));
    let ran = sandbox.ran(&running.wait_with_output().unwrap());

    assert_eq!(ran.status, Some(130), "{ran}");
    assert!(ran.stderr.contains("hint: `envtree up one` continues from here"), "{ran}");
    assert!(ran.stderr.contains("note: created and kept: worktree `"), "{ran}");
    assert!(ran.stderr.contains("network `sandbox-xxxxxxxx-one_default`"), "{ran}");
    assert_eq!(sandbox.up("one")["environment"]["state"], "ready");
    assert_eq!(sandbox.sql("one", "SELECT 1"), "1");
}
