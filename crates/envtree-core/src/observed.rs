//! What the Engine has, as plain data.

use indexmap::IndexMap;

/// What one observation saw of an environment and of what it shares the Engine with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedState {
    /// Containers of the project, stopped ones included, by name.
    pub containers: Vec<ObservedContainer>,
    /// Containers of the services that the repository's environments share, if the scope asks for them.
    pub shared: Vec<ObservedContainer>,
    /// All networks of the Engine: those of others matter for their names and subnets.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes of the project, and those that the scope names.
    pub volumes: Vec<ObservedVolume>,
    /// Containers that never run and keep the volumes of branches from being pruned, by name.
    pub keepers: Vec<ObservedContainer>,
    /// Volumes that hold the changes of branches, by name.
    pub uppers: Vec<ObservedVolume>,
    /// The images of the scope that the Engine has, by the reference they were asked for.
    pub images: IndexMap<String, ObservedImage>,
    /// Images that were built for the project, those that lost their name included.
    pub built: Vec<BuiltImage>,
}

/// An image that was built for a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuiltImage {
    /// The image's id.
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// All labels.
    pub labels: IndexMap<String, String>,
}

/// A container as the Engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The Engine's id.
    pub id: String,
    /// The name without the leading slash.
    pub name: String,
    /// What it is doing.
    pub state: ContainerState,
    /// Docker's health state, if the container has a health check.
    pub health: Option<Health>,
    /// The image reference that it was made from.
    pub image: String,
    /// The id of the image that it was made from.
    pub image_id: String,
    /// All labels.
    pub labels: IndexMap<String, String>,
    /// The networks that it is attached to, by the Engine's name, with its address if it runs.
    pub networks: IndexMap<String, Option<String>>,
    /// The ids of these networks, as far as the Engine tells: a container starts on the very networks that it joined,
    /// and a network made again under its name is another one.
    pub network_ids: Vec<String>,
    /// The named volumes that it mounts, by target; anonymous ones have a name of 64 hex digits.
    pub volumes: IndexMap<String, String>,
    /// Seconds since 1970 when it was made.
    pub created: i64,
    /// The Engine's words for its state, such as `Exited (1) 2 hours ago`.
    pub status: String,
}

/// A container's state, in the Engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Being removed.
    Removing,
    /// Stopped.
    Exited,
    /// Could not be removed.
    Dead,
}

/// Docker's health state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No result yet.
    Starting,
    /// The check passes.
    Healthy,
    /// The check failed too often.
    Unhealthy,
}

/// A network as the Engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// The Engine's id.
    pub id: String,
    /// The name, which the Engine does not keep unique.
    pub name: String,
    /// Its subnets in CIDR notation.
    pub subnets: Vec<String>,
    /// All labels.
    pub labels: IndexMap<String, String>,
}

/// A volume as the Engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// The name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// When it was made, in the Engine's words: with its name, that tells it from every later one. Empty where the Engine
    /// does not tell.
    pub created: String,
    /// Where its data lies on the Engine's machine. Empty where the Engine does not tell.
    pub mountpoint: String,
    /// All labels.
    pub labels: IndexMap<String, String>,
}

/// An image that the Engine has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedImage {
    /// The image's id.
    pub id: String,
    /// The targets of its `VOLUME`s.
    pub volumes: Vec<String>,
    /// The ports of its `EXPOSE`s, as `port/protocol`.
    pub exposed: Vec<String>,
    /// Whether it has a health check of its own.
    pub has_health_check: bool,
    /// Seconds since 1970 when it was pulled or tagged last, if the Engine tells.
    pub tagged: Option<i64>,
}

impl ObservedState {
    /// Sets containers and volumes that belong to branches apart from all others.
    ///
    /// `frozen` are the volumes that are layers of snapshots: nothing changes them any more, and no environment owns them.
    #[must_use]
    pub fn with_branches_apart(mut self, frozen: &[String]) -> Self {
        let is_branch = |labels: &IndexMap<String, String>| labels.contains_key(crate::label::BRANCH);
        self.keepers.extend(self.containers.extract_if(.., |container| is_branch(&container.labels)));
        let mut uppers: Vec<_> = self.volumes.extract_if(.., |volume| is_branch(&volume.labels)).collect();
        uppers.retain(|upper| !frozen.contains(&upper.name));
        self.uppers.extend(uppers);
        self
    }
}

impl ObservedContainer {
    /// Returns whether a process of it may be alive.
    pub fn is_active(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }

    /// Returns the status that its process ended with, read from the Engine's words: the list has no other place for it.
    pub fn exit_code(&self) -> Option<i64> {
        self.status.strip_prefix("Exited (")?.split_once(')')?.0.parse().ok()
    }

    /// Returns its number among the containers of its service, from 1.
    pub fn number(&self) -> u32 {
        number_of(&self.labels)
    }

    /// Returns whether it was made to run one command, and is none of the containers that a service consists of.
    pub fn is_one_off(&self) -> bool {
        self.labels.get(crate::label::COMPOSE_ONEOFF).is_some_and(|value| value == "True")
    }

    /// Returns the service that it runs, if a Compose label says so.
    pub fn service(&self) -> Option<&str> {
        self.labels.get(crate::label::COMPOSE_SERVICE).map(String::as_str)
    }
}

/// Returns the number that labels give a container among those of its service: 1 where they say nothing.
pub fn number_of(labels: &IndexMap<String, String>) -> u32 {
    let label = labels.get(crate::label::COMPOSE_CONTAINER_NUMBER);
    label.and_then(|number| number.parse().ok()).unwrap_or(1)
}
