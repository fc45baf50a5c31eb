//! The container that envtree makes of a service beside the one that `docker compose create` makes of it.

use std::process::Command;

use serde_json::{Map, Value};

use crate::common::Sandbox;
use crate::difference::differences;

const COMPOSE: &str = "
services:
  db:
    image: busybox:1
    command: sleep 600
    ipc: shareable
    volumes: [/shared]
  web:
    image: busybox:1
    entrypoint: [sh, -c]
    command: ['sleep 600']
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    cgroup_parent: /oracle
    cpus: 0.5
    cpu_shares: 73
    cpuset: '0'
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    pids_limit: 50
    oom_score_adj: 100
    device_cgroup_rules: ['c 1:3 mr']
    devices: ['/dev/null:/dev/xnull:r', /dev/zero]
    dns: [127.0.0.11]
    dns_opt: [use-vc]
    dns_search: example.com
    expose: [3000/tcp, 53/udp]
    extra_hosts: {a: 1.2.3.4}
    group_add: [1000]
    healthcheck: {test: 'true', interval: 90s}
    init: true
    labels: {org.example.colour: red}
    links: ['db:database']
    logging: {driver: json-file, options: {max-size: 10m}}
    networks: {front: {aliases: [x], priority: 10}, back: {}}
    pid: service:db
    ipc: service:db
    read_only: true
    restart: on-failure:3
    security_opt: [no-new-privileges, systempaths=unconfined]
    stop_grace_period: 2s
    stop_signal: SIGINT
    sysctls: {net.core.somaxconn: 1024}
    tmpfs: '/run:size=1m'
    tty: true
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 65535}
    user: '1000'
    uts: host
    volumes:
      - data:/data:nocopy
      - ./x:/x:ro,z
      - {type: tmpfs, target: /t, tmpfs: {size: 10m, mode: 01777}}
    volumes_from: [db]
    working_dir: /w
    configs: [settings]
    secrets: [key]
    deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 50}}, restart_policy: {condition: any}}
volumes: {data: {}}
networks:
  front: {internal: true, attachable: true}
  back: {}
configs: {settings: {file: ./settings}}
secrets: {key: {file: ./key}}
";

/// What differs on purpose, or because it names things that each has of its own.
const DIFFERENT: [(&str, &str); 3] = [
    // Compose attaches to what it starts, envtree reads the logs.
    ("Config", "AttachStdout"),
    ("Config", "AttachStderr"),
    // The beginning of the container's id.
    ("Config", "Hostname"),
];

/// A project of Compose, removed in the end.
struct Theirs<'a>(&'a Sandbox, String);

impl Theirs<'_> {
    fn compose(&self, arguments: &[&str]) {
        let mut command = Command::new("docker");
        command.current_dir(self.0.repository()).args(["compose", "--project-name", &self.1]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--timeout", "0"]);
    }
}

#[test]
fn a_container_is_what_compose_makes_of_its_service() {
    let sandbox = Sandbox::new();
    for (path, text) in [("compose.yaml", COMPOSE), ("settings", "s"), ("key", "k"), ("x/file", "f")] {
        sandbox.write(path, text);
    }
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Describe the services"]);
    let up = sandbox.run(&["up", "one", "--no-wait"]);
    assert_eq!(up.status, Some(0), "{}", up.stderr);
    let folder = sandbox.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let theirs = Theirs(&sandbox, format!("{folder}-theirs"));
    theirs.compose(&["create"]);

    let ours = described(&format!("{folder}-one"), "web");
    let expected = described(&theirs.1, "web");
    let mut found = Vec::new();
    for part in ["Config", "HostConfig"] {
        let (mut ours, mut expected) = (part_of(&ours, part), part_of(&expected, part));
        for (_, key) in DIFFERENT.iter().filter(|(its_part, _)| *its_part == part) {
            ours.remove(*key);
            expected.remove(*key);
        }
        found.extend(differences(&Value::Object(expected), &Value::Object(ours)));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Returns a container as the Engine describes it, in which the names of the project are `PROJECT`.
fn described(project: &str, service: &str) -> Value {
    let mut texts = Vec::new();
    for name in [service, "db"] {
        let output =
            Command::new("docker").args(["container", "inspect", &format!("{project}-{name}-1")]).output();
        texts.push(String::from_utf8(output.unwrap().stdout).unwrap());
    }
    let other: Value = serde_json::from_str(&texts[1]).unwrap();
    let id = other[0]["Id"].as_str().unwrap();
    let folder = {
        let container: Value = serde_json::from_str(&texts[0]).unwrap();
        let labels = &container[0]["Config"]["Labels"];
        labels["com.docker.compose.project.working_dir"].as_str().unwrap().to_owned()
    };
    let text = texts[0]
        .replace(id, "DB")
        .replace(&folder, "FOLDER")
        .replace(&format!("{project}-db-1"), "DB")
        .replace(project, "PROJECT");
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

/// Returns a part of a container's description, in one order, without what is empty and what envtree adds.
fn part_of(container: &Value, part: &str) -> Map<String, Value> {
    let mut part = container[part].as_object().unwrap().clone();
    part.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|entries| !entries.is_empty()));
    for value in part.values_mut() {
        if let Some(items) = value.as_array_mut() {
            items.sort_by_key(ToString::to_string);
        }
    }
    if let Some(variables) = part.get_mut("Env").and_then(Value::as_array_mut) {
        let own = ["WEB_", "ENVTREE_", "COMPOSE_PROJECT_NAME", "DB_"];
        variables.retain(|line| !own.iter().any(|prefix| line.as_str().unwrap().starts_with(prefix)));
    }
    if let Some(labels) = part.get_mut("Labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| key.starts_with("org.example."));
    }
    part
}
