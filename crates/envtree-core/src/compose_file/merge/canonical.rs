//! The one form that Compose gives the services of a file once they are read.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Rule, entry, normal};
use crate::compose_file::node::{Node, Value};

/// Brings short forms of a tree's services into the long ones that later files merge with.
///
/// A list with doubles stays as it is, because only a list can be refused for them.
pub fn canonical(tree: &mut Node) {
    let Value::Map(entries) = &mut tree.value else { return };
    let Some(Value::Map(services)) = entries.get_mut("services").map(|entry| &mut entry.node.value) else {
        return;
    };
    for service in services.values_mut() {
        in_long_form(&mut service.node, "depends_on", |node| normal(node, Rule::Dependencies));
        in_long_form(&mut service.node, "networks", |node| normal(node, Rule::Names));
        in_long_form(&mut service.node, "gpus", gpus);
        in_long_form(&mut service.node, "build", |node| {
            let mut build = normal(node, Rule::Build);
            for key in ["ssh", "additional_contexts"] {
                in_long_form(&mut build, key, |node| normal(node, Rule::KeyValues));
            }
            build
        });
    }
}

fn in_long_form(node: &mut Node, key: &str, form: impl FnOnce(Node) -> Node) {
    let Value::Map(entries) = &mut node.value else { return };
    let Some(entry) = entries.get_mut(key) else { return };
    if has_doubles(&entry.node) {
        return;
    }
    let nothing = Node { place: entry.node.place.clone(), tag: None, value: Value::Null };
    entry.node = form(std::mem::replace(&mut entry.node, nothing));
}

fn has_doubles(node: &Node) -> bool {
    let Value::List(items) = &node.value else { return false };
    let mut known = BTreeSet::new();
    items.iter().any(|item| matches!(&item.value, Value::Text(text) if !known.insert(text)))
}

/// Makes a list of `gpus: all`.
fn gpus(node: Node) -> Node {
    if !matches!(&node.value, Value::Text(text) if text == "all") {
        return node;
    }
    let place = node.place.clone();
    let settings = Value::Map(IndexMap::from([("count".to_owned(), entry(node))]));
    let item = Node { place: place.clone(), tag: None, value: settings };
    Node { place, tag: None, value: Value::List(vec![item]) }
}
