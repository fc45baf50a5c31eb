//! Trees for tests, written as YAML.
//!
//! A mapping of the single key `!reset` or `!override` stands for its value with that tag. Every key and item stands on
//! a line of its own, counted in the order of the text.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::node::{Entry, MergeTag, Node, Place, Value};

/// Returns the tree of a YAML text.
pub(crate) fn node(yaml: &str) -> Node {
    build(serde_yaml::from_str(yaml).expect("valid YAML"), &mut 0)
}

fn build(json: Json, line: &mut u32) -> Node {
    let place = Place { file: Arc::from("compose.yaml"), line: (*line).max(1), column: 1 };
    if let Json::Object(map) = &json {
        for (key, tag) in [("!reset", MergeTag::Reset), ("!override", MergeTag::Override)] {
            if let Some(inner) = map.get(key) {
                return Node { tag: Some(tag), ..build(inner.clone(), line) };
            }
        }
    }
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => Value::Number(number.to_string()),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    *line += 1;
                    build(item, line)
                })
                .collect(),
        ),
        Json::Object(map) => {
            Value::Map(map.into_iter().map(|(key, value)| entry(key, value, line)).collect())
        }
    };
    Node { place, tag: None, value }
}

fn entry(key: String, value: Json, line: &mut u32) -> (String, Entry) {
    *line += 1;
    let node = build(value, line);
    let key_place = Place { line: *line, ..node.place.clone() };
    (key, Entry { key_place, node })
}

/// Returns a tree as JSON, on which it is easy to look.
pub(crate) fn json(node: &Node) -> Json {
    assert_eq!(node.tag, None, "no tag outlives a merge");
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(text) => text.parse().map_or_else(|_| Json::String(text.clone()), Json::Number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => Json::Object(
            entries.iter().map(|(key, entry)| (key.clone(), json(&entry.node))).collect::<Map<_, _>>(),
        ),
    }
}
