//! A plan: the Engine calls that lead from what is to what should be, their order and their causes.
//!
//! A plan is shown through [`std::fmt::Display`] alone, which names objects and never their variables: a definition
//! holds secrets.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::build::{ImageBuild, SecretText};
use crate::name::{NetworkName, ServiceName, VolumeName};
use crate::project::{Network, Volume};
use crate::service::{Attachment, Condition, Hook, Service};

/// The steps that make an environment what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps; a step comes after every step that it names.
    pub steps: Vec<Step>,
    /// What the person should know, whether or not anything is done.
    pub warnings: Vec<String>,
    /// What would be lost; the plan is carried out only with consent to each.
    pub confirmations: Vec<String>,
}

impl Plan {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Appends a step and returns its id.
    pub fn push(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() - 1)
    }
}

/// The position of a step in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// One Engine call with its cause and what must come before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The call.
    pub operation: Operation,
    /// Why it is needed, as a lower-case fragment.
    pub cause: String,
    /// Steps that must have succeeded.
    pub after: Vec<StepId>,
    /// Conditions outside the plan's own steps that must hold.
    pub awaits: Vec<Await>,
}

/// Something that a step waits for and that no Engine call brings about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Await {
    /// A service has reached a condition.
    Service {
        /// The service waited for.
        service: ServiceName,
        /// What it must have reached.
        condition: Condition,
        /// Whether the step fails when the service does.
        required: bool,
    },
    /// The files of the worktree are in place.
    Checkout,
}

/// One call of the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Bring an image to the Engine.
    PullImage {
        /// The reference as it is written.
        image: String,
        /// `os/architecture[/variant]`.
        platform: Option<String>,
    },
    /// Build an image.
    BuildImage(Box<ImageBuild>),
    /// Remove an image that was built.
    RemoveImage {
        /// The Engine's id.
        id: String,
        /// What people call it: a name, or the id where it has none any more.
        name: String,
    },
    /// Make a network.
    CreateNetwork {
        /// Its key in the project.
        key: NetworkName,
        /// The isolated definition, whose name is present.
        network: Network,
    },
    /// Remove a network.
    RemoveNetwork {
        /// The Engine's id: names are not unique.
        id: String,
        /// The name, for people.
        name: String,
    },
    /// Make a volume.
    CreateVolume {
        /// Its key in the project.
        key: VolumeName,
        /// The isolated definition, whose name is present.
        volume: Volume,
    },
    /// Remove a volume and its data.
    RemoveVolume {
        /// The Engine's name.
        name: String,
    },
    /// Make a container that never runs: the volumes that it mounts are in use, and so no clean-up takes them.
    CreateKeeper(Box<NewKeeper>),
    /// Put empty folders into a container that has not started. Those that are there keep what they hold.
    PutDirectories {
        /// The container's name.
        container: String,
        /// The folders, each after those that it lies in.
        directories: Vec<NewDirectory>,
    },
    /// Copy a layer into an empty volume, by a container that is gone in the end. A copy that is there stays; one that was
    /// cut off begins anew.
    CopyLayer(Box<NewCopy>),
    /// Make a container.
    CreateContainer(Box<NewContainer>),
    /// Attach a container to a further network.
    ConnectNetwork {
        /// The container's name.
        container: String,
        /// The network's Engine name.
        network: String,
        /// Aliases and addresses, the service's own name among the aliases.
        attachment: Attachment,
    },
    /// Detach a container from a network.
    DisconnectNetwork {
        /// The container's name.
        container: String,
        /// The network's Engine name.
        network: String,
    },
    /// Put files into a container that has not started.
    PutFiles {
        /// The container's name.
        container: String,
        /// The files.
        files: Vec<NewFile>,
    },
    /// Run a command of the Compose file in a running container.
    RunHook {
        /// The container's name.
        container: String,
        /// Its key in the file: `post_start` or `pre_stop`.
        key: &'static str,
        /// The command.
        hook: Hook,
        /// Whether its failure is one of the plan; it is only told otherwise.
        required: bool,
    },
    /// Start a container.
    StartContainer {
        /// The container's name.
        container: String,
        /// The service that it runs.
        service: ServiceName,
    },
    /// Let a frozen container go on.
    UnpauseContainer {
        /// The container's name.
        container: String,
    },
    /// Stop a container: its stop signal, the grace period, then a kill.
    StopContainer {
        /// The container's name.
        container: String,
        /// Seconds before the kill; the container's own setting if absent.
        grace: Option<u64>,
    },
    /// Remove a stopped container, and the anonymous volumes that nothing else uses.
    RemoveContainer {
        /// The container's name.
        container: String,
        /// Whether its anonymous volumes go too.
        volumes: bool,
    },
}

