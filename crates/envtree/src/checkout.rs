//! The files of an environment: its worktree, what `.worktreeinclude` brings, the env file, and `post_create`.

use std::path::Path;
use std::time::Instant;

use envtree_core::settings::EnvFile;

use crate::access::is_writable;
use crate::env_file::{EnvFileError, exclude, leads_out, write_block};
use crate::environment::{Definition, Environment};
use crate::error::Error;
use crate::event::Event;
use crate::hooks::HookKey;
use crate::include::bring_included;
use crate::load::{Files, env_file};
use crate::mark;
use crate::session::Session;
use crate::state::StateError;
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

/// Refuses an env file that cannot be written, and one that is named in the settings and tracked by git or outside
/// the worktree.
pub(crate) fn refuse_env_file(
    session: &Session,
    files: &Files,
    definition: &Definition,
) -> Result<(), Error> {
    let top = files.top();
    let Some(path) = env_file(&definition.settings, top) else {
        return Ok(());
    };
    if path.parent().is_some_and(|folder| folder.is_dir() && !is_writable(folder)) {
        return Err(EnvFileError::Closed { path }.into());
    }
    let EnvFile::Path(_, place) = &definition.settings.env.file else {
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
            Origin::Present(worktree) => {
                if record.worktree_made_by_envtree {
                    mark::leave(worktree, record).map_err(StateError::from)?;
                }
                false
            }
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
        if let Some(worktree) = self.worktree_of(record)? {
            mark::leave(&worktree, record).map_err(StateError::from)?;
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

    async fn bring_included(&self, worktree: &Path) -> Result<(), Error> {
        let Some(main) = self.repository.main_worktree().map(Path::to_owned) else {
            return Ok(());
        };
        let worktree = worktree.to_owned();
        let included = blocking(move || bring_included(&main, &worktree)).await?;
        for warning in included.warnings {
            self.warn(warning.to_string());
        }
        Ok(())
    }

    /// Writes the variables to the env file, and takes them out of an earlier one.
    async fn write_env_file(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<(), Error> {
        let top = &record.worktree;
        let path = env_file(&environment.definition.settings, top);
        let staging = self.worktree_of(record)?.map(|worktree| worktree.git_dir);
        let is_written = match &path {
            Some(path) => self.write_variables(top, path, environment, staging.as_deref())?,
            None => false,
        };
        let earlier = record.env_file.as_ref().filter(|earlier| Some(*earlier) != path.as_ref());
        // The folder of an earlier file may have become a symlink since.
        if let Some(earlier) = earlier.filter(|earlier| !leads_out(top, earlier)) {
            crate::env_file::remove_block(earlier, staging.as_deref())?;
        }
        self.update_record(&record.project, |record| record.env_file = path.filter(|_| is_written)).await
    }

    /// Writes the managed block, and returns whether it did: a file that git tracks, and the default one where it leads
    /// out of the worktree, are left as they are.
    fn write_variables(
        &self,
        top: &Path,
        path: &Path,
        environment: &Environment,
        staging: Option<&Path>,
    ) -> Result<bool, Error> {
        let inside = path.strip_prefix(top).ok();
        if leads_out(top, path) {
            let path = inside.unwrap_or(path);
            if let EnvFile::Path(_, place) = &environment.definition.settings.env.file {
                return Err(Error::EnvFileOutside { place: place.to_string(), path: path.to_owned() });
            }
            self.warn(format!(
                "`{}` leads out of the worktree, so the environment's variables are not written; name another file under `env.file` in envtree.yaml",
                path.display()
            ));
            return Ok(false);
        }
        if let Some(inside) = inside
            && self.repository.is_tracked(top, inside)?
        {
            self.warn(format!(
                "`{}` is tracked by git, so the environment's variables are not written; name another file under `env.file` in envtree.yaml",
                inside.display()
            ));
            return Ok(false);
        }
        // First, so that whatever happens between the two leaves no file that git would show.
        if let Some(inside) = inside {
            exclude(&self.repository, top, inside)?;
        }
        write_block(path, &environment.host, staging)?;
        Ok(true)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::{main_record, session};

    /// The main worktree of a repository whose environment has no ports.
    struct Stage {
        shop: TestRepository,
        session: Session,
        record: EnvironmentRecord,
    }

    impl Stage {
        fn new() -> Self {
            let shop = TestRepository::new();
            shop.write("compose.yaml", "services: { job: { image: shop-job } }\n");
            let session = session(&shop, &shop.path);
            let record = main_record(&session);
            Self { shop, session, record }
        }

        fn define(&self) -> Definition {
            let files = self.session.present(&self.shop.path);
            self.session.define(&self.record, &files, "secret").unwrap()
        }

        fn refusal(&self) -> Option<String> {
            let files = self.session.present(&self.shop.path);
            let refused = refuse_env_file(&self.session, &files, &self.define());
            refused.err().map(|error| error.to_string())
        }

        /// Writes the env file as `up` does, and returns what the state then names.
        async fn write(&self) -> Result<Option<std::path::PathBuf>, Error> {
            let record = self.record.clone();
            self.session
                .update_state(|state| {
                    state.put(record);
                    Ok(())
                })
                .await?;
            let environment = self.session.assemble(self.define(), &self.record)?;
            self.session.write_env_file(&self.record, &environment).await?;
            Ok(self.session.read_state()?.environments[0].env_file.clone())
        }
    }

    #[tokio::test]
    async fn a_named_file_behind_a_symlink_out_of_the_worktree_is_refused_before_and_at_writing() {
        let stage = Stage::new();
        stage.shop.write("envtree.yaml", "env:\n  file: conf/.env\n");
        symlink(stage.shop.beside("home"), stage.shop.path.join("conf")).unwrap();
        std::fs::create_dir_all(stage.shop.beside("home")).unwrap();
        let message =
            "envtree.yaml:2:9: `conf/.env` leads out of the worktree, and envtree writes no file there";
        assert_eq!(stage.refusal().as_deref(), Some(message));
        assert_eq!(stage.write().await.unwrap_err().to_string(), message);
        assert!(!stage.shop.beside("home/.env").exists());
    }

    #[tokio::test]
    async fn a_named_file_in_a_new_folder_is_written_and_remembered() {
        let stage = Stage::new();
        stage.shop.write("envtree.yaml", "env:\n  file: conf/.env\n");
        assert_eq!(stage.refusal(), None);
        let path = stage.shop.path.join("conf/.env");
        assert_eq!(stage.write().await.unwrap(), Some(path.clone()));
        assert!(path.is_file());
    }

    #[tokio::test]
    async fn a_default_file_that_is_not_written_is_not_remembered() {
        let stage = Stage::new();
        stage.shop.write(".env.local", "A=1\n");
        stage.shop.commit("Track it");
        assert_eq!(stage.write().await.unwrap(), None);
        assert_eq!(std::fs::read_to_string(stage.shop.path.join(".env.local")).unwrap(), "A=1\n");
        let stage = Stage::new();
        symlink(stage.shop.beside("out.env"), stage.shop.path.join(".env.local")).unwrap();
        assert_eq!(stage.write().await.unwrap(), None);
        assert!(!stage.shop.beside("out.env").exists());
    }

    #[tokio::test]
    async fn an_earlier_block_is_taken_back_although_the_next_file_is_tracked() {
        let mut stage = Stage::new();
        stage.shop.write("envtree.yaml", "env:\n  file: old.env\n");
        stage.record.env_file = stage.write().await.unwrap();
        stage.shop.write(".env.local", "A=1\n");
        stage.shop.git(&["add", ".env.local"]);
        stage.shop.write("envtree.yaml", "");
        assert_eq!(stage.write().await.unwrap(), None);
        assert!(!stage.shop.path.join("old.env").exists());
    }
}
