//! `up`: make or adopt the worktree, converge the environment, wait until it is ready.

mod failure;
mod preview;
mod refusal;
mod remote;
mod scale;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use envtree_core::adopt::Adopted;
use envtree_core::branch::base::Base;
use envtree_core::observed::ObservedState;
use envtree_core::reconcile::BuildPolicy;
use envtree_core::service::PullPolicy;
use envtree_core::settings::Settings;
use futures::future::join;

use crate::adopt;
use crate::checkout::{files_of, refuse_env_file};
use crate::converge::{Converged, Convergence};
use crate::data::Branches;
use crate::environment::{Definition, Environment};
use crate::error::Error;
use crate::load::load_settings;
use crate::reserve::{Circumstances, TakenPolicy, reserve};
use crate::route::host_subnets;
use crate::session::Session;
use crate::shared::HeldShared;
use crate::state::record::EnvironmentRecord;
use crate::state::{Lock, State};
use crate::status::EnvironmentStatus;
use crate::taken::warnings_of_apps;
use crate::target::{Origin, Target, resolve};
use crate::worktree::{self, WorktreeError};

pub use preview::{PlannedStep, PlannedUp};
use refusal::refuse_unmakeable;
use scale::refuse_unknown;

pub(crate) use preview::{plan_changes, reconcile_options, scope};
pub(crate) use refusal::{refuse_missing_in_worktree, refuse_unstartable};

/// How often `up` moves on from ports that the Engine could not publish.
const REASSIGNMENTS: usize = 10;

/// Choices of `up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpOptions {
    /// The task; absent means the worktree that the person stands in.
    pub task: Option<String>,
    /// Where a new branch starts; absent means the configured base.
    pub from: Option<String>,
    /// The branch, where it is not named like the task.
    pub branch: Option<String>,
    /// The folder of a new worktree; absent means the configured place.
    pub path: Option<PathBuf>,
    /// What data begins with that is not there yet: a snapshot or a base by its name, or a task, of whose environment a
    /// snapshot is taken. Absent means what the repository's seed makes.
    pub data_from: Option<String>,
    /// Whether to return once all containers have started, ready or not.
    pub no_wait: bool,
    /// How long services may take to become ready, from their start.
    pub timeout: Duration,
    /// When images are pulled; absent leaves it to each service.
    pub pull: Option<PullPolicy>,
    /// When images are built.
    pub build: BuildPolicy,
    /// How many containers services get, whatever the files say.
    pub scale: BTreeMap<String, u32>,
    /// Whether only the plan is wanted.
    pub dry_run: bool,
    /// Whether orphaned containers and networks are removed without asking.
    pub remove_orphans: bool,
    /// Whether every container is made again.
    pub force_recreate: bool,
    /// Whether a reserved port that a stranger took is replaced by another.
    pub reassign_ports: bool,
    /// Whether the report tells what git says of the worktree, for which every file is looked at.
    pub git_status: bool,
}

impl UpOptions {
    /// Returns the choices of a plain `up`: services may take 60 s to become ready, and git is not asked.
    pub fn of(task: Option<&str>) -> Self {
        Self {
            task: task.map(str::to_owned),
            from: None,
            branch: None,
            path: None,
            data_from: None,
            no_wait: false,
            timeout: Duration::from_mins(1),
            pull: None,
            build: BuildPolicy::Missing,
            scale: BTreeMap::new(),
            dry_run: false,
            remove_orphans: false,
            force_recreate: false,
            reassign_ports: false,
            git_status: false,
        }
    }

    fn taken_policy(&self) -> TakenPolicy {
        if self.reassign_ports { TakenPolicy::Reassign } else { TakenPolicy::Refuse }
    }
}

/// All that an `up` needs to know before it changes anything.
struct Prepared {
    record: EnvironmentRecord,
    environment: Environment,
    observed: ObservedState,
    /// What it shares with others, which wait until it is there.
    shared: Option<HeldShared>,
}

/// An environment that no other command works on.
struct Claim {
    target: Target,
    record: EnvironmentRecord,
    lock: Lock,
    /// Whether it was unknown before.
    is_new: bool,
}

/// What `up` did or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpOutcome {
    /// A dry run: nothing was changed.
    Planned(PlannedUp),
    /// The environment is up.
    Done(Box<UpReport>),
}

/// What `up` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpReport {
    /// The environment as it is now.
    pub status: EnvironmentStatus,
    /// Whether the worktree was made by this run.
    pub created_worktree: bool,
    /// How many Engine calls changed something.
    pub operations: usize,
    /// What the person should know. (Also emitted as events while it happened.)
    pub warnings: Vec<String>,
    /// How long all of it took.
    pub elapsed: Duration,
}

