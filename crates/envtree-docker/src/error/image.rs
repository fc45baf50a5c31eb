//! Why the Engine did not list, find, pull, tag or remove an image.

use envtree_core::reference::ReferenceError;

use super::DockerError;
use super::words::{chain, for_platform};
use crate::credentials::CredentialFailure;
use crate::failure::EngineFailure;

/// A failed call about images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The images could not be listed.
    #[error("cannot list images")]
    ListImages(#[source] EngineFailure),
    /// An image could not be removed.
    #[error("cannot remove image `{image}`")]
    RemoveImage {
        /// The image.
        image: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// An image could not be inspected.
    #[error("cannot inspect image `{image}`")]
    InspectImage {
        /// The reference as it is written.
        image: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// An image could not be pulled.
    #[error("cannot pull image `{image}`")]
    PullImage {
        /// The reference as it is written.
        image: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// An image that envtree itself brings along could not be loaded.
    #[error("cannot load image `{image}`")]
    LoadImage {
        /// The image.
        image: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A pulled image could not be given the name that it is used by.
    #[error("cannot tag image `{pulled}` as `{image}`")]
    TagImage {
        /// The reference as it is written.
        image: String,
        /// The reference that it was pulled by.
        pulled: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The text is not an image reference.
    #[error(transparent)]
    ReferenceInvalid(#[from] ReferenceError),
    /// The Engine does not have the image that a container is to be made from.
    #[error("the Engine has no image `{image}`{}", for_platform(image, platform.as_deref()))]
    ImageMissing {
        /// The reference as it is written.
        image: String,
        /// The platform that it is wanted for, if the service names one.
        platform: Option<String>,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The registry has no such image.
    #[error("registry `{registry}` has no image `{image}`")]
    ImageNotFound {
        /// The reference as it is written.
        image: String,
        /// The registry's host.
        registry: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The Engine cannot reach the registry.
    #[error("the Engine cannot reach registry `{registry}` for image `{image}`")]
    RegistryUnreachable {
        /// The reference as it is written.
        image: String,
        /// The registry's host.
        registry: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The registry wants other credentials, or has no such image: many do not tell which.
    #[error("registry `{registry}` denies access to image `{image}`")]
    RegistryDenied {
        /// The reference as it is written.
        image: String,
        /// The registry's host.
        registry: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The registry lets nobody in without credentials, and the person's could not be had.
    #[error("registry `{registry}` denies access to image `{image}`, and {credentials}")]
    CredentialsUnusable {
        /// The reference as it is written.
        image: String,
        /// The registry's host.
        registry: String,
        /// Why there were no credentials.
        credentials: CredentialFailure,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The registry takes no more pulls for a while.
    #[error("registry `{registry}` limits pulls of image `{image}`")]
    RegistryLimit {
        /// The reference as it is written.
        image: String,
        /// The registry's host.
        registry: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Neither the mirror nor the registry gave the image.
    #[error(
        "mirror `{mirror}` failed for image `{image}` ({}), and so did its registry",
        chain(mirror_cause)
    )]
    MirrorAndRegistry {
        /// The reference as it is written.
        image: String,
        /// The mirror's host.
        mirror: String,
        /// Why the mirror failed.
        mirror_cause: Box<DockerError>,
        /// Why the registry failed.
        source: Box<DockerError>,
    },
}
