//! Data that no seed fills: whether servers are prepared, and what was found out when they could not be.
//!
//! A server that cannot be prepared starts as it would without envtree. That is tried once, and not at every `up`.

use envtree_core::branch::base::{Base, project_name};
use envtree_core::observed::ObservedState;
use envtree_core::settings::BranchMode;
use envtree_docker::version::EngineFacts;

use super::DataError;
use super::grounds::WantedBase;
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;

/// Returns what is noted of a service that a base could not be made with.
fn finding(wanted: &WantedBase, service: &str) -> String {
    format!("{} {service}", wanted.key)
}

/// How many findings are kept; the oldest go first.
const KEPT: usize = 64;

impl Session {
    /// Returns whether servers without a seed are prepared, where nothing speaks against it that [`Self::is_futile`] knows.
    pub(crate) fn prepares(&self, environment: &Environment) -> bool {
        self.wants_preparation(environment).unwrap_or(true)
    }

    /// Returns whether somebody said that servers are prepared, or not.
    fn wants_preparation(&self, environment: &Environment) -> Option<bool> {
        environment.definition.settings.data.prepare.or(self.machine.prepares_data)
    }

    /// Returns whether no server is prepared on this Engine: no base can be made, or what begins on it would be a copy,
    /// and nobody asked for that.
    pub(super) async fn is_futile(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<bool, Error> {
        if self.wants_preparation(environment).is_none() && self.copied(record, environment).await?.is_some()
        {
            return Ok(true);
        }
        if self.branch_mode(environment) != BranchMode::Overlay {
            return Ok(false);
        }
        let engine = self.engine().await?;
        Ok(self.read_state()?.unprepared.contains(&engine))
    }

    /// Returns the service that could not be prepared when the base was to be made before.
    pub(super) fn unprepared(&self, wanted: &WantedBase) -> Result<Option<String>, Error> {
        let unprepared = self.read_state()?.unprepared;
        let mut services = wanted.all.iter().map(|volume| volume.service.to_string());
        Ok(services
            .find(|service| unprepared.contains(&finding(wanted, service)))
            .filter(|_| !wanted.is_seeded))
    }

    /// Notes that a base cannot be made, or none on this Engine: the servers begin by themselves.
    pub(super) async fn note_futile(&self, wanted: &WantedBase, error: &DataError) -> Result<(), Error> {
        let (is_of_engine, key) = match error {
            DataError::NotReady { service, .. } | DataError::NotStopped { service, .. } => {
                (false, finding(wanted, service))
            }
            _ => (true, self.engine().await?),
        };
        self.update_state(move |state| {
            state.unprepared.retain(|other| *other != key);
            state.unprepared.push(key);
            let surplus = state.unprepared.len().saturating_sub(KEPT);
            state.unprepared.drain(..surplus);
            Ok(())
        })
        .await?;
        // Nobody asked the Engine for it.
        if !is_of_engine {
            self.warn(format!(
                "{error} when it was prepared by itself; it starts with an empty volume instead"
            ));
        }
        Ok(())
    }

    /// Removes the bases without a seed that nothing uses any more, but for the newest: the next environment begins on
    /// it. Returns what was done.
    pub(crate) async fn drop_stale_bases(&self, repository: &str) -> Result<Vec<String>, Error> {
        let observed = self.docker.observe_services(Some(repository)).await?;
        let mut bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        bases.retain(|base| !base.is_seeded && base.snapshot.is_none());
        bases.sort_by_key(|base| base.made);
        bases.pop();
        let is_used = |observed: &ObservedState, base: &Base| {
            self.users(observed).map(|users| users.contains_key(&base.key))
        };
        let mut done = Vec::new();
        for base in &bases {
            if is_used(&observed, base)? {
                continue;
            }
            let name = project_name(&base.repository, &base.key);
            // Whoever holds it may be about to use it.
            let Some(lock) = self.state.try_lock_project(&name, &self.options.command)? else { continue };
            let now = self.docker.observe_services(Some(repository)).await?;
            if !is_used(&now, base)? {
                done.extend(self.remove_whole(repository, base).await?);
            }
            self.release(lock)?;
        }
        Ok(done)
    }

    /// Returns what tells this Engine from another, and from what it will be after an upgrade.
    pub(super) async fn engine(&self) -> Result<String, Error> {
        Ok(engine_key(self.docker.facts().await?))
    }
}

/// Returns what tells an Engine from another, and from what it will be after an upgrade.
pub(crate) fn engine_key(facts: &EngineFacts) -> String {
    format!("{} {} {}", facts.endpoint, facts.name, facts.version)
}
