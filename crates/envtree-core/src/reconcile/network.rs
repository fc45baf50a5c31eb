//! Networks: made when missing, made again when their definition diverged.

use std::collections::BTreeSet;

use super::{Draft, ReconcileError};
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
                return Err(ReconcileError::NotOwned { kind: "network", name: name.into() });
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
    for (key, network) in &draft.desired.networks {
        let name = network.name.as_deref().unwrap_or(key);
        let found = live(draft, name);
        let mut after: Vec<StepId> = Vec::new();
        let cause = match found {
            Some(found) if diverged.contains(key) => {
                after = draft.removed.values().copied().collect();
                let remove = Operation::RemoveNetwork { id: found.id.clone(), name: found.name.clone() };
                after = vec![draft.push(remove, "its definition changed", after, Vec::new())];
                "its definition changed"
            }
            Some(_) => continue,
            None => "it does not exist",
        };
        let create = Operation::CreateNetwork { key: key.clone(), network: network.clone() };
        let step = draft.push(create, cause, after, Vec::new());
        draft.networks.insert(key.clone(), step);
    }
}

/// Returns the network of that name, the project's own first: the Engine allows two networks of one name.
fn live<'a>(draft: &Draft<'a>, name: &str) -> Option<&'a ObservedNetwork> {
    let named = || draft.observed.networks.iter().filter(|network| network.name == name);
    named().find(|network| draft.owns(&network.labels)).or_else(|| named().next())
}
