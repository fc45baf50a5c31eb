//! Networks: made when missing, made again when their definition diverged.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Draft, ReconcileError, not_owned, shared};
use crate::label;
use crate::name::NetworkName;
use crate::observed::ObservedNetwork;
use crate::plan::{Operation, StepId};

/// Returns the networks whose live definition differs from the project's.
pub(super) fn diverged(draft: &Draft<'_>) -> Result<BTreeSet<NetworkName>, ReconcileError> {
    let mut diverged = BTreeSet::new();
    for (key, network) in &draft.desired.networks {
        let name = network.name.as_deref().unwrap_or(key);
        match live(draft, name) {
            None if network.external => {
                return Err(ReconcileError::ExternalNetworkMissing { key: key.clone(), name: name.into() });
            }
            Some(_) if network.external => {}
            Some(found) if !draft.owns(&found.labels) => {
                return Err(not_owned("network", name, &found.labels));
            }
            Some(found) if found.labels.get(label::CONFIG_HASH) != network.labels.get(label::CONFIG_HASH) => {
                diverged.insert(key.clone());
            }
            _ => {}
        }
    }
    Ok(diverged)
}

/// Plans the networks; a diverged one is removed once no container of the project is on it.
pub(super) fn plan_networks(draft: &mut Draft<'_>, diverged: &BTreeSet<NetworkName>) {
    let mut stopped: IndexMap<String, StepId> = IndexMap::new();
    for (key, network) in &draft.desired.networks {
        let name = network.name.as_deref().unwrap_or(key);
        let found = live(draft, name);
        let mut after: Vec<StepId> = Vec::new();
        let cause = match found {
            Some(found) if diverged.contains(key) => {
                after = draft.removed.values().copied().collect();
                after.extend(stop_orphans_on(draft, name, &mut stopped));
                after.extend(shared::plan_leaving(draft, name, "its network is made again"));
                let remove = Operation::RemoveNetwork { id: found.id.clone(), name: found.name.clone() };
                after = vec![draft.push(remove, "its definition changed", after, Vec::new())];
                "its definition changed"
            }
            Some(found) => {
                remove_doubles(draft, key, found);
                continue;
            }
            None => "it does not exist",
        };
        let create = Operation::CreateNetwork { key: key.clone(), network: network.clone() };
        let step = draft.push(create, cause, after, Vec::new());
        draft.networks.insert(key.clone(), step);
    }
}

/// Plans to remove the project's other networks of the name of `kept`: no container starts while there are two.
fn remove_doubles(draft: &mut Draft<'_>, key: &NetworkName, kept: &ObservedNetwork) {
    let doubles: Vec<&ObservedNetwork> = draft
        .observed
        .networks
        .iter()
        .filter(|network| network.name == kept.name && network.id != kept.id && draft.owns(&network.labels))
        .collect();
    for double in doubles {
        let remove = Operation::RemoveNetwork { id: double.id.clone(), name: double.name.clone() };
        let after = draft.removed.values().copied().collect();
        let step = draft.push(remove, "another network has its name", after, Vec::new());
        draft.networks.insert(key.clone(), step);
    }
}

/// Plans to stop the orphans that run on a network, for the Engine removes none that is in use, and they stay.
fn stop_orphans_on(
    draft: &mut Draft<'_>,
    network: &str,
    stopped: &mut IndexMap<String, StepId>,
) -> Vec<StepId> {
    let observed = draft.observed;
    let on_it = observed.containers.iter().filter(|container| {
        container.is_active() && container.networks.contains_key(network) && draft.owns(&container.labels)
    });
    let staying: Vec<&String> =
        on_it.map(|container| &container.name).filter(|name| !draft.removed.contains_key(*name)).collect();
    let mut stop = |name: &String| {
        let operation = Operation::StopContainer { container: name.clone(), grace: None };
        *stopped
            .entry(name.clone())
            .or_insert_with(|| draft.push(operation, "its network is made again", Vec::new(), Vec::new()))
    };
    staying.into_iter().map(&mut stop).collect()
}

/// Returns the network of that name, the project's own first: the Engine allows two networks of one name.
fn live<'a>(draft: &Draft<'a>, name: &str) -> Option<&'a ObservedNetwork> {
    let named = || draft.observed.networks.iter().filter(|network| network.name == name);
    named().find(|network| draft.owns(&network.labels)).or_else(|| named().next())
}
