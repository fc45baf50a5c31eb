//! Data that branches: volumes of known servers begin as branches of a base, which a seed filled once.
//!
//! A base belongs to the repository and is found by its key. Who needs one that is not there makes it, while others that
//! need the same wait.

mod ahead;
mod archive;
mod copy;
mod error;
mod grounds;
mod ingredients;
mod inputs;
mod list;
mod make;
mod mode;
mod prepare;
mod prune;
mod raw;
mod reset;
mod seed;
mod size;
mod snapshot;
mod source;
mod sweep;
mod trial;
mod unmade;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use envtree_core::branch::base::{Base, BaseOwner};
use envtree_core::branch::{DataVolume, data_volumes, keeps_chosen, upper_of};
use envtree_core::known_image::KnownImage;
use envtree_core::label;
use envtree_core::observed::{ObservedState, ObservedVolume};
use envtree_core::project::Project;
use envtree_core::service::{MountSource, Service};

use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::bases_name;
use crate::state::record::RepositoryRecord;

pub use ahead::ReadyBase;
pub(crate) use archive::UnfinishedImport;
pub use archive::{ArchiveSource, ArchiveTarget, CHUNK, ExportOptions, ExportedData, ImportedData};
pub use error::DataError;
pub(crate) use grounds::{Branches, Grounds};
pub use list::{BaseStatus, BranchStatus, DroppedBase};
pub(crate) use prepare::engine_key;
pub(crate) use raw::treatment_texts;
pub use raw::{DumpOptions, DumpSource, ImportedDump, LiveServer};
pub(crate) use seed::seed_text;
pub(crate) use size::VolumeSizes;
pub use snapshot::{SnapshotChoice, TakenSnapshot};
pub(crate) use source::refuse_begun;
pub(crate) use unmade::UnmadeData;

/// The keys of what is done to real data.
const SANITIZE: &str = "data.sanitize";
const VERIFY: &str = "data.verify";

/// Returns the data volumes of an environment, each once.
fn volumes_of(environment: &Environment, observed: &ObservedState) -> Vec<DataVolume> {
    let project = &environment.isolated.project;
    let chosen = &environment.definition.settings.data.volumes;
    let mut volumes: Vec<DataVolume> = Vec::new();
    for (name, service) in &project.services {
        for volume in data_volumes(project, name, service, observed.images.get(&service.image), chosen) {
            if !volumes.iter().any(|other| other.name() == volume.name()) {
                volumes.push(volume);
            }
        }
    }
    volumes
}

/// Returns whether a volume of a known server is missing, or may be, as long as its image is not there.
pub(crate) fn lacks_data(environment: &Environment, observed: &ObservedState) -> bool {
    let mut images = servers(environment).services.into_values().map(|service| service.image);
    images.any(|image| !observed.images.contains_key(&image))
        || volumes_of(environment, observed).iter().any(|volume| !is_begun(volume, observed))
}

/// Returns a service of `project` that would mount an empty volume in place of the data that `up` brings.
pub(crate) fn lacking(
    environment: &Environment,
    project: &Project,
    observed: &ObservedState,
) -> Option<DataError> {
    let volumes = volumes_of(environment, observed);
    let missing: Vec<&str> =
        volumes.iter().filter(|volume| !is_begun(volume, observed)).map(DataVolume::name).collect();
    let mounts_missing = |service: &Service| {
        service.mounts.iter().any(|mount| match &mount.source {
            MountSource::Volume { volume: Some(key), .. } => {
                let name = project.volumes.get(key).and_then(|volume| volume.name.as_deref());
                name.is_some_and(|name| missing.contains(&name))
            }
            _ => false,
        })
    };
    let (service, _) = project.services.iter().find(|(_, service)| mounts_missing(service))?;
    Some(DataError::NotSeeded { service: service.to_string() })
}

