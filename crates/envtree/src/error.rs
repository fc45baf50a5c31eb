//! Why a use case failed: the errors of the parts, and the failures that only a use case can have.

mod build_fault;
mod failure;
mod taken_port;
mod unreachable;

use std::path::PathBuf;

pub use build_fault::BuildFault;
use envtree_core::compose_file::node::Place;
use envtree_core::port::PortsExhausted;
use envtree_core::subnet::Subnet;
pub use envtree_docker::connect::Attempt;
pub use envtree_docker::credentials::CredentialFailure;
pub use envtree_docker::{BuildError, ConnectError, DockerError, EngineFailure, ImageError, SshProblem};
pub use failure::Failure;
use failure::is_cut_off;

use crate::data::DataError;
use crate::env_file::EnvFileError;
use crate::hook::HookError;
use crate::include::IncludeError;
use crate::load::LoadError;
use crate::repository::RepositoryError;
use crate::secret::SecretError;
use crate::state::{LockError, StateError};
use crate::template::UnknownTemplate;
use crate::trust::TrustError;
use crate::worktree::WorktreeError;
use taken_port::taken_ports;

pub use taken_port::TakenPort;
pub use unreachable::Unreachable;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository cannot be read, or there is none.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A worktree or branch cannot be made or removed.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// The machine's state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another process holds a lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What the repository wants cannot be told.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The repository's secret cannot be read or made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The accepted commands cannot be read or kept.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The env file cannot be written.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// Files of the main worktree cannot be brought.
    #[error(transparent)]
    Include(#[from] IncludeError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Data is not there as it should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The Engine refused, broke off or does not answer.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// No plan leads to what the repository wants.
    #[error(transparent)]
    Reconcile(#[from] Unreachable),
    /// No port is left.
    #[error(transparent)]
    Ports(#[from] PortsExhausted),
    /// More ports are wanted than the machine gives out.
    #[error("{}{needed} host ports are needed, and the range {start}-{end} has {}", wish(place.as_ref(), service.as_deref()), u32::from(*end) - u32::from(*start) + 1)]
    TooManyPorts {
        /// Where the service asks for its ports that asks for the most.
        place: Option<Place>,
        /// That service.
        service: Option<String>,
        /// How many ports the environment needs.
        needed: usize,
        /// The first port of the range.
        start: u16,
        /// The last port of the range.
        end: u16,
    },
    /// No template has that name.
    #[error(transparent)]
    Template(#[from] UnknownTemplate),
    /// No subnet is left.
    #[error("no free subnet of size /{size} is left in {}", pools.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    SubnetsExhausted {
        /// The pools.
        pools: Vec<Subnet>,
        /// The prefix length of one network's subnet.
        size: u8,
    },
    /// A container would have the name of one of another environment.
    #[error("container `{container}` would share its name with one of environment `{project}`")]
    NameTaken {
        /// The name.
        container: String,
        /// The other Compose project.
        project: String,
    },
    /// Reserved ports are taken by somebody else.
    #[error("{}", taken_ports(.0))]
    PortsTaken(Vec<TakenPort>),
    /// No environment has that name.
    #[error("no environment of this repository has the task `{task}`")]
    UnknownTask {
        /// The name.
        task: String,
        /// The tasks there are.
        known: Vec<String>,
    },
    /// The worktree that the person stands in has no environment.
    #[error("worktree `{worktree}` has no environment")]
    NoEnvironment {
        /// The worktree.
        worktree: PathBuf,
    },
    /// The person stands in no worktree, so a task must be named.
    #[error("`{directory}` lies in no worktree")]
    NotInWorktree {
        /// The directory.
        directory: PathBuf,
    },
    /// The environment has no such service.
    #[error("environment `{project}` has no service `{service}`")]
    UnknownService {
        /// The Compose project.
        project: String,
        /// The service.
        service: String,
        /// The services there are.
        known: Vec<String>,
    },
    /// The databases of an environment could not be dropped.
    #[error("cannot drop the environment's databases on service `{service}`: {reason}")]
    Databases {
        /// The server.
        service: String,
        /// What it said.
        reason: String,
    },
    /// A service that other environments use too cannot be stopped or started for one of them.
    #[error("service `{service}` is shared by the environments of the repository")]
    SharedService {
        /// The service.
        service: String,
    },
    /// The worktree of the environment is gone.
    #[error("the worktree `{worktree}` of task `{task}` is gone")]
    WorktreeGone {
        /// The task.
        task: String,
        /// Where it was.
        worktree: PathBuf,
    },
    /// `--from` names a start for a branch that exists already.
    #[error("branch `{branch}` exists already, so it cannot start at `{from}`")]
    BranchExists {
        /// The branch.
        branch: String,
        /// What was asked for.
        from: String,
    },
    /// Several remotes have the branch.
    #[error("branch `{branch}` is on several remotes: {}", .remotes.join(", "))]
    AmbiguousBranch {
        /// The branch.
        branch: String,
        /// The remotes.
        remotes: Vec<String>,
    },
    /// The task belongs to another branch or place than the one asked for.
    #[error("task `{task}` belongs to {what} `{present}`, not `{wanted}`")]
    TaskMismatch {
        /// The task.
        task: String,
        /// `branch` or `worktree`.
        what: &'static str,
        /// What it belongs to.
        present: String,
        /// What was asked for.
        wanted: String,
    },
    /// The worktree of the branch belongs to another task.
    #[error("worktree `{worktree}` is the one of task `{task}`")]
    WorktreeHasTask {
        /// The worktree.
        worktree: PathBuf,
        /// Its task.
        task: String,
    },
    /// A service has no container.
    #[error("service `{service}` of environment `{project}` has no container")]
    NoContainer {
        /// The Compose project.
        project: String,
        /// The service.
        service: String,
    },
    /// A service has no container of that number.
    #[error("service `{service}` of environment `{project}` has no container {number}")]
    NoContainerOfNumber {
        /// The Compose project.
        project: String,
        /// The service.
        service: String,
        /// The number.
        number: u32,
        /// The numbers there are.
        known: Vec<u32>,
    },
    /// A service is to have several containers, and the file gives them one name.
    #[error("service `{service}` cannot have {count} containers: `container_name: {name}` is a name for one")]
    NamedContainer {
        /// The service.
        service: String,
        /// The name.
        name: String,
        /// How many containers it is to have.
        count: u32,
    },
    /// A service is to have more containers than one may have.
    #[error("service `{service}` cannot have {count} containers: {most} are the most")]
    TooManyContainers {
        /// The service.
        service: String,
        /// How many containers it is to have.
        count: u32,
        /// How many it may have.
        most: u32,
    },
    /// A command is to run in a container whose name another one has.
    #[error("a container named `{container}` exists already")]
    ContainerNameTaken {
        /// The name.
        container: String,
    },
    /// What was to be published is no port.
    #[error("`{text}` is not `[[address:]published:]target[/protocol]`")]
    NotAPort {
        /// The text.
        text: String,
    },
    /// An environment has no containers.
    #[error("environment `{project}` has no containers")]
    NoContainers {
        /// The Compose project.
        project: String,
    },
    /// An env file that the settings name is tracked by git.
    #[error("{place}: `{path}` is tracked by git, and envtree writes no tracked file")]
    TrackedEnvFile {
        /// Where it is named.
        place: String,
        /// The file.
        path: PathBuf,
    },
    /// An env file that the settings name leads out of the worktree by a symlink.
    #[error("{place}: `{path}` leads out of the worktree, and envtree writes no file there")]
    EnvFileOutside {
        /// Where it is named.
        place: String,
        /// The file.
        path: PathBuf,
    },
    /// A variable under `env.set` cannot be filled in.
    #[error("`env.set` in envtree.yaml: variable `{name}`: {message}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// `init` overwrites nothing.
    #[error("`{path}` exists already")]
    SettingsExist {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: std::io::Error,
    },
    /// Removing a worktree would lose work.
    #[error("worktree `{worktree}` holds work that exists nowhere else")]
    UnsavedWork {
        /// The worktree.
        worktree: PathBuf,
        /// What would be lost, a line each.
        losses: Vec<String>,
    },
    /// Consent was not given.
    #[error("nothing was changed: {}", .losses.join("; "))]
    Declined {
        /// What would have been lost.
        losses: Vec<String>,
    },
    /// Inside an environment nothing can be trusted.
    #[error("commands cannot be accepted from inside an environment")]
    TrustInside,
    /// Something failed while a base was made or removed; nothing of what was half made is kept.
    #[error("cannot work on base `{project}`")]
    Base {
        /// Its Compose project.
        project: String,
        /// Every failure.
        failures: Vec<Failure>,
    },
    /// Something failed on the way; what was made is kept.
    #[error("cannot {command} environment `{project}`")]
    PartWay {
        /// What was done: `bring up`, `take down`, `remove`, …
        command: &'static str,
        /// The Compose project.
        project: String,
        /// Every failure.
        failures: Vec<Failure>,
        /// What was done before.
        done: Vec<String>,
    },
}

impl Error {
    /// Returns whether the Engine may still do what it was asked to, because its answer never came.
    pub(crate) fn is_cut_off(&self) -> bool {
        match self {
            Self::Base { failures, .. } | Self::PartWay { failures, .. } => {
                failures.iter().any(|failure| failure.is_cut_off)
            }
            other => is_cut_off(other),
        }
    }
}

/// Returns `error` and what caused it, outermost first, each in its own words.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
    }
    causes
}

fn wish(place: Option<&Place>, service: Option<&str>) -> String {
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let service = service.map(|service| format!("service `{service}`: `ports`: ")).unwrap_or_default();
    place + &service
}
