//! Rebuilds records that were lost out of the labels of Engine objects and the marks of worktrees.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use envtree_core::adopt::adopted_volumes;
use envtree_core::branch::base::Base;
use envtree_core::label;
use envtree_core::name::{EnvironmentId, ProjectName};
use envtree_core::observed::{ObservedNetwork, ObservedState, number_of};
use envtree_core::port::{Owner, PortKey};
use envtree_core::shared::is_shared_project;
use indexmap::IndexMap;

use crate::error::Error;
use crate::mark;
use crate::session::Session;
use crate::state::State;
use crate::state::record::{EnvironmentRecord, PortReservation, RepositoryRecord, SubnetReservation};

impl Session {
    /// Adds a record for every environment of this repository that has Engine objects, or a worktree that envtree made,
    /// and no record.
    ///
    /// Returns whether there was one. What labels do not hold is lost: ports of apps, hooks that were done.
    pub(crate) async fn rebuild_state(&self) -> Result<bool, Error> {
        let id = crate::state::identity::repository_id(self.repository.common_dir());
        let observed = self.docker.observe_all(Some(&id)).await?;
        let state = self.read_state()?;
        let mut lost = lost_records(&state, &observed);
        mark::complete(&mut lost, &state, &self.repository)?;
        let shared = lost_shared(&state, &observed);
        if lost.is_empty() && shared.is_empty() {
            return Ok(false);
        }
        begin_where_snapshots_end(&mut lost, &observed);
        for record in &lost {
            let begins = match snapshot_of(record, &observed) {
                Some(name) => format!("; its data begins with snapshot `{name}`, the last one of it"),
                None => String::new(),
            };
            self.warn(format!(
                "the record of environment `{}` was lost; it was rebuilt from what the Engine and git know of it{begins}",
                record.project
            ));
        }
        self.update_state(|state| {
            for record in lost.into_iter().chain(shared) {
                if state.by_project(&record.project).is_none() {
                    state.put(record);
                }
            }
            Ok(())
        })
        .await?;
        Ok(true)
    }
}

/// Has environments without branches begin on the newest snapshot of theirs, as they do after one that was taken while they
/// were down.
fn begin_where_snapshots_end(lost: &mut [EnvironmentRecord], observed: &ObservedState) {
    let bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
    for record in lost {
        if observed.uppers.iter().any(|upper| record.owns(&upper.labels)) {
            continue;
        }
        let is_own = |base: &&Base| base.snapshot.as_ref().is_some_and(|it| it.task == record.task);
        let newest = bases.iter().filter(is_own).max_by_key(|base| base.made);
        record.data_from = newest.map(|base| base.key.clone());
    }
}

/// Returns the name of the snapshot that an environment begins with.
fn snapshot_of(record: &EnvironmentRecord, observed: &ObservedState) -> Option<String> {
    let mut bases = observed.volumes.iter().filter_map(Base::of_marker);
    Some(bases.find(|base| record.data_from.as_ref() == Some(&base.key))?.name().to_owned())
}

/// Returns a record for every environment that labels know and `state` does not, by project.
pub(crate) fn lost_records(state: &State, observed: &ObservedState) -> Vec<EnvironmentRecord> {
    let mut lost = lost(state, observed);
    lost.retain(|record| !is_shared_project(&record.project));
    lost
}

/// Returns a record for what environments share that labels know and `state` does not.
fn lost_shared(state: &State, observed: &ObservedState) -> Vec<EnvironmentRecord> {
    let mut lost = lost(state, observed);
    lost.retain(|record| is_shared_project(&record.project));
    lost
}

