//! A base that is made before any environment wants it.

use std::time::{Duration, Instant};

use envtree_core::branch::DataVolume;
use envtree_core::branch::base::short;
use envtree_core::observed::ObservedState;
use envtree_core::reconcile::plan_missing_images;

use super::{DataError, servers, volumes_of};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::up::{UpOptions, reconcile_options};

/// A base that the next environments begin on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyBase {
    /// What it is called.
    pub name: String,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// How long it took to make it; absent if it was there.
    pub made_in: Option<Duration>,
}

impl Session {
    /// Makes the base that the data of a new environment of this worktree would begin on, unless it is there.
    ///
    /// No environment is made: the worktree may have none.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::NoSeed`] where no seed fills a base and none is prepared without one, with
    /// [`DataError::SeedUntrusted`] where nobody accepted the seed, and with [`DataError::NoServers`] where no service keeps
    /// data that can branch.
    pub async fn seed_data(&self, task: Option<&str>) -> Result<ReadyBase, Error> {
        self.connect().await?;
        let (record, environment) = self.environment_ahead(task).await?;
        let is_seeded = self.trusts_seed(&record, &environment)?;
        if environment.definition.settings.data.seed.is_none() && !self.prepares(&environment) {
            return Err(DataError::NoSeed.into());
        }
        if environment.definition.settings.data.seed.is_some() && !is_seeded {
            return Err(DataError::SeedUntrusted.into());
        }
        self.sweep_bases(&record.repository.id, None).await?;
        let observed = self.observe_with_images(&record, &environment).await?;
        let all = self.volumes_of_base(&record, &environment, volumes_of(&environment, &observed))?;
        if all.is_empty() {
            return Err(DataError::NoServers.into());
        }
        if is_seeded {
            self.bring_seed_image(&record, &environment, &all).await?;
        }
        let wanted = self.wanted(&record, &environment, &observed, (all, Vec::new())).await?;
        let services = services(&wanted.all);
        let was_there = self.find_base(&record.repository.id, &wanted.key).await?.is_some();
        let started = Instant::now();
        self.base(&record, &environment, &wanted).await?;
        let made_in = Some(started.elapsed()).filter(|_| !was_there);
        Ok(ReadyBase { name: short(&wanted.key).to_owned(), services, made_in })
    }

    /// Brings the images of the servers, and returns what the Engine has then.
    pub(super) async fn observe_with_images(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<ObservedState, Error> {
        let (observed, _) = self.observe_and_adopt(record, &environment.definition).await?;
        let options = reconcile_options(environment, &UpOptions::of(Some(&record.task)), false);
        let images = plan_missing_images(&servers(environment), &observed, &options)?;
        if images.is_empty() {
            return Ok(observed);
        }
        self.apply_to_base(&record.project, &images).await?;
        Ok(self.observe_and_adopt(record, &environment.definition).await?.0)
    }

    /// Returns the environment as `up` would have it, whose worktree is there. Nothing is reserved for it.
    pub(super) async fn environment_ahead(
        &self,
        task: Option<&str>,
    ) -> Result<(EnvironmentRecord, Environment), Error> {
        let (record, environment) = self.previewed(&UpOptions::of(task)).await?;
        for warning in &environment.warnings {
            self.warn(warning.clone());
        }
        if record.worktree.is_dir() {
            return Ok((record, environment));
        }
        Err(Error::WorktreeGone { task: record.task, worktree: record.worktree })
    }
}

fn services(volumes: &[DataVolume]) -> Vec<String> {
    let mut services: Vec<String> = volumes.iter().map(|volume| volume.service.to_string()).collect();
    services.dedup();
    services
}
