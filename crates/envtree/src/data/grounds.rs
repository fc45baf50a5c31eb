//! What missing data volumes begin as.

use envtree_core::branch::base::{Base, project_name, short};
use envtree_core::branch::key::Ingredients;
use envtree_core::branch::{Branch, DataVolume, Ground, next_generation, upper_of};
use envtree_core::name::VolumeName;
use envtree_core::observed::ObservedState;
use envtree_core::settings::BranchMode;
use envtree_core::shared::is_shared_project;
use indexmap::IndexMap;

use super::seed::{SEED, SeedBeside, seed_text};
use super::{DataError, complete, is_begun, volumes_of};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::Lock;
use crate::state::identity::bases_name;
use crate::state::record::EnvironmentRecord;

/// Branches that volumes begin as, by the Engine's name of the volume.
pub(crate) type Branches = IndexMap<String, Branch>;

/// What missing volumes begin as. As long as it lives, no command drops the base.
#[derive(Debug, Default)]
pub(crate) struct Grounds {
    pub(crate) branches: Branches,
    _held: Vec<Lock>,
}

impl Grounds {
    /// Returns the branches that were begun before.
    pub(crate) fn begun(environment: &Environment, observed: &ObservedState) -> Self {
        let branches = if observed.uppers.is_empty() {
            Branches::new()
        } else {
            begun(&volumes_of(environment, observed), observed)
        };
        Self { branches, _held: Vec::new() }
    }
}

/// A base that is to be found or made.
pub(super) struct WantedBase {
    pub(super) key: String,
    /// The volumes that it consists of, as the environment names them.
    pub(super) all: Vec<DataVolume>,
    /// Those of them that are missing, and are to be branches of it.
    pub(super) missing: Vec<DataVolume>,
    /// Whether the seed runs in it.
    pub(super) is_seeded: bool,
    /// Whether the seed can go on from what it made before.
    pub(super) is_incremental: bool,
    /// What it depends on.
    pub(super) ingredients: Ingredients,
    /// The service beside the servers that the seed runs in.
    pub(super) beside: Option<SeedBeside>,
}

