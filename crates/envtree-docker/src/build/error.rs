//! Why an image was not built.

use std::path::PathBuf;

use crate::error::DockerError;
use crate::failure::EngineFailure;

/// A build that failed, or was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A step of the Dockerfile failed.
    #[error("cannot build image `{image}`: {}`{step}` failed", place(dockerfile.as_deref(), *line))]
    Step {
        /// The image.
        image: String,
        /// The step in the builder's words: `[2/5] RUN npm ci`.
        step: String,
        /// The Dockerfile, as the builder names it.
        dockerfile: Option<String>,
        /// The line of the Dockerfile, from 1.
        line: Option<u32>,
        /// The last lines that the step wrote.
        output: Vec<String>,
        /// What the builder said.
        source: EngineFailure,
    },
    /// The build failed outside a step.
    #[error("cannot build image `{image}`")]
    Engine {
        /// The image.
        image: String,
        /// What the builder said.
        source: EngineFailure,
    },
    /// The folder of the context does not exist.
    #[error("cannot build image `{image}`: there is no folder `{}`", path.display())]
    ContextMissing {
        /// The image.
        image: String,
        /// The folder.
        path: PathBuf,
    },
    /// The Dockerfile does not exist.
    #[error("cannot build image `{image}`: there is no file `{}`", path.display())]
    DockerfileMissing {
        /// The image.
        image: String,
        /// The file.
        path: PathBuf,
    },
    /// A part of the context cannot be read.
    #[error("cannot build image `{image}`: {cause}")]
    Unreadable {
        /// The image.
        image: String,
        /// Which, and why.
        cause: String,
    },
    /// A secret cannot be had.
    #[error("cannot build image `{image}`: secret `{secret}`: {cause}")]
    Secret {
        /// The image.
        image: String,
        /// The name by which the build asks for it.
        secret: String,
        /// Why.
        cause: String,
    },
    /// An ssh agent or a key cannot be used.
    #[error("cannot build image `{image}`: ssh `{id}`: {cause}")]
    Agent {
        /// The image.
        image: String,
        /// The name by which the build asks for it.
        id: String,
        /// Why.
        cause: String,
    },
    /// Only BuildKit can do what a key asks for.
    #[error("cannot build image `{image}`: `{key}` needs BuildKit, which {engine} has not")]
    NeedsBuildKit {
        /// The image.
        image: String,
        /// The key under `build`.
        key: &'static str,
        /// What the Engine calls itself, with its version.
        engine: String,
    },
    /// The Engine's BuildKit knows no further contexts.
    #[error("cannot build image `{image}`: the BuildKit of {engine} knows no `additional_contexts`")]
    NeedsContexts {
        /// The image.
        image: String,
        /// What the Engine calls itself, with its version.
        engine: String,
    },
    /// BuildKit joins no network of containers.
    #[error("cannot build image `{image}`: BuildKit joins no network `{network}`")]
    Network {
        /// The image.
        image: String,
        /// The network.
        network: String,
    },
    /// A further context is an OCI layout.
    #[error("cannot build image `{image}`: context `{context}` is an OCI layout, which is not supported")]
    OciLayout {
        /// The image.
        image: String,
        /// The name of the context.
        context: String,
    },
}

impl BuildError {
    /// Returns the image that was not built.
    pub fn image(&self) -> &str {
        match self {
            Self::Step { image, .. }
            | Self::Engine { image, .. }
            | Self::ContextMissing { image, .. }
            | Self::DockerfileMissing { image, .. }
            | Self::Unreadable { image, .. }
            | Self::Secret { image, .. }
            | Self::Agent { image, .. }
            | Self::NeedsBuildKit { image, .. }
            | Self::NeedsContexts { image, .. }
            | Self::Network { image, .. }
            | Self::OciLayout { image, .. } => image,
        }
    }
}

impl From<BuildError> for DockerError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

fn place(dockerfile: Option<&str>, line: Option<u32>) -> String {
    match (dockerfile, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        _ => String::new(),
    }
}
