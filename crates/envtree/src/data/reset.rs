//! Data of an environment is thrown away, and begins anew.

use std::collections::BTreeSet;

use envtree_core::branch::base::Base;
use envtree_core::branch::upper_of;
use envtree_core::label;
use envtree_core::observed::ObservedState;
use envtree_core::teardown::plan_reset;

use super::{DataError, volumes_of};
use crate::error::Error;
use crate::session::Session;
use crate::state::Lock;
use crate::state::record::EnvironmentRecord;
use crate::up::{UpOptions, UpOutcome};

impl Session {
    /// Throws away what an environment's branches of data changed, and brings it up with the data that a new environment
    /// would begin with. Volumes that are no branches stay as they are.
    pub async fn reset_data(&self, task: Option<&str>) -> Result<UpOutcome, Error> {
        self.connect().await?;
        let (record, lock) = self.hold(task).await?;
        self.begin_anew(record, lock, None).await
    }

    /// Throws branches away, and brings the environment up with the data of `base`, or with that of a new environment.
    ///
    /// Of the branches, those stay that `base` has nothing for.
    pub(super) async fn begin_anew(
        &self,
        record: EnvironmentRecord,
        lock: Lock,
        base: Option<Base>,
    ) -> Result<UpOutcome, Error> {
        let observed = self.observe_project(&record).await?;
        let mut condemned = own_branches(&record, &observed);
        let mut held = None;
        match &base {
            None if condemned.is_empty() && record.data_from.is_none() => {
                return Err(DataError::NoneBranched {
                    project: record.project.to_string(),
                    task: record.task,
                }
                .into());
            }
            Some(base) => {
                // Nobody drops it from here on.
                held = Some(self.hold_base(&record, &base.key).await?);
                let replaced = self.replaced_by(&record, base).await?;
                condemned.retain(|branch| replaced.contains(branch));
            }
            None => {}
        }
        let losses: Vec<String> = condemned.iter().map(|volume| loss(volume)).collect();
        if !losses.is_empty() && !(self.options.confirm)(&losses) {
            return Err(Error::Declined { losses });
        }
        let data_from = base.map(|base| base.key);
        self.update_record(&record.project, |record| {
            record.data_from = data_from;
            record.condemned = condemned;
        })
        .await?;
        self.throw_condemned_away(&record.project).await?;
        self.release(lock)?;
        let options = UpOptions { scale: record.scale.clone(), ..UpOptions::of(Some(&record.task)) };
        let up = Box::pin(self.up(&options)).await;
        drop(held);
        up
    }

    /// Removes the branches of an environment that are condemned.
    pub(crate) async fn throw_condemned_away(&self, project: &str) -> Result<(), Error> {
        let state = self.read_state()?;
        let Some(record) = state.by_project(project).filter(|record| !record.condemned.is_empty()) else {
            return Ok(());
        };
        let observed = self.observe_project(record).await?;
        let branches = record.condemned.iter().map(String::as_str).collect();
        let plan = plan_reset(&observed, &record.repository.id, &record.project, &branches);
        self.note_parted(&record.repository, &observed, &plan).await?;
        self.carry_out(record, &plan, "reset the data of").await?;
        self.update_record(project, |record| record.condemned.clear()).await
    }

    /// Returns the data volumes that begin anew on `base`, by name; refuses to replace one that is no branch, and to lie on
    /// more layers than can be mounted.
    async fn replaced_by(&self, record: &EnvironmentRecord, base: &Base) -> Result<BTreeSet<String>, Error> {
        let environment = self.environment(record, &self.known_secret(record)?)?;
        let (observed, _) = self.observe_and_adopt(record, &environment.definition).await?;
        let mut volumes = volumes_of(&environment, &observed);
        volumes.retain(|data| base.ground(&data.service, &data.target).is_some());
        for data in &volumes {
            let is_there = observed.volumes.iter().any(|volume| volume.name == data.name());
            if is_there && upper_of(&observed.uppers, data.name()).is_none() {
                return Err(DataError::NotBranched { volume: data.name().to_owned() }.into());
            }
        }
        self.on_base(record, &volumes, base, None).await?;
        Ok(volumes.iter().map(|data| data.name().to_owned()).collect())
    }
}

/// Returns the names of an environment's branches.
fn own_branches(record: &EnvironmentRecord, observed: &ObservedState) -> BTreeSet<String> {
    let own = observed.uppers.iter().filter(|upper| record.owns(&upper.labels));
    own.filter_map(|upper| upper.labels.get(label::BRANCH)).cloned().collect()
}

/// Says what is lost with a branch.
fn loss(branch: &str) -> String {
    format!("remove what changed in volume `{branch}` since it was branched")
}
