//! The answer of `prune`.

use envtree::prune::{Prunable, PruneReport};
use schemars::JsonSchema;
use serde::Serialize;

use super::{VERSION, Version};

/// The answer of `prune`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PruneOutput {
    version: Version,
    /// For how long nothing had used the bases that were found, in seconds.
    unused_for_s: u64,
    /// What no longer belongs to anything, in the order in which it goes.
    found: Vec<PrunableOutput>,
}

/// Something that no longer belongs to anything.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Prunable")]
struct PrunableOutput {
    /// `environment`, `base`, `import` or `torn-base`.
    kind: String,
    /// A base by the first digits of its key, an environment by its task, anything else by its Compose project.
    name: String,
    /// The services whose data it holds, as far as that is known.
    services: Vec<String>,
    /// When it was last used (RFC 3339); null where that does not count.
    last_used: Option<String>,
    /// The bytes of its own; null where they are not known.
    size: Option<u64>,
    /// What was done, in order; null if it is there still: only a plan was wanted, or somebody began to use it.
    done: Option<Vec<String>>,
}

impl From<&PruneReport> for PruneOutput {
    fn from(report: &PruneReport) -> Self {
        let found = report.found.iter().map(PrunableOutput::from).collect();
        Self { version: VERSION, unused_for_s: report.unused_for.as_secs(), found }
    }
}

impl From<&Prunable> for PrunableOutput {
    fn from(found: &Prunable) -> Self {
        Self {
            kind: found.kind.as_str().to_owned(),
            name: found.name.clone(),
            services: found.services.clone(),
            last_used: found.last_used.map(|used| used.to_string()),
            size: found.size,
            done: found.done.clone(),
        }
    }
}
