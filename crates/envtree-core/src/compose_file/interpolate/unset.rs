//! Variables that files name and nobody has set.

use indexmap::IndexMap;

use crate::compose_file::node::{Diagnostic, Place};

/// The variables without value and without default, and the texts that name them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unset {
    /// What is said about each variable, at its first place.
    warnings: IndexMap<String, Diagnostic>,
    /// What an error about a text says in the end, for each of its variables, by where the text begins.
    texts: IndexMap<Place, IndexMap<String, String>>,
}

impl Unset {
    /// Notes that the text at `place` names a variable; `known` returns what is known of it.
    pub(super) fn note(
        &mut self,
        name: String,
        place: &Place,
        find: impl FnOnce(&str) -> Place,
        known: &dyn Fn(&str) -> String,
    ) {
        let known = known(&name);
        let remedy = if known.is_empty() { ": set it in `.env` or in the environment" } else { &known };
        let texts = self.texts.entry(place.clone()).or_default();
        texts.insert(name.clone(), format!("; `{name}` is not set{remedy}"));
        if !self.warnings.contains_key(&name) {
            let message = format!("variable `{name}` is not set; an empty text stands in for it{known}");
            let warning = Diagnostic { place: find(&name), message };
            self.warnings.insert(name, warning);
        }
    }

    /// Returns one warning for each variable, at its first place.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.warnings.values().cloned().collect()
    }

    /// Adds the texts of another file.
    pub(in crate::compose_file) fn extend(&mut self, other: Self) {
        self.texts.extend(other.texts);
    }

    /// Names, in errors about texts, the variables that left the texts empty.
    pub fn explain(&self, errors: &mut [Diagnostic]) {
        for error in errors {
            let texts = self.texts.get(&error.place);
            error.message.extend(texts.into_iter().flat_map(IndexMap::values).map(String::as_str));
        }
    }
}
