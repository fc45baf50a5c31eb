//! Somebody else takes a reserved port: who it is, what to run, and that this moves that port alone.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::{Ran, Sandbox};
use crate::stage::{WEB, answer, containers, done, environment, port, sandbox_with, worktree};
use crate::support::{SOON, docker, eventually};

/// Two services that answer HTTP, and an env file that git ignores.
const TWO: &str = "
  other:
    image: busybox:1
    command: httpd -f -p 80
    init: true
    ports: ['80']
";

/// A service whose start the test decides: `web` waits until a file appears in the worktree.
const GATE: &str = "
    depends_on: { gate: { condition: service_healthy } }
  gate:
    image: busybox:1
    command: sleep inf
    init: true
    volumes: ['./gate:/gate']
    healthcheck: { test: [CMD, test, -e, /gate/open], interval: 1s, retries: 1000 }
";

const HINT: &str = "hint: `envtree up fix --reassign-ports` picks others";

fn sandbox(more: &str) -> Sandbox {
    sandbox_with(&[
        ("compose.yaml", &(WEB.trim_end().to_owned() + more)),
        ("envtree.yaml", "env: { file: .env.local }\n"),
        (".gitignore", ".env.local\ngate/open\n"),
        ("gate/.keep", ""),
    ])
}

/// Binds a TCP port in this process; nothing where the machine has no such address of the new kind.
fn listen(address: &str, port: u16) -> Option<TcpListener> {
    let listener = TcpListener::bind((address, port));
    assert!(listener.is_ok() || address.contains(':'), "{address}:{port}: {listener:?}");
    listener.ok()
}

/// Returns this process as a message names it.
fn own_process() -> String {
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    format!("process {} (`{}`)", std::process::id(), name.trim_end())
}

/// Returns what a command that must fail wrote, as it is: a process id can look like what is masked.
#[track_caller]
fn refusal(sandbox: &Sandbox, status: i32, arguments: &[&str]) -> String {
    let output = sandbox.envtree_with(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "envtree {arguments:?}: {told}");
    told
}

/// Moves the port of `web`, and checks that nothing else moved and that everybody is told.
#[track_caller]
fn reassign(sandbox: &Sandbox) {
    let reserved = port(sandbox, "fix", "web");
    let others = published(sandbox, "other");
    done(sandbox, &["up", "fix", "--reassign-ports"]);
    assert_ne!(port(sandbox, "fix", "web"), reserved);
    assert_eq!(published(sandbox, "other"), others);
    assert_told(sandbox);
    let moved = port(sandbox, "fix", "web");
    assert_eq!(answer(sandbox, &["up", "fix"])["operations"], 0);
    assert_eq!(port(sandbox, "fix", "web"), moved);
}

/// Checks that `web` answers where env file and `envtree env` say.
#[track_caller]
fn assert_told(sandbox: &Sandbox) {
    let published = port(sandbox, "fix", "web");
    let line = format!("WEB_PORT={published}");
    let file = fs::read_to_string(worktree(sandbox, "fix").join(".env.local")).unwrap();
    assert!(file.lines().any(|found| found == line), "{line}: {file}");
    let output = sandbox.envtree_with(&["env", "fix"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.lines().any(|found| found == line), "{line}: {told}");
    TcpStream::connect(("127.0.0.1", published)).unwrap();
}

/// Returns the host ports of a service, none where the environment lacks it.
fn published(sandbox: &Sandbox, service: &str) -> Vec<Value> {
    let environment = environment(sandbox, "fix");
    let services = environment["services"].as_array().unwrap().iter();
    let own = services.filter(|found| found["name"] == service);
    own.map(|found| found["ports"][0]["published"].clone()).collect()
}

/// A container that envtree knows nothing of.
pub(crate) struct Stranger(pub(crate) String);

impl Stranger {
    /// Runs a server with these options of `docker run`, and waits until it listens on `port`.
    pub(crate) fn new(sandbox: &Sandbox, options: &[&str], listen: &str, port: u16) -> Self {
        let name = format!("{}-stranger", sandbox.project("fix"));
        let run = ["run", "--detach", "--rm", "--init", "--name", &name];
        docker(&[&run, options, &["busybox:1", "httpd", "-f", "-p", listen]].concat());
        let stranger = Self(name);
        eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), SOON);
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let removed = Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output();
        assert!(std::thread::panicking() || removed.unwrap().status.success(), "{} is left", self.0);
    }
}

/// Starts `up`, and returns it once all that is left is to start `web`; returns the port of `web` too.
fn before_web(sandbox: &Sandbox, arguments: &[&str]) -> (Child, u16) {
    let mut command = sandbox.envtree_with(arguments);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let gate = sandbox.container("fix", "gate");
    eventually(|| !docker(&["ps", "--quiet", "--filter", &format!("name=^{gate}$")]).is_empty(), SOON);
    (running, port(sandbox, "fix", "web"))
}

