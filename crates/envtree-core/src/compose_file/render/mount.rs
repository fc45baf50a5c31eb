//! Mounts.

use serde_json::Value;

use super::settings::{Settings, bytes, text};
use crate::name::VolumeName;
use crate::service::{Mount, MountSource};

pub(super) fn mount(mount: &Mount) -> Value {
    let (mut settings, mut inner, mut bind) = (Settings::default(), Settings::default(), Settings::default());
    let (kind, source) = match &mount.source {
        MountSource::Volume { volume, options } => {
            inner.on("nocopy", options.nocopy);
            inner.some("subpath", options.subpath.clone());
            inner.mapping("labels", &options.labels, text);
            bind.some("selinux", options.selinux.clone());
            ("volume", volume.as_ref().map(VolumeName::as_str))
        }
        MountSource::Bind { path, options } => {
            inner.on("create_host_path", options.create_host_path == Some(true));
            inner.some("propagation", options.propagation.clone());
            inner.some("selinux", options.selinux.clone());
            inner.some("recursive", options.recursive.clone());
            ("bind", Some(path.as_str()))
        }
        MountSource::Tmpfs { size, mode } => {
            inner.some("size", size.map(bytes));
            inner.some("mode", *mode);
            ("tmpfs", None)
        }
        MountSource::Image { image, subpath } => {
            inner.some("subpath", subpath.clone());
            ("image", Some(image.as_str()))
        }
    };
    settings.set("type", kind);
    settings.some("source", source);
    settings.set("target", mount.target.clone());
    settings.on("read_only", mount.read_only);
    settings.inner(kind, inner);
    settings.inner("bind", bind);
    settings.into()
}
