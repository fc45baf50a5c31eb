//! `volumes` and `tmpfs` of a service.

use super::Scope;
use super::path::{cleaned, is_of_windows, resolved_anywhere};
use super::section::{Section, is_empty_text, scalar};
use super::unknown::{Keys, hint};
use crate::compose_file::node::{Node, Value};
use crate::compose_file::scalar::integer;
use crate::name::VolumeName;
use crate::service::{BindOptions, IdleSettings, Mount, MountSource, TmpfsOptions, VolumeOptions};

const KEYS: Keys = Keys {
    // The Engine no longer heeds a consistency.
    read: &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"],
    ignored: &[],
    refused: &[],
};
const BIND_KEYS: Keys =
    Keys { read: &["propagation", "create_host_path", "recursive", "selinux"], ignored: &[], refused: &[] };
const VOLUME_KEYS: Keys = Keys { read: &["nocopy", "labels", "subpath"], ignored: &[], refused: &[] };
const TMPFS_KEYS: Keys = Keys { read: &["size", "mode"], ignored: &[], refused: &[] };
const IMAGE_KEYS: Keys = Keys { read: &["subpath"], ignored: &[], refused: &[] };
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const RECURSIONS: [&str; 4] = ["enabled", "disabled", "writable", "readonly"];
const SHORT: &str = "`[source:]/target[:options]`";
const TYPES: &str = "`volume`, `bind`, `tmpfs` or `image`";

/// Returns what the service mounts.
pub(super) fn lower_mounts(service: &Section<'_>, scope: &Scope<'_>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (index, item) in service.items("volumes").iter().enumerate() {
        let name = format!("volumes[{index}]");
        let mount = if matches!(item.value, Value::Map(_)) {
            long_mount(service, &name, item, scope)
        } else if let Some(text) = scalar(item) {
            short_mount(service, item, &text, scope)
        } else {
            service.unfit(&name, item, SHORT);
            None
        };
        mounts.extend(mount);
    }
    mounts
}

/// Returns the memory that the service mounts, as `path[:options]`.
pub(super) fn lower_tmpfs(service: &Section<'_>) -> Vec<String> {
    let items = service.item_or_items("tmpfs").iter().filter(|item| !is_empty_text(item));
    items
        .filter_map(|item| {
            let text = service.parsed_node("tmpfs", item, "a list of texts", |text| Some(text.to_owned()))?;
            absolute_target(service, item, text.split(':').next().unwrap_or_default())?;
            Some(text)
        })
        .collect()
}

fn short_mount(service: &Section<'_>, item: &Node, text: &str, scope: &Scope<'_>) -> Option<Mount> {
    let parts = parts(text);
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => {
            service.unfit("volumes", item, SHORT);
            return None;
        }
    };
    let target = absolute_target(service, item, target)?;
    let is_path = |source: &str| source.starts_with(['.', '/', '~', '\\']) || source.get(1..2) == Some(":");
    let source = match source {
        Some(path) if is_path(path) => bind(service, item, path, scope)?,
        name => volume(service, item, name, scope)?,
    };
    let mut mount = Mount::new(target, source);
    if let MountSource::Bind { path, .. } = &mount.source {
        mount.idle.source = written_source(path, parts.first().copied());
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        apply_option(service, item, option, &mut mount);
    }
    Some(mount)
}

/// Splits a mount at its colons. As Compose has it, one after a single letter is that of a drive on Windows.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(':') {
        let part = &text[start..at];
        if part.len() != 1 || !part.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Returns an absolute path as it is written, where it is not the one that is mounted.
fn written_source(mounted: &str, written: Option<&str>) -> Option<String> {
    written.filter(|written| written.starts_with('/') && *written != mounted).map(str::to_owned)
}

fn apply_option(service: &Section<'_>, item: &Node, option: &str, mount: &mut Mount) {
    let warn = || {
        service
            .warn(&item.place, format!("the option `{option}` has no effect on this mount and is ignored"));
    };
    match (option, &mut mount.source) {
        ("ro", _) => mount.read_only = true,
        ("rw" | "cached" | "delegated" | "consistent", _) => {}
        ("nocopy", MountSource::Volume { options, .. }) => options.nocopy = true,
        ("z" | "Z", MountSource::Bind { options, .. }) => options.selinux = Some(option.to_owned()),
        ("z" | "Z", MountSource::Volume { volume: Some(_), options }) => {
            options.selinux = Some(option.to_owned());
        }
        (option, MountSource::Bind { options, .. }) if PROPAGATIONS.contains(&option) => {
            options.propagation = Some(option.to_owned());
        }
        ("nocopy", _) => {
            mount.idle.volume.nocopy = true;
            warn();
        }
        ("z" | "Z", _) => {
            mount.idle.bind.selinux = Some(option.to_owned());
            warn();
        }
        (option, _) if PROPAGATIONS.contains(&option) => {
            mount.idle.bind.propagation = Some(option.to_owned());
            warn();
        }
        _ => warn(),
    }
}

fn absolute_target(service: &Section<'_>, item: &Node, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return Some(cleaned(target));
    }
    if is_of_windows(target) || target.starts_with(r"\\") {
        let message = match target.get(1..3) {
            // It may be meant as a volume and its target.
            Some(":/") => format!("`{target}` is a path on Windows: name the volume by more than a letter"),
            _ => format!("`{target}` is a path on Windows, which no container on Linux has"),
        };
        service.warn(&item.place, message);
        return Some(target.to_owned());
    }
    let message = format!("the target of a mount must be an absolute path, not `{target}`");
    service.error(&item.place, message);
    None
}

