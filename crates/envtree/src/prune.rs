//! `prune`: find what no longer belongs to anything, say what would be lost, and remove it.

use std::collections::BTreeSet;
use std::time::Duration;

use envtree_core::branch::base::Base;
use envtree_core::branch::prune::KEPT;
use envtree_core::label;
use envtree_core::observed::ObservedState;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use crate::data::VolumeSizes;
use crate::error::Error;
use crate::event::Event;
use crate::load::load_settings;
use crate::rebuild::lost_records;
use crate::remove::RemoveOptions;
use crate::session::Session;
use crate::state::State;
use crate::state::identity::repository_id;
use crate::state::record::EnvironmentRecord;

/// How long the Engine may take to measure what would be freed.
const SIZES_TIMEOUT: Duration = Duration::from_secs(10);

/// Choices of `prune`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneOptions {
    /// For how long nothing must have used a base; absent means what the configuration says, else 14 days.
    pub unused_for: Option<Duration>,
    /// Whether it is only to be told what would be removed.
    pub dry_run: bool,
}

/// What `prune` found and removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneReport {
    /// For how long nothing had used the bases that were found.
    pub unused_for: Duration,
    /// What no longer belongs to anything, in the order in which it goes.
    pub found: Vec<Prunable>,
}

/// Something that no longer belongs to anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prunable {
    /// What it is.
    pub kind: PrunableKind,
    /// A base by the first digits of its key, an environment by its task, anything else by its Compose project.
    pub name: String,
    /// The services whose data it holds, as far as that is known.
    pub services: Vec<String>,
    /// When it was last used; absent where that does not count.
    pub last_used: Option<Timestamp>,
    /// The bytes of its own; absent if the Engine does not tell.
    pub size: Option<u64>,
    /// What was done, as a plan shows it; absent if nothing was done, since only the finding was wanted or since somebody
    /// began to use it.
    pub done: Option<Vec<String>>,
}

/// What no longer belongs to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunableKind {
    /// What is left of an environment that the state does not know and whose worktree is gone.
    Environment,
    /// A base that nothing uses, or a copy of a base or snapshot.
    Base,
    /// An import of data that nobody went on with.
    Import,
    /// What interrupted commands left of a base, or of an export.
    Torn,
}

impl PrunableKind {
    /// Returns the word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Base => "base",
            Self::Import => "import",
            Self::Torn => "torn-base",
        }
    }
}

/// What was found, with what its removal needs.
enum Found {
    Environment { record: Box<EnvironmentRecord>, volumes: Vec<String> },
    Base(Base),
    Import(Base),
    Torn(String),
}

impl Session {
    /// Removes what no longer belongs to anything in this repository, once somebody consents to lose it.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::Declined`] where nobody consents.
    pub async fn prune(&self, options: &PruneOptions) -> Result<PruneReport, Error> {
        let unused_for = match options.unused_for {
            Some(unused_for) => unused_for,
            None => self.kept_for()?,
        };
        let before = ago(unused_for);
        let repository = repository_id(self.repository.common_dir());
        let found = self.found(&repository, before).await;
        if options.dry_run {
            self.state.undo();
        }
        let found = found?;
        let state = self.read_state()?;
        let sizes =
            if found.is_empty() { VolumeSizes::default() } else { self.volume_sizes(SIZES_TIMEOUT).await };
        let mut told: Vec<Prunable> = found.iter().map(|one| one.told(&state, &sizes)).collect();
        let losses: Vec<String> = found.iter().map(Found::loss).collect();
        if !options.dry_run && !losses.is_empty() {
            if !(self.options.confirm)(&losses) {
                return Err(Error::Declined { losses });
            }
            self.emit(Event::Pruning { losses });
            for (one, told) in found.iter().zip(&mut told) {
                told.done = self.prune_one(&repository, one, before).await?;
            }
        }
        Ok(PruneReport { unused_for, found: told })
    }

    /// Returns what [`Self::prune`] would remove by default, measured as far as the Engine does so within `patience`.
    pub(crate) async fn would_prune(&self, patience: Duration) -> Result<Vec<Prunable>, Error> {
        let repository = repository_id(self.repository.common_dir());
        let found = self.found(&repository, ago(self.kept_for()?)).await?;
        let sizes = if found.is_empty() { VolumeSizes::default() } else { self.volume_sizes(patience).await };
        let state = self.read_state()?;
        Ok(found.iter().map(|one| one.told(&state, &sizes)).collect())
    }

    /// Returns for how long bases are kept that nothing uses.
    fn kept_for(&self) -> Result<Duration, Error> {
        let settings = load_settings(&self.home_files())?;
        Ok(settings.data.keep.or(self.machine.keeps_data).unwrap_or(KEPT))
    }

