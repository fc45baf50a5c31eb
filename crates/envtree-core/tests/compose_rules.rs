//! What the Compose specification promises of merges and of interpolation, on generated input.

use envtree_core::compose_file::interpolate::interpolate_text;
use envtree_core::compose_file::merge::{finish, merge};
use envtree_core::compose_file::node::{Node, Value};
use envtree_core::compose_file::parse::parse;
use proptest::prelude::*;
use serde_json::json;

/// A service as YAML in flow style, of keys with every rule of merging that holds in any grouping.
fn service() -> impl Strategy<Value = String> {
    let names = || prop::collection::vec("[ab]", 1..3).prop_map(|names| names.join(", "));
    let pairs = || {
        prop::collection::vec(("[abc]", 0..9_u8), 1..4).prop_map(|pairs| {
            let unique: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
            unique.iter().map(|(name, value)| format!("{name}: '{value}'")).collect::<Vec<_>>().join(", ")
        })
    };
    let setting = prop_oneof![
        "[ab]".prop_map(|image| ("image", image)),
        names().prop_map(|words| ("command", format!("[{words}]"))),
        names().prop_map(|names| ("dns", format!("[{names}]"))),
        names().prop_map(|names| ("cap_add", format!("[{names}]"))),
        names().prop_map(|names| ("profiles", format!("[{names}]"))),
        pairs().prop_map(|pairs| ("environment", format!("{{{pairs}}}"))),
        pairs().prop_map(|pairs| ("labels", format!("{{{pairs}}}"))),
        (1..3_u8, 1..3_u8).prop_map(|(host, port)| ("ports", format!("['{host}:{port}']"))),
        ("[ab]", "[ab]").prop_map(|(source, target)| ("volumes", format!("['./{source}:/{target}']"))),
        "[ab]".prop_map(|test| ("healthcheck", format!("{{test: [CMD, {test}]}}"))),
        "[ab]".prop_map(|name| ("networks", format!("{{{name}: {{aliases: [{name}]}}}}"))),
    ];
    prop::collection::vec(setting, 0..6).prop_map(|settings| {
        let unique: std::collections::BTreeMap<_, _> = settings.into_iter().collect();
        let settings: Vec<_> = unique.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", settings.join(", "))
    })
}

fn file() -> impl Strategy<Value = Node> {
    (service(), service()).prop_map(|(one, two)| {
        parse("compose.yaml", &format!("services: {{one: {one}, two: {two}}}")).expect("it is valid YAML")
    })
}

/// Returns a tree without places.
fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => json!(null),
        Value::Bool(value) => json!(value),
        Value::Number(text) | Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.node))).collect(),
    }
}

/// A piece of a text with variables, and what it comes to.
#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Dollar,
    Bare(&'static str),
    Braced(&'static str),
    /// An operator with what stands behind it.
    Rule(&'static str, &'static str, Vec<Piece>),
}

/// A set variable, an empty one and two that are not set.
const NAMES: [&str; 4] = ["SET", "EMPTY", "NONE", "none_2"];

fn value(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let name = || prop::sample::select(&NAMES[..]);
    let leaf = prop_oneof![
        "[a-z ./:=-]{0,5}".prop_map(Piece::Literal),
        Just(Piece::Dollar),
        name().prop_map(Piece::Bare),
        name().prop_map(Piece::Braced),
    ];
    let piece = leaf.prop_recursive(3, 16, 3, move |inner| {
        let operator = prop::sample::select(vec![":-", "-", ":+", "+", ":?", "?"]);
        (name(), operator, prop::collection::vec(inner, 0..3))
            .prop_map(|(name, operator, operand)| Piece::Rule(name, operator, operand))
    });
    prop::collection::vec(piece, 0..5)
}

fn written(pieces: &[Piece]) -> String {
    let write = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Dollar => "$$".to_owned(),
        // The dot ends the name, whatever follows.
        Piece::Bare(name) => format!("${name}."),
        Piece::Braced(name) => format!("${{{name}}}"),
        Piece::Rule(name, operator, operand) => format!("${{{name}{operator}{}}}", written(operand)),
    };
    pieces.iter().map(write).collect()
}

/// Returns what the pieces come to, or nothing if a required variable is missing.
fn meant(pieces: &[Piece]) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Dollar => text.push('$'),
            Piece::Bare(name) => text.extend([value(name).unwrap_or_default().as_str(), "."]),
            Piece::Braced(name) => text.push_str(&value(name).unwrap_or_default()),
            Piece::Rule(name, operator, operand) => {
                let operand = meant(operand)?;
                let found = value(name);
                let counts = match operator.strip_prefix(':') {
                    Some(_) => found.as_ref().is_some_and(|value| !value.is_empty()),
                    None => found.is_some(),
                };
                let found = found.unwrap_or_default();
                match (operator.trim_start_matches(':'), counts) {
                    ("-", false) | ("+", true) => text.push_str(&operand),
                    ("?", false) => return None,
                    _ => text.push_str(&found),
                }
            }
        }
    }
    Some(text)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_merge_to_the_same_in_any_grouping(one in file(), two in file(), three in file()) {
        let left = merge(merge(one.clone(), two.clone()).unwrap(), three.clone()).unwrap();
        let right = merge(one, merge(two, three).unwrap()).unwrap();
        prop_assert_eq!(plain(&left), plain(&right));
    }

    #[test]
    fn a_file_over_nothing_is_itself(file in file()) {
        let nothing = parse("compose.yaml", "{}").unwrap();
        let merged = merge(nothing, file.clone()).unwrap();
        prop_assert_eq!(plain(&merged), plain(&finish(file)));
    }

    #[test]
    fn interpolation_does_as_a_simple_reference(pieces in pieces()) {
        let text = written(&pieces);
        let filled = interpolate_text(&text, &value).ok().map(|interpolated| interpolated.text);
        prop_assert_eq!(filled, meant(&pieces), "{}", text);
    }
}
