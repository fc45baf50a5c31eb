//! Shared services: their containers join the environment's networks, and leave those that go.

use super::Draft;
use super::creation::{engine_network, with_own_name};
use crate::label;
use crate::name::ServiceName;
use crate::observed::ObservedContainer;
use crate::plan::{Operation, StepId};
use crate::service::{Attachment, Service};

/// Plans to join the networks of the environment that the shared containers are not on yet, and to leave those that
/// they are no longer wanted on.
///
/// A service that depends on a shared one starts once it is reached under its name.
pub(super) fn plan_joins(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    for (name, service) in &desired.shared {
        let container = service.container_name.clone().unwrap_or_else(|| name.to_string());
        let found = draft.observed.shared.iter().find(|shared| shared.name == container);
        let mut last = None;
        for (key, attachment) in &service.networks {
            let network = engine_network(draft, key);
            let made = draft.networks.get(key).copied();
            if made.is_none() && found.is_some_and(|found| is_on(draft, found, &network)) {
                continue;
            }
            let connect = Operation::ConnectNetwork {
                container: container.clone(),
                network,
                attachment: with_own_name(name, attachment),
            };
            let after = made.into_iter().chain(last).collect();
            last = Some(draft.push(connect, "the service is shared", after, Vec::new()));
        }
        draft.starts.entry(name.clone()).or_default().extend(last);
    }
    for (container, network) in unwanted(draft) {
        let disconnect = Operation::DisconnectNetwork { container, network };
        draft.push(disconnect, "the environment does not share the service", Vec::new(), Vec::new());
    }
}

/// Plans to take the shared containers off a network that is removed: the Engine removes none that is in use.
pub(super) fn plan_leaving(draft: &mut Draft<'_>, network: &str, cause: &str) -> Vec<StepId> {
    let shared = &draft.observed.shared;
    let on_it = shared.iter().filter(|container| container.networks.contains_key(network));
    let leave = on_it.map(|container| Operation::DisconnectNetwork {
        container: container.name.clone(),
        network: network.to_owned(),
    });
    let leave: Vec<Operation> = leave.collect();
    leave.into_iter().map(|operation| draft.push(operation, cause, Vec::new(), Vec::new())).collect()
}

/// Returns the networks of environments that the container of a shared service was on, which its successor joins.
pub(super) fn rejoined(
    draft: &Draft<'_>,
    name: &ServiceName,
    service: &Service,
) -> Vec<(String, Attachment)> {
    let Some(old) = draft.container_of(service) else {
        return Vec::new();
    };
    let of_environment = draft.observed.networks.iter().filter(|network| {
        draft.owns(&network.labels)
            && network.labels.contains_key(label::COMPOSE_PROJECT)
            && !draft.is_of_project(&network.labels)
            && is_on(draft, old, &network.name)
    });
    of_environment
        .map(|network| {
            let key = network.labels.get(label::COMPOSE_NETWORK);
            let wanted = key.and_then(|key| service.networks.get(key.as_str())).cloned().unwrap_or_default();
            // The addresses are those of another subnet.
            let attachment = Attachment {
                ipv4_address: None,
                ipv6_address: None,
                link_local_ips: Vec::new(),
                mac_address: None,
                nameless: false,
                ..wanted
            };
            (network.name.clone(), with_own_name(name, &attachment))
        })
        .collect()
}

fn is_on(draft: &Draft<'_>, container: &ObservedContainer, network: &str) -> bool {
    let mut named = draft.observed.networks.iter().filter(|found| found.name == network);
    let ids = &container.network_ids;
    // A container that never started may not know the ids yet, and Podman gives the name of a network for its id.
    container.networks.contains_key(network)
        && named.any(|found| ids.is_empty() || ids.contains(&found.id) || ids.contains(&found.name))
}

/// Returns the containers and the networks of the environment that they are on for no service of it.
///
/// About a service that no active profile enables nobody decided.
fn unwanted(draft: &Draft<'_>) -> Vec<(String, String)> {
    let mut unwanted = Vec::new();
    let is_inactive = |container: &&ObservedContainer| {
        container.service().is_some_and(|name| draft.options.inactive.iter().any(|other| other == name))
    };
    for container in draft.observed.shared.iter().filter(|container| !is_inactive(container)) {
        let service = container.service().and_then(|name| draft.desired.shared.get(name));
        for network in &draft.observed.networks {
            let is_own = draft.owns(&network.labels) && draft.is_of_project(&network.labels);
            let key = network.labels.get(label::COMPOSE_NETWORK);
            let is_wanted = key.is_some_and(|key| {
                service.is_some_and(|service| service.networks.contains_key(key.as_str()))
            });
            if is_own && !is_wanted && container.networks.contains_key(&network.name) {
                unwanted.push((container.name.clone(), network.name.clone()));
            }
        }
    }
    unwanted
}
