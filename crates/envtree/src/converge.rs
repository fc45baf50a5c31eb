//! Makes an environment what it should be: the checkout beside images, network and services, then readiness and hooks.

mod data;
mod failure;
mod shared;

use std::convert::Infallible;
use std::time::Instant;

use envtree_core::observed::ObservedState;
use envtree_core::overtaken::is_overtaken;
use envtree_core::plan::{Await, Operation, Plan};
use envtree_core::reconcile::plan_images;
use envtree_core::service::Condition;
use envtree_docker::DockerError;
use tokio::sync::watch;

use crate::apply::{ApplyError, FailureCause, Gate, apply};
use crate::database::Databases;
use crate::environment::Environment;
use crate::error::{Error, Failure, Unreachable};
use crate::hooks::HookKey;
use crate::post_start::{hooked, unhooked};
use crate::readiness::{NotReady, Readiness};
use crate::session::Session;
use crate::shared::HeldShared;
use crate::state::record::EnvironmentRecord;
use crate::taken::SETTLING;
use crate::target::Target;
use crate::up::{UpOptions, plan_changes, reconcile_options, refuse_missing_in_worktree};

pub(crate) use failure::{Told, place_of_wish, step_failure};

/// How often a plan is made anew because the environment changed under it.
const CATCHING_UP: usize = 3;

/// What a converging `up` did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Converged {
    pub(crate) created_worktree: bool,
    pub(crate) operations: usize,
    pub(crate) warnings: Vec<String>,
}

/// One `up` on its way.
pub(crate) struct Convergence<'a> {
    pub(crate) session: &'a Session,
    pub(crate) record: &'a EnvironmentRecord,
    pub(crate) target: &'a Target,
    pub(crate) environment: &'a Environment,
    pub(crate) options: &'a UpOptions,
}

