//! The `build` section of a service: what its image is made from.

use std::fmt;

use indexmap::IndexMap;
use serde::Serialize;

use crate::name::ServiceName;
use crate::service::{AsWritten, Ulimit};

/// How an image is built.
///
/// Field names are Compose's. An absent option leaves the choice to the builder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Build {
    /// The absolute folder, or the address, of the files that the build may use; see [`is_folder`].
    pub context: String,
    /// The context as the file has it, where that is empty or a path that is not clean.
    #[serde(skip)]
    pub written_context: Option<String>,
    /// The Dockerfile as it is written: relative to the context, or absolute.
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile, in place of a file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments; one without a value is not given, unless the builder knows it itself.
    pub args: IndexMap<String, Option<String>>,
    /// The stage that becomes the image.
    pub target: Option<String>,
    /// Labels of the image, and after isolation also Compose's and envtree's.
    pub labels: IndexMap<String, String>,
    /// Where cached steps are taken from: an image, or `type=…,key=value`.
    pub cache_from: Vec<String>,
    /// Where cached steps are brought to: an image, or `type=…,key=value`.
    pub cache_to: Vec<String>,
    /// Whether every step runs although its result is cached.
    pub no_cache: bool,
    /// The stages whose steps run although their results are cached.
    pub no_cache_filter: Vec<String>,
    /// Whether base images are looked up in their registries although the Engine has them.
    pub pull: bool,
    /// Further contexts by name: an absolute folder, an address, `docker-image://…`, `oci-layout://…` or `service:…`.
    pub additional_contexts: IndexMap<String, String>,
    /// The network of `RUN` steps: `default`, `none`, `host`, or what the builder knows.
    pub network: Option<String>,
    /// Size of `/dev/shm` of `RUN` steps in bytes.
    pub shm_size: Option<i64>,
    /// Lines for `/etc/hosts` of `RUN` steps: `host:address`.
    pub extra_hosts: Vec<String>,
    /// Resource limits of the processes of `RUN` steps.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Whether `RUN` steps may ask for all privileges.
    pub privileged: bool,
    /// What the build may do beyond the usual: `network.host`, `security.insecure`.
    pub entitlements: Vec<String>,
    /// How containers of the build are kept apart, on Windows.
    pub isolation: Option<String>,
    /// The platforms that the image is built for, `os/architecture[/variant]`.
    pub platforms: Vec<String>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Secrets that `RUN --mount=type=secret` may read.
    pub secrets: Vec<BuildSecret>,
    /// Agents that `RUN --mount=type=ssh` may use.
    pub ssh: Vec<SshForward>,
    /// The provenance attestation as it is written.
    pub provenance: Option<String>,
    /// The bill of materials as it is written.
    pub sbom: Option<String>,
}

/// All that the Engine needs to build an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageBuild {
    /// The names that the image gets, at least one; the first is the one that people see.
    pub images: Vec<String>,
    /// The services that run it.
    pub services: Vec<ServiceName>,
    /// How it is built; after isolation, so the labels are complete.
    pub definition: Build,
    /// The platform that its containers run on; the Engine's own if absent.
    pub platform: Option<String>,
}

impl ImageBuild {
    /// Returns the name of the image that people see.
    pub fn name(&self) -> &str {
        self.images.first().map_or("", String::as_str)
    }
}

/// A secret of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildSecret {
    /// The key under the file's `secrets`.
    pub source: String,
    /// The name by which the build asks for it; `source` if absent.
    pub target: Option<String>,
    /// The owner as it is written.
    pub uid: Option<String>,
    /// The group as it is written.
    pub gid: Option<String>,
    /// The mode, such as `0o400`.
    pub mode: Option<u32>,
    /// Where its value comes from: what the file's `secrets` say.
    #[serde(skip)]
    pub origin: SecretOrigin,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

impl BuildSecret {
    /// Returns the name by which the build asks for it.
    pub fn id(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.source)
    }
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// The file at this absolute path.
    File(String),
    /// The value of an environment variable, read with the file; absent if it is not set.
    Variable(String, Option<SecretText>),
    /// A swarm, which keeps what is `external`, and shows it to no build.
    Swarm,
}

impl Default for SecretOrigin {
    fn default() -> Self {
        Self::File(String::new())
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretText(String);

impl SecretText {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// An ssh agent, or keys, that a build may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshForward {
    /// The name by which the build asks for it; `default` where it names none.
    pub id: String,
    /// The absolute path of an agent's socket or of a private key; the user's own agent if absent.
    pub path: Option<String>,
}

/// What the addresses begin with that builders fetch a context from.
pub const REMOTE: [&str; 6] = ["https://", "http://", "git://", "ssh://", "github.com/", "git@"];

/// Returns whether a context is an address and not a folder, by Compose's rule.
pub fn is_remote(context: &str) -> bool {
    REMOTE.iter().any(|prefix| context.starts_with(prefix))
}

/// Returns whether a context is a folder, and so a path that is resolved. Neither a folder nor [`is_remote`] is what a
/// further context alone may be, such as `docker-image://…`, and what no builder knows.
pub fn is_folder(context: &str) -> bool {
    !context.contains("://") && !context.starts_with("service:") && !is_remote(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_addresses_are_told_apart() {
        for remote in
            ["https://example.org/a.tar", "github.com/a/b", "git@example.org:a/b.git", "ssh://git@h/a"]
        {
            assert!(is_remote(remote) && !is_folder(remote), "{remote}");
        }
        for other in ["docker-image://postgres:17", "oci-layout:///srv/x", "service:base"] {
            assert!(!is_remote(other) && !is_folder(other), "{other}");
        }
        for folder in [".", "../shared", "/srv/context", "github.company/x"] {
            assert!(!is_remote(folder) && is_folder(folder), "{folder}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = BuildSecret {
            source: "token".into(),
            target: None,
            uid: None,
            gid: None,
            mode: None,
            origin: SecretOrigin::Variable("TOKEN".into(), Some(SecretText::new("hunter2"))),
            as_written: AsWritten::default(),
        };
        assert_eq!(secret.id(), "token");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&secret).unwrap().contains("hunter2"));
    }
}
