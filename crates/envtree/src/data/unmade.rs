//! What interrupted commands leave of data in the making: it goes as soon as the same command or the next one asks the
//! Engine for anything, raw data above all.

use envtree_core::branch::base::project_name;
use envtree_core::name::ProjectName;
use serde::{Deserialize, Serialize};

use super::complete;
use crate::error::Error;
use crate::session::Session;
use crate::state::identity::repository_id;

/// A Compose project in which data is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnmadeData {
    /// The id of the repository.
    pub(crate) repository: String,
    /// The project.
    pub(crate) project: String,
}

impl Session {
    /// Connects with the Engine, and removes what interrupted commands left of data in the making.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.docker.connect().await?;
        self.remove_unmade().await
    }

    /// Removes what was begun of data of this repository and is not complete, unless somebody works on it.
    pub async fn remove_unmade(&self) -> Result<(), Error> {
        let repository = repository_id(self.repository.common_dir());
        let unmade = self.read_state()?.unmade;
        for data in unmade.iter().filter(|data| data.repository == repository) {
            let Ok(project) = ProjectName::new(data.project.clone()) else { continue };
            let Some(lock) = self.state.try_lock_project(&project, &self.options.command)? else { continue };
            let bases = complete(&self.docker.volumes_of_bases(&repository).await?);
            let is_made = bases.iter().any(|base| project_name(&base.repository, &base.key) == project);
            let removed = if is_made {
                Ok(())
            } else {
                self.remove_base(&repository, &project, true).await.map(|_| ())
            };
            match removed {
                Ok(()) => self.forget_unmade(&[project]).await?,
                Err(error) => self.warn(format!(
                    "what was begun of `{project}` could not be removed, and is by the next command: {error}"
                )),
            }
            self.release(lock)?;
        }
        Ok(())
    }

    /// Notes that data is made in these projects from now on.
    pub(super) async fn note_unmade(&self, repository: &str, projects: &[ProjectName]) -> Result<(), Error> {
        let of = |project: &ProjectName| UnmadeData {
            repository: repository.to_owned(),
            project: project.to_string(),
        };
        let unmade: Vec<UnmadeData> = projects.iter().map(of).collect();
        self.update_state(move |state| {
            state.unmade.retain(|other| !unmade.contains(other));
            state.unmade.extend(unmade);
            Ok(())
        })
        .await
    }

    /// Notes that the data of these projects is complete, or gone.
    pub(super) async fn forget_unmade(&self, projects: &[ProjectName]) -> Result<(), Error> {
        let projects: Vec<String> = projects.iter().map(ToString::to_string).collect();
        self.update_state(move |state| {
            state.unmade.retain(|data| !projects.contains(&data.project));
            Ok(())
        })
        .await
    }
}
