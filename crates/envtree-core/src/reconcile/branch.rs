//! Branches: a volume that is missing begins as one where a base is ready for it.
//!
//! The volume itself is made last. So its existence says that all is there that it is mounted from, and what an
//! interrupted command left is completed.

use indexmap::IndexMap;

use super::Draft;
use crate::branch::{Branch, Ground, keeper_name, keeper_of, upper_name};
use crate::label;
use crate::name::{ServiceName, VolumeName};
use crate::observed::ObservedVolume;
use crate::plan::{Operation, StepId};
use crate::project::Volume;

/// Returns the branch that a volume begins as, if it does.
///
/// Changes that are there already belong to what they were made on, and to nothing else. They are gone if the volume is
/// made again.
pub(super) fn wanted(draft: &Draft<'_>, key: &VolumeName, volume: &Volume, is_again: bool) -> Option<Branch> {
    let name = volume.name.as_deref().unwrap_or(key);
    let upper = upper_of(draft, name).filter(|_| !is_again);
    if let Some(ground) = upper.and_then(Ground::of_upper) {
        return Some(Branch { volume: volume.clone(), key: key.clone(), ground });
    }
    draft.options.branches.get(name).cloned()
}

/// Plans what a branch is mounted from, and then the branch; returns the step that makes it.
pub(super) fn plan_branch(draft: &mut Draft<'_>, branch: &Branch, after: Vec<StepId>) -> StepId {
    let is_new = !after.is_empty();
    let mut before = after;
    if is_new || upper_of(draft, branch.name()).is_none() {
        let upper = Operation::CreateVolume { key: branch.key.clone(), volume: branch.upper() };
        before = vec![draft.push(upper, "a branch keeps its changes in it", before, Vec::new())];
    }
    let keeper = branch.keeper();
    let container = keeper.name.clone();
    if is_new || !is_kept(draft, &container) {
        let create = Operation::CreateKeeper(Box::new(keeper));
        before = vec![draft.push(create, "it keeps a branch from being pruned", before, Vec::new())];
    }
    let put = Operation::PutDirectories { container, directories: branch.directories() };
    let put = draft.push(put, "the branch is mounted from them", before, Vec::new());
    let volume = branch.definition().unwrap_or_else(|| branch.volume.clone());
    let create = Operation::CreateVolume { key: branch.key.clone(), volume };
    draft.push(create, "it begins as a branch of its base", vec![put], Vec::new())
}

/// Plans the branches of volumes that the file does not name.
pub(super) fn plan_unnamed(draft: &mut Draft<'_>) {
    let options = draft.options;
    let is_named =
        |name: &str| draft.desired.volumes.values().any(|volume| volume.name.as_deref() == Some(name));
    let exists = |name: &str| draft.observed.volumes.iter().any(|found| found.name == *name);
    let missing = options.branches.iter().filter(|(name, _)| !is_named(name) && !exists(name));
    for (_, branch) in missing.collect::<Vec<_>>() {
        let step = plan_branch(draft, branch, Vec::new());
        draft.unnamed.push(step);
    }
}

/// Plans keepers for branches that lost theirs, as a clean-up of stopped containers takes them.
pub(super) fn plan_keepers(draft: &mut Draft<'_>) {
    let is_there = |upper: &&ObservedVolume| {
        draft.owns(&upper.labels)
            && draft.observed.volumes.iter().any(|volume| upper_name(&volume.name) == upper.name)
    };
    let uppers = draft.observed.uppers.iter().filter(is_there);
    let lost = uppers.filter_map(keeper_of).filter(|keeper| !is_kept(draft, &keeper.name));
    for keeper in lost.collect::<Vec<_>>() {
        let create = Operation::CreateKeeper(Box::new(keeper));
        let step = draft.push(create, "it keeps a branch from being pruned", Vec::new(), Vec::new());
        draft.unnamed.push(step);
    }
}

/// Returns the keepers whose volumes a container of the service is given, to read: so it keeps them itself, running or
/// stopped, when somebody removes the keepers.
///
/// `volumes` are those that the service mounts by name.
pub(super) fn keepers(
    draft: &Draft<'_>,
    service: &ServiceName,
    volumes: &IndexMap<VolumeName, String>,
) -> Vec<String> {
    let begun = draft.observed.uppers.iter().filter(|upper| draft.owns(&upper.labels));
    let begun = begun.filter_map(|upper| Some((upper.labels.get(label::BRANCH)?, &upper.labels)));
    let new = draft.options.branches.iter().map(|(name, branch)| (name, &branch.volume.labels));
    let is_its = |(name, labels): &(&String, &IndexMap<String, String>)| {
        let holder = labels.get(label::ANONYMOUS).and_then(|holder| holder.split(':').next());
        holder == Some(service.as_str()) || volumes.values().any(|volume| volume == *name)
    };
    let mut keepers: Vec<String> =
        begun.chain(new).filter(is_its).map(|(name, _)| format!("{}:ro", keeper_name(name))).collect();
    keepers.sort();
    keepers.dedup();
    keepers
}

/// Plans the removal of what a volume was mounted from that is made again; returns the steps after which that is done.
pub(super) fn plan_removal(
    draft: &mut Draft<'_>,
    volume: &str,
    cause: &str,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let Some(upper) = upper_of(draft, volume).map(|upper| upper.name.clone()) else {
        return after;
    };
    let mut after = after;
    let container = keeper_name(volume);
    if is_kept(draft, &container) {
        let remove = Operation::RemoveContainer { container, volumes: false };
        after = vec![draft.push(remove, cause, after, Vec::new())];
    }
    vec![draft.push(Operation::RemoveVolume { name: upper }, cause, after, Vec::new())]
}

fn upper_of<'a>(draft: &Draft<'a>, volume: &str) -> Option<&'a ObservedVolume> {
    let name = upper_name(volume);
    draft.observed.uppers.iter().find(|upper| upper.name == name && draft.owns(&upper.labels))
}

fn is_kept(draft: &Draft<'_>, keeper: &str) -> bool {
    draft.observed.keepers.iter().any(|container| container.name == keeper)
}
