//! Containers that make way: those that Docker Compose made under other names than envtree gives, those of services that
//! are shared now, and those of commands that have ended.
//!
//! Left running, the first would work on the same volumes as the containers that take their place, and the second would
//! answer beside the shared ones.

use super::Draft;
use crate::label;
use crate::name::ServiceName;
use crate::observed::ObservedContainer;
use crate::one_off::Ended;
use crate::plan::StepId;
use crate::service::Service;

/// Plans the removal of adopted containers that run a service of the project under another name, and of the own ones of
/// what is shared.
pub(super) fn plan_replaced(draft: &mut Draft<'_>) {
    let replaced: Vec<&ObservedContainer> =
        draft.observed.containers.iter().filter(|container| is_replaced(draft, container)).collect();
    for container in replaced {
        if draft.removed.contains_key(&container.name) {
            continue;
        }
        draft.remove_container(container, "another container takes its place", false, Vec::new());
    }
}

/// Plans the removal of containers of `run` that nobody removes any more: whoever ran them was ended before them.
pub(super) fn plan_abandoned(draft: &mut Draft<'_>) {
    let is_abandoned = |container: &&ObservedContainer| {
        draft.owns(&container.labels)
            && draft.is_of_project(&container.labels)
            && !container.is_active()
            && matches!(Ended::of_labels(&container.labels), Some(Ended::Removed | Ended::RemovedByEngine))
    };
    let abandoned: Vec<&ObservedContainer> = draft.observed.containers.iter().filter(is_abandoned).collect();
    for container in abandoned {
        draft.remove_container(container, "the command that it was made for has ended", true, Vec::new());
    }
}

/// Returns the removals of the containers that a container of `service` takes the place of.
pub(super) fn removals(draft: &Draft<'_>, service: &ServiceName) -> Vec<StepId> {
    let is_replaced = |container: &&ObservedContainer| {
        container.service() == Some(service.as_str()) && is_replaced(draft, container)
    };
    let replaced = draft.observed.containers.iter().filter(is_replaced);
    replaced.filter_map(|container| draft.removed.get(&container.name).copied()).collect()
}

fn is_replaced(draft: &Draft<'_>, container: &ObservedContainer) -> bool {
    let name = container.service();
    if name.is_some_and(|name| draft.desired.shared.contains_key(name)) {
        return draft.is_own(container);
    }
    let service = name.and_then(|name| draft.desired.services.get(name));
    let is_its = |service: &Service| service.container_names().any(|name| name == container.name);
    draft.is_own(container)
        // What envtree made itself has another name only where it belongs to no service any more.
        && !container.labels.contains_key(label::CONFIG_HASH)
        && service.is_some_and(|service| !is_its(service))
}
