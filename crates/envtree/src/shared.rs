//! What the environments of a repository share: one project beside theirs, made with the first user and stopped with the
//! last.
//!
//! Its record stands in the state beside those of environments, and its lock is taken after an environment's own. Who
//! uses it is what the Engine shows: an environment on whose networks its containers are, and one whose command is
//! under way.

use std::path::PathBuf;

use envtree_core::engine::Scope;
use envtree_core::name::{EnvironmentId, ProjectName};
use envtree_core::observed::ObservedState;
use envtree_core::plan::Plan;
use envtree_core::shared::{shared_project, unused};
use envtree_core::teardown::{plan_leaving, plan_start, plan_stop};

use crate::environment::{Definition, Environment};
use crate::error::Error;
use crate::session::Session;
use crate::state::record::{EnvironmentRecord, RepositoryRecord};
use crate::state::{Lock, State};

/// The task and the id of the project that holds what is shared.
const NAME: &str = "shared";

/// What the environments of a repository share, as one worktree defines it.
#[derive(Debug, Clone)]
pub(crate) struct SharedEnvironment {
    pub(crate) record: EnvironmentRecord,
    pub(crate) environment: Environment,
}

/// The shared services while this command alone works on them.
pub(crate) struct HeldShared {
    pub(crate) lock: Lock,
    pub(crate) observed: ObservedState,
}

impl Session {
    /// Returns the record of what the repository's environments share, if there is one.
    pub(crate) fn known_shared(&self, repository: &str) -> Result<Option<EnvironmentRecord>, Error> {
        Ok(self.read_state()?.shared_of(repository).cloned())
    }

    /// Returns the project of what an environment may share; nothing for that project itself, which shares nothing.
    pub(crate) fn shared_project_of(&self, record: &EnvironmentRecord) -> Result<Option<ProjectName>, Error> {
        let shared = self.known_shared(&record.repository.id)?.map(|shared| shared.project);
        Ok(shared.filter(|shared| *shared != record.project))
    }

    /// Returns the record of what the repository's environments share, as it is in `state` or as it will be.
    pub(crate) fn shared_record(
        &self,
        state: &State,
        repository: &RepositoryRecord,
    ) -> Option<EnvironmentRecord> {
        if let Some(known) = state.shared_of(&repository.id) {
            return Some(known.clone());
        }
        let project = shared_project(&repository.name)?;
        let id = EnvironmentId::new(NAME).expect("it is a DNS label");
        let mut record = EnvironmentRecord::new(repository.clone(), NAME, id, project);
        record.worktree = PathBuf::from(self.repository.top());
        Some(record)
    }

    /// Waits until no other command works on what the environment's repository shares; returns nothing if that is
    /// nothing.
    pub(crate) async fn lock_shared(&self, record: &EnvironmentRecord) -> Result<Option<Lock>, Error> {
        let Some(shared) = self.known_shared(&record.repository.id)? else {
            return Ok(None);
        };
        Ok(Some(self.state.lock_project(&shared.project, &self.lock()).await?))
    }

    /// Returns whether the repository has no other environment.
    pub(crate) fn is_last(&self, record: &EnvironmentRecord) -> Result<bool, Error> {
        let state = self.read_state()?;
        let mut all = state.of_repository(&record.repository.id);
        Ok(all.all(|other| other.project == record.project))
    }

    /// Stops the shared services that nobody uses any more, and removes all of them if the environment is the last one
    /// of its repository and goes. Returns what was done.
    ///
    /// The caller holds the lock, and the environment has left.
    pub(crate) async fn leave_shared(
        &self,
        record: &EnvironmentRecord,
        goes: bool,
    ) -> Result<Vec<String>, Error> {
        let state = self.read_state()?;
        let Some(shared) = state.shared_of(&record.repository.id).cloned() else {
            return Ok(Vec::new());
        };
        let others =
            || state.of_repository(&record.repository.id).filter(|other| other.project != record.project);
        if goes && others().next().is_none() {
            let done = self.remove_objects(&shared, false).await?;
            self.update_state(|state| {
                state.remove(&shared.project);
                Ok(())
            })
            .await?;
            return Ok(done);
        }
        // One that is being brought up may be about to join; a command that was killed is not.
        for other in others().filter(|other| other.unsettled.is_some()) {
            if self.state.try_lock_project(&other.project, &self.options.command)?.is_none() {
                return Ok(Vec::new());
            }
        }
        self.stop_unused(&shared).await
    }

