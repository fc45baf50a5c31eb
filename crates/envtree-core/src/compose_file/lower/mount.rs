//! `volumes` and `tmpfs` of a service.

use super::Scope;
use super::path::{cleaned, resolved};
use super::quantity::parse_bytes;
use super::section::{Section, scalar};
use super::unknown::{Keys, hint};
use crate::compose_file::node::{Node, Value};
use crate::name::VolumeName;
use crate::service::{Mount, MountSource};

const KEYS: Keys = Keys {
    // The Engine no longer heeds a consistency.
    read: &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs"],
    ignored: &[],
    refused: &["image"],
};
const BIND_KEYS: Keys =
    Keys { read: &["propagation", "create_host_path"], ignored: &["recursive", "selinux"], refused: &[] };
const VOLUME_KEYS: Keys = Keys { read: &["nocopy"], ignored: &["labels"], refused: &["subpath"] };
const TMPFS_KEYS: Keys = Keys { read: &["size", "mode"], ignored: &[], refused: &[] };
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const SHORT: &str = "`[source:]/target[:options]`";

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
    for item in service.item_or_items("tmpfs") {
        match scalar(item) {
            Some(text) => mounts.extend(short_tmpfs(service, item, &text)),
            None => service.unfit("tmpfs", item, "a list of texts"),
        }
    }
    mounts
}

fn short_mount(service: &Section<'_>, item: &Node, text: &str, scope: &Scope<'_>) -> Option<Mount> {
    let parts: Vec<&str> = text.split(':').collect();
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
    let is_path = |source: &str| source.starts_with(['.', '/', '~']);
    let source = match source {
        Some(path) if is_path(path) => bind(service, item, path, scope)?,
        name => volume(service, item, name, scope)?,
    };
    let mut mount = Mount { target, read_only: false, source };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        apply_option(service, item, option, &mut mount);
    }
    Some(mount)
}

fn apply_option(service: &Section<'_>, item: &Node, option: &str, mount: &mut Mount) {
    match (option, &mut mount.source) {
        ("ro", _) => mount.read_only = true,
        ("rw" | "cached" | "delegated" | "consistent", _) => {}
        ("nocopy", MountSource::Volume { nocopy, .. }) => *nocopy = true,
        (option, MountSource::Bind { propagation, .. }) if PROPAGATIONS.contains(&option) => {
            *propagation = Some(option.to_owned());
        }
        _ => service.warn(
            &item.place,
            format!("the option `{option}` of a mount is not supported yet and is ignored"),
        ),
    }
}

fn absolute_target(service: &Section<'_>, item: &Node, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return Some(cleaned(target));
    }
    let message = format!("the target of a mount must be an absolute path, not `{target}`");
    service.error(&item.place, message);
    None
}

fn bind(service: &Section<'_>, item: &Node, path: &str, scope: &Scope<'_>) -> Option<MountSource> {
    let Some(path) = resolved(path, scope.options) else {
        service.error(&item.place, format!("`{path}` needs a home directory, and there is none"));
        return None;
    };
    service.mounts(&item.place, &path);
    Some(MountSource::Bind { path, create_host_path: true, propagation: None })
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
    Some(MountSource::Volume { volume, nocopy: false })
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
    let source = section.text("source").filter(|source| !source.is_empty());
    let source = match (section.text("type").as_deref(), source) {
        (Some("bind"), Some(path)) => long_bind(service, &section, item, &path, scope)?,
        (Some("bind"), None) => {
            missing("source");
            return None;
        }
        (Some("volume"), source) => long_volume(service, &section, item, source.as_deref(), scope)?,
        (Some("tmpfs"), _) => long_tmpfs(&section),
        (None, _) => {
            missing("type");
            return None;
        }
        (Some(_), _) => {
            let node = section.node("type")?;
            section.unfit("type", node, "`volume`, `bind` or `tmpfs`");
            return None;
        }
    };
    Some(Mount { target, read_only: section.is_on("read_only"), source })
}

fn long_bind(
    service: &Section<'_>,
    section: &Section<'_>,
    item: &Node,
    path: &str,
    scope: &Scope<'_>,
) -> Option<MountSource> {
    let mut source = bind(service, item, path, scope)?;
    let options = section.child("bind", &BIND_KEYS);
    if let MountSource::Bind { create_host_path, propagation, .. } = &mut source {
        // As Compose has it: the long form makes no folder, unless it has options that do not forbid it.
        *create_host_path =
            options.as_ref().is_some_and(|options| options.boolean("create_host_path").unwrap_or(true));
        *propagation = options.as_ref().and_then(|options| {
            options.parsed("propagation", &format!("one of {PROPAGATIONS:?}"), |text| {
                PROPAGATIONS.contains(&text).then(|| text.to_owned())
            })
        });
    }
    Some(source)
}

fn long_volume(
    service: &Section<'_>,
    section: &Section<'_>,
    item: &Node,
    name: Option<&str>,
    scope: &Scope<'_>,
) -> Option<MountSource> {
    let mut source = volume(service, item, name, scope)?;
    if let (Some(options), MountSource::Volume { nocopy, .. }) =
        (section.child("volume", &VOLUME_KEYS), &mut source)
    {
        *nocopy = options.is_on("nocopy");
    }
    Some(source)
}

fn long_tmpfs(section: &Section<'_>) -> MountSource {
    let options = section.child("tmpfs", &TMPFS_KEYS);
    let options = options.as_ref();
    MountSource::Tmpfs {
        size: options.and_then(|options| options.parsed("size", "a size such as `64m`", parse_bytes)),
        // YAML reads `0o1777` or `01777` as a number; what arrives here is what was written.
        mode: options.and_then(|options| options.parsed("mode", "a mode such as `0o1777`", parse_mode)),
    }
}

/// Parses a mode: octal with a leading `0` or `0o`, else decimal as Compose has it.
fn parse_mode(text: &str) -> Option<u32> {
    match text.strip_prefix("0o").or(text.strip_prefix('0')) {
        Some("") => Some(0),
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => text.parse().ok(),
    }
}

fn short_tmpfs(service: &Section<'_>, item: &Node, text: &str) -> Option<Mount> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut mode, mut read_only) = (None, None, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = match option.split_once('=') {
            Some(("size", value)) => {
                size = parse_bytes(value);
                size.is_some()
            }
            Some(("mode", value)) => {
                mode = u32::from_str_radix(value, 8).ok();
                mode.is_some()
            }
            None if option == "ro" => {
                read_only = true;
                true
            }
            // The Engine mounts memory in this way in any case.
            None => matches!(option, "rw" | "noexec" | "nosuid" | "nodev"),
            Some(_) => false,
        };
        if !known {
            service.warn(
                &item.place,
                format!("the option `{option}` of `tmpfs` is not supported yet and is ignored"),
            );
        }
    }
    Some(Mount {
        target: absolute_target(service, item, target)?,
        read_only,
        source: MountSource::Tmpfs { size, mode },
    })
}
