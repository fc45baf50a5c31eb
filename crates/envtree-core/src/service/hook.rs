//! Commands that run in a container after its start and before its stop.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A command that runs in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hook {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// User (and group) that it runs as; the container's own if absent.
    pub user: Option<String>,
    /// Whether it has all privileges.
    pub privileged: bool,
    /// Its working directory; the container's own if absent.
    pub working_dir: Option<String>,
    /// Variables beside the container's.
    pub environment: IndexMap<String, String>,
    /// Variables that are named without a value and that nobody has set.
    pub unset: Vec<String>,
}

impl Hook {
    /// Returns commands as the value of a label; nothing if there are none.
    pub fn label(hooks: &[Self]) -> Option<String> {
        let json = serde_json::to_string(hooks).expect("commands are plain texts");
        (!hooks.is_empty()).then_some(json)
    }

    /// Returns the commands that the label `key` of a container holds.
    pub fn of_label(labels: &IndexMap<String, String>, key: &str) -> Vec<Self> {
        labels.get(key).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }
}