    /// Stops the shared services that nobody uses since an environment shares them no more. Returns what was done.
    ///
    /// A command that works on what is shared meanwhile uses it, or stops it by itself.
    pub(crate) async fn leave_unshared(&self, record: &EnvironmentRecord) -> Result<Vec<String>, Error> {
        let Some(shared) = self.known_shared(&record.repository.id)? else {
            return Ok(Vec::new());
        };
        let Some(_lock) = self.state.try_lock_project(&shared.project, &self.options.command)? else {
            return Ok(Vec::new());
        };
        self.leave_shared(record, false).await
    }

    /// Stops the shared services that nobody uses. Returns what was done.
    async fn stop_unused(&self, shared: &EnvironmentRecord) -> Result<Vec<String>, Error> {
        let plan = |observed: &ObservedState| match unused(observed, &shared.project) {
            none if none.is_empty() => Plan::default(),
            unused => plan_stop(observed, &shared.repository.id, &unused, None),
        };
        self.until_quiet(shared, "stop", plan).await
    }

    /// Takes the shared containers off the networks of an environment that was stopped, and stops those that nobody
    /// uses any more. Returns what was done.
    pub(crate) async fn part_from_shared(&self, record: &EnvironmentRecord) -> Result<Vec<String>, Error> {
        let Some(_lock) = self.lock_shared(record).await? else {
            return Ok(Vec::new());
        };
        let observed = self.observe_project(record).await?;
        let plan = plan_leaving(&observed, &record.repository.id, &record.project);
        let mut done = self.carry_out(record, &plan, "stop").await?.done;
        done.extend(self.leave_shared(record, false).await?);
        Ok(done)
    }

    /// Starts what an environment shares, and joins its networks. Returns what was done.
    pub(crate) async fn rejoin_shared(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<Vec<String>, Error> {
        let (Some(shared), Some(_lock)) = (&environment.shared, self.lock_shared(record).await?) else {
            return Ok(Vec::new());
        };
        let observed = self.observe_project(record).await?;
        if !observed.networks.iter().any(|network| record.owns(&network.labels)) {
            return Ok(Vec::new());
        }
        let mut done = self.start_shared(&shared.record, environment).await?;
        let observed = self.observe_project(record).await?;
        let plan = envtree_core::reconcile::plan_joining(
            &environment.isolated.project,
            &observed,
            &record.repository.id,
        );
        done.extend(self.carry_out(record, &plan, "start").await?.done);
        Ok(done)
    }

    /// Starts what an environment shares if it was stopped, for a command that needs it. Returns whether anything was.
    pub(crate) async fn wake_shared(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<bool, Error> {
        let (Some(shared), Some(_lock)) = (&environment.shared, self.lock_shared(record).await?) else {
            return Ok(false);
        };
        Ok(!self.start_shared(&shared.record, environment).await?.is_empty())
    }

    /// Starts the shared services that an environment uses; the caller holds the lock. Returns what was done.
    async fn start_shared(
        &self,
        shared: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<Vec<String>, Error> {
        let names: Vec<String> =
            environment.isolated.project.shared.keys().map(ToString::to_string).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let observed = self.observe_project(shared).await?;
        let plan = plan_start(&observed, &shared.repository.id, &names);
        Ok(self.carry_out(shared, &plan, "start").await?.done)
    }

    /// Observes the project of an environment, and what it shares.
    pub(crate) async fn observe_project(&self, record: &EnvironmentRecord) -> Result<ObservedState, Error> {
        let scope = Scope {
            shared: self.shared_project_of(record)?,
            project: record.project.clone(),
            images: Vec::new(),
            volumes: record.adopted_anonymous.values().cloned().collect(),
            built: true,
        };
        self.observe_own(record, &scope).await
    }

    /// Returns the record of what a definition shares, put into the state, and the lock on it.
    pub(crate) async fn claim_shared(
        &self,
        definition: &Definition,
        repository: &RepositoryRecord,
    ) -> Result<Option<(EnvironmentRecord, Lock)>, Error> {
        if definition.shared.is_none() {
            return Ok(None);
        }
        loop {
            let put = |state: &mut State| {
                let record = self.shared_record(state, repository);
                if let Some(record) = &record {
                    state.put(record.clone());
                }
                Ok(record)
            };
            let Some(record) = self.update_state(put).await? else {
                return Ok(None);
            };
            let lock = self.state.lock_project(&record.project, &self.lock()).await?;
            // The command that held the lock may have removed it with the last environment.
            if let Some(record) = self.read_state()?.by_project(&record.project) {
                return Ok(Some((record.clone(), lock)));
            }
            self.release(lock)?;
        }
    }
}
