//! What stands in the way of builds, as far as a person can do something about it.

use envtree_docker::BuildError;

/// What stood in the way of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildFault {
    /// The Engine has no BuildKit, and a key needs it.
    NoBuildKit,
    /// The Engine's BuildKit is too old for further contexts.
    NoContexts,
    /// The build asks for a network of containers.
    Network,
    /// The context or the Dockerfile is not there.
    NoFiles,
    /// A secret cannot be had.
    Secret,
    /// An ssh agent or key cannot be used.
    Agent,
}

impl BuildFault {
    pub(crate) fn of(error: &BuildError) -> Option<Self> {
        Some(match error {
            BuildError::NeedsBuildKit { .. } => Self::NoBuildKit,
            BuildError::NeedsContexts { .. } => Self::NoContexts,
            BuildError::Network { .. } => Self::Network,
            BuildError::ContextMissing { .. } | BuildError::DockerfileMissing { .. } => Self::NoFiles,
            BuildError::Secret { .. } => Self::Secret,
            BuildError::Agent { .. } => Self::Agent,
            _ => return None,
        })
    }
}
