//! Carries out a plan: every step as soon as the steps that it names are done, side by side with all others.
//!
//! The executor decides nothing. After a failure no new step begins, running ones end, and all failures are reported.

use std::future::Future;
use std::time::Instant;

use envtree_core::engine::{BuildProgress, Engine, Progress};
use envtree_core::plan::{Await, Operation, Plan, Step, StepId};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::event::{Act, Event, Events};

/// Waits for what no Engine call brings about.
pub(crate) trait Gate {
    /// Why waiting failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns when `condition` holds, or why it never will.
    fn wait(&self, condition: &Await) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Steps of a plan failed.
#[derive(Debug)]
pub(crate) struct ApplyError<E, G> {
    /// Every failure, in the order in which they happened; at least one.
    pub failures: Vec<FailureCause<E, G>>,
    /// What had been done, as a plan shows it.
    pub done: Vec<String>,
}

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum FailureCause<E, G> {
    /// The Engine refused or broke off.
    Engine(E),
    /// What it waited for did not come about.
    Gate(G),
}

/// Carries out `plan` on `engine`; `gate` answers for the conditions outside the plan.
pub(crate) async fn apply<E: Engine + Sync, G: Gate + Sync>(
    engine: &E,
    plan: &Plan,
    gate: &G,
    events: &Events,
) -> Result<(), ApplyError<E::Error, G::Error>> {
    let mut schedule = Schedule::new(plan);
    let (failed, halt) = watch::channel(false);
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if failures.is_empty() {
            for id in schedule.take_startable() {
                let step = &plan.steps[id.0];
                let halt = halt.clone();
                running.push(async move { (id, run_step(engine, step, gate, halt, events).await) });
            }
        }
        match running.next().await {
            Some((id, Ok(()))) => schedule.finish(id),
            Some((_, Err(Halted::Another))) => {}
            Some((_, Err(Halted::Failed(cause)))) => {
                failed.send_replace(true);
                failures.push(cause);
            }
            None => break,
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let done = schedule.finished.iter().map(|id| plan.steps[id.0].operation.to_string()).collect();
    Err(ApplyError { failures, done })
}

/// Why a step did not come to its end.
enum Halted<E, G> {
    /// Another step failed before this one's call began.
    Another,
    /// It failed itself.
    Failed(FailureCause<E, G>),
}

async fn run_step<E: Engine + Sync, G: Gate + Sync>(
    engine: &E,
    step: &Step,
    gate: &G,
    mut halt: watch::Receiver<bool>,
    events: &Events,
) -> Result<(), Halted<E::Error, G::Error>> {
    for condition in &step.awaits {
        tokio::select! {
            held = gate.wait(condition) => held.map_err(|cause| Halted::Failed(FailureCause::Gate(cause)))?,
            _ = halt.wait_for(|halted| *halted) => return Err(Halted::Another),
        }
    }
    let (act, object) = describe(&step.operation);
    let started = Instant::now();
    events.emit(Event::Performing { act, object: object.clone(), cause: step.cause.clone() });
    let progress = |progress| events.emit(event_of(progress, &object));
    match engine.perform(&step.operation, &progress).await {
        Ok(()) => {
            events.emit(Event::Performed { act, object: object.clone(), elapsed: started.elapsed() });
            Ok(())
        }
        Err(cause) if is_optional(&step.operation) => {
            let causes = crate::error::causes(&cause).join(": ");
            events.emit(Event::Warning(format!("{causes}; `--force` goes on without it")));
            Ok(())
        }
        Err(cause) => {
            events.emit(Event::Failed { act, object: object.clone() });
            Err(Halted::Failed(FailureCause::Engine(cause)))
        }
    }
}

fn is_optional(operation: &Operation) -> bool {
    matches!(operation, Operation::RunHook { required: false, .. })
}

/// Returns what to tell of an operation on `image` that goes on.
fn event_of(progress: Progress, image: &str) -> Event {
    let image = image.to_owned();
    match progress {
        Progress::Pull(progress) => Event::Pulling { image, progress },
        Progress::Build(BuildProgress::Remark(remark)) => {
            Event::Warning(format!("build of image `{image}`: {remark}"))
        }
        Progress::Build(progress) => Event::Building { image, progress },
    }
}

/// Returns the kind of an operation and the name of what it acts on.
pub(crate) fn describe(operation: &Operation) -> (Act, String) {
    match operation {
        Operation::PullImage { image, .. } => (Act::PullImage, image.clone()),
        Operation::BuildImage(build) => (Act::BuildImage, build.name().to_owned()),
        Operation::RemoveImage { name, .. } => (Act::RemoveImage, name.clone()),
        Operation::CreateNetwork { key, network } => {
            (Act::CreateNetwork, network.name.clone().unwrap_or_else(|| key.to_string()))
        }
        Operation::RemoveNetwork { name, .. } => (Act::RemoveNetwork, name.clone()),
        Operation::CreateVolume { key, volume } => {
            (Act::CreateVolume, volume.name.clone().unwrap_or_else(|| key.to_string()))
        }
        Operation::RemoveVolume { name } => (Act::RemoveVolume, name.clone()),
        Operation::CreateKeeper(keeper) => (Act::CreateContainer, keeper.name.clone()),
        Operation::CopyLayer(copy) => (Act::CopyLayer, copy.fills().to_owned()),
        Operation::CreateContainer(container) => (Act::CreateContainer, container.name.clone()),
        Operation::ConnectNetwork { container, .. } => (Act::ConnectNetwork, container.clone()),
        Operation::DisconnectNetwork { container, .. } => (Act::DisconnectNetwork, container.clone()),
        Operation::PutFiles { container, .. } | Operation::PutDirectories { container, .. } => {
            (Act::PutFiles, container.clone())
        }
        Operation::RunHook { container, .. } => (Act::RunHook, container.clone()),
        Operation::StartContainer { container, .. } => (Act::StartContainer, container.clone()),
        Operation::UnpauseContainer { container } => (Act::UnpauseContainer, container.clone()),
        Operation::StopContainer { container, .. } => (Act::StopContainer, container.clone()),
        Operation::RemoveContainer { container, .. } => (Act::RemoveContainer, container.clone()),
    }
}

/// Which steps may begin.
struct Schedule<'a> {
    plan: &'a Plan,
    begun: Vec<bool>,
    finished: Vec<StepId>,
}

impl<'a> Schedule<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, begun: vec![false; plan.steps.len()], finished: Vec::new() }
    }

    /// Returns the steps that may begin now, each once.
    fn take_startable(&mut self) -> Vec<StepId> {
        let mut startable = Vec::new();
        for (position, step) in self.plan.steps.iter().enumerate() {
            if !self.begun[position] && step.after.iter().all(|id| self.finished.contains(id)) {
                self.begun[position] = true;
                startable.push(StepId(position));
            }
        }
        startable
    }

    fn finish(&mut self, id: StepId) {
        self.finished.push(id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use envtree_core::engine::Scope;
    use envtree_core::name::ServiceName;
    use envtree_core::observed::ObservedState;
    use envtree_core::service::Condition;

    use super::*;

    /// An Engine that notes what it is asked for and refuses one call.
    #[derive(Default)]
    struct Recorder {
        calls: Mutex<Vec<String>>,
        refused: Option<&'static str>,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("refused")]
    struct Refused;

    impl Engine for Recorder {
        type Error = Refused;

        async fn observe(&self, _: &Scope) -> Result<ObservedState, Refused> {
            Ok(ObservedState::default())
        }

        async fn perform(
            &self,
            operation: &Operation,
            _: &(dyn Fn(Progress) + Send + Sync),
        ) -> Result<(), Refused> {
            let call = operation.to_string();
            let refused = self.refused == Some(call.as_str());
            self.calls.lock().unwrap().push(call);
            tokio::task::yield_now().await;
            if refused { Err(Refused) } else { Ok(()) }
        }
    }

    /// A gate that opens when told to.
    struct Signal(watch::Receiver<bool>);

    impl Gate for Signal {
        type Error = Refused;

        async fn wait(&self, _: &Await) -> Result<(), Refused> {
            self.0.clone().wait_for(|open| *open).await.map(|_| ()).map_err(|_| Refused)
        }
    }

    fn step(volume: &str, after: &[usize], awaits: Vec<Await>) -> Step {
        Step {
            operation: Operation::RemoveVolume { name: volume.into() },
            cause: "test".into(),
            after: after.iter().map(|id| StepId(*id)).collect(),
            awaits,
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { steps, ..Plan::default() }
    }

    #[tokio::test]
    async fn a_step_follows_every_step_that_it_names() {
        let plan = plan(vec![step("a", &[1, 2], vec![]), step("b", &[2], vec![]), step("c", &[], vec![])]);
        let engine = Recorder::default();
        let (_sender, receiver) = watch::channel(true);
        apply(&engine, &plan, &Signal(receiver), &Events::ignored()).await.unwrap();
        assert_eq!(*engine.calls.lock().unwrap(), ["remove volume c", "remove volume b", "remove volume a"]);
    }

    #[tokio::test]
    async fn a_step_waits_for_its_gate_while_others_go_on() {
        let plan = plan(vec![step("a", &[], vec![Await::Checkout]), step("b", &[], vec![])]);
        let engine = Recorder::default();
        let (sender, receiver) = watch::channel(false);
        let events = Events::new(move |event| {
            if matches!(event, Event::Performed { object, .. } if object == "b") {
                sender.send_replace(true);
            }
        });
        apply(&engine, &plan, &Signal(receiver), &events).await.unwrap();
        assert_eq!(*engine.calls.lock().unwrap(), ["remove volume b", "remove volume a"]);
    }

    #[tokio::test]
    async fn after_a_failure_nothing_new_begins_and_the_failure_is_reported() {
        let service = ServiceName::new("db").unwrap();
        let condition = Condition::ServiceHealthy;
        let waiting = vec![Await::Service { service, condition, required: true }];
        let plan = plan(vec![
            step("a", &[], vec![]),
            step("b", &[], vec![]),
            step("c", &[0], vec![]),
            step("d", &[], waiting),
        ]);
        let engine = Recorder { refused: Some("remove volume a"), ..Recorder::default() };
        let (_sender, receiver) = watch::channel(false);
        let error = apply(&engine, &plan, &Signal(receiver), &Events::ignored()).await.unwrap_err();
        assert_eq!(*engine.calls.lock().unwrap(), ["remove volume a", "remove volume b"]);
        assert_eq!(error.failures.len(), 1);
        assert_eq!(error.done, ["remove volume b"]);
    }
}
