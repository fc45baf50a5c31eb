//! Volumes: made when missing; a diverged one is kept, and made again only with consent.

use std::collections::BTreeSet;

use super::{Draft, ReconcileError, branch, not_owned};
use crate::label;
use crate::name::VolumeName;
use crate::plan::{Operation, StepId};

/// Returns the volumes that are to be made again, and asks for consent where it was not given.
pub(super) fn diverged(draft: &mut Draft<'_>) -> Result<BTreeSet<VolumeName>, ReconcileError> {
    let mut diverged = BTreeSet::new();
    for (key, volume) in &draft.desired.volumes {
        let name = volume.name.as_deref().unwrap_or(key);
        let found = draft.observed.volumes.iter().find(|found| found.name == name);
        match found {
            None if volume.external => {
                return Err(ReconcileError::ExternalVolumeMissing { key: key.clone(), name: name.into() });
            }
            Some(_) if volume.external => {}
            Some(found) if !draft.owns(&found.labels) => {
                return Err(not_owned("volume", name, &found.labels));
            }
            // What was taken over from Docker Compose tells nothing of its definition, and is kept as it is.
            Some(found) if !found.labels.contains_key(label::CONFIG_HASH) => {}
            Some(found) if found.labels.get(label::CONFIG_HASH) != volume.labels.get(label::CONFIG_HASH) => {
                if draft.options.recreate_volumes {
                    diverged.insert(key.clone());
                } else {
                    draft.plan.warnings.push(format!(
                        "the definition of volume `{key}` changed; `{name}` is kept as it is, with its data, unless `--yes` has it made again"
                    ));
                    draft
                        .plan
                        .confirmations
                        .push(format!("remove volume `{name}` and its data, and make it again"));
                }
            }
            _ => {}
        }
    }
    Ok(diverged)
}

/// Plans the volumes; a diverged one goes after the containers that refer to it.
pub(super) fn plan_volumes(draft: &mut Draft<'_>, diverged: &BTreeSet<VolumeName>) {
    for (key, volume) in &draft.desired.volumes {
        let name = volume.name.as_deref().unwrap_or(key);
        let exists = draft.observed.volumes.iter().any(|found| found.name == name);
        let mut after: Vec<StepId> = Vec::new();
        if exists && !diverged.contains(key) {
            continue;
        }
        let cause = if exists { "its definition changed" } else { "it does not exist" };
        if exists {
            // The Engine frees a volume only when no container refers to it, stopped ones included,
            // so the containers go first and are created again once the new volume exists.
            after = draft.removed.values().copied().collect();
            let remove = Operation::RemoveVolume { name: name.to_owned() };
            after = vec![draft.push(remove, cause, after, Vec::new())];
            after = branch::plan_removal(draft, name, cause, after);
        }
        let step = if let Some(branch) = branch::wanted(draft, key, volume, exists) {
            branch::plan_branch(draft, &branch, after)
        } else {
            let create = Operation::CreateVolume { key: key.clone(), volume: volume.clone() };
            draft.push(create, cause, after, Vec::new())
        };
        draft.volumes.insert(key.clone(), step);
    }
}
