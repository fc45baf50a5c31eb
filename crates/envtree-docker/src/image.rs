//! Images: what the Engine has, and pulls, through a mirror where there is one.

use bollard::errors::Error as Bollard;
use bollard::models::{BollardDate, ImageInspect};
use bollard::query_parameters::{
    CreateImageOptions, CreateImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use envtree_core::engine::PullProgress;
use envtree_core::observed::ObservedImage;
use envtree_core::reference::Reference;
use futures::StreamExt;
use std::time::Duration;

use crate::container::once_settled;
use crate::credentials::{self, CredentialFailure};
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;
use crate::image::progress::Layers;

mod built;
mod progress;

/// The Engine answers a pull only when the registry has: slow networks need more than the usual patience.
const PULL_TIMEOUT: Duration = Duration::from_mins(10);

/// Hears how a pull goes on.
pub(crate) type Progress<'a> = &'a (dyn Fn(PullProgress) + Send + Sync);

impl Docker {
    /// Returns the image of that reference, if the Engine has it.
    pub async fn inspect_image(&self, image: &str) -> Result<Option<ObservedImage>, DockerError> {
        Reference::parse(image).map_err(ImageError::from)?;
        let found = self.look_up(image, image).await?;
        match (found, self.mirrored_digest(image)) {
            (None, Some(mirrored)) => self.look_up(image, &mirrored).await,
            (found, _) => Ok(found),
        }
    }

    async fn look_up(&self, image: &str, reference: &str) -> Result<Option<ObservedImage>, DockerError> {
        let client = self.client().await?;
        match once_settled(|| client.inspect_image(reference)).await {
            Ok(answer) => Ok(Some(observed_image(answer))),
            Err(failure) if failure.is(404) => Ok(None),
            Err(source) => Err(ImageError::InspectImage { image: image.to_owned(), source }.into()),
        }
    }

    /// Returns the name by which the Engine knows an image that its mirror gave by digest: it cannot tag with one.
    pub(crate) fn mirrored_digest(&self, image: &str) -> Option<String> {
        let reference = Reference::parse(image).ok()?;
        let digest = reference.digest.as_ref()?;
        let mirror = self.mirrors.get(&reference.registry)?;
        Some(format!("{}@{digest}", reference.on_mirror(mirror).name()))
    }

    /// Brings an image to the Engine: from the mirror of its registry if there is one, else from the registry.
    ///
    /// An image from a mirror bears the reference as it is written and not the mirror's, except by digest.
    pub async fn pull_image(
        &self,
        image: &str,
        platform: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<(), DockerError> {
        let reference = Reference::parse(image).map_err(ImageError::from)?;
        let pull = Pull { image, platform, progress };
        let Some(mirror) = self.mirrors.get(&reference.registry) else {
            self.pull_from(&pull, &reference).await?;
            self.note_pull(&reference).await;
            return Ok(());
        };
        let Err(mirror_cause) = self.pull_from_mirror(&pull, &reference, mirror).await else {
            return Ok(());
        };
        let pulled = self.pull_from(&pull, &reference).await;
        let failed = |source| ImageError::MirrorAndRegistry {
            image: image.to_owned(),
            mirror: mirror.clone(),
            mirror_cause: Box::new(mirror_cause),
            source: Box::new(source),
        };
        pulled.map_err(failed)?;
        self.note_pull(&reference).await;
        Ok(())
    }

    async fn pull_from_mirror(
        &self,
        pull: &Pull<'_>,
        reference: &Reference,
        mirror: &str,
    ) -> Result<(), DockerError> {
        let mirrored = reference.on_mirror(mirror);
        let was_there = self.look_up(pull.image, &mirrored.to_string()).await?.is_some();
        self.pull_from(pull, &mirrored).await?;
        if mirrored.digest.is_some() {
            return Ok(());
        }
        if let Err(source) = self.tag(&mirrored, reference).await {
            // Another pull of the image, at the same time, may have moved the tag already.
            if source.is(404) && self.look_up(pull.image, &reference.to_string()).await?.is_some() {
                return Ok(());
            }
            let (image, pulled) = (pull.image.to_owned(), mirrored.to_string());
            return Err(ImageError::TagImage { image, pulled, source }.into());
        }
        if !was_there {
            // The image keeps its new tag; a mirror's tag that cannot be removed harms nothing.
            let client = self.client().await?;
            let _ = client.remove_image(&mirrored.to_string(), None::<RemoveImageOptions>, None).await;
        }
        Ok(())
    }

    /// Lets the Engine note that the image of a tag is as new as the registry's: a pull that brings nothing new leaves
    /// the time as it was.
    async fn note_pull(&self, reference: &Reference) {
        if reference.digest.is_none() {
            // At worst the registry is asked again.
            let _ = self.tag(reference, reference).await;
        }
    }

    async fn tag(&self, pulled: &Reference, wanted: &Reference) -> Result<(), EngineFailure> {
        let options = TagImageOptionsBuilder::new().repo(&wanted.name()).tag(wanted.version()).build();
        let client = self
            .client()
            .await
            .map_err(|error| EngineFailure { status: None, message: error.to_string() })?;
        Ok(client.tag_image(&pulled.to_string(), Some(options)).await?)
    }

    /// Pulls the image from exactly the registry of `reference`.
    async fn pull_from(&self, pull: &Pull<'_>, reference: &Reference) -> Result<(), DockerError> {
        let waiting = || (pull.progress)(PullProgress { awaits_helper: true, ..PullProgress::default() });
        let found = match &self.endpoint.config_dir {
            Some(folder) => credentials::credentials(folder, &reference.registry, &waiting).await,
            None => Ok(None),
        };
        // A registry may let anybody in, so the pull is tried without them.
        let (credentials, fault) = found.map_or_else(|fault| (None, Some(fault)), |found| (found, None));
        let client = self.client().await?.clone().with_timeout(PULL_TIMEOUT);
        let mut answers = client.create_image(Some(pull.options(reference)), None, credentials);
        let mut layers = Layers::default();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => {
                    if layers.hear(&answer) {
                        (pull.progress)(layers.progress());
                    }
                }
                Err(error) => {
                    let ended = self.end_of_pull(pull, reference, error, &layers).await;
                    return ended.map_err(|error| with_credentials(error, fault));
                }
            }
        }
        Ok(())
    }

    /// Decides whether a pull whose answer broke off has failed.
    ///
    /// Where the Engine sends the last line and its line break apart, bollard 0.21 ends a pull that succeeded with an
    /// error, so the image itself is looked at.
    async fn end_of_pull(
        &self,
        pull: &Pull<'_>,
        reference: &Reference,
        error: Bollard,
        layers: &Layers,
    ) -> Result<(), DockerError> {
        let is_rest = matches!(&error, Bollard::IOError { err } if err.to_string().contains("bytes remaining on stream"));
        if is_rest
            && layers.is_complete()
            && self.look_up(pull.image, &reference.to_string()).await?.is_some()
        {
            return Ok(());
        }
        Err(pull_error(pull.image, &reference.registry, error.into()).into())
    }
}

