//! Decides whether somebody else changed an environment while a plan for it was carried out.
//!
//! The Engine goes on with what it was asked for although the command that asked was killed, and people use other tools
//! beside envtree. A plan that meets such a change fails for no fault of the project: it is made anew from what there is
//! now.

use std::collections::BTreeMap;

use crate::label;
use crate::observed::ObservedState;
use crate::plan::{Operation, Plan};

/// Returns whether `after` differs from `before` by more than the steps of `plan` that `done` lists, as a plan shows
/// them, and the unwanted end of what they started.
///
/// Only objects of the Compose project `project` count, by whether they exist and, containers, by whether they run. A
/// volume that nobody named comes with its container, and is no object by itself.
pub fn is_overtaken(
    project: &str,
    before: &ObservedState,
    plan: &Plan,
    done: &[String],
    after: &ObservedState,
) -> bool {
    let (before, after) = (objects(project, before), objects(project, after));
    let operations = || plan.steps.iter().map(|step| &step.operation);
    let is_planned =
        |object: &Object, way: Way| operations().any(|operation| changes(operation, object, way));
    let is_made = |object: &Object| {
        operations()
            .any(|operation| changes(operation, object, Way::Make) && done.contains(&operation.to_string()))
    };
    let vanished = before.iter().any(|(object, was_active)| match after.get(object) {
        None => !is_planned(object, Way::Remove),
        Some(is_active) => *was_active && !*is_active && !is_planned(object, Way::Stop),
    });
    vanished || after.keys().any(|object| !before.contains_key(object) && !is_made(object))
}

/// A kind and a name.
type Object = (Kind, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Container,
    Network,
    Volume,
}

/// What an operation does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Make,
    Stop,
    Remove,
}

/// Returns the project's objects, and whether they run.
fn objects(project: &str, state: &ObservedState) -> BTreeMap<Object, bool> {
    let is_own = |labels: &indexmap::IndexMap<String, String>| {
        labels.get(label::COMPOSE_PROJECT).is_some_and(|name| name == project)
    };
    let containers = state.containers.iter().filter(|container| is_own(&container.labels));
    let networks = state.networks.iter().filter(|network| is_own(&network.labels));
    let is_named = |labels: &indexmap::IndexMap<String, String>| !labels.contains_key(label::ANONYMOUS);
    let volumes = state.volumes.iter().filter(|volume| is_own(&volume.labels) && is_named(&volume.labels));
    containers
        .map(|container| ((Kind::Container, container.name.clone()), container.is_active()))
        .chain(networks.map(|network| ((Kind::Network, network.name.clone()), false)))
        .chain(volumes.map(|volume| ((Kind::Volume, volume.name.clone()), false)))
        .collect()
}