fn lost(state: &State, observed: &ObservedState) -> Vec<EnvironmentRecord> {
    let mut lost: BTreeMap<String, EnvironmentRecord> = BTreeMap::new();
    let labels = observed
        .containers
        .iter()
        .map(|container| &container.labels)
        .chain(observed.networks.iter().map(|network| &network.labels))
        .chain(observed.volumes.iter().map(|volume| &volume.labels));
    for labels in labels {
        let Some(mut record) = record_of(labels) else {
            continue;
        };
        if state.by_project(&record.project).is_some() {
            continue;
        }
        let record = lost.entry(record.project.to_string()).or_insert_with(|| {
            record.subnets = subnets_of(&record.project, &observed.networks);
            record
        });
        record.ports.extend(ports_of(labels));
        record.adopted.extend(adopted_volumes(labels));
    }
    lost.into_values().collect()
}

fn record_of(labels: &IndexMap<String, String>) -> Option<EnvironmentRecord> {
    let value = |key: &str| labels.get(key).cloned();
    let common_dir = PathBuf::from(value(label::COMMON_DIR)?);
    let repository =
        RepositoryRecord { id: value(label::REPOSITORY)?, name: value(label::REPOSITORY_NAME)?, common_dir };
    let id = EnvironmentId::new(value(label::ENVIRONMENT)?).ok()?;
    let project = ProjectName::new(value(label::COMPOSE_PROJECT)?).ok()?;
    // What envtree may not have made, it does not remove: neither worktree nor branch count as its own.
    Some(EnvironmentRecord {
        worktree: value(label::WORKTREE)?.into(),
        ..EnvironmentRecord::new(repository, &value(label::TASK)?, id, project)
    })
}

fn subnets_of(project: &ProjectName, networks: &[ObservedNetwork]) -> Vec<SubnetReservation> {
    let own = networks.iter().filter(|network| {
        network.labels.get(label::COMPOSE_PROJECT).is_some_and(|name| *project == *name.as_str())
    });
    own.filter_map(|network| {
        Some(SubnetReservation {
            network: network.labels.get(label::COMPOSE_NETWORK)?.clone(),
            subnet: network.subnets.iter().find_map(|subnet| subnet.parse().ok())?,
        })
    })
    .collect()
}

/// Returns the host ports that a container was made with.
pub(crate) fn ports_of(labels: &IndexMap<String, String>) -> Vec<PortReservation> {
    let (Some(service), Some(text)) = (labels.get(label::COMPOSE_SERVICE), labels.get(label::PORTS)) else {
        return Vec::new();
    };
    let (owner, number) = (Owner::Service(service.clone()), number_of(labels));
    let parsed = text.split(',').filter_map(|entry| {
        let (key, published) = entry.split_once('=')?;
        Some((PortKey::parse(owner.clone(), number, key)?, published.parse().ok()?))
    });
    parsed
        .map(|(key, published)| PortReservation {
            owner: key.owner,
            replica: key.replica,
            target: key.target,
            protocol: key.protocol,
            index: key.index,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            published,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use envtree_core::observed::ObservedVolume;

    use super::*;

    fn labels() -> IndexMap<String, String> {
        [
            (label::REPOSITORY, "3648821cedbf"),
            (label::REPOSITORY_NAME, "shop"),
            (label::COMMON_DIR, "/src/shop/.git"),
            (label::TASK, "fix/login"),
            (label::ENVIRONMENT, "fix-login"),
            (label::COMPOSE_PROJECT, "shop-fix-login"),
            (label::COMPOSE_SERVICE, "db"),
            (label::WORKTREE, "/src/shop.worktrees/fix-login"),
            (label::PORTS, "5432/tcp/0=20003"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn a_lost_record_is_rebuilt_from_the_labels_of_what_is_left() {
        let volume = ObservedVolume {
            name: "x".into(),
            driver: "local".into(),
            created: String::new(),
            mountpoint: String::new(),
            labels: labels(),
        };
        let observed = ObservedState { volumes: vec![volume], ..ObservedState::default() };
        let lost = lost_records(&State::default(), &observed);
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].task, "fix/login");
        assert_eq!(lost[0].ports[0].published, 20003);
        assert!(!lost[0].worktree_made_by_envtree);
        let known = State { environments: lost, ..State::default() };
        assert!(lost_records(&known, &observed).is_empty());
    }
}
