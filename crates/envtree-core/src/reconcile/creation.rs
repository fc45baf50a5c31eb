//! The creation of a container: what it is made of, and what is there before it.

use indexmap::IndexMap;

use super::service::Wanted;
use super::{Draft, branch, joined, replaced, shared};
use crate::adopt::adopted_label;
use crate::anonymous::{Holder, is_anonymous};
use crate::isolate::is_within;
use crate::label;
use crate::name::{NetworkName, ServiceName, VolumeName};
use crate::observed::{ObservedVolume, number_of};
use crate::plan::{Await, NewContainer, Operation, StepId};
use crate::service::{Attachment, MountSource, Service};

/// Plans the creation of a container and its further networks; returns the steps that a start comes after.
pub(super) fn plan_container(
    draft: &mut Draft<'_>,
    name: &ServiceName,
    wanted: &Wanted<'_>,
    cause: &str,
) -> Vec<StepId> {
    let service = &*wanted.definition;
    let links = joined::links(draft.desired, service);
    let attachments: Vec<(String, Attachment)> = service
        .networks
        .iter()
        .map(|(key, attachment)| {
            let attachment = Attachment { links: links.clone(), ..with_own_name(name, attachment) };
            (engine_network(draft, key), attachment)
        })
        .collect();
    let container = new_container(draft, name, wanted, attachments.first().cloned());
    let mut after = steps_before_creation(draft, service, &container.name);
    after.extend(
        replaced::removals(draft, name).into_iter().filter(|step| !after.contains(step)).collect::<Vec<_>>(),
    );
    let awaits = if mounts_from_worktree(draft, service) { vec![Await::Checkout] } else { Vec::new() };
    let container_name = container.name.clone();
    let create = draft.push(Operation::CreateContainer(Box::new(container)), cause, after, awaits);
    draft.created.insert(container_name.clone(), create);
    let mut before_start = vec![create];
    let files = joined::files(service);
    if !files.is_empty() {
        let put = Operation::PutFiles { container: container_name.clone(), files };
        before_start.push(draft.push(put, "the service is given them", vec![create], Vec::new()));
    }
    // Engines below API 1.44 attach a new container to one network only.
    let further = attachments.into_iter().skip(1).map(|joins| (joins, "the service is on several networks"));
    let rejoined = shared::rejoined(draft, name, service);
    let rejoined = rejoined.into_iter().map(|joins| (joins, "an environment uses it"));
    for ((network, attachment), cause) in further.chain(rejoined) {
        let connect = Operation::ConnectNetwork { container: container_name.clone(), network, attachment };
        before_start.push(draft.push(connect, cause, vec![create], Vec::new()));
    }
    before_start
}

fn new_container(
    draft: &Draft<'_>,
    name: &ServiceName,
    wanted: &Wanted<'_>,
    network: Option<(String, Attachment)>,
) -> NewContainer {
    let service = &*wanted.definition;
    let inherited_volumes = inherited_volumes(draft, name, service);
    let volume_names: IndexMap<VolumeName, String> = service
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { volume: Some(key), .. } => Some(key),
            _ => None,
        })
        .map(|key| {
            let fixed = draft.desired.volumes.get(key).and_then(|volume| volume.name.clone());
            (key.clone(), fixed.unwrap_or_else(|| key.to_string()))
        })
        .collect();
    let image_volumes = draft.observed.images.get(&service.image).map(|image| image.volumes.clone());
    let mut definition = with_adopted(draft, joined::resolved(draft.desired, service), &volume_names);
    definition.volumes_from.extend(branch::keepers(draft, name, &volume_names));
    NewContainer {
        name: wanted.name().to_owned(),
        service: name.clone(),
        definition,
        volume_names,
        network,
        inherited_volumes,
        image_volumes: image_volumes.unwrap_or_default(),
    }
}

/// Notes the volumes that were taken over from Docker Compose: they bear no label of envtree.
fn with_adopted(draft: &Draft<'_>, mut service: Service, volumes: &IndexMap<VolumeName, String>) -> Service {
    let is_adopted = |volume: &&ObservedVolume| {
        draft.owns(&volume.labels)
            && !volume.labels.contains_key(label::CONFIG_HASH)
            && volumes.values().any(|name| *name == volume.name)
    };
    let adopted = draft.observed.volumes.iter().filter(is_adopted);
    let adopted = adopted.map(|volume| (volume.name.clone(), volume.created.clone())).collect();
    let text = adopted_label(&adopted);
    if !text.is_empty() {
        service.labels.insert(label::ADOPTED.into(), text);
    }
    service
}

/// Returns the anonymous volumes, by target, of the old container, and of those that were taken over from Docker Compose,
/// where the new definition leaves the target to the image.
fn inherited_volumes(draft: &Draft<'_>, name: &ServiceName, service: &Service) -> IndexMap<String, String> {
    let is_named = |target: &str| {
        let mut memory = service.runtime.tmpfs.iter().filter_map(|line| line.split(':').next());
        memory.any(|path| path == target)
            || service.mounts.iter().any(|mount| mount.target == target && !is_anonymous_mount(&mount.source))
    };
    let prefix = Holder { service: name, number: number_of(&service.labels) }.key("");
    let volumes = draft.observed.volumes.iter().filter(|volume| draft.owns(&volume.labels));
    let adopted = volumes.filter_map(|volume| {
        let target = volume.labels.get(label::ANONYMOUS)?.strip_prefix(&prefix)?;
        Some((target, volume.name.as_str()))
    });
    let old = draft.container_of(service).into_iter().flat_map(|old| &old.volumes);
    adopted
        .chain(old.map(|(target, name)| (target.as_str(), name.as_str())))
        .filter(|(target, name)| is_anonymous(name) && !is_named(target))
        .map(|(target, name)| (target.to_owned(), name.to_owned()))
        .collect()
}

fn is_anonymous_mount(source: &MountSource) -> bool {
    matches!(source, MountSource::Volume { volume: None, .. })
}

fn steps_before_creation(draft: &Draft<'_>, service: &Service, container: &str) -> Vec<StepId> {
    let mut after: Vec<StepId> = Vec::new();
    after.extend(draft.pulls.get(&service.image));
    after.extend(service.mounted_images().filter_map(|image| draft.pulls.get(image)));
    after.extend(draft.removed.get(container));
    after.extend(service.networks.keys().filter_map(|key| draft.networks.get(key)));
    let used = service.joined_services().map(|name| joined::container(draft.desired, name));
    after.extend(used.filter_map(|name| draft.created.get(&name)));
    for mount in &service.mounts {
        if let MountSource::Volume { volume: Some(key), .. } = &mount.source {
            after.extend(draft.volumes.get(key));
        }
    }
    after.extend(&draft.unnamed);
    after
}

fn mounts_from_worktree(draft: &Draft<'_>, service: &Service) -> bool {
    let worktree = &draft.options.worktree;
    service.host_paths().any(|path| is_within(path, worktree) || is_within(worktree, path))
}

pub(super) fn engine_network(draft: &Draft<'_>, key: &NetworkName) -> String {
    let fixed = draft.desired.networks.get(key).and_then(|network| network.name.clone());
    fixed.unwrap_or_else(|| key.to_string())
}

pub(super) fn with_own_name(service: &ServiceName, attachment: &Attachment) -> Attachment {
    let mut attachment = attachment.clone();
    if !attachment.nameless && !attachment.aliases.iter().any(|alias| alias == service.as_str()) {
        attachment.aliases.insert(0, service.to_string());
    }
    attachment
}
