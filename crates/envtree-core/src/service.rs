//! One service of a project: what its container runs, mounts, publishes and waits for.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use crate::build::Build;
use crate::name::{NetworkName, ServiceName, VolumeName};

/// A service of a project.
///
/// Field names are Compose's. An absent option leaves the choice to the image or the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Service {
    /// The image reference as it is written; empty before isolation where the file only says how it is built.
    pub image: String,
    /// How the image is built; absent if it is only pulled.
    pub build: Option<Build>,
    /// Arguments in place of the image's `CMD`; an empty list clears it.
    pub command: Option<Vec<String>>,
    /// Program in place of the image's `ENTRYPOINT`; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables, `env_file` included.
    pub environment: IndexMap<String, String>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Ports exposed to other containers only, as `port` or `port/protocol`.
    pub expose: Vec<String>,
    /// Volumes, bind mounts and tmpfs mounts.
    pub mounts: Vec<Mount>,
    /// The networks that the container joins; the first is the one it is created on.
    pub networks: IndexMap<NetworkName, Attachment>,
    /// The health check; absent means the image's own.
    pub health_check: Option<HealthCheck>,
    /// Services that must come first.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// What the Engine does when the container exits.
    pub restart: RestartPolicy,
    /// Labels of the file, and after isolation also Compose's and envtree's.
    pub labels: IndexMap<String, String>,
    /// User (and group) that the process runs as.
    pub user: Option<String>,
    /// Working directory inside the container.
    pub working_dir: Option<String>,
    /// The container's name, if the file fixes it or isolation chose it.
    pub container_name: Option<String>,
    /// The container's own host name.
    pub hostname: Option<String>,
    /// When the image is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// `os/architecture[/variant]` of the image.
    pub platform: Option<String>,
    /// Profiles that enable the service; none means always.
    pub profiles: Vec<String>,
    /// Settings that the Engine takes as they are.
    #[serde(flatten)]
    pub runtime: RuntimeOptions,
}

/// Settings of a container that need no decision: the Engine takes them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RuntimeOptions {
    /// Whether an init process reaps children.
    pub init: Option<bool>,
    /// Whether the container gets a pseudo-terminal.
    pub tty: bool,
    /// Whether standard input stays open.
    pub stdin_open: bool,
    /// Whether the container has all privileges.
    pub privileged: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities removed.
    pub cap_drop: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Groups that the process joins.
    pub group_add: Vec<String>,
    /// Lines for `/etc/hosts`: `host:address`.
    pub extra_hosts: Vec<String>,
    /// DNS servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// Kernel parameters.
    pub sysctls: IndexMap<String, String>,
    /// Resource limits of processes.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Signal that asks the process to stop.
    pub stop_signal: Option<String>,
    /// How long the process may take to stop before it is killed.
    pub stop_grace_period: Option<Duration>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<i64>,
    /// Memory limit in bytes.
    pub mem_limit: Option<i64>,
}

/// A soft and a hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// The limit that a process may raise to `hard`.
    pub soft: i64,
    /// The limit that holds in any case.
    pub hard: i64,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Port {
    /// The container's port.
    pub target: u16,
    /// The host's port: before isolation the file's wish, after it the reservation.
    pub published: Option<u16>,
    /// The host's address that the port is published on.
    pub host_ip: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The protocol spoken on the port, such as `http`.
    pub app_protocol: Option<String>,
    /// The name of the port, for people.
    pub name: Option<String>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, which the Engine publishes but envtree cannot probe.
    Sctp,
}

impl Protocol {
    /// Returns the word that Compose and the Engine use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The absolute path inside the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
    /// What is mounted.
    #[serde(flatten)]
    pub source: MountSource,
}

/// What a mount brings into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountSource {
    /// A volume.
    Volume {
        /// The key under `volumes:`; absent for an anonymous volume.
        volume: Option<VolumeName>,
        /// Whether the image's content at the target is left out of a fresh volume.
        nocopy: bool,
    },
    /// A file or folder of the host.
    Bind {
        /// The absolute path on the host.
        path: String,
        /// Whether a missing path is made, as a folder.
        create_host_path: bool,
        /// How mounts propagate, in the Engine's words.
        propagation: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// The largest size in bytes.
        size: Option<i64>,
        /// The mode of the folder, such as `0o1777`.
        mode: Option<u32>,
    },
}

/// How a service joins a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Attachment {
    /// Further names of the service on this network; its own name is always one.
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<String>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<String>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HealthCheck {
    /// What is run; absent keeps the image's command and changes only the timing.
    pub test: Option<HealthTest>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time after which a check has failed.
    pub timeout: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
    /// Time during which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks during the start period.
    pub start_interval: Option<Duration>,
}

/// The command of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthTest {
    /// No check, the image's neither.
    None,
    /// A program with its arguments.
    Cmd(Vec<String>),
    /// A line for the container's shell.
    Shell(String),
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Whether a missing or failed dependency is an error rather than a warning.
    pub required: bool,
    /// Whether the dependent restarts when its dependency is recreated or restarted.
    pub restart: bool,
}

/// A condition of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The container runs.
    ServiceStarted,
    /// The health check passes.
    ServiceHealthy,
    /// The container has exited with status 0.
    ServiceCompletedSuccessfully,
}

impl Condition {
    /// Returns Compose's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// What the Engine does when a container exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Restart whatever happens.
    Always,
    /// Restart after a failure, at most so many times if a number is given.
    OnFailure(Option<u32>),
    /// Restart unless it was stopped by hand.
    UnlessStopped,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Whenever the service is brought up.
    Always,
    /// When the Engine does not have it.
    Missing,
    /// Never: a missing image is an error.
    Never,
    /// It is not: the image is built whenever the service is brought up.
    Build,
}
