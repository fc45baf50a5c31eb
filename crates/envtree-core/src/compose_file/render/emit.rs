//! Writes a tree as YAML in block style.

use std::fmt::Write;

use serde_json::Value;

/// Returns the mapping `value` as a YAML document. In values, not in keys, `$` is doubled.
pub(super) fn emit(value: &Value) -> String {
    let mut text = String::new();
    emit_block(&mut text, value, 0);
    text
}

/// Writes the lines of a mapping or list that holds something; the first is indented by the caller.
fn emit_block(text: &mut String, value: &Value, indent: usize) {
    let mut is_first = true;
    let mut begin_line = |text: &mut String| {
        if !std::mem::take(&mut is_first) {
            text.push_str(&" ".repeat(indent));
        }
    };
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                begin_line(text);
                text.push_str(&scalar(key));
                text.push(':');
                emit_after_key(text, value, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                begin_line(text);
                text.push('-');
                if is_block(item) {
                    text.push(' ');
                    emit_block(text, item, indent + 2);
                } else {
                    emit_inline(text, item);
                }
            }
        }
        _ => emit_inline(text, value),
    }
}

fn emit_after_key(text: &mut String, value: &Value, indent: usize) {
    if is_block(value) {
        text.push('\n');
        text.push_str(&" ".repeat(indent + 2));
        emit_block(text, value, indent + 2);
    } else {
        emit_inline(text, value);
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => false,
    }
}

fn emit_inline(text: &mut String, value: &Value) {
    let written = match value {
        Value::String(value) => scalar(&value.replace('$', "$$")),
        other => other.to_string(),
    };
    text.push(' ');
    text.push_str(&written);
    text.push('\n');
}

/// Writes a text, in quotes unless every YAML reader takes it for a text without them.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if character.is_control() || matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                write!(quoted, "\\u{:04x}", u32::from(character)).expect("writing to a string does not fail");
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn is_plain(text: &str) -> bool {
    // What YAML 1.1 reads as a boolean or as nothing.
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let flag = text.strip_prefix('-').unwrap_or(text);
    flag.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '_' | '$'))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '=' | '$'))
        && !text.ends_with(':')
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_nest_and_empty_ones_stay_inline() {
        let value = json!({"a": {"b": [{"c": 1, "d": [true]}, [], {}]}, "e": null});
        assert_eq!(
            emit(&value),
            "a:\n  b:\n    - c: 1\n      d:\n        - true\n    - []\n    - {}\ne: null\n"
        );
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for text in ["no", "1", "1.5", "", " a", "a: b", "- a", "a #b", "~", "0x1", "a\nb", "a:", "\u{85}"] {
            assert!(scalar(text).starts_with('"'), "{text}");
            let read: Value = serde_yaml::from_str(&scalar(text)).unwrap();
            assert_eq!(read, Value::String(text.to_owned()));
        }
        assert_eq!(scalar("postgres:17"), "postgres:17");
    }

    #[test]
    fn a_dollar_is_doubled_in_values_only() {
        assert_eq!(emit(&json!({"a$": "$b"})), "a$: $$b\n");
    }
}
