//! What happens while a command works, for whoever draws it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envtree_core::engine::{BuildProgress, PullProgress};

/// Something that happened. Events that end something follow one that began it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another process holds a lock that this one needs.
    WaitingForLock {
        /// Who holds it, such as ``process 4711 (`envtree up x`)``.
        holder: String,
    },
    /// A worktree is being checked out.
    CreatingWorktree {
        /// Where.
        path: PathBuf,
        /// Its branch.
        branch: String,
    },
    /// The worktree is complete.
    CreatedWorktree {
        /// Where.
        path: PathBuf,
        /// How long it took.
        elapsed: Duration,
    },
    /// Volumes are about to be removed with their data.
    RemovingVolumes {
        /// Their names, as they are shown.
        volumes: Vec<String>,
    },
    /// What no longer belongs to anything is about to be removed.
    Pruning {
        /// What is lost with it, a line each.
        losses: Vec<String>,
    },
    /// A worktree is being removed.
    RemovingWorktree {
        /// Where.
        path: PathBuf,
    },
    /// The worktree is gone.
    RemovedWorktree {
        /// Where.
        path: PathBuf,
    },
    /// An Engine call begins.
    Performing {
        /// The call.
        act: Act,
        /// What it acts on, by the name that people know.
        object: String,
        /// Why it is needed.
        cause: String,
    },
    /// A pull came further.
    Pulling {
        /// The image.
        image: String,
        /// How far.
        progress: PullProgress,
    },
    /// Something happened in a build.
    Building {
        /// The image.
        image: String,
        /// What happened.
        progress: BuildProgress,
    },
    /// An Engine call succeeded.
    Performed {
        /// The call.
        act: Act,
        /// What it acted on.
        object: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// An Engine call failed; the command reports why when it ends.
    Failed {
        /// The call.
        act: Act,
        /// What it acted on.
        object: String,
    },
    /// A service is being waited for.
    AwaitingService {
        /// The service.
        service: String,
    },
    /// The service is ready.
    ServiceReady {
        /// The service.
        service: String,
        /// How long it was waited for.
        elapsed: Duration,
    },
    /// A hook begins.
    RunningHook {
        /// Its key, such as `post_create`.
        hook: String,
        /// The command.
        command: String,
    },
    /// A hook wrote a line.
    HookOutput {
        /// Its key.
        hook: String,
        /// The line, without its end.
        line: String,
    },
    /// A hook ended well.
    RanHook {
        /// Its key.
        hook: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// The base of the data is being made: its servers start, and the seed runs.
    MakingBase {
        /// What it is called.
        base: String,
        /// The services whose data it will hold.
        services: Vec<String>,
        /// The base that the seed goes on from, if it does not begin with empty volumes.
        on: Option<String>,
    },
    /// A base or snapshot that lies on many layers is being copied, so that branches lie on one.
    CopyingBase {
        /// What it is called.
        base: String,
    },
    /// The base is complete.
    MadeBase {
        /// What it is called.
        base: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// Data is on its way into an archive, or out of one.
    MovingData {
        /// Which way.
        way: Way,
        /// What the base or snapshot is called.
        name: String,
        /// The services whose data it is.
        services: Vec<String>,
    },
    /// Data came further.
    MovedSoFar {
        /// Which way.
        way: Way,
        /// What the base or snapshot is called.
        name: String,
        /// The bytes of files that came so far.
        bytes: u64,
    },
    /// All of the data is there.
    MovedData {
        /// Which way.
        way: Way,
        /// What the base or snapshot is called.
        name: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// The person should know something; the command goes on.
    Warning(String),
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into an archive.
    Export,
    /// Out of an archive.
    Import,
}

/// The kind of an Engine call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Bring an image to the Engine.
    PullImage,
    /// Build an image.
    BuildImage,
    /// Remove an image that was built.
    RemoveImage,
    /// Make a network.
    CreateNetwork,
    /// Remove a network.
    RemoveNetwork,
    /// Make a volume.
    CreateVolume,
    /// Remove a volume.
    RemoveVolume,
    /// Copy data into a volume.
    CopyLayer,
    /// Make a container.
    CreateContainer,
    /// Attach a container to a further network.
    ConnectNetwork,
    /// Detach a container from a network.
    DisconnectNetwork,
    /// Put files into a container.
    PutFiles,
    /// Run a command of the Compose file in a container.
    RunHook,
    /// Start a container.
    StartContainer,
    /// Let a frozen container go on.
    UnpauseContainer,
    /// Stop a container.
    StopContainer,
    /// Remove a container.
    RemoveContainer,
}

/// Where events go.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends every event to `receiver`, from whichever thread it happens on.
    pub fn new(receiver: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receiver))
    }

    /// Drops every event.
    pub fn ignored() -> Self {
        Self::new(|_| {})
    }

    /// Reports `event`.
    pub fn emit(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Events")
    }
}
