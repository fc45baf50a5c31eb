//! The `develop` section of a service: what happens while its files are worked on. It is kept, and has no effect.

use serde::Serialize;

use super::Hook;

/// What happens while files are worked on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Develop {
    /// What is watched.
    pub watch: Vec<Watch>,
}

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Watch {
    /// The absolute path on the host.
    pub path: String,
    /// `sync`, `rebuild`, `restart`, `sync+restart` or `sync+exec`.
    pub action: String,
    /// Where files go in the container.
    pub target: Option<String>,
    /// What is run in the container.
    pub exec: Option<Hook>,
    /// Patterns of files that do not count.
    pub ignore: Vec<String>,
    /// Patterns of files that alone count.
    pub include: Vec<String>,
    /// Whether files go to the container before anything has changed.
    pub initial_sync: bool,
}
