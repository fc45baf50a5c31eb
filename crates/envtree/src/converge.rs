//! Makes an environment what it should be: the checkout beside images, network and services, then readiness and hooks.

use std::convert::Infallible;

use envtree_core::engine::Engine;
use envtree_core::observed::ObservedState;
use envtree_core::plan::Await;
use envtree_core::reconcile::plan_pulls;
use envtree_docker::DockerError;
use tokio::sync::watch;

use crate::apply::{ApplyError, FailureCause, Gate, apply};
use crate::environment::Environment;
use crate::error::{Error, Failure};
use crate::hooks::HookKey;
use crate::readiness::{NotReady, Readiness};
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::target::Target;
use crate::up::{UpOptions, plan_changes, scope};

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
    pub(crate) async fn run(&self, observed: ObservedState) -> Result<Converged, Error> {
        let Self { session, record, environment, options, .. } = *self;
        for warning in &environment.warnings {
            session.warn(warning.clone());
        }
        let project = &environment.isolated.project;
        let readiness = Readiness::new(&session.docker, project, options.timeout, &session.options.events);
        let (checked_out, progress) = watch::channel(Checkout::Running);
        let gate = UpGate { readiness: &readiness, checkout: progress };
        let checkout = async {
            let result = session.check_out(record, self.target, environment).await;
            checked_out.send_replace(if result.is_ok() { Checkout::Done } else { Checkout::Failed });
            result
        };
        let (checkout, mut applied) = tokio::join!(checkout, self.apply_changes(observed, &gate));
        let created_worktree = match checkout {
            Ok(created) => created,
            // Where nothing else is to be told, it is better told in its own words.
            Err(error) if applied.failures.is_empty() && applied.done.is_empty() => return Err(error),
            Err(error) => {
                applied.failures.insert(0, Failure::of_checkout(&error));
                false
            }
        };
        if applied.failures.is_empty() && !options.no_wait {
            let faults = readiness.wait_all().await.err().unwrap_or_default();
            applied.failures = faults.iter().map(Failure::of_service).collect();
        }
        self.refuse_failures(&mut applied)?;
        if !options.no_wait {
            session.run_hook_of(record, environment, HookKey::PostUp).await?;
        } else if HookKey::PostUp.of(&environment.definition.settings).is_some() {
            session.warn("hook `post_up` was not run, because nobody waits for the services");
        }
        let mut warnings = environment.warnings.clone();
        warnings.extend(applied.warnings);
        Ok(Converged { created_worktree, operations: applied.done.len(), warnings })
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
            applied.failures.push(Failure::of(&error));
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
        let pulls = plan_pulls(&environment.isolated.project, options.pull);
        if !pulls.is_empty() {
            if let Err(error) = apply(&session.docker, &pulls, &Open, &session.options.events).await {
                applied.take(error, |never| match never {});
                return Ok(());
            }
            observed = session.docker.observe(&scope(&environment.definition)).await?;
        }
        let mut plan = plan_changes(environment, &observed, options, false)?;
        if !plan.confirmations.is_empty() && (session.options.confirm)(&plan.confirmations) {
            plan = plan_changes(environment, &observed, options, true)?;
        }
        for warning in &plan.warnings {
            session.warn(warning.clone());
        }
        applied.warnings.extend(plan.warnings.iter().cloned());
        match apply(&session.docker, &plan, gate, &session.options.events).await {
            Ok(()) => applied.done.extend(plan.steps.iter().map(|step| step.operation.to_string())),
            Err(error) => applied.take(error, gate_failure),
        }
        Ok(())
    }
}

/// What the Engine's part came to.
#[derive(Default)]
struct Applied {
    done: Vec<String>,
    failures: Vec<Failure>,
    warnings: Vec<String>,
}

impl Applied {
    fn take<G>(&mut self, error: ApplyError<DockerError, G>, of_gate: impl Fn(G) -> Option<Failure>) {
        self.done.extend(error.done);
        self.failures
            .extend(error.failures.into_iter().filter_map(|failure| step_failure(failure, &of_gate)));
    }
}

/// Returns the failure of one step of a plan for people.
pub(crate) fn step_failure<G>(
    failure: FailureCause<DockerError, G>,
    of_gate: &impl Fn(G) -> Option<Failure>,
) -> Option<Failure> {
    match failure {
        FailureCause::Gate(cause) => of_gate(cause),
        FailureCause::Engine(error) => {
            let port = match &error {
                DockerError::PortInUse { port, .. } => *port,
                _ => None,
            };
            let registry = match &error {
                DockerError::RegistryDenied { registry, .. } => Some(registry.clone()),
                _ => None,
            };
            Some(Failure { port, registry, ..Failure::of(&error) })
        }
    }
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
    checkout: watch::Receiver<Checkout>,
}

impl Gate for UpGate<'_> {
    type Error = GateError;

    async fn wait(&self, condition: &Await) -> Result<(), GateError> {
        if *condition != Await::Checkout {
            return Ok(self.readiness.wait(condition).await?);
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
