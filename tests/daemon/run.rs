//! `run`: one command in a container of its own, what it needs, and what is left of it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use crate::common::{Ran, Sandbox};
use crate::exec_and_logs::fed;
use crate::interruption::send;
use crate::pty::{INTERRUPT, Terminal};
use crate::stage::{done, environment, refused, sandbox_with};
use crate::support::{docker, inspect, port};

const COMPOSE: &str = "\
services:
  app:
    image: busybox:1
    command: sh -c 'echo the usual'
    init: true
    environment: { COLOUR: red, SHAPE: round }
    ports: ['80']
    volumes: ['data:/data']
    healthcheck: { disable: true }
    container_name: fixed
    depends_on: { cache: { condition: service_healthy } }
  cache:
    image: busybox:1
    command: sh -c 'echo cached >/index.html; exec httpd -f -p 80 -h /'
    init: true
    volumes: ['data:/data']
    healthcheck: { test: 'true', interval: 1s }
  tools:
    image: busybox:1
    command: echo tooled
    profiles: [tools]
  broken: { image: busybox:1, profiles: [tools], depends_on: [hidden] }
  hidden: { image: busybox:1, profiles: [nowhere] }
  other: { image: busybox:1, command: sleep inf, init: true }
volumes: { data: {} }
";

fn sandbox() -> Sandbox {
    sandbox_with(&[("compose.yaml", COMPOSE)])
}

/// Returns the names of the containers that were made for one command, stopped ones included.
fn one_offs(sandbox: &Sandbox) -> Vec<String> {
    let project = format!("label=com.docker.compose.project={}", sandbox.project("fix"));
    let filters = ["--filter", &project, "--filter", "label=com.docker.compose.oneoff=True"];
    let names = docker(&[&["ps", "--all", "--format", "{{.Names}}"][..], &filters].concat());
    names.lines().map(str::to_owned).collect()
}

/// Returns the services that run.
fn running(sandbox: &Sandbox) -> Vec<String> {
    let environment = environment(sandbox, "fix");
    let services = environment["services"].as_array().unwrap().iter();
    let running = services.filter(|service| service["state"] == "running");
    running.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
}

