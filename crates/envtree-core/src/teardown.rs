//! Plans that stop, start or remove what an environment has, from the Engine's labels alone.
//!
//! No Compose file is read: an environment whose worktree or files are gone is removed all the same.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::branch::is_keeper;
use crate::label;
use crate::observed::{ContainerState, ObservedContainer, ObservedState, ObservedVolume};
use crate::plan::{Operation, Plan, Step, StepId};
use crate::service::Hook;
use crate::shared::joined;

type Labels = IndexMap<String, String>;

/// What a removal takes with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovalOptions {
    /// The repository that owns the environment, as its label has it.
    pub repository: String,
    /// Whether volumes and their data go too, anonymous ones included.
    pub volumes: bool,
    /// Whether the images that were built for it go too.
    pub images: bool,
    /// Seconds that each container gets to stop; its own setting if absent.
    pub grace: Option<u64>,
    /// Whether a `pre_stop` hook that fails keeps nothing from being removed.
    pub force: bool,
}

/// Returns the steps that remove the containers and networks of an environment, and its volumes if asked.
///
/// A container stops once those that depend on it have stopped.
pub fn plan_removal(observed: &ObservedState, project: &str, options: &RemovalOptions) -> Plan {
    let mut plan = Plan::default();
    let owned = |labels: &Labels| is_of(labels, &options.repository, project);
    let containers: Vec<&ObservedContainer> =
        observed.containers.iter().filter(|container| owned(&container.labels)).collect();
    let mut removals: Vec<StepId> = Vec::new();
    let stops = plan_stops(&mut plan, &containers, options.grace);
    for (container, stop) in containers.iter().zip(stops) {
        let remove =
            Operation::RemoveContainer { container: container.name.clone(), volumes: options.volumes };
        removals.push(plan.push(step(remove, stop.into_iter().collect())));
    }
    for network in observed.networks.iter().filter(|network| owned(&network.labels)) {
        // What the environment shares with others runs on, and the Engine removes no network that is in use.
        let mut after = removals.clone();
        let shared = observed.shared.iter().filter(|shared| shared.networks.contains_key(&network.name));
        after.extend(shared.map(|shared| plan.push(step(leave(shared, &network.name), removals.clone()))));
        let remove = Operation::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
        plan.push(step(remove, after));
    }
    if options.images {
        let built = observed.built.iter().filter(|image| owned(&image.labels));
        for image in built {
            let name = image.names.first().unwrap_or(&image.id).clone();
            plan.push(step(Operation::RemoveImage { id: image.id.clone(), name }, removals.clone()));
        }
    }
    if options.volumes {
        plan_volumes(&mut plan, observed, &observed.uppers, removals, |_, labels| owned(labels));
    }
    for step in &mut plan.steps {
        if let Operation::RunHook { required, .. } = &mut step.operation {
            *required = !options.force;
        }
    }
    plan
}

/// Returns the steps that throw away what `branches` of an environment changed, with the containers that mount them.
pub fn plan_reset(
    observed: &ObservedState,
    repository: &str,
    project: &str,
    branches: &BTreeSet<&str>,
) -> Plan {
    let is_own = |labels: &Labels| is_of(labels, repository, project);
    without_branches(observed, branches, &observed.uppers, is_own)
}

/// Returns the steps that stop the containers of an environment that mount one of its `branches`.
pub fn plan_quiescence(
    observed: &ObservedState,
    repository: &str,
    project: &str,
    branches: &BTreeSet<&str>,
) -> Plan {
    let mut plan = Plan::default();
    let is_own = |labels: &Labels| is_of(labels, repository, project);
    plan_stops(&mut plan, &containers_on(observed, branches, is_own), None);
    plan
}

/// Returns the steps that remove `branches` of an environment and the containers that mount them. What the branches
/// changed stays as it is, and nothing can change it any more.
pub fn plan_freeze(
    observed: &ObservedState,
    repository: &str,
    project: &str,
    branches: &BTreeSet<&str>,
) -> Plan {
    without_branches(observed, branches, &[], |labels| is_of(labels, repository, project))
}

/// Returns the steps that remove `branches`, the containers that mount them, and of `uppers` those of them.
fn without_branches(
    observed: &ObservedState,
    branches: &BTreeSet<&str>,
    uppers: &[ObservedVolume],
    is_own: impl Fn(&Labels) -> bool + Copy,
) -> Plan {
    let containers = containers_on(observed, branches, is_own);
    let mut plan = Plan::default();
    let stops = plan_stops(&mut plan, &containers, None);
    let removals = containers.iter().zip(stops).map(|(container, stop)| {
        let remove = Operation::RemoveContainer { container: container.name.clone(), volumes: false };
        plan.push(step(remove, stop.into_iter().collect()))
    });
    let removals = removals.collect();
    let is_gone = |name: &str, labels: &Labels| is_own(labels) && branches.contains(name);
    plan_volumes(&mut plan, observed, uppers, removals, is_gone);
    plan
}

