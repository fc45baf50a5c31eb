//! What the Engine has, as plain data: all requests of an observation run side by side.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerSummary, ContainerSummaryHealthStatusEnum, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    ListContainersOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder,
};
use envtree_core::branch::base::Base;
use envtree_core::engine::Scope;
use envtree_core::label;
use envtree_core::observed::{
    BuiltImage, ContainerState, Health, ObservedContainer, ObservedState, ObservedVolume,
};
use envtree_core::service::Protocol;
use futures::{future, try_join};
use indexmap::IndexMap;

use crate::container::once_settled;
use crate::engine::Docker;
use crate::error::DockerError;

impl Docker {
    /// Returns what the Engine has in `scope`.
    pub(crate) async fn observe_scope(&self, scope: &Scope) -> Result<ObservedState, DockerError> {
        // Connected first, so that parallel requests do not each look for the endpoint.
        self.client().await?;
        let project = label_filter(label::COMPOSE_PROJECT, Some(&scope.project));
        let (containers, shared, networks, volumes, named, images, built) = try_join!(
            self.list_containers(&project),
            self.list_shared(scope),
            self.list_networks(None),
            self.list_volumes(ListVolumesOptionsBuilder::new().filters(&project).build()),
            future::try_join_all(scope.volumes.iter().map(|name| self.inspect_volume(name))),
            future::try_join_all(scope.images.iter().map(|image| self.inspect_image(image))),
            self.list_built(scope),
        )?;
        let images = scope.images.iter().cloned().zip(images);
        let mut volumes = union(volumes, named);
        // The age of what others made alone tells whether it is still the same.
        let are_ours = volumes.iter().all(|volume| volume.labels.contains_key(label::REPOSITORY));
        if !are_ours && !self.tells_age().await? {
            for volume in &mut volumes {
                volume.created.clear();
            }
        }
        // Only the repository's snapshots tell what of a branch is a layer.
        let branched = volumes.iter().find(|volume| volume.labels.contains_key(label::BRANCH));
        let frozen = match branched.and_then(|upper| upper.labels.get(label::REPOSITORY)) {
            Some(repository) => Base::frozen(&self.volumes_of_bases(repository).await?),
            None => Vec::new(),
        };
        Ok(ObservedState {
            containers,
            shared,
            networks,
            volumes,
            images: images.filter_map(|(name, image)| Some((name, image?))).collect(),
            built,
            ..ObservedState::default()
        }
        .with_branches_apart(&frozen))
    }

    /// Returns every container, network and volume that envtree made, by three requests: for one repository if its id
    /// is given, else for all. Images are not looked at.
    pub async fn observe_all(&self, repository: Option<&str>) -> Result<ObservedState, DockerError> {
        self.client().await?;
        let ours = label_filter(label::REPOSITORY, repository);
        let (containers, networks, volumes) = try_join!(
            self.list_containers(&ours),
            self.list_networks(Some(ListNetworksOptionsBuilder::new().filters(&ours).build())),
            self.list_volumes(ListVolumesOptionsBuilder::new().filters(&ours).build()),
        )?;
        let volumes = union(volumes, []);
        let frozen = Base::frozen(&volumes);
        Ok(ObservedState { containers, networks, volumes, ..ObservedState::default() }
            .with_branches_apart(&frozen))
    }

    /// Returns every container and volume that envtree made, by two requests: for one repository if its id is given,
    /// else for all. Networks and images are not looked at.
    pub async fn observe_services(&self, repository: Option<&str>) -> Result<ObservedState, DockerError> {
        self.client().await?;
        let ours = label_filter(label::REPOSITORY, repository);
        let (containers, volumes) = try_join!(
            self.list_containers(&ours),
            self.list_volumes(ListVolumesOptionsBuilder::new().filters(&ours).build()),
        )?;
        let volumes = union(volumes, []);
        let frozen = Base::frozen(&volumes);
        Ok(ObservedState { containers, volumes, ..ObservedState::default() }.with_branches_apart(&frozen))
    }

    /// Returns the volumes of the repository's bases, and of what lies on them.
    pub async fn volumes_of_bases(&self, repository: &str) -> Result<Vec<ObservedVolume>, DockerError> {
        let mut filter = label_filter(label::REPOSITORY, Some(repository));
        filter.entry("label").or_default().push(label::BASE.to_owned());
        let mut volumes =
            self.list_volumes(ListVolumesOptionsBuilder::new().filters(&filter).build()).await?;
        // Podman lists what bears one of several labels.
        volumes.retain(|volume| {
            let is_own = volume.labels.get(label::REPOSITORY).is_some_and(|id| id == repository);
            is_own && volume.labels.contains_key(label::BASE)
        });
        Ok(volumes)
    }

