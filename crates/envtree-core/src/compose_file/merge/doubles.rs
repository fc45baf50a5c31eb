//! Lists in which Compose refuses to find an item twice.
//!
//! In other lists of names a later item takes the place of an earlier one.

use std::collections::BTreeMap;

use crate::compose_file::node::{Diagnostic, Node, Value};

/// The lists, by the path below the section's entries.
const LISTS: [(&str, &[&str]); 14] = [
    ("services", &["depends_on"]),
    ("services", &["device_cgroup_rules"]),
    ("services", &["external_links"]),
    ("services", &["extra_hosts"]),
    ("services", &["group_add"]),
    ("services", &["networks"]),
    ("services", &["security_opt"]),
    ("services", &["volumes_from"]),
    ("services", &["build", "extra_hosts"]),
    ("services", &["build", "ssh"]),
    ("services", &["deploy", "resources", "reservations", "devices", "capabilities"]),
    ("services", &["deploy", "resources", "reservations", "devices", "device_ids"]),
    ("secrets", &["labels"]),
    ("volumes", &["labels"]),
];

/// Reports the first item that a list of `tree` holds twice although it may not.
pub fn refuse_doubles(tree: &Node) -> Result<(), Diagnostic> {
    for (section, path) in LISTS {
        let Some(Value::Map(entries)) = tree.entry(section).map(|entry| &entry.node.value) else { continue };
        for (name, entry) in entries {
            if let Some(Double { first, second, text }) = double(&entry.node, path) {
                let kind = section.trim_end_matches('s');
                let key = path.join(".");
                let is_near =
                    (&first.place.file, first.place.line) == (&second.place.file, second.place.line);
                let first = if is_near { String::new() } else { format!(", first at {}", first.place) };
                return Err(second.diagnostic(format!(
                    "{kind} `{name}`: `{key}` lists `{text}` twice{first}; each item may stand in it once"
                )));
            }
        }
    }
    Ok(())
}

/// An item that a list has twice.
struct Double<'a> {
    first: &'a Node,
    second: &'a Node,
    text: &'a str,
}

/// Returns the first item that the list at `path` has twice; of a list on the way, every item is looked into.
fn double<'a>(node: &'a Node, path: &[&str]) -> Option<Double<'a>> {
    match (&node.value, path) {
        (Value::List(items), []) => {
            let mut known = BTreeMap::new();
            items.iter().find_map(|second| {
                // The number and the text `1` are two items.
                let (text, is_number) = match &second.value {
                    Value::Text(text) => (text, false),
                    Value::Number(text) => (text, true),
                    _ => return None,
                };
                let first = known.insert((text, is_number), second)?;
                Some(Double { first, second, text })
            })
        }
        (Value::List(items), path) => items.iter().find_map(|item| double(item, path)),
        (Value::Map(_), [key, rest @ ..]) => double(&node.entry(key)?.node, rest),
        _ => None,
    }
}
