//! Properties from before `customizations`, which count as VS Code's own.

use indexmap::IndexMap;

use crate::compose_file::node::{Entry, Node, Value};

/// The properties that stood at the top before `customizations` came.
pub(super) const OLD: [&str; 3] = ["extensions", "settings", "devPort"];

/// Moves the old properties below `customizations.vscode`, where what stands there already counts more.
///
/// `devPort` stays where it is if `customizations.vscode` has one.
pub(super) fn move_old_properties(root: &mut Node) {
    let Value::Map(entries) = &mut root.value else { return };
    let extensions = taken(entries, OLD[0]);
    let settings = taken(entries, OLD[1]);
    if extensions.is_none() && settings.is_none() && !entries.contains_key(OLD[2]) {
        return;
    }
    let port = entries.get(OLD[2]).cloned();
    let Some(tool) = mapping(entries, "customizations", root.place.clone())
        .and_then(|entry| mapping(entry, "vscode", root.place.clone()))
    else {
        return;
    };
    if let Some(entry) = extensions {
        add_extensions(tool, entry);
    }
    if let Some(entry) = settings {
        add_settings(tool, entry);
    }
    if let (Some(port), false) = (port, tool.contains_key(OLD[2])) {
        tool.insert(OLD[2].to_owned(), port);
        entries.shift_remove(OLD[2]);
    }
}

fn taken(entries: &mut IndexMap<String, Entry>, key: &str) -> Option<Entry> {
    entries.shift_remove(key).filter(|entry| entry.node.value != Value::Null)
}

/// Returns the entries of the mapping at `key`, which is made if it is missing.
fn mapping<'a>(
    entries: &'a mut IndexMap<String, Entry>,
    key: &str,
    place: crate::compose_file::node::Place,
) -> Option<&'a mut IndexMap<String, Entry>> {
    let made = || Entry {
        key_place: place.clone(),
        node: Node { place, tag: None, value: Value::Map(IndexMap::new()) },
    };
    match &mut entries.entry(key.to_owned()).or_insert_with(made).node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

fn add_extensions(tool: &mut IndexMap<String, Entry>, old: Entry) {
    match tool.get_mut(OLD[0]).map(|entry| &mut entry.node.value) {
        Some(Value::List(items)) => match old.node.value {
            Value::List(more) => items.extend(more),
            _ => items.push(old.node),
        },
        Some(_) => {}
        None => drop(tool.insert(OLD[0].to_owned(), old)),
    }
}

fn add_settings(tool: &mut IndexMap<String, Entry>, old: Entry) {
    match (tool.get_mut(OLD[1]).map(|entry| &mut entry.node.value), old.node.value.clone()) {
        (Some(Value::Map(newer)), Value::Map(mut settings)) => {
            settings.extend(std::mem::take(newer));
            *newer = settings;
        }
        (Some(_), _) => {}
        (None, _) => drop(tool.insert(OLD[1].to_owned(), old)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::document::{parse_document, to_json};

    fn moved(text: &str) -> String {
        let mut root = parse_document("d", text).unwrap().root;
        move_old_properties(&mut root);
        to_json(&root).to_string()
    }

    #[test]
    fn old_properties_become_those_of_vs_code() {
        assert_eq!(
            moved(r#"{"image": "x", "extensions": ["a"], "settings": {"k": 1}, "devPort": 1}"#),
            r#"{"image":"x","customizations":{"vscode":{"extensions":["a"],"settings":{"k":1},"devPort":1}}}"#
        );
    }

    #[test]
    fn what_is_said_in_the_new_way_counts_more() {
        assert_eq!(
            moved(
                r#"{"customizations": {"vscode": {"extensions": ["n"], "settings": {"k": 2, "l": 3}, "devPort": 5}},
                    "extensions": ["o"], "settings": {"k": 1, "m": 4}, "devPort": 6}"#
            ),
            r#"{"customizations":{"vscode":{"extensions":["n","o"],"settings":{"k":2,"m":4,"l":3},"devPort":5}},"devPort":6}"#
        );
    }

    #[test]
    fn a_file_without_them_stays_as_it_is() {
        for text in [r#"{"image":"x"}"#, "[1]", r#"{"customizations":{"other":1}}"#] {
            assert_eq!(moved(text), text);
        }
    }
}
