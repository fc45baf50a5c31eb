//! The answers of `data`.

use std::time::Duration;

use envtree::data::{
    BaseStatus, BranchStatus, DroppedBase, ExportedData, ImportedData, ImportedDump, ReadyBase, TakenSnapshot,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{VERSION, Version};
use crate::text;

/// The answer of `data list`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BasesOutput {
    version: Version,
    /// The bases and snapshots of the repository, the oldest first.
    bases: Vec<BaseOutput>,
}

/// A base, which is what a seed made of the data of services, or a snapshot of an environment.
#[derive(Debug, Serialize, JsonSchema)]
struct BaseOutput {
    /// What it is called: the first digits of its key, or the name of the snapshot.
    name: String,
    /// What it was taken of, if it is a snapshot; else null.
    snapshot: Option<SnapshotOf>,
    /// The bases and snapshots that it lies on, by name.
    on: Vec<String>,
    /// The base or snapshot that it is a copy of, by name, so that branches do not lie on too many layers; else null.
    copy_of: Option<String>,
    /// The services whose data it holds.
    services: Vec<String>,
    /// When it was complete, as RFC 3339 has it.
    made: String,
    /// When it was last made, imported, exported, begun with or parted from, as RFC 3339 has it; what uses it now does so
    /// all the time.
    last_used: String,
    /// The bytes of its own, without those of what it lies on; null if the Engine does not tell.
    size: Option<u64>,
    /// The most bytes that what begins with it can see: its own and those of all layers below, in each of which a file
    /// counts. Null if the Engine does not tell.
    logical_at_most: Option<u64>,
    /// The volumes that are branches of it.
    branches: Vec<BranchOutput>,
    /// The tasks whose environments begin with it, though no volume of theirs may be a branch of it now.
    tasks: Vec<String>,
    /// Whether it is the beginning of an import, with which nothing begins before it is complete.
    unfinished: bool,
}

/// What a snapshot was taken of.
#[derive(Debug, Serialize, JsonSchema)]
struct SnapshotOf {
    /// The task whose environment it was.
    task: String,
    /// The branch that was checked out; null for a detached HEAD.
    branch: Option<String>,
    /// The commit that was checked out.
    commit: Option<String>,
}

/// A volume that is a branch.
#[derive(Debug, Serialize, JsonSchema)]
struct BranchOutput {
    /// The volume.
    volume: String,
    /// The task whose environment it belongs to; null if its labels do not say.
    task: Option<String>,
    /// When it was begun, or a snapshot of it was taken last (RFC 3339); null if the Engine does not tell.
    made: Option<String>,
    /// Its own bytes, without those of the base: they would be freed with it. Null if the Engine does not tell.
    own: Option<u64>,
    /// `overlay` above the base, or `copy` of it.
    mode: &'static str,
    /// Why it is no overlay; null for one.
    reason: Option<String>,
    /// The most bytes that can be seen in it: its own and those of all layers below, in each of which a file counts. Null
    /// if the Engine does not tell.
    logical_at_most: Option<u64>,
}

impl From<&BranchStatus> for BranchOutput {
    fn from(branch: &BranchStatus) -> Self {
        Self {
            volume: branch.volume.clone(),
            task: branch.task.clone(),
            made: branch.made.map(|made| made.to_string()),
            own: branch.own,
            mode: branch.kind.as_str(),
            reason: branch.kind.reason().map(str::to_owned),
            logical_at_most: branch.logical_at_most,
        }
    }
}

impl From<&[BaseStatus]> for BasesOutput {
    fn from(bases: &[BaseStatus]) -> Self {
        let bases = bases.iter().map(|base| BaseOutput {
            name: base.name.clone(),
            snapshot: base.snapshot.as_ref().map(|snapshot| SnapshotOf {
                task: snapshot.task.clone(),
                branch: snapshot.branch.clone(),
                commit: snapshot.commit.clone(),
            }),
            on: base.on.clone(),
            copy_of: base.copy_of.clone(),
            services: base.services.clone(),
            made: base.made.to_string(),
            last_used: base.last_used.to_string(),
            size: base.size,
            tasks: base.tasks.clone(),
            unfinished: base.is_unfinished,
            logical_at_most: base.logical_at_most,
            branches: base.branches.iter().map(BranchOutput::from).collect(),
        });
        Self { version: VERSION, bases: bases.collect() }
    }
}

