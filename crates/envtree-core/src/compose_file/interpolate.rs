//! Fills `$NAME` and `${NAME…}` in as Compose does.
//!
//! `$$` is a dollar sign, and so is a `$` before anything but a name or `{`. As in Compose 2.26, a default is looked at
//! whether it is used or not: a required variable in it must be set, which the specification does not ask for.
//! Messages show names and syntax, never a variable's value, but for those that the message of a required variable names.

use super::fault::Fault;
use super::node::{Diagnostic, Node, Place, Value};
use super::scalar::normal_number;
use place::Lines;
pub use unset::Unset;

mod place;
mod unset;

/// How deep defaults may be nested in defaults.
const DEPTH_LIMIT: usize = 50;
/// How many bytes a text, or all texts of a file together, may have once they are filled in.
const SIZE_LIMIT: usize = 16 * 1024 * 1024;
/// How many variables without value are named for one text.
const UNSET_LIMIT: usize = 100;

/// A text whose variables are filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interpolated {
    /// The text.
    pub text: String,
    /// The variables without value and without default, each once, in the order of the text.
    pub unset: Vec<String>,
}

/// Fills in the variables of every text under `node`, keys excepted; numbers are written as Compose writes them.
///
/// `text` is the file's, in which the places of variables are found. `known` returns what messages are to say in the end
/// of a variable that is not set. Returns the variables that are not set and have no default.
pub fn interpolate(
    node: &mut Node,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    known: &dyn Fn(&str) -> String,
) -> Result<Unset, Diagnostic> {
    let mut walk = Walk { lines: Lines::of(text), lookup, known, unset: Unset::default(), size: 0 };
    match walk.node(node) {
        Ok(()) => Ok(walk.unset),
        Err(fault) => Err(fault.diagnostic()),
    }
}

/// A tree on the way to being filled in.
struct Walk<'a> {
    lines: Lines<'a>,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Returns what messages say in the end of a variable that is not set.
    known: &'a dyn Fn(&str) -> String,
    unset: Unset,
    /// How many bytes were filled in so far.
    size: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node) -> Result<(), Fault> {
        match &mut node.value {
            Value::List(items) => items
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, item)| self.node(item).map_err(|fault| fault.within_item(index))),
            Value::Map(entries) => entries
                .iter_mut()
                .try_for_each(|(key, entry)| self.node(&mut entry.node).map_err(|fault| fault.within(key))),
            Value::Text(text) if text.contains('$') => {
                let filled = self.filled(&node.place, text)?;
                node.value = Value::Text(filled);
                Ok(())
            }
            Value::Number(text) => {
                *text = normal_number(text);
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Text(_) => Ok(()),
        }
    }

    /// Returns a text with its variables filled in, given where it begins.
    fn filled(&mut self, place: &Place, text: &str) -> Result<String, Fault> {
        let at = |index: usize| self.lines.of_dollar(place, text[..index].matches('$').count());
        let mut filled = Interpolated::default();
        fill(text, self.lookup, &mut filled, 0).map_err(|malformed| {
            let Malformed { index, message, missing } = malformed;
            let known = missing.map(|name| (self.known)(&name)).unwrap_or_default();
            Fault::at(at(index), message + &known)
        })?;
        self.size = self.size.saturating_add(filled.text.len());
        if self.size > SIZE_LIMIT {
            return Err(Fault::at(place.clone(), too_long()));
        }
        for name in filled.unset {
            self.unset.note(name, place, |name| at(mention(text, name)), self.known);
        }
        Ok(filled.text)
    }
}

fn too_long() -> String {
    format!("the variables up to here stand for more than {} MiB", SIZE_LIMIT / 1024 / 1024)
}

/// Fills in the variables of `text`; the error says what is malformed or missing.
pub fn interpolate_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Interpolated, String> {
    let mut interpolated = Interpolated::default();
    match fill(text, lookup, &mut interpolated, 0) {
        Ok(()) => Ok(interpolated),
        Err(malformed) => Err(malformed.message),
    }
}

