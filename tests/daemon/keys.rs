//! Keys of a Compose file whose effect only an Engine shows.

use std::path::PathBuf;

use crate::common::Sandbox;
use crate::compose_file::with_compose;
use crate::stage::IDLE;
use crate::support::{docker, inspect};

/// Returns the worktree of the task `one`, as the container of a service has it.
fn worktree(sandbox: &Sandbox, service: &str) -> PathBuf {
    let container = sandbox.look("one", service);
    container["Config"]["Labels"]["dev.envtree.worktree"].as_str().unwrap().into()
}

#[test]
fn configs_and_secrets_are_in_the_container_with_owner_and_mode() {
    let compose = "
services:
  web:
    image: busybox:1
    command: sleep 600
    configs:
      - { source: inline, target: /etc/app/inline.conf, uid: '103', gid: '104', mode: 0440 }
      - { source: file }
    secrets:
      - { source: variable, target: token }
configs:
  inline: { content: 'greeting: hello' }
  file: { file: ./app.conf }
secrets:
  variable: { environment: SECRET_OF_THE_TEST }
";
    let sandbox = with_compose(compose);
    sandbox.write("app.conf", "from a file\n");
    sandbox.write(".env", "SECRET_OF_THE_TEST=hush-hush\n");
    sandbox.git(&["add", "--force", "."]);
    sandbox.git(&["commit", "-qm", "Add a file and a variable"]);
    sandbox.up("one");
    let inside = |command: &str| sandbox.inside("one", "web", &["sh", "-c", command]);
    assert_eq!(inside("cat /etc/app/inline.conf").trim_end(), "greeting: hello");
    assert_eq!(inside("stat -c '%u:%g %a' /etc/app/inline.conf").trim_end(), "103:104 440");
    assert_eq!(inside("cat /file").trim_end(), "from a file");
    assert_eq!(inside("cat /run/secrets/token").trim_end(), "hush-hush");
    assert_eq!(inside("stat -c '%u:%g %a' /run/secrets/token").trim_end(), "0:0 444");
    let web = sandbox.look("one", "web");
    assert!(!web.to_string().contains("hush-hush"), "the secret is in the definition of the container");
    assert!(sandbox.json(&["up", "one", "--dry-run"])["steps"].as_array().is_none_or(Vec::is_empty));

    // A changed value makes a container that has it.
    std::fs::write(worktree(&sandbox, "web").join(".env"), "SECRET_OF_THE_TEST=whisper\n").unwrap();
    sandbox.up("one");
    assert_eq!(inside("cat /run/secrets/token").trim_end(), "whisper");
}

#[test]
fn a_config_without_content_is_refused_before_anything_is_made() {
    let sandbox = with_compose(
        "
services:
  web: { image: 'busybox:1', secrets: [token] }
secrets: { token: { environment: NOBODY_SETS_THIS } }
",
    );
    let said = sandbox.fail(1, &["up", "one"]);
    assert!(
        said.contains(
            "main:compose.yaml:4:21: secret `token` of service `web` has no content: `environment` names `NOBODY_SETS_THIS`, which is set neither in `.env` nor in the environment"
        ),
        "{said}"
    );
    assert!(sandbox.objects("one").is_empty());
}