impl Session {
    /// Makes or adopts a worktree and brings its environment up.
    ///
    /// Everything that can be refused is refused before anything is changed. An `up` that was interrupted or failed is
    /// completed by the next.
    pub async fn up(&self, options: &UpOptions) -> Result<UpOutcome, Error> {
        let started = Instant::now();
        if options.dry_run {
            let planned = Box::pin(self.plan_only(options)).await;
            self.state.undo();
            return Ok(UpOutcome::Planned(planned?));
        }
        self.connect().await?;
        let base = self.data_source(options).await?;
        let mut refused = BTreeSet::new();
        loop {
            let outcome = Box::pin(self.up_without(&refused, options, base.as_ref(), started)).await;
            let known = refused.len();
            refused.extend(outcome.as_ref().err().into_iter().flat_map(refused_ports));
            if !options.reassign_ports || refused.len() == known || known >= REASSIGNMENTS {
                return outcome.map(|report| UpOutcome::Done(Box::new(report)));
            }
        }
    }

    /// Brings the environment up on other ports than those that the Engine refused.
    async fn up_without(
        &self,
        refused: &BTreeSet<u16>,
        options: &UpOptions,
        base: Option<&Base>,
        started: Instant,
    ) -> Result<UpReport, Error> {
        let home = load_settings(&self.home_files())?;
        let Claim { target, record, lock, is_new } = self.claim(options, &home).await?;
        self.throw_condemned_away(&record.project).await?;
        // The Engine calls programs to say what it is; meanwhile the rest can be found out.
        let preparation = Box::pin(self.prepare(&record, &target, options, refused));
        let (prepared, facts) = join(preparation, self.docker.facts()).await;
        // What an Engine that is too old makes of other questions says nothing.
        let checked = async {
            let facts = facts?;
            let mut prepared = prepared?;
            let files = files_of(self, &target, &record);
            let made = refuse_unmakeable(&prepared.environment, &files, facts)?;
            prepared.environment.warnings.extend(made);
            self.refuse_unjoinable(&prepared.environment).await?;
            if let Some(base) = base {
                let Prepared { record, environment, observed, .. } = &mut prepared;
                self.begin_with(record, environment, observed, base).await?;
            }
            Ok::<_, Error>(prepared)
        };
        let prepared = match Box::pin(checked).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.give_up(&record, lock, is_new, error).await?),
        };
        // On the heap, because the whole of an `up` is large.
        let converged = match Box::pin(self.converge(prepared, &target, options)).await {
            Ok(converged) => Ok(converged),
            Err(error) => Err(self.with_containers(error).await),
        };
        let error = converged.as_ref().err();
        let is_cut_off = error.is_some_and(Error::is_cut_off);
        self.remember(&record, error, |record| record.settle(is_cut_off)).await?;
        let converged = converged?;
        let status = self.brought_up(&record, options).await?;
        Ok(UpReport {
            status,
            created_worktree: converged.created_worktree,
            operations: converged.operations,
            warnings: converged.warnings,
            elapsed: started.elapsed(),
        })
    }

    /// Finds out what `up` is about, puts the environment into the state, unless it is there, and waits until no other
    /// command works on it.
    async fn claim(&self, options: &UpOptions, home: &Settings) -> Result<Claim, Error> {
        let base = home.base.as_deref();
        let state = self.known_state(options.task.as_deref()).await?;
        let mut target = resolve(self, &state, options, base)?;
        let mut is_new = false;
        loop {
            let put = |state: &mut State| {
                let record = self.identify(state, &target, home.worktrees.as_deref());
                let is_added = state.by_project(&record.project).is_none();
                state.put(record.clone());
                Ok((record, is_added))
            };
            let (record, is_added) = self.update_state(put).await?;
            is_new |= is_added;
            let lock = self.state.lock_project(&record.project, &self.lock()).await?;
            // The command that held the lock may have removed the environment and its worktree.
            let state = self.read_state()?;
            let known = state.by_project(&record.project).cloned();
            let is_there = known.is_some();
            let record = known.unwrap_or(record);
            match resolve(self, &state, options, base) {
                Ok(now) if is_there && now == target => return Ok(Claim { target, record, lock, is_new }),
                Ok(now) => target = now,
                Err(error) => return Err(self.give_up(&record, lock, is_new, error).await?),
            }
            self.release(lock)?;
            is_new &= is_there;
        }
    }

    /// Returns the state; an environment of this repository that it lacks is looked for in the Engine's labels.
    async fn known_state(&self, task: Option<&str>) -> Result<State, Error> {
        let state = self.read_state()?;
        let is_known = |record: &EnvironmentRecord| match task {
            Some(task) => record.task == task,
            None => self.directory().starts_with(&record.worktree),
        };
        if self.own_records(&state).any(is_known) || !self.rebuild_state().await? {
            return Ok(state);
        }
        self.read_state()
    }

    /// Reads and reserves all that the environment needs. Outside the state, only volumes left half-made change.
    async fn prepare(
        &self,
        record: &EnvironmentRecord,
        target: &Target,
        options: &UpOptions,
        refused: &BTreeSet<u16>,
    ) -> Result<Prepared, Error> {
        match &target.origin {
            Origin::Checkout { branch, .. } => {
                worktree::check(&self.repository, &record.worktree, branch)?;
            }
            Origin::Present(worktree) if !worktree.is_main && !worktree::points_back(worktree) => {
                return Err(WorktreeError::BrokenLink { path: worktree.path.clone() }.into());
            }
            Origin::Present(_) => {}
        }
        let files = files_of(self, target, record);
        let scaled = EnvironmentRecord { scale: options.scale.clone(), ..record.clone() };
        let secret = self.secret(record)?;
        let mut definition = self.define(&scaled, &files, &secret)?;
        if self.make_password(&definition)? {
            definition = self.define(&scaled, &files, &secret)?;
        }
        refuse_unknown(&options.scale, &definition)?;
        refuse_env_file(self, &files, &definition)?;
        let remote = self.remote_engine(&definition).await?;
        self.remove_half_made_volumes(record).await?;
        let (record, observed, adopted) = self.reserve_for(record, &definition, options, refused).await?;
        // What no plan can bring about is refused before the worktree is made, and anything is reserved for others.
        let mut environment = self.assemble(definition, &record)?;
        plan_changes(&environment, &observed, options, false, &Branches::new())?;
        let shared = self.prepare_shared(&environment.definition, &record, options, refused).await?;
        if shared.is_some() {
            environment = self.assemble(environment.definition, &record)?;
        }
        environment.warnings.extend(adopt::warnings(&record.project, &adopted));
        environment.warnings.extend(remote);
        environment.warnings.extend(warnings_of_apps(&record));
        Ok(Prepared { record, environment, observed, shared })
    }

    async fn converge(
        &self,
        prepared: Prepared,
        target: &Target,
        options: &UpOptions,
    ) -> Result<Converged, Error> {
        let Prepared { record, environment, observed, shared } = prepared;
        let (record, environment) = (&record, &environment);
        let convergence = Convergence { session: self, record, target, environment, options };
        convergence.run(observed, shared).await
    }

    /// Reserves what the definition wants; returns the record with it, what the Engine has, and what of that is taken over.
    ///
    /// The Engine carries out a start although the command that asked for it was interrupted. For a moment the ports of
    /// such a container are taken, and it does not run yet: so a refusal counts only after a while.
    pub(crate) async fn reserve_for(
        &self,
        record: &EnvironmentRecord,
        definition: &Definition,
        options: &UpOptions,
        refused: &BTreeSet<u16>,
    ) -> Result<(EnvironmentRecord, ObservedState, Adopted), Error> {
        let started = Instant::now();
        let is_remote = self.docker.is_remote().await?;
        let routes = if is_remote { Vec::new() } else { host_subnets() };
        loop {
            let remote_ports = self.remote_ports().await?;
            let (observed, adopted) = self.observe_and_adopt(record, definition).await?;
            let circumstances = Circumstances {
                definition,
                observed: &observed,
                routes: &routes,
                machine: &self.machine,
                taken: options.taken_policy(),
                refused,
                remote_ports: remote_ports.as_ref(),
            };
            let reserved = self.update_state(|state| {
                let mut record = state.by_project(&record.project).unwrap_or(record).clone();
                record.scale.clone_from(&options.scale);
                reserve(&mut record, state, &circumstances)?;
                record.adopted.clone_from(&adopted.volumes);
                record.adopted_anonymous.clone_from(&adopted.anonymous);
                state.put(record.clone());
                Ok(record)
            });
            match reserved.await {
                Err(Error::PortsTaken(taken)) => self.await_own_start(taken, &observed, started).await?,
                reserved => return Ok((reserved?, observed, adopted)),
            }
        }
    }
}

/// Returns the ports that the Engine could not publish.
fn refused_ports(error: &Error) -> Vec<u16> {
    let Error::PartWay { failures, .. } = error else {
        return Vec::new();
    };
    failures.iter().filter_map(|failure| Some(failure.taken.as_ref()?.port)).collect()
}
