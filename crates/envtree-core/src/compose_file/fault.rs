//! What is wrong somewhere in a tree, which learns on the way up whose key it is.

use super::node::{Diagnostic, Place};

/// The sections whose entries messages name.
const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];
/// How many keys a message names, and how many bytes of them; what lies deeper is left out.
const KEYS_LIMIT: usize = 8;
const BYTES_LIMIT: usize = 120;

/// What is wrong, where, and the keys that lead there, the last one first.
pub(super) struct Fault {
    place: Place,
    message: String,
    /// None where the file as a whole is meant.
    keys: Option<Vec<String>>,
}

impl Fault {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), keys: Some(Vec::new()) }
    }

    /// Returns a fault of the file as a whole, which no key is to blame for.
    pub(super) fn of_file(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), keys: None }
    }

    /// Returns the fault as one of the value of `key`.
    pub(super) fn within(mut self, key: impl Into<String>) -> Self {
        if let Some(keys) = &mut self.keys {
            keys.push(key.into());
        }
        self
    }

    /// Returns the fault as one of an item of a list.
    pub(super) fn within_item(self, index: usize) -> Self {
        self.within(format!("[{index}]"))
    }

    /// Returns what is wrong, after the service or its like and the key.
    pub(super) fn diagnostic(self) -> Diagnostic {
        let mut keys = self.keys.unwrap_or_default();
        keys.reverse();
        let (owner, keys) = match keys.as_slice() {
            [section, name, keys @ ..] if SECTIONS.contains(&section.as_str()) => {
                (format!("{} `{name}`: ", section.trim_end_matches('s')), keys)
            }
            keys => (String::new(), keys),
        };
        let key = shortened(keys).replace(".[", "[");
        let key = if key.is_empty() { key } else { format!("`{key}`: ") };
        Diagnostic { place: self.place, message: format!("{owner}{key}{}", self.message) }
    }
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::at(diagnostic.place, diagnostic.message)
    }
}

fn shortened(keys: &[String]) -> String {
    let mut named = 0;
    let mut bytes = 0;
    while let Some(key) = keys.get(named) {
        bytes += key.len();
        if named == KEYS_LIMIT || bytes > BYTES_LIMIT {
            return [&keys[..named], &["…".to_owned()]].concat().join(".");
        }
        named += 1;
    }
    keys.join(".")
}
