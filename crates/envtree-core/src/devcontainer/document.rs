//! JSON with comments as a tree of [`Node`]s that know their places.
//!
//! Comments, trailing commas and a byte order mark are allowed, as in VS Code; what else deviates from JSON is an error.

use std::sync::Arc;

use indexmap::IndexMap;
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Value as Json;

use crate::compose_file::node::{Diagnostic, Entry, Node, Place, Value};

/// How deep arrays and objects may be nested.
const DEPTH_LIMIT: usize = 100;
/// How many bytes a text may have.
const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// A document, and what its author should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The value that the text holds.
    pub root: Node,
    /// Keys that stand twice in an object.
    pub warnings: Vec<Diagnostic>,
}

/// Returns the document that `text` holds; `file` is named in its places.
///
/// Of a key that stands twice in an object the last value counts, as in every reader of JSON.
pub fn parse_document(file: &str, text: &str) -> Result<Document, Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(file, text);
    if text.len() > TEXT_LIMIT {
        let limit = TEXT_LIMIT / 1024 / 1024;
        return Err(lines.diagnostic(0, format!("the file has more than {limit} MiB")));
    }
    if let Some(offset) = too_deep(text) {
        return Err(
            lines.diagnostic(offset, format!("more than {DEPTH_LIMIT} arrays and objects are nested"))
        );
    }
    let options = ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| lines.diagnostic(error.range().start, lower_case(&error.kind().to_string())))?;
    let value = parsed.value.ok_or_else(|| lines.diagnostic(0, "the file is empty; expected an object"))?;
    let mut builder = Builder { lines, warnings: Vec::new() };
    let root = builder.node(value);
    Ok(Document { root, warnings: builder.warnings })
}

/// Returns the value of a node as JSON, without its places.
pub fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(text) => text.parse().map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            let members = entries.iter().map(|(key, entry)| (key.clone(), to_json(&entry.node)));
            Json::Object(members.collect())
        }
    }
}

/// Returns a value as a node all of which stands at `place`.
pub fn of_json(value: &Json, place: &Place) -> Node {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number.to_string()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| of_json(item, place)).collect()),
        Json::Object(members) => {
            let entry = |value| Entry { key_place: place.clone(), node: of_json(value, place) };
            Value::Map(members.iter().map(|(key, value)| (key.clone(), entry(value))).collect())
        }
    };
    Node { place: place.clone(), tag: None, value }
}

