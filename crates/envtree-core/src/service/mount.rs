//! What a container mounts.

use indexmap::IndexMap;
use serde::Serialize;

use super::{AsWritten, Service};
use crate::name::VolumeName;

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The absolute path inside the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
    /// What is mounted.
    #[serde(flatten)]
    pub source: MountSource,
    /// What the file says of it besides.
    #[serde(skip)]
    pub idle: IdleSettings,
}

impl Mount {
    /// Returns a mount that the container may write to.
    pub fn new(target: impl Into<String>, source: MountSource) -> Self {
        Self { target: target.into(), read_only: false, source, idle: IdleSettings::default() }
    }
}

/// Settings of a mount that change nothing about it, and are shown where the file's own words are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdleSettings {
    /// The source as it is written, if it is not the one that is mounted: a path with `..`, or a name beside memory.
    pub source: Option<String>,
    /// How alike both sides are kept, which no Engine heeds any longer.
    pub consistency: Option<String>,
    /// Options of another type of mount.
    pub bind: BindOptions,
    /// Options of another type of mount.
    pub volume: VolumeOptions,
    /// Options of another type of mount.
    pub tmpfs: TmpfsOptions,
    /// What of the mount the Engine is not given as it is written.
    pub as_written: AsWritten,
}

/// How memory is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TmpfsOptions {
    /// The largest size in bytes.
    pub size: Option<i64>,
    /// The mode of the folder, such as `0o1777`.
    pub mode: Option<u32>,
    /// What of it the Engine is not given as it is written.
    pub as_written: AsWritten,
}

/// What a mount brings into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountSource {
    /// A volume.
    Volume {
        /// The key under `volumes:`; absent for an anonymous volume.
        volume: Option<VolumeName>,
        /// How it is mounted.
        #[serde(flatten)]
        options: VolumeOptions,
    },
    /// A file or folder of the host.
    Bind {
        /// The absolute path on the host.
        path: String,
        /// How it is mounted.
        #[serde(flatten)]
        options: BindOptions,
    },
    /// Memory.
    Tmpfs {
        /// The largest size in bytes.
        size: Option<i64>,
        /// The mode of the folder, such as `0o1777`.
        mode: Option<u32>,
    },
    /// The files of an image.
    Image {
        /// The reference of the image.
        image: String,
        /// The folder of the image that is mounted, relative; all of it if absent.
        subpath: Option<String>,
    },
}

impl MountSource {
    /// Returns a volume that is mounted plainly.
    pub fn volume(volume: Option<VolumeName>) -> Self {
        Self::Volume { volume, options: VolumeOptions::default() }
    }

    /// Returns a path of the host that is mounted plainly, and made if it is missing.
    pub fn bind(path: impl Into<String>) -> Self {
        let options = BindOptions { create_host_path: Some(true), ..BindOptions::default() };
        Self::Bind { path: path.into(), options }
    }
}

/// How a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VolumeOptions {
    /// Whether the image's content at the target is left out of a fresh volume.
    pub nocopy: bool,
    /// The folder of the volume that is mounted, relative; all of it if absent.
    pub subpath: Option<String>,
    /// Labels of an anonymous volume.
    pub labels: IndexMap<String, String>,
    /// How `SELinux` labels a named volume: `z` for several containers, `Z` for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
}

/// How a path of the host is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BindOptions {
    /// Whether a missing path is made, as a folder; absent means it is.
    pub create_host_path: Option<bool>,
    /// How mounts propagate, in the Engine's words.
    pub propagation: Option<String>,
    /// How `SELinux` labels the path: `z` for several containers, `Z` for this one.
    pub selinux: Option<String>,
    /// Whether mounts below the path come along: `enabled`, `disabled`, `writable` or `readonly`.
    pub recursive: Option<String>,
}

impl BindOptions {
    /// Returns whether a missing path is made.
    pub fn makes_path(&self) -> bool {
        self.create_host_path.unwrap_or(true)
    }
}

impl Service {
    /// Returns the images that it mounts.
    pub fn mounted_images(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Image { image, .. } => Some(image.as_str()),
            _ => None,
        })
    }
}
