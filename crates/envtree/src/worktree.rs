//! Makes and removes linked worktrees and branches, with the `git` program.
//!
//! [`add()`] and [`remove()`] may be killed at any instant: a lock with a reason of its own marks the worktree as
//! unfinished meanwhile, and the same call made again finishes the work. The lock also keeps `git worktree
//! prune` and `git gc` of other processes away from it.

mod add;
mod claim;
mod delete;
pub(crate) mod git;
mod remove;

use std::io;
use std::path::{Component, Path, PathBuf};

pub(crate) use add::refuse_unmakeable;
pub use add::{Added, Branch, HowAdded, add, check};
pub use git::GitError;
pub(crate) use git::REPOSITORY_VARIABLES;
pub(crate) use remove::points_back;
pub(crate) use remove::remove_unfinished;
pub use remove::{RemoveOptions, Removed, check_removal, delete_branch, remove};

use crate::repository::{Repository, RepositoryError, Worktree};

/// A worktree or branch that could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// A branch can be checked out only once.
    #[error("branch `{branch}` is already checked out in `{}`", path.display())]
    BranchInUse {
        /// The branch.
        branch: String,
        /// The worktree that has it.
        path: PathBuf,
        /// Whether that worktree's folder is gone.
        prunable: bool,
    },
    /// A new branch was wanted under the name of a local one.
    #[error("branch `{branch}` exists already")]
    BranchExists {
        /// The branch.
        branch: String,
    },
    /// References are files, so `fix` and `fix/login` exclude each other.
    #[error("branch `{branch}` cannot exist beside branch `{existing}`")]
    BranchInTheWay {
        /// The branch that was wanted.
        branch: String,
        /// The one that exists.
        existing: String,
    },
    /// The branch has other commits than it had when the decision to delete it was made.
    #[error("branch `{branch}` has changed meanwhile")]
    BranchMoved {
        /// The branch.
        branch: String,
    },
    /// The folder holds files of somebody else.
    #[error("`{}` exists and is not an empty folder", path.display())]
    PathOccupied {
        /// Where the worktree was wanted.
        path: PathBuf,
    },
    /// The folder cannot be made, or the repository cannot take it down.
    #[error("cannot make worktree `{}`: `{}` {rule}", path.display(), at.display())]
    Unmakeable {
        /// Where the worktree was wanted.
        path: PathBuf,
        /// What is in the way.
        at: PathBuf,
        /// What is wrong with that.
        rule: &'static str,
    },
    /// The folder is a worktree already, of another branch.
    #[error("`{}` is the worktree of {}", path.display(), describe(branch.as_deref()))]
    PathTaken {
        /// Where the worktree was wanted.
        path: PathBuf,
        /// What is checked out there; none when `HEAD` is detached.
        branch: Option<String>,
    },
    /// Somebody locked the worktree.
    #[error("worktree `{}` is locked: {reason}", path.display())]
    Locked {
        /// The worktree.
        path: PathBuf,
        /// What that person wrote, possibly nothing.
        reason: String,
    },
    /// A removal was interrupted and has to be finished first.
    #[error("the removal of worktree `{}` is not finished", path.display())]
    RemovalUnfinished {
        /// The worktree.
        path: PathBuf,
    },
    /// Another process, or a `git` that an interrupted one left behind, works on the same path.
    #[error("another process is working on worktree `{}`", path.display())]
    UnderWay {
        /// The worktree.
        path: PathBuf,
    },
    /// The main worktree is the repository.
    #[error("`{}` is the main worktree, which cannot be removed", path.display())]
    MainWorktree {
        /// The main worktree.
        path: PathBuf,
    },
    /// The repository knows no such worktree.
    #[error("`{}` is not a worktree of this repository", path.display())]
    NotAWorktree {
        /// The path that was given.
        path: PathBuf,
    },
    /// Files would be lost.
    #[error("worktree `{}` has {count} uncommitted files, `{first}` the first of them", path.display())]
    Uncommitted {
        /// The worktree.
        path: PathBuf,
        /// How many files and whole folders.
        count: usize,
        /// The first one.
        first: String,
    },
    /// The folder is not, or not any more, the checkout that the repository takes it for.
    #[error("`{}` does not point back to this repository", path.display())]
    BrokenLink {
        /// The folder.
        path: PathBuf,
    },
    /// Some files may not be deleted; everything else is gone, and the worktree is still registered.
    #[error("cannot delete `{}`{}", first.display(), and_more(left - 1))]
    Undeletable {
        /// The first path that is left.
        first: PathBuf,
        /// How many could not be deleted.
        left: usize,
        /// Why the first could not.
        source: io::Error,
    },
    /// Git could not make the worktree; nothing of it is left.
    #[error("cannot check out branch `{branch}` at `{}`", path.display())]
    Checkout {
        /// The branch.
        branch: String,
        /// Where it was to be.
        path: PathBuf,
        /// What git says.
        source: GitError,
    },
    /// The worktree stands, without all of its submodules; adding it again tries them again.
    #[error("cannot check out the submodules of `{}`", path.display())]
    Submodules {
        /// The worktree.
        path: PathBuf,
        /// What git says.
        source: GitError,
    },
    /// Git could not delete the branch.
    #[error("cannot delete branch `{branch}`")]
    DeleteBranch {
        /// The branch.
        branch: String,
        /// What git says.
        source: GitError,
    },
    /// A file of the worktree's administration could not be changed.
    #[error("cannot {act} `{}`", path.display())]
    File {
        /// `write`, `delete` and the like.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl WorktreeError {
    fn file(act: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { act, path: path.to_owned(), source }
    }
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

fn describe(branch: Option<&str>) -> String {
    branch.map_or_else(|| "a detached `HEAD`".to_owned(), |branch| format!("branch `{branch}`"))
}

/// Runs a blocking read of the repository away from the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// Returns the worktree that the repository knows at `path`.
fn registered(repository: &Repository, path: &Path) -> Result<Option<Worktree>, RepositoryError> {
    Ok(repository.worktrees()?.into_iter().find(|worktree| worktree.path == path))
}

/// Marks a worktree as unfinished, in a way that other git programs respect.
fn mark(worktree: &Worktree, reason: &str) -> Result<(), WorktreeError> {
    let lock = worktree.git_dir.join("locked");
    std::fs::write(&lock, format!("{reason}\n")).map_err(|source| WorktreeError::file("write", &lock, source))
}

/// Takes the mark away.
fn unmark(git_dir: &Path) -> Result<(), WorktreeError> {
    let lock = git_dir.join("locked");
    match std::fs::remove_file(&lock) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(WorktreeError::file("delete", &lock, source))
        }
        _ => Ok(()),
    }
}

