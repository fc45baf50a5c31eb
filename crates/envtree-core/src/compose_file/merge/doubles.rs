//! Lists in which Compose refuses to find an item twice.
//!
//! In other lists of names a later item takes the place of an earlier one.

use std::collections::BTreeSet;

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
            if let Some((item, text)) = double(&entry.node, path) {
                let kind = section.trim_end_matches('s');
                let key = path.join(".");
                return Err(item.diagnostic(format!(
                    "{kind} `{name}`: `{key}` lists `{text}` twice; each item may stand in it once"
                )));
            }
        }
    }
    Ok(())
}

/// Returns the first item that the list at `path` has twice; of a list on the way, every item is looked into.
fn double<'a>(node: &'a Node, path: &[&str]) -> Option<(&'a Node, &'a str)> {
    match (&node.value, path) {
        (Value::List(items), []) => {
            let mut known = BTreeSet::new();
            items.iter().find_map(|item| match &item.value {
                // The number and the text `1` are two items.
                Value::Text(text) => (!known.insert((text, true))).then_some((item, text.as_str())),
                Value::Number(text) => (!known.insert((text, false))).then_some((item, text.as_str())),
                _ => None,
            })
        }
        (Value::List(items), path) => items.iter().find_map(|item| double(item, path)),
        (Value::Map(_), [key, rest @ ..]) => double(&node.entry(key)?.node, rest),
        _ => None,
    }
}
