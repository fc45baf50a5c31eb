//! Snapshots: what the branches of an environment changed becomes layers that never change again, and the environment
//! goes on above them.
//!
//! The order makes an interruption harmless. What changes the data is removed first; then the record tells on what the
//! data goes on; then the marker says that the snapshot is there. Without a marker, the next `up` goes on above the
//! changes as if nothing had been; with it, above the snapshot. What is a copy becomes a layer on which it lies no more,
//! and the environment goes on with a copy of that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use envtree_core::branch::base::{Base, BaseVolume, Snapshot, project_name};
use envtree_core::branch::{Ground, Layer, upper_of};
use envtree_core::name::ProjectName;
use envtree_core::observed::{ContainerState, ObservedContainer, ObservedState};
use envtree_core::teardown::{plan_freeze, plan_quiescence};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::list::FEWEST_DIGITS;
use super::{DataError, complete, has_ended_well, is_begun, owner, volumes_of};
use crate::environment::Environment;
use crate::error::Error;
use crate::repository::CommitId;
use crate::session::Session;
use crate::state::identity::bases_name;
use crate::state::record::{EnvironmentRecord, RepositoryRecord};
use crate::up::{UpOptions, UpOutcome};

/// What failures say was to be done.
const SNAPSHOT: &str = "take a snapshot of";

/// The longest name of a snapshot.
const LONGEST: usize = 63;

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// What it is called.
    pub name: String,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// How long they did not answer; absent if they did not run before.
    pub away: Option<Duration>,
    /// Its key.
    pub(super) key: String,
}

