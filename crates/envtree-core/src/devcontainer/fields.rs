//! Reads a mapping of known keys: every reader names what it expected, and every complaint is kept.

use std::cell::RefCell;

use indexmap::IndexMap;

use crate::compose_file::node::{Diagnostic, Entry, Node, Place, Value};
use crate::nearest::nearest;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reports {
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
}

impl Reports {
    pub(super) fn error(&self, place: &Place, message: impl Into<String>) {
        self.errors.borrow_mut().push(Diagnostic { place: place.clone(), message: message.into() });
    }

    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Diagnostic { place: place.clone(), message: message.into() });
    }

    /// Returns the errors and the warnings, in the order of their places.
    pub(super) fn sorted(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let sorted = |diagnostics: RefCell<Vec<Diagnostic>>| {
            let mut diagnostics = diagnostics.into_inner();
            diagnostics.sort_by_key(|diagnostic| (diagnostic.place.line, diagnostic.place.column));
            diagnostics
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// A mapping, and the keys that lead to it.
pub(super) struct Fields<'a> {
    /// Such as `build.`, or nothing at the top.
    prefix: String,
    entries: &'a IndexMap<String, Entry>,
    pub(super) place: &'a Place,
    pub(super) reports: &'a Reports,
}

impl<'a> Fields<'a> {
    /// Returns the mapping `node`, which is called `name`; anything else is an error.
    pub(super) fn new(node: &'a Node, name: &str, reports: &'a Reports) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let subject = if name.is_empty() { "the file".to_owned() } else { format!("`{name}`") };
            reports.error(&node.place, format!("{subject}: expected a mapping, found {}", node.kind()));
            return None;
        };
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        Some(Self { prefix, entries, place: &node.place, reports })
    }

    /// Warns of every key that is not among `known`, where it is ignored.
    pub(super) fn warn_of_unknown(&self, known: &[&str]) {
        for (key, entry) in self.entries {
            if !known.contains(&key.as_str()) {
                let hint = hint(key, known);
                let name = self.name(key);
                self.reports.warn(&entry.key_place, format!("unknown key {name} is ignored{hint}"));
            }
        }
    }

    pub(super) fn name(&self, key: &str) -> String {
        format!("`{}{key}`", self.prefix)
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
    pub(super) fn child(&self, key: &str) -> Option<Fields<'a>> {
        self.within(key, self.node(key)?)
    }

    /// Returns `node`, which stands somewhere within this mapping and is called `name`, as a mapping.
    pub(super) fn within(&self, name: &str, node: &'a Node) -> Option<Fields<'a>> {
        Fields::new(node, &format!("{}{name}", self.prefix), self.reports)
    }

    /// Says that the value of `key` is not `expected`.
    pub(super) fn unfit(&self, key: &str, node: &Node, expected: &str) {
        let message = format!("{}: expected {expected}, found {}", self.name(key), node.kind());
        self.reports.error(&node.place, message);
    }

    /// Says that the value of `key` is not `expected`, and shows a number or a text: never for what can be a secret.
    pub(super) fn unfit_value(&self, key: &str, node: &Node, expected: &str) {
        match &node.value {
            Value::Number(text) | Value::Text(text) => {
                self.fault(key, node, format!("expected {expected}, not `{text}`"));
            }
            _ => self.unfit(key, node, expected),
        }
    }

    /// Says what is wrong with the value of `key`.
    pub(super) fn fault(&self, key: &str, node: &Node, fault: impl AsRef<str>) {
        self.reports.error(&node.place, format!("{}: {}", self.name(key), fault.as_ref()));
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        let node = self.node(key)?;
        if let Value::Text(text) = &node.value {
            return Some(text.clone());
        }
        self.unfit(key, node, "a text");
        None
    }

    /// Returns a text that is not empty: an empty one counts as absent.
    pub(super) fn filled(&self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.unfit(key, node, "`true` or `false`");
        None
    }

    /// Returns a whole number from `least` on.
    pub(super) fn integer(&self, key: &str, least: u64) -> Option<u64> {
        let node = self.node(key)?;
        let number = match &node.value {
            Value::Number(text) => text.parse().ok().filter(|number| *number >= least),
            _ => None,
        };
        if number.is_none() {
            self.unfit_value(key, node, &format!("a whole number from {least} on"));
        }
        number
    }

    /// Returns the items of a list; `expected` says what must stand there.
    pub(super) fn items(&self, key: &str, expected: &str) -> &'a [Node] {
        match self.node(key).map(|node| (node, &node.value)) {
            Some((_, Value::List(items))) => items,
            Some((node, _)) => {
                self.unfit(key, node, expected);
                &[]
            }
            None => &[],
        }
    }

    /// Returns the texts of a list.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let items = self.items(key, "a list of texts").iter().enumerate();
        items.filter_map(|(index, item)| self.item_text(key, index, item)).collect()
    }

    /// Returns the texts of a list; a single text counts as a list of one.
    pub(super) fn text_or_texts(&self, key: &str) -> Vec<String> {
        match self.node(key).map(|node| (node, &node.value)) {
            Some((_, Value::Text(text))) => vec![text.clone()],
            Some((_, Value::List(_))) => self.texts(key),
            Some((node, _)) => {
                self.unfit(key, node, "a text or a list of texts");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    pub(super) fn item_text(&self, key: &str, index: usize, item: &Node) -> Option<String> {
        if let Value::Text(text) = &item.value {
            return Some(text.clone());
        }
        self.unfit(&format!("{key}[{index}]"), item, "a text");
        None
    }

    /// Returns a mapping of variables; one without a value is an error unless `may_unset` says that it unsets.
    ///
    /// A number, `true` and `false` count as the text that is written.
    pub(super) fn variables(&self, key: &str, may_unset: bool) -> IndexMap<String, Option<String>> {
        let mut variables = IndexMap::new();
        let Some(fields) = self.child(key) else { return variables };
        for (name, entry) in fields.entries {
            let value = match &entry.node.value {
                Value::Text(text) | Value::Number(text) => Some(text.clone()),
                Value::Bool(value) => Some(value.to_string()),
                Value::Null if may_unset => None,
                _ => {
                    let expected = if may_unset { "a text, or `null`" } else { "a text" };
                    fields.unfit(name, &entry.node, expected);
                    continue;
                }
            };
            variables.insert(name.clone(), value);
        }
        variables
    }

    /// Returns what one of a few words stands for.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let node = self.node(key)?;
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of `{}`", known.join("`, `"));
        let Value::Text(text) = &node.value else {
            self.unfit(key, node, &expected);
            return None;
        };
        let meant = words.iter().find_map(|(word, meant)| (word == text).then_some(*meant));
        if meant.is_none() {
            self.fault(key, node, format!("expected {expected}, not `{text}`{}", hint(text, &known)));
        }
        meant
    }
}

/// Returns the known word that is meant, as the end of a sentence.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    nearest(word, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
