//! A repository's own Compose file: every key that it uses takes effect, and what cannot is said with its place.

use std::fs;

use serde_json::{Value, json};

use crate::common::Sandbox;
use crate::support::{SOON, docker, eventually, inspect};

/// A sandbox with a Compose file.
pub(crate) fn with_compose(compose: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", compose);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Describe the services"]);
    sandbox
}

#[test]
fn a_container_is_what_its_service_says() {
    let compose = r#"
services:
  web:
    image: busybox:1
    entrypoint: [sh, -c]
    command: ["umask 0; pwd >/tmp/where; exec sleep 600"]
    init: true
    environment: { GREETING: "hello ${NAME:-world}", LEVEL: from compose }
    env_file: web.env
    labels: { org.example.colour: red }
    user: "33:33"
    working_dir: /var
    restart: unless-stopped
    container_name: shop
    hostname: shopkeeper
    healthcheck:
      test: [CMD, test, -e, /tmp/where]
      interval: 1s
      timeout: 2s
      retries: 7
      start_period: 3s
"#;
    let sandbox = with_compose(compose);
    sandbox.write("web.env", "LEVEL=from file\nCOLOUR=red\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Add variables"]);
    sandbox.up("one");

    let web = sandbox.look("one", "web");
    let config = &web["Config"];
    // Podman writes the name in full.
    assert!(config["Image"].as_str().unwrap().ends_with("busybox:1"));
    assert_eq!(config["Entrypoint"], json!(["sh", "-c"]));
    assert_eq!(config["Hostname"], "shopkeeper");
    assert_eq!(config["Labels"]["org.example.colour"], "red");
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "test", "-e", "/tmp/where"]));
    assert_eq!(config["Healthcheck"]["Retries"], 7);
    // `up` runs the check itself, sooner than the Engine does.
    eventually(|| sandbox.look("one", "web")["State"]["Health"]["Status"] == "healthy", SOON);
    assert_eq!(web["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(sandbox.inside("one", "web", &["cat", "/tmp/where"]), "/var");
    assert_eq!(sandbox.inside("one", "web", &["sh", "-c", "id -u; id -g"]), "33\n33");
    let variables = ["GREETING", "LEVEL", "COLOUR", "ENVTREE_TASK"];
    let set = variables.map(|name| sandbox.inside("one", "web", &["sh", "-c", &format!("echo ${name}")]));
    assert_eq!(set, ["hello world", "from compose", "red", "one"]);
    // The fixed name cannot be had twice on an Engine: it lives on as a name on the network.
    let address =
        web["NetworkSettings"]["Networks"][format!("{}_default", sandbox.project("one"))]["IPAddress"]
            .as_str()
            .unwrap();
    assert!(sandbox.inside("one", "web", &["nslookup", "shop"]).contains(address));

    carries_the_labels_of_compose(&sandbox, config);
}

fn carries_the_labels_of_compose(sandbox: &Sandbox, config: &Value) {
    let label = |name: &str| config["Labels"][format!("com.docker.compose.{name}")].clone();
    assert_eq!(label("project"), sandbox.project("one"));
    assert_eq!(label("service"), "web");
    assert_eq!(label("container-number"), "1");
    assert_eq!(label("oneoff"), "False");
    assert!(label("config-hash").is_string());
    let worktree = sandbox.json(&["status", "one"])["environment"]["worktree"].clone();
    assert_eq!(label("project.working_dir"), worktree);
    assert_eq!(label("project.config_files"), format!("{}/compose.yaml", worktree.as_str().unwrap()));
}

#[test]
fn every_form_of_a_port_is_published_at_a_port_of_its_own() {
    let compose = r#"
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    ports:
      - "8000"
      - "80:8001"
      - "0.0.0.0:81:8002"
      - "53:8003/udp"
      - "9000-9002:8004-8006"
      - { target: 8007, published: "443", protocol: tcp, host_ip: 127.0.0.1 }
"#;
    let sandbox = with_compose(compose);
    sandbox.json(&["up", "one", "--no-wait"]);
    let bindings = sandbox.look("one", "web")["NetworkSettings"]["Ports"].clone();
    let bindings = bindings.as_object().unwrap();
    let targets =
        ["8000/tcp", "8001/tcp", "8002/tcp", "8003/udp", "8004/tcp", "8005/tcp", "8006/tcp", "8007/tcp"];
    assert_eq!(bindings.keys().collect::<Vec<_>>(), targets);
    let addresses = targets.map(|target| bindings[target][0]["HostIp"].as_str().unwrap());
    let loopback = "127.0.0.1";
    let expected = [loopback, loopback, "0.0.0.0", loopback, loopback, loopback, loopback, loopback];
    assert_eq!(addresses, expected);
    let mut published = targets.map(|target| bindings[target][0]["HostPort"].as_str().unwrap().to_owned());
    assert!(published.iter().all(|port| port.len() == 5 && port.starts_with('2')), "{published:?}");
    published.sort();
    assert!(published.windows(2).all(|pair| pair[0] != pair[1]), "{published:?}");
}

#[test]
fn every_kind_of_mount_is_mounted() {
    let compose = r"
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    volumes:
      - data:/data
      - ./site:/site:ro
      - /scratch
      - { type: bind, source: ./made, target: /made, bind: { create_host_path: true } }
      - { type: tmpfs, target: /memory, tmpfs: { size: 1048576 } }
    tmpfs: /cache
volumes:
  data: { labels: { colour: red } }
";
    let sandbox = with_compose(compose);
    sandbox.write("site/index.html", "hello\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Add a site"]);
    let answer = sandbox.up("one");
    let worktree = answer["environment"]["worktree"].as_str().unwrap();

    let web = sandbox.look("one", "web");
    let mounts = web["Mounts"].as_array().unwrap();
    let mount = |target: &str| mounts.iter().find(|mount| mount["Destination"] == target).unwrap();
    assert_eq!(mount("/data")["Name"], format!("{}_data", sandbox.project("one")));
    assert_eq!(mount("/site")["Source"], format!("{worktree}/site"));
    assert_eq!(mount("/site")["RW"], false);
    // What nothing names is found again, and removed, by the name that it gets.
    assert!(mount("/scratch")["Name"].as_str().unwrap().starts_with(&sandbox.project("one")));
    assert_eq!(mount("/made")["Source"], format!("{worktree}/made"));
    assert_eq!(inspect("volume", &format!("{}_data", sandbox.project("one")))["Labels"]["colour"], "red");
    let kinds = sandbox.inside("one", "web", &["sh", "-c", "grep -cE ' /(memory|cache) tmpfs' /proc/mounts"]);
    assert_eq!(kinds, "2");

    // The files are those of the worktree, not of the main one, and both sides see a change at once.
    fs::write(format!("{worktree}/site/index.html"), "changed\n").unwrap();
    assert_eq!(sandbox.inside("one", "web", &["cat", "/site/index.html"]), "changed");
    sandbox.inside("one", "web", &["touch", "/made/from-inside"]);
    assert!(fs::exists(format!("{worktree}/made/from-inside")).unwrap());
    assert_eq!(sandbox.run(&["exec", "one", "web", "--", "touch", "/site/x"]).status, Some(1));
}

