//! The port to the Engine: what envtree asks of it, whoever answers.

use std::future::Future;
use std::time::Duration;

use crate::name::ProjectName;
use crate::observed::ObservedState;
use crate::plan::Operation;

/// What an observation looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The project whose containers, networks and volumes are wanted.
    pub project: ProjectName,
    /// Image references to look for.
    pub images: Vec<String>,
    /// Names of volumes to look for besides the project's own: external ones and ones with a fixed name.
    pub volumes: Vec<String>,
    /// Whether the images that were built for the project are wanted.
    pub built: bool,
    /// The project of the services that the repository's environments share, if it is to be looked at too.
    pub shared: Option<ProjectName>,
}

/// A Docker Engine, real or simulated.
pub trait Engine {
    /// Why a call failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns what the Engine has in `scope`.
    fn observe(&self, scope: &Scope) -> impl Future<Output = Result<ObservedState, Self::Error>> + Send;

    /// Carries out one operation; `progress` hears how a pull or a build goes on.
    fn perform(
        &self,
        operation: &Operation,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How an operation goes on that takes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A pull came further.
    Pull(PullProgress),
    /// Something happened in a build.
    Build(BuildProgress),
}

/// What happened in a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildProgress {
    /// A step began, ended, or came further.
    Step {
        /// Tells the steps of a build apart.
        id: String,
        /// The builder's words: `[2/5] RUN npm ci`.
        name: String,
        /// Where it is.
        state: StepState,
    },
    /// A step wrote a line.
    Output {
        /// The step.
        id: String,
        /// Its name.
        step: String,
        /// The line, without its end.
        line: String,
    },
    /// The builder has a remark about the Dockerfile, or envtree about the builder.
    Remark(String),
}

/// Where a step of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// It runs; what it does just now, if the builder says so.
    Running(Option<StepWork>),
    /// Its result was there already.
    Cached,
    /// It is done.
    Done(Duration),
    /// It failed, or was ended because another one did.
    Failed,
}

/// What a step of a build does just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepWork {
    /// The builder's words: `transferring context`, or the digest of a layer.
    pub what: String,
    /// How many bytes of it are done.
    pub bytes_done: u64,
    /// How many there are; 0 if that is unknown.
    pub bytes: u64,
}

/// How far a pull has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullProgress {
    /// Layers known so far.
    pub layers: u64,
    /// Layers that are complete, those that were there before included.
    pub layers_done: u64,
    /// Bytes of the layers whose size is known.
    pub bytes: u64,
    /// Bytes received.
    pub bytes_done: u64,
    /// Whether it has not begun yet, because the program that keeps the credentials takes its time.
    pub awaits_helper: bool,
}
