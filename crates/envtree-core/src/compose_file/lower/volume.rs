//! `volumes` of the file, and what volumes and networks have in common.

use super::LowerOptions;
use super::path::resolved_anywhere;
use super::reports::Reports;
use super::section::Section;
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::project::Volume;

const KEYS: Keys =
    Keys { read: &["name", "external", "driver", "driver_opts", "labels"], ignored: &[], refused: &[] };
const EXTERNAL_KEYS: Keys = Keys { read: &["name"], ignored: &[], refused: &[] };

/// Returns the volume that `node` describes.
pub(super) fn lower_volume(
    name: &str,
    node: &Node,
    options: &LowerOptions<'_>,
    reports: &Reports,
) -> Option<Volume> {
    let section = Section::new(node, format!("volume `{name}`: "), &KEYS, reports)?;
    let (external, name) = external(&section, true);
    note_bind(&section, options);
    let mut driver_opts = section.labels("driver_opts");
    let driver = section.text("driver");
    let is_bind =
        driver.as_deref() == Some("local") && driver_opts.get("o").is_some_and(|flags| flags == "bind");
    if let (Some(device), true) = (driver_opts.get_mut("device"), is_bind) {
        *device = device_path(device, options);
    }
    Some(Volume { name, external, driver, driver_opts, labels: section.labels("labels") })
}

/// Returns an absolute path: as in Compose, one that is absolute already stays as it is written.
fn device_path(device: &str, options: &LowerOptions<'_>) -> String {
    if device.starts_with('/') {
        return device.to_owned();
    }
    resolved_anywhere(device, options).unwrap_or_else(|| device.to_owned())
}

/// Notes the folder of the host that a volume of the driver `local` stands for.
fn note_bind(section: &Section<'_>, options: &LowerOptions<'_>) {
    let pairs = section.pairs("driver_opts");
    let option = |name: &str| {
        let pair = pairs.iter().find(|pair| pair.key == name)?;
        Some((pair.node, pair.value.as_deref()?))
    };
    let is_bind =
        option("o").is_some_and(|(_, flags)| flags.split(',').any(|flag| matches!(flag, "bind" | "rbind")));
    if let Some((node, device)) = option("device").filter(|_| is_bind) {
        section.mounts(&node.place, &device_path(device, options), false);
    }
}

/// Returns whether what a section describes is external, and its name; `external: {name: …}` is the older form.
///
/// As in Compose, a volume that says how it is made is refused, and of anything else that has no effect.
pub(super) fn external(section: &Section<'_>, is_volume: bool) -> (bool, Option<String>) {
    let name = section.text("name");
    let older = section.node("external").is_some_and(|node| matches!(node.value, Value::Map(_)));
    if older {
        let inner = section.child("external", &EXTERNAL_KEYS).and_then(|external| external.text("name"));
        return (true, name.or(inner));
    }
    let external = section.is_on("external");
    if external {
        for (key, entry) in section.entries() {
            if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
                let name = section.name(key);
                if is_volume {
                    let message = format!("{name} says how to make what is `external`");
                    section.error(&entry.key_place, message);
                } else {
                    let message = format!("{name} has no effect on what is `external`");
                    section.warn(&entry.key_place, message);
                }
            }
        }
    }
    (external, name)
}
