//! A project of its own for each test, of which nothing is left when the test ends.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use envtree_core::engine::{Engine, Scope};
use envtree_core::label;
use envtree_core::name::{NetworkName, ProjectName, ServiceName, VolumeName};
use envtree_core::observed::ObservedState;
use envtree_core::plan::{NewContainer, Operation};
use envtree_core::project::{Network, Volume};
use envtree_core::service::{Attachment, Service};
use envtree_docker::{Docker, DockerError, Endpoint};
use indexmap::IndexMap;
use testcontainers::core::WaitFor;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

/// The registry that stands in for Docker Hub.
pub(crate) const MIRROR: &str = "127.0.0.1:5000";
/// An image with a shell and little else.
pub(crate) const BUSYBOX: &str = "busybox:1";

static STAGES: AtomicU32 = AtomicU32::new(0);

/// An Engine, and the project of one test.
pub(crate) struct Stage {
    /// The adapter.
    pub(crate) docker: Docker,
    /// The project's name, with which all names of its objects begin.
    pub(crate) project: ProjectName,
    /// The network of containers that name none.
    pub(crate) default_network: &'static str,
}

impl Stage {
    /// Makes the project of one test; the Engine has the small image afterwards.
    pub(crate) async fn new() -> Self {
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let project = format!("envtree-docker-test-{}-{number}", std::process::id());
        let docker = docker();
        let default_network = if docker.facts().await.unwrap().is_podman() { "podman" } else { "bridge" };
        let stage = Self { docker, project: ProjectName::new(project).unwrap(), default_network };
        let pull = Operation::PullImage { image: BUSYBOX.to_owned(), platform: None };
        stage.perform(&pull).await.unwrap();
        stage
    }

    /// Carries out one operation.
    pub(crate) async fn perform(&self, operation: &Operation) -> Result<(), DockerError> {
        self.docker.perform(operation, &|_| {}).await
    }

    /// Returns what the Engine has of the project.
    pub(crate) async fn observe(&self) -> ObservedState {
        self.docker.observe(&scope(&self.project)).await.unwrap()
    }

    /// Returns the name of an object of the project.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}-{key}", self.project)
    }

    /// Returns the labels of every object of the project.
    pub(crate) fn labels(&self) -> IndexMap<String, String> {
        let labels = [
            (label::COMPOSE_PROJECT, self.project.to_string()),
            (label::REPOSITORY, self.name("repository")),
        ];
        labels.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// Returns the creation of a container that runs a line of the shell.
    pub(crate) fn shell(&self, service: &str, line: &str) -> NewContainer {
        NewContainer {
            name: self.name(service),
            service: ServiceName::new(service).unwrap(),
            definition: Service {
                image: BUSYBOX.to_owned(),
                command: Some(["sh", "-c", line].map(str::to_owned).to_vec()),
                labels: self.labels(),
                ..Service::default()
            },
            volume_names: IndexMap::new(),
            network: Some((self.default_network.to_owned(), Attachment::default())),
            inherited_volumes: IndexMap::new(),
            image_volumes: Vec::new(),
        }
    }

    /// Makes and starts a container, and returns its name.
    pub(crate) fn run(&self, container: NewContainer) -> impl Future<Output = String> {
        let (name, service) = (container.name.clone(), container.service.clone());
        let create = Operation::CreateContainer(Box::new(container));
        let start = Operation::StartContainer { container: name.clone(), service };
        async move {
            self.perform(&create).await.unwrap();
            self.perform(&start).await.unwrap();
            name
        }
    }

    /// Returns the creation of a network.
    pub(crate) fn network(&self, key: &str) -> Operation {
        Operation::CreateNetwork {
            key: NetworkName::new(key).unwrap(),
            network: Network { name: Some(self.name(key)), labels: self.labels(), ..Network::default() },
        }
    }

    /// Returns the creation of a volume.
    pub(crate) fn volume(&self, key: &str) -> Operation {
        Operation::CreateVolume {
            key: VolumeName::new(key).unwrap(),
            volume: Volume { name: Some(self.name(key)), labels: self.labels(), ..Volume::default() },
        }
    }

    /// Starts a Redis that the adapter did not make, and waits until it takes connections.
    pub(crate) async fn redis(&self) -> ContainerAsync<GenericImage> {
        GenericImage::new("127.0.0.1:5000/library/redis", "8")
            .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
            .with_container_name(self.name("cache"))
            .with_labels(self.labels())
            .with_label(label::COMPOSE_SERVICE, "cache")
            .start()
            .await
            .unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let project = self.project.clone();
        // The connection of the test belongs to its runtime, which waits for this very function.
        let cleaned = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(clean(&docker(), &project)).unwrap();
        });
        assert!(cleaned.join().is_ok() || thread::panicking());
    }
}

fn docker() -> Docker {
    let mirrors = IndexMap::from([("docker.io".to_owned(), MIRROR.to_owned())]);
    Docker::new(Endpoint::from_environment()).with_mirrors(mirrors)
}

fn scope(project: &ProjectName) -> Scope {
    Scope {
        project: project.clone(),
        images: vec![BUSYBOX.to_owned()],
        volumes: Vec::new(),
        built: true,
        shared: None,
    }
}

async fn clean(docker: &Docker, project: &ProjectName) -> Result<(), DockerError> {
    let observed = docker.observe(&scope(project)).await?;
    for container in &observed.containers {
        docker.stop_container(&container.name, Some(0)).await?;
        docker.remove_container(&container.name, true).await?;
    }
    for keeper in &observed.keepers {
        docker.remove_container(&keeper.name, false).await?;
    }
    for image in &observed.built {
        docker.remove_image(&image.id, &image.id).await?;
    }
    for network in &observed.networks {
        if network.labels.get(label::COMPOSE_PROJECT).map(String::as_str) == Some(project) {
            docker.remove_network(&network.id, &network.name).await?;
        }
    }
    for volume in observed.volumes.iter().chain(&observed.uppers) {
        docker.remove_volume(&volume.name).await?;
    }
    Ok(())
}

/// Returns what `work` yields, which must not take long.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), Box::pin(work)).await.unwrap()
}
