//! Runs the `git` program, never through a shell.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::repository::Repository;
use crate::running::Leash;

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

impl GitError {
    /// Returns whether git itself said `words`.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Failed { stderr, .. } if stderr.contains(words))
    }
}

/// One run of the `git` program.
pub(crate) struct Git {
    directory: PathBuf,
    arguments: Vec<OsString>,
    stdin: Option<File>,
}

impl Git {
    /// Runs in one worktree.
    pub(crate) fn inside(worktree: &Path) -> Self {
        Self { directory: worktree.to_owned(), arguments: Vec::new(), stdin: None }
    }

    /// Runs on the repository as a whole.
    pub(crate) fn of(repository: &Repository) -> Self {
        match repository.main_worktree().filter(|path| path.is_dir()) {
            Some(worktree) => Self::inside(worktree),
            // Naming it satisfies `safe.bareRepository=explicit`.
            None => Self::inside(repository.common_dir()).arg("--git-dir").arg(repository.common_dir()),
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(OsString::from));
        self
    }

    /// Gives git an empty file to read. It stays open until git and everything that git started have ended,
    /// and with it the lock on it.
    pub(crate) fn holding(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Runs to the end. When the future is dropped, git is killed with all that it started, hooks and filters.
    pub(crate) async fn run(self) -> Result<(), GitError> {
        let failing = self.failing();
        let mut process = tokio::process::Command::from(self.into_process());
        process.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = match process.spawn() {
            Ok(child) => {
                let id = child.id();
                let mut ended = pin!(child.wait_with_output());
                // Dropped before the child, whose descendants could not be told once it is dead.
                let mut leash = Leash::of_tree(id, None);
                let output = ended.as_mut().await;
                leash.release();
                output
            }
            Err(error) => Err(error),
        };
        failing.stdout_of(output).map(drop)
    }

    /// Runs to the end, and returns what git wrote to stdout.
    pub(crate) fn output_blocking(self) -> Result<Vec<u8>, GitError> {
        let failing = self.failing();
        failing.stdout_of(self.into_process().output())
    }

    fn failing(&self) -> Failing {
        let words = std::iter::once(OsStr::new("git")).chain(self.arguments.iter().map(OsString::as_os_str));
        let command = words.map(|word| word.to_string_lossy().into_owned()).collect();
        Failing { command, directory: self.directory.clone() }
    }

    fn into_process(self) -> Command {
        let mut process = Command::new("git");
        process
            .args(self.arguments)
            .current_dir(self.directory)
            .stdin(self.stdin.map_or_else(Stdio::null, Stdio::from));
        for variable in REPOSITORY_VARIABLES {
            process.env_remove(variable);
        }
        // English messages, yet hooks and filters keep the user's character set, which `LC_ALL=C` would not.
        process.env("LANGUAGE", "en").env("GIT_TERMINAL_PROMPT", "0");
        #[cfg(test)]
        isolate(&mut process);
        process
    }
}

/// What an error says about a run.
struct Failing {
    command: Vec<String>,
    directory: PathBuf,
}

impl Failing {
    fn stdout_of(self, output: io::Result<Output>) -> Result<Vec<u8>, GitError> {
        let output = output.map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound && self.directory.is_dir() {
                GitError::NotInstalled
            } else {
                GitError::Start { command: self.command.clone(), source }
            }
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Failed { command: self.command, status: output.status, stderr })
    }
}

/// Makes tests independent of the user's configuration, and lets them clone submodules from the disk.
#[cfg(test)]
fn isolate(process: &mut Command) {
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
