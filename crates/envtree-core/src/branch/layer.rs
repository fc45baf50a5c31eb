//! A layer: data on which branches lie.

use serde::{Deserialize, Serialize};

use super::UPPER;
use crate::observed::ObservedVolume;

/// Data that never changes any more, on the Engine's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The volume that holds it.
    pub volume: String,
    /// The volume's folder.
    pub mountpoint: String,
    /// The folder within it that the data lies in; empty if that is the volume's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
}

impl Layer {
    /// Returns the layer that is a volume as a whole.
    pub fn of_volume(name: &str, mountpoint: &str) -> Self {
        Self { volume: name.to_owned(), mountpoint: mountpoint.to_owned(), folder: String::new() }
    }

    /// Returns the layer that an upper volume becomes once nothing changes it any more.
    pub fn of_upper(upper: &ObservedVolume) -> Self {
        Self { volume: upper.name.clone(), mountpoint: upper.mountpoint.clone(), folder: UPPER.to_owned() }
    }

    /// Returns where the data lies.
    pub(super) fn path(&self) -> String {
        if self.folder.is_empty() {
            self.mountpoint.clone()
        } else {
            format!("{}/{}", self.mountpoint, self.folder)
        }
    }

    /// Returns the folder of the volume `name` of the same driver: all of them lie side by side.
    pub(super) fn beside(&self, name: &str) -> Option<String> {
        let (before, after) = self.mountpoint.rsplit_once(&format!("/{}/", self.volume))?;
        Some(format!("{before}/{name}/{after}"))
    }
}
