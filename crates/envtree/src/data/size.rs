//! How many bytes volumes and branches hold, as far as the Engine tells.
//!
//! The Engine measures plain volumes, also those that branches are mounted from, and none that it mounts as an overlay.

use std::time::Duration;

use envtree_core::branch::base::Base;
use envtree_core::branch::{Ground, Layer};
use envtree_core::observed::ObservedVolume;
use indexmap::IndexMap;

use crate::session::Session;

/// The bytes that plain volumes hold, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct VolumeSizes(IndexMap<String, u64>);

impl VolumeSizes {
    /// Returns the bytes in a plain volume.
    pub(crate) fn of(&self, volume: &str) -> Option<u64> {
        self.0.get(volume).copied()
    }

    /// Returns the most bytes that can be seen through layers: a file counts in each of them that has it.
    pub(super) fn of_layers<'a>(&self, mut layers: impl Iterator<Item = &'a Layer>) -> Option<u64> {
        layers.try_fold(0_u64, |sum, layer| Some(sum.saturating_add(self.of(&layer.volume)?)))
    }

    /// Returns the bytes of a base's own layers.
    pub(crate) fn of_own(&self, base: &Base) -> Option<u64> {
        self.of_layers(base.volumes.iter().map(|volume| &volume.layer))
    }

    /// Returns the most bytes that can be seen in the branch whose changes are in `upper`.
    pub(crate) fn of_branch(&self, upper: &ObservedVolume) -> Option<u64> {
        let ground = Ground::of_upper(upper)?;
        let own = self.of(&upper.name)?;
        // What it is a copy of is not seen through it.
        if ground.copied.is_some() {
            return Some(own);
        }
        Some(self.of_layers(ground.layers())?.saturating_add(own))
    }
}

impl Session {
    /// Returns the sizes of all plain volumes, as far as the Engine tells within `patience`: it walks all of them, and
    /// some Engines tell none.
    pub(crate) async fn volume_sizes(&self, patience: Duration) -> VolumeSizes {
        let told = tokio::time::timeout(patience, self.docker.volume_sizes()).await;
        VolumeSizes(told.ok().and_then(Result::ok).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use envtree_core::label;
    use envtree_core::plan::Owner;

    use super::*;

    fn sizes(sizes: &[(&str, u64)]) -> VolumeSizes {
        VolumeSizes(sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect())
    }

    fn upper() -> ObservedVolume {
        let layer = |name: &str| Layer::of_volume(name, "/v");
        let owner = Owner { uid: 0, gid: 0, mode: 0o700 };
        let ground = Ground {
            below: vec![layer("base")],
            ..Ground::on_layer("key", layer("snapshot"), owner, vec!["other".into()])
        };
        ObservedVolume {
            name: "db.upper".into(),
            driver: "local".into(),
            created: String::new(),
            mountpoint: "/v".into(),
            labels: [(label::GROUND.to_owned(), serde_json::to_string(&ground).unwrap())].into(),
        }
    }

    #[test]
    fn a_branch_shows_at_most_its_own_and_all_layers_below() {
        let told = [("db.upper", 5), ("snapshot", 20), ("base", 100), ("other", 3_000)];
        assert_eq!(sizes(&told).of_branch(&upper()), Some(125));
    }

    #[test]
    fn what_the_engine_does_not_tell_is_not_made_up() {
        assert_eq!(sizes(&[("db.upper", 5), ("snapshot", 20)]).of_branch(&upper()), None);
        assert_eq!(sizes(&[("snapshot", 20), ("base", 100)]).of_branch(&upper()), None);
        assert_eq!(VolumeSizes::default().of("db.upper"), None);
    }
}
