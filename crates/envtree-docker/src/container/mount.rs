//! The mounts of a container as the Engine takes them.

use bollard::models::{
    HostConfig, Mount as EngineMount, MountBindOptions, MountImageOptions, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};
use envtree_core::anonymous::{self, Holder};
use envtree_core::label;
use envtree_core::observed::number_of;
use envtree_core::plan::NewContainer;
use envtree_core::service::{BindOptions, Mount, MountSource, Origin, VolumeOptions};
use indexmap::IndexMap;

use super::body::{flag, list, map};
use crate::error::DockerError;
use crate::version::{ApiVersion, Asked, TooOld};

/// Adds the mounts of the definition, and the inherited and the image's volumes that none of them covers, to `config`.
pub(super) fn mounts(
    container: &NewContainer,
    api: ApiVersion,
    mut config: HostConfig,
) -> Result<HostConfig, DockerError> {
    let mut inherited = container.inherited_volumes.clone();
    let (mut mounts, mut binds) = (Vec::new(), Vec::new());
    for mount in &container.definition.mounts {
        check(&container.service, mount, api)?;
        let anonymous = inherited.shift_remove(&mount.target);
        match older_form(container, mount, api)? {
            Some(line) => binds.push(line),
            None => mounts.push(engine_mount(container, mount, anonymous)?),
        }
    }
    mounts.extend(inherited.into_iter().map(|(target, name)| EngineMount {
        target: Some(target),
        source: Some(name),
        typ: Some(MountType::VOLUME),
        ..EngineMount::default()
    }));
    let image_volumes = image_volumes(container, &mounts, &binds);
    mounts.extend(image_volumes);
    let given = given_files(container, &mounts, &binds);
    mounts.extend(given);
    config.mounts = list(mounts);
    config.binds = list(binds);
    Ok(config)
}

/// Returns an error for what the Engine would drop without a word.
pub(super) fn check(service: &str, mount: &Mount, api: ApiVersion) -> Result<(), TooOld> {
    let (needed, what) = match &mount.source {
        MountSource::Volume { options, .. } if options.subpath.is_some() => {
            (ApiVersion::VOLUME_SUBPATH, "subpath of a volume")
        }
        MountSource::Bind { options, .. }
            if matches!(options.recursive.as_deref(), Some("writable" | "readonly")) =>
        {
            (ApiVersion::READ_ONLY_RECURSION, "recursive of a mount")
        }
        MountSource::Image { .. } => (ApiVersion::IMAGE_MOUNT, "mount of an image"),
        _ => return Ok(()),
    };
    needed.demand(api, service, what, Asked::Mount { target: mount.target.clone() })
}

/// Returns a mount in the form of old, where only that will do.
///
/// Of the two ways to ask for a bind mount, only the older one makes a missing folder on every Engine, and only it labels
/// for `SELinux`; it cannot express a path with a colon.
fn older_form(
    container: &NewContainer,
    mount: &Mount,
    api: ApiVersion,
) -> Result<Option<String>, DockerError> {
    Ok(match &mount.source {
        MountSource::Bind { path, options } => {
            // The older form mounts what lies below as well; a missing folder is then the Engine's to refuse.
            let is_alone = options.recursive.as_deref() == Some("disabled");
            let makes_path = options.makes_path() && !is_alone && api < ApiVersion::CREATE_MOUNTPOINT;
            let words = [options.selinux.as_deref(), options.propagation.as_deref()];
            (makes_path || options.selinux.is_some()).then(|| bind_line(mount, path, &words)).flatten()
        }
        MountSource::Volume { volume: Some(key), options } if options.selinux.is_some() => {
            let words = [options.selinux.as_deref(), options.nocopy.then_some("nocopy")];
            bind_line(mount, &volume_name(container, key)?, &words)
        }
        _ => None,
    })
}

fn engine_mount(
    container: &NewContainer,
    mount: &Mount,
    anonymous: Option<String>,
) -> Result<EngineMount, DockerError> {
    Ok(match &mount.source {
        MountSource::Volume { volume: Some(key), options } => {
            volume_mount(mount, Some(volume_name(container, key)?), options, None)
        }
        MountSource::Volume { volume: None, options } => match anonymous {
            Some(inherited) => volume_mount(mount, Some(inherited), options, None),
            None => unnamed_mount(container, mount, options),
        },
        MountSource::Bind { path, options } => bind_mount(mount, path, options),
        MountSource::Tmpfs { size, mode } => tmpfs_mount(mount, *size, *mode),
        MountSource::Image { image, subpath } => EngineMount {
            source: Some(image.clone()),
            image_options: subpath.clone().map(|subpath| MountImageOptions { subpath: Some(subpath) }),
            ..plain_mount(mount, MountType::IMAGE)
        },
    })
}

