//! Data that branches: volumes of known servers begin as branches of a base, which a seed filled once.
//!
//! A base belongs to the repository and is found by its key. Who needs one that is not there makes it, while others that
//! need the same wait.

mod ingredients;
mod inputs;
mod list;
mod make;
mod reset;

use std::path::PathBuf;

use envtree_core::branch::base::{Base, BaseOwner};
use envtree_core::branch::{Branch, DataVolume, Ground, data_volumes, upper_name};
use envtree_core::known_image::KnownImage;
use envtree_core::label;
use envtree_core::name::VolumeName;
use envtree_core::observed::{ObservedState, ObservedVolume};
use envtree_core::project::Project;
use envtree_core::service::{MountSource, Service};
use envtree_core::settings::{Hook, Settings};
use indexmap::IndexMap;

use crate::environment::Environment;
use crate::error::Error;
use crate::load::SETTINGS_FILE;
use crate::repository::RepositoryError;
use crate::session::Session;
use crate::state::Lock;
use crate::state::record::EnvironmentRecord;
use crate::trust::CommandText;

pub use list::{BaseStatus, BranchStatus, DroppedBase};

/// The key of the seed in `envtree.yaml`.
pub(crate) const SEED: &str = "data.seed";

/// Why data is not there as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// What the seed depends on could not be read.
    #[error("cannot read `{path}`, on which the data depends")]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// The answer of the system.
        source: std::io::Error,
    },
    /// A server was not stopped as it should have been: what it left may be torn.
    #[error("service `{service}` ended with status {code} when it was stopped: its data is not used")]
    NotStopped {
        /// The service.
        service: String,
        /// Its exit status.
        code: i64,
    },
    /// The Engine does not mount branches.
    #[error("this Engine does not branch volumes: {reason}")]
    NoBranches {
        /// What it says.
        reason: String,
    },
    /// There is nothing to go back to.
    #[error("no volume of environment `{project}` is a branch of seeded data")]
    NoneBranched {
        /// The Compose project.
        project: String,
    },
    /// A command would begin with an empty volume.
    #[error("the data of service `{service}` is not there yet")]
    NotSeeded {
        /// The service.
        service: String,
    },
    /// A container of a base is gone.
    #[error("container `{container}`, in which the data is made, is gone")]
    Gone {
        /// The container.
        container: String,
    },
    /// No base is called that.
    #[error("this repository has no base `{name}`")]
    UnknownBase {
        /// What was asked for.
        name: String,
        /// The bases there are.
        known: Vec<String>,
    },
    /// Volumes are branches of the base.
    #[error("base `{name}` is in use: {} of it", counted(users.len()))]
    BaseInUse {
        /// The base.
        name: String,
        /// The volumes.
        users: Vec<String>,
    },
}

fn counted(volumes: usize) -> String {
    if volumes == 1 { "1 volume is a branch".to_owned() } else { format!("{volumes} volumes are branches") }
}

/// Returns the seed's exact text as trust names it.
pub(crate) fn seed_text<'a>(repository: &str, settings: &'a Settings) -> Option<(CommandText, &'a Hook)> {
    let seed = settings.data.seed.as_ref()?;
    Some((CommandText::new(repository, SEED, SETTINGS_FILE, &seed.commands), seed))
}

/// Returns the data volumes of an environment, each once.
fn volumes_of(environment: &Environment, observed: &ObservedState) -> Vec<DataVolume> {
    let project = &environment.isolated.project;
    let mut volumes: Vec<DataVolume> = Vec::new();
    for (name, service) in &project.services {
        for volume in data_volumes(project, name, service, observed.images.get(&service.image)) {
            if !volumes.iter().any(|other| other.name() == volume.name()) {
                volumes.push(volume);
            }
        }
    }
    volumes
}

/// Returns the branch of a volume that lies on `ground`.
fn branch(volume: &DataVolume, ground: Ground) -> Branch {
    let key = volume.key.clone().unwrap_or_else(|| {
        VolumeName::new(volume.name()).expect("the Engine's name of a volume is one of a key too")
    });
    Branch { volume: volume.definition.clone(), key, ground }
}

/// Returns the branches that were begun and whose volume is missing, of those that the files do not name.
fn begun(volumes: &[DataVolume], observed: &ObservedState) -> IndexMap<String, Branch> {
    let of_upper = |volume: &DataVolume| {
        let name = upper_name(volume.name());
        let upper = observed.uppers.iter().find(|upper| upper.name == name)?;
        Some((volume.name().to_owned(), branch(volume, Ground::of_upper(upper)?)))
    };
    volumes.iter().filter_map(of_upper).collect()
}

/// Returns the branches of `volumes` that lie on `base`.
fn on_base(volumes: &[DataVolume], base: &Base) -> IndexMap<String, Branch> {
    let on_base = |volume: &DataVolume| {
        let ground = base.ground(&volume.service, &volume.target)?;
        Some((volume.name().to_owned(), branch(volume, ground)))
    };
    volumes.iter().filter_map(on_base).collect()
}

/// Branches that volumes begin as, by the Engine's name of the volume.
pub(crate) type Branches = IndexMap<String, Branch>;

/// What missing volumes begin as. As long as it lives, no command drops the base.
#[derive(Debug, Default)]
pub(crate) struct Grounds {
    pub(crate) branches: Branches,
    _held: Option<Lock>,
}

