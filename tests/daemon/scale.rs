//! Services of several containers: each answers on a port of its own, and each is looked after by itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::common::Sandbox;
use crate::stage::{environment, sandbox_with, worktree};
use crate::support::{checked, docker, inspect};

/// Three servers that tell their host names and keep what they are given, and a client of theirs.
const COMPOSE: &str = "\
services:
  web:
    image: busybox:1
    command: sh -c 'hostname >/index.html; echo serving; exec httpd -f -p 80 -h /'
    init: true
    ports: ['8080:80']
    volumes: [/keep]
    deploy: { replicas: 3 }
  client:
    image: busybox:1
    command: sleep inf
    init: true
    depends_on: { web: { condition: service_healthy, required: false } }
";

fn sandbox() -> Sandbox {
    sandbox_with(&[("compose.yaml", COMPOSE)])
}

/// Returns what `status` tells of the containers of `web`.
fn webs(sandbox: &Sandbox, task: &str) -> Vec<Value> {
    let environment = environment(sandbox, task);
    let services = environment["services"].as_array().unwrap().iter();
    services.filter(|service| service["name"] == "web").cloned().collect()
}

fn ports(sandbox: &Sandbox, task: &str) -> Vec<u16> {
    let port = |web: &Value| u16::try_from(web["ports"][0]["published"].as_u64().unwrap()).unwrap();
    webs(sandbox, task).iter().map(port).collect()
}

fn container(sandbox: &Sandbox, task: &str, number: u32) -> String {
    format!("{}-web-{number}", sandbox.project(task))
}

fn id(sandbox: &Sandbox, task: &str, number: u32) -> Value {
    inspect("container", &container(sandbox, task, number))["Id"].clone()
}

/// Returns the page that the server behind a host port gives: the beginning of its container's id.
fn page(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.rsplit("\r\n\r\n").next().unwrap().trim().to_owned()
}

/// Returns what a shell wrote in the container of that number.
fn within(sandbox: &Sandbox, number: u32, line: &str) -> String {
    let number = number.to_string();
    checked(&mut sandbox.envtree_with(&["exec", "fix", "web", "--index", &number, "--", "sh", "-c", line]))
}

fn variables(sandbox: &Sandbox) -> Value {
    sandbox.json(&["env", "fix"])["variables"].clone()
}

/// Returns the environment's containers of `web` that exist, by name.
fn existing(sandbox: &Sandbox, task: &str) -> BTreeSet<String> {
    let prefix = format!("{}-web-", sandbox.project(task));
    sandbox.objects(task).into_iter().filter(|name| name.starts_with(&prefix)).collect()
}

fn named(sandbox: &Sandbox, numbers: &[u32]) -> BTreeSet<String> {
    numbers.iter().map(|number| container(sandbox, "fix", *number)).collect()
}

#[test]
fn each_container_answers_on_a_port_of_its_own() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let ports = ports(&sandbox, "fix");
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 3, "{ports:?}");
    let variables = variables(&sandbox);
    for (number, port) in (1..).zip(&ports) {
        let id = id(&sandbox, "fix", number);
        assert!(id.as_str().unwrap().starts_with(&page(*port)), "{id} on {port}");
        let name = if number == 1 { "WEB_PORT".to_owned() } else { format!("WEB_{number}_PORT") };
        assert_eq!(variables[&name], port.to_string(), "{variables}");
        let labels = inspect("container", &container(&sandbox, "fix", number))["Config"]["Labels"].clone();
        assert_eq!(labels["com.docker.compose.container-number"], number.to_string());
    }
    assert_eq!(sandbox.up("fix")["operations"], 0);
}