/// Returns the containers of an environment that mount one of these volumes.
fn containers_on<'a>(
    observed: &'a ObservedState,
    volumes: &BTreeSet<&str>,
    is_own: impl Fn(&Labels) -> bool,
) -> Vec<&'a ObservedContainer> {
    let mounts_one = |container: &ObservedContainer| {
        container.volumes.values().any(|name| volumes.contains(name.as_str()))
    };
    let containers = observed.containers.iter();
    containers.filter(|container| is_own(&container.labels) && mounts_one(container)).collect()
}

/// Returns whether these are the labels of what the project of the repository owns.
fn is_of(labels: &Labels, repository: &str, project: &str) -> bool {
    labels.get(label::REPOSITORY).is_some_and(|id| id == repository)
        && labels.get(label::COMPOSE_PROJECT).is_some_and(|name| name == project)
}

/// Plans the removal of the volumes that `is_gone` chooses by name and labels, and of what branches among them are mounted
/// from.
fn plan_volumes(
    plan: &mut Plan,
    observed: &ObservedState,
    uppers: &[ObservedVolume],
    mut after: Vec<StepId>,
    is_gone: impl Fn(&str, &Labels) -> bool,
) {
    let of_branch = |labels: &Labels| is_gone(labels.get(label::BRANCH).map_or("", String::as_str), labels);
    for keeper in observed.keepers.iter().filter(|keeper| of_branch(&keeper.labels)) {
        // What copied for a command that was killed has the anonymous volumes of its image.
        let (container, volumes) = (keeper.name.clone(), !is_keeper(&keeper.name));
        after.push(plan.push(step(Operation::RemoveContainer { container, volumes }, Vec::new())));
    }
    let remove = |volume: &ObservedVolume| Operation::RemoveVolume { name: volume.name.clone() };
    let volumes = observed.volumes.iter().filter(|volume| is_gone(&volume.name, &volume.labels));
    let volumes: Vec<StepId> = volumes.map(|volume| plan.push(step(remove(volume), after.clone()))).collect();
    // What a branch is mounted from goes after it: the Engine may refuse to remove the branch.
    after.extend(volumes);
    for upper in uppers.iter().filter(|upper| of_branch(&upper.labels)) {
        plan.push(step(remove(upper), after.clone()));
    }
}

/// Returns the steps that take shared containers off the networks of an environment that is stopped.
pub fn plan_leaving(observed: &ObservedState, repository: &str, project: &str) -> Plan {
    let mut plan = Plan::default();
    for container in joined(observed, repository, project) {
        for network in &observed.networks {
            if is_of(&network.labels, repository, project) && container.networks.contains_key(&network.name) {
                plan.push(step(leave(container, &network.name), Vec::new()));
            }
        }
    }
    plan
}

fn leave(container: &ObservedContainer, network: &str) -> Operation {
    Operation::DisconnectNetwork { container: container.name.clone(), network: network.to_owned() }
}

/// Returns the steps that stop the containers of `services`, or of every service if none is named.
pub fn plan_stop(
    observed: &ObservedState,
    repository: &str,
    services: &[String],
    grace: Option<u64>,
) -> Plan {
    let mut plan = Plan::default();
    let containers = chosen(observed, repository, services);
    plan_stops(&mut plan, &containers, grace);
    plan
}

/// Returns the steps that start the stopped containers of `services`, or of every service if none is named.
///
/// A container starts once those that it depends on have started.
pub fn plan_start(observed: &ObservedState, repository: &str, services: &[String]) -> Plan {
    let mut plan = Plan::default();
    let containers = chosen(observed, repository, services);
    let mut starts: Vec<(String, StepId)> = Vec::new();
    for container in in_dependency_order(&containers) {
        let service = container.service().unwrap_or_default();
        let Ok(name) = crate::name::ServiceName::new(service) else {
            continue;
        };
        let operation = match container.state {
            ContainerState::Running | ContainerState::Restarting => continue,
            ContainerState::Paused => Operation::UnpauseContainer { container: container.name.clone() },
            _ => Operation::StartContainer { container: container.name.clone(), service: name },
        };
        let needs = dependencies(container);
        let after = starts.iter().filter(|(name, _)| needs.contains(name)).map(|(_, id)| *id).collect();
        let mut last = plan.push(step(operation, after));
        if container.state != ContainerState::Paused {
            for hook in hooks(container, "post_start", label::POST_START) {
                last = plan.push(step(hook, vec![last]));
            }
        }
        starts.push((service.to_owned(), last));
    }
    plan
}