/// What is malformed or missing in a text.
struct Malformed {
    /// Where its `$` stands.
    index: usize,
    message: String,
    /// The required variable that has no value.
    missing: Option<String>,
}

impl From<String> for Malformed {
    fn from(message: String) -> Self {
        Self { index: 0, message, missing: None }
    }
}

fn fill(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut Interpolated,
    depth: usize,
) -> Result<(), Malformed> {
    if depth > DEPTH_LIMIT {
        return Err(format!("defaults are nested deeper than {DEPTH_LIMIT} levels").into());
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let index = text.len() - after.len() - 1;
        let malformed = |fault: Malformed| Malformed { index, ..fault };
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = Reference::parse(after).map_err(|message| malformed(message.into()))?;
            reference.fill(lookup, out, depth).map_err(malformed)?;
            rest = after;
        } else {
            let name = name_at_start(after);
            if name.is_empty() {
                out.text.push('$');
            } else {
                push_variable(name, lookup, out);
            }
            rest = &after[name.len()..];
        }
        if out.text.len() > SIZE_LIMIT {
            return Err(malformed(too_long().into()));
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// Returns where `text` refers to the variable `name` for the first time.
pub(super) fn mention(text: &str, name: &str) -> usize {
    let mut dollars = text.match_indices('$').map(|(index, _)| index);
    while let Some(index) = dollars.next() {
        let after = &text[index + 1..];
        if after.starts_with('$') {
            dollars.next();
        } else if name_at_start(after.strip_prefix('{').unwrap_or(after)) == name {
            return index;
        }
    }
    0
}

/// What stands in `${…}`.
struct Reference<'text> {
    name: &'text str,
    rule: Option<Rule<'text>>,
}

/// What follows the name: `:-default`, `?message`, ….
struct Rule<'text> {
    operator: char,
    /// A colon stands before the operator: an empty value counts as unset.
    empty_is_unset: bool,
    operand: &'text str,
}

impl<'text> Reference<'text> {
    /// Splits the text behind `${` into the reference and what follows its `}`.
    fn parse(text: &'text str) -> Result<(Self, &'text str), String> {
        let name = name_at_start(text);
        if name.is_empty() {
            return Err(
                "`${` stands before something that is no variable name; `$$` writes a dollar sign".to_owned()
            );
        }
        let after = &text[name.len()..];
        if let Some(after) = after.strip_prefix('}') {
            return Ok((Self { name, rule: None }, after));
        }
        let (empty_is_unset, symbol) = match after.strip_prefix(':') {
            Some(symbol) => (true, symbol),
            None => (false, after),
        };
        let Some(operator) = symbol.chars().next().filter(|first| "-?+".contains(*first)) else {
            return Err(if after.is_empty() {
                format!("`${{{name}` is not closed by `}}`")
            } else {
                format!(
                    "`${{{name}` goes on with something other than `}}`, `:-`, `-`, `:?`, `?`, `:+` or `+`"
                )
            });
        };
        let operand = &symbol[1..];
        let colon = if empty_is_unset { ":" } else { "" };
        let end = closing_brace(operand)
            .ok_or_else(|| format!("`${{{name}{colon}{operator}…` is not closed by `}}`"))?;
        let rule = Some(Rule { operator, empty_is_unset, operand: &operand[..end] });
        Ok((Self { name, rule }, &operand[end + 1..]))
    }

    fn fill(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
        out: &mut Interpolated,
        depth: usize,
    ) -> Result<(), Malformed> {
        let Some(rule) = &self.rule else {
            push_variable(self.name, lookup, out);
            return Ok(());
        };
        let mut operand = Interpolated { text: String::new(), unset: Vec::new() };
        fill(rule.operand, lookup, &mut operand, depth + 1)?;
        for name in operand.unset {
            note_unset(&name, out);
        }
        let value = lookup(self.name);
        let counts = value.as_ref().is_some_and(|value| !(rule.empty_is_unset && value.is_empty()));
        match rule.operator {
            '+' if counts => out.text.push_str(&operand.text),
            '-' if !counts => out.text.push_str(&operand.text),
            '?' if !counts => return Err(self.missing(value.is_some(), &operand.text)),
            _ => out.text.push_str(&value.unwrap_or_default()),
        }
        Ok(())
    }

