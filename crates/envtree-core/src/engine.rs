//! The port to the Engine: what envtree asks of it, whoever answers.

use std::future::Future;

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
}

/// A Docker Engine, real or simulated.
pub trait Engine {
    /// Why a call failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns what the Engine has in `scope`.
    fn observe(&self, scope: &Scope) -> impl Future<Output = Result<ObservedState, Self::Error>> + Send;

    /// Carries out one operation; `progress` hears how a pull goes on.
    fn perform(
        &self,
        operation: &Operation,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
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
