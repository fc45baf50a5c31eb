//! Orphans: what bears the environment's labels and is wanted by nothing.

use super::{Draft, shared};
use crate::label;
use crate::observed::ObservedContainer;
use crate::plan::Operation;
use crate::service::Service;
use crate::shared::is_shared_project;

/// Reports the orphans, and plans the removal of containers and networks if the options consent.
///
/// An orphaned volume holds data: it is reported, and only `rm` and `down --volumes` remove it.
pub(super) fn plan_orphans(draft: &mut Draft<'_>) {
    // Whether another environment wants a shared service, the files of this one do not tell.
    if is_shared_project(&draft.desired.name) {
        return;
    }
    let containers: Vec<&ObservedContainer> =
        draft.observed.containers.iter().filter(|container| is_orphan(draft, container)).collect();
    if draft.options.remove_orphans {
        for container in containers {
            draft.remove_container(container, "no service wants it", true, Vec::new());
        }
        // A container that is made again may have been on a network that nothing wants any more.
        let removals: Vec<_> = draft.removed.values().copied().collect();
        for network in orphaned_networks(draft) {
            let (id, name) = network;
            let mut after = removals.clone();
            after.extend(shared::plan_leaving(draft, &name, "no service wants the network"));
            draft.push(Operation::RemoveNetwork { id, name }, "no service wants it", after, Vec::new());
        }
    } else {
        for container in containers {
            draft.plan.warnings.push(format!(
                "container `{}` belongs to no service any more; `--remove-orphans` removes it",
                container.name
            ));
            draft.plan.confirmations.push(format!("remove orphan container `{}`", container.name));
        }
    }
    for volume in &draft.observed.volumes {
        let wanted = |key: &str| draft.desired.volumes.contains_key(key);
        let key = volume.labels.get(label::COMPOSE_VOLUME);
        if draft.owns(&volume.labels)
            && draft.is_of_project(&volume.labels)
            && key.is_some_and(|key| !wanted(key))
        {
            draft.plan.warnings.push(format!(
                "volume `{}` is wanted by no service any more; it is kept with its data",
                volume.name
            ));
        }
    }
}

fn is_orphan(draft: &Draft<'_>, container: &ObservedContainer) -> bool {
    draft.is_own(container)
        && !draft.removed.contains_key(&container.name)
        && !container.service().is_some_and(|name| draft.options.inactive.iter().any(|other| other == name))
        && !draft
            .desired
            .services
            .values()
            .flat_map(Service::container_names)
            .any(|name| name == container.name)
}

fn orphaned_networks(draft: &Draft<'_>) -> Vec<(String, String)> {
    draft
        .observed
        .networks
        .iter()
        .filter(|network| draft.owns(&network.labels))
        .filter(|network| draft.is_of_project(&network.labels))
        .filter(|network| {
            network
                .labels
                .get(label::COMPOSE_NETWORK)
                .is_some_and(|key| !draft.desired.networks.contains_key(key.as_str()))
        })
        .map(|network| (network.id.clone(), network.name.clone()))
        .collect()
}
