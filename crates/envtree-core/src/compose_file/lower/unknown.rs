//! Keys that are not read: refused where ignoring them would change what runs, else ignored with a warning.

use std::sync::OnceLock;

use indexmap::IndexMap;

use super::section::Section;
use crate::compose_file::node::{Entry, Node, Value};
use crate::nearest::nearest;

/// The keys of a mapping, by what is made of them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Read by the code that names them, or without any effect on an environment.
    pub(super) read: &'static [&'static str],
    /// Left out with a warning.
    pub(super) ignored: &'static [&'static str],
    /// An error, for the reason that follows.
    pub(super) refused: &'static [(&'static str, &'static str)],
}

/// Reports every key of `section` that is not read. Keys that begin with `x-` belong to others.
pub(super) fn check(section: &Section<'_>, keys: &Keys) {
    for (key, entry) in section.entries() {
        let key = key.as_str();
        if key.starts_with("x-") || keys.read.contains(&key) {
            continue;
        }
        let name = section.name(key);
        let refused = keys.refused.iter().find(|(name, _)| *name == key);
        if refused.is_none() && !keys.ignored.contains(&key) {
            let refused = keys.refused.iter().map(|(name, _)| *name);
            let every = keys.read.iter().chain(keys.ignored).copied().chain(refused);
            let hint = hint(key, every);
            section.error(&entry.key_place, format!("{name} is not a known key{hint}"));
        } else if is_blank(&entry.node) {
            // Nothing is asked for, so nothing is lost.
        } else if let Some((_, reason)) = refused {
            section.error(&entry.key_place, format!("{name} is not supported: {reason}"));
        } else {
            section.warn(&entry.key_place, format!("{name} has no effect here and is ignored"));
        }
    }
}

/// Returns a question after the nearest known name, or nothing.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

fn is_blank(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Returns the entries of an absent mapping.
pub(super) fn no_entries() -> &'static IndexMap<String, Entry> {
    static NONE: OnceLock<IndexMap<String, Entry>> = OnceLock::new();
    NONE.get_or_init(IndexMap::new)
}
