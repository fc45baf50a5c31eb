//! A base: volumes that a server filled, was stopped, and that never change any more.
//!
//! A base is complete once a volume of its own, the marker, bears the record of it: nothing else says so, and what was
//! interrupted before is made anew.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};

use super::lineage::Lineage;
use super::{DataVolume, Ground, KEPT, Layer, keeper_name};
use crate::config_hash::is_own_label;
use crate::label;
use crate::name::{NetworkName, ProjectName, ServiceName, VolumeName};
use crate::observed::ObservedVolume;
use crate::plan::{NewKeeper, Owner};
use crate::project::{Network, Project, Volume};
use crate::service::{Attachment, Mount, MountSource, RestartPolicy, Service};

/// The key of the network on which a base is made.
const NETWORK: &str = "default";

/// What the Compose project of an export ends in.
const EXPORT_SUFFIX: &str = "-export";

/// How many digits of a key stand in names.
const SHOWN: usize = 12;

/// What a base consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The key, 64 hexadecimal digits.
    pub key: String,
    /// The name of the repository that it was made for.
    pub repository: String,
    /// Whether a seed ran in it.
    pub is_seeded: bool,
    /// Seconds since 1970 when it was complete.
    pub made: i64,
    /// Its volumes.
    pub volumes: Vec<BaseVolume>,
    /// Other volumes of what a snapshot lies on: none of them may go as long as it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// What it was taken of, if it is a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// What others want to know that go on from it; absent unless its seed can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// The key of the base or snapshot that it is a copy of, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// Whether it is real data that nothing made harmless, or that nobody verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_raw: bool,
}

/// What a snapshot was taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it is called.
    pub name: String,
    /// The task whose environment it was.
    pub task: String,
    /// The branch that was checked out; absent for a detached HEAD.
    pub branch: Option<String>,
    /// The commit that was checked out.
    pub commit: Option<String>,
}

/// A volume of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseVolume {
    /// The service whose data it holds.
    pub service: String,
    /// Where the service mounts it.
    pub target: String,
    /// Where the data lies; the mountpoint is empty if the Engine does not tell.
    #[serde(flatten)]
    pub layer: Layer,
    /// The layers that it changes, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Layer>,
    /// The key of the base or snapshot whose layers these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Whose the folder is, and its mode.
    pub owner: Owner,
}

impl Base {
    /// Returns the base that a marker records; nothing for any other volume.
    pub fn of_marker(marker: &ObservedVolume) -> Option<Self> {
        serde_json::from_str(marker.labels.get(label::BASE_RECORD)?).ok()
    }

    /// Returns what people call it.
    pub fn name(&self) -> &str {
        self.snapshot.as_ref().map_or_else(|| short(&self.key), |snapshot| &snapshot.name)
    }

    /// Returns the services whose data it holds, each once.
    pub fn services(&self) -> Vec<String> {
        let services: IndexSet<&String> = self.volumes.iter().map(|volume| &volume.service).collect();
        services.into_iter().cloned().collect()
    }

