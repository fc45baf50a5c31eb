//! A YAML document as a tree in which every node knows its place.
//!
//! Merge keys, anchors and aliases are resolved before this tree is made; the tags `!reset` and `!override` are kept,
//! because only the merge of several files gives them their meaning.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, as the person named it.
    pub file: Arc<str>,
    /// The line, from 1; 0 where `file` alone is the place, such as an option of a command.
    pub line: u32,
    /// The column in characters, from 1; 0 where there is no line.
    pub column: u32,
}

impl Place {
    /// Returns the place that is named by `name` alone.
    pub fn of_whole(name: &str) -> Self {
        Self { file: name.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return formatter.write_str(&self.file);
        }
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Something to say about a place in a file: an error or a warning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// What, as a lower-case fragment that names what was expected.
    pub message: String,
}

/// A node of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What a merge does with it.
    pub tag: Option<MergeTag>,
    /// What it is.
    pub value: Value,
}

/// A tag by which a later file replaces rather than adds (Compose specification, section "Merge").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeTag {
    /// `!reset`: the earlier file's value is removed.
    Reset,
    /// `!override`: the earlier file's value is replaced.
    Override,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(IndexMap<String, Entry>),
}

/// The value of a key, and where the key stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key begins.
    pub key_place: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// Returns the value of `key`, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// Changes the places of this node, of its keys and of all below.
    pub fn change_places(&mut self, change: &impl Fn(&mut Place)) {
        change(&mut self.place);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.change_places(change)),
            Value::Map(entries) => {
                for entry in entries.values_mut() {
                    change(&mut entry.key_place);
                    entry.node.change_places(change);
                }
            }
            _ => {}
        }
    }

    /// Returns how many values it is made of, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.values().map(|entry| entry.node.size()).sum(),
            _ => 0,
        }
    }

    /// Returns whether it is a list or a mapping without anything in it.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Returns whether both are the same but for their places.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_the_same(other))
            }
            (Value::Map(one), Value::Map(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(key, entry)| {
                        other.get(key).is_some_and(|other| entry.node.says_the_same(&other.node))
                    })
            }
            (one, other) => one == other,
        }
    }

    /// Returns an error or a warning about this node.
    pub fn diagnostic(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic { place: self.place.clone(), message: message.into() }
    }

    /// Returns the kind of the value, for messages.
    pub fn kind(&self) -> &'static str {
        self.value.kind()
    }
}

impl Value {
    /// Returns the kind of the value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}
