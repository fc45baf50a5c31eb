//! Branches: a volume that is missing begins as one where a base is ready for it.
//!
//! The volume itself is made last. So its existence says that all is there that it is mounted from, and what an
//! interrupted command left is completed.

use indexmap::IndexMap;

use super::Draft;
use crate::branch::{Branch, Ground, is_keeper, keeper_name, keeper_of, upper_of};
use crate::label;
use crate::name::{ServiceName, VolumeName};
use crate::observed::{ObservedContainer, ObservedVolume};
use crate::plan::{Operation, StepId};
use crate::project::Volume;
use crate::service::{Mount, MountSource, Service};

/// Returns the branch that a volume begins as, if it does.
///
/// Changes that are there already belong to what they were made on, and to nothing else. They are gone if the volume is
/// made again.
pub(super) fn wanted(draft: &Draft<'_>, key: &VolumeName, volume: &Volume, is_again: bool) -> Option<Branch> {
    let name = volume.name.as_deref().unwrap_or(key);
    let upper = own_upper(draft, name).filter(|_| !is_again);
    if let Some(ground) = upper.and_then(Ground::of_upper) {
        return Some(Branch { volume: volume.clone(), key: key.clone(), ground });
    }
    draft.options.branches.get(name).cloned()
}

/// Plans what a branch is mounted from, and then the branch; returns the step that makes it.
pub(super) fn plan_branch(draft: &mut Draft<'_>, branch: &Branch, after: Vec<StepId>) -> StepId {
    let is_new = !after.is_empty();
    let mut before = after;
    if is_new || own_upper(draft, branch.name()).is_none() {
        let upper = Operation::CreateVolume { key: branch.key.clone(), volume: branch.upper() };
        before = vec![draft.push(upper, "a branch keeps its changes in it", before, Vec::new())];
    }
    let keeper = branch.keeper();
    let container = keeper.name.clone();
    if is_new || !is_kept(draft, &container) {
        let create = Operation::CreateKeeper(Box::new(keeper));
        before = vec![draft.push(create, "it keeps a branch from being pruned", before, Vec::new())];
    }
    let image = image(draft, branch);
    let filled = if let Some(copy) = branch.copy(image) {
        before.extend(draft.pulls.get(image));
        draft.push(Operation::CopyLayer(Box::new(copy)), "it begins with a copy", before, Vec::new())
    } else {
        let put = Operation::PutDirectories { container, directories: branch.directories() };
        draft.push(put, "the branch is mounted from them", before, Vec::new())
    };
    let volume = branch.definition().unwrap_or_else(|| branch.volume.clone());
    let create = Operation::CreateVolume { key: branch.key.clone(), volume };
    draft.push(create, "it begins as a branch of its base", vec![filled], Vec::new())
}

/// Returns the image of a service that a branch belongs to: whatever writes the data, it can copy it.
fn image<'a>(draft: &Draft<'a>, branch: &Branch) -> &'a str {
    let holder = branch.volume.labels.get(label::ANONYMOUS).and_then(|holder| holder.split(':').next());
    let mounts_it = |mount: &Mount| match &mount.source {
        MountSource::Volume { volume, .. } => volume.as_ref() == Some(&branch.key),
        _ => false,
    };
    // The image of a service without containers may never come.
    let is_its = |(name, service): &(&ServiceName, &Service)| {
        service.replicas() > 0 && (holder == Some(name.as_str()) || service.mounts.iter().any(mounts_it))
    };
    let service = draft.desired.services.iter().find(is_its);
    service.map_or("", |(_, service)| service.image.as_str())
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
            && draft
                .observed
                .volumes
                .iter()
                .any(|volume| upper.labels.get(label::BRANCH) == Some(&volume.name))
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
    let Some(upper) = own_upper(draft, volume).map(|upper| upper.name.clone()) else {
        return after;
    };
    let mut after = after;
    let of_branch = |container: &&ObservedContainer| {
        container.labels.get(label::BRANCH).is_some_and(|branch| branch == volume)
    };
    for keeper in draft.observed.keepers.iter().filter(of_branch) {
        let (container, volumes) = (keeper.name.clone(), !is_keeper(&keeper.name));
        let remove = Operation::RemoveContainer { container, volumes };
        after = vec![draft.push(remove, cause, after, Vec::new())];
    }
    vec![draft.push(Operation::RemoveVolume { name: upper }, cause, after, Vec::new())]
}

fn own_upper<'a>(draft: &Draft<'a>, volume: &str) -> Option<&'a ObservedVolume> {
    upper_of(&draft.observed.uppers, volume).filter(|upper| draft.owns(&upper.labels))
}

fn is_kept(draft: &Draft<'_>, keeper: &str) -> bool {
    draft.observed.keepers.iter().any(|container| container.name == keeper)
}
