//! What a dev container's configuration can say, as typed values named after the specification's properties.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::lifecycle::{Command, Stage};
use super::mount::ParsedMount;
use crate::compose_file::node::Place;
use crate::service::Port;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// The content of a `devcontainer.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct DevContainer {
    /// Its name, for people.
    pub name: Option<String>,
    /// What the container is made from.
    pub kind: Kind,
    /// The folder inside the container in which tools begin.
    pub workspace_folder: Option<String>,
    /// The mount that brings the files in.
    pub workspace_mount: WorkspaceMount,
    /// Flags of `docker run`.
    pub run_args: Vec<Placed<String>>,
    /// Ports that are published.
    pub app_port: Vec<Placed<Port>>,
    /// The command that runs on the host.
    pub initialize_command: Option<Command>,
    /// Features by their ids, with their options as they are written.
    pub features: IndexMap<String, Json>,
    /// The order in which features are installed.
    pub override_feature_install_order: Vec<String>,
    /// Secrets that the author recommends, by the variables that hold them.
    pub secrets: IndexMap<String, Secret>,
    /// What the label of an image can say too.
    pub properties: Properties,
}

/// How the files of the worktree come into a dev container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WorkspaceMount {
    /// In the way that is usual: nothing is said about it.
    #[default]
    Usual,
    /// Not by a mount of the configuration: an empty text is said.
    Absent,
    /// By this mount.
    Written(Box<ParsedMount>),
}

/// What a dev container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An image.
    Image(String),
    /// A Dockerfile.
    Dockerfile(DockerfileBuild),
    /// A service of a Compose project.
    Compose(ComposeService),
}

/// How an image is built from a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerfileBuild {
    /// The Dockerfile, relative to the folder of the configuration.
    pub dockerfile: String,
    /// The context, relative to the folder of the configuration; that folder if absent.
    pub context: Option<String>,
    /// Build arguments.
    pub args: IndexMap<String, String>,
    /// The stage that becomes the image.
    pub target: Option<String>,
    /// Flags of `docker build`.
    pub options: Vec<Placed<String>>,
    /// Images whose steps are taken from a cache.
    pub cache_from: Vec<String>,
}

/// The service of a Compose project that a dev container is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComposeService {
    /// The Compose files, relative to the folder of the configuration; empty where Compose's defaults are meant.
    pub docker_compose_file: Vec<String>,
    /// The service that tools connect to.
    pub service: String,
    /// The services that are started beside it; all if absent.
    pub run_services: Option<Vec<String>>,
}

/// A secret that a dev container can use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secret {
    /// What it is for.
    pub description: Option<String>,
    /// Where that is explained.
    pub documentation_url: Option<String>,
}

/// What a `devcontainer.json`, a feature and the label of an image can say alike.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// Whether an init process reaps children.
    pub init: Option<bool>,
    /// Whether the container has all privileges.
    pub privileged: Option<bool>,
    /// Capabilities that are added.
    pub cap_add: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// What is mounted.
    pub mounts: Vec<Placed<ParsedMount>>,
    /// Commands by the stage at which they run; none for [`Stage::Initialize`], and none that does nothing.
    pub commands: IndexMap<Stage, Command>,
    /// The last stage that a tool waits for before it connects.
    pub wait_for: Option<Stage>,
    /// Settings of tools, as they are written.
    pub customizations: IndexMap<String, Json>,
    /// The user that the container runs as.
    pub container_user: Option<String>,
    /// The user that tools and lifecycle commands run as.
    pub remote_user: Option<String>,
    /// Which shell tells the variables of the user.
    pub user_env_probe: Option<UserEnvProbe>,
    /// Variables of tools and lifecycle commands; one without a value is unset.
    pub remote_env: IndexMap<String, Option<String>>,
    /// Variables of the container.
    pub container_env: IndexMap<String, String>,
    /// Whether the container sleeps in place of its image's command.
    pub override_command: Option<bool>,
    /// Attributes of ports, by port, range or expression.
    pub ports_attributes: IndexMap<String, PortAttributes>,
    /// Attributes of all other ports.
    pub other_ports_attributes: Option<PortAttributes>,
    /// Ports that are reachable from the host.
    pub forward_ports: Vec<Placed<ForwardedPort>>,
    /// What happens when the last tool disconnects.
    pub shutdown_action: Option<ShutdownAction>,
    /// Whether the remote user gets the numbers of the host's user.
    pub update_remote_user_uid: Option<bool>,
    /// What the host must have.
    pub host_requirements: Option<HostRequirements>,
}

/// A port that is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardedPort {
    /// A port of the dev container itself.
    Own(u16),
    /// A port of another host on its network, such as a service.
    Of {
        /// The host's name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Which shell is asked for the variables that the user's own files set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserEnvProbe {
    /// None.
    None,
    /// A login shell.
    LoginShell,
    /// An interactive login shell.
    #[default]
    LoginInteractiveShell,
    /// An interactive shell.
    InteractiveShell,
}

impl UserEnvProbe {
    /// Every probe, by its word.
    pub const WORDS: [(&str, Self); 4] = [
        ("none", Self::None),
        ("loginShell", Self::LoginShell),
        ("loginInteractiveShell", Self::LoginInteractiveShell),
        ("interactiveShell", Self::InteractiveShell),
    ];

    /// Returns the flags with which a shell runs a command, nothing if none is asked.
    pub fn shell_flags(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::LoginShell => Some("-lc"),
            Self::LoginInteractiveShell => Some("-lic"),
            Self::InteractiveShell => Some("-ic"),
        }
    }
}

/// What happens when the last tool disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownAction {
    /// Nothing.
    None,
    /// The container stops.
    StopContainer,
    /// All containers of the project stop.
    StopCompose,
}

impl ShutdownAction {
    /// Every action, by its word.
    pub const WORDS: [(&str, Self); 3] =
        [("none", Self::None), ("stopContainer", Self::StopContainer), ("stopCompose", Self::StopCompose)];
}

/// How a tool treats a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortAttributes {
    /// What people see.
    pub label: Option<String>,
    /// `http` or `https`.
    pub protocol: Option<String>,
    /// What happens when a program listens.
    pub on_auto_forward: Option<String>,
    /// Whether the host's port must be the same.
    pub require_local_port: Option<bool>,
    /// Whether the tool asks for the rights that a low port needs.
    pub elevate_if_needed: Option<bool>,
}

/// What the host must have at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostRequirements {
    /// Processors.
    pub cpus: Option<u64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Room on disks in bytes.
    pub storage: Option<u64>,
    /// Graphics processors.
    pub gpu: Option<Gpu>,
}

/// Whether graphics processors are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// They are not.
    Unused,
    /// One is used where there is one.
    Optional,
    /// One is needed, with so much at least.
    Required {
        /// Cores.
        cores: Option<u64>,
        /// Memory in bytes.
        memory: Option<u64>,
    },
}
