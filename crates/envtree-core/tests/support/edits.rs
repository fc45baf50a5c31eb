//! Arbitrary changes of what Compose files say.

use envtree_core::name::{NetworkName, ServiceName, VolumeName};
use envtree_core::project::{Network, Project, Volume};
use envtree_core::service::{Mount, MountSource, Service};
use indexmap::IndexMap;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A change of what the files say.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Variable(Index, String),
    Image(Index, &'static str),
    RemoveService(Index),
    AddService(Index),
    JoinNetwork(Index, Index),
    LeaveNetwork(Index),
    Internal(Index),
    Scale(Index, u32),
    AddNetwork,
    RemoveNetwork(Index),
    AddVolume(Index),
    DivergeVolume(Index),
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let index = any::<Index>;
    let edit = prop_oneof![
        (index(), "[a-z]{0,2}").prop_map(|(at, value)| Edit::Variable(at, value)),
        (index(), prop::sample::select(&["redis:9", "shop-web:2"][..]))
            .prop_map(|(at, to)| Edit::Image(at, to)),
        index().prop_map(Edit::RemoveService),
        index().prop_map(Edit::AddService),
        (index(), index()).prop_map(|(at, network)| Edit::JoinNetwork(at, network)),
        index().prop_map(Edit::LeaveNetwork),
        index().prop_map(Edit::Internal),
        (index(), 0u32..=3).prop_map(|(at, count)| Edit::Scale(at, count)),
        Just(Edit::AddNetwork),
        index().prop_map(Edit::RemoveNetwork),
        index().prop_map(Edit::AddVolume),
        index().prop_map(Edit::DivergeVolume),
    ];
    vec(edit, 1..=3)
}

fn chosen<K: Clone, V>(of: &IndexMap<K, V>, at: Index) -> Option<K> {
    (!of.is_empty()).then(|| of.keys()[at.index(of.len())].clone())
}

pub(crate) fn edit(project: &mut Project, edit: &Edit) {
    match edit {
        Edit::Internal(at) => {
            if let Some(key) = chosen(&project.networks, *at) {
                project.networks[&key].internal ^= true;
            }
        }
        Edit::AddNetwork => {
            project.networks.insert(NetworkName::new("added").expect("the key is valid"), Network::default());
        }
        Edit::RemoveNetwork(at) => {
            if let Some(key) = chosen(&project.networks, *at) {
                project.networks.shift_remove(&key);
                for service in project.services.values_mut() {
                    service.networks.shift_remove(&key);
                }
            }
        }
        Edit::DivergeVolume(at) => {
            if let Some(key) = chosen(&project.volumes, *at) {
                project.volumes[&key].driver_opts.insert("o".into(), "size=1g".into());
            }
        }
        Edit::Variable(at, _)
        | Edit::Image(at, _)
        | Edit::RemoveService(at)
        | Edit::AddService(at)
        | Edit::JoinNetwork(at, _)
        | Edit::LeaveNetwork(at)
        | Edit::Scale(at, _)
        | Edit::AddVolume(at) => {
            if let Some(name) = chosen(&project.services, *at) {
                edit_service(project, &name, edit);
            }
        }
    }
}

fn edit_service(project: &mut Project, name: &ServiceName, edit: &Edit) {
    let service = &mut project.services[name];
    match edit {
        Edit::Variable(_, value) => {
            service.environment.insert("CHANGED".into(), value.clone());
        }
        Edit::Image(_, image) => service.image = (*image).into(),
        Edit::RemoveService(_) => {
            project.services.shift_remove(name);
            for other in project.services.values_mut() {
                other.depends_on.shift_remove(name);
            }
        }
        Edit::AddService(_) => {
            let added = Service { ports: Vec::new(), ..service.clone() };
            project.services.insert(ServiceName::new("added").expect("the name is valid"), added);
        }
        Edit::JoinNetwork(_, to) => {
            if let Some(key) = chosen(&project.networks, *to) {
                service.networks.entry(key).or_default();
            }
        }
        Edit::LeaveNetwork(_) => {
            service.networks.pop();
        }
        Edit::Scale(_, count) => crate::projects::rescale(service, *count),
        Edit::AddVolume(_) => {
            let key = VolumeName::new("added").expect("the key is valid");
            project.volumes.insert(key.clone(), Volume::default());
            let source = MountSource::volume(Some(key));
            service.mounts.push(Mount::new("/added", source));
        }
        _ => unreachable!("the other edits are not of a service"),
    }
}
