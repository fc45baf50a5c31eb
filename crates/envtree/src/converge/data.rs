//! Data that is missing begins as branches: what these lie on comes before the plan.

use envtree_core::observed::ObservedState;
use envtree_core::plan::{Await, Plan};
use envtree_core::reconcile::plan_missing_images;
use envtree_core::shared::is_shared_project;

use super::{Convergence, UpGate};
use crate::apply::Gate;
use crate::data::{Grounds, lacks_data, servers};
use crate::error::Error;
use crate::up::reconcile_options;

impl Convergence<'_> {
    /// Returns whether data is missing that a seed fills, or that is prepared without one. What environments share is
    /// filled by none of them.
    fn wants_base(&self, observed: &ObservedState) -> bool {
        !is_shared_project(&self.record.project)
            && (self.has_seed() || self.session.prepares(self.environment) || self.record.data_from.is_some())
            && lacks_data(self.environment, observed)
    }

    fn has_seed(&self) -> bool {
        self.environment.definition.settings.data.seed.is_some()
    }

    /// Returns the steps that bring the images of servers whose data is to be made: it depends on them.
    pub(super) fn images_of_data(&self, observed: &ObservedState) -> Result<Plan, Error> {
        if !self.wants_base(observed) {
            return Ok(Plan::default());
        }
        let choices = reconcile_options(self.environment, self.options, false);
        Ok(plan_missing_images(&servers(self.environment), observed, &choices)?)
    }

    /// Returns what missing volumes are branches of; nothing where the files that the data depends on could not be
    /// written, of which the checkout tells.
    pub(super) async fn grounds(
        &self,
        observed: &ObservedState,
        gate: &UpGate<'_>,
    ) -> Result<Option<Grounds>, Error> {
        if !self.wants_base(observed) {
            return Ok(Some(Grounds::begun(self.environment, observed)));
        }
        let servers = servers(self.environment);
        let has_files =
            self.has_seed() || servers.services.values().any(|service| service.host_paths().next().is_some());
        if has_files && gate.wait(&Await::Checkout).await.is_err() {
            return Ok(None);
        }
        // Whoever is cut off while a base is made leaves some of it.
        let Self { session, record, .. } = self;
        session
            .update_record(&record.project, |record| {
                record.unsettled.get_or_insert_default();
            })
            .await?;
        Box::pin(session.grounds(self.record, self.environment, observed)).await.map(Some)
    }
}
