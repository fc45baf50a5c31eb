//! What one container is doing, in full.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum, EndpointSettings,
    Health as EngineHealth, HealthStatusEnum, PortMap,
};
use envtree_core::observed::{ContainerState, Health};
use envtree_core::service::HealthTest;
use indexmap::IndexMap;

/// One container as the Engine sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetail {
    /// The Engine's id.
    pub id: String,
    /// The name without the leading slash.
    pub name: String,
    /// What it is doing.
    pub state: ContainerState,
    /// The exit status of the last run; 0 while it runs.
    pub exit_code: i64,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// Why the Engine could not start or stop it, if it could not.
    pub error: Option<String>,
    /// Docker's health state, if the container has a health check.
    pub health: Option<Health>,
    /// The output of the last health check, trimmed.
    pub last_health_output: Option<String>,
    /// The exit status of the last health check.
    pub last_health_code: Option<i64>,
    /// When it was last started, as RFC 3339; absent if never.
    pub started_at: Option<String>,
    /// When it last ended, as RFC 3339; absent if never.
    pub finished_at: Option<String>,
    /// The host's addresses and ports by target (`5432/tcp`); empty unless it runs.
    pub ports: IndexMap<String, Vec<PublishedPort>>,
    /// Its addresses by network name; empty unless it runs.
    pub addresses: IndexMap<String, IpAddr>,
    /// The health check in force, the image's included.
    pub health_test: Option<HealthTest>,
    /// The health check as a command that can be run by hand; absent if there is none.
    pub health_command: Option<Vec<String>>,
    /// The words of its process, those of the entrypoint first; the image's where nothing else is set.
    pub process: Vec<String>,
    /// The user that its process runs as, if one is set.
    pub user: Option<String>,
    /// The variables that its process was started with, the image's included. They hold secrets.
    pub environment: Variables,
    /// Whether it has a pseudo-terminal: its output is then one raw stream.
    pub tty: bool,
    /// How often the Engine has restarted it.
    pub restart_count: i64,
}

/// A port of the host that leads into a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublishedPort {
    /// The host's address; `0.0.0.0` and `::` are all of them.
    pub host_ip: String,
    /// The host's port.
    pub port: u16,
}

/// Environment variables, whose values no debug output shows.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Variables(pub IndexMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.0.keys()).finish()
    }
}

/// Turns the Engine's answer into plain data.
pub(crate) fn container_detail(answer: ContainerInspectResponse) -> ContainerDetail {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let network = answer.network_settings.unwrap_or_default();
    let last_check = state.health.as_ref().and_then(|health| health.log.as_ref()?.last());
    let test = config.healthcheck.and_then(|check| check.test);
    let health_test = test.as_deref().and_then(health_test);
    ContainerDetail {
        id: answer.id.unwrap_or_default(),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        state: container_state(&state),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        last_health_output: last_check
            .map(|check| check.output.as_deref().unwrap_or_default().trim().to_owned()),
        last_health_code: last_check.and_then(|check| check.exit_code),
        health: state.health.as_ref().and_then(health),
        error: state.error.filter(|error| !error.is_empty()),
        started_at: state.started_at.filter(|time| is_time(time)),
        finished_at: state.finished_at.filter(|time| is_time(time)),
        ports: published_ports(network.ports.unwrap_or_default()),
        addresses: addresses(network.networks.unwrap_or_default()),
        health_command: health_test.as_ref().and_then(|test| health_command(test, config.shell)),
        health_test,
        process: config.entrypoint.into_iter().chain(config.cmd).flatten().collect(),
        user: config.user.filter(|user| !user.is_empty()),
        environment: Variables(variables(config.env.unwrap_or_default())),
        tty: config.tty.unwrap_or_default(),
        restart_count: answer.restart_count.unwrap_or_default(),
    }
}

/// The Engine writes the zero of Go's clock for a time that never came.
fn is_time(text: &str) -> bool {
    !text.is_empty() && !text.starts_with("0001-01-01")
}

fn container_state(state: &EngineState) -> ContainerState {
    use ContainerStateStatusEnum as Status;
    match state.status {
        // The container still runs while its stop signal has not taken effect.
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::EXITED) => ContainerState::Exited,
        Some(Status::DEAD) => ContainerState::Dead,
        Some(Status::CREATED | Status::EMPTY) | None => ContainerState::Created,
    }
}

