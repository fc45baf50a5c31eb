//! A base: volumes that a server filled, was stopped, and that never change any more.
//!
//! A base is complete once a volume of its own, the marker, bears the record of it: nothing else says so, and what was
//! interrupted before is made anew.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{DataVolume, Ground, Layer};
use crate::config_hash::is_own_label;
use crate::label;
use crate::name::{NetworkName, ProjectName, VolumeName};
use crate::observed::ObservedVolume;
use crate::plan::Owner;
use crate::project::{Network, Project, Volume};
use crate::service::{Attachment, Mount, MountSource, RestartPolicy, Service};

/// The key of the network on which a base is made.
const NETWORK: &str = "default";

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
}

/// A volume of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseVolume {
    /// The service whose data it holds.
    pub service: String,
    /// Where the service mounts it.
    pub target: String,
    /// The Engine's name.
    pub volume: String,
    /// Where its data lies on the Engine's machine; empty if the Engine does not tell.
    pub mountpoint: String,
    /// Whose the folder is, and its mode.
    pub owner: Owner,
}

impl Base {
    /// Returns the base that a marker records; nothing for any other volume.
    pub fn of_marker(marker: &ObservedVolume) -> Option<Self> {
        serde_json::from_str(marker.labels.get(label::BASE_RECORD)?).ok()
    }

    /// Returns the volume that says that the base is complete. `labels` are those of all that the base consists of.
    pub fn marker(&self, labels: &IndexMap<String, String>) -> Volume {
        let mut labels = labels.clone();
        let record = serde_json::to_string(self).expect("a base has text keys");
        labels.insert(label::BASE_RECORD.into(), record);
        Volume { name: Some(marker_name(&self.repository, &self.key)), labels, ..Volume::default() }
    }

    /// Returns what a branch of the volume that a service mounts at `target` lies on.
    pub fn ground(&self, service: &str, target: &str) -> Option<Ground> {
        let mut volumes = self.volumes.iter();
        let volume = volumes.find(|volume| volume.service == service && volume.target == target)?;
        let layer = Layer { volume: volume.volume.clone(), mountpoint: volume.mountpoint.clone() };
        let others = self.volumes.iter().filter(|other| other.volume != volume.volume);
        let others = others.map(|other| other.volume.clone());
        let marker = marker_name(&self.repository, &self.key);
        Some(Ground {
            base: self.key.clone(),
            layer,
            owner: volume.owner,
            others: others.chain([marker]).collect(),
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
    /// The common git directory.
    pub common_dir: String,
    /// The version of envtree.
    pub version: String,
}

impl BaseOwner {
    /// Returns the labels of all that the base of that key consists of.
    pub fn labels(&self, key: &str) -> IndexMap<String, String> {
        let own = [
            (label::COMPOSE_PROJECT, project_name(&self.repository_name, key).to_string()),
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
    let name = project_name(&owner.repository_name, key);
    let labels = owner.labels(key);
    let mut project = Project::new(name.clone());
    let network = NetworkName::new(NETWORK).expect("it is a key of Compose's own");
    for (service_name, service) in &isolated.services {
        let own: Vec<&DataVolume> = volumes.iter().filter(|volume| volume.service == *service_name).collect();
        if own.is_empty() {
            continue;
        }
        let mut service = service.clone();
        make_alone(&mut service);
        service.container_name = Some(format!("{name}-{service_name}-1"));
        service.networks = IndexMap::from([(network.clone(), Attachment::default())]);
        for port in &mut service.ports {
            (port.published, port.published_last) = (None, None);
            port.host_ip = Some("127.0.0.1".to_owned());
        }
        // What is no data of the server begins empty, and ends with its container.
        for mount in &mut service.mounts {
            if let MountSource::Volume { volume, .. } = &mut mount.source {
                *volume = None;
            }
        }
        for data in own {
            let key = VolumeName::new(volume_key(data)).expect("keys of services and paths fit");
            let source = MountSource::volume(Some(key.clone()));
            service.mounts.retain(|mount| mount.target != data.target);
            service.mounts.push(Mount::new(&data.target, source));
            let volume =
                Volume { name: Some(name.object(&key)), labels: labels.clone(), ..Volume::default() };
            project.volumes.insert(key, volume);
        }
        service.labels.retain(|key, _| !is_own_label(key));
        service.labels.extend(labels.clone());
        let numbers = [
            (label::COMPOSE_SERVICE, service_name.to_string()),
            (label::COMPOSE_CONTAINER_NUMBER, "1".to_owned()),
            (label::COMPOSE_ONEOFF, "False".to_owned()),
        ];
        service.labels.extend(numbers.map(|(key, value)| (key.to_owned(), value)));
        project.services.insert(service_name.clone(), service);
    }
    let definition =
        Network { name: Some(name.object(NETWORK)), labels: labels.clone(), ..Network::default() };
    project.networks.insert(network, definition);
    project
}

/// Returns the key of a volume in the project of a base.
pub fn volume_key(data: &DataVolume) -> String {
    let words: Vec<&str> =
        data.target.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}_{}", data.service, words.join("-"))
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
            volumes: vec![BaseVolume {
                service: "db".into(),
                target: "/data".into(),
                volume: "shop_base-0123456789ab_db".into(),
                mountpoint: "/v/shop_base-0123456789ab_db/_data".into(),
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