#[test]
fn the_name_of_the_service_leads_to_every_container_and_variables_to_each() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let told = sandbox.inside("fix", "client", &["nslookup", "web"]);
    let addresses: BTreeSet<String> = (1..=3)
        .map(|number| {
            let container = inspect("container", &container(&sandbox, "fix", number));
            let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
            networks.values().next().unwrap()["IPAddress"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(addresses.len(), 3);
    for address in &addresses {
        assert!(told.lines().any(|line| line.ends_with(address)), "{address}: {told}");
    }
    let page = "wget -qO- http://$WEB_3_HOST:$WEB_3_PORT";
    let page = sandbox.inside("fix", "client", &["sh", "-c", page]);
    assert!(id(&sandbox, "fix", 3).as_str().unwrap().starts_with(page.trim()), "{page}");
}

#[test]
fn scaling_takes_the_last_containers_and_gives_them_back_with_port_and_data() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let (before, first) = (ports(&sandbox, "fix"), id(&sandbox, "fix", 1));
    within(&sandbox, 3, "echo third >/keep/note");
    sandbox.succeed(&["up", "fix", "--scale", "web=1"]);
    assert_eq!(existing(&sandbox, "fix"), named(&sandbox, &[1]));
    assert_eq!(ports(&sandbox, "fix"), before[..1]);
    assert!(variables(&sandbox)["WEB_2_PORT"].is_null());

    sandbox.succeed(&["up", "fix", "--scale", "web=4"]);
    assert_eq!(existing(&sandbox, "fix"), named(&sandbox, &[1, 2, 3, 4]));
    let grown = ports(&sandbox, "fix");
    assert_eq!(grown[..3], before[..]);
    assert_eq!(variables(&sandbox)["WEB_4_PORT"], grown[3].to_string());
    assert_eq!(within(&sandbox, 3, "cat /keep/note"), "third");
    // A command of its own changes no number.
    sandbox.succeed(&["run", "-q", "fix", "client", "--", "true"]);
    assert_eq!(variables(&sandbox)["WEB_4_PORT"], grown[3].to_string());
    assert_eq!(ports(&sandbox, "fix"), grown);

    // Without a word about it, the file's number holds again.
    sandbox.up("fix");
    assert_eq!(existing(&sandbox, "fix"), named(&sandbox, &[1, 2, 3]));
    assert_eq!(id(&sandbox, "fix", 1), first);
}

#[test]
fn a_service_without_containers_keeps_nobody_waiting() {
    let sandbox = sandbox();
    let compose = COMPOSE.replace("replicas: 3", "replicas: 0").replace(", required: false", "");
    sandbox.write("compose.yaml", &compose);
    sandbox.git(&["commit", "-qam", "Do without servers"]);
    let answer = sandbox.up("fix");
    assert_eq!(answer["environment"]["state"], "ready", "{answer}");
    assert!(existing(&sandbox, "fix").is_empty());
    sandbox.succeed(&["up", "fix", "--scale", "web=2"]);
    assert_eq!(ports(&sandbox, "fix").into_iter().map(page).collect::<BTreeSet<_>>().len(), 2);
    sandbox.up("fix");
    assert!(existing(&sandbox, "fix").is_empty());
}

#[test]
fn a_changed_definition_makes_every_container_again_each_with_its_own_data() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let before: Vec<Value> = (1..=3).map(|number| id(&sandbox, "fix", number)).collect();
    let client = sandbox.lives("fix", &["client"]);
    for number in 1..=3 {
        within(&sandbox, number, &format!("echo {number} >/keep/note"));
    }
    let changed = COMPOSE.replace("    volumes:", "    environment: { COLOUR: green }\n    volumes:");
    fs::write(worktree(&sandbox, "fix").join("compose.yaml"), changed).unwrap();
    sandbox.up("fix");
    for (number, before) in (1..).zip(&before) {
        assert_ne!(id(&sandbox, "fix", number), *before);
        assert_eq!(within(&sandbox, number, "echo $COLOUR; cat /keep/note"), format!("green\n{number}"));
    }
    assert_eq!(sandbox.lives("fix", &["client"]), client);
}

#[test]
fn what_happens_to_one_container_is_mended_in_that_one() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let ids = || -> Vec<Value> { (1..=3).map(|number| id(&sandbox, "fix", number)).collect() };
    let (before, reserved) = (ids(), ports(&sandbox, "fix"));
    docker(&["rm", "--force", &container(&sandbox, "fix", 2)]);
    let shown = sandbox.succeed(&["status", "fix"]).stdout;
    assert!(shown.contains("web-2   missing"), "{shown}");
    assert!(shown.contains("is degraded"), "{shown}");

    assert_eq!(sandbox.up("fix")["operations"], 2);
    let after = ids();
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_ne!(after[1], before[1]);
    assert_eq!(ports(&sandbox, "fix"), reserved);
    page(reserved[1]);
}

#[test]
fn a_port_that_a_stranger_took_moves_that_container_alone() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let (before, reserved) = ([1, 3].map(|number| id(&sandbox, "fix", number)), ports(&sandbox, "fix"));
    docker(&["stop", "--time", "0", &container(&sandbox, "fix", 2)]);
    let _listener = TcpListener::bind(("127.0.0.1", reserved[1])).unwrap();
    let told = sandbox.fail(1, &["up", "fix"]);
    assert!(told.contains("service `web`") && told.contains("--reassign-ports"), "{told}");

    sandbox.succeed(&["up", "fix", "--reassign-ports"]);
    let moved = ports(&sandbox, "fix");
    assert_eq!((moved[0], moved[2]), (reserved[0], reserved[2]));
    assert_ne!(moved[1], reserved[1]);
    assert!(id(&sandbox, "fix", 2).as_str().unwrap().starts_with(&page(moved[1])));
    assert_eq!([1, 3].map(|number| id(&sandbox, "fix", number)), before);
}