/// Returns the project with the servers alone whose data can branch.
pub(crate) fn servers(environment: &Environment) -> Project {
    let mut project = environment.isolated.project.clone();
    let chosen = &environment.definition.settings.data.volumes;
    project.services.retain(|_, service| {
        KnownImage::run_by(service).is_some_and(|known| !known.data_directories().is_empty())
            || keeps_chosen(service, chosen)
    });
    project
}

/// Returns the isolated project with what leads services to each other and to their environment as the file has it: a base
/// is made for all environments.
fn undirected(environment: &Environment) -> Project {
    let mut project = environment.isolated.project.clone();
    let written = &environment.definition.wanted.project.services;
    for (name, service) in &mut project.services {
        if let Some(own) = written.get(name).cloned() {
            service.environment = own.environment;
            service.command = own.command;
            service.entrypoint = own.entrypoint;
            service.health_check = own.health_check;
            service.hostname = own.hostname;
            service.runtime.dns = own.runtime.dns;
            service.runtime.extra_hosts = own.runtime.extra_hosts;
        }
    }
    project
}

/// Returns whether a volume is there, or what a branch keeps its changes in.
fn is_begun(volume: &DataVolume, observed: &ObservedState) -> bool {
    observed.volumes.iter().any(|found| found.name == volume.name())
        || upper_of(&observed.uppers, volume.name()).is_some()
}

/// Returns the bases of which every volume is among `volumes`.
fn complete(volumes: &[ObservedVolume]) -> Vec<Base> {
    let is_there = |name: &str| volumes.iter().any(|volume| volume.name == name);
    let is_own = |base: &Base, name: &str| {
        let mut found = volumes.iter().filter(|volume| volume.name == name);
        // The layers of a snapshot were those of branches.
        found.any(|volume| base.snapshot.is_some() || volume.labels.get(label::BASE) == Some(&base.key))
    };
    let is_whole = |base: &Base| {
        base.volumes.iter().all(|volume| is_own(base, &volume.layer.volume))
            && base.layers().all(|layer| is_there(&layer.volume))
    };
    volumes.iter().filter_map(Base::of_marker).filter(is_whole).collect()
}

impl Session {
    /// Returns what lies on bases and snapshots, by their keys, in words, and what environments begin with.
    fn users(&self, observed: &ObservedState) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut users = users(observed);
        let state = self.read_state()?;
        for record in self.own_records(&state) {
            if let Some(key) = &record.data_from {
                users.entry(key.clone()).or_default().push(format!("environment {}", record.task));
            }
        }
        Ok(users)
    }
}

/// Returns what lies on bases and snapshots, by their keys, in words.
fn users(observed: &ObservedState) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for upper in &observed.uppers {
        if let (Some(base), Some(branch)) = (upper.labels.get(label::BASE), upper.labels.get(label::BRANCH)) {
            users.entry(base.clone()).or_default().push(format!("volume {branch}"));
        }
    }
    for base in observed.volumes.iter().filter_map(Base::of_marker) {
        let grounds: BTreeSet<&str> = base.grounds().collect();
        for key in grounds {
            users.entry(key.to_owned()).or_default().push(as_user(&base));
        }
    }
    users
}

/// Returns whether a server that was stopped has written all of its data. Servers that nobody knows may end with the signal
/// that stopped them, as those on a Java machine do.
fn has_ended_well(service: &Service, code: i64) -> bool {
    code == 0 || (KnownImage::run_by(service).is_none() && matches!(code, 130 | 143))
}

/// Returns how a base or snapshot is named among what lies on others.
fn as_user(base: &Base) -> String {
    let kind = if base.snapshot.is_some() { "snapshot" } else { "base" };
    format!("{kind} {}", base.name())
}

/// Returns whose bases the repository's are.
fn owner(repository: &RepositoryRecord) -> BaseOwner {
    BaseOwner {
        repository: repository.id.clone(),
        repository_name: repository.name.clone(),
        bases: bases_name(&repository.common_dir),
        common_dir: repository.common_dir.to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}
