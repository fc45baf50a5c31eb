//! Containers: create, start, stop, remove, inspect, wait.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use envtree_core::anonymous::is_anonymous;
use envtree_core::plan::NewContainer;
use futures::{StreamExt, future};
use tokio::time::{Instant, sleep};

use crate::container::body::create_body;
use crate::container::detail::container_detail;
use crate::container::endpoint::container_mac_address;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;

pub use crate::container::demand::demands;
pub use crate::container::detail::{ContainerDetail, PublishedPort, Variables};

pub(crate) mod body;
mod demand;
mod detail;
pub(crate) mod endpoint;
mod files;
mod limits;
mod mount;
mod options;
mod podman;

/// What the Engine may need beyond the grace period to report a stopped container.
const STOP_MARGIN: Duration = Duration::from_mins(1);
/// The longest wait for a stop whose grace period only the Engine knows.
const LONGEST_STOP: Duration = Duration::from_hours(1);
/// The longest wait for a state of a container that passes by itself.
const PASSING: Duration = Duration::from_secs(20);
/// The pause between two looks at such a container.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a name may be held by a container that cannot be seen.
const UNSEEN: Duration = Duration::from_secs(20);
/// The longest wait for the end of a container.
const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

impl Docker {
    /// Makes a container and does not start it.
    pub async fn create_container(&self, container: &NewContainer) -> Result<(), DockerError> {
        let facts = self.facts().await?;
        let mut body = create_body(container, facts.api)?;
        if facts.is_podman() {
            podman::complete(&mut body);
            for volume in podman::labelled_volumes(&body) {
                self.send_create_volume(volume).await?;
            }
        }
        match self.create_once_seen(container, &body).await {
            Err(error @ DockerError::Image(ImageError::ImageMissing { .. })) => {
                let Some(image) = self.mirrored_digest(&container.definition.image) else {
                    return Err(error);
                };
                let image = Some(image);
                // An image that a mirror gave by digest is known by the mirror's name only.
                let body = ContainerCreateBody { image, ..body };
                self.send_create(container, body).await.map_err(|_| error)
            }
            result => result,
        }
    }

    /// Makes a container whose name may be held by one that cannot be seen: the Engine still makes or removes it for a
    /// command that was cut off. It is waited for.
    async fn create_once_seen(
        &self,
        container: &NewContainer,
        body: &ContainerCreateBody,
    ) -> Result<(), DockerError> {
        let started = Instant::now();
        loop {
            let created = self.send_create(container, body.clone()).await;
            let is_taken = matches!(created, Err(DockerError::ContainerAlreadyExists { .. }));
            if !is_taken || started.elapsed() >= UNSEEN {
                return created;
            }
            match self.inspect(&container.name).await {
                Err(DockerError::ContainerMissing { .. }) => sleep(PAUSE).await,
                _ => return created,
            }
        }
    }

    async fn send_create(
        &self,
        container: &NewContainer,
        body: ContainerCreateBody,
    ) -> Result<(), DockerError> {
        let mut options = CreateContainerOptionsBuilder::new().name(&container.name);
        if let Some(platform) = &container.definition.platform {
            options = options.platform(platform);
        }
        let mut client = self.client().await?.clone();
        if let Some(address) = container_mac_address(container, self.facts().await?.api) {
            // bollard's body lacks `MacAddress`, which later Engines take for each network.
            let mut whole = serde_json::to_value(&body).expect("the body is plain data");
            whole["MacAddress"] = address.into();
            let whole = whole.to_string();
            client = client
                .with_request_modifier(move |call| call.map(|_| bollard::body_full(whole.clone().into())));
        }
        let created = client.create_container(Some(options.build()), body).await;
        created.map(|_| ()).map_err(|error| {
            let definition = &container.definition;
            create_error(&container.name, &definition.image, definition.platform.as_deref(), error.into())
        })
    }

    /// Starts a container; one that runs already is left alone.
    pub async fn start_container(&self, container: &str) -> Result<(), DockerError> {
        let client = self.client().await?;
        client
            .start_container(container, None::<StartContainerOptions>)
            .await
            .map_err(|error| start_error(container, error.into()))
    }

    /// Lets a frozen container go on; one that is not frozen is left alone.
    pub async fn unpause_container(&self, container: &str) -> Result<(), DockerError> {
        let client = self.client().await?;
        match client.unpause_container(container).await.map_err(EngineFailure::from) {
            Ok(()) => Ok(()),
            // 20.10 answers 500, later Engines 409.
            Err(failure) if failure.says(&["is not paused"]) => Ok(()),
            Err(source) => Err(unpause_error(container, source)),
        }
    }

