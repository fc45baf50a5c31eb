//! Runs the `git` program, never through a shell.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use crate::repository::Repository;

/// What git itself takes as "this repository" from the environment, `git rev-parse --local-env-vars`, but for
/// the configuration that a user may pass this way. envtree itself may run inside a hook of git.
pub(crate) const REPOSITORY_VARIABLES: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// A run of the `git` program that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no `git` in `PATH`.
    #[error("the `git` program is not installed")]
    NotInstalled,
    /// It could not be started, or not be waited for.
    #[error("cannot run `{}`", command.join(" "))]
    Start {
        /// Program and arguments.
        command: Vec<String>,
        /// The cause.
        source: io::Error,
    },
    /// It said no.
    #[error("`{}` failed ({status}): {stderr}", command.join(" "))]
    Failed {
        /// Program and arguments.
        command: Vec<String>,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to stderr, trimmed.
        stderr: String,
    },
}

/// One run of the `git` program.
pub(super) struct Git {
    directory: PathBuf,
    arguments: Vec<OsString>,
    stdin: Option<File>,
}

impl Git {
    /// Runs in one worktree.
    pub(super) fn inside(worktree: &Path) -> Self {
        Self { directory: worktree.to_owned(), arguments: Vec::new(), stdin: None }
    }

    /// Runs on the repository as a whole.
    pub(super) fn of(repository: &Repository) -> Self {
        match repository.main_worktree().filter(|path| path.is_dir()) {
            Some(worktree) => Self::inside(worktree),
            // Naming it satisfies `safe.bareRepository=explicit`.
            None => Self::inside(repository.common_dir()).arg("--git-dir").arg(repository.common_dir()),
        }
    }

    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(super) fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(OsString::from));
        self
    }

    /// Gives git an empty file to read. It stays open until git and everything that git started have ended,
    /// and with it the lock on it.
    pub(super) fn holding(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Runs to the end. The process is killed when the future is dropped.
    pub(super) async fn run(self) -> Result<(), GitError> {
        let words = std::iter::once(OsStr::new("git")).chain(self.arguments.iter().map(OsString::as_os_str));
        let command: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let directory = self.directory.clone();
        let mut process = self.into_process();
        #[cfg(test)]
        isolate(&mut process);
        let output = process.output().await.map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound && directory.is_dir() {
                GitError::NotInstalled
            } else {
                GitError::Start { command: command.clone(), source }
            }
        })?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Failed { command, status: output.status, stderr })
    }

    fn into_process(self) -> tokio::process::Command {
        let mut process = tokio::process::Command::new("git");
        process
            .args(self.arguments)
            .current_dir(self.directory)
            .stdin(self.stdin.map_or_else(Stdio::null, Stdio::from))
            .kill_on_drop(true);
        for variable in REPOSITORY_VARIABLES {
            process.env_remove(variable);
        }
        // English messages, yet hooks and filters keep the user's character set, which `LC_ALL=C` would not.
        process.env("LANGUAGE", "en").env("GIT_TERMINAL_PROMPT", "0");
        process
    }
}

/// Makes tests independent of the user's configuration, and lets them clone submodules from the disk.
#[cfg(test)]
fn isolate(process: &mut tokio::process::Command) {
    process
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "protocol.file.allow")
        .env("GIT_CONFIG_VALUE_0", "always");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::test_repository::TestRepository;

    #[test]
    fn what_git_calls_local_to_a_repository_is_taken_from_the_child() {
        let shop = TestRepository::new();
        let process = Git::of(&shop.open()).into_process();
        let removed: Vec<_> = process
            .as_std()
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_str().unwrap().to_owned())
            .collect();
        // The configuration that a user passes in the environment is meant for every repository.
        let passed_on = ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];
        for variable in shop.git(&["rev-parse", "--local-env-vars"]).lines() {
            assert_ne!(
                removed.iter().any(|name| name == variable),
                passed_on.contains(&variable),
                "{variable}"
            );
        }
    }

    #[tokio::test]
    async fn a_failure_says_what_was_run_and_what_git_said() {
        let shop = TestRepository::new();
        let git = Git::of(&shop.open()).args(["rev-parse", "--verify", "nothing here"]);
        let GitError::Failed { command, stderr, .. } = git.run().await.unwrap_err() else {
            panic!("no failure")
        };
        assert_eq!(command, ["git", "rev-parse", "--verify", "nothing here"]);
        assert_eq!(stderr, "fatal: Needed a single revision");
    }
}
