//! Reading configuration never panics, whatever is in the files.

use envtree_core::compose_file::assemble::{Assembled, Files, Lookup, Source, assemble};
use envtree_core::compose_file::dotenv::parse_dotenv;
use envtree_core::compose_file::interpolate::{interpolate, interpolate_text};
use envtree_core::compose_file::node::{Diagnostic, Node, Value};
use envtree_core::compose_file::parse::parse;
use envtree_core::nearest::nearest;
use envtree_core::settings::machine::parse_machine_settings;
use envtree_core::settings::parse_settings;
use indexmap::IndexMap;
use proptest::prelude::*;

fn lookup(name: &str) -> Option<String> {
    name.len().is_multiple_of(2).then(|| "$value".to_owned())
}

/// What means something in YAML, in references or in env files.
const PIECES: &[&str] = &[
    "a",
    "b",
    "key",
    "services",
    "services:\n  a:\n    extends: ",
    "include: [",
    "file: x",
    "ports: [80]",
    "volumes: ['./a:/a']",
    "environment",
    "env",
    "set",
    "hooks",
    "apps",
    "web",
    "port",
    "3000",
    "0440",
    "1.10",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    " ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "#",
    " # ",
    "---\n",
    "...\n",
    "? ",
    "~",
    "true",
    "$",
    "${",
    "${A",
    ":-",
    "-",
    ":?",
    "+",
    "=",
    "export ",
    "\r\n",
    "\u{feff}",
    "é",
    "\u{85}",
    "%YAML 1.2\n",
    "@",
    "`",
];

fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..40);
    pieces.prop_map(|pieces| pieces.concat())
}

/// The same text under every path, so that it includes and extends itself.
struct Everywhere<'a>(&'a str);

impl Files for Everywhere<'_> {
    fn is_folder(&self, path: &str) -> Result<bool, String> {
        Ok(path.len().is_multiple_of(2))
    }

    fn text(&self, _: &str) -> Result<Option<String>, String> {
        Ok(Some(self.0.to_owned()))
    }

    fn variables(&self, path: &str, lookup: &Lookup<'_>) -> Result<Option<IndexMap<String, String>>, String> {
        let read = parse_dotenv(path, self.0, lookup).map_err(|error| error.to_string())?;
        Ok(Some(read.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()))
    }

    fn display(&self, path: &str) -> String {
        path.to_owned()
    }

    fn filled(&self, _: &str, _: &str) {}
}

/// Reads a Compose file that may include and extend itself.
fn read_project(text: &str) -> Result<Assembled, Diagnostic> {
    let path = "/w/compose.yaml".to_owned();
    let source = Source { display: path.clone(), path, text: text.to_owned() };
    assemble(&[source.clone(), source], "/w", &lookup, &Everywhere(text))
}

fn read_everything(text: &str) -> Result<(), TestCaseError> {
    if let Ok(mut node) = parse("file", text) {
        places_are_inside(&node, text)?;
        let _ = interpolate(&mut node, text, &lookup, &|_| String::new());
    }
    for message in [
        parse("file", text).err(),
        parse_settings("file", text).err(),
        parse_machine_settings("file", text).err(),
        parse_dotenv("file", text, &lookup).err(),
    ]
    .into_iter()
    .flatten()
    {
        prop_assert!(!message.message.contains(char::is_control), "{message}");
    }
    if let Err(message) = read_project(text) {
        prop_assert!(!message.message.contains(char::is_control), "{message}");
    }
    let _ = interpolate_text(text, &lookup);
    let _ = nearest(text, ["services", "volumes", text]);
    Ok(())
}

fn places_are_inside(node: &Node, text: &str) -> Result<(), TestCaseError> {
    let lines = u32::try_from(text.split(['\n', '\r']).count()).expect("the texts are short");
    prop_assert!((1..=lines + 1).contains(&node.place.line));
    match &node.value {
        Value::List(items) => items.iter().try_for_each(|item| places_are_inside(item, text)),
        Value::Map(entries) => entries.values().try_for_each(|entry| places_are_inside(&entry.node, text)),
        _ => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in any::<String>()) {
        read_everything(&text)?;
    }

    #[test]
    fn no_printable_text_makes_a_reader_panic(text in "[ -~\n\t]{0,80}") {
        read_everything(&text)?;
    }

    #[test]
    fn no_yaml_like_text_makes_a_reader_panic(text in yaml_like()) {
        read_everything(&text)?;
    }

    #[test]
    fn a_text_without_dollar_signs_is_left_alone(text in "[^$]*") {
        let interpolated = interpolate_text(&text, &lookup).expect("there is no reference");
        prop_assert_eq!(interpolated.text, text);
    }

    #[test]
    fn doubled_dollar_signs_protect_any_text(text in any::<String>()) {
        let protected = text.replace('$', "$$");
        let interpolated = interpolate_text(&protected, &lookup).expect("there is no reference");
        prop_assert_eq!(interpolated.text, text);
    }

    #[test]
    fn a_quoted_text_comes_back_unchanged(text in "[ -~]{0,40}") {
        let quoted = format!("'{}'", text.replace('\'', "''"));
        let node = parse("file", &quoted).expect("quotes protect everything printable");
        prop_assert_eq!(node.value, Value::Text(text));
    }

    #[test]
    fn a_word_is_nearest_to_itself(word in "[a-z]{1,12}", other in "[a-z]{1,12}") {
        prop_assert_eq!(nearest(&word, [other.as_str(), word.as_str()]), Some(word.as_str()));
    }
}