/// A container that never runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeeper {
    /// The container's name.
    pub name: String,
    /// The Engine's names of the volumes that it mounts, by target.
    pub volumes: IndexMap<String, String>,
    /// All labels.
    pub labels: IndexMap<String, String>,
}

/// A layer that is copied into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCopy {
    /// The name of the container that copies.
    pub container: String,
    /// The image whose `sh` and `cp` it runs.
    pub image: String,
    /// The name of the volume that is read.
    pub from: String,
    /// The folder within it; empty for all of it.
    pub folder: String,
    /// The name of the volume that is filled.
    pub to: String,
    /// All labels of the container.
    pub labels: IndexMap<String, String>,
}

/// An empty folder that is put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDirectory {
    /// The absolute path in the container.
    pub path: String,
    /// Its owner and mode.
    pub owner: Owner,
}

/// Whose a folder is, and what others may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The mode, such as `0o700`.
    pub mode: u32,
}

/// A file that is put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The absolute path in the container.
    pub path: String,
    /// What it holds.
    pub text: SecretText,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Its mode, such as `0o444`.
    pub mode: u32,
}

/// All that the Engine needs to make a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContainer {
    /// The container's name.
    pub name: String,
    /// The service that it runs.
    pub service: ServiceName,
    /// The isolated definition: its labels are complete, and containers stand in place of services that it refers to.
    pub definition: Service,
    /// The Engine's names of the volumes that the definition's mounts name by key.
    pub volume_names: IndexMap<VolumeName, String>,
    /// The Engine's name of the network that it is made on, and how it joins; absent for none.
    pub network: Option<(String, Attachment)>,
    /// Anonymous volumes of the container that this one replaces, by target, so that their data stays.
    pub inherited_volumes: IndexMap<String, String>,
    /// The targets of the volumes that the image declares.
    pub image_volumes: Vec<String>,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullImage { image, .. } => write!(formatter, "pull image {image}"),
            Self::BuildImage(build) => {
                write!(formatter, "build image {}", build.name())?;
                if let [_, others @ ..] = build.images.as_slice()
                    && !others.is_empty()
                {
                    write!(formatter, " (also {})", others.join(", "))?;
                }
                Ok(())
            }
            Self::RemoveImage { name, .. } => write!(formatter, "remove image {name}"),
            Self::CreateNetwork { network, key } => {
                write!(formatter, "create network {}", network.name.as_deref().unwrap_or(key))?;
                match network.ipam.first().and_then(|pool| pool.subnet.as_deref()) {
                    Some(subnet) => write!(formatter, " ({subnet})"),
                    None => Ok(()),
                }
            }
            Self::RemoveNetwork { name, .. } => write!(formatter, "remove network {name}"),
            Self::CreateVolume { volume, key } => {
                write!(formatter, "create volume {}", volume.name.as_deref().unwrap_or(key))
            }
            Self::RemoveVolume { name } => write!(formatter, "remove volume {name}"),
            Self::CreateKeeper(keeper) => write!(formatter, "create container {}", keeper.name),
            Self::CopyLayer(copy) => write!(formatter, "copy volume {} into {}", copy.from, copy.fills()),
            Self::PutDirectories { container, directories } => {
                let paths: Vec<&str> = directories.iter().map(|directory| directory.path.as_str()).collect();
                write!(formatter, "put {} into container {container}", paths.join(", "))
            }
            Self::CreateContainer(container) => write!(formatter, "create container {}", container.name),
            Self::ConnectNetwork { container, network, .. } => {
                write!(formatter, "connect container {container} to network {network}")
            }
            Self::DisconnectNetwork { container, network } => {
                write!(formatter, "disconnect container {container} from network {network}")
            }
            Self::PutFiles { container, files } => {
                let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                write!(formatter, "put {} into container {container}", paths.join(", "))
            }
            Self::RunHook { container, key, .. } => {
                write!(formatter, "run {key} hook in container {container}")
            }
            Self::StartContainer { container, .. } => write!(formatter, "start container {container}"),
            Self::UnpauseContainer { container } => write!(formatter, "unpause container {container}"),
            Self::StopContainer { container, .. } => write!(formatter, "stop container {container}"),
            Self::RemoveContainer { container, .. } => write!(formatter, "remove container {container}"),
        }
    }
}

impl fmt::Display for Plan {
    /// Writes one line a step: the call and, in brackets, its cause.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "{} [{}]", step.operation, step.cause)?;
        }
        for warning in &self.warnings {
            writeln!(formatter, "warning: {warning}")?;
        }
        for confirmation in &self.confirmations {
            writeln!(formatter, "needs consent: {confirmation}")?;
        }
        Ok(())
    }
}