/// Runs a command that traps signals so, says `up` and goes on, and waits until it does.
fn going_on(sandbox: &Sandbox, trap: &str) -> (Child, BufReader<ChildStdout>) {
    let script = format!("trap '{trap}' TERM INT; echo up; while :; do sleep 0.1; done");
    let mut command = sandbox.envtree_with(&["run", "fix", "app", "--", "sh", "-c", &script]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    if line != "up\n" {
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        panic!("{line}{told}");
    }
    (child, output)
}

#[test]
fn a_command_gets_what_the_service_has_and_leaves_nothing() {
    let sandbox = sandbox();
    insta::assert_snapshot!(refused(&sandbox, 1, &["run", "fix", "app"]), @"
    exit status 1
    --- stderr
    error: no environment of this repository has the task `fix`
    hint: `envtree up fix` makes it
    note: this repository has no environments
    ");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let script = "cat; echo $COLOUR $SHAPE $ENVTREE_TASK; id -u; pwd; echo kept >/data/file; echo complaint >&2; exit 7";
    let options = ["run", "fix", "app", "-e", "COLOUR=blue", "--env", "MINE", "-u", "1000:0", "-w", "/tmp"];
    let mut command = sandbox.envtree_with(&[&options[..], &["-T", "--", "sh", "-c", script]].concat());
    let input = "a line of many\n".repeat(50_000);
    docker(&["exec", &sandbox.container("fix", "cache"), "chmod", "777", "/data"]);
    let output = fed(&mut command, &input);
    let expected = format!("{input}blue round fix\n1000\n/tmp\n");
    assert!(String::from_utf8(output.stdout).unwrap() == expected, "the output differs");
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("complaint\n"));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(one_offs(&sandbox), [""; 0]);
    assert_eq!(sandbox.inside("fix", "cache", &["cat", "/data/file"]), "kept");

    let run = |arguments: &[&str]| sandbox.run(&[&["run", "-q", "fix"], arguments].concat());
    assert_eq!(run(&["app"]).stdout, "the usual\n");
    assert_eq!(run(&["app", "--entrypoint", "echo only"]).stdout, "only\n");
    assert_eq!(run(&["app", "--volume", ".:/src:ro", "--", "ls", "/src/compose.yaml"]).status, Some(0));
    // A service that a profile hides.
    assert_eq!(run(&["tools"]).stdout, "tooled\n");
    assert_eq!(run(&["tools", "--", "no-such-program"]).status, Some(127));
    assert_eq!(one_offs(&sandbox), [""; 0]);
    insta::assert_snapshot!(run(&["tool"]), @"
    exit status 1
    --- stderr
    error: environment `sandbox-xxxxxxxx-fix` has no service `tool`
    hint: did you mean `tools`?
    note: there are: `app`, `broken`, `cache`, `hidden`, `other`, `tools`
    ");
    insta::assert_snapshot!(run(&["app", "-p", "x"]), @"
    exit status 1
    --- stderr
    error: `x` is not `[[address:]published:]target[/protocol]`
    ");
    insta::assert_snapshot!(run(&["app", "--volume", "none:/x"]), @"
    exit status 1
    --- stderr
    error: `--volume none:/x`: service `app`: `volumes[1]`: volume `none` is not declared under `volumes`
    ");
}

#[test]
fn the_containers_of_the_service_itself_are_left_alone() {
    let compose = "services:\n  web: { image: busybox:1, command: sleep 600, init: true, scale: 3 }\n";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    done(&sandbox, &["up", "fix"]);
    let before = sandbox.objects("fix");
    done(&sandbox, &["run", "fix", "web", "--", "true"]);
    done(&sandbox, &["run", "--no-deps", "fix", "web", "--", "true"]);
    assert_eq!(sandbox.objects("fix"), before);
    done(&sandbox, &["stop", "fix"]);
    done(&sandbox, &["run", "fix", "web", "--", "true"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "stopped");
}

#[test]
fn only_what_the_command_brings_about_is_warned_of() {
    let compose = COMPOSE.replace("command: sleep inf", "command: sleep inf, network_mode: host");
    let sandbox = sandbox_with(&[("compose.yaml", &compose)]);
    let warnings = |ran: &Ran| {
        let lines = ran.stderr.lines().filter(|line| line.starts_with("warning: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let up = warnings(&done(&sandbox, &["up", "fix", "--no-wait"]));
    assert!(
        up.iter().any(|warning| warning.contains("service `other` uses the host's own network")),
        "{up:?}"
    );
    assert_eq!(warnings(&done(&sandbox, &["run", "fix", "app"])), [""; 0]);
    let ran = done(&sandbox, &["run", "fix", "app", "--volume", "/etc/ssl:/ssl:ro"]);
    assert_eq!(
        warnings(&ran),
        [
            "warning: service `app` mounts `/etc/ssl`, which lies outside the worktree: every environment reads the same"
        ]
    );
}

#[test]
fn what_the_service_depends_on_is_brought_up_and_nothing_else() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    done(&sandbox, &["down", "fix"]);
    let ran = done(&sandbox, &["run", "fix", "--no-deps", "app", "--", "echo", "alone"]);
    assert_eq!(ran.stdout, "alone\n");
    assert_eq!(running(&sandbox), [""; 0]);
    let asked = done(&sandbox, &["run", "fix", "app", "--", "wget", "-q", "-O-", "http://cache/"]);
    assert_eq!(asked.stdout, "cached\n");
    assert_eq!(running(&sandbox), ["cache"]);
    let life = sandbox.lives("fix", &["cache"]);
    done(&sandbox, &["run", "fix", "app"]);
    assert_eq!(sandbox.lives("fix", &["cache"]), life);
    // What is made here is what `up` would have made.
    let up = sandbox.json(&["up", "fix", "--no-wait"]);
    assert_eq!(sandbox.lives("fix", &["cache"]), life, "{up}");
}

#[test]
fn ports_and_names_are_the_services_own_unless_they_are_asked_for() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    done(&sandbox, &["stop", "fix"]);
    let described = |arguments: &[&str]| {
        let all = [&["run", "-d", "fix", "app"], arguments, &["--", "sleep", "inf"]].concat();
        let name = sandbox.envtree_with(&all).output().unwrap();
        let name = String::from_utf8(name.stdout).unwrap().trim_end().to_owned();
        let found = inspect("container", &name);
        docker(&["rm", "--force", &name]);
        (name, found)
    };
    let (name, plain) = described(&[]);
    assert!(name.starts_with(&format!("{}-app-run-", sandbox.project("fix"))), "{name}");
    assert!(plain["HostConfig"]["PortBindings"].as_object().is_none_or(serde_json::Map::is_empty), "{plain}");
    assert_eq!(plain["HostConfig"]["RestartPolicy"]["Name"], "no");
    let network = format!("{}_default", sandbox.project("fix"));
    let names =
        |found: &serde_json::Value| found["NetworkSettings"]["Networks"][&network]["Aliases"].to_string();
    assert!(!names(&plain).contains("app") && !names(&plain).contains("fixed"), "{}", names(&plain));
    let own = port(&sandbox.json(&["status", "fix"]), "app");
    let (name, open) =
        described(&["--service-ports", "--use-aliases", "--name", &format!("{}-x", sandbox.project("fix"))]);
    assert_eq!(name, format!("{}-x", sandbox.project("fix")));
    assert_eq!(open["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"], own.to_string());
    assert!(names(&open).contains("\"app\""), "{}", names(&open));
    let (_, published) = described(&["-p", "81"]);
    assert_eq!(published["HostConfig"]["PortBindings"]["81/tcp"][0]["HostIp"], "127.0.0.1");
}

#[test]
fn signals_reach_the_command_and_a_second_one_kills_it() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    for signal in ["INT", "TERM"] {
        let (mut child, output) = going_on(&sandbox, "echo asked; exit 9");
        send(signal, child.id());
        assert_eq!(output.lines().map(Result::unwrap).collect::<Vec<_>>(), ["asked"]);
        assert_eq!(child.wait().unwrap().code(), Some(9));
        assert_eq!(one_offs(&sandbox), [""; 0]);
    }
    let (mut child, output) = going_on(&sandbox, "echo asked");
    let mut lines = output.lines().map(Result::unwrap);
    send("INT", child.id());
    assert_eq!(lines.next().unwrap(), "asked");
    send("INT", child.id());
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
    assert_eq!(one_offs(&sandbox), [""; 0]);
}

#[test]
fn what_a_killed_envtree_leaves_behind_is_removed_by_down_and_rm_and_once_it_has_ended_by_up() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let abandon = || {
        let (mut child, _output) = going_on(&sandbox, "echo asked; exit 9");
        send("KILL", child.id());
        child.wait().unwrap();
        one_offs(&sandbox)[0].clone()
    };
    let name = abandon();
    // It is none of the service's containers, and a running one is left alone.
    let services = environment(&sandbox, "fix")["services"].as_array().unwrap().len();
    assert_eq!(services, 3);
    done(&sandbox, &["up", "fix", "--no-wait", "--remove-orphans"]);
    done(&sandbox, &["stop", "fix", "app"]);
    assert_eq!(inspect("container", &name)["State"]["Running"], true);
    docker(&["kill", &name]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(one_offs(&sandbox), [""; 0]);
    // One that was to stay stays.
    done(&sandbox, &["run", "fix", "app", "--keep", "--name", &format!("{}-kept", sandbox.project("fix"))]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(one_offs(&sandbox).len(), 1);
    abandon();
    done(&sandbox, &["down", "fix"]);
    assert_eq!(one_offs(&sandbox), [""; 0]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    abandon();
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert_eq!(sandbox.objects("fix"), [""; 0]);
}

#[test]
fn a_name_that_another_container_has_is_refused_and_nothing_happens_to_that() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let foreign = format!("{}-foreign", sandbox.project("fix"));
    docker(&["run", "--detach", "--init", "--name", &foreign, "busybox:1", "sleep", "inf"]);
    let own = sandbox.container("fix", "cache");
    let kept = format!("{}-kept", sandbox.project("fix"));
    done(&sandbox, &["run", "fix", "app", "--keep", "--name", &kept]);
    let life = |name: &str| {
        let container = inspect("container", name);
        (
            container["Id"].clone(),
            container["State"]["StartedAt"].clone(),
            container["State"]["Status"].clone(),
        )
    };
    let lives = || [&foreign, &own, &kept].map(|name| life(name));
    let before = lives();
    for name in [&foreign, &own, &kept] {
        for further in [&["--no-deps"][..], &["--keep"]] {
            let run = [&["run", "fix", "app", "--name", name][..], further].concat();
            let told = refused(&sandbox, 1, &run).stderr;
            let taken = format!("error: a container named `{}` exists already\n", sandbox.redact(name));
            assert!(told.starts_with(&taken), "{told}");
        }
    }
    assert_eq!(lives(), before);
    docker(&["rm", "--force", &foreign]);
}

#[test]
fn a_command_at_a_terminal_has_one_that_is_left_as_it_was() {
    let sandbox = sandbox();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let script = "echo in''side; read line; stty size; echo got $line; cat; exit 4";
    let mut terminal = Terminal::new(&sandbox, 93, &["run", "fix", "app", "--", "sh", "-c", script]);
    terminal.wait_for("inside");
    terminal.press("it\r");
    terminal.wait_for("got it");
    // Ctrl-C is the command's own.
    terminal.press(INTERRUPT);
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("24 93"), "{shown}");
    assert_eq!(one_offs(&sandbox), [""; 0]);
}
