//! What environments share comes before what is one's own.

use envtree_core::observed::{ObservedContainer, ObservedState};

use super::{Applied, Convergence, UpGate};
use crate::error::{Error, Failure};
use crate::shared::{HeldShared, SharedEnvironment};
use crate::state::record::EnvironmentRecord;

impl Convergence<'_> {
    /// Brings up what is shared, and then what is the environment's own.
    pub(super) async fn apply_both(
        &self,
        observed: ObservedState,
        held: Option<HeldShared>,
        gate: &UpGate<'_>,
    ) -> Applied {
        let (Some(held), Some(shared)) = (held, &self.environment.shared) else {
            return self.apply_changes(observed, gate).await;
        };
        let options = self.options.for_shared();
        let SharedEnvironment { record, environment } = shared.as_ref();
        let convergence = Convergence { record, environment, options: &options, ..*self };
        let mut applied = convergence.apply_changes(held.observed, gate).await;
        if !applied.failures.is_empty() {
            let is_cut_off = applied.failures.iter().any(|failure| failure.is_cut_off);
            let settled = self.session.update_record(&record.project, |record| record.settle(is_cut_off));
            applied.failures.extend(settled.await.err().map(|error| Failure::of(&error)));
            return applied;
        }
        match self.join_shared(record).await {
            Ok(now) => {
                drop(held.lock);
                applied.follow(self.apply_changes(now, gate).await);
            }
            Err(error) => applied.failures.push(Failure::of(&error)),
        }
        applied
    }

    /// Stops shared services that run, that this environment does not share any more, and that nobody else uses.
    pub(super) async fn leave_unshared(&self, applied: &mut Applied) -> Result<(), Error> {
        let shared = &self.environment.isolated.project.shared;
        let is_left = |container: &ObservedContainer| {
            container.is_active() && !container.service().is_some_and(|name| shared.contains_key(name))
        };
        let observed = applied.basis.iter().flat_map(|(observed, _)| &observed.shared);
        if observed.clone().any(is_left) {
            applied.done.extend(self.session.leave_unshared(self.record).await?);
        }
        Ok(())
    }

    /// Notes that the shared services are there and that this environment uses them, and looks at it again.
    async fn join_shared(&self, shared: &EnvironmentRecord) -> Result<ObservedState, Error> {
        let session = self.session;
        session.update_record(&shared.project, |record| record.unsettled = None).await?;
        session
            .update_record(&self.record.project, |record| {
                record.unsettled.get_or_insert_default();
            })
            .await?;
        self.observe().await
    }
}
