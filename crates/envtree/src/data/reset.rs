//! Data of an environment is thrown away, and begins anew.

use envtree_core::observed::ObservedState;
use envtree_core::teardown::plan_reset;

use super::DataError;
use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::up::{UpOptions, UpOutcome};

impl Session {
    /// Throws away what an environment's branches of data changed, and brings it up with the data that a new environment
    /// would begin with. Volumes that are no branches stay as they are.
    pub async fn reset_data(&self, task: Option<&str>) -> Result<UpOutcome, Error> {
        self.docker.connect().await?;
        let (record, lock) = self.hold(task).await?;
        let observed = self.observe_project(&record).await?;
        let losses = losses(&record, &observed);
        if losses.is_empty() {
            return Err(DataError::NoneBranched { project: record.project.to_string() }.into());
        }
        if !(self.options.confirm)(&losses) {
            return Err(Error::Declined { losses });
        }
        let plan = plan_reset(&observed, &record.repository.id, &record.project);
        self.carry_out(&record, &plan, "reset the data of").await?;
        self.release(lock)?;
        let options = UpOptions { scale: record.scale.clone(), ..UpOptions::of(Some(&record.task)) };
        Box::pin(self.up(&options)).await
    }
}

/// Returns what is lost, a line each.
fn losses(record: &EnvironmentRecord, observed: &ObservedState) -> Vec<String> {
    let own = observed.uppers.iter().filter(|upper| record.owns(&upper.labels));
    let branches = own.filter_map(|upper| upper.labels.get(envtree_core::label::BRANCH));
    branches.map(|volume| format!("remove what changed in volume `{volume}` since it was branched")).collect()
}