/// Returns the steps that stop the containers of `services`, or of every service, and start them again.
pub fn plan_restart(
    observed: &ObservedState,
    repository: &str,
    services: &[String],
    grace: Option<u64>,
) -> Plan {
    let mut plan = plan_stop(observed, repository, services, grace);
    let stops: Vec<StepId> = (0..plan.steps.len()).map(StepId).collect();
    let mut stopped = observed.clone();
    for container in &mut stopped.containers {
        container.state = ContainerState::Exited;
    }
    let offset = plan.steps.len();
    for mut start in plan_start(&stopped, repository, services).steps {
        start.after = start.after.into_iter().map(|StepId(id)| StepId(id + offset)).collect();
        start.after.extend(&stops);
        plan.push(start);
    }
    plan
}

fn step(operation: Operation, after: Vec<StepId>) -> Step {
    Step { operation, cause: "it was asked for".into(), after, awaits: Vec::new() }
}

fn own_containers<'a>(observed: &'a ObservedState, repository: &str) -> Vec<&'a ObservedContainer> {
    observed
        .containers
        .iter()
        .filter(|container| container.labels.get(label::REPOSITORY).is_some_and(|id| id == repository))
        .collect()
}

fn chosen<'a>(
    observed: &'a ObservedState,
    repository: &str,
    services: &[String],
) -> Vec<&'a ObservedContainer> {
    let mut containers = own_containers(observed, repository);
    containers.retain(|container| {
        let is_named = container.service().is_some_and(|name| services.iter().any(|wanted| wanted == name));
        !container.is_one_off() && (services.is_empty() || is_named)
    });
    containers
}

/// Plans one stop for each active container, dependents first; returns the step of each, in the given order.
fn plan_stops(plan: &mut Plan, containers: &[&ObservedContainer], grace: Option<u64>) -> Vec<Option<StepId>> {
    let mut stops: Vec<(&ObservedContainer, StepId)> = Vec::new();
    for container in
        in_dependency_order(containers).into_iter().rev().filter(|container| container.is_active())
    {
        let after = stops
            .iter()
            .filter(|(other, _)| container.service().is_some_and(|name| dependencies(other).contains(name)))
            .map(|(_, id)| *id)
            .collect();
        let mut after: Vec<StepId> = after;
        for hook in pre_stop(container) {
            after = vec![plan.push(step(hook, after))];
        }
        let stop = Operation::StopContainer { container: container.name.clone(), grace };
        stops.push((container, plan.push(step(stop, after))));
    }
    containers
        .iter()
        .map(|container| stops.iter().find(|(other, _)| other.id == container.id).map(|(_, id)| *id))
        .collect()
}

/// Returns what a container that runs is to do before it is stopped.
pub(crate) fn pre_stop(container: &ObservedContainer) -> Vec<Operation> {
    if container.state == ContainerState::Running {
        hooks(container, "pre_stop", label::PRE_STOP)
    } else {
        Vec::new()
    }
}

fn hooks(container: &ObservedContainer, key: &'static str, label: &str) -> Vec<Operation> {
    let hooks = Hook::of_label(&container.labels, label).into_iter();
    let run = |hook| Operation::RunHook { container: container.name.clone(), key, hook, required: true };
    hooks.map(run).collect()
}

/// Returns the names of the services that a container's service depends on, from Compose's label.
pub(crate) fn dependencies(container: &ObservedContainer) -> BTreeSet<String> {
    let label = container.labels.get(label::COMPOSE_DEPENDS_ON).map(String::as_str).unwrap_or_default();
    label.split(',').filter_map(|entry| entry.split(':').next()).map(str::to_owned).collect()
}

fn in_dependency_order<'a>(containers: &[&'a ObservedContainer]) -> Vec<&'a ObservedContainer> {
    let mut order: Vec<&ObservedContainer> = Vec::new();
    let mut left: Vec<&ObservedContainer> = containers.to_vec();
    while !left.is_empty() {
        let is_free = |container: &ObservedContainer| {
            let needs = dependencies(container);
            !left.iter().any(|other| {
                other.id != container.id && other.service().is_some_and(|name| needs.contains(name))
            })
        };
        // Labels can name a cycle, which the file that they came from could not: then the first is as good as any.
        let next = left.iter().position(|container| is_free(container)).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}