fn changes(operation: &Operation, (kind, name): &Object, way: Way) -> bool {
    let (its_kind, its_name, its_way) = match operation {
        Operation::CreateNetwork { network, .. } => (Kind::Network, network.name.as_deref(), Way::Make),
        Operation::RemoveNetwork { name, .. } => (Kind::Network, Some(name.as_str()), Way::Remove),
        Operation::CreateVolume { volume, .. } => (Kind::Volume, volume.name.as_deref(), Way::Make),
        Operation::RemoveVolume { name } => (Kind::Volume, Some(name.as_str()), Way::Remove),
        Operation::CreateContainer(container) => (Kind::Container, Some(container.name.as_str()), Way::Make),
        Operation::CreateKeeper(keeper) => (Kind::Container, Some(keeper.name.as_str()), Way::Make),
        Operation::StopContainer { container, .. } => (Kind::Container, Some(container.as_str()), Way::Stop),
        Operation::RemoveContainer { container, .. } => {
            (Kind::Container, Some(container.as_str()), Way::Remove)
        }
        Operation::PullImage { .. }
        | Operation::BuildImage(_)
        | Operation::RemoveImage { .. }
        | Operation::ConnectNetwork { .. }
        | Operation::DisconnectNetwork { .. }
        | Operation::PutDirectories { .. }
        | Operation::CopyLayer(_)
        | Operation::PutFiles { .. }
        | Operation::RunHook { .. }
        | Operation::StartContainer { .. }
        | Operation::UnpauseContainer { .. } => return false,
    };
    its_kind == *kind && its_name == Some(name.as_str()) && its_way == way
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::name::ServiceName;
    use crate::observed::{ContainerState, ObservedContainer, ObservedVolume};
    use crate::plan::{NewContainer, Step};
    use crate::service::Service;

    fn labels() -> IndexMap<String, String> {
        IndexMap::from([(label::COMPOSE_PROJECT.to_owned(), "shop".to_owned())])
    }

    fn container(name: &str, state: ContainerState) -> ObservedContainer {
        ObservedContainer {
            id: name.into(),
            name: name.into(),
            state,
            health: None,
            image: String::new(),
            image_id: String::new(),
            labels: labels(),
            networks: IndexMap::new(),
            network_ids: Vec::new(),
            volumes: IndexMap::new(),
            created: 0,
            status: String::new(),
        }
    }

    fn state(containers: &[(&str, ContainerState)], volumes: &[&str]) -> ObservedState {
        let volume = |name: &&str| ObservedVolume {
            name: (*name).into(),
            driver: String::new(),
            created: String::new(),
            mountpoint: String::new(),
            labels: labels(),
        };
        ObservedState {
            containers: containers.iter().map(|(name, state)| container(name, *state)).collect(),
            volumes: volumes.iter().map(volume).collect(),
            ..ObservedState::default()
        }
    }

    fn plan(operations: Vec<Operation>) -> Plan {
        let step =
            |operation| Step { operation, cause: "test".into(), after: Vec::new(), awaits: Vec::new() };
        Plan { steps: operations.into_iter().map(step).collect(), ..Plan::default() }
    }

    fn stop(container: &str) -> Operation {
        Operation::StopContainer { container: container.into(), grace: None }
    }

    const RUNNING: ContainerState = ContainerState::Running;
    const EXITED: ContainerState = ContainerState::Exited;

    #[test]
    fn what_the_plan_itself_stops_or_removes_is_no_surprise() {
        let before = state(&[("db", RUNNING)], &["data"]);
        let plan = plan(vec![stop("db"), Operation::RemoveVolume { name: "data".into() }]);
        assert!(!is_overtaken("shop", &before, &plan, &[], &before));
        assert!(!is_overtaken("shop", &before, &plan, &[], &state(&[("db", EXITED)], &[])));
    }

    #[test]
    fn what_stops_or_vanishes_by_itself_is_one() {
        let before = state(&[("db", RUNNING)], &["data"]);
        assert!(is_overtaken("shop", &before, &Plan::default(), &[], &state(&[("db", EXITED)], &["data"])));
        assert!(is_overtaken("shop", &before, &Plan::default(), &[], &state(&[], &["data"])));
        assert!(is_overtaken("shop", &before, &Plan::default(), &[], &state(&[("db", RUNNING)], &[])));
        // What did not run before may not run now.
        let before = state(&[("db", EXITED)], &[]);
        assert!(!is_overtaken("shop", &before, &Plan::default(), &[], &before));
    }

    #[test]
    fn what_appears_without_a_step_that_made_it_is_one() {
        let (before, after) = (state(&[], &[]), state(&[("db", RUNNING)], &[]));
        assert!(is_overtaken("shop", &before, &Plan::default(), &[], &after));
        assert!(!is_overtaken("other", &before, &Plan::default(), &[], &after));
    }

    #[test]
    fn the_unnamed_volume_of_a_container_that_was_made_is_none() {
        let before = state(&[], &[]);
        let mut after = state(&[("db", EXITED)], &["shop_db_data_0a1b2c3d"]);
        let container = NewContainer {
            name: "db".into(),
            service: ServiceName::new("db").unwrap(),
            definition: Service::default(),
            volume_names: IndexMap::new(),
            network: None,
            inherited_volumes: IndexMap::new(),
            image_volumes: vec!["/data".into()],
        };
        let plan = plan(vec![Operation::CreateContainer(Box::new(container))]);
        let done: Vec<String> = plan.steps.iter().map(|step| step.operation.to_string()).collect();
        assert!(is_overtaken("shop", &before, &plan, &done, &after));
        after.volumes[0].labels.insert(label::ANONYMOUS.into(), "db:/data".into());
        assert!(!is_overtaken("shop", &before, &plan, &done, &after));
    }
}
