//! Reads typed values out of nodes, with errors that name what was expected.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::branch::prune::{AGE, parse_age};
use crate::compose_file::node::{Diagnostic, Entry, Node, Value};
use crate::compose_file::scalar;
use crate::nearest::nearest;

/// A mapping all of whose keys are known.
pub(super) struct Fields<'node> {
    node: &'node Node,
}

impl<'node> Fields<'node> {
    /// Accepts a mapping, or nothing, whose keys are all among `known`.
    pub(super) fn new(node: &'node Node, known: &[&str]) -> Result<Self, Diagnostic> {
        for (key, entry) in entries(node)? {
            if !known.contains(&key.as_str()) {
                return Err(unknown_key(key, entry, known));
            }
        }
        Ok(Self { node })
    }

    /// Returns the value of `key`, if there is one.
    pub(super) fn node(&self, key: &str) -> Option<&'node Node> {
        let node = &self.node.entry(key)?.node;
        (node.value != Value::Null).then_some(node)
    }

    /// Returns what `read` makes of the value of `key`, or the default if there is none.
    pub(super) fn parse<T: Default>(
        &self,
        key: &str,
        read: impl FnOnce(&Node) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        self.node(key).map_or_else(|| Ok(T::default()), read)
    }

    /// Returns the value of `key` as text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Diagnostic> {
        self.node(key).map(text).transpose()
    }
}

fn unknown_key(key: &str, entry: &Entry, known: &[&str]) -> Diagnostic {
    let way_out = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are `{}`", known.join("`, `")),
    };
    Diagnostic { place: entry.key_place.clone(), message: format!("unknown key `{key}`; {way_out}") }
}

/// Returns the entries of a mapping; there are none in nothing.
pub(super) fn entries(node: &Node) -> Result<impl Iterator<Item = (&String, &Entry)>, Diagnostic> {
    let entries = match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Null => None,
        _ => return Err(expected("a mapping", node)),
    };
    Ok(entries.into_iter().flatten())
}

/// Returns a text that is not blank; a number counts as its text.
pub(super) fn text(node: &Node) -> Result<String, Diagnostic> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => {
            Err(node.diagnostic("expected a text that is not empty"))
        }
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        _ => Err(expected("a text", node)),
    }
}

/// Returns the texts of a list; a single text counts as a list of one.
pub(super) fn texts(node: &Node) -> Result<Vec<String>, Diagnostic> {
    match &node.value {
        Value::List(items) => items.iter().map(text).collect(),
        Value::Text(_) | Value::Number(_) => Ok(vec![text(node)?]),
        _ => Err(expected("a text or a list of texts", node)),
    }
}

/// Returns `true` or `false`.
pub(super) fn boolean(node: &Node) -> Result<bool, Diagnostic> {
    match node.value {
        Value::Bool(value) => Ok(value),
        _ => Err(expected("`true` or `false`", node)),
    }
}

/// Returns a time with a unit.
pub(super) fn age(node: &Node) -> Result<Duration, Diagnostic> {
    let time = match &node.value {
        Value::Text(text) | Value::Number(text) => parse_age(text),
        _ => None,
    };
    time.ok_or_else(|| expected(AGE, node))
}

/// Returns a whole number within `range`.
pub(super) fn integer<T>(node: &Node, range: RangeInclusive<T>) -> Result<T, Diagnostic>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let number = match &node.value {
        Value::Number(text) | Value::Text(text) => scalar::integer(text),
        _ => None,
    };
    number.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number)).ok_or_else(
        || {
            let (first, last) = (range.start(), range.end());
            node.diagnostic(format!("expected a whole number from {first} to {last}"))
        },
    )
}

/// Fails if a tag of Compose files stands anywhere in a configuration.
pub(super) fn reject_tags(node: &Node) -> Result<(), Diagnostic> {
    if node.tag.is_some() {
        return Err(node.diagnostic("`!reset` and `!override` belong in Compose files"));
    }
    match &node.value {
        Value::List(items) => items.iter().try_for_each(reject_tags),
        Value::Map(entries) => entries.values().try_for_each(|entry| reject_tags(&entry.node)),
        _ => Ok(()),
    }
}

pub(super) fn expected(what: &str, node: &Node) -> Diagnostic {
    node.diagnostic(format!("expected {what}, found {}", node.kind()))
}