/// Deletes the administrative directory of one worktree, and of no other.
fn forget(repository: &Repository, worktree: &Worktree) -> Result<(), WorktreeError> {
    let all = repository.common_dir().join("worktrees");
    if worktree.git_dir.parent() != Some(all.as_path()) {
        return Err(WorktreeError::BrokenLink { path: worktree.path.clone() });
    }
    // The back-pointer goes last: without it nothing would show that there is something left.
    let pointer = worktree.git_dir.join("gitdir");
    let entries = std::fs::read_dir(&worktree.git_dir);
    for entry in entries.map_err(|source| WorktreeError::file("read", &worktree.git_dir, source))?.flatten() {
        if entry.path() != pointer {
            delete::delete_all(&entry.path()).map_err(delete::Left::into_error)?;
        }
    }
    delete::delete_all(&worktree.git_dir).map_err(delete::Left::into_error)?;
    // Git removes the common folder with the last worktree too; it stays when there are others.
    let _ = std::fs::remove_dir(&all);
    Ok(())
}

/// Deletes what envtree made at `path`, read-only directories included; what does not exist is deleted.
pub(crate) fn delete_folder(path: &Path) -> io::Result<()> {
    delete::delete_all(path).map_err(delete::Left::into_io)
}

/// Returns `path` without `..` and, as far as it exists, without symlinks: the way git registers it.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf, WorktreeError> {
    let absolute =
        std::path::absolute(path).map_err(|source| WorktreeError::file("resolve", path, source))?;
    let mut real = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            component => real.push(component),
        }
        if let Ok(canonical) = real.canonicalize() {
            real = canonical;
        }
    }
    Ok(real)
}