    async fn found(&self, repository: &str, before: Timestamp) -> Result<Vec<Found>, Error> {
        let observed = self.docker.observe_all(Some(repository)).await?;
        let lost = self.abandoned(&self.read_state()?, &observed)?;
        let unmissed = self.unmissed(repository, before).await?;
        let lost = lost.into_iter().map(|record| Found::Environment {
            volumes: volumes_of(&record, &observed),
            record: Box::new(record),
        });
        let torn = unmissed.torn.into_iter().map(Found::Torn);
        let bases = unmissed.bases.into_iter().map(Found::Base);
        Ok(lost.chain(torn).chain(unmissed.imports.into_iter().map(Found::Import)).chain(bases).collect())
    }

    /// Returns the environments that labels alone know, and of whose worktrees neither the folder is there nor git knows.
    fn abandoned(&self, state: &State, observed: &ObservedState) -> Result<Vec<EnvironmentRecord>, Error> {
        let worktrees = self.repository.worktrees()?;
        let mut lost = lost_records(state, observed);
        lost.retain(|record| {
            // A folder that cannot be looked at is not gone.
            matches!(record.worktree.try_exists(), Ok(false))
                && worktrees.iter().all(|worktree| worktree.path != record.worktree)
                && record.repository.common_dir == self.repository.common_dir()
                && !self.state.is_project_held(&record.project)
        });
        Ok(lost)
    }

    async fn prune_one(
        &self,
        repository: &str,
        found: &Found,
        before: Timestamp,
    ) -> Result<Option<Vec<String>>, Error> {
        match found {
            Found::Environment { record, .. } => self.prune_environment(record).await,
            Found::Base(base) => self.prune_base(repository, base, before).await,
            Found::Import(base) => self.prune_import(repository, base).await,
            Found::Torn(project) => self.prune_torn(repository, project).await,
        }
    }

    async fn prune_environment(&self, found: &EnvironmentRecord) -> Result<Option<Vec<String>>, Error> {
        let (record, lock) = self.hold(Some(&found.task)).await?;
        let is_back =
            self.worktree_of(&record)?.is_some() || !matches!(record.worktree.try_exists(), Ok(false));
        if is_back || record.project != found.project {
            self.release(lock)?;
            return Ok(None);
        }
        let options = RemoveOptions { keep_branch: true, ..RemoveOptions::default() };
        Ok(Some(self.remove_held(record, lock, &options).await?.done))
    }
}

/// Returns the moment that was `elapsed` ago, or the beginning of time.
fn ago(elapsed: Duration) -> Timestamp {
    let elapsed = SignedDuration::try_from(elapsed).ok();
    elapsed.and_then(|elapsed| Timestamp::now().checked_sub(elapsed).ok()).unwrap_or(Timestamp::MIN)
}

impl Found {
    fn told(&self, state: &State, sizes: &VolumeSizes) -> Prunable {
        let (kind, name) = match self {
            Self::Environment { record, .. } => (PrunableKind::Environment, record.task.clone()),
            Self::Base(base) => (PrunableKind::Base, base.name().to_owned()),
            Self::Import(base) => (PrunableKind::Import, base.name().to_owned()),
            Self::Torn(project) => (PrunableKind::Torn, project.clone()),
        };
        let base = match self {
            Self::Base(base) | Self::Import(base) => Some(base),
            Self::Environment { .. } | Self::Torn(_) => None,
        };
        Prunable {
            kind,
            name,
            services: base.map(Base::services).unwrap_or_default(),
            last_used: base.map(|base| state.last_used(base)),
            size: base.and_then(|base| sizes.of_own(base)),
            done: None,
        }
    }

    /// Says what is lost with it.
    fn loss(&self) -> String {
        match self {
            Self::Environment { record, volumes } if volumes.is_empty() => {
                format!("remove what is left of environment `{}`", record.project)
            }
            Self::Environment { record, volumes } => format!(
                "remove what is left of environment `{}`, with all data of {}",
                record.project,
                volumes.iter().map(|volume| format!("`{volume}`")).collect::<Vec<_>>().join(", ")
            ),
            Self::Base(base) => {
                format!("remove base `{}` with the data of {}", base.name(), base.services().join(", "))
            }
            Self::Import(base) => format!("remove what was imported of `{}`", base.name()),
            Self::Torn(project) => format!("remove what interrupted commands left of `{project}`"),
        }
    }
}

/// Returns the volumes of an environment: of a branch whose volume is not there, what takes its changes tells.
fn volumes_of(record: &EnvironmentRecord, observed: &ObservedState) -> Vec<String> {
    let is_own = |labels: &IndexMap<String, String>| record.owns(labels);
    let plain = observed.volumes.iter().filter(|volume| is_own(&volume.labels)).map(|volume| &volume.name);
    let uppers = observed.uppers.iter().filter(|upper| is_own(&upper.labels));
    let branches = uppers.filter_map(|upper| upper.labels.get(label::BRANCH));
    plain.chain(branches).cloned().collect::<BTreeSet<String>>().into_iter().collect()
}
