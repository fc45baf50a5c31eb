//! The bases and snapshots of a repository: what there is, who uses it, and its end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use envtree_core::branch::Ground;
use envtree_core::branch::base::{Base, Snapshot, project_name, short};
use envtree_core::label;
use envtree_core::observed::ObservedVolume;
use jiff::Timestamp;

use super::{DataError, UnfinishedImport, VolumeSizes, as_user};
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::repository_id;
use crate::status::BranchKind;

/// How many digits of a base's key are needed to mean it: fewer are easily those of a task or a snapshot that is gone.
pub(super) const FEWEST_DIGITS: usize = 6;

/// How long the Engine may take to measure volumes: their sizes are half of what is asked for.
const SIZES_TIMEOUT: Duration = Duration::from_mins(1);

/// A base or snapshot, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseStatus {
    /// What it is called: the first digits of its key, or the name of the snapshot.
    pub name: String,
    /// What it was taken of, if it is a snapshot.
    pub snapshot: Option<Snapshot>,
    /// What it lies on, by name.
    pub on: Vec<String>,
    /// The base or snapshot that it is a copy of, by name.
    pub copy_of: Option<String>,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// When it was complete.
    pub made: Timestamp,
    /// When it was last made, imported, exported, begun with or parted from; what uses it now does so all the time.
    pub last_used: Timestamp,
    /// The bytes of its own layers; absent if the Engine does not tell.
    pub size: Option<u64>,
    /// The most bytes that what begins with it can see: those of its layers and of all below, in each of which a file
    /// counts. Absent if the Engine does not tell.
    pub logical_at_most: Option<u64>,
    /// The volumes that are branches of it.
    pub branches: Vec<BranchStatus>,
    /// The tasks whose environments begin with it, though no volume of theirs may be a branch of it now.
    pub tasks: Vec<String>,
    /// Whether it is the beginning of an import, with which nothing begins.
    pub is_unfinished: bool,
}

/// A branch, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchStatus {
    /// The volume.
    pub volume: String,
    /// The task whose environment it belongs to; absent if its labels do not say.
    pub task: Option<String>,
    /// When it was begun, or a snapshot of it was taken last; absent if the Engine does not tell.
    pub made: Option<Timestamp>,
    /// Its own bytes, those of the base not among them: they would be freed with it. Absent if the Engine does not tell.
    pub own: Option<u64>,
    /// The most bytes that the servers can see in it: its own and those of all layers below, in each of which a file
    /// counts. Absent if the Engine does not tell.
    pub logical_at_most: Option<u64>,
    /// What it consists of.
    pub kind: BranchKind,
}

/// A base or snapshot that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedBase {
    /// What it was called.
    pub name: String,
    /// What was done, as a plan shows it.
    pub done: Vec<String>,
}

impl Session {
    /// Returns the bases and snapshots of the repository, the oldest first.
    pub async fn bases(&self) -> Result<Vec<BaseStatus>, Error> {
        self.connect().await?;
        let repository = repository_id(self.repository.common_dir());
        let mut observed = self.docker.observe_services(Some(&repository)).await?;
        let mut bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        let mut unfinished = self.unfinished_imports(&repository)?;
        unfinished.retain(|import| bases.iter().all(|base| base.key != import.base.key));
        bases.sort_by(|one, other| (one.made, &one.key).cmp(&(other.made, &other.key)));
        let mut sizes = VolumeSizes::default();
        if !bases.is_empty() || !unfinished.is_empty() {
            sizes = self.volume_sizes(SIZES_TIMEOUT).await;
            if !self.docker.tells_age().await? {
                for upper in &mut observed.uppers {
                    upper.created.clear();
                }
            }
        }
        let state = self.read_state()?;
        let tasks = |base: &Base| {
            let begin =
                self.own_records(&state).filter(|record| record.data_from.as_ref() == Some(&base.key));
            begin.map(|record| record.task.clone()).collect()
        };
        let status = |base| BaseStatus {
            tasks: tasks(base),
            last_used: state.last_used(base),
            ..status(base, &bases, &observed.uppers, &sizes)
        };
        let begun = |import: &UnfinishedImport| BaseStatus {
            is_unfinished: true,
            last_used: state.last_used(&import.base),
            ..self::status(&import.base, &bases, &[], &sizes)
        };
        Ok(bases.iter().map(status).chain(unfinished.iter().map(begun)).collect())
    }