    /// Stops a container: its stop signal, `grace` seconds or its own setting, then a kill.
    ///
    /// One that does not run, or does not exist, is done.
    pub async fn stop_container(&self, container: &str, grace: Option<u64>) -> Result<(), DockerError> {
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(grace) = grace {
            options = options.t(i32::try_from(grace).unwrap_or(i32::MAX));
        }
        // The Engine answers only after the stop, so the client must be more patient than the grace period.
        let patience = grace.map_or(LONGEST_STOP, |grace| Duration::from_secs(grace) + STOP_MARGIN);
        let client = self.client().await?.clone().with_timeout(patience);
        let stopped = client.stop_container(container, Some(options.build())).await;
        done_if_gone(stopped)
            .map_err(|source| DockerError::StopContainer { container: container.to_owned(), source })
    }

    /// Removes a container; one that is gone is done. `volumes` takes its anonymous volumes too, except those that
    /// another container uses.
    pub async fn remove_container(&self, container: &str, volumes: bool) -> Result<(), DockerError> {
        let anonymous = if volumes { self.anonymous_volumes(container).await? } else { Vec::new() };
        let mut removed = self.try_remove_container(container, volumes).await?;
        // A start that an interrupted command asked for may take effect only now.
        if removed.as_ref().is_err_and(still_runs) {
            self.stop_container(container, None).await?;
            removed = self.try_remove_container(container, volumes).await?;
        }
        match removed {
            Ok(()) => {}
            Err(source) if source.is(409) && source.says(&["already in progress"]) => {
                self.wait_removed(container).await?;
            }
            Err(source) => {
                return Err(DockerError::RemoveContainer { container: container.to_owned(), source });
            }
        }
        // The Engine counts a volume that a container inherited as named, and keeps it.
        future::try_join_all(anonymous.iter().map(|name| self.remove_unused_volume(name))).await?;
        Ok(())
    }

    async fn try_remove_container(
        &self,
        container: &str,
        volumes: bool,
    ) -> Result<Result<(), EngineFailure>, DockerError> {
        let options = RemoveContainerOptionsBuilder::new().v(volumes).build();
        Ok(done_if_gone(self.client().await?.remove_container(container, Some(options)).await))
    }

    /// Returns the names of the anonymous volumes that a container mounts.
    async fn anonymous_volumes(&self, container: &str) -> Result<Vec<String>, DockerError> {
        let answer = match self.inspect(container).await {
            Err(DockerError::ContainerMissing { .. }) => return Ok(Vec::new()),
            answer => answer?,
        };
        let mounts = answer.mounts.unwrap_or_default().into_iter();
        Ok(mounts
            .filter(|mount| mount.typ.as_deref() == Some("volume"))
            .filter_map(|mount| mount.name)
            .filter(|name| is_anonymous(name))
            .collect())
    }

    /// Returns what a container is doing.
    pub async fn inspect_container(&self, container: &str) -> Result<ContainerDetail, DockerError> {
        Ok(container_detail(self.inspect(container).await?))
    }

    async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, DockerError> {
        let client = self.client().await?;
        let answer = once_settled(|| client.inspect_container(container, None::<InspectContainerOptions>));
        answer.await.map_err(|failure| inspect_error(container, failure))
    }

    /// Waits until a container does not run, and returns its exit status: at once if it does not run, and 0 if it
    /// never did.
    pub async fn wait_container(&self, container: &str) -> Result<i64, DockerError> {
        self.wait(container, "not-running").await.map_err(|source| {
            if source.is(404) {
                return DockerError::ContainerMissing { container: container.to_owned() };
            }
            DockerError::WaitContainer { container: container.to_owned(), source }
        })
    }

    async fn wait_removed(&self, container: &str) -> Result<(), DockerError> {
        match self.wait(container, "removed").await {
            Ok(_) => Ok(()),
            Err(source) if source.is(404) => Ok(()),
            Err(source) => Err(DockerError::RemoveContainer { container: container.to_owned(), source }),
        }
    }

    async fn wait(&self, container: &str, condition: &str) -> Result<i64, EngineFailure> {
        let options = WaitContainerOptionsBuilder::new().condition(condition).build();
        let client = self
            .client()
            .await
            .map_err(|error| EngineFailure { status: None, message: error.to_string() })?;
        let client = client.clone().with_timeout(LONGEST_WAIT);
        match client.wait_container(container, Some(options)).next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard reports every exit status but 0 as an error.
            Some(Err(Bollard::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error.into()),
            None => {
                Err(EngineFailure { status: None, message: "the Engine ended the answer early".to_owned() })
            }
        }
    }
}

