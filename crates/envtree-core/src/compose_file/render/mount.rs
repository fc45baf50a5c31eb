//! Mounts.

use serde_json::Value;

use super::settings::{Settings, bytes, text};
use crate::name::VolumeName;
use crate::service::{BindOptions, Mount, MountSource, VolumeOptions};

pub(super) fn mount(mount: &Mount) -> Value {
    let idle = &mount.idle;
    let (mut bind, mut volume) = (bind_options(&idle.bind), volume_options(&idle.volume));
    let (mut tmpfs, mut image) = (tmpfs_options(idle.tmpfs.size, idle.tmpfs.mode), Settings::default());
    let (kind, source) = match &mount.source {
        MountSource::Volume { volume: name, options } => {
            volume = volume_options(options);
            bind.some("selinux", options.selinux.clone());
            ("volume", name.as_ref().map(VolumeName::as_str))
        }
        MountSource::Bind { path, options } => {
            bind = bind_options(options);
            ("bind", Some(path.as_str()))
        }
        MountSource::Tmpfs { size, mode } => {
            tmpfs = tmpfs_options(*size, *mode);
            ("tmpfs", None)
        }
        MountSource::Image { image: reference, subpath } => {
            image.some("subpath", subpath.clone());
            ("image", Some(reference.as_str()))
        }
    };
    let mut settings = Settings::default();
    settings.set("type", kind);
    settings.some("source", idle.source.as_deref().or(source));
    settings.set("target", mount.target.clone());
    settings.on("read_only", mount.read_only);
    settings.some("consistency", idle.consistency.clone());
    tmpfs.as_written(&idle.tmpfs.as_written);
    for (kind, options) in [("bind", bind), ("volume", volume), ("tmpfs", tmpfs), ("image", image)] {
        settings.inner(kind, options);
    }
    settings.as_written(&idle.as_written);
    settings.into()
}

fn bind_options(options: &BindOptions) -> Settings {
    let mut settings = Settings::default();
    settings.on("create_host_path", options.create_host_path == Some(true));
    settings.some("propagation", options.propagation.clone());
    settings.some("selinux", options.selinux.clone());
    settings.some("recursive", options.recursive.clone());
    settings
}

fn volume_options(options: &VolumeOptions) -> Settings {
    let mut settings = Settings::default();
    settings.on("nocopy", options.nocopy);
    settings.some("subpath", options.subpath.clone());
    settings.mapping("labels", &options.labels, text);
    settings
}

fn tmpfs_options(size: Option<i64>, mode: Option<u32>) -> Settings {
    let mut settings = Settings::default();
    settings.some("size", size.map(bytes));
    settings.some("mode", mode);
    settings
}
