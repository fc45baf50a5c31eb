//! Services: what becomes of each container, and the steps that bring it about.

use std::borrow::Cow;
use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::creation::{engine_network, plan_container};
use super::{Draft, ReconcileError, joined, not_owned, replica};
use crate::label;
use crate::name::{NetworkName, ServiceName, VolumeName};
use crate::observed::{ContainerState, ObservedContainer};
use crate::plan::{Await, Operation, StepId};
use crate::service::{Condition, MountSource, RestartPolicy, Service};
use crate::teardown::pre_stop;

/// What becomes of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it should be.
    Keep,
    /// It exists and must run.
    Start(&'static str),
    /// It is frozen and must run.
    Unpause,
    /// It runs, and must start anew.
    Restart(&'static str),
    /// There is none.
    Create,
    /// It must be made again.
    Recreate(&'static str),
}

impl Fate {
    pub(super) fn makes_container(self) -> bool {
        matches!(self, Self::Create | Self::Recreate(_))
    }
}

/// A container that the project wants.
pub(super) struct Wanted<'a> {
    /// Its definition.
    pub(super) definition: Cow<'a, Service>,
    /// What becomes of it.
    pub(super) fate: Fate,
}

impl Wanted<'_> {
    pub(super) fn name(&self) -> &str {
        self.definition.container_name.as_deref().expect("isolation names every container")
    }
}

/// The containers of each service, the first one first.
pub(super) type Fates<'a> = IndexMap<ServiceName, Vec<Wanted<'a>>>;

/// Decides what becomes of each service's containers, dependencies first.
pub(super) fn fates<'a>(
    draft: &Draft<'a>,
    networks: &BTreeSet<NetworkName>,
    volumes: &BTreeSet<VolumeName>,
) -> Result<Fates<'a>, ReconcileError> {
    let mut fates = Fates::new();
    for name in dependency_order(draft) {
        let service = &draft.desired.services[name];
        let mut containers = Vec::new();
        for (_, definition) in service.containers() {
            let found = draft.container_of(&definition);
            let fate = match found {
                None => Fate::Create,
                Some(container) if !draft.owns(&container.labels) => {
                    return Err(not_owned("container", &container.name, &container.labels));
                }
                Some(container) => match divergence(draft, &definition, container, networks, volumes) {
                    Some(cause) => Fate::Recreate(cause),
                    None => fate_of_unchanged(draft, name, container, &fates),
                },
            };
            let fate = match joined::fate_of_joined(service, &fates) {
                Some(cause) if found.is_some() => Fate::Recreate(cause),
                _ => fate,
            };
            containers.push(Wanted { definition, fate });
        }
        joined::check_files(name, service)?;
        replica::check(draft, name, service)?;
        fates.insert(name.clone(), containers);
    }
    Ok(fates)
}

/// Returns the services so that each comes after those that it depends on; a cycle is cut where it closes.
fn dependency_order<'a>(draft: &Draft<'a>) -> Vec<&'a ServiceName> {
    fn visit<'a>(
        draft: &Draft<'a>,
        name: &'a ServiceName,
        seen: &mut BTreeSet<&'a ServiceName>,
        order: &mut Vec<&'a ServiceName>,
    ) {
        if !seen.insert(name) {
            return;
        }
        for on in draft.desired.services[name].depends_on.keys() {
            if let Some((on, _)) = draft.desired.services.get_key_value(on) {
                visit(draft, on, seen, order);
            }
        }
        order.push(name);
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for name in draft.desired.services.keys() {
        visit(draft, name, &mut seen, &mut order);
    }
    order
}

fn divergence(
    draft: &Draft<'_>,
    service: &Service,
    container: &ObservedContainer,
    networks: &BTreeSet<NetworkName>,
    volumes: &BTreeSet<VolumeName>,
) -> Option<&'static str> {
    let image = draft.observed.images.get(&service.image);
    let mounts_diverged = service.mounts.iter().any(|mount| {
        matches!(&mount.source, MountSource::Volume { volume: Some(key), .. } if volumes.contains(key))
    });
    let engine_names = service.networks.keys().map(|key| engine_network(draft, key));
    if draft.options.force_recreate {
        Some("it was asked for")
    } else if container.labels.get(label::CONFIG_HASH) != service.labels.get(label::CONFIG_HASH) {
        Some("its definition changed")
    } else if image.is_some_and(|image| image.id != container.image_id) {
        Some("its image changed")
    } else if service.networks.keys().any(|key| networks.contains(key)) {
        Some("its network is made again")
    } else if mounts_diverged {
        Some("its volume is made again")
    } else if container.network_ids.iter().any(|id| !is_live(draft, id)) {
        Some("its network was made again")
    } else if engine_names.into_iter().any(|name| !container.networks.contains_key(&name)) {
        Some("it is not on its network")
    } else if matches!(container.state, ContainerState::Dead | ContainerState::Removing) {
        Some("the Engine could not remove it")
    } else {
        None
    }
}

/// Returns whether a network of that id exists. Podman gives the name of a network for its id.
fn is_live(draft: &Draft<'_>, id: &str) -> bool {
    draft.observed.networks.iter().any(|network| network.id == id || network.name == id)
}