/// Asks until no container is in a state that passes by itself and that the answer cannot hold.
pub(crate) async fn once_settled<T, Answer>(ask: impl Fn() -> Answer) -> Result<T, EngineFailure>
where
    Answer: Future<Output = Result<T, Bollard>>,
{
    let started = Instant::now();
    loop {
        match Box::pin(ask()).await.map_err(EngineFailure::from) {
            Err(failure) if podman::is_passing(&failure) && started.elapsed() < PASSING => {
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Takes “there is no such thing” for done.
pub(crate) fn done_if_gone(result: Result<(), Bollard>) -> Result<(), EngineFailure> {
    match result.map_err(EngineFailure::from) {
        Err(failure) if failure.is(404) => Ok(()),
        result => result,
    }
}

/// Returns whether the Engine refused a removal because the container runs.
fn still_runs(failure: &EngineFailure) -> bool {
    // Until Docker 24, and since; and Podman's words, which come with status 500.
    let docker = ["cannot remove a running container", "container is running"];
    (failure.is(409) && failure.says(&docker)) || failure.says(&["cannot be removed without force"])
}

pub(crate) fn create_error(
    container: &str,
    image: &str,
    platform: Option<&str>,
    source: EngineFailure,
) -> DockerError {
    let (container, image) = (container.to_owned(), image.to_owned());
    // Docker's words, and Podman's, which come with status 500.
    if source.says(&["already in use by container", "that name is already in use"]) {
        DockerError::ContainerAlreadyExists { container, source }
    } else if source.is(404) && source.says(&["no such image", "image with reference"]) {
        ImageError::ImageMissing { image, platform: platform.map(str::to_owned), source }.into()
    } else {
        DockerError::CreateContainer { container, source }
    }
}

fn start_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.says(&[
        "port is already allocated",
        "address already in use",
        "EADDRINUSE",
        "ports are not available",
        "failed to bind host port",
    ]) {
        let port = taken_port(&source.message);
        DockerError::PortInUse { container, port, source }
    } else if source.is(404) && source.says(&["no such container"]) {
        DockerError::ContainerMissing { container }
    } else {
        DockerError::StartContainer { container, source }
    }
}

fn unpause_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.is(404) {
        DockerError::ContainerMissing { container }
    } else {
        DockerError::UnpauseContainer { container, source }
    }
}

pub(crate) fn inspect_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.is(404) {
        DockerError::ContainerMissing { container }
    } else {
        DockerError::InspectContainer { container, source }
    }
}

/// Finds the host's port in the Engine's words for a port that it cannot publish.
///
/// The wordings of Docker 20.10 to 29, Docker Desktop and Podman differ, but each names the host's address after one
/// of these phrases, and before the container's if it names both.
fn taken_port(message: &str) -> Option<u16> {
    const PHRASES: [&str; 8] = [
        "Bind for ",
        "failed to bind host port for ",
        "failed to bind host port ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp ",
        "exposing port TCP ",
    ];
    PHRASES.iter().find_map(|phrase| {
        let (_, rest) = message.split_once(phrase)?;
        port_of_address(rest.split_whitespace().next()?)
    })
}

/// Returns the first number that stands after a colon and before the end, a colon, a slash or a comma.
fn port_of_address(address: &str) -> Option<u16> {
    address.match_indices(':').find_map(|(at, _)| {
        let rest = &address[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let ends_well = rest[end..].is_empty() || rest[end..].starts_with([':', '/', ',']);
        if ends_well { rest[..end].parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taken_port_is_found_in_the_words_of_every_engine() {
        let messages = [
            "driver failed programming external connectivity on endpoint a (1f): Bind for 127.0.0.1:20014 failed: \
             port is already allocated",
            "driver failed programming external connectivity on endpoint a (1f): Error starting userland proxy: \
             listen tcp4 127.0.0.1:20014: bind: address already in use",
            "Ports are not available: exposing port TCP 127.0.0.1:20014 -> 127.0.0.1:0: listen tcp4 \
             127.0.0.1:20014: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint a \
             (1f): failed to bind host port for 127.0.0.1:20014:172.17.0.2:5432/tcp: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint a \
             (1f): failed to bind host port 127.0.0.1:20014/tcp: address already in use",
            "rootlessport listen tcp 127.0.0.1:20014: bind: address already in use",
        ];
        for message in messages {
            let failure = EngineFailure { status: Some(500), message: message.to_owned() };
            let error = start_error("shop-db-1", failure);
            assert!(matches!(error, DockerError::PortInUse { port: Some(20014), .. }), "{error:?}");
        }
    }

    #[test]
    fn a_taken_name_is_known_by_the_words_of_every_engine() {
        let messages = [
            (
                409,
                "Conflict. The container name \"/shop-db-1\" is already in use by container \"1f\". You have to \
                   remove (or rename) that container to be able to reuse that name.",
            ),
            (
                500,
                "container create: creating container storage: the container name \"shop-db-1\" is already in use \
                   by 1f. You have to remove that container to be able to reuse that name: that name is already in use",
            ),
        ];
        for (status, message) in messages {
            let failure = EngineFailure { status: Some(status), message: message.to_owned() };
            let error = create_error("shop-db-1", "postgres:17", None, failure);
            assert!(matches!(error, DockerError::ContainerAlreadyExists { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_port_after_an_address_of_the_new_kind_is_found() {
        assert_eq!(taken_port("listen tcp6 [::1]:20014: bind: address already in use"), Some(20014));
    }
}
