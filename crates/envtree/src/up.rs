//! `up`: make or adopt the worktree, converge the environment, wait until it is ready.

mod preview;
mod remote;
mod scale;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use envtree_core::adopt::Adopted;
use envtree_core::observed::ObservedState;
use envtree_core::reconcile::BuildPolicy;
use envtree_core::service::PullPolicy;
use envtree_core::settings::Settings;
use futures::future::join;
use jiff::Timestamp;

use crate::adopt;
use crate::checkout::{files_of, refuse_env_file};
use crate::converge::{Converged, Convergence};
use crate::data::Branches;
use crate::environment::{Definition, Environment};
use crate::error::{Error, causes};
use crate::load::load_settings;
use crate::reserve::{Circumstances, TakenPolicy, reserve};
use crate::route::host_subnets;
use crate::session::Session;
use crate::shared::HeldShared;
use crate::state::record::{EnvironmentRecord, Failure};
use crate::state::{Lock, State};
use crate::status::EnvironmentStatus;
use crate::taken::{SETTLING, may_be_starting, warnings_of_apps};
use crate::target::{Origin, Target, resolve};
use crate::worktree::{self, WorktreeError};

pub use preview::{PlannedStep, PlannedUp};
use scale::refuse_unknown;

pub(crate) use preview::{plan_changes, reconcile_options, scope};

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
        self.docker.connect().await?;
        let mut refused = BTreeSet::new();
        loop {
            let outcome = Box::pin(self.up_without(&refused, options, started)).await;
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
        started: Instant,
    ) -> Result<UpReport, Error> {
        let home = load_settings(&self.home_files())?;
        let Claim { target, record, lock, is_new } = self.claim(options, &home).await?;
        // The Engine calls programs to say what it is; meanwhile the rest can be found out.
        let preparation = Box::pin(self.prepare(&record, &target, options, refused));
        let (prepared, facts) = join(preparation, self.docker.facts()).await;
        // What an Engine that is too old makes of other questions says nothing.
        let prepared = match facts.map_err(Error::from).and(prepared) {
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
            let is_there = state.by_project(&record.project).is_some();
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
        let shared = self.prepare_shared(&definition, &record, options, refused).await?;
        let mut environment = self.assemble(definition, &record)?;
        environment.warnings.extend(adopt::warnings(&record.project, &adopted));
        environment.warnings.extend(remote);
        environment.warnings.extend(warnings_of_apps(&record));
        // What no plan can bring about is refused before the worktree is made.
        plan_changes(&environment, &observed, options, false, &Branches::new())?;
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

    /// Forgets an environment of which nothing was made; of any other, keeps the failure. Returns the error to report.
    async fn give_up(
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
            self.remember(record, Some(&error), |_| ()).await?;
        }
        self.release(lock)?;
        Ok(error)
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
                state.put(record.clone());
                Ok(record)
            });
            match reserved.await {
                Err(Error::PortsTaken(_)) if may_be_starting(&observed) && started.elapsed() < SETTLING => {
                    tokio::time::sleep(SETTLING / 10).await;
                }
                reserved => return Ok((reserved?, observed, adopted)),
            }
        }
    }

    /// Keeps the failure for `status`, or forgets an earlier one, and notes whether the Engine may still be at work.
    async fn remember(
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

/// Returns the ports that the Engine could not publish.
fn refused_ports(error: &Error) -> Vec<u16> {
    let Error::PartWay { failures, .. } = error else {
        return Vec::new();
    };
    failures.iter().filter_map(|failure| Some(failure.taken.as_ref()?.port)).collect()
}

/// Returns an error and its causes in one line.
fn summary(error: &Error) -> String {
    match error {
        Error::PartWay { failures, .. } => {
            failures.iter().map(|failure| failure.causes.join(": ")).collect::<Vec<_>>().join("; ")
        }
        other => causes(other).join(": "),
    }
}
