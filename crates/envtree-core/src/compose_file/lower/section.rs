//! Reads a mapping of known keys: every setter names what it expected, and every complaint is kept.

use std::cell::RefCell;
use std::time::Duration;

use indexmap::IndexMap;

use super::quantity::{BYTES, DURATION, parse_bytes, parse_duration};
use super::reports::Reports;
use super::unknown::{self, Keys};
use crate::compose_file::node::{Entry, Node, Place, Value};
use crate::compose_file::scalar::{integer, without_fraction};
use crate::decimal::Decimal;
use crate::host_path::HostPath;
use crate::service::AsWritten;

/// The keys whose values no message repeats: they may hold passwords.
const PRIVATE: [&str; 4] = ["command", "entrypoint", "environment", "test"];

/// A mapping, and whose it is.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Such as ``service `web`: ``, or nothing at the top.
    owner: String,
    /// Such as `healthcheck.`, or nothing for a direct child of the owner.
    prefix: String,
    entries: &'a IndexMap<String, Entry>,
    reports: &'a Reports,
    pub(super) place: &'a Place,
    pub(super) as_written: RefCell<AsWritten>,
}

/// A `key=value` of a mapping or of a list.
pub(super) struct Pair<'a> {
    pub(super) key: String,
    /// The value; absent if there is only a key.
    pub(super) value: Option<String>,
    pub(super) node: &'a Node,
}

impl<'a> Section<'a> {
    /// Returns the mapping `node`, after a look at its keys; nothing counts as an empty mapping.
    pub(super) fn new(node: &'a Node, owner: String, keys: &Keys, reports: &'a Reports) -> Option<Self> {
        Self::open(node, owner, String::new(), keys, reports)
    }

