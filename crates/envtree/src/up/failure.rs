//! What the state keeps of an `up` that failed.

use jiff::Timestamp;

use crate::error::{self, Error};
use crate::session::Session;
use crate::state::Lock;
use crate::state::record::{EnvironmentRecord, Failure};

impl Session {
    /// Forgets an environment of which nothing was made; of any other, keeps the failure, and reserves what `record` had
    /// before. Returns the error to report.
    pub(super) async fn give_up(
        &self,
        record: &EnvironmentRecord,
        lock: Lock,
        is_new: bool,
        error: Error,
    ) -> Result<Error, Error> {
        let error = self.with_containers(error).await;
        if is_new {
            self.update_state(|state| {
                state.remove(&record.project);
                Ok(())
            })
            .await?;
        } else {
            // What an earlier command left unsettled, this one did not touch.
            self.remember(record, Some(&error), |now| now.reserve_as(record)).await?;
        }
        self.release(lock)?;
        Ok(error)
    }

    /// Keeps the failure for `status`, or forgets an earlier one, and notes whether the Engine may still be at work.
    pub(super) async fn remember(
        &self,
        record: &EnvironmentRecord,
        error: Option<&Error>,
        settle: impl FnOnce(&mut EnvironmentRecord) + Send,
    ) -> Result<(), Error> {
        let failure =
            error.map(|error| Failure { at: Timestamp::now(), what: "up".into(), message: summary(error) });
        self.update_record(&record.project, |record| {
            settle(record);
            record.last_failure = failure;
        })
        .await
    }
}

/// Returns an error and its causes in one line.
fn summary(error: &Error) -> String {
    let all;
    let failures = match error {
        Error::PartWay { failures, .. } => failures,
        other => {
            all = error::Failure::all_of(other);
            &all
        }
    };
    failures.iter().map(|failure| failure.causes.join(": ")).collect::<Vec<_>>().join("; ")
}
