//! `volumes` and `tmpfs` of a service.

use super::Scope;
use super::path::{cleaned, cleaned_relative, is_of_windows, mount_parts, resolved_anywhere};
use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::name::VolumeName;
use crate::service::{AsWritten, BindOptions, IdleSettings, Mount, MountSource, TmpfsOptions, VolumeOptions};

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
            short_mount(service, (&name, item), &text, scope)
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
    let items = service.item_or_items("tmpfs").iter();
    items
        .filter_map(|item| {
            let text = service.parsed_node("tmpfs", item, "a list of texts", |text| Some(text.to_owned()))?;
            // As in Compose, it stays, and asks for nothing.
            if text.is_empty() {
                return Some(text);
            }
            absolute_target(service, item, text.split(':').next().unwrap_or_default())?;
            Some(text)
        })
        .collect()
}

fn short_mount(
    service: &Section<'_>,
    (key, item): (&str, &Node),
    text: &str,
    scope: &Scope<'_>,
) -> Option<Mount> {
    let parts = mount_parts(text);
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
        Some(path) if is_path(path) => bind(service, item, path, true, scope)?,
        name => volume(service, (key, item), name, scope)?,
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
        return Some(cleaned_relative(target));
    }
    let message = format!("the target of a mount must be an absolute path, not `{target}`");
    if target.is_empty() {
        service.error(&item.place, message);
        return None;
    }
    service.refuse(&item.place, message);
    Some(cleaned_relative(target))
}

fn bind(
    service: &Section<'_>,
    item: &Node,
    path: &str,
    is_made: bool,
    scope: &Scope<'_>,
) -> Option<MountSource> {
    let Some(path) = resolved_anywhere(path, scope.options) else {
        service.error(&item.place, format!("`{path}` needs a home directory, and there is none"));
        return None;
    };
    service.mounts(&item.place, &path, is_made);
    warn_of_windows(service, item, &path);
    Some(MountSource::bind(path))
}

fn warn_of_windows(service: &Section<'_>, item: &Node, path: &str) {
    if is_of_windows(path) {
        service.warn(&item.place, format!("`{path}` is a path on Windows, which no Engine on Linux has"));
    }
}

fn volume(
    section: &Section<'_>,
    (key, node): (&str, &Node),
    name: Option<&str>,
    scope: &Scope<'_>,
) -> Option<MountSource> {
    let volume = match name {
        None => None,
        Some(name) => {
            let declared = scope.volumes.contains(&name);
            if !declared {
                section.undeclared(key, &node.place, ("volume", name), scope.volumes.iter().copied());
            }
            Some(VolumeName::new(name).ok().filter(|_| declared)?)
        }
    };
    Some(MountSource::volume(volume))
}

fn long_mount(service: &Section<'_>, name: &str, item: &Node, scope: &Scope<'_>) -> Option<Mount> {
    let section = service.within(name, item, &KEYS)?;
    let target = match section.required_or_empty("target")? {
        empty if empty.is_empty() => cleaned_relative(&empty),
        target => absolute_target(service, item, &target)?,
    };
    let source = section.text("source");
    let mounted = match (section.text("type").as_deref(), source.as_deref()) {
        (Some("bind"), Some(path)) => bind(service, item, path, makes_path(&section), scope)?,
        // An empty text is the project's own folder.
        (Some("bind"), None) if section.node("source").is_some() => bind(service, item, ".", true, scope)?,
        (Some("bind"), None) => {
            section.lacks("source", "");
            return None;
        }
        (Some("volume"), source) => {
            let node = section.node("source").unwrap_or(item);
            volume(&section, ("source", node), source, scope)?
        }
        (Some("tmpfs"), _) => MountSource::Tmpfs { size: None, mode: None },
        (Some("image"), image) => {
            if image.is_none() {
                section.refuse_shown_lack("source");
            }
            let subpath = section.child("image", &IMAGE_KEYS).and_then(|options| options.text("subpath"));
            MountSource::Image { image: image.unwrap_or_default().to_owned(), subpath }
        }
        (None, _) if section.node("type").is_none() => {
            section.lacks("type", "");
            return None;
        }
        (None, _) => {
            section.refuse_shown_lack("type");
            MountSource::Tmpfs { size: None, mode: None }
        }
        (Some(other), _) => {
            section.refuse_shown("type", section.node("type")?, TYPES, other);
            MountSource::Tmpfs { size: None, mode: None }
        }
    };
    warn_of_other_options(&section);
    refuse_both(&section);
    let mut mount = Mount {
        read_only: section.is_on("read_only"),
        idle: idle_settings(&section),
        ..Mount::new(target, mounted)
    };
    take_options(&section, source, &mut mount);
    mount.idle.as_written = section.shown();
    Some(mount)
}

/// Returns whether the Engine makes the path of a mount in the long form: if it has options that do not forbid it.
fn makes_path(section: &Section<'_>) -> bool {
    let asked = section.node("bind").map(|options| options.entry("create_host_path"));
    asked.is_some_and(|asked| asked.is_none_or(|entry| scalar(&entry.node).as_deref() != Some("false")))
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
            (*size, *mode) = (idle.tmpfs.size.take(), idle.tmpfs.mode.take());
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
        as_written: AsWritten::default(),
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

/// Refuses labels of `SELinux` beside a choice of what lies below: the Engine takes them in two forms of a mount.
fn refuse_both(section: &Section<'_>) {
    let options = section.node("bind").filter(|_| section.text("type").as_deref() == Some("bind"));
    let Some(options) = options else { return };
    let text = |key: &str| options.entry(key).and_then(|entry| scalar(&entry.node));
    let chosen = text("recursive").filter(|recursive| !matches!(recursive.as_str(), "" | "enabled"));
    if let (Some(_), Some(recursive), Some(entry)) =
        (text("selinux").filter(|selinux| !selinux.is_empty()), chosen, options.entry("recursive"))
    {
        let message = format!("`bind.recursive: {recursive}` and `bind.selinux` exclude each other");
        section.refuse(&entry.key_place, message);
    }
}

fn bind_options(bind: &Section<'_>) -> BindOptions {
    BindOptions {
        create_host_path: bind.boolean("create_host_path"),
        propagation: propagation(bind),
        selinux: bind.word("selinux", &["z", "Z"]),
        recursive: bind.word("recursive", &RECURSIONS),
    }
}

fn propagation(bind: &Section<'_>) -> Option<String> {
    let expected = format!("one of `{}`", PROPAGATIONS.join("`, `"));
    bind.fit_or_shown("propagation", &expected, |word| PROPAGATIONS.contains(&word))
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
        mode: tmpfs.bits_or_shown("mode", "a mode such as `0o1777`", u32::BITS).filter(|mode| *mode != 0),
        as_written: tmpfs.shown(),
    }
}
