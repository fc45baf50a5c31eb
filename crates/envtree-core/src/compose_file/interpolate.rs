//! Fills `$NAME` and `${NAME…}` in as Compose does.
//!
//! `$$` is a dollar sign, and so is a `$` before anything but a name or `{`. Only the text that is used is looked at:
//! a default that is not needed may name unset variables. Messages show names and syntax, never a variable's value.

use super::node::{Diagnostic, Node, Value};

/// How deep defaults may be nested in defaults.
const DEPTH_LIMIT: usize = 50;

/// A text whose variables are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpolated {
    /// The text.
    pub text: String,
    /// The variables without value and without default, each once, in the order of the text.
    pub unset: Vec<String>,
}

/// Fills in the variables of every text under `node`, keys excepted.
///
/// Returns one warning for each variable that is not set and has no default, at its first place.
pub fn interpolate(
    node: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let mut warnings: Vec<Diagnostic> = Vec::new();
    interpolate_node(node, lookup, &mut warnings)?;
    Ok(warnings)
}

fn interpolate_node(
    node: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(), Diagnostic> {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                interpolate_node(item, lookup, warnings)?;
            }
        }
        Value::Map(entries) => {
            for entry in entries.values_mut() {
                interpolate_node(&mut entry.node, lookup, warnings)?;
            }
        }
        Value::Text(text) if text.contains('$') => {
            let interpolated = match interpolate_text(text, lookup) {
                Ok(interpolated) => interpolated,
                Err(message) => return Err(node.diagnostic(message)),
            };
            node.value = Value::Text(interpolated.text);
            for name in interpolated.unset {
                let message = format!("variable `{name}` is not set; an empty text stands in for it");
                if !warnings.iter().any(|warning| warning.message == message) {
                    warnings.push(node.diagnostic(message));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
    Ok(())
}

/// Fills in the variables of `text`; the error says what is malformed or missing.
pub fn interpolate_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Interpolated, String> {
    let mut interpolated = Interpolated { text: String::with_capacity(text.len()), unset: Vec::new() };
    fill(text, lookup, &mut interpolated, 0)?;
    Ok(interpolated)
}

fn fill(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut Interpolated,
    depth: usize,
) -> Result<(), String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("defaults are nested deeper than {DEPTH_LIMIT} levels"));
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = Reference::parse(after)?;
            reference.fill(lookup, out, depth)?;
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
    }
    out.text.push_str(rest);
    Ok(())
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
    ) -> Result<(), String> {
        let Some(rule) = &self.rule else {
            push_variable(self.name, lookup, out);
            return Ok(());
        };
        let value = lookup(self.name);
        let counts = value.as_ref().is_some_and(|value| !(rule.empty_is_unset && value.is_empty()));
        match rule.operator {
            '+' if counts => return fill(rule.operand, lookup, out, depth + 1),
            '-' if !counts => return fill(rule.operand, lookup, out, depth + 1),
            '?' if !counts => return Err(self.missing(value.is_some(), rule.operand)),
            _ => out.text.push_str(&value.unwrap_or_default()),
        }
        Ok(())
    }

    /// Returns the error about a required variable; its message is shown as written, so that no value is.
    fn missing(&self, is_set: bool, message: &str) -> String {
        let state = if is_set { "empty" } else { "not set" };
        let name = self.name;
        if message.is_empty() {
            return format!("required variable `{name}` is {state}");
        }
        let message = message.replace(char::is_control, " ");
        format!("required variable `{name}` is {state}: {message}")
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
        None if out.unset.iter().any(|unset| unset == name) => {}
        None => out.unset.push(name.to_owned()),
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
            ("${FOO:-$N}", "first"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${FOO:+r${A}}", "ra"),
            ("${M:+r$N}", ""),
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
            ("${FOO:-${N:?x}}", "first"),
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
            ("${M:?say $FOO}", "error: required variable `M` is not set: say $FOO"),
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
    fn a_tree_keeps_its_keys_and_warns_once_a_variable() {
        let text = "$FOO: $FOO\nlist: [$M, '$M $N', 1]\n";
        let mut node = parse("c.yaml", text).unwrap();
        let warnings = interpolate(&mut node, &lookup).unwrap();
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "c.yaml:2:8: variable `M` is not set; an empty text stands in for it",
                "c.yaml:2:12: variable `N` is not set; an empty text stands in for it"
            ]
        );
        let value = &node.entry("$FOO").unwrap().node.value;
        assert_eq!(value, &Value::Text("first".to_owned()));
    }

    #[test]
    fn an_error_in_a_tree_has_its_place() {
        let mut node = parse("c.yaml", "a:\n  b: ${X\n").unwrap();
        let error = interpolate(&mut node, &lookup).unwrap_err();
        assert_eq!(error.to_string(), "c.yaml:2:6: `${X` is not closed by `}`");
    }
}
