//! How environments are: the answer of `ls` and `status`, and of every command that changes one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::readiness::spoken_name;

/// One environment, as far as one look at the Engine and at git tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// The repository's name.
    pub repository: String,
    /// The repository's common git directory.
    pub common_dir: PathBuf,
    /// The task as it was typed.
    pub task: String,
    /// The environment's id.
    pub id: String,
    /// The Compose project.
    pub project: String,
    /// The branch that is checked out; absent for a detached HEAD or a worktree that is gone.
    pub branch: Option<String>,
    /// The worktree.
    pub worktree: PathBuf,
    /// Whether it is the repository's main worktree.
    pub is_main: bool,
    /// What the environment as a whole is doing.
    pub state: EnvironmentState,
    /// The containers of its services, in the order of their names and numbers.
    pub services: Vec<ServiceStatus>,
    /// Its reserved ports of programs on the host.
    pub apps: Vec<AppStatus>,
    /// Its volumes.
    pub volumes: Vec<VolumeStatus>,
    /// The env file that carries its variables.
    pub env_file: Option<PathBuf>,
    /// The hooks of the repository.
    pub hooks: Vec<HookStatus>,
    /// The last failure that nothing has mended since.
    pub last_failure: Option<FailureStatus>,
    /// When the environment was made.
    pub created: Timestamp,
    /// What git says of the worktree; absent where it was not asked or the worktree is gone.
    pub git: Option<GitStatus>,
}

/// What an environment as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentState {
    /// Every service is ready, or has ended as it should.
    Ready,
    /// Every service runs, and some health check has not passed yet.
    Starting,
    /// Some services run and some do not, a health check fails, or all run and the last `up` failed even so.
    Degraded,
    /// There are containers, and none runs.
    Stopped,
    /// There are no containers: `down`, or never brought up.
    Down,
    /// The worktree is gone; the rest is still there.
    Prunable,
    /// The Engine does not answer.
    Unknown,
}

impl EnvironmentStatus {
    /// Returns what people call a container: its service, with its number as Compose writes it where there are several.
    pub fn spoken_name(&self, service: &ServiceStatus) -> String {
        let same = self.services.iter().filter(|other| other.name == service.name).count();
        spoken_name(&service.name, service.number, same > 1 || service.number > 1)
    }

    /// Returns how many services have all their containers ready, and how many services there are; one that the files
    /// do not ask for counts while it runs.
    pub fn services_ready(&self) -> (usize, usize) {
        let mut ready: BTreeMap<&str, bool> = BTreeMap::new();
        for service in self.services.iter().filter(|service| service.is_active || service.ready) {
            *ready.entry(&service.name).or_insert(true) &= service.ready;
        }
        (ready.values().filter(|is_ready| **is_ready).count(), ready.len())
    }
}

impl EnvironmentState {
    /// Returns the word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
            Self::Down => "down",
            Self::Prunable => "prunable",
            Self::Unknown => "unknown",
        }
    }
}

/// One container of a service of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// The key under `services:`.
    pub name: String,
    /// The number of the container among those of the service, from 1.
    pub number: u32,
    /// The container; empty while there is none.
    pub container: String,
    /// The image.
    pub image: String,
    /// The container's state, in the Engine's word: `running`, `exited`, …; `missing` while there is none.
    pub state: String,
    /// Docker's health state, if there is a health check: `starting`, `healthy`, `unhealthy`.
    pub health: Option<String>,
    /// The status that the process ended with, if it ended.
    pub exit_code: Option<i64>,
    /// Whether it runs and no health check says otherwise, or it is a job that is done.
    pub ready: bool,
    /// Whether the other environments of the repository use it too.
    pub shared: bool,
    /// Whether the files ask for it; a service whose profile is off may end without harm.
    pub is_active: bool,
    /// Its published ports.
    pub ports: Vec<PortStatus>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStatus {
    /// The container's port.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The host's address that it is published on.
    pub address: String,
    /// The host's port.
    pub published: u16,
    /// Where to reach it, without a password: `postgres://app@127.0.0.1:20000/app`, `http://…` or `host:port`.
    pub url: String,
}

/// The reserved port of a program on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppStatus {
    /// The key under `apps:`.
    pub name: String,
    /// The reserved port.
    pub port: u16,
}

/// One volume of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeStatus {
    /// The Engine's name.
    pub name: String,
    /// The key under `volumes:`, or `service:target` where nothing names it; absent for one that the project no longer
    /// names.
    pub key: Option<String>,
    /// Bytes that it holds; absent where the Engine was not asked or does not know, and for a branch.
    pub size: Option<u64>,
    /// What it consists of, lies on and holds, if it is a branch.
    pub branch: Option<VolumeBranch>,
}

/// What a branch consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchKind {
    /// An overlay above layers.
    Overlay,
    /// A copy.
    Copy {
        /// Why it is no overlay.
        reason: String,
    },
}

impl BranchKind {
    /// Returns the kind of a branch that is a copy for this reason, if it is one.
    pub fn of(copied: Option<String>) -> Self {
        copied.map_or(Self::Overlay, |reason| Self::Copy { reason })
    }

    /// Returns the word for people and scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy { .. } => "copy",
        }
    }

    /// Returns why it is no overlay.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Overlay => None,
            Self::Copy { reason } => Some(reason),
        }
    }
}

/// A volume that is a branch: what it lies on, and how many bytes it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeBranch {
    /// The base, by the first digits of its key, or the snapshot, by its name.
    pub on: String,
    /// What it consists of.
    pub kind: BranchKind,
    /// Bytes that it changed: they would be freed with it. Absent where the Engine was not asked or does not know.
    pub own: Option<u64>,
    /// The most bytes that the servers can see in it; absent as [`Self::own`] is. A file counts in each layer that has it,
    /// though only the uppermost of them shows.
    pub logical_at_most: Option<u64>,
}

/// What became of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookStatus {
    /// Its key, such as `post_create`.
    pub hook: String,
    /// What became of it.
    pub outcome: HookOutcome,
}

/// What became of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutcome {
    /// It ran and ended well.
    Done,
    /// It failed; it is run again at the next `up`.
    Failed,
    /// It was skipped: `envtree trust` has not accepted it.
    SkippedUntrusted,
    /// It has not been due yet.
    Pending,
}

impl HookOutcome {
    /// Returns the word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::SkippedUntrusted => "skipped-untrusted",
            Self::Pending => "pending",
        }
    }
}

/// A failure that was kept for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureStatus {
    /// When it happened.
    pub at: Timestamp,
    /// The command, such as `up`.
    pub command: String,
    /// What was wrong.
    pub message: String,
}

/// What git says of a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitStatus {
    /// The branch that is checked out; absent for a detached HEAD.
    pub branch: Option<String>,
    /// Tracked files that differ from HEAD.
    pub changed: usize,
    /// Files that git neither tracks nor ignores.
    pub untracked: usize,
    /// Files in conflict.
    pub conflicted: usize,
    /// Commits that the upstream branch lacks.
    pub ahead: usize,
    /// Commits that only the upstream branch has.
    pub behind: usize,
}