#[test]
fn two_environments_of_several_containers_do_not_collide() {
    let sandbox = sandbox();
    for task in ["fix", "other"] {
        sandbox.succeed(&["up", task, "--scale", "web=2"]);
    }
    let all: Vec<u16> = ["fix", "other"].iter().flat_map(|task| ports(&sandbox, task)).collect();
    assert_eq!(all.iter().map(|port| page(*port)).collect::<BTreeSet<_>>().len(), 4, "{all:?}");
    sandbox.succeed(&["rm", "fix", "--yes", "--force"]);
    assert_eq!(sandbox.objects("fix"), Vec::<String>::new());
    assert_eq!(ports(&sandbox, "other"), all[2..]);
    page(all[3]);
}

#[test]
fn every_command_reaches_every_container() {
    let sandbox = sandbox();
    let hooked =
        COMPOSE.replace("    volumes:", "    post_start: [{ command: touch /started }]\n    volumes:");
    sandbox.write("compose.yaml", &hooked);
    sandbox.git(&["commit", "-qam", "Note the start"]);
    sandbox.up("fix");
    let states = || -> Vec<Value> { webs(&sandbox, "fix").iter().map(|web| web["state"].clone()).collect() };
    for number in 1..=3 {
        within(&sandbox, number, "test -e /started");
    }
    let lines = sandbox.succeed(&["logs", "fix", "web"]).stdout;
    for number in 1..=3 {
        assert!(lines.lines().any(|line| line == format!("web-{number} | serving")), "{lines}");
    }
    sandbox.succeed(&["stop", "fix", "web"]);
    assert_eq!(states(), ["exited"; 3]);
    sandbox.succeed(&["start", "fix", "web"]);
    assert_eq!(states(), ["running"; 3]);
    sandbox.succeed(&["restart", "fix", "web"]);
    let pages: BTreeSet<String> = ports(&sandbox, "fix").into_iter().map(page).collect();
    assert_eq!(pages.len(), 3, "{pages:?}");
    let listed = sandbox.succeed(&["ls"]).stdout;
    assert!(listed.contains(" 2/2 "), "{listed}");
    sandbox.succeed(&["down", "fix"]);
    assert!(existing(&sandbox, "fix").is_empty());
}

#[test]
fn a_lost_state_is_rebuilt_with_the_port_of_every_container() {
    let sandbox = sandbox();
    sandbox.up("fix");
    let before = ports(&sandbox, "fix");
    let home = sandbox.repository().parent().unwrap().join("home");
    fs::remove_file(home.join("state/envtree/environments.json")).unwrap();
    assert_eq!(sandbox.up("fix")["operations"], 0);
    assert_eq!(ports(&sandbox, "fix"), before);
}

#[test]
fn what_several_containers_cannot_share_is_refused_before_anything_is_made() {
    let sandbox = sandbox();
    sandbox.write("compose.yaml", &COMPOSE.replace("  client:\n", "  client:\n    container_name: one\n"));
    sandbox.git(&["commit", "-qam", "Name the client"]);
    let told = sandbox.fail(1, &["up", "fix", "--scale", "client=2"]);
    assert!(
        told.contains("service `client` cannot have 2 containers: `container_name: one` is a name for one"),
        "{told}"
    );
    let told = sandbox.fail(1, &["up", "fix", "--scale", "wed=2"]);
    assert!(told.contains("has no service `wed`") && told.contains("`web`"), "{told}");
    sandbox.fail(2, &["up", "fix", "--scale", "web"]);

    let fixed = "networks: { default: { ipv4_address: 172.28.0.9 } }\n    volumes:";
    let subnet = "networks: { default: { ipam: { config: [{ subnet: 172.28.0.0/16 }] } } }\n";
    sandbox.write("compose.yaml", &(COMPOSE.replace("volumes:", fixed) + subnet));
    sandbox.git(&["commit", "-qam", "Fix an address"]);
    let told = sandbox.fail(1, &["up", "fix"]);
    let place = "main:compose.yaml:7:28: service `web`: `networks.default`: ";
    assert!(told.contains(&format!("{place}3 containers cannot share the address 172.28.0.9")), "{told}");
    assert_eq!(sandbox.objects("fix"), Vec::<String>::new());
    sandbox.succeed(&["up", "fix", "--scale", "web=1"]);
    let told = sandbox.fail(1, &["exec", "fix", "web", "--index", "2", "--", "true"]);
    assert!(told.contains("has no container 2") && told.contains("it has container 1"), "{told}");

    let before = reserved(&sandbox);
    sandbox.fail(1, &["up", "fix", "--scale", "web=2"]);
    assert_eq!(reserved(&sandbox), before);
}

/// Returns what the state keeps of the only environment, but for its last failure.
fn reserved(sandbox: &Sandbox) -> Value {
    let home = sandbox.repository().parent().unwrap().join("home");
    let text = fs::read_to_string(home.join("state/envtree/environments.json")).unwrap();
    let mut record = serde_json::from_str::<Value>(&text).unwrap()["environments"][0].take();
    record.as_object_mut().unwrap().remove("last_failure");
    record
}