impl Grounds {
    /// Returns the branches that were begun before.
    pub(crate) fn begun(environment: &Environment, observed: &ObservedState) -> Self {
        let branches = if observed.uppers.is_empty() {
            Branches::new()
        } else {
            begun(&volumes_of(environment, observed), observed)
        };
        Self { branches, _held: None }
    }
}

/// Returns whether a volume of a known server is missing, or may be, as long as its image is not there.
pub(crate) fn lacks_data(environment: &Environment, observed: &ObservedState) -> bool {
    let mut images = servers(environment).services.into_values().map(|service| service.image);
    images.any(|image| !observed.images.contains_key(&image))
        || volumes_of(environment, observed).iter().any(|volume| !is_begun(volume, observed))
}

/// Returns a service of `project` that would mount an empty volume in place of data that a seed fills.
pub(crate) fn lacking(
    environment: &Environment,
    project: &Project,
    observed: &ObservedState,
) -> Option<DataError> {
    environment.definition.settings.data.seed.as_ref()?;
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
    project.services.retain(|_, service| {
        KnownImage::run_by(service).is_some_and(|known| !known.data_directories().is_empty())
    });
    project
}

/// Returns whether a volume is there, or what a branch keeps its changes in.
fn is_begun(volume: &DataVolume, observed: &ObservedState) -> bool {
    observed.volumes.iter().any(|found| found.name == volume.name())
        || observed.uppers.iter().any(|upper| upper.name == upper_name(volume.name()))
}

impl Session {
    /// Returns what missing data volumes begin as, if a seed fills them. A base that is not there is made; the files of
    /// the worktree are there.
    pub(crate) async fn grounds(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
    ) -> Result<Grounds, Error> {
        let volumes = volumes_of(environment, observed);
        let mut branches = begun(&volumes, observed);
        let Some(wanted) = self.wanted_base(record, environment, observed, volumes).await? else {
            return Ok(Grounds { branches, _held: None });
        };
        if !self.trusts_seed(record, environment)? {
            self.warn(format!(
                "`{SEED}` was skipped: its commands are not trusted yet, and the services start with empty data; `envtree trust` shows and accepts them"
            ));
            return Ok(Grounds { branches, _held: None });
        }
        match self.base(record, environment, &wanted).await {
            Ok((base, held)) => {
                branches.extend(on_base(&wanted.missing, &base));
                Ok(Grounds { branches, _held: Some(held) })
            }
            Err(Error::Data(error @ DataError::NoBranches { .. })) => {
                self.warn(format!("{error}; `{SEED}` was skipped, and the services start with empty data"));
                Ok(Grounds { branches, _held: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the branches of a plan that is only shown: a base that is not there is not made.
    pub(crate) async fn planned_branches(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
    ) -> Result<Branches, Error> {
        let volumes = volumes_of(environment, observed);
        let mut branches = begun(&volumes, observed);
        if record.worktree.is_dir()
            && self.trusts_seed(record, environment)?
            && let Some(wanted) = self.wanted_base(record, environment, observed, volumes).await?
            && let Some(base) = self.find_base(&record.repository.id, &wanted.key).await?
        {
            branches.extend(on_base(&wanted.missing, &base));
        }
        Ok(branches)
    }

    /// Returns whether exactly this seed was accepted.
    pub(crate) fn trusts_seed(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<bool, Error> {
        let seed = seed_text(&record.repository.id, &environment.definition.settings);
        Ok(match seed {
            Some((text, _)) => self.trusted()?.is_trusted(&text),
            None => false,
        })
    }

    /// Returns the base that missing volumes want to be branches of; nothing where no seed fills it.
    async fn wanted_base(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        all: Vec<DataVolume>,
    ) -> Result<Option<WantedBase>, Error> {
        let is_missing = |volume: &&DataVolume| !is_begun(volume, observed);
        let missing: Vec<DataVolume> = all.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() || environment.definition.settings.data.seed.is_none() {
            return Ok(None);
        }
        let ingredients = self.ingredients(record, environment, observed, &all).await?;
        Ok(Some(WantedBase { key: ingredients.key(), all, missing }))
    }

    /// Returns the complete base of that key, if there is one.
    async fn find_base(&self, repository: &str, key: &str) -> Result<Option<Base>, Error> {
        let volumes = self.docker.volumes_of_bases(repository).await?;
        Ok(complete(&volumes).into_iter().find(|base| base.key == key))
    }
}

/// Returns the bases of which every volume is there.
fn complete(volumes: &[ObservedVolume]) -> Vec<Base> {
    let is_there = |base: &Base, name: &str| {
        let is_its = |volume: &&ObservedVolume| volume.labels.get(label::BASE) == Some(&base.key);
        volumes.iter().filter(is_its).any(|volume| volume.name == name)
    };
    let bases = volumes.iter().filter_map(Base::of_marker);
    bases.filter(|base| base.volumes.iter().all(|volume| is_there(base, &volume.volume))).collect()
}

/// A base that is to be found or made.
struct WantedBase {
    key: String,
    /// The volumes that it consists of, as the environment names them.
    all: Vec<DataVolume>,
    /// Those of them that are missing, and are to be branches of it.
    missing: Vec<DataVolume>,
}

/// Returns whose bases the repository's are.
fn owner(record: &EnvironmentRecord) -> BaseOwner {
    BaseOwner {
        repository: record.repository.id.clone(),
        repository_name: record.repository.name.clone(),
        common_dir: record.repository.common_dir.to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

impl From<RepositoryError> for DataError {
    fn from(error: RepositoryError) -> Self {
        Self::Input { path: PathBuf::from("data.inputs"), source: std::io::Error::other(error) }
    }
}
