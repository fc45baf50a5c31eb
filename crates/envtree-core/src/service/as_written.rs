//! What files say in words that no Engine is given.

use serde_json::Value;

/// Keys whose values the Engine is not given as they stand in the file, and what `docker compose config` shows of them.
///
/// Either they are written in another way than the Engine's, or it takes none such, and the project is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AsWritten(Vec<(String, Value)>);

impl AsWritten {
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((key.to_owned(), value.into()));
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}
