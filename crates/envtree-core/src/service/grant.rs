//! Files that a service is given: entries of its `configs` and `secrets`.

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::AsWritten;
use crate::build::SecretText;
use crate::config_hash::hex;

/// A config or a secret that a service is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The key under the file's `configs` or `secrets`.
    pub source: String,
    /// The path in the container as it is written; an empty one says nothing.
    pub target: Option<String>,
    /// The absolute path in the container.
    pub path: String,
    /// The owner's number.
    pub uid: Option<String>,
    /// The group's number.
    pub gid: Option<String>,
    /// The mode, such as `0o440`.
    pub mode: Option<u32>,
    /// What it holds.
    pub origin: Origin,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// Where the content of a config or secret comes from.
///
/// Written, as for the hash of a service, a text is its own hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file of the host at this absolute path, which is mounted.
    File(String),
    /// A text, which is put into the container.
    Text(SecretText),
    /// Nowhere, for this reason.
    Unavailable(String),
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => serializer.serialize_str(path),
            Self::Text(text) => serializer.serialize_str(&hex(&Sha256::digest(text.reveal()))),
            Self::Unavailable(reason) => serializer.serialize_str(reason),
        }
    }
}