#[test]
fn static_addresses_of_two_environments_stand_side_by_side() {
    let compose = "
services:
  web:
    image: busybox:1
    command: sleep 600
    networks: { back: { ipv4_address: 172.29.0.10 } }
  far:
    image: busybox:1
    command: sleep 600
    networks: { back: { ipv4_address: 172.29.77.10 } }
networks:
  back: { ipam: { config: [{ subnet: 172.29.0.0/16, gateway: 172.29.0.1 }] } }
";
    let sandbox = with_compose(compose);
    for task in ["one", "two"] {
        sandbox.up(task);
    }
    let address = |task: &str, service: &str| {
        let network = format!("{}_back", sandbox.project(task));
        let found = sandbox.look(task, service)["NetworkSettings"]["Networks"][&network]["IPAddress"].clone();
        found.as_str().unwrap().to_owned()
    };
    for task in ["one", "two"] {
        let network = inspect("network", &format!("{}_back", sandbox.project(task)));
        let gateway = network["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().to_owned();
        let subnet = gateway.rsplit_once('.').unwrap().0.to_owned();
        let last = |address: &str| address.rsplit_once('.').unwrap().1.parse::<u8>().unwrap();
        let web = address(task, "web");
        assert!(web.starts_with(&subnet), "{web} is not beside {gateway}");
        assert_eq!(last(&web), last(&gateway) + 9);
        assert!(address(task, "far").starts_with(&subnet));
        sandbox.inside(task, "far", &["ping", "-c", "1", "-W", "5", &web]);
    }
    assert_ne!(address("one", "web"), address("two", "web"));
}

#[test]
fn a_service_lives_in_the_network_of_another_and_follows_it() {
    let compose = |greeting: &str| {
        format!(
            "
services:
  vpn:
    image: busybox:1
    command: sleep 600
    environment: {{ GREETING: {greeting} }}
    volumes: [/shared]
  app:
    image: busybox:1
    command: sleep 600
    network_mode: service:vpn
    pid: service:vpn
    volumes_from: [vpn]
"
        )
    };
    let sandbox = with_compose(&compose("one"));
    sandbox.up("one");
    let container = |service: &str| sandbox.look("one", service)["Id"].as_str().unwrap().to_owned();
    let mode = |key: &str| sandbox.look("one", "app")["HostConfig"][key].as_str().unwrap().to_owned();
    assert_eq!(mode("NetworkMode"), format!("container:{}", container("vpn")));
    assert_eq!(mode("PidMode"), format!("container:{}", container("vpn")));
    let addresses = |service: &str| sandbox.inside("one", service, &["hostname", "-i"]);
    assert_eq!(addresses("app"), addresses("vpn"));
    sandbox.inside("one", "vpn", &["touch", "/shared/file"]);
    sandbox.inside("one", "app", &["test", "-e", "/shared/file"]);

    std::fs::write(worktree(&sandbox, "vpn").join("compose.yaml"), compose("two")).unwrap();
    let before = container("app");
    sandbox.up("one");
    assert_ne!(container("app"), before);
    assert_eq!(mode("NetworkMode"), format!("container:{}", container("vpn")));
    assert_eq!(addresses("app"), addresses("vpn"));
}

#[test]
fn hooks_run_in_the_container_after_its_start_and_before_its_stop() {
    let compose = "
services:
  web:
    image: busybox:1
    command: sleep 600
    volumes: ['notes:/notes']
    post_start:
      - { command: [sh, -c, 'echo started $$WHO >>/notes/log'], environment: { WHO: by-hook }, user: root }
    pre_stop:
      - { command: [sh, -c, 'echo stopping >>/notes/log'] }
  later:
    image: busybox:1
    command: sh -c 'cat /notes/log && exec sleep 600'
    volumes: ['notes:/notes']
    depends_on: [web]
volumes: { notes: {} }
";
    let sandbox = with_compose(compose);
    sandbox.up("one");
    let log = || sandbox.inside("one", "later", &["cat", "/notes/log"]);
    assert_eq!(log(), "started by-hook");
    sandbox.succeed(&["restart", "one", "web"]);
    assert_eq!(log(), "started by-hook\nstopping\nstarted by-hook");

    let failing = compose.replace("echo started", "echo not so >&2; exit 3; echo");
    std::fs::write(worktree(&sandbox, "web").join("compose.yaml"), failing).unwrap();
    let said = sandbox.fail(5, &["up", "one"]);
    let expected =
        "the post_start hook of container `sandbox-xxxxxxxx-one-web-1` ended with status 3: not so";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_service_whose_hooks_have_not_all_run_starts_anew() {
    let compose = "
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    post_start: [{ command: test -e /go }, { command: touch /hooked }]
";
    let sandbox = with_compose(compose);
    sandbox.fail(5, &["up", "one"]);
    sandbox.fail(5, &["up", "one"]);
    sandbox.inside("one", "web", &["touch", "/go"]);
    let answer = sandbox.up("one");
    assert_eq!(answer["environment"]["state"], "ready");
    sandbox.inside("one", "web", &["test", "-e", "/hooked"]);
    assert_eq!(sandbox.up("one")["operations"], 0);
    // What `start` could not bring to its end, `up` does.
    sandbox.inside("one", "web", &["rm", "/go", "/hooked"]);
    sandbox.fail(5, &["restart", "one"]);
    sandbox.inside("one", "web", &["touch", "/go"]);
    sandbox.up("one");
    sandbox.inside("one", "web", &["test", "-e", "/hooked"]);
}

#[test]
fn a_hook_that_keeps_a_service_from_stopping_has_a_way_out() {
    let compose = "
services:
  web:
    image: busybox:1
    init: true
    command: sleep 600
    pre_stop: [{ command: [sh, -c, 'echo not yet; exit 3'] }]
";
    let sandbox = with_compose(compose);
    sandbox.up("one");
    for command in [&["stop", "one"][..], &["down", "one"], &["rm", "one"]] {
        let said = sandbox.fail(5, command);
        assert!(said.contains("ended with status 3: not yet"), "{said}");
        assert!(said.contains("`docker stop sandbox-xxxxxxxx-one-web-1`; `envtree rm --force`"), "{said}");
    }
    let ran = sandbox.succeed(&["rm", "one", "--force"]);
    assert!(ran.stderr.contains("warning: the pre_stop hook of container"), "{ran}");
    assert_eq!(sandbox.objects("one"), Vec::<String>::new());
}

#[test]
fn what_an_engine_is_too_old_for_is_said_with_the_version() {
    let compose = "
services:
  web:
    image: busybox:1
    command: sleep 600
    volumes: [{ type: volume, source: data, target: /data, volume: { subpath: deep } }]
volumes: { data: {} }
";
    let api = docker(&["version", "--format", "{{.Server.APIVersion}}"]);
    let (major, minor) = api.trim().split_once('.').unwrap();
    let knows = (major.parse::<u16>().unwrap(), minor.parse::<u16>().unwrap()) >= (1, 45);
    let sandbox = with_compose(compose);
    let said = sandbox.fail(if knows { 5 } else { 1 }, &["up", "one"]);
    let expected = if knows {
        // The volume has no such folder.
        "deep".to_owned()
    } else {
        format!(
            "compose.yaml:6:15: service `web` asks for subpath of a volume, which needs Engine API 1.45; this Engine speaks {}",
            api.trim()
        )
    };
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_profile_of_seccomp_comes_from_a_file() {
    let compose = format!("{IDLE}    security_opt: ['seccomp:./profile.json']\n");
    let profile = r#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]
    }"#;
    let sandbox = with_compose(&compose);
    sandbox.write("profile.json", profile);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Add a profile"]);
    sandbox.up("one");
    let ran = sandbox.run(&["exec", "one", "app", "--", "mkdir", "/made"]);
    assert!(ran.stderr.contains("Operation not permitted"), "{ran}");
    assert_eq!(sandbox.up("one")["operations"], 0);
    // What the file says is part of what the service is.
    std::fs::write(worktree(&sandbox, "app").join("profile.json"), r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)
        .unwrap();
    sandbox.up("one");
    sandbox.inside("one", "app", &["mkdir", "/made"]);
}