/// Which snapshot is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotChoice<'a> {
    /// The snapshot or base of that name, or whose key begins so.
    Named(&'a str),
    /// The newest snapshot of the nearest commit on the way back from this revision.
    At(&'a str),
}

impl Session {
    /// Keeps the data of an environment as it is now under a name; one is made up if none is given.
    ///
    /// The servers stop, so that nothing is torn, and start again if they ran.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::NoneBranched`] where no volume of the environment is a branch, with
    /// [`DataError::Unchanged`] where the next `up` makes its branches of a snapshot that is there, and with
    /// [`DataError::NotStopped`] where a server did not end as it should: nothing is kept then.
    pub async fn take_snapshot(
        &self,
        task: Option<&str>,
        name: Option<&str>,
    ) -> Result<TakenSnapshot, Error> {
        self.connect().await?;
        let (record, lock) = self.hold(task).await?;
        self.sweep_bases(&record.repository.id, None).await?;
        let environment = self.environment(&record, &self.known_secret(&record)?)?;
        let (observed, _) = self.observe_and_adopt(&record, &environment.definition).await?;
        let branches = self.branched(&environment, &observed)?;
        if branches.volumes.is_empty() {
            return Err(match self.unbegun(&record, &environment, &observed).await? {
                Some(base) => DataError::Unchanged { task: record.task, name: base.name().to_owned() },
                None => DataError::NoneBranched { project: record.project.to_string(), task: record.task },
            }
            .into());
        }
        // Until it is there, nobody else may choose the same name.
        let names = self.state.lock_project(&names(&record.repository), &self.patiently()).await?;
        let name = self.snapshot_name(&record, name).await?;
        let services = branches.services();
        let started = Instant::now();
        let was_up = self.stop_cleanly(&record, &environment, &observed, &branches).await?;
        let key = self.freeze(&record, name.clone(), branches).await?;
        self.release(names)?;
        self.release(lock)?;
        if !was_up {
            return Ok(TakenSnapshot { name, key, services, away: None });
        }
        let options = UpOptions { scale: record.scale.clone(), ..UpOptions::of(Some(&record.task)) };
        if let Err(error) = Box::pin(self.up(&options)).await {
            self.warn(format!("snapshot `{name}` is taken; what follows it failed"));
            return Err(error);
        }
        Ok(TakenSnapshot { name, key, services, away: Some(started.elapsed()) })
    }

    /// Returns the snapshot or base that the branches of an environment are still to be made of: it was taken, and nothing
    /// has come up since.
    pub(super) async fn unbegun(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
    ) -> Result<Option<Base>, Error> {
        let Some(key) = &record.data_from else { return Ok(None) };
        if volumes_of(environment, observed).iter().any(|data| is_begun(data, observed)) {
            return Ok(None);
        }
        self.find_base(&record.repository.id, key).await
    }

    /// Gives an environment the data of a snapshot or base in place of its own, and brings it up.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::UnknownBase`] if nothing is called so, with [`DataError::NoneBefore`] if no snapshot was
    /// taken at the revision or before it, with [`DataError::NotBranched`] where a volume
    /// that it would replace is no branch, and with [`Error::Declined`] where nobody consents to lose what the
    /// environment changed.
    pub async fn restore_data(
        &self,
        task: Option<&str>,
        choice: SnapshotChoice<'_>,
    ) -> Result<UpOutcome, Error> {
        self.connect().await?;
        let (record, lock) = self.hold(task).await?;
        let base = match choice {
            SnapshotChoice::Named(name) => self.base_called(&record.repository.id, name).await?,
            SnapshotChoice::At(revision) => self.snapshot_at(&record.repository.id, revision).await?,
        };
        self.begin_anew(record, lock, Some(base)).await
    }

    /// Returns the newest snapshot of the nearest commit on the way back from `revision`.
    async fn snapshot_at(&self, repository: &str, revision: &str) -> Result<Base, Error> {
        let commit = self.repository.resolve_commit(revision)?;
        let snapshots = complete(&self.docker.volumes_of_bases(repository).await?);
        let commit_of = |base: &Base| base.snapshot.as_ref()?.commit.as_deref()?.parse::<CommitId>().ok();
        let commits = snapshots.iter().filter_map(commit_of).collect();
        let nearest = self.repository.nearest_before(commit, &commits)?;
        let of_nearest = snapshots.into_iter().filter(|base| nearest.is_some() && commit_of(base) == nearest);
        let newest = of_nearest.max_by_key(|base| base.made);
        newest.ok_or_else(|| DataError::NoneBefore { revision: revision.to_owned() }.into())
    }

    /// Stops the containers that mount branches; servers must end by themselves. Returns whether one of them ran.
    async fn stop_cleanly(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        branches: &Branched,
    ) -> Result<bool, Error> {
        let servers = branches.services();
        let stops = plan_quiescence(observed, &record.repository.id, &record.project, &branches.names());
        self.carry_out(record, &stops, SNAPSHOT).await?;
        let is_server = |container: &&ObservedContainer| {
            let service = container.service().filter(|_| !container.is_one_off());
            record.owns(&container.labels) && service.is_some_and(|name| servers.iter().any(|of| of == name))
        };
        for container in observed.containers.iter().filter(is_server) {
            let detail = self.docker.inspect_container(&container.name).await?;
            let service = container.service().unwrap_or_default();
            let code = detail.exit_code;
            let defined = environment.isolated.project.services.get(service);
            let is_torn = defined.is_some_and(|defined| !has_ended_well(defined, code));
            if detail.state == ContainerState::Exited && is_torn {
                return Err(DataError::NotStopped { service: service.to_owned(), code }.into());
            }
        }
        Ok(!stops.is_empty())
    }

    /// Turns what the branches changed into layers, and records the snapshot; returns its key.
    async fn freeze(
        &self,
        record: &EnvironmentRecord,
        name: String,
        branches: Branched,
    ) -> Result<String, Error> {
        let observed = self.observe_project(record).await?;
        let plan = plan_freeze(&observed, &record.repository.id, &record.project, &branches.names());
        self.carry_out(record, &plan, SNAPSHOT).await?;
        let mut base = self.snapshot_of(record, name, branches)?;
        let volumes = self.docker.volumes_of_bases(&record.repository.id).await?;
        let grounds: Vec<Base> = volumes.iter().filter_map(Base::of_marker).collect();
        let is_raw =
            base.grounds().any(|key| grounds.iter().any(|ground| ground.key == key && ground.is_raw));
        base.is_raw = is_raw;
        let key = base.key.clone();
        self.update_record(&record.project, |record| record.data_from = Some(key)).await?;
        let labels = owner(&record.repository).labels(&base.key);
        // Whoever sweeps meanwhile leaves it alone.
        let lock = self.state.lock_project(&project_name(&base.repository, &base.key), &self.lock()).await?;
        self.docker.create_volume("marker", &base.marker(&labels)).await?;
        self.docker.create_keeper(&base.keeper(&labels)).await?;
        self.release(lock)?;
        Ok(base.key)
    }

    fn snapshot_of(
        &self,
        record: &EnvironmentRecord,
        name: String,
        branches: Branched,
    ) -> Result<Base, Error> {
        let volumes: Vec<BaseVolume> = branches.volumes.into_values().collect();
        let worktree = self.worktree_of(record)?;
        let (branch, commit) = worktree.map(|worktree| (worktree.branch, worktree.head)).unwrap_or_default();
        let commit = commit.map(|commit| commit.to_string());
        let snapshot = Snapshot { name, task: record.task.clone(), branch, commit };
        let made = Timestamp::now();
        let origin = serde_json::to_string(&(&snapshot, &volumes, made.as_nanosecond()))
            .expect("a snapshot has text keys");
        let key = envtree_core::config_hash::hex(&Sha256::digest(origin));
        Ok(Base {
            key,
            repository: bases_name(&record.repository.common_dir),
            is_seeded: true,
            made: made.as_second(),
            volumes,
            others: branches.others.into_iter().collect(),
            snapshot: Some(snapshot),
            lineage: None,
            copy_of: None,
            is_raw: false,
        })
    }

    /// Returns the name that was asked for, or the task's with the first number that is free.
    async fn snapshot_name(&self, record: &EnvironmentRecord, asked: Option<&str>) -> Result<String, Error> {
        let taken = self.snapshot_names(&record.repository.id).await?;
        let Some(name) = asked else {
            let mut numbered = (1..=taken.len()).map(|number| format!("{}-{number}", record.id));
            let last = format!("{}-{}", record.id, taken.len() + 1);
            return Ok(numbered.find(|name| !taken.contains(name)).unwrap_or(last));
        };
        refuse_unfit(name)?;
        if taken.iter().any(|other| other == name) {
            return Err(DataError::SnapshotExists { name: name.to_owned() }.into());
        }
        Ok(name.to_owned())
    }

    /// Returns the names of the repository's snapshots.
    pub(super) async fn snapshot_names(&self, repository: &str) -> Result<Vec<String>, Error> {
        let volumes = self.docker.volumes_of_bases(repository).await?;
        let bases = volumes.iter().filter_map(Base::of_marker);
        Ok(bases.filter_map(|base| Some(base.snapshot?.name)).collect())
    }
}

/// Refuses a name that is hard to type, or that could be the beginning of a base's key.
pub(super) fn refuse_unfit(name: &str) -> Result<(), DataError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_key = name.len() >= FEWEST_DIGITS && name.chars().all(|c| c.is_ascii_hexdigit());
    if begins && !is_key && name.len() <= LONGEST && name.chars().all(fits) {
        Ok(())
    } else {
        Err(DataError::SnapshotName { name: name.to_owned() })
    }
}

