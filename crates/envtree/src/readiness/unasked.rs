//! Tells dependents that wait for a healthy service when nothing says whether it is healthy.

use envtree_core::known_image::KnownImage;
use envtree_core::name::ServiceName;
use envtree_core::service::{Condition, HealthTest, Service};

use super::idle::is_idle;
use super::watched::Watched;
use super::{Readiness, container_of};
use crate::event::Event;

impl Readiness<'_> {
    /// Warns, once for each service, if it has no health check and cannot be asked either.
    pub(super) async fn warn_if_unasked(&self, name: &ServiceName) {
        let Some(watched) = self.services.get(name).and_then(|containers| containers.first()) else { return };
        watched.told.get_or_init(|| self.warn_of(name, watched)).await;
    }

    async fn warn_of(&self, name: &ServiceName, watched: &Watched<'_>) {
        if !self.is_unasked(&watched.definition).await {
            return;
        }
        for (dependent, service) in &self.project.services {
            let how = service.depends_on.get(name);
            if how.is_none_or(|how| how.condition != Condition::ServiceHealthy) {
                continue;
            }
            let place = self.places.and_then(|places| places.key(dependent.as_str(), "depends_on"));
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            self.events.emit(Event::Warning(format!(
                "{place}service `{dependent}`: `service_healthy` of `{name}` means only that it runs: it has no health check, and no port where it can be asked; give `{name}` a `healthcheck`"
            )));
        }
    }

    /// Returns whether a container has no health check, and nothing that could be asked in its place.
    async fn is_unasked(&self, service: &Service) -> bool {
        let Ok(detail) = self.docker.inspect_container(container_of(service)).await else { return false };
        match detail.health_test {
            None => {}
            Some(HealthTest::None) => return true,
            Some(_) => return false,
        }
        let known = KnownImage::run_by(service);
        if self.docker.is_remote().await.unwrap_or(false) {
            return known.and_then(KnownImage::check).is_none();
        }
        let is_idle = known.is_none() && is_idle(&detail.process);
        is_idle || self.address(service, &detail, known).await.is_none()
    }
}
