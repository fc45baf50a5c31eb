//! Copies of data: branches where the Engine mounts no overlays, and bases and snapshots that lie on many layers.
//!
//! A copy is whole once its folder is there: until then it grows under another name.

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::base::Base;
use super::{COPY_SUFFIX, Layer, UPPER, WORK};
use crate::config_hash::hex;
use crate::label;
use crate::plan::NewCopy;

/// How many layers a branch may lie on.
const MOST_LAYERS: usize = 30;

/// How many bytes the names of these layers may have together: the kernel has a page for all options of a mount.
const LONGEST_LAYERS: usize = 3_000;

/// What the container runs with the folder that is copied. Not every `cp` knows how to share blocks, and not every `sync`
/// how to write out one file system.
const COMMAND: &str = "\
set -e
[ ! -d /to/u ] || exit 0
copy() { rm -rf /to/w; cp -a \"$@\" /to/w; }
copy --reflink=auto \"$0\" 2>/dev/null || copy \"$0\" || { rm -rf /to/w; exit 1; }
sync -f /to/w 2>/dev/null || sync
mv /to/w /to/u";

impl Base {
    /// Returns whether one of its volumes lies on so many layers that branches are better made of a copy.
    pub fn is_deep(&self) -> bool {
        self.volumes.iter().any(|volume| {
            let layers = || [&volume.layer].into_iter().chain(&volume.below);
            let length: usize = layers().map(|layer| layer.path().len() + 1).sum();
            layers().count() > MOST_LAYERS || length > LONGEST_LAYERS
        })
    }

    /// Returns whether one of its volumes lies on another layer than its own.
    pub fn is_layered(&self) -> bool {
        self.volumes.iter().any(|volume| !volume.below.is_empty())
    }

    /// Returns the key of its copy.
    pub fn key_of_copy(&self) -> String {
        hex(&Sha256::digest(format!("copy {}", self.key)))
    }
}

impl NewCopy {
    /// Returns what copies a layer into the volume `to`, with the `sh` and `cp` of `image`; all of it bears `labels`.
    pub fn new(layer: &Layer, to: &str, image: &str, labels: &IndexMap<String, String>) -> Self {
        Self {
            container: format!("{to}{COPY_SUFFIX}"),
            image: image.to_owned(),
            from: layer.volume.clone(),
            folder: layer.folder.clone(),
            to: to.to_owned(),
            labels: labels.clone(),
        }
    }

    /// Returns the volume that begins with the copy, as people know it.
    pub fn fills(&self) -> &str {
        self.labels.get(label::BRANCH).unwrap_or(&self.to)
    }

    /// Returns where the container mounts the volume that is read, and the one that is filled.
    pub fn targets(&self) -> [(&'static str, &str); 2] {
        [("/from", &self.from), ("/to", &self.to)]
    }

    /// Returns what the container runs.
    pub fn command(&self) -> Vec<String> {
        debug_assert_eq!((UPPER, WORK), ("u", "w"), "the command names them");
        let from = if self.folder.is_empty() { "/from".to_owned() } else { format!("/from/{}", self.folder) };
        vec!["sh".to_owned(), "-c".to_owned(), COMMAND.to_owned(), from]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::base::BaseVolume;
    use crate::name::VolumeName;
    use crate::plan::Owner;
    use crate::project::Volume;

    fn on(layers: usize, name: &str) -> Base {
        let layer = |number: usize| {
            let volume = format!("{name}.{number}.upper");
            Layer { mountpoint: format!("/v/{volume}/_data"), volume, folder: "u".into() }
        };
        Base {
            key: "ab".repeat(32),
            repository: "shop".into(),
            is_seeded: true,
            made: 1,
            others: Vec::new(),
            snapshot: None,
            lineage: None,
            copy_of: None,
            is_raw: false,
            volumes: vec![BaseVolume {
                service: "db".into(),
                target: "/data".into(),
                layer: layer(0),
                below: (1..layers).map(layer).collect(),
                on: None,
                owner: Owner { uid: 999, gid: 0, mode: 0o700 },
            }],
        }
    }

    #[test]
    fn many_layers_and_long_names_are_deep() {
        assert!(!on(1, "db").is_deep() && !on(MOST_LAYERS, "db").is_deep());
        assert!(on(MOST_LAYERS + 1, "db").is_deep());
        assert!(on(MOST_LAYERS, &"d".repeat(100)).is_deep() && !on(5, &"d".repeat(100)).is_deep());
    }

    #[test]
    fn what_is_not_deep_can_be_mounted_below_a_branch_of_a_long_name() {
        let base = on(MOST_LAYERS, &"d".repeat(60));
        assert!(!base.is_deep());
        let name = "e".repeat(200);
        let branch = crate::branch::Branch {
            volume: Volume { name: Some(name.clone()), ..Volume::default() },
            key: VolumeName::new(name).unwrap(),
            ground: base.ground("db", "/data").unwrap(),
        };
        let options = &branch.definition().unwrap().driver_opts["o"];
        assert!(options.len() < 4_000, "{}", options.len());
    }

    #[test]
    fn a_copy_reads_the_folder_of_a_layer_and_fills_another_volume() {
        let base = on(1, "x");
        let copy = NewCopy::new(&base.volumes[0].layer, "b", "postgres:17", &IndexMap::new());
        assert_eq!(copy.container, "b.copy");
        assert_eq!(copy.targets(), [("/from", "x.0.upper"), ("/to", "b")]);
        assert_eq!(copy.command().last().unwrap(), "/from/u");
        let whole = NewCopy::new(&Layer::of_volume("x", "/v/x"), "b", "postgres:17", &IndexMap::new());
        assert_eq!(whole.command().last().unwrap(), "/from");
        assert_ne!(base.key_of_copy(), base.key);
        assert!(!base.is_layered() && on(2, "x").is_layered());
    }
}