/// The answer of `data snapshot`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SnapshotOutput {
    version: Version,
    /// What it is called.
    snapshot: String,
    /// The services whose data it holds.
    services: Vec<String>,
    /// How long they did not answer, in milliseconds; null if they did not run before.
    away_ms: Option<u64>,
}

impl From<&TakenSnapshot> for SnapshotOutput {
    fn from(taken: &TakenSnapshot) -> Self {
        Self {
            version: VERSION,
            snapshot: taken.name.clone(),
            services: taken.services.clone(),
            away_ms: taken.away.map(milliseconds),
        }
    }
}

/// The answer of `data seed`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SeedOutput {
    version: Version,
    /// The base that the next environments begin on: the first digits of its key.
    base: String,
    /// The services whose data it holds.
    services: Vec<String>,
    /// How long it took to make it, in milliseconds; null if it was there.
    made_ms: Option<u64>,
}

impl From<&ReadyBase> for SeedOutput {
    fn from(base: &ReadyBase) -> Self {
        let (base, services, made_ms) =
            (base.name.clone(), base.services.clone(), base.made_in.map(milliseconds));
        Self { version: VERSION, base, services, made_ms }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The answer of `data export`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExportOutput {
    version: Version,
    /// What the base or snapshot is called.
    exported: String,
    /// The file; null if there is none.
    file: Option<String>,
    /// The services whose data it holds.
    services: Vec<String>,
    /// The bytes of the data.
    bytes: u64,
    /// The bytes of the archive.
    size: u64,
    /// The chunks that it consists of.
    chunks: usize,
    /// Those of them that an export which was cut off had written.
    chunks_kept: usize,
    /// How long it took, in milliseconds.
    elapsed_ms: u64,
}

impl From<&ExportedData> for ExportOutput {
    fn from(exported: &ExportedData) -> Self {
        Self {
            version: VERSION,
            exported: exported.name.clone(),
            file: exported.path.as_deref().map(text::path),
            services: exported.services.clone(),
            bytes: exported.bytes,
            size: exported.size,
            chunks: exported.chunks,
            chunks_kept: exported.kept,
            elapsed_ms: milliseconds(exported.elapsed),
        }
    }
}

/// The answer of `data import`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ImportOutput {
    version: Version,
    /// What the base or snapshot is called.
    imported: String,
    /// Whether it was there already, and nothing was changed.
    was_there: bool,
    /// The services whose data it holds.
    services: Vec<String>,
    /// The bytes of the data; null if it was there.
    bytes: Option<u64>,
    /// The chunks that the archive consists of; 0 if it was there.
    chunks: u64,
    /// Those of them that an import which was cut off had put.
    chunks_kept: u64,
    /// How long it took, in milliseconds.
    elapsed_ms: u64,
}

impl From<&ImportedData> for ImportOutput {
    fn from(imported: &ImportedData) -> Self {
        Self {
            version: VERSION,
            imported: imported.name.clone(),
            was_there: imported.was_there,
            services: imported.services.clone(),
            bytes: imported.bytes,
            chunks: imported.chunks,
            chunks_kept: imported.kept,
            elapsed_ms: milliseconds(imported.elapsed),
        }
    }
}

/// The answer of `data import --from`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DumpOutput {
    version: Version,
    /// What the snapshot is called.
    imported: String,
    /// The service that read it.
    service: String,
    /// Whether something made it harmless.
    sanitized: bool,
    /// Whether something verified that it is.
    verified: bool,
    /// How long it took, in milliseconds.
    elapsed_ms: u64,
}

impl From<&ImportedDump> for DumpOutput {
    fn from(imported: &ImportedDump) -> Self {
        Self {
            version: VERSION,
            imported: imported.name.clone(),
            service: imported.service.clone(),
            sanitized: imported.is_sanitized,
            verified: imported.is_verified,
            elapsed_ms: milliseconds(imported.elapsed),
        }
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
