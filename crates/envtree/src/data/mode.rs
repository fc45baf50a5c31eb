//! What branches consist of: overlays, or copies where the configuration wants those or the Engine mounts no overlays.

use envtree_core::branch::Layer;
use envtree_core::branch::base::{BaseVolume, project_name};
use envtree_core::config_hash::hex;
use envtree_core::plan::NewKeeper;
use envtree_core::project::Volume;
use envtree_core::settings::BranchMode;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::{DataError, owner};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::bases_name;
use crate::state::record::{EnvironmentRecord, RepositoryRecord};

/// How many Engines are remembered.
const KEPT: usize = 64;

/// Why branches are copies where the configuration says so.
const WANTED: &str = "`data.mode` is `copy`";

/// The key of the volume that a branch is tried on.
const LOWER: &str = "lower";

impl Session {
    /// Returns what the configuration says of branches; what the machine's says comes before the repository's.
    pub(crate) fn branch_mode(&self, environment: &Environment) -> BranchMode {
        match self.machine.data_mode {
            BranchMode::Auto => environment.definition.settings.data.mode,
            mode => mode,
        }
    }

    /// Returns why new branches of an environment are copies; absent for overlays. Where nobody knows what the Engine
    /// does, it is tried.
    pub(super) async fn copied(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<Option<String>, Error> {
        match self.branch_mode(environment) {
            BranchMode::Overlay => Ok(None),
            BranchMode::Copy => Ok(Some(WANTED.to_owned())),
            BranchMode::Auto => {
                let reason = match self.known_overlays().await? {
                    Some(known) => known,
                    None => Box::pin(self.try_overlays(&record.repository)).await?,
                };
                Ok(reason.map(|reason| no_overlays(&reason)))
            }
        }
    }

    /// Returns the same of a plan that is only shown, for which nothing is tried.
    pub(super) async fn planned_copies(&self, environment: &Environment) -> Result<Option<String>, Error> {
        Ok(match self.branch_mode(environment) {
            BranchMode::Overlay => None,
            BranchMode::Copy => Some(WANTED.to_owned()),
            BranchMode::Auto => self.known_overlays().await?.flatten().map(|reason| no_overlays(&reason)),
        })
    }

    /// Returns what was found out of this Engine before, if anything was: why it mounts no overlays, if it does not.
    async fn known_overlays(&self) -> Result<Option<Option<String>>, Error> {
        let engine = self.engine().await?;
        Ok(self.read_state()?.overlays.get(&engine).cloned())
    }

    /// Notes whether this Engine mounted a branch; returns why not, if it does not.
    pub(super) async fn note_overlays(&self, tried: Result<(), Error>) -> Result<Option<String>, Error> {
        let found = match tried {
            Ok(()) => None,
            Err(Error::Data(DataError::NoBranches { reason })) => Some(reason),
            Err(error) => return Err(error),
        };
        let (engine, reason) = (self.engine().await?, found.clone());
        self.update_state(move |state| {
            state.overlays.insert(engine, reason);
            while state.overlays.len() > KEPT {
                state.overlays.pop_first();
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Tries a branch of an empty volume, of which nothing is left; returns why the Engine mounts none, if it does not.
    async fn try_overlays(&self, repository: &RepositoryRecord) -> Result<Option<String>, Error> {
        let key = hex(&Sha256::digest("trial"));
        let name = project_name(&bases_name(&repository.common_dir), &key);
        let lock = self.state.lock_project(&name, &self.patiently()).await?;
        // Whoever held the lock may have tried it.
        if let Some(known) = self.known_overlays().await? {
            self.release(lock)?;
            return Ok(known);
        }
        self.remove_base(&repository.id, &name, true).await?;
        let labels = owner(repository).labels(&key);
        let lower = Volume { name: Some(name.object(LOWER)), labels: labels.clone(), ..Volume::default() };
        self.docker.create_volume(LOWER, &lower).await?;
        let volume = self.empty_layer(&name.object(LOWER), &labels).await?;
        let tried = self.try_branch(&name, &labels, &[volume]).await;
        self.remove_base(&repository.id, &name, true).await?;
        let found = self.note_overlays(tried).await?;
        self.release(lock)?;
        Ok(found)
    }

    /// Returns an empty volume as the record of a base tells of one.
    async fn empty_layer(&self, name: &str, labels: &IndexMap<String, String>) -> Result<BaseVolume, Error> {
        let look = NewKeeper {
            name: format!("{name}.look"),
            volumes: IndexMap::from([("/lower".to_owned(), name.to_owned())]),
            labels: labels.clone(),
        };
        self.docker.create_keeper(&look).await?;
        let owner = self.docker.owner_at(&look.name, "/lower").await?;
        let gone = || DataError::Gone { container: look.name.clone() };
        let found = self.docker.inspect_volume(name).await?.ok_or_else(gone)?;
        Ok(BaseVolume {
            service: String::new(),
            target: String::new(),
            layer: Layer::of_volume(name, &found.mountpoint),
            below: Vec::new(),
            on: None,
            owner,
        })
    }
}

fn no_overlays(reason: &str) -> String {
    format!("the Engine mounts no overlays for volumes: {reason}")
}