/// What a pull is asked for, wherever it goes.
struct Pull<'a> {
    image: &'a str,
    platform: Option<&'a str>,
    progress: Progress<'a>,
}

impl Pull<'_> {
    fn options(&self, reference: &Reference) -> CreateImageOptions {
        // Without a tag the Engine would pull every one of the repository.
        let mut options =
            CreateImageOptionsBuilder::new().from_image(&reference.name()).tag(reference.version());
        if let Some(platform) = self.platform {
            options = options.platform(platform);
        }
        options.build()
    }
}

fn observed_image(answer: ImageInspect) -> ObservedImage {
    let tagged = answer.metadata.and_then(|metadata| metadata.last_tag_time);
    let config = answer.config.unwrap_or_default();
    let check = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
    let mut volumes = config.volumes.unwrap_or_default();
    let mut exposed = config.exposed_ports.unwrap_or_default();
    volumes.sort();
    exposed.sort();
    ObservedImage {
        id: answer.id.unwrap_or_default(),
        volumes,
        exposed,
        has_health_check: check.first().is_some_and(|kind| kind != "NONE"),
        // The Engine says year 1 where it does not know.
        tagged: tagged.map(BollardDate::unix_timestamp).filter(|seconds| *seconds > 0),
    }
}

/// Sorts the ways in which a pull fails by the registry's words: the Engine answers most of them with 404 or 500.
fn pull_error(image: &str, registry: &str, source: EngineFailure) -> ImageError {
    let image = image.to_owned();
    let registry = registry.to_owned();
    if source.says(&["toomanyrequests", "too many requests", "rate limit"]) {
        ImageError::RegistryLimit { image, registry, source }
    } else if source.says(&[
        "denied",
        "unauthorized",
        "no basic auth credentials",
        "authentication required",
        "403 Forbidden",
    ]) {
        ImageError::RegistryDenied { image, registry, source }
    } else if source.says(&["manifest unknown", "not found", "no matching manifest", "name unknown"])
        && !source.says(&["lookup "])
    {
        ImageError::ImageNotFound { image, registry, source }
    } else if source.says(&UNREACHABLE) {
        ImageError::RegistryUnreachable { image, registry, source }
    } else {
        ImageError::PullImage { image, source }
    }
}

/// Says of a registry that let nobody in why nobody's credentials were shown.
fn with_credentials(error: DockerError, fault: Option<CredentialFailure>) -> DockerError {
    match (error, fault) {
        (DockerError::Image(ImageError::RegistryDenied { image, registry, source }), Some(credentials)) => {
            ImageError::CredentialsUnusable { image, registry, credentials, source }.into()
        }
        (error, _) => error,
    }
}

const UNREACHABLE: [&str; 14] = [
    "dial tcp",
    "no such host",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "handshake timeout",
    "request canceled",
    "deadline exceeded",
    "did not answer in time",
    "network is unreachable",
    "no route to host",
    "x509:",
    "server gave HTTP response to HTTPS client",
    "EOF",
];
