//! What variables put into Compose files, which messages about these files do not repeat: it may be a password.

use std::cell::RefCell;
use std::collections::BTreeMap;

use envtree_core::compose_file::node::Diagnostic;

/// The shortest value, in bytes, that is recognised as a part of a text.
const PART: usize = 4;
/// The shortest value, in bytes, that is recognised wherever it stands: no word of a message is that long by chance.
const ANYWHERE: usize = 9;

/// The values of variables that were filled in, by value.
#[derive(Debug, Default)]
pub(super) struct Filled(RefCell<BTreeMap<String, String>>);

impl Filled {
    /// Notes that a variable has this value.
    pub(super) fn note(&self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.borrow_mut().insert(value.to_owned(), name.to_owned());
        }
    }

    /// Puts the names of variables where messages quote their values.
    pub(super) fn hide(&self, diagnostics: &mut [Diagnostic]) {
        let values = self.0.borrow();
        let mut longest_first: Vec<(&String, &String)> = values.iter().collect();
        longest_first.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        for diagnostic in diagnostics {
            for (value, name) in &longest_first {
                diagnostic.message = hidden(&diagnostic.message, value, &format!("${{{name}}}"));
            }
        }
    }
}

fn hidden(message: &str, value: &str, variable: &str) -> String {
    if value.len() >= ANYWHERE {
        return message.replace(value, variable);
    }
    let pieces = message.split('`').enumerate().map(|(number, piece)| {
        let is_quoted = number % 2 == 1;
        if is_quoted && (piece == value || value.len() >= PART) {
            piece.replace(value, variable)
        } else {
            piece.to_owned()
        }
    });
    pieces.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use envtree_core::compose_file::node::Place;

    use super::*;

    #[test]
    fn messages_quote_names_instead_of_values() {
        let filled = Filled::default();
        for (name, value) in [("PW", "hunter2"), ("LONG", "it's `secret`"), ("TAG", "a"), ("NONE", "")] {
            filled.note(name, value);
        }
        let shown = |message: &str| {
            let place = Place { file: "compose.yaml".into(), line: 1, column: 1 };
            let mut diagnostics = [Diagnostic { place, message: message.to_owned() }];
            filled.hide(&mut diagnostics);
            diagnostics[0].message.clone()
        };
        assert_eq!(
            shown("`command` is no list, not `redis --requirepass hunter2`"),
            "`command` is no list, not `redis --requirepass ${PW}`"
        );
        assert_eq!(shown("`ports` cannot be `it's `secret`:80`"), "`ports` cannot be `${LONG}:80`");
        assert_eq!(shown("`restart` cannot be `a`"), "`restart` cannot be `${TAG}`");
    }
}