    fn open(
        node: &'a Node,
        owner: String,
        prefix: String,
        keys: &Keys,
        reports: &'a Reports,
    ) -> Option<Self> {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => unknown::no_entries(),
            _ => {
                let subject = match (owner.as_str(), prefix.trim_end_matches('.')) {
                    ("", "") => "a Compose file".to_owned(),
                    (owner, "") => owner.trim_end_matches(": ").to_owned(),
                    (owner, name) => format!("{owner}`{name}`"),
                };
                let is_glued =
                    matches!(&node.value, Value::Text(text) if text.contains(':') && !text.contains(' '));
                let hint = if is_glued { "; is a space missing behind a `:`?" } else { "" };
                let message = format!("{subject} must be a mapping, not {}{hint}", node.kind());
                reports.error(&node.place, message);
                return None;
            }
        };
        let as_written = RefCell::default();
        let section = Self { owner, prefix, entries, reports, place: &node.place, as_written };
        unknown::check(&section, keys);
        Some(section)
    }

    pub(super) fn entries(&self) -> &'a IndexMap<String, Entry> {
        self.entries
    }

    /// Returns the value of `key`, unless it is nothing.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        let node = &self.entries.get(key)?.node;
        (node.value != Value::Null).then_some(node)
    }

    /// Returns the mapping at `key`.
    pub(super) fn child(&self, key: &str, keys: &Keys) -> Option<Section<'a>> {
        self.within(key, self.node(key)?, keys)
    }

    /// Returns `node`, which stands somewhere within this mapping and is called `name`, as a mapping.
    pub(super) fn within(&self, name: &str, node: &'a Node, keys: &Keys) -> Option<Section<'a>> {
        let prefix = format!("{}{name}.", self.prefix);
        Self::open(node, self.owner.clone(), prefix, keys, self.reports)
    }

    /// Returns whether it is the file as a whole.
    pub(super) fn is_root(&self) -> bool {
        self.owner.is_empty() && self.prefix.is_empty()
    }

    /// Returns whether it is an item of a list.
    pub(super) fn is_item(&self) -> bool {
        self.prefix.ends_with("].")
    }

    pub(super) fn name(&self, key: &str) -> String {
        format!("`{}{key}`", self.prefix)
    }

    pub(super) fn error(&self, place: &Place, message: impl AsRef<str>) {
        self.reports.error(place, format!("{}{}", self.owner, message.as_ref()));
    }

    pub(super) fn warn(&self, place: &Place, message: impl AsRef<str>) {
        self.reports.warn(place, format!("{}{}", self.owner, message.as_ref()));
    }

    /// Says what Compose shows although no Engine can run it.
    pub(super) fn refuse(&self, place: &Place, message: impl AsRef<str>) {
        self.reports.refuse(place, format!("{}{}", self.owner, message.as_ref()));
    }

    /// Notes that the owner mounts a path of the host, and whether the Engine makes the path if it is missing.
    pub(super) fn mounts(&self, place: &Place, path: &str, is_made: bool) {
        let (owner, path, place) = (self.owner.clone(), path.to_owned(), place.clone());
        self.reports.binds.borrow_mut().push(HostPath { owner, path, place, is_made });
    }

    /// Says that `key` names at `place` an entry of `kind`, such as `volume`, that the files do not declare; `known` are
    /// those that they do.
    pub(super) fn undeclared<'b>(
        &self,
        key: &str,
        place: &Place,
        (kind, name): (&str, &str),
        known: impl IntoIterator<Item = &'b str>,
    ) {
        let hint = unknown::hint(name, known.into_iter());
        let key = self.name(key);
        self.error(place, format!("{key}: {kind} `{name}` is not declared under `{kind}s`{hint}"));
    }

    /// Says that `node`, the value of `key`, is not what was expected.
    pub(super) fn unfit(&self, key: &str, node: &Node, expected: &str) {
        self.error(&node.place, self.expects(key, node, expected));
    }

    /// Returns what is wrong with `node`, the value of `key`.
    pub(super) fn expects(&self, key: &str, node: &Node, expected: &str) -> String {
        let is_private = PRIVATE.contains(&key.split('.').next().unwrap_or(key));
        let found = match scalar(node).filter(|_| !is_private) {
            Some(text) => format!("`{text}`"),
            None => node.kind().to_owned(),
        };
        format!("{} must be {expected}, not {found}", self.name(key))
    }

    /// Returns the value of `key`, unless it is nothing or an empty text, such as `${A:-}` leaves.
    pub(super) fn filled(&self, key: &str) -> Option<&'a Node> {
        self.node(key).filter(|node| !is_empty_text(node))
    }

    /// Returns a text; a number or a boolean counts as the text that is written, and an empty text as nothing.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.parsed_text(key, "a text", |text| Some(text.to_owned()))
    }

    /// Returns what `parse` makes of a text that Compose knows as a text alone: an empty one is nothing.
    pub(super) fn parsed_text<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.parsed_node(key, self.filled(key)?, expected, parse)
    }

    /// Returns what `parse` makes of a text, number or boolean.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.parsed_node(key, self.node(key)?, expected, parse)
    }

    /// Returns what `parse` makes of `node`, which stands under `key`.
    pub(super) fn parsed_node<T>(
        &self,
        key: &str,
        node: &Node,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = scalar(node).and_then(|text| parse(&text));
        if parsed.is_none() {
            self.unfit(key, node, expected);
        }
        parsed
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.parsed(key, "`true` or `false`", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        })
    }

    /// Returns a whole number.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        let node = self.node(key)?;
        // A number may be written in another base; a text is read as Go reads one.
        let number = |text: &str| match node.value {
            Value::Number(_) => integer(text),
            _ => text.parse().ok(),
        };
        self.parsed_node(key, node, "a whole number", number)
    }

    /// Returns a whole number. As in Compose, the fraction of a number is cut off.
    pub(super) fn cut_integer(&self, key: &str) -> Option<i64> {
        let node = self.node(key)?;
        let Value::Number(text) = &node.value else { return self.integer(key) };
        if integer(without_fraction(text)).is_none()
            && let Ok(number) = text.parse::<Decimal>()
        {
            let whole = number.truncated();
            self.warn(
                &node.place,
                format!("{} is a whole number: its fraction is cut off, and `{whole}` taken", self.name(key)),
            );
            return Some(whole);
        }
        self.parsed_node(key, node, "a whole number", integer)
    }

    /// Returns a whole number that fits its setting.
    pub(super) fn number<T: TryFrom<i64>>(&self, key: &str, expected: &str) -> Option<T> {
        let number = T::try_from(self.integer(key)?).ok();
        if let (None, Some(node)) = (&number, self.node(key)) {
            self.unfit(key, node, expected);
        }
        number
    }

    /// Returns a number that may have a fraction.
    pub(super) fn decimal(&self, key: &str) -> Option<Decimal> {
        self.parsed(key, "a number such as `0.5`", |text| text.replace('_', "").parse().ok())
    }

    /// Returns a size in bytes. As in Compose, a number with a fraction or an exponent is passed over.
    pub(super) fn bytes(&self, key: &str) -> Option<i64> {
        let node = self.node(key)?;
        if let Value::Number(text) = &node.value {
            let bytes = integer(text);
            if bytes.is_none() {
                let name = self.name(key);
                self.warn(&node.place, format!("{name} is no whole number of bytes, and has no effect"));
            }
            return bytes;
        }
        self.parsed_node(key, node, BYTES, parse_bytes)
    }

    /// Returns a span of time.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.parsed(key, DURATION, parse_duration)
    }

    /// Returns one of `words`.
    pub(super) fn word(&self, key: &str, words: &[&str]) -> Option<String> {
        let expected = format!("one of `{}`", words.join("`, `"));
        self.parsed_text(key, &expected, |text| words.contains(&text).then(|| text.to_owned()))
    }

    /// Returns a text that must be there.
    pub(super) fn required(&self, key: &str) -> Option<String> {
        if self.filled(key).is_none() {
            self.lacks(key, "");
        }
        self.text(key)
    }

    /// Says that `key` is not there, or is an empty text; `further` ends the message.
    pub(super) fn lacks(&self, key: &str, further: &str) {
        let name = self.name(key);
        match self.node(key) {
            Some(node) if is_empty_text(node) => self.error(&node.place, format!("{name} is empty{further}")),
            _ => self.error(self.place, format!("{name} is missing{further}")),
        }
    }

    /// Returns the mappings of a list at `key`, each as a section.
    pub(super) fn sections(&self, key: &str, keys: &Keys) -> Vec<Section<'a>> {
        let items = self.items(key).iter().enumerate();
        items.filter_map(|(index, item)| self.within(&format!("{key}[{index}]"), item, keys)).collect()
    }

    /// Returns whether `key` is switched on.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.boolean(key).unwrap_or(false)
    }

    /// Returns the items of a list.
    pub(super) fn items(&self, key: &str) -> &'a [Node] {
        match self.node(key).map(|node| (&node.value, node)) {
            None => &[],
            Some((Value::List(items), _)) => items,
            Some((_, node)) => {
                self.unfit(key, node, "a list");
                &[]
            }
        }
    }

    /// Returns the items of a list; anything else counts as the only item of one.
    pub(super) fn item_or_items(&self, key: &str) -> &'a [Node] {
        match self.node(key) {
            Some(node) if !matches!(node.value, Value::List(_) | Value::Map(_)) => std::slice::from_ref(node),
            _ => self.items(key),
        }
    }

    /// Returns the texts of a list, or the single one.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.item_or_items(key)
            .iter()
            .filter_map(|item| self.parsed_node(key, item, "a list of texts", |text| Some(text.to_owned())))
            .collect()
    }

    /// Returns the entries of a mapping of scalars, or of a list of `KEY=value`.
    pub(super) fn pairs(&self, key: &str) -> Vec<Pair<'a>> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        match &node.value {
            Value::Map(entries) => {
                entries.iter().filter_map(|(name, entry)| self.pair(key, name, &entry.node)).collect()
            }
            Value::List(items) => items
                .iter()
                .filter_map(|item| {
                    let text =
                        self.parsed_node(key, item, "a list of `KEY=value`", |text| Some(text.to_owned()))?;
                    let (name, value) = match text.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (text, None),
                    };
                    Some(Pair { key: name, value, node: item })
                })
                .collect(),
            _ => {
                self.unfit(key, node, "a mapping or a list of `KEY=value`");
                Vec::new()
            }
        }
    }

    fn pair(&self, key: &str, name: &str, node: &'a Node) -> Option<Pair<'a>> {
        let value = scalar(node);
        if value.is_none() && node.value != Value::Null {
            self.unfit(&format!("{key}.{name}"), node, "a text, a number or a boolean");
            return None;
        }
        Some(Pair { key: name.to_owned(), value, node })
    }

    /// Returns the entries of a mapping or list of `KEY=value`, where a key alone has an empty value.
    pub(super) fn labels(&self, key: &str) -> IndexMap<String, String> {
        self.pairs(key).into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
    }
}

/// Returns whether a value is an empty text, such as `${A:-}` leaves.
pub(super) fn is_empty_text(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.is_empty())
}

/// Returns a scalar as it is written.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(text) => Some(without_fraction(text).to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
