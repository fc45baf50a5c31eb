//! Takes away what an interrupted command still has under way.

use std::time::{Duration, Instant};

use envtree_core::observed::ObservedState;
use envtree_core::plan::Plan;

use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::taken::SETTLING;

impl Session {
    /// Carries out what `plan` makes of what is observed, until there is nothing to do; returns what was done.
    ///
    /// The Engine carries out what an interrupted command asked for, though nobody waits for it: what appears only after
    /// the first look is the matter of a later one, and until then it may hold what it is made from.
    pub(crate) async fn until_quiet(
        &self,
        record: &EnvironmentRecord,
        command: &'static str,
        plan: impl Fn(&ObservedState) -> Plan,
    ) -> Result<Vec<String>, Error> {
        let quiet = if record.unsettled.is_some() { SETTLING } else { Duration::ZERO };
        let mut done = Vec::new();
        let mut changed = Instant::now();
        loop {
            let observed = self.observe_project(record).await?;
            let plan = plan(&observed);
            if !plan.is_empty() {
                self.note_parted(&record.repository, &observed, &plan).await?;
                match self.carry_out(record, &plan, command).await {
                    Ok(report) => {
                        done.extend(report.done);
                        if quiet.is_zero() {
                            return Ok(done);
                        }
                        changed = Instant::now();
                        continue;
                    }
                    Err(Error::PartWay { done: part, .. }) if changed.elapsed() < quiet => done.extend(part),
                    Err(error) => return Err(error),
                }
            } else if changed.elapsed() >= quiet {
                return Ok(done);
            }
            tokio::time::sleep(quiet / 10).await;
        }
    }
}