/// Returns whose lock keeps two snapshots of a repository from being called the same.
///
/// # Panics
///
/// Never: a repository's name is the beginning of a project's.
pub(super) fn names(repository: &RepositoryRecord) -> ProjectName {
    let name = format!("{}_snapshots", bases_name(&repository.common_dir));
    ProjectName::new(name).expect("a repository's name is the beginning of a project's")
}

/// The data volumes of an environment that are branches.
struct Branched {
    /// As the record of a snapshot tells of them, by the Engine's name.
    volumes: BTreeMap<String, BaseVolume>,
    /// The other volumes of what they lie on.
    others: BTreeSet<String>,
}

impl Session {
    /// Returns the data volumes of an environment that are branches; says which are none.
    fn branched(&self, environment: &Environment, observed: &ObservedState) -> Result<Branched, DataError> {
        let (mut volumes, mut others) = (BTreeMap::new(), BTreeSet::new());
        for data in &volumes_of(environment, observed) {
            let is_there = observed.volumes.iter().any(|volume| volume.name == data.name());
            let upper = upper_of(&observed.uppers, data.name());
            let Some((upper, ground)) = upper.and_then(|upper| Some((upper, Ground::of_upper(upper)?)))
            else {
                if is_there {
                    self.warn(format!(
                        "volume `{}` is no branch: the snapshot does not hold it",
                        data.name()
                    ));
                }
                continue;
            };
            if !is_there {
                return Err(DataError::Unfinished { volume: data.name().to_owned() });
            }
            let is_copy = ground.copied.is_some();
            others.extend(ground.others.iter().filter(|_| !is_copy).cloned());
            let volume = BaseVolume {
                service: data.service.to_string(),
                target: data.target.clone(),
                layer: Layer::of_upper(upper),
                below: ground.needed(),
                on: Some(ground.base.clone()).filter(|_| !is_copy),
                owner: ground.owner,
            };
            volumes.insert(data.name().to_owned(), volume);
        }
        Ok(Branched { volumes, others })
    }
}

impl Branched {
    fn names(&self) -> BTreeSet<&str> {
        self.volumes.keys().map(String::as_str).collect()
    }

    fn services(&self) -> Vec<String> {
        let services: BTreeSet<&String> = self.volumes.values().map(|volume| &volume.service).collect();
        services.into_iter().cloned().collect()
    }
}
