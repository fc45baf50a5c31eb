//! `volumes` of the file, and what volumes and networks have in common.

use super::section::{Reports, Section};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::project::Volume;

const KEYS: Keys =
    Keys { read: &["name", "external", "driver", "driver_opts", "labels"], ignored: &[], refused: &[] };
const EXTERNAL_KEYS: Keys = Keys { read: &["name"], ignored: &[], refused: &[] };

/// Returns the volume that `node` describes.
pub(super) fn lower_volume(name: &str, node: &Node, reports: &Reports) -> Option<Volume> {
    let section = Section::new(node, format!("volume `{name}`: "), &KEYS, reports)?;
    let (external, name) = external(&section, true);
    note_bind(&section);
    Some(Volume {
        name,
        external,
        driver: section.text("driver"),
        driver_opts: section.labels("driver_opts"),
        labels: section.labels("labels"),
    })
}

/// Notes the folder of the host that a volume of the driver `local` stands for.
fn note_bind(section: &Section<'_>) {
    let options = section.pairs("driver_opts");
    let option = |name: &str| {
        let pair = options.iter().find(|pair| pair.key == name)?;
        Some((pair.node, pair.value.as_deref()?))
    };
    let is_bind =
        option("o").is_some_and(|(_, flags)| flags.split(',').any(|flag| matches!(flag, "bind" | "rbind")));
    if let Some((node, device)) = option("device").filter(|_| is_bind) {
        section.mounts(&node.place, device);
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