impl Convergence<'_> {
    /// Brings the environment up; `observed` is what the Engine had when ports and subnets were reserved.
    ///
    /// What it shares comes first.
    pub(crate) async fn run(
        &self,
        observed: ObservedState,
        shared: Option<HeldShared>,
    ) -> Result<Converged, Error> {
        let Self { session, record, environment, options, .. } = *self;
        for warning in &environment.warnings {
            session.warn(warning.clone());
        }
        let (checked_out, progress) = watch::channel(Checkout::Running);
        let checkout = async {
            let result = self.check_out().await;
            checked_out.send_replace(if result.is_ok() { Checkout::Done } else { Checkout::Failed });
            result
        };
        let readiness = self.readiness();
        let databases = self.databases();
        let gate = UpGate { readiness: &readiness, databases: &databases, checkout: progress };
        let (checkout, mut applied) = tokio::join!(checkout, self.apply_both(observed, shared, &gate));
        let created_worktree = match checkout {
            Ok(created) => {
                self.wait_ready(&mut applied, &gate).await;
                self.catch_up(&mut applied, &gate.checkout).await;
                created
            }
            // Where nothing else is to be told, it is better told in its own words.
            Err(error) if applied.failures.is_empty() && applied.done.is_empty() => return Err(error),
            Err(error) => {
                applied.failures.splice(0..0, Failure::all_of(&error));
                false
            }
        };
        self.refuse_failures(&mut applied)?;
        self.leave_unshared(&mut applied).await?;
        if !options.no_wait {
            session.run_hook_of(record, environment, HookKey::PostUp).await?;
        } else if HookKey::PostUp.of(&environment.definition.settings).is_some() {
            session.warn("hook `post_up` was not run, because nobody waits for the services");
        }
        let mut warnings = environment.warnings.clone();
        warnings.extend(applied.warnings);
        Ok(Converged { created_worktree, operations: applied.done.len(), warnings })
    }

    /// Makes the worktree and what belongs to it; refuses mounts of what it then still lacks.
    async fn check_out(&self) -> Result<bool, Error> {
        let created = self.session.check_out(self.record, self.target, self.environment).await?;
        let files = self.session.present(&self.record.worktree);
        refuse_missing_in_worktree(&self.environment.definition, &files)?;
        Ok(created)
    }

    async fn observe(&self) -> Result<ObservedState, Error> {
        let (observed, _) = self.session.observe_and_adopt(self.record, &self.environment.definition).await?;
        Ok(observed)
    }

    fn readiness(&self) -> Readiness<'_> {
        let project = self.environment.watched();
        let events = &self.session.options.events;
        Readiness::new(&self.session.docker, project, self.options.timeout, events)
            .with_places(&self.environment.definition.wanted.places)
    }

    fn told(&self) -> Told<'_> {
        let Environment { definition, isolated, .. } = self.environment;
        Told { record: self.record, files: Some((&isolated.project, &definition.wanted.places)) }
    }

    fn databases(&self) -> Databases<'_> {
        Databases::new(self.session, self.record, &self.environment.isolated.project)
    }

    /// Waits for all services, unless something failed before or nobody waits.
    ///
    /// The environment's databases are made in any case: its variables name them.
    async fn wait_ready(&self, applied: &mut Applied, gate: &UpGate<'_>) {
        if applied.failures.is_empty() {
            let faults = gate.databases.make_all(gate.readiness).await;
            applied.failures = faults.iter().map(Failure::of_service).collect();
        }
        if applied.failures.is_empty() && !self.options.no_wait {
            let faults = gate.readiness.wait_all().await.err().unwrap_or_default();
            applied.failures = faults.iter().map(Failure::of_service).collect();
        }
    }

    /// Plans anew, a few times at most, where the plan failed because the environment changed under it.
    async fn catch_up(&self, applied: &mut Applied, checkout: &watch::Receiver<Checkout>) {
        for _ in 0..CATCHING_UP {
            if applied.failures.is_empty() {
                return;
            }
            let Some(now) = self.overtaken(applied).await else {
                return;
            };
            let readiness = self.readiness();
            let databases = self.databases();
            let gate = UpGate { readiness: &readiness, databases: &databases, checkout: checkout.clone() };
            let mut again = self.apply_changes(now, &gate).await;
            self.wait_ready(&mut again, &gate).await;
            applied.follow(again);
        }
    }

    /// Returns what the Engine has now, if somebody changed the environment while the plan was carried out.
    ///
    /// What the Engine makes for an interrupted command stands in the way before it can be seen.
    async fn overtaken(&self, applied: &Applied) -> Option<ObservedState> {
        let (before, plan) = applied.basis.as_ref()?;
        let started = Instant::now();
        loop {
            let now = self.observe().await.ok()?;
            if is_overtaken(&self.record.project, before, plan, &applied.done, &now) {
                return Some(now);
            }
            if !applied.is_forestalled || started.elapsed() >= SETTLING {
                return None;
            }
            tokio::time::sleep(SETTLING / 10).await;
        }
    }

    fn refuse_failures(&self, applied: &mut Applied) -> Result<(), Error> {
        if applied.failures.is_empty() {
            return Ok(());
        }
        Err(Error::PartWay {
            command: "bring up",
            project: self.record.project.to_string(),
            failures: std::mem::take(&mut applied.failures),
            done: std::mem::take(&mut applied.done),
        })
    }

    /// Plans and carries out the Engine's part; failures are values, because the checkout goes on beside it.
    async fn apply_changes(&self, observed: ObservedState, gate: &UpGate<'_>) -> Applied {
        let mut applied = Applied::default();
        if let Err(error) = self.try_apply(observed, gate, &mut applied).await {
            applied.failures.extend(Failure::all_of(&error));
        }
        applied
    }

    async fn try_apply(
        &self,
        mut observed: ObservedState,
        gate: &UpGate<'_>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let Self { session, environment, options, .. } = *self;
        let choices = reconcile_options(environment, options, false);
        let images = plan_images(&environment.isolated.project, &observed, &choices)
            .map_err(|error| Unreachable::of(error, &environment.definition.wanted))?;
        if !self.prepare(&images, &mut observed, gate, applied).await? {
            return Ok(());
        }
        let images = self.images_of_data(&observed)?;
        if !self.prepare(&images, &mut observed, gate, applied).await? {
            return Ok(());
        }
        let Some(grounds) = self.grounds(&observed, gate).await? else {
            return Ok(());
        };
        let branches = &grounds.branches;
        let mut plan = plan_changes(environment, &observed, options, false, branches)?;
        if !plan.confirmations.is_empty() && (session.options.confirm)(&plan.confirmations) {
            plan = plan_changes(environment, &observed, options, true, branches)?;
        }
        for warning in &plan.warnings {
            session.warn(warning.clone());
        }
        applied.warnings.extend(plan.warnings.iter().cloned());
        if !plan.is_empty() {
            session.update_record(&self.record.project, |record| begin(record, &plan)).await?;
        }
        let result = apply(&session.docker, &plan, gate, &session.options.events).await;
        let unhooked = unhooked(&plan, result.as_ref().err().map(|error| error.done.as_slice()));
        match result {
            Ok(()) => applied.done.extend(plan.steps.iter().map(|step| step.operation.to_string())),
            Err(error) => applied.take(error, &self.told(), gate_failure),
        }
        session.note_hooked(self.record, &plan, unhooked).await?;
        applied.basis = Some((observed, plan));
        Ok(())
    }

    /// Carries out what has to be there before anything else is planned, and looks at the Engine again; returns whether
    /// it is there now.
    async fn prepare(
        &self,
        plan: &Plan,
        observed: &mut ObservedState,
        gate: &UpGate<'_>,
        applied: &mut Applied,
    ) -> Result<bool, Error> {
        if plan.is_empty() {
            return Ok(true);
        }
        if let Err(error) = apply(&self.session.docker, plan, gate, &self.session.options.events).await {
            applied.take(error, &self.told(), gate_failure);
            return Ok(false);
        }
        *observed = self.observe().await?;
        Ok(true)
    }
}