#[test]
fn networks_are_joined_with_their_aliases_and_addresses() {
    let compose = r#"
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    networks: { front: {}, back: {} }
  cache:
    image: redis:8
    networks:
      back: { aliases: [store], ipv4_address: 172.28.0.10 }
      shared: {}
  lonely:
    image: busybox:1
    init: true
    command: sleep 600
    networks: [front]
networks:
  front: { internal: true }
  back: { ipam: { config: [{ subnet: 172.28.0.0/24 }] } }
  shared: { external: true, name: "${SHARED_NETWORK}" }
"#;
    // It goes last, when no container is on it any more.
    let network = ExternalNetwork::new();
    let sandbox = with_compose(compose);
    sandbox.write(".env", &format!("SHARED_NETWORK={}\n", network.0));
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Name the network"]);
    let refused = sandbox.fail(1, &["up", "one"]);
    assert!(refused.starts_with("error: main:compose.yaml:21:13: network `shared` is external"), "{refused}");
    network.create();

    // Two environments of one file, whose fixed address and subnet only one could have.
    for task in ["one", "two"] {
        sandbox.up(task);
        let cache = sandbox.look(task, "cache")["NetworkSettings"]["Networks"].clone();
        let back = format!("{}_back", sandbox.project(task));
        assert!(cache[&network.0].is_object() && cache[&back].is_object(), "{cache}");
        assert_eq!(cache.as_object().unwrap().len(), 2);
        let address = cache[&back]["IPAddress"].as_str().unwrap();
        let subnet = inspect("network", &back)["IPAM"]["Config"][0]["Subnet"].clone();
        let subnet = subnet.as_str().unwrap().rsplit_once('.').unwrap().0.to_owned();
        assert!(address.starts_with(&subnet) && !address.starts_with("172.28."), "{address} in {subnet}");
        for name in ["cache", "store"] {
            let found = sandbox.inside(task, "web", &["nslookup", name]);
            assert!(found.contains(address), "{found}");
        }
        assert_eq!(sandbox.look(task, "web")["NetworkSettings"]["Networks"].as_object().unwrap().len(), 2);
        assert_eq!(inspect("network", &format!("{}_front", sandbox.project(task)))["Internal"], true);
        let lonely = sandbox.run(&["exec", task, "lonely", "--", "ping", "-c1", "-W1", "cache"]);
        assert_eq!(lonely.status, Some(1), "{lonely}");
    }
    sandbox.succeed(&["rm", "one", "two"]);
    inspect("network", &network.0);
}

