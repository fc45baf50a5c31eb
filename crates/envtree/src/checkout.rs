//! The files of an environment: its worktree, what `.worktreeinclude` brings, the env file, and `post_create`.

use std::time::Instant;

use envtree_core::settings::EnvFile;

use crate::env_file::{exclude, leads_out, write_block};
use crate::environment::{Definition, Environment};
use crate::error::Error;
use crate::event::Event;
use crate::hooks::HookKey;
use crate::include::bring_included;
use crate::load::{Files, env_file};
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::target::{Origin, Target};
use crate::worktree::{self, HowAdded};

/// Returns where the files of the target are read before it is checked out.
pub(crate) fn files_of(session: &Session, target: &Target, record: &EnvironmentRecord) -> Files {
    match &target.origin {
        Origin::Present(worktree) => session.present(&worktree.path),
        Origin::Checkout { commit, name, .. } => Files::Commit {
            repository: Box::new(session.repository.clone()),
            commit: *commit,
            name: name.clone(),
            top: record.worktree.clone(),
        },
    }
}

/// Refuses an env file that is named in the settings, and tracked by git or outside the worktree.
pub(crate) fn refuse_tracked_env_file(
    session: &Session,
    files: &Files,
    definition: &Definition,
) -> Result<(), Error> {
    let EnvFile::Path(_, place) = &definition.settings.env.file else {
        return Ok(());
    };
    let top = files.top();
    let Some(path) = env_file(&definition.settings, top) else {
        return Ok(());
    };
    let Ok(inside) = path.strip_prefix(top) else {
        return Ok(());
    };
    if matches!(files, Files::Present { .. }) && leads_out(top, &path) {
        return Err(Error::EnvFileOutside { place: place.to_string(), path: inside.to_owned() });
    }
    let is_tracked = match files {
        Files::Present { .. } => session.repository.is_tracked(top, inside)?,
        Files::Commit { repository, commit, .. } => repository.read_file(*commit, inside)?.is_some(),
    };
    if is_tracked {
        return Err(Error::TrackedEnvFile { place: place.to_string(), path: inside.to_owned() });
    }
    Ok(())
}

impl Session {
    /// Makes the worktree if it is not there, and everything in it that `up` is answerable for.
    ///
    /// Returns whether the worktree was made now.
    pub(crate) async fn check_out(
        &self,
        record: &EnvironmentRecord,
        target: &Target,
        environment: &Environment,
    ) -> Result<bool, Error> {
        let created = match &target.origin {
            Origin::Present(_) => false,
            Origin::Checkout { branch, .. } => self.make_worktree(record, branch).await?,
        };
        self.write_env_file(record, environment).await?;
        if !self.is_main(record) {
            self.run_hook_of(record, environment, HookKey::PostCreate).await?;
        }
        Ok(created)
    }

    async fn make_worktree(
        &self,
        record: &EnvironmentRecord,
        branch: &worktree::Branch,
    ) -> Result<bool, Error> {
        let started = Instant::now();
        let path = record.worktree.clone();
        self.emit(Event::CreatingWorktree { path: path.clone(), branch: branch.name().to_owned() });
        let added = worktree::add(&self.repository, &path, branch).await?;
        if let Some(failure) = added.hook_failure {
            self.warn(format!(
                "the `post-checkout` hook failed; the worktree is complete nevertheless: {failure}"
            ));
        }
        if added.how == HowAdded::Existed {
            return Ok(false);
        }
        // What ran once in an earlier worktree of this environment has to run again.
        self.update_record(&record.project, EnvironmentRecord::forget_hooks).await?;
        self.bring_included(&path).await?;
        self.emit(Event::CreatedWorktree { path, elapsed: started.elapsed() });
        Ok(true)
    }

    async fn bring_included(&self, worktree: &std::path::Path) -> Result<(), Error> {
        let Some(main) = self.repository.main_worktree().map(std::path::Path::to_owned) else {
            return Ok(());
        };
        let worktree = worktree.to_owned();
        let included = blocking(move || bring_included(&main, &worktree)).await?;
        for warning in included.warnings {
            self.warn(warning.to_string());
        }
        Ok(())
    }

    /// Writes the managed block, unless git tracks the file.
    async fn write_env_file(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<(), Error> {
        let top = &record.worktree;
        let path = env_file(&environment.definition.settings, top);
        if let Some(path) = &path {
            let inside = path.strip_prefix(top).ok();
            if let Some(inside) = inside
                && self.repository.is_tracked(top, inside)?
            {
                self.warn(format!(
                    "`{}` is tracked by git, so the environment's variables are not written; name another file under `env.file` in envtree.yaml",
                    inside.display()
                ));
                return self.update_record(&record.project, |record| record.env_file = None).await;
            }
            if leads_out(top, path) {
                self.warn(format!(
                    "`{}` leads out of the worktree, so the environment's variables are not written",
                    path.display()
                ));
                return self.update_record(&record.project, |record| record.env_file = None).await;
            }
            write_block(path, &environment.host)?;
            if let Some(inside) = inside {
                exclude(&self.repository, top, inside)?;
            }
        }
        let earlier = record.env_file.clone().filter(|earlier| Some(earlier) != path.as_ref());
        if let Some(earlier) = earlier {
            crate::env_file::remove_block(&earlier)?;
        }
        self.update_record(&record.project, |record| record.env_file = path).await
    }

    /// Returns whether the environment is that of the main worktree.
    pub(crate) fn is_main(&self, record: &EnvironmentRecord) -> bool {
        self.repository.main_worktree() == Some(record.worktree.as_path())
    }
}

/// Runs what blocks away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