fn health(health: &EngineHealth) -> Option<Health> {
    match health.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

fn published_ports(ports: PortMap) -> IndexMap<String, Vec<PublishedPort>> {
    let mut published: IndexMap<_, _> = ports
        .into_iter()
        .map(|(target, bindings)| {
            let bindings = bindings.unwrap_or_default();
            let bindings = bindings.into_iter().filter_map(|binding| {
                Some(PublishedPort {
                    port: binding.host_port?.parse().ok()?,
                    host_ip: binding.host_ip.unwrap_or_default(),
                })
            });
            (target, bindings.collect::<Vec<_>>())
        })
        .filter(|(_, bindings)| !bindings.is_empty())
        .collect();
    published.sort_keys();
    published
}

fn addresses(networks: HashMap<String, EndpointSettings>) -> IndexMap<String, IpAddr> {
    let mut addresses: IndexMap<_, _> = networks
        .into_iter()
        .filter_map(|(network, endpoint)| {
            let v4 = endpoint.ip_address.and_then(|address| address.parse().ok());
            let v6 = endpoint.global_ipv6_address.and_then(|address| address.parse().ok());
            Some((network, v4.or(v6)?))
        })
        .collect();
    addresses.sort_keys();
    addresses
}

fn health_test(test: &[String]) -> Option<HealthTest> {
    match test {
        [kind, command @ ..] if kind == "CMD" && !command.is_empty() => {
            Some(HealthTest::Cmd(command.to_vec()))
        }
        [kind, line] if kind == "CMD-SHELL" => Some(HealthTest::Shell(line.clone())),
        [kind, ..] if kind == "NONE" => Some(HealthTest::None),
        [kind, ..] if kind == "CMD" || kind == "CMD-SHELL" => Some(HealthTest::Other(test.to_vec())),
        _ => None,
    }
}

/// A line is run by the image's `SHELL`, as the Engine does it.
fn health_command(test: &HealthTest, shell: Option<Vec<String>>) -> Option<Vec<String>> {
    let words = match test {
        HealthTest::None => return None,
        HealthTest::Cmd(command) => return Some(command.clone()),
        HealthTest::Shell(line) => std::slice::from_ref(line),
        // A shell without a line, or no command at all, cannot be run.
        HealthTest::Other(words) => {
            words.strip_prefix(&["CMD-SHELL".to_owned()]).filter(|rest| !rest.is_empty())?
        }
    };
    let shell = shell.filter(|shell| !shell.is_empty());
    let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    command.extend_from_slice(words);
    Some(command)
}

fn variables(lines: Vec<String>) -> IndexMap<String, String> {
    lines
        .into_iter()
        .map(|line| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (line, String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> ContainerInspectResponse {
        let answer = json!({
            "Id": "4f1c", "Name": "/shop-db-1", "RestartCount": 2,
            "State": {
                "Status": "running", "ExitCode": 0, "OOMKilled": false, "Error": "",
                "StartedAt": "2026-11-21T06:48:01.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
                "Health": {"Status": "unhealthy", "Log": [
                    {"ExitCode": 0, "Output": "fine\n"},
                    {"ExitCode": 2, "Output": "no response\n"},
                ]},
            },
            "Config": {
                "Env": ["POSTGRES_PASSWORD=hunter2"], "Tty": false, "User": "",
                "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"],
                "Healthcheck": {"Test": ["CMD-SHELL", "pg_isready"]},
            },
            "NetworkSettings": {
                "Ports": {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20014"}], "80/tcp": null},
                "Networks": {"shop-front": {"IPAddress": "172.18.0.2"}},
            },
        });
        serde_json::from_value(answer).unwrap()
    }

    #[test]
    fn an_inspected_container_becomes_plain_data() {
        let detail = container_detail(answer());
        insta::assert_debug_snapshot!(detail, @r#"
        ContainerDetail {
            id: "4f1c",
            name: "shop-db-1",
            state: Running,
            exit_code: 0,
            oom_killed: false,
            error: None,
            health: Some(
                Unhealthy,
            ),
            last_health_output: Some(
                "no response",
            ),
            last_health_code: Some(
                2,
            ),
            started_at: Some(
                "2026-11-21T06:48:01.5Z",
            ),
            finished_at: None,
            ports: {
                "5432/tcp": [
                    PublishedPort {
                        host_ip: "127.0.0.1",
                        port: 20014,
                    },
                ],
            },
            addresses: {
                "shop-front": 172.18.0.2,
            },
            health_test: Some(
                Shell(
                    "pg_isready",
                ),
            ),
            health_command: Some(
                [
                    "/bin/sh",
                    "-c",
                    "pg_isready",
                ],
            ),
            process: [
                "docker-entrypoint.sh",
                "postgres",
            ],
            user: None,
            environment: [
                "POSTGRES_PASSWORD",
            ],
            tty: false,
            restart_count: 2,
        }
        "#);
    }

    #[test]
    fn a_line_of_a_check_is_run_by_the_shell_of_the_image() {
        let line = HealthTest::Shell("pg_isready".to_owned());
        let bash = ["/bin/bash", "-c"].map(str::to_owned).to_vec();
        assert_eq!(health_command(&line, Some(bash)).unwrap(), ["/bin/bash", "-c", "pg_isready"]);
        assert_eq!(health_command(&line, None).unwrap(), ["/bin/sh", "-c", "pg_isready"]);
        assert_eq!(health_command(&HealthTest::None, None), None);
        let test = |words: &[&str]| {
            health_test(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let further = health_command(&test(&["CMD-SHELL", "echo $0", "a"]), None);
        assert_eq!(further.unwrap(), ["/bin/sh", "-c", "echo $0", "a"]);
        for words in [&["CMD"][..], &["CMD-SHELL"], &["NONE", "a"]] {
            assert_eq!(health_command(&test(words), None), None, "{words:?}");
        }
    }
}