/// A network that envtree does not own; dropping it removes it.
struct ExternalNetwork(String);

impl ExternalNetwork {
    /// Chooses a name that no other run has.
    fn new() -> Self {
        Self(format!("envtree-test-shared-{}", std::process::id()))
    }

    fn create(&self) {
        let subnet = format!("10.199.{}.0/28", std::process::id() % 256);
        docker(&["network", "create", "--subnet", &subnet, &self.0]);
    }
}

impl Drop for ExternalNetwork {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["network", "rm", &self.0]).output();
    }
}

#[test]
fn services_start_when_what_they_depend_on_is_started_healthy_or_done() {
    let compose = r#"
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    depends_on:
      migrate: { condition: service_completed_successfully }
      cache: { condition: service_started }
  migrate:
    image: postgres:17
    entrypoint: [psql, "postgres://postgres:secret@db/postgres", -c, CREATE TABLE note ()]
    depends_on: { db: { condition: service_healthy } }
  db:
    image: postgres:17
    environment: { POSTGRES_PASSWORD: secret }
    healthcheck: { test: pg_isready -h 127.0.0.1 -U postgres, interval: 500ms, retries: 60 }
  cache: { image: redis:8 }
"#;
    let sandbox = with_compose(compose);
    let answer = sandbox.up("one");
    assert_eq!(answer["environment"]["state"], "ready", "{answer}");

    let time =
        |service: &str, key: &str| sandbox.look("one", service)["State"][key].as_str().unwrap().to_owned();
    let healthy =
        sandbox.look("one", "db")["State"]["Health"]["Log"].as_array().unwrap().iter().any(|check| {
            check["ExitCode"] == 0 && check["Start"].as_str().unwrap() < time("web", "StartedAt").as_str()
        });
    assert!(healthy);
    assert!(time("migrate", "StartedAt") > time("db", "StartedAt"));
    assert!(time("web", "StartedAt") > time("migrate", "FinishedAt"));
    assert!(time("web", "StartedAt") > time("cache", "StartedAt"));
    assert_eq!(sandbox.look("one", "migrate")["State"]["ExitCode"], 0);
    assert_eq!(sandbox.up("one")["operations"], 0, "what is done is not done again");
}