impl Session {
    /// Returns what missing data volumes begin as. A base that is not there is made; the files that it depends on are
    /// there.
    pub(crate) async fn grounds(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
    ) -> Result<Grounds, Error> {
        let volumes = volumes_of(environment, observed);
        let mut branches = begun(&volumes, observed);
        let mut held = Vec::new();
        if let Some(chosen) = self.chosen_base(record, observed).await? {
            self.note_use(&bases_name(&record.repository.common_dir), &chosen.0.key).await?;
            let name = chosen.0.name().to_owned();
            let missing = missing(&volumes, observed, &branches);
            let (on_base, lock) = self.lay(record, environment, &missing, chosen).await?;
            branches.extend(on_base);
            held.push(lock);
            for data in missing.iter().filter(|data| !branches.contains_key(data.name())) {
                self.warn(format!(
                    "`{name}` has nothing for volume `{}`: it begins as that of a new environment",
                    data.name()
                ));
            }
        }
        let has_seed = environment.definition.settings.data.seed.is_some();
        let is_missing = !missing(&volumes, observed, &branches).is_empty();
        if has_seed && is_missing {
            if self.trusts_seed(record, environment)? {
                self.bring_seed_image(record, environment, &volumes).await?;
            } else {
                self.warn(format!(
                    "`{SEED}` was skipped: its commands are not trusted yet, and the services start with empty data; `envtree trust` shows and accepts them"
                ));
            }
        }
        while let Some(wanted) =
            self.wanted_base(record, environment, observed, (volumes.clone(), &branches)).await?
        {
            if !wanted.is_seeded && self.is_futile(record, environment).await? {
                break;
            }
            match self.base(record, environment, &wanted).await {
                Ok(found) => {
                    let (on_base, lock) = self.lay(record, environment, &wanted.missing, found).await?;
                    branches.extend(on_base);
                    held.push(lock);
                    break;
                }
                Err(Error::Data(error @ DataError::NoBranches { .. })) if wanted.is_seeded => {
                    self.warn(format!("{error}; `{SEED}` was skipped, and the services start with empty data; `data.mode: copy` has them begin with copies"));
                    break;
                }
                Err(Error::Data(
                    error @ (DataError::NoBranches { .. }
                    | DataError::NotReady { .. }
                    | DataError::NotStopped { .. }),
                )) if !wanted.is_seeded => self.note_futile(&wanted, &error).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(Grounds { branches, _held: held })
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
        let copied = self.planned_copies(environment).await?;
        if let Some((base, _)) = self.chosen_base(record, observed).await? {
            let missing = missing(&volumes, observed, &branches);
            branches.extend(self.on_base(record, &missing, &base, copied.as_deref()).await?);
        }
        if record.worktree.is_dir()
            && !is_shared_project(&record.project)
            && let Some(wanted) =
                self.wanted_base(record, environment, observed, (volumes, &branches)).await?
            && let Some(base) = self.find_base(&record.repository.id, &wanted.key).await?
        {
            branches.extend(self.on_base(record, &wanted.missing, &base, copied.as_deref()).await?);
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

    /// Returns the base that volumes want to be branches of that are neither begun nor planned as one, if they want one.
    ///
    /// A seed that nobody trusts fills none. Without one, a server that depends on other services, or that could not be
    /// prepared before, is left to begin by itself.
    async fn wanted_base(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        (all, branches): (Vec<DataVolume>, &Branches),
    ) -> Result<Option<WantedBase>, Error> {
        let mut all = self.volumes_of_base(record, environment, all)?;
        loop {
            let missing = missing(&all, observed, branches);
            if missing.is_empty() {
                return Ok(None);
            }
            let wanted = self.wanted(record, environment, observed, (all, missing)).await?;
            match self.unprepared(&wanted)? {
                Some(service) => all = without(wanted.all, &service),
                None => return Ok(Some(wanted)),
            }
        }
    }

    /// Returns which of an environment's data volumes its base has.
    pub(super) fn volumes_of_base(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        mut volumes: Vec<DataVolume>,
    ) -> Result<Vec<DataVolume>, Error> {
        if !self.trusts_seed(record, environment)? {
            let services = &environment.isolated.project.services;
            volumes.retain(|volume| {
                self.prepares(environment) && services[&volume.service].depends_on.is_empty()
            });
        }
        Ok(volumes)
    }

    /// Returns the base of the volumes `all`, of which those are to be branches of it that are `missing`.
    pub(super) async fn wanted(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        (all, missing): (Vec<DataVolume>, Vec<DataVolume>),
    ) -> Result<WantedBase, Error> {
        let is_seeded = self.trusts_seed(record, environment)?;
        let (mut seed, mut beside) = (None, None);
        if is_seeded {
            beside = self.seed_beside(record, environment, &all)?;
            seed = self.seed_ingredients(record, environment, beside.as_ref()).await?;
        }
        let is_incremental = is_seeded
            && environment.definition.settings.data.seed.as_ref().is_some_and(|seed| seed.incremental);
        let ingredients = self.ingredients(environment, observed, &all, seed).await?;
        let key = ingredients.key();
        Ok(WantedBase { key, all, missing, is_seeded, is_incremental, ingredients, beside })
    }

    /// Returns the branches of `volumes` that lie on `base`, or on a copy of it where they cannot lie on it as it is, and
    /// what keeps that from being dropped.
    async fn lay(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        volumes: &[DataVolume],
        (base, held): (Base, Lock),
    ) -> Result<(Branches, Lock), Error> {
        if volumes.is_empty() {
            return Ok((Branches::new(), held));
        }
        let copied = self.copied(record, environment).await?;
        if let Some(reason) = &copied
            && self.branch_mode(environment) == BranchMode::Auto
        {
            self.warn(format!("data is copied: {reason}"));
        }
        let is_unfit = base.is_deep() || (copied.is_some() && base.is_layered());
        let (base, held) = if is_unfit { self.flat(record, environment, &base).await? } else { (base, held) };
        Ok((self.on_base(record, volumes, &base, copied.as_deref()).await?, held))
    }

    /// Returns the branches of `volumes` that lie on `base`; `copied` tells why they are copies, if they are.
    ///
    /// What took the changes of earlier branches of the same name may be a layer of a snapshot, or be named by the record of
    /// one that is being dropped.
    pub(super) async fn on_base(
        &self,
        record: &EnvironmentRecord,
        volumes: &[DataVolume],
        base: &Base,
        copied: Option<&str>,
    ) -> Result<Branches, Error> {
        let frozen = Base::frozen(&self.docker.volumes_of_bases(&record.repository.id).await?);
        let on_base = |volume: &DataVolume| {
            let mut ground = base.ground(&volume.service, &volume.target)?;
            ground.generation = next_generation(&frozen, volume.name());
            ground.copied = copied.map(str::to_owned);
            Some((volume.name().to_owned(), branch(volume, ground)))
        };
        Ok(volumes.iter().filter_map(on_base).collect())
    }

    /// Returns the base or snapshot that the environment's data begins on in place of what a new environment has. As long
    /// as the lock is held, nobody drops it.
    async fn chosen_base(
        &self,
        record: &EnvironmentRecord,
        observed: &ObservedState,
    ) -> Result<Option<(Base, Lock)>, Error> {
        let Some(key) = &record.data_from else {
            return Ok(None);
        };
        let name = project_name(&bases_name(&record.repository.common_dir), key);
        let held = self.state.share_project(&name, &self.patiently()).await?;
        if let Some(base) = self.find_base(&record.repository.id, key).await? {
            return Ok(Some((base, held)));
        }
        // A snapshot that was cut off never came to be, and its environment goes on with what it has.
        if observed.uppers.iter().any(|upper| record.owns(&upper.labels)) {
            return Ok(None);
        }
        Err(DataError::GroundGone { name: short(key).to_owned() }.into())
    }

    /// Returns a lock under which nobody drops the base or snapshot of that key, which is there.
    pub(super) async fn hold_base(&self, record: &EnvironmentRecord, key: &str) -> Result<Lock, Error> {
        let name = project_name(&bases_name(&record.repository.common_dir), key);
        let held = self.state.share_project(&name, &self.patiently()).await?;
        match self.find_base(&record.repository.id, key).await? {
            Some(_) => {
                self.note_use(&bases_name(&record.repository.common_dir), key).await?;
                Ok(held)
            }
            None => Err(DataError::GroundGone { name: short(key).to_owned() }.into()),
        }
    }

    /// Returns the complete base of that key, if there is one.
    pub(super) async fn find_base(&self, repository: &str, key: &str) -> Result<Option<Base>, Error> {
        let volumes = self.docker.volumes_of_bases(repository).await?;
        Ok(complete(&volumes).into_iter().find(|base| base.key == key))
    }
}

fn without(mut volumes: Vec<DataVolume>, service: &str) -> Vec<DataVolume> {
    volumes.retain(|volume| volume.service != service);
    volumes
}

/// Returns the branch of a volume that lies on `ground`.
pub(super) fn branch(volume: &DataVolume, ground: Ground) -> Branch {
    let key = volume.key.clone().unwrap_or_else(|| {
        VolumeName::new(volume.name()).expect("the Engine's name of a volume is one of a key too")
    });
    Branch { volume: volume.definition.clone(), key, ground }
}

/// Returns the volumes that are neither begun nor planned as one of `branches`.
fn missing(volumes: &[DataVolume], observed: &ObservedState, branches: &Branches) -> Vec<DataVolume> {
    let is_missing =
        |volume: &&DataVolume| !is_begun(volume, observed) && !branches.contains_key(volume.name());
    volumes.iter().filter(is_missing).cloned().collect()
}

/// Returns the branches that were begun and whose volume is missing, of those that the files do not name.
fn begun(volumes: &[DataVolume], observed: &ObservedState) -> IndexMap<String, Branch> {
    let of_upper = |volume: &DataVolume| {
        let upper = upper_of(&observed.uppers, volume.name())?;
        Some((volume.name().to_owned(), branch(volume, Ground::of_upper(upper)?)))
    };
    volumes.iter().filter_map(of_upper).collect()
}