    /// Returns the error about a required variable, with its message.
    fn missing(&self, is_set: bool, message: &str) -> Malformed {
        let state = if is_set { "empty" } else { "not set" };
        let name = self.name;
        let mut said = format!("required variable `{name}` is {state}");
        if !message.is_empty() {
            said = format!("{said}: {}", message.replace(char::is_control, " "));
        }
        let missing = (!is_set).then(|| name.to_owned());
        Malformed { index: 0, message: said, missing }
    }
}

/// Returns where the `}` stands that closes a reference, given the text behind its operator.
///
/// As in Compose, the closing brace stands in the same line, every `{` wants its own `}`, and where the braces do not
/// pair up, the last `}` closes the reference.
fn closing_brace(operand: &str) -> Option<usize> {
    let line = operand.split('\n').next().unwrap_or_default();
    let last = line.rfind('}')?;
    let mut open = 1;
    let mut bytes = line.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'}' if open == 1 => return Some(index),
            b'}' => open -= 1,
            b'{' => {
                open += 1;
                // The byte behind a `{` is not looked at: Compose takes `{}` for two opening braces.
                bytes.next();
            }
            _ => {}
        }
    }
    Some(last)
}

/// Returns the longest variable name that `text` begins with.
fn name_at_start(text: &str) -> &str {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return "";
    }
    let end = text
        .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .unwrap_or(text.len());
    &text[..end]
}

fn push_variable(name: &str, lookup: &dyn Fn(&str) -> Option<String>, out: &mut Interpolated) {
    match lookup(name) {
        Some(value) => out.text.push_str(&value),
        None => note_unset(name, out),
    }
}