/// Returns where the first bracket stands that is nested too deep; brackets in strings and comments do not count.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'/' if bytes.next_if(|(_, next)| *next == b'/').is_some() => {
                while bytes.next_if(|(_, byte)| !matches!(byte, b'\n' | b'\r')).is_some() {}
            }
            b'/' if bytes.next_if(|(_, next)| *next == b'*').is_some() => {
                let mut last = 0;
                for (_, byte) in bytes.by_ref() {
                    if (last, byte) == (b'*', b'/') {
                        break;
                    }
                    last = byte;
                }
            }
            b'[' | b'{' if depth == DEPTH_LIMIT => return Some(offset),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn lower_case(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// Knows in which line an offset lies.
struct Lines<'text> {
    file: Arc<str>,
    text: &'text str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'text> Lines<'text> {
    fn new(file: &str, text: &'text str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(offset, _)| offset + 1)).collect();
        Self { file: Arc::from(file), text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Place { file: self.file.clone(), line: count(line), column: count(column) }
    }

    fn diagnostic(&self, offset: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic { place: self.place(offset), message: message.into() }
    }
}

struct Builder<'text> {
    lines: Lines<'text>,
    warnings: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn place(&self, range: Range) -> Place {
        self.lines.place(range.start)
    }

    fn node(&mut self, value: ast::Value<'_>) -> Node {
        let place = self.place(value.range());
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            ast::Value::NumberLit(literal) => Value::Number(literal.value.to_owned()),
            ast::Value::StringLit(literal) => Value::Text(literal.value.into_owned()),
            ast::Value::Array(array) => {
                Value::List(array.elements.into_iter().map(|item| self.node(item)).collect())
            }
            ast::Value::Object(object) => Value::Map(self.entries(object)),
        };
        Node { place, tag: None, value }
    }

    fn entries(&mut self, object: ast::Object<'_>) -> IndexMap<String, Entry> {
        let mut entries: IndexMap<String, Entry> = IndexMap::new();
        for member in object.properties {
            let key_place = self.place(member.name.range());
            let key = match member.name {
                ObjectPropName::String(literal) => literal.value.into_owned(),
                ObjectPropName::Word(word) => word.value.to_owned(),
            };
            let node = self.node(member.value);
            if let Some(earlier) = entries.get(&key) {
                let line = earlier.key_place.line;
                let message = format!("`{key}` stands in line {line} already; the last one counts");
                self.warnings.push(Diagnostic { place: key_place.clone(), message });
            }
            entries.insert(key, Entry { key_place, node });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse_document("devcontainer.json", text).unwrap_err().to_string()
    }

    #[test]
    fn comments_and_trailing_commas_are_allowed() {
        let text = "\u{feff}// a\n{\n  /* b */ \"image\": \"x\", // c\n  \"runArgs\": [\"--init\",],\n}\n";
        let document = parse_document("devcontainer.json", text).unwrap();
        assert_eq!(to_json(&document.root).to_string(), r#"{"image":"x","runArgs":["--init"]}"#);
        let entry = document.root.entry("runArgs").unwrap();
        assert_eq!(entry.key_place.to_string(), "devcontainer.json:4:3");
        assert_eq!(entry.node.place.to_string(), "devcontainer.json:4:14");
    }

    #[test]
    fn columns_are_characters() {
        let document = parse_document("d", "{\"ä\": \"ü\", \"b\": 1}").unwrap();
        assert_eq!(document.root.entry("b").unwrap().node.place.column, 17);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        assert_eq!(fault(""), "devcontainer.json:1:1: the file is empty; expected an object");
        assert_eq!(fault("// nothing"), "devcontainer.json:1:1: the file is empty; expected an object");
        for (text, place) in [
            ("{\n  image: 1}", "devcontainer.json:2:3: "),
            ("{\n  \"a\": 1\n  \"b\": 2}", "devcontainer.json:2:"),
            ("{\"a\": 'x'}", "devcontainer.json:1:7: "),
            ("{\"a\": 0x1}", "devcontainer.json:1:"),
            ("{\"a\": 1}\n{}", "devcontainer.json:2:1: "),
            ("{\"a\": \"x", "devcontainer.json:1:7: "),
        ] {
            assert!(fault(text).starts_with(place), "{text}: {}", fault(text));
        }
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_counts() {
        let document = parse_document("d", "{\"a\": 1,\n\"b\": 2, \"a\": 3}").unwrap();
        assert_eq!(to_json(&document.root).to_string(), r#"{"a":3,"b":2}"#);
        let warnings: Vec<String> = document.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["d:2:9: `a` stands in line 1 already; the last one counts"]);
    }

    #[test]
    fn only_so_many_brackets_are_nested() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_document("d", &nested(DEPTH_LIMIT)).is_ok());
        assert!(fault(&nested(DEPTH_LIMIT + 1)).contains(":1:101: more than 100"));
        assert!(fault(&"{\"a\":".repeat(100_000)).contains("more than 100"));
        let quoted = format!("[\"\\\"{0}\", /* {0} */\n// {0}\n1]", "[".repeat(200));
        assert!(parse_document("d", &quoted).is_ok());
    }

    #[test]
    fn a_value_becomes_a_node_and_a_value_again() {
        let value = serde_json::json!({"a": [1, 2.5, null, true], "b": {"c": "d"}});
        let place = Place::of_whole("label");
        let node = of_json(&value, &place);
        assert_eq!(to_json(&node), value);
        assert_eq!(node.entry("b").unwrap().node.entry("c").unwrap().node.place, place);
    }
}
