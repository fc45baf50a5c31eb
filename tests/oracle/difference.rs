//! Two models side by side: one line for each place where they differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Returns where `ours` differs from `theirs`.
pub(crate) fn differences(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", Some(theirs), Some(ours), &mut lines);
    lines
}

fn compare(path: &str, theirs: Option<&Value>, ours: Option<&Value>, lines: &mut Vec<String>) {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs == ours => {}
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            for key in keys(theirs, ours) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, theirs.get(key), ours.get(key), lines);
            }
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => {
            for index in 0..theirs.len().max(ours.len()) {
                compare(&format!("{path}[{index}]"), theirs.get(index), ours.get(index), lines);
            }
        }
        _ => lines.push(format!("{path}: Compose {}, envtree {}", shown(theirs), shown(ours))),
    }
}

fn keys<'a>(theirs: &'a Map<String, Value>, ours: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    theirs.keys().chain(ours.keys()).collect()
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
