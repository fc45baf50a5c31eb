//! The Engine behind Docker's API: every [`Operation`] is one call.

use std::sync::Arc;

use envtree_core::engine::{Engine, Progress, Scope};
use envtree_core::observed::ObservedState;
use envtree_core::plan::Operation;
use indexmap::IndexMap;
use tokio::sync::OnceCell;

use crate::connect::{Connection, connect};
use crate::endpoint::{Address, Endpoint};
use crate::error::DockerError;
use crate::version::EngineFacts;

/// A Docker Engine. Nothing is sent before the first call; clones share one connection.
#[derive(Debug, Clone, Default)]
pub struct Docker {
    pub(crate) endpoint: Endpoint,
    pub(crate) mirrors: IndexMap<String, String>,
    pub(crate) classic_builder: bool,
    connection: Arc<OnceCell<Connection>>,
    facts: Arc<OnceCell<EngineFacts>>,
}

impl Docker {
    /// Returns the Engine that `endpoint` selects.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, ..Self::default() }
    }

    /// Pulls images of a registry from its mirror first: `mirrors` maps hosts of registries to hosts of mirrors.
    ///
    /// Docker Hub's host is `docker.io`.
    #[must_use]
    pub fn with_mirrors(mut self, mirrors: IndexMap<String, String>) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// Finds out whether an Engine answers.
    pub async fn connect(&self) -> Result<(), DockerError> {
        self.connection().await.map(drop)
    }

    /// Builds images with the classic builder although the Engine may have BuildKit, if `classic` is set.
    #[must_use]
    pub fn with_classic_builder(mut self, classic: bool) -> Self {
        self.classic_builder = classic;
        self
    }

    /// Returns what the Engine says about itself; one that is too old is an error.
    pub async fn facts(&self) -> Result<&EngineFacts, DockerError> {
        let connection = self.connection().await?;
        // On the heap for the same reason as below.
        Ok(self.facts.get_or_try_init(|| Box::pin(connection.facts())).await?)
    }

    /// Returns the other machine on which the Engine runs, as its endpoint names it; nothing if it is this one.
    ///
    /// There its ports are, and the paths of its bind mounts.
    pub async fn remote_host(&self) -> Result<Option<&str>, DockerError> {
        Ok(self.connection().await?.address.remote_host())
    }

    /// Returns whether the Engine runs on another machine.
    pub async fn is_remote(&self) -> Result<bool, DockerError> {
        Ok(self.remote_host().await?.is_some())
    }

    /// Returns the client; the first call finds the endpoint. A failed attempt is made again by the next call.
    pub(crate) async fn client(&self) -> Result<&bollard::Docker, DockerError> {
        Ok(&self.connection().await?.client)
    }

    /// Returns where the Engine answers.
    pub(crate) async fn address(&self) -> Result<&Address, DockerError> {
        Ok(&self.connection().await?.address)
    }

    async fn connection(&self) -> Result<&Connection, DockerError> {
        // On the heap, because every call holds it and all but the first need none of it.
        let connection = self.connection.get_or_try_init(|| Box::pin(connect(&self.endpoint))).await;
        Ok(connection?)
    }
}

impl Engine for Docker {
    type Error = DockerError;

    async fn observe(&self, scope: &Scope) -> Result<ObservedState, DockerError> {
        self.observe_scope(scope).await
    }

    async fn perform(
        &self,
        operation: &Operation,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(), DockerError> {
        match operation {
            Operation::PullImage { image, platform } => {
                self.pull_image(image, platform.as_deref(), &|pull| progress(Progress::Pull(pull))).await
            }
            Operation::BuildImage(build) => self.build_image(build, progress).await,
            Operation::RemoveImage { id, name } => self.remove_image(id, name).await,
            Operation::CreateNetwork { key, network } => self.create_network(key, network).await,
            Operation::RemoveNetwork { id, name } => self.remove_network(id, name).await,
            Operation::CreateVolume { key, volume } => self.create_volume(key, volume).await,
            Operation::RemoveVolume { name } => self.remove_volume(name).await,
            Operation::CreateKeeper(keeper) => self.create_keeper(keeper).await,
            Operation::PutDirectories { container, directories } => {
                self.put_directories(container, directories).await
            }
            Operation::CopyLayer(copy) => self.copy_layer(copy).await,
            Operation::CreateContainer(container) => self.create_container(container).await,
            Operation::ConnectNetwork { container, network, attachment } => {
                self.connect_network(container, network, attachment).await
            }
            Operation::DisconnectNetwork { container, network } => {
                self.disconnect_network(container, network).await
            }
            Operation::PutFiles { container, files } => self.put_files(container, files).await,
            Operation::RunHook { container, key, hook, .. } => self.run_hook(container, key, hook).await,
            Operation::StartContainer { container, .. } => self.start_container(container).await,
            Operation::UnpauseContainer { container } => self.unpause_container(container).await,
            Operation::StopContainer { container, grace } => self.stop_container(container, *grace).await,
            Operation::RemoveContainer { container, volumes } => {
                self.remove_container(container, *volumes).await
            }
        }
    }
}
