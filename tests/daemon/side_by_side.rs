//! Environments beside each other: none sees, reaches or hinders another.

use std::fs;
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::common::Sandbox;
use crate::support::{checked, docker, inspect, port};

#[test]
fn two_environments_do_not_see_each_others_rows_and_keys() {
    let sandbox = Sandbox::new();
    for task in ["one", "two"] {
        sandbox.up(task);
        sandbox.sql(task, &format!("CREATE TABLE note AS SELECT 'of {task}' AS text"));
        sandbox.redis(task, &["SET", "note", task]);
    }
    for task in ["one", "two"] {
        assert_eq!(sandbox.sql(task, "SELECT text FROM note"), format!("of {task}"));
        assert_eq!(sandbox.redis(task, &["GET", "note"]), task);
        assert_eq!(sandbox.redis(task, &["DBSIZE"]), "1");
    }

    nothing_is_shared(&sandbox);
    services_are_reached_by_name_inside_alone(&sandbox);
}

fn nothing_is_shared(sandbox: &Sandbox) {
    let [one, two] = ["one", "two"].map(|task| {
        let answer = sandbox.json(&["status", task]);
        let network = inspect("network", &format!("{}_default", sandbox.project(task)));
        let mut things = sandbox.objects(task);
        things.push(network["IPAM"]["Config"][0]["Subnet"].to_string());
        things.extend(["postgres", "redis"].map(|service| port(&answer, service).to_string()));
        things
    });
    assert_eq!(one.len(), 2 + 1 + 2 + 1 + 2, "{one:?}");
    assert!(one.iter().all(|thing| !two.contains(thing)), "{one:?} and {two:?}");
}

fn services_are_reached_by_name_inside_alone(sandbox: &Sandbox) {
    let ask = |host: &str| {
        let command = ["exec", "one", "postgres", "--", "getent", "hosts", host];
        sandbox.run(&command).status
    };
    assert_eq!(ask("redis"), Some(0));
    let foreign = sandbox.container("two", "redis");
    assert_eq!(ask(&foreign), Some(2), "{foreign} is found from another environment");
    let greet = "exec 3<>/dev/tcp/redis/6379 && echo GET note >&3 && head -n 2 <&3";
    assert!(sandbox.inside("one", "postgres", &["bash", "-c", greet]).contains("one"));
}

#[test]
fn ports_are_published_on_loopback_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", "services: { redis: { image: redis:8, ports: ['6379:6379'] } }\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Redis alone"]);
    let answer = sandbox.up("one");

    let published = port(&answer, "redis");
    let bindings = &sandbox.look("one", "redis")["HostConfig"]["PortBindings"]["6379/tcp"];
    assert_eq!(bindings, &serde_json::json!([{ "HostIp": "127.0.0.1", "HostPort": published.to_string() }]));
    TcpStream::connect(("127.0.0.1", published)).unwrap();
    // Another address of the same machine does not answer there.
    TcpStream::connect(("127.0.0.2", published)).unwrap_err();
    TcpListener::bind(("127.0.0.2", published)).unwrap();
}

#[test]
fn repositories_whose_folders_have_the_same_name_share_nothing() {
    let sandbox = Sandbox::new();
    let compose = "services: { redis: { image: redis:8, ports: [6379], volumes: ['data:/data'] } }\nvolumes: { data: }\n";
    sandbox.write("compose.yaml", compose);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Redis alone"]);
    let elsewhere = sandbox.repository().parent().unwrap().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let other = elsewhere.join(sandbox.repository().file_name().unwrap());
    let other = other.to_str().unwrap();
    sandbox.git(&["clone", "--quiet", ".", other]);

    let first = sandbox.up("one");
    let second = sandbox.json(&["-C", other, "up", "one"]);
    assert_eq!(project(&first), sandbox.project("one"));
    assert_ne!(project(&second), project(&first));
    assert_ne!(port(&first, "redis"), port(&second, "redis"));
    sandbox.redis("one", &["SET", "note", "first"]);
    let ask = ["-C", other, "exec", "one", "redis", "--", "redis-cli", "DBSIZE"];
    assert_eq!(checked(&mut sandbox.envtree_with(&ask)), "0");

    // Removing one leaves the other alone.
    sandbox.succeed(&["-C", other, "rm", "--yes", "one"]);
    assert_eq!(sandbox.redis("one", &["GET", "note"]), "first");
    let label = format!("label=com.docker.compose.project={}", project(&second));
    assert_eq!(docker(&["container", "ls", "--all", "--quiet", "--filter", &label]), "");
}

fn project(answer: &Value) -> &str {
    answer["environment"]["project"].as_str().unwrap()
}