fn bind(service: &Section<'_>, item: &Node, path: &str, scope: &Scope<'_>) -> Option<MountSource> {
    let Some(path) = resolved_anywhere(path, scope.options) else {
        service.error(&item.place, format!("`{path}` needs a home directory, and there is none"));
        return None;
    };
    service.mounts(&item.place, &path);
    warn_of_windows(service, item, &path);
    Some(MountSource::bind(path))
}

fn warn_of_windows(service: &Section<'_>, item: &Node, path: &str) {
    if is_of_windows(path) {
        service.warn(&item.place, format!("`{path}` is a path on Windows, which no Engine on Linux has"));
    }
}

fn volume(service: &Section<'_>, item: &Node, name: Option<&str>, scope: &Scope<'_>) -> Option<MountSource> {
    let volume = match name {
        None => None,
        Some(name) => {
            let declared = scope.volumes.contains(&name);
            if !declared {
                let message = format!("volume `{name}` is not declared under `volumes`");
                service.error(&item.place, message + &hint(name, scope.volumes.iter().copied()));
            }
            Some(VolumeName::new(name).ok().filter(|_| declared)?)
        }
    };
    Some(MountSource::volume(volume))
}

fn long_mount(service: &Section<'_>, name: &str, item: &Node, scope: &Scope<'_>) -> Option<Mount> {
    let section = service.within(name, item, &KEYS)?;
    let missing = |key: &str| {
        section.error(section.place, format!("{} is missing", section.name(key)));
    };
    let Some(target) = section.text("target") else {
        missing("target");
        return None;
    };
    let target = absolute_target(service, item, &target)?;
    let source = section.text("source");
    let mounted = match (section.text("type").as_deref(), source.as_deref()) {
        (Some("bind"), Some(path)) => bind(service, item, path, scope)?,
        // An empty text is the project's own folder.
        (Some("bind"), None) if section.node("source").is_some() => bind(service, item, ".", scope)?,
        (Some("bind" | "image"), None) => {
            missing("source");
            return None;
        }
        (Some("volume"), source) => volume(service, item, source, scope)?,
        (Some("tmpfs"), _) => MountSource::Tmpfs { size: None, mode: None },
        (Some("image"), Some(image)) => {
            let subpath = section.child("image", &IMAGE_KEYS).and_then(|options| options.text("subpath"));
            MountSource::Image { image: image.to_owned(), subpath }
        }
        (None, _) => {
            missing("type");
            return None;
        }
        (Some(_), _) => {
            let node = section.node("type")?;
            section.unfit("type", node, TYPES);
            return None;
        }
    };
    warn_of_other_options(&section);
    let mut mount = Mount {
        read_only: section.is_on("read_only"),
        idle: idle_settings(&section),
        ..Mount::new(target, mounted)
    };
    take_options(&section, source, &mut mount);
    Some(mount)
}

/// Gives the mount the options of its type.
fn take_options(section: &Section<'_>, written: Option<String>, mount: &mut Mount) {
    let idle = &mut mount.idle;
    match &mut mount.source {
        MountSource::Bind { options, path } => {
            *options = std::mem::take(&mut idle.bind);
            // As Compose has it: the long form makes no folder, unless it has options that do not forbid it.
            if section.node("bind").is_none() {
                options.create_host_path = Some(false);
            }
            idle.source = written_source(path, written.as_deref());
        }
        MountSource::Volume { options, .. } => *options = std::mem::take(&mut idle.volume),
        MountSource::Tmpfs { size, mode } => {
            TmpfsOptions { size: *size, mode: *mode } = std::mem::take(&mut idle.tmpfs);
            idle.source = written;
        }
        MountSource::Image { .. } => {}
    }
}

/// Returns all that has no effect on one type of mount or another.
fn idle_settings(section: &Section<'_>) -> IdleSettings {
    IdleSettings {
        source: None,
        consistency: section.text("consistency"),
        bind: section.child("bind", &BIND_KEYS).as_ref().map(bind_options).unwrap_or_default(),
        volume: section.child("volume", &VOLUME_KEYS).as_ref().map(volume_options).unwrap_or_default(),
        tmpfs: section.child("tmpfs", &TMPFS_KEYS).as_ref().map(tmpfs_options).unwrap_or_default(),
    }
}

/// Says which options are those of another type of mount.
fn warn_of_other_options(section: &Section<'_>) {
    let kind = section.text("type").unwrap_or_default();
    for other in ["bind", "volume", "tmpfs", "image"] {
        if let Some(entry) = section.entries().get(other).filter(|_| other != kind) {
            let name = section.name(other);
            section.warn(&entry.key_place, format!("{name} has no effect on a mount of type `{kind}`"));
        }
    }
}

fn bind_options(bind: &Section<'_>) -> BindOptions {
    BindOptions {
        create_host_path: bind.boolean("create_host_path"),
        propagation: bind.word("propagation", &PROPAGATIONS),
        selinux: bind.word("selinux", &["z", "Z"]),
        recursive: bind.word("recursive", &RECURSIONS),
    }
}

fn volume_options(volume: &Section<'_>) -> VolumeOptions {
    VolumeOptions {
        nocopy: volume.is_on("nocopy"),
        subpath: volume.text("subpath"),
        labels: volume.labels("labels"),
        ..VolumeOptions::default()
    }
}

fn tmpfs_options(tmpfs: &Section<'_>) -> TmpfsOptions {
    TmpfsOptions {
        size: tmpfs.bytes("size").filter(|bytes| *bytes != 0),
        mode: tmpfs.parsed("mode", "a mode such as `0o1777`", parse_mode).filter(|mode| *mode != 0),
    }
}

/// Parses a mode: octal with a leading `0` or `0o`, else decimal as Compose has it.
fn parse_mode(text: &str) -> Option<u32> {
    u32::try_from(integer(text)?).ok()
}