fn note_unset(name: &str, out: &mut Interpolated) {
    if out.unset.len() < UNSET_LIMIT && !out.unset.iter().any(|unset| unset == name) {
        out.unset.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose_file::parse::parse;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "FOO" => Some("first".to_owned()),
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn nothing(_: &str) -> String {
        String::new()
    }

    fn fill(text: &str) -> String {
        match interpolate_text(text, &lookup) {
            Ok(Interpolated { text, unset }) if unset.is_empty() => text,
            Ok(Interpolated { text, unset }) => format!("{text} (unset: {})", unset.join(", ")),
            Err(message) => format!("error: {message}"),
        }
    }

    fn fills_to(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(&fill(text), expected, "{text}");
        }
    }

    #[test]
    fn variables_and_dollar_signs_are_told_apart() {
        fills_to(&[
            ("$FOO-bar", "first-bar"),
            ("${FOO}${A}", "firsta"),
            ("{$FOO}", "{first}"),
            ("${FOO}}", "first}"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("$1", "$1"),
            ("$}", "$}"),
            ("$É", "$É"),
            ("$$FOO", "$FOO"),
            ("$$$FOO", "$first"),
            ("$$$$", "$$"),
            ("$${FOO}", "${FOO}"),
            ("$M $M", "  (unset: M)"),
            ("$foo_bar1-x", "-x (unset: foo_bar1)"),
        ]);
    }

    #[test]
    fn each_operator_does_as_compose_does() {
        fills_to(&[
            ("${M:-d}", "d"),
            ("${M-d}", "d"),
            ("${M:-}", ""),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${FOO:-$N}", "first (unset: N)"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${FOO:+r${A}}", "ra"),
            ("${M:+r$N}", " (unset: N)"),
            ("${EMPTY?msg}", ""),
            ("${M-a?b}", "a?b"),
            ("${M:-a:?b}", "a:?b"),
            ("${M+a-b}", ""),
        ]);
    }

    #[test]
    fn defaults_nest() {
        fills_to(&[
            ("${M:-${N:-d}x}y", "dxy"),
            ("${M:-$N}", " (unset: N)"),
            ("${M-${FOO} ${FOO}}", "first first"),
            ("${M:-$$FOO}", "$FOO"),
            ("${M:-$${FOO}}", "${FOO}"),
            ("${FOO:-${N:?x}}", "error: required variable `N` is not set: x"),
        ]);
    }

    #[test]
    fn braces_in_defaults_pair_up() {
        fills_to(&[
            ("${M-a}b}c", "ab}c"),
            ("${M:-a}b${FOO}c", "abfirstc"),
            ("${M:-{}}", "{}"),
            ("${M:-{a}}", "{a}"),
            ("${FOO:-{a}}", "first"),
            ("${M:-a{b}", "a{b"),
        ]);
    }

    #[test]
    fn a_missing_required_variable_is_an_error_with_its_message() {
        fills_to(&[
            ("${M?}", "error: required variable `M` is not set"),
            ("${EMPTY:?}", "error: required variable `EMPTY` is empty"),
            ("${M:?say $FOO}", "error: required variable `M` is not set: say first"),
            ("${M:?say ${N} $$ ${N:-${A}}}", "error: required variable `M` is not set: say  $ a"),
        ]);
    }

    #[test]
    fn malformed_references_are_errors_without_values() {
        let errors: Vec<_> = [
            "${",
            "${}",
            "${ FOO}",
            "${1}",
            "${FOO",
            "${FOO!}",
            "${FOO:hush}",
            "${FOO:-hush",
            "${M:-${}}",
            "${M:-a\nb}",
        ]
        .map(fill)
        .into();
        insta::assert_snapshot!(errors.join("\n"), @"
        error: `${` stands before something that is no variable name; `$$` writes a dollar sign
        error: `${` stands before something that is no variable name; `$$` writes a dollar sign
        error: `${` stands before something that is no variable name; `$$` writes a dollar sign
        error: `${` stands before something that is no variable name; `$$` writes a dollar sign
        error: `${FOO` is not closed by `}`
        error: `${FOO` goes on with something other than `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`
        error: `${FOO` goes on with something other than `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`
        error: `${FOO:-…` is not closed by `}`
        error: `${` stands before something that is no variable name; `$$` writes a dollar sign
        error: `${M:-…` is not closed by `}`
        ");
    }

    #[test]
    fn deeply_nested_defaults_are_an_error() {
        let text = "${M:-".repeat(10_000) + &"}".repeat(10_000);
        assert_eq!(fill(&text), "error: defaults are nested deeper than 50 levels");
    }

    #[test]
    fn variables_that_stand_for_too_much_are_an_error() {
        let huge = |_: &str| Some("x".repeat(1024 * 1024));
        let error = "the variables up to here stand for more than 16 MiB".to_owned();
        assert_eq!(interpolate_text(&"$A".repeat(100), &huge), Err(error.clone()));
        let text = "- $A\n".repeat(100);
        let mut node = parse("c.yaml", &text).unwrap();
        assert_eq!(
            interpolate(&mut node, &text, &huge, &nothing).unwrap_err().message,
            format!("`[16]`: {error}")
        );
    }

    #[test]
    fn a_variable_is_reported_where_it_stands_itself() {
        let places = |text: &str| {
            let mut node = parse("c.yaml", text).unwrap();
            match interpolate(&mut node, text, &lookup, &nothing) {
                Ok(unset) => unset
                    .warnings()
                    .iter()
                    .map(|it| format!("{}:{}", it.place.line, it.place.column))
                    .collect(),
                Err(error) => vec![format!("{}:{} {}", error.place.line, error.place.column, error.message)],
            }
        };
        for (text, expected) in [
            ("a: |\n  one\n  $$ $A two $M $$M\n", vec!["3:13"]),
            ("a: > # $5\n  one\n  ä $M\n\n  $N ${O:-$P}\n", vec!["3:5", "5:3", "5:11"]),
            ("a: &b !t |\n  one $M\nc: *b\n", vec!["2:7"]),
            ("\u{feff}a: one\n  two $M\n", vec!["2:7"]),
            ("a: 'one ''$M'\nb: \"\\x24N\"\n", vec!["1:11", "2:4"]),
            ("a: \"\\\" $A\\\n  $M\"\nb: $N\n", vec!["2:3", "3:4"]),
            ("a: |\r\n  one\r\n  $M\r\n", vec!["3:3"]),
            ("a: [b, |\n", vec![]),
        ] {
            let text = text.trim_end_matches("[b, |\n");
            assert_eq!(places(text), expected, "{text:?}");
        }
        assert_eq!(
            places("s:\n  - |\n    $A\n     ${M:?say}\n"),
            ["4:6 `s[0]`: required variable `M` is not set: say"]
        );
    }

    #[test]
    fn a_tree_keeps_its_keys_and_warns_once_a_variable() {
        let text = "$FOO: $FOO\nlist: [$M, '$M $N', 1]\n";
        let mut node = parse("c.yaml", text).unwrap();
        let unset = interpolate(&mut node, text, &lookup, &nothing).unwrap();
        let warnings: Vec<_> = unset.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "c.yaml:2:8: variable `M` is not set; an empty text stands in for it",
                "c.yaml:2:16: variable `N` is not set; an empty text stands in for it"
            ]
        );
        let value = &node.entry("$FOO").unwrap().node.value;
        assert_eq!(value, &Value::Text("first".to_owned()));
    }

    #[test]
    fn an_error_in_a_tree_has_its_place_and_keys() {
        let errors: Vec<_> = [
            "services:\n  web:\n    image: ${X\n",
            "services:\n  web:\n    environment:\n      - ${}\n",
            "services:\n  web:\n    build: {args: {A: '${M:?say which}'}}\n",
            "services:\n  web: ${M?}\n",
            "secrets: {key: {file: '${M?}'}}\n",
            "name: ${M?}\n",
            "x-a: [{b: '${M?}'}]\n",
        ]
        .map(|text| {
            let mut node = parse("c.yaml", text).unwrap();
            interpolate(&mut node, text, &lookup, &nothing).unwrap_err().to_string()
        })
        .into();
        insta::assert_snapshot!(errors.join("\n"), @"
        c.yaml:3:12: service `web`: `image`: `${X` is not closed by `}`
        c.yaml:4:9: service `web`: `environment[0]`: `${` stands before something that is no variable name; `$$` writes a dollar sign
        c.yaml:3:24: service `web`: `build.args.A`: required variable `M` is not set: say which
        c.yaml:2:8: service `web`: required variable `M` is not set
        c.yaml:1:24: secret `key`: `file`: required variable `M` is not set
        c.yaml:1:7: `name`: required variable `M` is not set
        c.yaml:1:12: `x-a[0].b`: required variable `M` is not set
        ");
    }

    #[test]
    fn what_is_known_of_a_variable_ends_the_message() {
        let said = |text: &str| {
            let mut node = parse("c.yaml", text).unwrap();
            let known = |name: &str| format!("; look for {name}");
            match interpolate(&mut node, text, &lookup, &known) {
                Ok(unset) => unset.warnings()[0].message.clone(),
                Err(error) => error.message,
            }
        };
        assert_eq!(said("a: $M\n"), "variable `M` is not set; an empty text stands in for it; look for M");
        assert_eq!(said("a: ${FOO:-${M:?say}}\n"), "`a`: required variable `M` is not set: say; look for M");
        assert_eq!(said("a: ${EMPTY:?}\n"), "`a`: required variable `EMPTY` is empty");
    }
}
