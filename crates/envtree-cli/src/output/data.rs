//! The answers of `data`.

use envtree::data::{BaseStatus, DroppedBase};
use schemars::JsonSchema;
use serde::Serialize;

use super::{VERSION, Version};

/// The answer of `data list`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BasesOutput {
    version: Version,
    /// The bases of the repository, the oldest first.
    bases: Vec<BaseOutput>,
}

/// A base: what a seed made of the data of services.
#[derive(Debug, Serialize, JsonSchema)]
struct BaseOutput {
    /// What it is called: the first digits of its key.
    name: String,
    /// The services whose data it holds.
    services: Vec<String>,
    /// When it was complete, as RFC 3339 has it.
    made: String,
    /// Its bytes; null if the Engine does not tell.
    size: Option<u64>,
    /// The volumes that are branches of it.
    branches: Vec<BranchOutput>,
}

/// A volume that is a branch.
#[derive(Debug, Serialize, JsonSchema)]
struct BranchOutput {
    /// The volume.
    volume: String,
    /// Its own bytes, without those of the base; null if the Engine does not tell.
    own: Option<u64>,
}

impl From<&[BaseStatus]> for BasesOutput {
    fn from(bases: &[BaseStatus]) -> Self {
        let bases = bases.iter().map(|base| BaseOutput {
            name: base.name.clone(),
            services: base.services.clone(),
            made: base.made.to_string(),
            size: base.size,
            branches: base
                .branches
                .iter()
                .map(|branch| BranchOutput { volume: branch.volume.clone(), own: branch.own })
                .collect(),
        });
        Self { version: VERSION, bases: bases.collect() }
    }
}

/// The answer of `data drop`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DroppedOutput {
    version: Version,
    /// The bases that were dropped.
    dropped: Vec<DroppedBaseOutput>,
}

/// A base that was dropped.
#[derive(Debug, Serialize, JsonSchema)]
struct DroppedBaseOutput {
    /// What it was called.
    name: String,
    /// What was done, in order.
    done: Vec<String>,
}

impl From<&[DroppedBase]> for DroppedOutput {
    fn from(dropped: &[DroppedBase]) -> Self {
        let dropped =
            dropped.iter().map(|base| DroppedBaseOutput { name: base.name.clone(), done: base.done.clone() });
        Self { version: VERSION, dropped: dropped.collect() }
    }
}