/// Returns the mounts of the image's volumes, where nothing else is mounted.
fn image_volumes(container: &NewContainer, mounts: &[EngineMount], binds: &[String]) -> Vec<EngineMount> {
    let memory: Vec<&str> =
        container.definition.runtime.tmpfs.iter().filter_map(|line| line.split(':').next()).collect();
    let free = container
        .image_volumes
        .iter()
        .filter(|target| !is_covered(target, mounts, binds) && !memory.contains(&target.as_str()));
    free.map(|target| {
        let source = MountSource::volume(None);
        let mount = Mount::new(target, source);
        unnamed_mount(container, &mount, &VolumeOptions::default())
    })
    .collect()
}

fn is_covered(target: &str, mounts: &[EngineMount], binds: &[String]) -> bool {
    mounts.iter().any(|mount| mount.target.as_deref() == Some(target))
        || binds.iter().any(|bind| bind.split(':').nth(1) == Some(target))
}

fn volume_name(container: &NewContainer, key: &str) -> Result<String, DockerError> {
    container.volume_names.get(key).cloned().ok_or_else(|| DockerError::VolumeUnnamed {
        container: container.name.clone(),
        volume: key.to_owned(),
    })
}

/// Returns the mounts of the configs and secrets that are files of the host, where nothing else is mounted.
fn given_files(container: &NewContainer, mounts: &[EngineMount], binds: &[String]) -> Vec<EngineMount> {
    let grants = container.definition.secrets.iter().chain(&container.definition.configs);
    grants
        .filter_map(|grant| match &grant.origin {
            Origin::File(path) => Some((grant.path.clone(), path)),
            _ => None,
        })
        .filter(|(target, _)| !is_covered(target, mounts, binds))
        .map(|(target, path)| {
            let options = BindOptions { create_host_path: Some(false), ..BindOptions::default() };
            let mount = Mount { read_only: true, ..Mount::new(target, MountSource::bind(path)) };
            bind_mount(&mount, path, &options)
        })
        .collect()
}

/// Mounts a volume that nothing names: one with a name and labels of its own, which the Engine makes on the way.
///
/// Outside a project it has neither.
fn unnamed_mount(container: &NewContainer, mount: &Mount, options: &VolumeOptions) -> EngineMount {
    let labels = &container.definition.labels;
    let project = labels.get(label::COMPOSE_PROJECT);
    let holder = Holder { service: &container.service, number: number_of(labels) };
    let name = project.map(|project| anonymous::volume_name(project, holder, &mount.target));
    let labels = project.map(|_| anonymous::volume_labels(labels, holder, &mount.target));
    volume_mount(mount, name, options, labels)
}

fn volume_mount(
    mount: &Mount,
    source: Option<String>,
    options: &VolumeOptions,
    own_labels: Option<IndexMap<String, String>>,
) -> EngineMount {
    let mut labels = options.labels.clone();
    labels.extend(own_labels.into_iter().flatten());
    let is_plain = !options.nocopy && options.subpath.is_none() && labels.is_empty();
    EngineMount {
        source,
        volume_options: (!is_plain).then(|| MountVolumeOptions {
            no_copy: flag(options.nocopy),
            labels: map(&labels),
            subpath: options.subpath.clone(),
            ..MountVolumeOptions::default()
        }),
        ..plain_mount(mount, MountType::VOLUME)
    }
}

fn bind_mount(mount: &Mount, path: &str, options: &BindOptions) -> EngineMount {
    let recursive = options.recursive.as_deref();
    let bind = MountBindOptions {
        propagation: options.propagation.as_deref().and_then(|word| word.parse().ok()),
        create_mountpoint: flag(options.makes_path()),
        non_recursive: flag(recursive == Some("disabled")),
        read_only_non_recursive: flag(recursive == Some("writable")),
        read_only_force_recursive: flag(recursive == Some("readonly")),
    };
    EngineMount {
        source: Some(path.to_owned()),
        bind_options: (bind != MountBindOptions::default()).then_some(bind),
        ..plain_mount(mount, MountType::BIND)
    }
}

/// Returns `source:target:options`, or nothing if a colon in a path would be read as a separator.
fn bind_line(mount: &Mount, source: &str, options: &[Option<&str>]) -> Option<String> {
    if source.contains(':') || mount.target.contains(':') {
        return None;
    }
    let access = if mount.read_only { "ro" } else { "rw" };
    let words: Vec<&str> = std::iter::once(access).chain(options.iter().copied().flatten()).collect();
    Some(format!("{source}:{}:{}", mount.target, words.join(",")))
}

fn tmpfs_mount(mount: &Mount, size: Option<i64>, mode: Option<u32>) -> EngineMount {
    EngineMount {
        tmpfs_options: (size.is_some() || mode.is_some()).then(|| MountTmpfsOptions {
            size_bytes: size,
            mode: mode.map(i64::from),
            ..MountTmpfsOptions::default()
        }),
        ..plain_mount(mount, MountType::TMPFS)
    }
}

fn plain_mount(mount: &Mount, kind: MountType) -> EngineMount {
    EngineMount {
        target: Some(mount.target.clone()),
        typ: Some(kind),
        read_only: flag(mount.read_only),
        ..EngineMount::default()
    }
}