fn fate_of_unchanged(
    draft: &Draft<'_>,
    name: &ServiceName,
    container: &ObservedContainer,
    fates: &Fates<'_>,
) -> Fate {
    let service = &draft.desired.services[name];
    let has_moved = |on: &ServiceName| {
        let mut containers = fates.get(on).into_iter().flatten();
        containers.any(|container| matches!(container.fate, Fate::Recreate(_) | Fate::Restart(_)))
    };
    let dependency_moved = service.depends_on.iter().any(|(on, how)| how.restart && has_moved(on))
        || joined::namespace_ended(service, fates);
    match container.state {
        ContainerState::Running if dependency_moved => {
            Fate::Restart("a service that it depends on was made again")
        }
        ContainerState::Running if draft.options.unhooked.contains(&container.name) => {
            Fate::Restart("its `post_start` hooks have not all run")
        }
        ContainerState::Running | ContainerState::Restarting => Fate::Keep,
        ContainerState::Paused => Fate::Unpause,
        // Whether its files were put into it nobody can tell.
        ContainerState::Created if joined::has_texts(service) => Fate::Recreate("it never started"),
        ContainerState::Created => Fate::Start("it never started"),
        _ if container.exit_code() == Some(0) && is_job(draft, name) => Fate::Keep,
        _ => Fate::Start("it is stopped"),
    }
}

/// Returns whether a service is meant to end: another one waits for its completion, and nothing restarts it.
fn is_job(draft: &Draft<'_>, name: &ServiceName) -> bool {
    let awaited = draft.desired.services.values().any(|other| {
        other.depends_on.get(name).is_some_and(|how| how.condition == Condition::ServiceCompletedSuccessfully)
    });
    awaited && matches!(draft.desired.services[name].restart, RestartPolicy::No | RestartPolicy::OnFailure(_))
}

/// Plans the removal of containers that are made again, once their image is there.
pub(super) fn plan_removals(draft: &mut Draft<'_>, fates: &Fates<'_>) {
    // A container that uses what is another's goes before it.
    for (name, containers) in fates.iter().rev() {
        let users = joined::users(draft, name);
        for Wanted { definition, fate } in containers {
            if let (Fate::Recreate(cause), Some(container)) = (fate, draft.container_of(definition)) {
                let mut after: Vec<StepId> =
                    draft.pulls.get(&definition.image).copied().into_iter().collect();
                after.extend(users.iter().filter_map(|user| draft.removed.get(user)));
                draft.remove_container(container, cause, false, after);
            }
        }
    }
}

/// Plans creations and starts.
pub(super) fn plan_services(draft: &mut Draft<'_>, fates: &Fates<'_>) {
    for (name, containers) in fates {
        for wanted in containers {
            plan_wanted(draft, name, wanted);
        }
    }
}

fn plan_wanted(draft: &mut Draft<'_>, name: &ServiceName, wanted: &Wanted<'_>) {
    let container = wanted.name().to_owned();
    let (after, cause) = match wanted.fate {
        Fate::Keep => return,
        Fate::Create => (plan_container(draft, name, wanted, "it does not exist"), "it was created"),
        Fate::Recreate(cause) => (plan_container(draft, name, wanted, cause), "it was created"),
        Fate::Start(cause) => (Vec::new(), cause),
        Fate::Unpause => {
            draft.push(Operation::UnpauseContainer { container }, "it is paused", Vec::new(), Vec::new());
            return;
        }
        Fate::Restart(cause) => {
            let mut after = Vec::new();
            for hook in draft.container_of(&wanted.definition).map(pre_stop).unwrap_or_default() {
                after = vec![draft.push(hook, cause, after, Vec::new())];
            }
            let stop = Operation::StopContainer { container: container.clone(), grace: None };
            (vec![draft.push(stop, cause, after, Vec::new())], cause)
        }
    };
    plan_start(draft, name, &container, after, cause);
}

fn plan_start(
    draft: &mut Draft<'_>,
    name: &ServiceName,
    container: &str,
    mut after: Vec<StepId>,
    cause: &str,
) {
    let mut awaits = Vec::new();
    for (on, how) in &draft.desired.services[name].depends_on {
        after.extend(draft.starts.get(on).into_iter().flatten());
        // Of a service that has no container, nothing is to be waited for.
        let is_made = draft.desired.services.get(on).is_none_or(|service| service.replicas() > 0);
        if is_made && how.condition != Condition::ServiceStarted {
            awaits.push(Await::Service {
                service: on.clone(),
                condition: how.condition,
                required: how.required,
            });
        }
    }
    let start = Operation::StartContainer { container: container.to_owned(), service: name.clone() };
    let mut step = draft.push(start, cause, after, awaits);
    for hook in draft.desired.services[name].post_start.clone() {
        let container = container.to_owned();
        let run = Operation::RunHook { container, key: "post_start", hook, required: true };
        step = draft.push(run, "the service has started", vec![step], Vec::new());
    }
    draft.starts.entry(name.clone()).or_default().push(step);
}