/// Lets `web` start, and returns how `up` ended.
fn open(sandbox: &Sandbox, running: Child) -> (Ran, String) {
    fs::write(worktree(sandbox, "fix").join("gate/open"), "").unwrap();
    let output = running.wait_with_output().unwrap();
    (sandbox.ran(&output), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_taken_port_is_told_with_its_holder_and_what_to_run() {
    let sandbox = sandbox(TWO);
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["down", "fix"]);
    let _listener = listen("127.0.0.1", port(&sandbox, "fix", "web"));
    let told = refusal(&sandbox, 1, &["up", "fix"]);
    assert_eq!(containers(&sandbox), "");
    let told = sandbox.redact(&told.replace(&own_process(), "process [pid] (`[name]`)"));
    insta::assert_snapshot!(told, @"
    error: port 2####, reserved for service `web`, is taken by process [pid] (`[name]`)
    hint: `envtree up fix --reassign-ports` picks others
    note: nothing was started
    ");
}

#[test]
fn a_port_taken_on_any_address_is_refused_by_up_start_and_restart() {
    let sandbox = sandbox(TWO);
    done(&sandbox, &["up", "fix"]);
    let reserved = port(&sandbox, "fix", "web");
    done(&sandbox, &["stop", "fix"]);
    // Docker would publish on 127.0.0.1 beside some of these, but `localhost` could lead to the stranger.
    for address in ["0.0.0.0", "127.0.0.1", "127.0.0.2", "::1", "::"] {
        let Some(_listener) = listen(address, reserved) else { continue };
        for command in ["up", "start", "restart"] {
            let told = refusal(&sandbox, 1, &[command, "fix"]);
            let expected =
                format!("port {reserved}, reserved for service `web`, is taken by {}", own_process());
            assert!(told.contains(&expected) && told.contains(HINT), "{command}, {address}: {told}");
            assert_eq!(containers(&sandbox), "", "{command}, {address}");
        }
        // The other service lacks nothing.
        done(&sandbox, &["start", "fix", "other"]);
        done(&sandbox, &["stop", "fix", "other"]);
    }
    done(&sandbox, &["start", "fix"]);
    assert_eq!(port(&sandbox, "fix", "web"), reserved);
    assert_told(&sandbox);
}

#[test]
fn a_port_taken_while_the_environment_sleeps_is_moved_on_request() {
    let sandbox = sandbox(TWO);
    done(&sandbox, &["up", "fix"]);
    for (sleep, address) in [("down", "0.0.0.0"), ("stop", "127.0.0.1"), ("stop", "::1")] {
        done(&sandbox, &[sleep, "fix"]);
        let listener = listen(address, port(&sandbox, "fix", "web"));
        if listener.is_some() {
            reassign(&sandbox);
        }
    }
}

#[test]
fn a_running_service_keeps_its_port_whoever_listens_beside_it() {
    let sandbox = sandbox("");
    done(&sandbox, &["up", "fix"]);
    let reserved = port(&sandbox, "fix", "web");
    let _listener = listen("127.0.0.2", reserved);
    assert_eq!(answer(&sandbox, &["up", "fix", "--reassign-ports"])["operations"], 0);
    done(&sandbox, &["restart", "fix"]);
    assert_eq!(port(&sandbox, "fix", "web"), reserved);
    assert_told(&sandbox);
}

#[test]
fn a_port_that_a_process_takes_before_the_start_is_told_and_moved_on_request() {
    let sandbox = sandbox(GATE);
    let (running, reserved) = before_web(&sandbox, &["up", "fix"]);
    let _listener = listen("127.0.0.1", reserved);
    let (ran, told) = open(&sandbox, running);
    assert_eq!(ran.status, Some(5), "{ran}");
    let hint = format!(
        "hint: {} holds port {reserved}; `envtree up fix --reassign-ports` picks another port",
        own_process()
    );
    assert!(told.contains(&hint), "{told}");
    assert!(ran.stderr.contains("hint: `envtree up fix` continues from here"), "{ran}");
    // The container that could not start exists, and publishes the old port.
    for command in ["up", "start"] {
        let told = refusal(&sandbox, 1, &[command, "fix"]);
        assert!(told.contains(&own_process()) && told.contains(HINT), "{command}: {told}");
    }
    reassign(&sandbox);
}

#[test]
fn a_port_that_a_container_takes_before_the_start_is_told_and_moved_on_request() {
    let sandbox = sandbox(GATE);
    let (running, reserved) = before_web(&sandbox, &["up", "fix"]);
    let publish = format!("127.0.0.1:{reserved}:80");
    let stranger = Stranger::new(&sandbox, &["--publish", &publish], "80", reserved);
    let (ran, told) = open(&sandbox, running);
    assert_eq!(ran.status, Some(5), "{ran}");
    assert!(told.contains(&format!("hint: container `{}` holds port {reserved}; ", stranger.0)), "{told}");
    reassign(&sandbox);
}

#[test]
fn an_up_that_may_move_ports_moves_one_that_is_taken_before_the_start() {
    let sandbox = sandbox(GATE);
    let (running, reserved) = before_web(&sandbox, &["up", "fix", "--reassign-ports"]);
    let _listener = listen("0.0.0.0", reserved);
    let (ran, _) = open(&sandbox, running);
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_ne!(port(&sandbox, "fix", "web"), reserved);
    assert_told(&sandbox);
}

#[test]
fn a_container_that_took_the_port_is_named_however_it_did() {
    let sandbox = sandbox(TWO);
    done(&sandbox, &["up", "fix"]);
    for way in ["0.0.0.0", "127.0.0.1", "host"] {
        done(&sandbox, &["stop", "fix"]);
        let reserved = port(&sandbox, "fix", "web");
        let (publish, listen) = (format!("{way}:{reserved}:80"), format!("127.0.0.1:{reserved}"));
        let stranger = match way {
            "host" => Stranger::new(&sandbox, &["--network", "host"], &listen, reserved),
            _ => Stranger::new(&sandbox, &["--publish", &publish], "80", reserved),
        };
        for command in ["up", "start"] {
            let told = refusal(&sandbox, 1, &[command, "fix"]);
            let expected = format!("is taken by container `{}`", stranger.0);
            assert!(told.contains(&expected) && told.contains(HINT), "{way}, {command}: {told}");
        }
        reassign(&sandbox);
    }
}

#[test]
fn a_taken_udp_port_is_told_as_one_and_moved_and_a_tcp_port_of_its_number_is_another() {
    let compose =
        "services:\n  dns: { image: 'busybox:1', command: sleep inf, init: true, ports: ['53/udp'] }\n";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    done(&sandbox, &["up", "fix"]);
    let reserved = port(&sandbox, "fix", "dns");
    done(&sandbox, &["stop", "fix"]);
    let tcp = listen("127.0.0.1", reserved);
    done(&sandbox, &["start", "fix"]);
    done(&sandbox, &["stop", "fix"]);
    drop(tcp);
    for address in ["127.0.0.1", "0.0.0.0"] {
        let _socket = UdpSocket::bind((address, reserved)).unwrap();
        for command in ["up", "start"] {
            let told = refusal(&sandbox, 1, &[command, "fix"]);
            let expected =
                format!("port {reserved}/udp, reserved for service `dns`, is taken by {}", own_process());
            assert!(told.contains(&expected) && told.contains(HINT), "{told}");
        }
    }
    let _socket = UdpSocket::bind(("0.0.0.0", reserved)).unwrap();
    done(&sandbox, &["up", "fix", "--reassign-ports"]);
    assert_ne!(port(&sandbox, "fix", "dns"), reserved);
}

#[test]
fn the_port_of_an_app_that_a_program_elsewhere_has_is_named_and_moves_on_request() {
    let sandbox = sandbox_with(&[
        ("compose.yaml", WEB),
        ("envtree.yaml", "apps: { dev: { port: 3000 } }\nenv: { file: .env.local }\n"),
        (".gitignore", ".env.local\n"),
    ]);
    let app = |sandbox: &Sandbox| environment(sandbox, "fix")["apps"][0]["port"].as_u64().unwrap();
    done(&sandbox, &["up", "fix"]);
    let reserved = app(&sandbox);
    let _listener = listen("127.0.0.1", u16::try_from(reserved).unwrap());
    let told = refusal(&sandbox, 0, &["up", "fix"]);
    let warning = format!("warning: port {reserved}, reserved for app `dev`, is taken by {};", own_process());
    assert!(told.contains(&warning), "{told}");
    assert_eq!(app(&sandbox), reserved);
    done(&sandbox, &["up", "fix", "--reassign-ports"]);
    let moved = app(&sandbox);
    assert_ne!(moved, reserved);
    let file = fs::read_to_string(worktree(&sandbox, "fix").join(".env.local")).unwrap();
    assert!(file.contains(&format!("DEV_PORT={moved}\n")), "{file}");
    // A program of the worktree's own is where it should be; this one has the socket for its standard input.
    let socket = std::os::fd::OwnedFd::from(listen("127.0.0.1", u16::try_from(moved).unwrap()).unwrap());
    let mut sleep = Command::new("sleep");
    let mut own = sleep.arg("100").stdin(socket).current_dir(worktree(&sandbox, "fix")).spawn().unwrap();
    // It holds the socket of its child's.
    drop(sleep);
    let told = refusal(&sandbox, 0, &["up", "fix", "--reassign-ports"]);
    own.kill().unwrap();
    own.wait().unwrap();
    assert!(!told.contains("is taken"), "{told}");
    assert_eq!(app(&sandbox), moved);
}