#[test]
fn a_dependency_that_fails_is_told_with_what_it_wrote() {
    let compose = r#"
services:
  web: { image: busybox:1, init: true, command: sleep 600, depends_on: { job: { condition: service_completed_successfully } } }
  job: { image: busybox:1, command: "sh -c 'echo no such table >&2; exit 3'" }
"#;
    let sandbox = with_compose(compose);
    let mut ran = sandbox.run(&["up", "one", "-q"]);
    // What had been done by then depends on who was faster.
    ran.stderr = ran.stderr.split("note: ").next().unwrap().to_owned();
    insta::assert_snapshot!(ran, @"
    exit status 5
    --- stderr
    error: cannot bring up environment `sandbox-xxxxxxxx-one`
      caused by: service `job` exited with status 3
      output: no such table
    hint: `envtree up one` continues from here, `envtree status one` shows what there is
    ");
    assert_eq!(sandbox.look("one", "web")["State"]["Status"], "created");
    assert_eq!(sandbox.look("one", "job")["State"]["ExitCode"], 3);
}

#[test]
fn what_a_compose_file_may_not_say_is_told_with_its_place() {
    let sandbox = with_compose("services:\n  web:\n    image: busybox:1\n    comand: sleep 600\n");
    insta::assert_snapshot!(sandbox.run(&["up", "one"]), @"
    exit status 1
    --- stderr
    error: main:compose.yaml:4:5: service `web`: `comand` is not a known key; did you mean `command`?
    ");
    assert_eq!(sandbox.objects("one"), [""; 0]);

    let worth_a_warning =
        "services:\n  web:\n    image: busybox:1\n    command: sleep 600\n    init: true\n    cpu_count: 2\n";
    sandbox.write("compose.yaml", worth_a_warning);
    sandbox.git(&["commit", "-qam", "Mend it"]);
    insta::assert_snapshot!(sandbox.succeed(&["up", "one"]).warnings(), @"warning: main:compose.yaml:6:5: service `web`: `cpu_count` has no effect: only an Engine on Windows knows it");
    assert_eq!(sandbox.look("one", "web")["State"]["Running"], true);
}

#[test]
fn config_shows_the_names_and_ports_that_up_would_use() {
    let sandbox = with_compose(
        "services: { cache: { image: redis:8, ports: ['6379:6379'], volumes: ['data:/data'] } }\nvolumes: { data: }\n",
    );
    let answer = sandbox.up("one");
    let shown = sandbox.succeed(&["config", "one"]).stdout;
    let project = sandbox.redact(&sandbox.project("one"));
    for line in [
        format!("name: {project}"),
        format!("    container_name: {project}-cache-1"),
        format!("    name: {project}_data"),
        format!("    name: {project}_default"),
        "        published: \"2####\"".to_owned(),
        "        host_ip: \"127.0.0.1\"".to_owned(),
    ] {
        assert!(shown.lines().any(|found| found == line), "no `{line}` in\n{shown}");
    }

    // What it shows is a Compose file: read by envtree itself, it is the same project again.
    let worktree = answer["environment"]["worktree"].as_str().unwrap();
    let raw = String::from_utf8(sandbox.envtree_with(&["config", "one"]).output().unwrap().stdout).unwrap();
    fs::write(format!("{worktree}/shown.yaml"), &raw).unwrap();
    let file = format!("{worktree}/shown.yaml");
    let read = sandbox.succeed(&["-C", worktree, "--file", &file, "config", "one"]).stdout;
    // A fixed name of a container is an alias for the reader, and hashes and file names are the reader's own.
    let own = ["config_files", "config-hash", "default:", "aliases:", "          - sandbox-"];
    let stable = |text: &str| {
        let lines = text.lines().filter(|line| !own.iter().any(|part| line.contains(part)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(stable(&read), stable(&shown));
    let raw = sandbox.succeed(&["config", "one", "--raw"]).stdout;
    assert!(raw.contains("published: \"6379\"") && !raw.contains("dev.envtree"), "{raw}");
}