    /// Returns all layers of its volumes.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.volumes.iter().flat_map(|volume| [&volume.layer].into_iter().chain(&volume.below))
    }

    /// Returns the names of all volumes that it consists of and lies on, its marker the last.
    fn all_volumes(&self) -> impl Iterator<Item = String> {
        let layers = self.layers().map(|layer| &layer.volume).chain(&self.others).cloned();
        layers.chain([marker_name(&self.repository, &self.key)])
    }

    /// Returns the names of the volumes that are layers of snapshots, from all volumes of a repository.
    pub fn frozen(volumes: &[ObservedVolume]) -> Vec<String> {
        let snapshots = volumes.iter().filter_map(Self::of_marker).filter(|base| base.snapshot.is_some());
        snapshots
            .flat_map(|base| base.layers().map(|layer| layer.volume.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Returns the volume that says that the base is complete. `labels` are those of all that the base consists of.
    pub fn marker(&self, labels: &IndexMap<String, String>) -> Volume {
        let mut labels = labels.clone();
        let record = serde_json::to_string(self).expect("a base has text keys");
        labels.insert(label::BASE_RECORD.into(), record);
        Volume { name: Some(marker_name(&self.repository, &self.key)), labels, ..Volume::default() }
    }

    /// Returns the keys of the bases and snapshots that a snapshot lies on.
    pub fn grounds(&self) -> impl Iterator<Item = &str> {
        self.volumes.iter().filter_map(|volume| volume.on.as_deref())
    }

    /// Returns the container that keeps a snapshot from being pruned while nothing is a branch of it: nobody could make
    /// it again. `labels` are those of its marker.
    pub fn keeper(&self, labels: &IndexMap<String, String>) -> NewKeeper {
        let marker = marker_name(&self.repository, &self.key);
        let volumes: IndexSet<String> = self.all_volumes().collect();
        let volumes = volumes.into_iter().enumerate();
        NewKeeper {
            name: keeper_name(&marker),
            volumes: volumes.map(|(number, volume)| (format!("{KEPT}/{number}"), volume)).collect(),
            labels: without_record(labels),
        }
    }

    /// Returns what a branch of the volume that a service mounts at `target` lies on.
    pub fn ground(&self, service: &str, target: &str) -> Option<Ground> {
        let mut volumes = self.volumes.iter();
        let volume = volumes.find(|volume| volume.service == service && volume.target == target)?;
        let layer = volume.layer.clone();
        let others: IndexSet<String> = self.all_volumes().filter(|other| *other != layer.volume).collect();
        Some(Ground {
            base: self.key.clone(),
            layer,
            below: volume.below.clone(),
            generation: 0,
            owner: volume.owner,
            others: others.into_iter().collect(),
            copied: None,
        })
    }
}

/// Whose bases are, for the labels of all that they consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseOwner {
    /// The id of the repository on this machine.
    pub repository: String,
    /// The name of the repository.
    pub repository_name: String,
    /// What begins the names of its bases: no other repository of the machine has it.
    pub bases: String,
    /// The common git directory.
    pub common_dir: String,
    /// The version of envtree.
    pub version: String,
}

impl BaseOwner {
    /// Returns the labels of all that the base of that key consists of.
    pub fn labels(&self, key: &str) -> IndexMap<String, String> {
        let own = [
            (label::COMPOSE_PROJECT, project_name(&self.bases, key).to_string()),
            (label::REPOSITORY, self.repository.clone()),
            (label::REPOSITORY_NAME, self.repository_name.clone()),
            (label::COMMON_DIR, self.common_dir.clone()),
            (label::BASE, key.to_owned()),
            (label::VERSION, self.version.clone()),
        ];
        own.map(|(key, value)| (key.to_owned(), value)).into()
    }
}

/// Returns the project in which a base is made: the servers of `volumes` as the isolated project of an environment has
/// them, with fresh volumes and a network of their own.
///
/// The Engine chooses the host ports. What a server needs of other services, it does without.
pub fn base_project(isolated: &Project, volumes: &[DataVolume], owner: &BaseOwner, key: &str) -> Project {
    let name = project_name(&owner.bases, key);
    let labels = owner.labels(key);
    let mut project = Project::new(name.clone());
    for (service_name, service) in &isolated.services {
        let own: Vec<&DataVolume> = volumes.iter().filter(|volume| volume.service == *service_name).collect();
        if own.is_empty() {
            continue;
        }
        let mut service = in_base(service, service_name, &labels);
        service.container_name = Some(format!("{name}-{service_name}-1"));
        for data in own {
            let key = VolumeName::new(volume_key(data)).expect("keys of services and paths fit");
            let source = MountSource::volume(Some(key.clone()));
            service.mounts.retain(|mount| mount.target != data.target);
            service.mounts.push(Mount::new(&data.target, source));
            let volume =
                Volume { name: Some(name.object(&key)), labels: labels.clone(), ..Volume::default() };
            project.volumes.insert(key, volume);
        }
        project.services.insert(service_name.clone(), service);
    }
    let definition = Network { name: Some(name.object(NETWORK)), labels, ..Network::default() };
    project.networks.insert(network(), definition);
    project
}

/// Returns a service as it is in the project of a base, all of which bears `labels`. What it keeps in volumes begins empty,
/// and ends with its container.
pub(super) fn in_base(service: &Service, name: &ServiceName, labels: &IndexMap<String, String>) -> Service {
    let mut service = service.clone();
    make_alone(&mut service);
    service.networks = IndexMap::from([(network(), Attachment::default())]);
    for port in &mut service.ports {
        (port.published, port.published_last) = (None, None);
        port.host_ip = Some("127.0.0.1".to_owned());
    }
    for mount in &mut service.mounts {
        if let MountSource::Volume { volume, .. } = &mut mount.source {
            *volume = None;
        }
    }
    // Docker Compose takes nothing for a service's container that lacks it.
    let hash = service.labels.get(label::COMPOSE_CONFIG_HASH).cloned();
    service.labels.retain(|key, _| !is_own_label(key));
    service.labels.extend(labels.clone());
    service.labels.extend(hash.map(|hash| (label::COMPOSE_CONFIG_HASH.to_owned(), hash)));
    let numbers = [
        (label::COMPOSE_SERVICE, name.to_string()),
        (label::COMPOSE_CONTAINER_NUMBER, "1".to_owned()),
        (label::COMPOSE_ONEOFF, "False".to_owned()),
    ];
    service.labels.extend(numbers.map(|(key, value)| (key.to_owned(), value)));
    service
}

fn network() -> NetworkName {
    NetworkName::new(NETWORK).expect("it is a key of Compose's own")
}

/// Returns the key of a volume in the project of a base.
pub fn volume_key(data: &DataVolume) -> String {
    volume_key_of(&data.service, &data.target)
}

/// Returns the key, in the project of a base, of the volume that a service mounts at `target`.
pub fn volume_key_of(service: &str, target: &str) -> String {
    let words: Vec<&str> =
        target.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{service}_{}", words.join("-"))
}

/// Takes away what ties a service to others.
fn make_alone(service: &mut Service) {
    service.depends_on.clear();
    service.links.clear();
    service.volumes_from.clear();
    service.network_mode = None;
    service.restart = RestartPolicy::No;
    service.further = Arc::default();
}

fn without_record(labels: &IndexMap<String, String>) -> IndexMap<String, String> {
    let labels = labels.iter().filter(|(key, _)| *key != label::BASE_RECORD);
    labels.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns what people call a base: the first digits of its key.
pub fn short(key: &str) -> &str {
    key.get(..SHOWN).unwrap_or(key)
}

/// Returns the Compose project that a base of the repository is made in.
///
/// # Panics
///
/// Never: a repository's name is the beginning of a project's, and a key has hexadecimal digits alone.
pub fn project_name(repository: &str, key: &str) -> ProjectName {
    let name = format!("{repository}_base-{}", short(key));
    ProjectName::new(name).expect("a repository's name is the beginning of a project's")
}

/// Returns the Compose project of what an export of a base makes, and removes in the end.
///
/// # Panics
///
/// Never, as [`project_name`].
pub fn export_project(repository: &str, key: &str) -> ProjectName {
    let name = format!("{}{EXPORT_SUFFIX}", project_name(repository, key));
    ProjectName::new(name).expect("the name of a base's project begins it")
}

/// Returns whether the Compose project is that of an export.
pub fn is_export(project: &str) -> bool {
    project.strip_suffix(EXPORT_SUFFIX).is_some_and(|base| base.contains("_base-"))
}

/// Returns the name of a base's marker.
fn marker_name(repository: &str, key: &str) -> String {
    project_name(repository, key).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            key: "0123456789abcdef".repeat(4),
            repository: "shop".into(),
            is_seeded: true,
            made: 1,
            others: Vec::new(),
            snapshot: None,
            lineage: None,
            copy_of: None,
            is_raw: false,
            volumes: vec![BaseVolume {
                service: "db".into(),
                target: "/data".into(),
                layer: Layer::of_volume("shop_base-0123456789ab_db", "/v/shop_base-0123456789ab_db/_data"),
                below: Vec::new(),
                on: None,
                owner: Owner { uid: 999, gid: 0, mode: 0o700 },
            }],
        }
    }

    fn observed(volume: Volume) -> ObservedVolume {
        ObservedVolume {
            name: volume.name.unwrap_or_default(),
            driver: "local".into(),
            created: String::new(),
            mountpoint: String::new(),
            labels: volume.labels,
        }
    }

    #[test]
    fn a_marker_tells_all_of_its_base() {
        let marker = observed(base().marker(&IndexMap::new()));
        assert_eq!(marker.name, "shop_base-0123456789ab");
        assert_eq!(Base::of_marker(&marker), Some(base()));
        assert!(base().ground("db", "/data").is_some() && base().ground("db", "/other").is_none());
    }

    #[test]
    fn a_volume_without_a_whole_record_is_no_marker() {
        let mut marker = observed(base().marker(&IndexMap::new()));
        marker.labels.insert(label::BASE_RECORD.into(), "{".into());
        assert_eq!(Base::of_marker(&marker), None);
        marker.labels.clear();
        assert_eq!(Base::of_marker(&marker), None);
    }
}
