//! `ls`, `status`, `env`, `config`: look, and change nothing.

use envtree_core::compose_file::render::render;
use envtree_core::observed::ObservedState;
use envtree_core::variables::View;
use futures::future::join_all;
use indexmap::IndexMap;

use crate::checkout::blocking;
use crate::environment::{Environment, placeholder};
use crate::error::Error;
use crate::observe_status::{Look, environment_status, git_status};
use crate::rebuild::lost_records;
use crate::repository::Repository;
use crate::reserve::TakenPolicy;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::status::EnvironmentStatus;
use crate::up::UpOptions;

/// The environments of a repository or of the machine.
#[derive(Debug)]
pub struct Listing {
    /// The environments, those of one repository together, by task.
    pub environments: Vec<EnvironmentStatus>,
    /// Why the Engine could not be asked; the states are then unknown.
    pub engine_error: Option<Error>,
}

/// A Compose project as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// The name of the project.
    pub project: String,
    /// The project as a Compose file. The repository's secret stands as `${ENVTREE_PASSWORD}`.
    pub yaml: String,
    /// What was noticed on the way, `path:line:column: message` where it has a place.
    pub warnings: Vec<String>,
}

impl Session {
    /// Returns the environments of this repository, or of every one on this machine.
    pub async fn list(&self, all: bool) -> Result<Listing, Error> {
        let state = self.read_state()?;
        let own: Vec<EnvironmentRecord> = self.own_records(&state).cloned().collect();
        let mut records = if all { state.environments.clone() } else { own };
        let repository = crate::state::identity::repository_id(self.repository.common_dir());
        let observed = self.docker.observe_all((!all).then_some(repository.as_str())).await;
        if let Ok(observed) = &observed {
            records.extend(lost_records(&state, observed));
        }
        records.sort_by(|one, other| {
            let key = |record: &EnvironmentRecord| (record.repository.name.clone(), record.task.clone());
            key(one).cmp(&key(other))
        });
        let statuses = records.iter().map(|record| self.look_at(record, observed.as_ref().ok()));
        Ok(Listing { environments: join_all(statuses).await, engine_error: observed.err().map(Error::from) })
    }

    /// Returns one environment in full.
    pub async fn status(&self, task: Option<&str>) -> Result<EnvironmentStatus, Error> {
        let record = self.record(task).await?;
        let observed = self.docker.observe_all(Some(&record.repository.id)).await?;
        let mut status = self.look_at(&record, Some(&observed)).await;
        if !status.volumes.is_empty() {
            // Sizes are an extra that some Engines do not tell.
            let sizes = self.docker.volume_sizes().await.unwrap_or_default();
            for volume in &mut status.volumes {
                volume.size = sizes.get(&volume.name).copied();
            }
        }
        Ok(status)
    }

    /// Puts together what one look at the Engine, the worktree's files and git tell.
    async fn look_at(
        &self,
        record: &EnvironmentRecord,
        observed: Option<&ObservedState>,
    ) -> EnvironmentStatus {
        let is_own = record.repository.common_dir == self.repository.common_dir();
        // The files add services and addresses; a worktree whose files are broken is listed without.
        let environment = if is_own { self.environment(record, &placeholder()).ok() } else { None };
        let worktree = record.worktree.clone();
        let own = is_own.then(|| self.repository.clone());
        let git = blocking(move || {
            let repository = own.or_else(|| Repository::discover(&worktree).ok())?;
            git_status(&repository, &worktree)
        })
        .await;
        let trusted = if is_own { self.trusted().ok() } else { None };
        let look = Look { environment: environment.as_ref(), observed, git, trusted: trusted.as_ref() };
        environment_status(record, &look)
    }

    /// Returns the variables of an environment.
    pub async fn variables(&self, task: Option<&str>, view: View) -> Result<IndexMap<String, String>, Error> {
        let record = self.record(task).await?;
        let secret = self.secret(&record)?;
        let environment = self.environment(&record, &secret)?;
        for warning in &environment.warnings {
            self.warn(warning.clone());
        }
        Ok(match view {
            View::Host => environment.host,
            View::Inside => environment.inside,
        })
    }

    /// Returns the Compose project that `up` would apply, or as the files have it if `raw`.
    pub async fn config(&self, task: Option<&str>, raw: bool) -> Result<ConfigReport, Error> {
        let environment = self.preview(&UpOptions::of(task), TakenPolicy::Keep).await?.environment;
        let project =
            if raw { &environment.definition.wanted.project } else { &environment.isolated.project };
        let warnings = if raw { &environment.definition.wanted.warnings } else { &environment.warnings };
        Ok(ConfigReport {
            project: project.name.to_string(),
            // The text is escaped as every `$` of a value; here it is meant as a variable.
            yaml: render(project).replace(&format!("${}", placeholder()), &placeholder()),
            warnings: warnings.clone(),
        })
    }

    /// Returns the environment of a record as its worktree defines it now.
    pub(crate) fn environment(&self, record: &EnvironmentRecord, secret: &str) -> Result<Environment, Error> {
        let files = self.files_of(record)?;
        let definition = self.define(record, &files, secret)?;
        self.assemble(definition, record)
    }
}