    /// Returns the name of the running container that publishes a host port, if one does.
    pub async fn container_publishing(
        &self,
        port: u16,
        protocol: Protocol,
    ) -> Result<Option<String>, DockerError> {
        let filter = HashMap::from([("publish", vec![format!("{port}/{}", protocol.as_str())])]);
        let containers = self.list_containers(&filter).await?;
        Ok(containers.into_iter().find(ObservedContainer::is_active).map(|container| container.name))
    }

    /// Returns the names of the running containers that share the host's network.
    pub async fn containers_on_host_network(&self) -> Result<Vec<String>, DockerError> {
        let filter = HashMap::from([("network", vec!["host".to_owned()])]);
        let containers = self.list_containers(&filter).await?;
        Ok(containers
            .into_iter()
            .filter(ObservedContainer::is_active)
            .map(|container| container.name)
            .collect())
    }

    /// Returns the host ports that running containers publish, of whichever protocol.
    pub async fn published_ports(&self) -> Result<BTreeSet<u16>, DockerError> {
        let client = self.client().await?;
        let running = once_settled(|| client.list_containers(None::<ListContainersOptions>)).await;
        let running = running.map_err(DockerError::ListContainers)?;
        let ports = running.into_iter().filter_map(|container| container.ports).flatten();
        Ok(ports.filter_map(|port| port.public_port).collect())
    }

    /// Returns the containers of the services that the scope's project shares.
    async fn list_shared(&self, scope: &Scope) -> Result<Vec<ObservedContainer>, DockerError> {
        match &scope.shared {
            Some(project) => self.list_containers(&label_filter(label::COMPOSE_PROJECT, Some(project))).await,
            None => Ok(Vec::new()),
        }
    }

    async fn list_built(&self, scope: &Scope) -> Result<Vec<BuiltImage>, DockerError> {
        if !scope.built {
            return Ok(Vec::new());
        }
        self.list_images(&label_filter(label::COMPOSE_PROJECT, Some(&scope.project))).await
    }

    async fn list_containers(&self, filter: &Filter) -> Result<Vec<ObservedContainer>, DockerError> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(filter).build();
        let client = self.client().await?;
        let containers = once_settled(|| client.list_containers(Some(options.clone()))).await;
        let containers = containers.map_err(DockerError::ListContainers)?;
        let mut containers: Vec<_> = containers.into_iter().map(observed_container).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }
}

pub(crate) type Filter = HashMap<&'static str, Vec<String>>;

/// Returns the filter for objects that bear the label, with that value if one is given.
pub(crate) fn label_filter(key: &str, value: Option<&str>) -> Filter {
    let wanted = match value {
        Some(value) => format!("{key}={value}"),
        None => key.to_owned(),
    };
    HashMap::from([("label", vec![wanted])])
}

/// Returns labels in the order of their keys: the Engine's order changes from answer to answer.
pub(crate) fn sorted(labels: HashMap<String, String>) -> IndexMap<String, String> {
    let mut labels: IndexMap<_, _> = labels.into_iter().collect();
    labels.sort_keys();
    labels
}

/// Returns both lists as one, by name, each volume once.
fn union(
    volumes: Vec<ObservedVolume>,
    named: impl IntoIterator<Item = Option<ObservedVolume>>,
) -> Vec<ObservedVolume> {
    let mut volumes = volumes;
    volumes.extend(named.into_iter().flatten());
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes.dedup_by(|a, b| a.name == b.name);
    volumes
}

