//! What nobody misses of bases: those that nothing uses for long, imports that nobody went on with, and what interrupted
//! commands left.

use std::collections::BTreeSet;

use envtree_core::branch::base::{Base, export_project, project_name};
use envtree_core::branch::prune::{Use, prunable};
use envtree_core::label;
use envtree_core::observed::ObservedState;
use jiff::Timestamp;

use crate::error::Error;
use crate::session::Session;
use crate::state::State;

/// What nobody misses of bases.
#[derive(Debug, Default)]
pub(crate) struct Unmissed {
    /// Bases, each before what it lies on.
    pub(crate) bases: Vec<Base>,
    /// What imports were to become.
    pub(crate) imports: Vec<Base>,
    /// The Compose projects of bases that were never complete, of some that are so no more, and of exports.
    pub(crate) torn: Vec<String>,
}

impl Session {
    /// Returns what nobody misses of the repository's bases, and used after `before`; what somebody works on is not among
    /// it. Nothing is changed.
    pub(crate) async fn unmissed(&self, repository: &str, before: Timestamp) -> Result<Unmissed, Error> {
        let observed = self.docker.observe_all(Some(repository)).await?;
        let state = self.read_state()?;
        let is_free = |base: &Base| !self.state.is_project_held(&project_name(&base.repository, &base.key));
        let mut bases = self.prunable_bases(&observed, &state, before);
        bases.retain(is_free);
        let imports = state.imports_of(repository).map(|import| import.base.clone());
        let imports = imports.filter(|base| state.last_used(base) <= before && is_free(base));
        let torn = self.left_of_bases(repository, &observed).await?;
        let is_begun = |name: &str| state.imports_of(repository).any(|import| import.project() == *name);
        let torn = torn.iter().filter(|name| !is_begun(name) && !self.state.is_project_held(name));
        Ok(Unmissed { bases, imports: imports.collect(), torn: torn.map(ToString::to_string).collect() })
    }

    fn prunable_bases(&self, observed: &ObservedState, state: &State, before: Timestamp) -> Vec<Base> {
        let bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        let branched = observed.uppers.iter().filter_map(|upper| upper.labels.get(label::BASE));
        let begun_with = self.own_records(state).filter_map(|record| record.data_from.as_ref());
        let held: BTreeSet<&String> = branched.chain(begun_with).collect();
        let use_of =
            |base| Use { base, is_held: held.contains(&base.key), last: state.last_used(base).as_second() };
        let uses: Vec<Use<'_>> = bases.iter().map(use_of).collect();
        prunable(&uses, before.as_second()).into_iter().cloned().collect()
    }

    /// Removes a base if nothing used it after `before` and nobody works on it; returns what was done.
    pub(crate) async fn prune_base(
        &self,
        repository: &str,
        base: &Base,
        before: Timestamp,
    ) -> Result<Option<Vec<String>>, Error> {
        let name = project_name(&base.repository, &base.key);
        let Some(lock) = self.state.try_lock_project(&name, &self.options.command)? else {
            return Ok(None);
        };
        // Whoever held the lock may have used it.
        let observed = self.docker.observe_services(Some(repository)).await?;
        let is_unmissed = self.prunable_bases(&observed, &self.read_state()?, before).contains(base);
        let done = if is_unmissed { Some(self.remove_whole(repository, base).await?) } else { None };
        self.release(lock)?;
        Ok(done)
    }

    /// Removes an import that is not complete, if nobody works on it; returns what was done.
    pub(crate) async fn prune_import(
        &self,
        repository: &str,
        base: &Base,
    ) -> Result<Option<Vec<String>>, Error> {
        let mut dropped = self.drop_imports(repository, [base].into_iter(), true).await?;
        let Some(dropped) = dropped.pop() else {
            return Ok(None);
        };
        self.forget_use(base).await?;
        Ok(Some(dropped.done))
    }

    /// Removes what interrupted commands left of a base, or of an export, if nobody works on it; returns what was done.
    pub(crate) async fn prune_torn(
        &self,
        repository: &str,
        project: &str,
    ) -> Result<Option<Vec<String>>, Error> {
        let Some(lock) = self.state.try_lock_project(project, &self.options.command)? else {
            return Ok(None);
        };
        // Whoever held the lock may have made it anew.
        let observed = self.docker.observe_all(Some(repository)).await?;
        let left = self.left_of_bases(repository, &observed).await?;
        let mut done = None;
        if let Some(name) = left.into_iter().find(|name| *name == *project) {
            done = Some(self.remove_base(repository, &name, true).await?);
        }
        self.release(lock)?;
        Ok(done)
    }

    /// Removes a base or snapshot that nothing uses; this command alone works on it. Returns what was done.
    pub(super) async fn remove_whole(&self, repository: &str, base: &Base) -> Result<Vec<String>, Error> {
        // An export that was killed has left what mounts them.
        let export = export_project(&base.repository, &base.key);
        let mut done = self.remove_base(repository, &export, true).await?;
        done.extend(self.remove_layers(repository, base).await?);
        done.extend(self.remove_base(repository, &project_name(&base.repository, &base.key), true).await?);
        self.forget_use(base).await?;
        Ok(done)
    }
}
