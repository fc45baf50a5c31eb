//! One service of a project: what its container runs, mounts, publishes and waits for.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use crate::build::{Build, SecretText};
use crate::name::{NetworkName, ServiceName};

pub use as_written::AsWritten;
pub use deploy::{Deploy, DeployRestart, Placement, Reservations, ResourceLimits, Resources, UpdateConfig};
pub use develop::{Develop, Watch};
pub use grant::{Grant, Origin};
pub use hook::Hook;
pub use mount::{BindOptions, IdleSettings, Mount, MountSource, TmpfsOptions, VolumeOptions};
pub use replica::Replica;
pub use runtime::{
    Blkio, Device, DeviceRate, DeviceRequest, DeviceWeight, Limits, Logging, RuntimeOptions, Ulimit,
};

mod as_written;
mod deploy;
mod develop;
mod grant;
mod hook;
mod mount;
mod needs;
mod replica;
mod runtime;

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
    /// What a known server reads from files, by the variable that would say it, such as `POSTGRES_PASSWORD`, as far as
    /// that is known.
    #[serde(skip)]
    pub given: IndexMap<String, SecretText>,
    /// Variables that are named without a value and that nobody has set: the image's value does not count either.
    pub unset: Vec<String>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Ports exposed to other containers only, as `port` or `port/protocol`.
    pub expose: Vec<String>,
    /// Volumes, bind mounts and tmpfs mounts.
    pub mounts: Vec<Mount>,
    /// Containers whose mounts this one has too: `service[:mode]` or `container:name[:mode]`.
    pub volumes_from: Vec<String>,
    /// Configs that the container is given.
    pub configs: Vec<Grant>,
    /// Secrets that the container is given.
    pub secrets: Vec<Grant>,
    /// The networks that the container joins; the first is the one it is created on.
    pub networks: IndexMap<NetworkName, Attachment>,
    /// Whose network the container uses in place of networks: `host`, `none`, `bridge`, `service:…`, `container:…`.
    pub network_mode: Option<String>,
    /// Services under further names: `service[:alias]`.
    pub links: Vec<String>,
    /// Containers of elsewhere under further names: `container[:alias]`.
    pub external_links: Vec<String>,
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
    /// How many containers; absent means what `deploy` says, else one.
    pub scale: Option<u32>,
    /// What sets the containers after the first apart, once isolation chose it.
    #[serde(skip)]
    pub further: Arc<[Replica]>,
    /// How the service is deployed.
    pub deploy: Option<Deploy>,
    /// What happens while its files are worked on.
    pub develop: Option<Develop>,
    /// Whether its output is shown where the output of all services is.
    pub attach: Option<bool>,
    /// Where an account of Windows is described: `config`, `file` or `registry`. It is kept, and has no effect.
    pub credential_spec: IndexMap<String, String>,
    /// Commands that run in the container once it has started.
    pub post_start: Vec<Hook>,
    /// Commands that run in the container before it is stopped.
    pub pre_stop: Vec<Hook>,
    /// Settings that the Engine takes as they are.
    #[serde(flatten)]
    pub runtime: RuntimeOptions,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Port {
    /// The container's port.
    pub target: u16,
    /// The host's port: before isolation the file's wish, after it the reservation.
    pub published: Option<u16>,
    /// The last port of a range out of which the host's is chosen.
    pub published_last: Option<u16>,
    /// The host's address that the port is published on.
    pub host_ip: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The protocol spoken on the port, such as `http`.
    pub app_protocol: Option<String>,
    /// The name of the port, for people.
    pub name: Option<String>,
    /// `ingress` or `host`, which only a swarm tells apart.
    pub mode: Option<String>,
    /// Whether the file writes `0` for the host's port, which says as much as nothing.
    #[serde(skip)]
    pub writes_zero: bool,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

impl Port {
    /// Returns a TCP port of the container for which the file wishes nothing.
    pub fn new(target: u16) -> Self {
        Self {
            target,
            published: None,
            published_last: None,
            host_ip: None,
            protocol: Protocol::Tcp,
            app_protocol: None,
            name: None,
            mode: None,
            writes_zero: false,
            as_written: AsWritten::default(),
        }
    }
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

/// How a service joins a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Attachment {
    /// Further names of the service on this network; its own name is always one.
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<String>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<String>,
    /// Further addresses that hold on this link only.
    pub link_local_ips: Vec<String>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// Options of the network's driver.
    pub driver_opts: IndexMap<String, String>,
    /// The name of the interface in the container.
    pub interface_name: Option<String>,
    /// The rank of this network among those that the container may leave by, the highest first.
    pub gw_priority: Option<i64>,
    /// The rank of this network among those that the container joins, the highest first.
    pub priority: Option<i64>,
    /// Whether all names of the service are left out here, where others may bear them too.
    #[serde(skip)]
    pub nameless: bool,
    /// Names here of other containers, as `container:alias`; those of the service's links, once they are resolved.
    #[serde(skip)]
    pub links: Vec<String>,
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
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
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
    /// A list of another form that begins with `CMD`, `CMD-SHELL` or `NONE`, all of it: the Engine takes it as it is.
    Other(Vec<String>),
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
    /// When the Engine does not have it, or has had it for so long.
    Every(Duration),
}
