//! The end of bases and snapshots, and of what interrupted commands left of them.

use std::collections::BTreeSet;

use envtree_core::branch::base::{Base, is_export, project_name};
use envtree_core::engine::Engine;
use envtree_core::label;
use envtree_core::name::ProjectName;
use envtree_core::observed::ObservedState;
use envtree_core::plan::Operation;
use envtree_core::teardown::{RemovalOptions, plan_removal};
use indexmap::IndexMap;

use super::complete;
use super::make::scope;
use crate::error::Error;
use crate::session::Session;

impl Session {
    /// Removes what interrupted commands left of bases of the repository that nobody works on; this command itself may
    /// work on `own`. Returns what was done.
    pub(crate) async fn sweep_bases(
        &self,
        repository: &str,
        own: Option<&ProjectName>,
    ) -> Result<Vec<String>, Error> {
        let mut done = self.mend_snapshots(repository).await?;
        let observed = self.docker.observe_all(Some(repository)).await?;
        let left = self.left_of_bases(repository, &observed).await?;
        // An import that was begun may be gone on with, but for that of what is made anew now.
        let unfinished = self.unfinished_imports(repository)?;
        if let Some(import) = unfinished.iter().find(|import| own == Some(&import.project())) {
            self.forget_import(repository, &import.base.key).await?;
        }
        for name in left {
            let is_unfinished = unfinished.iter().any(|import| import.project() == name);
            if own == Some(&name) {
                done.extend(self.remove_base(repository, &name, true).await?);
            } else if !is_unfinished
                && let Some(lock) = self.state.try_lock_project(&name, &self.options.command)?
            {
                done.extend(self.remove_base(repository, &name, true).await?);
                self.release(lock)?;
            }
        }
        Ok(done)
    }

    /// Returns the projects of what is observed of bases that are not complete, and of exports.
    pub(super) async fn left_of_bases(
        &self,
        repository: &str,
        observed: &ObservedState,
    ) -> Result<Vec<ProjectName>, Error> {
        let complete = complete(&self.docker.volumes_of_bases(repository).await?);
        let volumes = observed.volumes.iter().map(|volume| &volume.labels);
        let containers = observed.containers.iter().map(|container| &container.labels);
        let networks = observed.networks.iter().map(|network| &network.labels);
        let of_bases = volumes.chain(containers).chain(networks);
        // What lies on a base bears its key too, and belongs to an environment.
        let of_bases = of_bases.filter(|labels| !labels.contains_key(label::ENVIRONMENT));
        // As long as something lies on a snapshot, its record tells which layers never change, whatever it lacks.
        let users = self.users(observed)?;
        let is_used = |base: &&Base| users.contains_key(&base.key);
        let used: Vec<Base> = snapshots(observed).iter().filter(is_used).cloned().collect();
        let is_torn = |key: &str| complete.iter().chain(&used).all(|base| base.key != key);
        let is_left = |labels: &&IndexMap<String, String>| {
            let is_exported = labels.get(label::COMPOSE_PROJECT).is_some_and(|project| is_export(project));
            is_exported || labels.get(label::BASE).is_some_and(|key| is_torn(key))
        };
        let left: BTreeSet<&String> =
            of_bases.filter(is_left).filter_map(|labels| labels.get(label::COMPOSE_PROJECT)).collect();
        Ok(left.into_iter().filter_map(|name| ProjectName::new(name).ok()).collect())
    }

    /// Has the snapshots kept that nothing keeps any more, and removes those of which somebody took layers away, unless
    /// something lies on them. Returns what was done.
    async fn mend_snapshots(&self, repository: &str) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        let observed = self.docker.observe_services(Some(repository)).await?;
        let whole = complete(&self.docker.volumes_of_bases(repository).await?);
        let is_kept = |observed: &ObservedState, base: &Base| {
            let name = base.keeper(&IndexMap::new()).name;
            observed.containers.iter().any(|container| container.name == name)
        };
        let lacks = |base: &Base| !is_kept(&observed, base) || !whole.contains(base);
        for base in snapshots(&observed).into_iter().filter(lacks) {
            let name = project_name(&base.repository, &base.key);
            let Some(lock) = self.state.try_lock_project(&name, &self.options.command)? else { continue };
            // Whoever held the lock may have finished or dropped it.
            let observed = self.docker.observe_services(Some(repository)).await?;
            let mut markers = observed.volumes.iter();
            if let Some(marker) = markers.find(|marker| Base::of_marker(marker).as_ref() == Some(&base)) {
                let keeper = base.keeper(&marker.labels);
                if complete(&self.docker.volumes_of_bases(repository).await?).contains(&base) {
                    if !is_kept(&observed, &base) {
                        self.docker.create_keeper(&keeper).await?;
                        done.push(Operation::CreateKeeper(Box::new(keeper)).to_string());
                    }
                } else if !self.users(&observed)?.contains_key(&base.key) {
                    done.extend(self.remove_layers(repository, &base).await?);
                }
            }
            self.release(lock)?;
        }
        Ok(done)
    }

    /// Removes the containers and networks of a base, and its volumes too if asked; returns what was done.
    pub(super) async fn remove_base(
        &self,
        repository: &str,
        name: &ProjectName,
        volumes: bool,
    ) -> Result<Vec<String>, Error> {
        let observed = self.docker.observe(&scope(name, Vec::new())).await?;
        let removal =
            RemovalOptions { repository: repository.to_owned(), volumes, ..RemovalOptions::default() };
        let plan = plan_removal(&observed, name, &removal);
        self.apply_to_base(name, &plan).await?;
        Ok(plan.steps.iter().map(|step| step.operation.to_string()).collect())
    }

    /// Removes all of a base in the making but the volumes `kept`.
    pub(super) async fn remove_all_but(
        &self,
        repository: &str,
        name: &ProjectName,
        kept: &BTreeSet<String>,
    ) -> Result<(), Error> {
        self.remove_base(repository, name, false).await?;
        let observed = self.docker.observe(&scope(name, Vec::new())).await?;
        for volume in observed.volumes.iter().filter(|volume| !kept.contains(&volume.name)) {
            self.docker.remove_volume(&volume.name).await?;
        }
        Ok(())
    }

    /// Removes the layers of a snapshot's own, on which nothing lies. The record goes after them, so that nobody takes
    /// them for the changes of a branch; returns what was done.
    pub(super) async fn remove_layers(&self, repository: &str, base: &Base) -> Result<Vec<String>, Error> {
        if base.snapshot.is_none() {
            return Ok(Vec::new());
        }
        let name = project_name(&base.repository, &base.key);
        // The keeper mounts them.
        let mut done = self.remove_base(repository, &name, false).await?;
        for volume in &base.volumes {
            self.docker.remove_volume(&volume.layer.volume).await?;
            done.push(format!("remove volume {}", volume.layer.volume));
        }
        Ok(done)
    }
}

/// Returns the snapshots that are recorded, whole or not.
fn snapshots(observed: &ObservedState) -> Vec<Base> {
    let bases = observed.volumes.iter().filter_map(Base::of_marker);
    bases.filter(|base| base.snapshot.is_some()).collect()
}