    /// Removes bases and snapshots, by name or the first digits of the key; all bases that nothing uses if none is named.
    /// Nobody could make a snapshot again, so only its name says that it is not wanted any more.
    ///
    /// None is removed if one of them is in use.
    pub async fn drop_bases(&self, names: &[String]) -> Result<Vec<DroppedBase>, Error> {
        self.connect().await?;
        let repository = repository_id(self.repository.common_dir());
        if names.is_empty() {
            self.sweep_bases(&repository, None).await?;
        }
        let observed = self.docker.observe_services(Some(&repository)).await?;
        let bases: Vec<Base> = observed.volumes.iter().filter_map(Base::of_marker).collect();
        let users = self.users(&observed)?;
        let imports = self.unfinished_imports(&repository)?;
        let begun: Vec<Base> = imports.into_iter().map(|import| import.base).collect();
        let is_begun = |name: &String| find(&bases, name).is_err() && find(&begun, name).is_ok();
        let (of_imports, of_bases): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| is_begun(name));
        let mut chosen: Vec<&Base> = if names.is_empty() {
            unused(&bases, &users)
        } else {
            of_bases.into_iter().map(|name| find(&bases, name)).collect::<Result<_, _>>()?
        };
        // What lies on another goes before it.
        chosen.sort_by_key(|base| Reverse(base.made));
        let going: Vec<String> = chosen.iter().map(|base| as_user(base)).collect();
        for base in &chosen {
            refuse_used(base, &users, &going)?;
        }
        let imports = begun.iter().filter(|base| {
            names.is_empty() || of_imports.iter().any(|name| find(std::slice::from_ref(base), name).is_ok())
        });
        let mut dropped = self.drop_imports(&repository, imports, names.is_empty()).await?;
        for base in chosen {
            let name = project_name(&base.repository, &base.key);
            let lock = self.state.lock_project(&name, &self.patiently()).await?;
            // Whoever shared the lock may use it now.
            let now = self.docker.observe_services(Some(&repository)).await?;
            refuse_used(base, &self.users(&now)?, &[])?;
            let done = self.remove_whole(&repository, base).await?;
            self.release(lock)?;
            dropped.push(DroppedBase { name: base.name().to_owned(), done });
        }
        Ok(dropped)
    }

    /// Removes imports that are not complete; waits for whoever works on one, or leaves it alone if it `is_busy_kept`.
    pub(super) async fn drop_imports(
        &self,
        repository: &str,
        imports: impl Iterator<Item = &Base>,
        is_busy_kept: bool,
    ) -> Result<Vec<DroppedBase>, Error> {
        let mut dropped = Vec::new();
        for base in imports {
            let project = project_name(&base.repository, &base.key);
            let lock = if is_busy_kept {
                self.state.try_lock_project(&project, &self.options.command)?
            } else {
                Some(self.state.lock_project(&project, &self.patiently()).await?)
            };
            let Some(lock) = lock else { continue };
            // Whoever held the lock may have completed it.
            if self.find_base(repository, &base.key).await?.is_none() {
                let done = self.remove_base(repository, &project, true).await?;
                dropped.push(DroppedBase { name: base.name().to_owned(), done });
            }
            self.forget_import(repository, &base.key).await?;
            self.release(lock)?;
        }
        Ok(dropped)
    }

    /// Returns the snapshot of that name, if there is one.
    pub(super) async fn snapshot_called(&self, repository: &str, name: &str) -> Result<Option<Base>, Error> {
        let volumes = self.docker.volumes_of_bases(repository).await?;
        Ok(super::complete(&volumes).into_iter().find(|base| is_called(base, name)))
    }

    /// Returns the snapshot of that name, or the base whose key begins so.
    pub(super) async fn base_called(&self, repository: &str, name: &str) -> Result<Base, Error> {
        let volumes = self.docker.volumes_of_bases(repository).await?;
        Ok(find(&super::complete(&volumes), name)?.clone())
    }
}

