//! What somebody does on the Engine by hand.

use envtree_core::observed::{ContainerState, ObservedImage, ObservedNetwork};
use envtree_core::simulate::SimulatedEngine;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Something done on the Engine by hand.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    RemoveContainer(Index),
    Stop(Index),
    Pause(Index),
    RemoveNetwork(Index),
    RemoveVolume(Index),
    RetagImage(Index),
}

pub(crate) fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        any::<Index>().prop_map(Deed::RemoveContainer),
        any::<Index>().prop_map(Deed::Stop),
        any::<Index>().prop_map(Deed::Pause),
        any::<Index>().prop_map(Deed::RemoveNetwork),
        any::<Index>().prop_map(Deed::RemoveVolume),
        any::<Index>().prop_map(Deed::RetagImage),
    ];
    vec(deed, 1..=5)
}

/// Does by hand what the Engine allows; the rest is not done.
pub(crate) fn act(engine: &mut SimulatedEngine, deed: &Deed) {
    let SimulatedEngine { state, .. } = engine;
    match deed {
        Deed::RemoveContainer(at) if !state.containers.is_empty() => {
            let removed = state.containers.remove(at.index(state.containers.len()));
            engine.published.shift_remove(&removed.name);
        }
        Deed::Stop(at) if !state.containers.is_empty() => {
            let count = state.containers.len();
            let container = &mut state.containers[at.index(count)];
            (container.state, container.status) = (ContainerState::Exited, "Exited (137) now".into());
        }
        Deed::Pause(at) if !state.containers.is_empty() => {
            let count = state.containers.len();
            let container = &mut state.containers[at.index(count)];
            if container.state == ContainerState::Running {
                container.state = ContainerState::Paused;
            }
        }
        Deed::RemoveNetwork(at) => {
            let own: Vec<ObservedNetwork> =
                state.networks.iter().filter(|n| !n.labels.is_empty()).cloned().collect();
            if own.is_empty() {
                return;
            }
            let ObservedNetwork { id, name, .. } = own[at.index(own.len())].clone();
            for container in state.containers.iter_mut().filter(|c| c.networks.contains_key(&name)) {
                container.state = ContainerState::Exited;
            }
            state.networks.retain(|network| network.id != id);
        }
        Deed::RemoveVolume(at) => {
            let own: Vec<String> = state
                .volumes
                .iter()
                .filter(|volume| !volume.labels.is_empty())
                .map(|volume| volume.name.clone())
                .collect();
            if own.is_empty() {
                return;
            }
            let name = &own[at.index(own.len())];
            state.containers.retain(|container| !container.volumes.values().any(|used| used == name));
            state.volumes.retain(|volume| volume.name != *name);
        }
        Deed::RetagImage(at) if !state.images.is_empty() => {
            let count = state.images.len();
            state.images[at.index(count)] =
                ObservedImage { id: "sha256:new".into(), ..ObservedImage::default() };
        }
        _ => {}
    }
}
