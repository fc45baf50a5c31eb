//! Keys that are not read: refused where ignoring them would change what runs, else ignored with a warning.

use std::sync::OnceLock;

use indexmap::IndexMap;

use super::meant::meant;
use super::section::Section;
use crate::compose_file::node::{Diagnostic, Entry, Node, Value};
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

impl Keys {
    fn every(&self) -> impl Iterator<Item = &'static str> {
        let refused = self.refused.iter().map(|(name, _)| *name);
        self.read.iter().chain(self.ignored).copied().chain(refused)
    }

    fn knows(&self, key: &str) -> bool {
        self.every().any(|known| known == key)
    }

    /// Returns a question after the keys that `key` may stand for, or nothing.
    fn hint(&self, key: &str) -> String {
        match meant(key, |known| self.knows(known)).as_slice() {
            [] => hint(key, self.every()),
            keys => format!("; did you mean `{}`?", keys.join("` or `")),
        }
    }
}

/// Says so if a file has its services at the top, as files of version 1 had: no version knows anything else there.
pub(super) fn version_1(root: &Node, keys: &Keys) -> Option<Diagnostic> {
    let Value::Map(entries) = &root.value else { return None };
    let is_old = !entries.contains_key("services");
    let (name, entry) = entries
        .iter()
        .filter(|_| is_old)
        .find(|(key, entry)| !key.starts_with("x-") && !keys.knows(key) && is_service(&entry.node))?;
    let message = format!(
        "the service `{name}` stands at the top of the file, as in version 1 of Compose, which is no longer read; \
         put a line `services:` above the services and indent them below it"
    );
    Some(Diagnostic { place: entry.key_place.clone(), message })
}

/// Returns whether a mapping looks like that of a service.
fn is_service(node: &Node) -> bool {
    ["image", "build", "extends"].iter().any(|key| node.entry(key).is_some())
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
        if !keys.knows(key) {
            let hint = if section.is_root() && is_service(&entry.node) {
                "; a service stands below `services`".to_owned()
            } else if section.is_item() && key.contains('/') {
                "; in a text such as `./data:/data`, no space stands behind the `:`".to_owned()
            } else {
                keys.hint(key)
            };
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
    matches!(node.value, Value::Null | Value::Bool(false)) || node.is_empty()
}

/// Returns the entries of an absent mapping.
pub(super) fn no_entries() -> &'static IndexMap<String, Entry> {
    static NONE: OnceLock<IndexMap<String, Entry>> = OnceLock::new();
    NONE.get_or_init(IndexMap::new)
}