fn observed_container(container: ContainerSummary) -> ObservedContainer {
    let status = container.status.unwrap_or_default();
    let endpoints = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    // A container that never started may not know the ids yet.
    let ids = endpoints.values().filter_map(|endpoint| endpoint.network_id.clone());
    let mut network_ids: Vec<String> = ids.filter(|id| !id.is_empty()).collect();
    network_ids.sort();
    let mut networks: IndexMap<_, _> = endpoints
        .into_iter()
        .map(|(name, endpoint)| (name, endpoint.ip_address.filter(|address| !address.is_empty())))
        .collect();
    networks.sort_keys();
    let mounts = container.mounts.unwrap_or_default().into_iter();
    let mut volumes: IndexMap<_, _> = mounts
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| Some((mount.destination?, mount.name?)))
        .collect();
    volumes.sort_keys();
    ObservedContainer {
        id: container.id.unwrap_or_default(),
        name: own_name(&container.names.unwrap_or_default()),
        state: container_state(container.state),
        health: container
            .health
            .map_or_else(|| health_of_status(&status), |health| health_state(health.status)),
        image: container.image.unwrap_or_default(),
        image_id: container.image_id.unwrap_or_default(),
        labels: sorted(container.labels.unwrap_or_default()),
        networks,
        network_ids,
        volumes,
        created: container.created.unwrap_or_default(),
        status,
    }
}

/// Returns the container's own name: those with a further slash are links from other containers.
fn own_name(names: &[String]) -> String {
    names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.contains('/'))
        .unwrap_or_default()
        .to_owned()
}

fn container_state(state: Option<ContainerSummaryStateEnum>) -> ContainerState {
    use ContainerSummaryStateEnum as State;
    match state {
        Some(State::RUNNING | State::STOPPING) => ContainerState::Running,
        Some(State::PAUSED) => ContainerState::Paused,
        Some(State::RESTARTING) => ContainerState::Restarting,
        Some(State::REMOVING) => ContainerState::Removing,
        Some(State::EXITED) => ContainerState::Exited,
        Some(State::DEAD) => ContainerState::Dead,
        Some(State::CREATED | State::EMPTY) | None => ContainerState::Created,
    }
}

/// Reads the health state out of words such as `Up 5 seconds (healthy)`: before API 1.52 a list tells it nowhere else.
fn health_of_status(status: &str) -> Option<Health> {
    let (_, words) = status.rsplit_once('(')?;
    match words.trim_end_matches(')') {
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        "health: starting" => Some(Health::Starting),
        _ => None,
    }
}

fn health_state(state: Option<ContainerSummaryHealthStatusEnum>) -> Option<Health> {
    use ContainerSummaryHealthStatusEnum as State;
    match state? {
        State::STARTING => Some(Health::Starting),
        State::HEALTHY => Some(Health::Healthy),
        State::UNHEALTHY => Some(Health::Unhealthy),
        State::NONE | State::EMPTY => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_of_a_list_becomes_plain_data() {
        let answer = json!({
            "Id": "4f1c", "Names": ["/shop-web-1/db", "/shop-db-1"], "Image": "postgres:17",
            "ImageID": "sha256:7eb6", "Created": 1_763_710_000, "State": "running",
            "Status": "Up 5 seconds (health: starting)",
            "Labels": {"com.docker.compose.service": "db", "com.docker.compose.project": "shop"},
            "NetworkSettings": {"Networks": {
                "shop-front": {"IPAddress": "172.18.0.2", "NetworkID": "9a3e"},
                "shop-back": {"IPAddress": "", "NetworkID": ""},
            }},
            "Mounts": [
                {"Type": "volume", "Name": "shop-db", "Destination": "/var/lib/postgresql/data"},
                {"Type": "bind", "Source": "/src", "Destination": "/src"},
            ],
        });
        let container = observed_container(serde_json::from_value(answer).unwrap());
        insta::assert_debug_snapshot!(container, @r#"
        ObservedContainer {
            id: "4f1c",
            name: "shop-db-1",
            state: Running,
            health: Some(
                Starting,
            ),
            image: "postgres:17",
            image_id: "sha256:7eb6",
            labels: {
                "com.docker.compose.project": "shop",
                "com.docker.compose.service": "db",
            },
            networks: {
                "shop-back": None,
                "shop-front": Some(
                    "172.18.0.2",
                ),
            },
            network_ids: [
                "9a3e",
            ],
            volumes: {
                "/var/lib/postgresql/data": "shop-db",
            },
            created: 1763710000,
            status: "Up 5 seconds (health: starting)",
        }
        "#);
    }

    #[test]
    fn a_health_state_is_read_from_the_words_of_the_list() {
        assert_eq!(health_of_status("Up 2 hours (healthy)"), Some(Health::Healthy));
        assert_eq!(health_of_status("Up 2 hours (unhealthy)"), Some(Health::Unhealthy));
        assert_eq!(health_of_status("Up 2 hours (Paused)"), None);
        assert_eq!(health_of_status("Exited (1) 2 hours ago"), None);
    }
}