/// Notes what the Engine is about to be asked for.
pub(crate) fn begin(record: &mut EnvironmentRecord, plan: &Plan) {
    let made = plan.steps.iter().filter_map(|step| match &step.operation {
        Operation::CreateVolume { key, volume } => {
            Some(volume.name.clone().unwrap_or_else(|| key.to_string()))
        }
        _ => None,
    });
    record.unsettled.get_or_insert_default().volumes.extend(made);
    record.unhooked.extend(hooked(plan).map(str::to_owned));
}

/// What the Engine's part came to.
#[derive(Default)]
struct Applied {
    done: Vec<String>,
    failures: Vec<Failure>,
    warnings: Vec<String>,
    /// Whether something of the name or the subnet that a step wanted was there already.
    is_forestalled: bool,
    /// What the plan was made from, and the plan.
    basis: Option<(ObservedState, Plan)>,
}

impl Applied {
    /// Takes over what a second attempt came to, which began where the first had failed.
    fn follow(&mut self, again: Self) {
        self.done.extend(again.done);
        let new = again.warnings.into_iter().filter(|warning| !self.warnings.contains(warning));
        self.warnings.extend(new.collect::<Vec<_>>());
        self.failures = again.failures;
        self.is_forestalled = again.is_forestalled;
        self.basis = again.basis;
    }

    fn take<G>(
        &mut self,
        error: ApplyError<DockerError, G>,
        told: &Told<'_>,
        of_gate: impl Fn(G) -> Option<Failure>,
    ) {
        self.is_forestalled |= error.failures.iter().any(is_forestalled);
        self.done.extend(error.done);
        let failures = error.failures.into_iter();
        self.failures.extend(failures.filter_map(|failure| step_failure(failure, told, &of_gate)));
    }
}

/// Returns whether a step failed because what it was to make was there already.
fn is_forestalled<G>(failure: &FailureCause<DockerError, G>) -> bool {
    matches!(
        failure,
        FailureCause::Engine(
            DockerError::NetworkAlreadyExists { .. }
                | DockerError::SubnetOverlap { .. }
                | DockerError::ContainerAlreadyExists { .. }
        )
    )
}

fn gate_failure(error: GateError) -> Option<Failure> {
    match error {
        GateError::NotReady(fault) => Some(Failure::of_service(&fault)),
        // The checkout tells of its own failure.
        GateError::NoCheckout => None,
    }
}

/// How far the checkout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkout {
    Running,
    Done,
    Failed,
}

/// Why a condition outside the plan never held.
#[derive(Debug, thiserror::Error)]
enum GateError {
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error("the worktree could not be made")]
    NoCheckout,
}

/// Lets services start when those that they depend on are ready, and when the files that they mount are there.
struct UpGate<'a> {
    readiness: &'a Readiness<'a>,
    databases: &'a Databases<'a>,
    checkout: watch::Receiver<Checkout>,
}

impl Gate for UpGate<'_> {
    type Error = GateError;

    async fn wait(&self, condition: &Await) -> Result<(), GateError> {
        if *condition != Await::Checkout {
            self.readiness.wait(condition).await?;
            if let Await::Service { service, condition: Condition::ServiceHealthy, .. } = condition {
                self.databases.make(service).await?;
            }
            return Ok(());
        }
        let mut checkout = self.checkout.clone();
        let state = checkout.wait_for(|state| *state != Checkout::Running).await;
        match state.as_deref() {
            Ok(Checkout::Done) => Ok(()),
            _ => Err(GateError::NoCheckout),
        }
    }
}

/// For plans whose steps wait for nothing.
pub(crate) struct Open;

impl Gate for Open {
    type Error = Infallible;

    async fn wait(&self, _: &Await) -> Result<(), Infallible> {
        Ok(())
    }
}
