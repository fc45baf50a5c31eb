//! The failures of a use case that does several things side by side.

use std::path::PathBuf;

use envtree_docker::credentials::CredentialFailure;
use envtree_docker::{DockerError, EngineFailure, ImageError};

use super::{BuildFault, Error, TakenPort, causes};
use crate::hook::HookError;
use crate::readiness::NotReady;
use crate::worktree::WorktreeError;

/// One failure of a use case that does several things side by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// What failed and why, the outermost cause first.
    pub causes: Vec<String>,
    /// The last lines of output of what failed.
    pub log: Vec<String>,
    /// The host port that was taken, if that was the cause.
    pub taken: Option<TakenPort>,
    /// Whether the Engine's answer never came, so that it may still do what it was asked to.
    pub is_cut_off: bool,
    /// The registry that denied access to an image, if that was the cause.
    pub registry: Option<String>,
    /// The first file of the worktree that could not be deleted, if that was the cause.
    pub undeletable: Option<PathBuf>,
    /// Why there were no credentials for a registry, if that was the cause.
    pub credentials: Option<CredentialFailure>,
    /// What stood in the way of a build, where there is something to do about it.
    pub build: Option<BuildFault>,
    /// The container that is kept from ending by its own hook, if that was the cause.
    pub unstoppable: Option<String>,
    /// The port of a service without a health check at which nothing answered, if that was the cause.
    pub silent: Option<u16>,
}

impl Failure {
    /// Returns a failure with all causes of `error`, and no output.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            causes: causes(error),
            is_cut_off: is_cut_off(error),
            credentials: credential_failure(error),
            ..Self::default()
        }
    }

    /// Returns every failure that an error consists of, each with what it was part of as its outermost cause, and with the
    /// last output of the commands that failed.
    pub(crate) fn all_of(error: &Error) -> Vec<Self> {
        let (Error::Base { failures, .. } | Error::PartWay { failures, .. }) = error else {
            return vec![Self::with_output(error)];
        };
        let within = |failure: &Self| {
            let causes = std::iter::once(error.to_string()).chain(failure.causes.iter().cloned());
            Self { causes: causes.collect(), ..failure.clone() }
        };
        failures.iter().map(within).collect()
    }

    fn with_output(error: &Error) -> Self {
        let failure = Self::of(error);
        match error {
            Error::Hook(HookError::Failed { lines, .. }) => Self { log: lines.clone(), ..failure },
            Error::Worktree(WorktreeError::Undeletable { first, .. }) => {
                Self { undeletable: Some(first.clone()), ..failure }
            }
            _ => failure,
        }
    }

    /// Returns the failure of a service, with its last output.
    pub(crate) fn of_service(fault: &NotReady) -> Self {
        Self {
            causes: vec![fault.to_string()],
            log: fault.log.clone(),
            silent: fault.silent,
            ..Self::default()
        }
    }
}

pub(super) fn is_cut_off(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.downcast_ref::<EngineFailure>().is_some_and(|failure| failure.status.is_none()))
}

fn credential_failure(error: &(dyn std::error::Error + 'static)) -> Option<CredentialFailure> {
    match error.downcast_ref::<DockerError>()? {
        DockerError::Image(ImageError::CredentialsUnusable { credentials, .. }) => Some(credentials.clone()),
        DockerError::Image(ImageError::MirrorAndRegistry { source, .. }) => {
            credential_failure(source.as_ref())
        }
        _ => None,
    }
}