fn status(base: &Base, all: &[Base], uppers: &[ObservedVolume], sizes: &VolumeSizes) -> BaseStatus {
    let own = uppers.iter().filter(|upper| upper.labels.get(label::BASE) == Some(&base.key));
    let branches = own.filter_map(|upper| {
        Some(BranchStatus {
            volume: upper.labels.get(label::BRANCH)?.clone(),
            task: upper.labels.get(label::TASK).cloned(),
            made: upper.created.parse().ok().and_then(|second| Timestamp::from_second(second).ok()),
            own: sizes.of(&upper.name),
            logical_at_most: sizes.of_branch(upper),
            kind: BranchKind::of(Ground::of_upper(upper)?.copied),
        })
    });
    let named = |key: &str| match all.iter().find(|other| other.key == key) {
        Some(ground) => ground.name().to_owned(),
        None => short(key).to_owned(),
    };
    let made = Timestamp::from_second(base.made).unwrap_or_default();
    let mut on: Vec<String> = base.grounds().map(named).collect();
    on.dedup();
    BaseStatus {
        name: base.name().to_owned(),
        snapshot: base.snapshot.clone(),
        on,
        copy_of: base.copy_of.as_deref().map(named),
        services: base.services(),
        made,
        last_used: made,
        size: sizes.of_own(base),
        logical_at_most: sizes.of_layers(base.layers()),
        branches: branches.collect(),
        tasks: Vec::new(),
        is_unfinished: false,
    }
}

/// Returns the bases that nothing uses but others of them.
fn unused<'a>(bases: &'a [Base], users: &BTreeMap<String, Vec<String>>) -> Vec<&'a Base> {
    let mut unused: Vec<&Base> = Vec::new();
    loop {
        let going: Vec<String> = unused.iter().map(|base| as_user(base)).collect();
        let is_unused = |base: &&Base| base.snapshot.is_none() && refuse_used(base, users, &going).is_ok();
        let now: Vec<&Base> = bases.iter().filter(is_unused).collect();
        if now.len() == unused.len() {
            return now;
        }
        unused = now;
    }
}

/// Refuses to drop what something lies on or begins with that is not `going` itself.
fn refuse_used(
    base: &Base,
    users: &BTreeMap<String, Vec<String>>,
    going: &[String],
) -> Result<(), DataError> {
    let users = users.get(&base.key).into_iter().flatten();
    let users: Vec<String> = users.filter(|user| !going.contains(user)).cloned().collect();
    if users.is_empty() { Ok(()) } else { Err(DataError::BaseInUse { name: base.name().to_owned(), users }) }
}

fn is_called(base: &Base, name: &str) -> bool {
    base.snapshot.as_ref().is_some_and(|snapshot| snapshot.name == name)
}

/// Returns the base or snapshot that a name means: that of a snapshot, or the beginning of a base's key, of at least
/// [`FEWEST_DIGITS`] digits, that no other has.
fn find<'a>(bases: &'a [Base], name: &str) -> Result<&'a Base, DataError> {
    if let Some(snapshot) = bases.iter().find(|base| is_called(base, name)) {
        return Ok(snapshot);
    }
    let is_meant =
        |base: &&Base| base.snapshot.is_none() && name.len() >= FEWEST_DIGITS && base.key.starts_with(name);
    let mut meant = bases.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(base), None) => Ok(base),
        _ => Err(DataError::UnknownBase {
            name: name.to_owned(),
            known: bases.iter().map(|base| base.name().to_owned()).collect(),
        }),
    }
}
