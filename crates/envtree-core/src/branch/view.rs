//! What is mounted to read the data of a base or snapshot as a whole.

use indexmap::IndexMap;

use super::base::BaseVolume;
use super::{Layer, bound};
use crate::project::Volume;

/// What is mounted to read the data of one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The volume of that name: there is no other layer.
    Plain(String),
    /// A volume that is to be made, of all layers, or of the folder that is the only one; nothing changes it.
    Merged(Box<Volume>),
}

impl View {
    /// Returns the view of a volume; one that is to be made has this name and these labels. Absent where the Engine does
    /// not tell where the layers lie, or where the place cannot be written as an option.
    pub fn of(volume: &BaseVolume, name: &str, labels: &IndexMap<String, String>) -> Option<Self> {
        if volume.below.is_empty() && volume.layer.folder.is_empty() {
            return Some(Self::Plain(volume.layer.volume.clone()));
        }
        let layers = [&volume.layer].into_iter().chain(&volume.below);
        // The kernel reads `,` as the end of an option, and `:` as that of a layer.
        let cannot_be_told =
            |layer: &Layer| layer.mountpoint.is_empty() || layer.path().contains([',', ':', '\\']);
        if layers.clone().any(cannot_be_told) {
            return None;
        }
        let driver_opts = if volume.below.is_empty() {
            bound(&volume.layer.path())
        } else {
            let layers: Vec<String> = layers.map(Layer::path).collect();
            let lower = format!("lowerdir={}", layers.join(":"));
            let options = [("type", "overlay"), ("device", "overlay"), ("o", &lower)];
            options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        };
        Some(Self::Merged(Box::new(Volume {
            name: Some(name.to_owned()),
            driver_opts,
            labels: labels.clone(),
            ..Volume::default()
        })))
    }

    /// Returns the Engine's name of what is mounted.
    pub fn name(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Merged(volume) => volume.name.as_deref().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Owner;

    fn volume(layer: Layer, below: &[Layer]) -> BaseVolume {
        BaseVolume {
            service: "db".into(),
            target: "/data".into(),
            layer,
            below: below.to_vec(),
            on: None,
            owner: Owner { uid: 0, gid: 0, mode: 0o700 },
        }
    }

    fn upper(mountpoint: &str) -> Layer {
        Layer { folder: "u".into(), ..Layer::of_volume("a.upper", mountpoint) }
    }

    #[test]
    fn the_nearest_layer_is_the_first_option() {
        let base = Layer::of_volume("base", "/v/base/_data");
        let view = |volume| View::of(&volume, "x", &IndexMap::new());
        assert_eq!(view(volume(base.clone(), &[])), Some(View::Plain("base".into())));
        let Some(View::Merged(merged)) = view(volume(upper("/v/a.upper/_data"), &[base])) else {
            panic!("it has two layers");
        };
        assert_eq!(merged.driver_opts["o"], "lowerdir=/v/a.upper/_data/u:/v/base/_data");
        // The kernel mounts no overlay of a single layer.
        let Some(View::Merged(alone)) = view(volume(upper("/v/a.upper/_data"), &[])) else {
            panic!("its data lies in a folder");
        };
        assert_eq!(alone.driver_opts["device"], "/v/a.upper/_data/u");
    }

    #[test]
    fn a_layer_that_cannot_be_told_is_none() {
        for mountpoint in ["", "/v:w/base", "/v,w/base"] {
            let below = Layer::of_volume("base", mountpoint);
            assert_eq!(View::of(&volume(upper("/v/u"), &[below]), "x", &IndexMap::new()), None);
        }
    }
}
