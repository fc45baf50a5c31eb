//! What can go wrong while a repository is read.

use std::io;
use std::path::{Path, PathBuf};

use crate::trust::Visible;
use crate::worktree::GitError;

/// A repository that could not be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// Neither the directory nor any folder above it belongs to a repository.
    #[error("`{}` is not in a git repository", directory.display())]
    NotARepository {
        /// Where the search began.
        directory: PathBuf,
    },
    /// The directory to begin in does not exist or may not be read.
    #[error("cannot open directory `{}`", directory.display())]
    NoDirectory {
        /// Where the search was to begin.
        directory: PathBuf,
        /// Why it cannot be opened.
        source: io::Error,
    },
    /// The process stands in a folder that was deleted.
    #[error("the current directory does not exist any more")]
    NoWorkingDirectory(#[source] io::Error),
    /// The repository is kept in a form that cannot be read here.
    #[error("repository `{}` uses {feature}, which cannot be read yet", common_dir.display())]
    Unsupported {
        /// The repository.
        common_dir: PathBuf,
        /// What it uses.
        feature: String,
    },
    /// There is no commit from which a branch could start.
    #[error("repository `{}` has no commit yet", common_dir.display())]
    NoCommit {
        /// The repository.
        common_dir: PathBuf,
    },
    /// Nothing has this name, or it does not lead to a commit.
    #[error("`{revision}` does not name a commit")]
    UnknownRevision {
        /// As it was given.
        revision: String,
    },
    /// Git does not allow a branch of this name.
    #[error("`{}` cannot be the name of a branch: {fault}", Visible(name))]
    BranchName {
        /// As it was given.
        name: String,
        /// The rule that it breaks.
        fault: BranchNameFault,
    },
    /// The worktree belongs to another repository.
    #[error("`{}` is not a worktree of this repository", path.display())]
    ForeignWorktree {
        /// The folder.
        path: PathBuf,
    },
    /// The path is absolute, or leads out of the worktree with `..`.
    #[error("`{}` is not a path inside the worktree", path.display())]
    OutsideWorktree {
        /// As it was given.
        path: PathBuf,
    },
    /// A symlink in a commit leads out of the commit's files, or round in circles.
    #[error("symlink `{path}` in commit {commit} leads out of the repository or back to itself")]
    Symlink {
        /// The symlink, relative to the top.
        path: String,
        /// The commit.
        commit: String,
    },
    /// The clone is partial, and what it left out cannot be had now.
    #[error("cannot fetch object `{object}`, which the partial clone `{}` lacks", common_dir.display())]
    Fetch {
        /// The id of the object.
        object: String,
        /// The repository.
        common_dir: PathBuf,
        /// What git says.
        source: Box<GitError>,
    },
    /// Anything else that git's files could not answer.
    #[error("cannot read the {what} of `{}`", path.display())]
    Read {
        /// What was read.
        what: &'static str,
        /// The repository or worktree.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RepositoryError {
    pub(super) fn read(
        what: &'static str,
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Read { what, path: path.to_owned(), source: source.into() }
    }
}

/// The most bytes between two slashes of a branch's name: file systems take five more.
pub(super) const LONGEST_PART: usize = 250;

/// The rule of git that the name of a branch breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BranchNameFault {
    /// There is no name.
    #[error("it is empty")]
    Empty,
    /// An option could not be told from it.
    #[error("it begins with `-`")]
    LeadingDash,
    /// Such a branch would be `refs/heads/refs/…`, which nobody means.
    #[error("it begins with `refs/`, as full names of references do")]
    Qualified,
    /// A reference is a file, and `.lock` follows its name while git writes it.
    #[error("a part of it is longer than {LONGEST_PART} bytes")]
    Long,
    /// Git gives the name a meaning of its own.
    #[error("git uses this name itself")]
    Reserved,
    /// One of git's operators, or a blank.
    #[error("`{0}` is not allowed in it")]
    Character(char),
    /// A character that cannot be shown.
    #[error("it contains a control character or a blank that is not allowed")]
    Control,
    /// `..` is a range.
    #[error("it contains `..`")]
    Dots,
    /// `@{` is a reflog entry.
    #[error("it contains `@{{`")]
    Reflog,
    /// A slash at an end, or two in a row.
    #[error("a slash stands at its beginning or end, or next to another")]
    Slash,
    /// Git's own lock files end so.
    #[error("it, or a part of it, ends with `.lock`")]
    Lock,
    /// A part of the name is a hidden file.
    #[error("it, or a part of it, begins with `.`")]
    LeadingDot,
    /// A dot at the end.
    #[error("it ends with `.`")]
    TrailingDot,
}

/// Tells apart why no repository was found at `directory`.
pub(super) fn discovery_failure(directory: &Path, source: gix::Error) -> RepositoryError {
    use gix::discover::upwards::Error as Discovery;
    match source.downcast_any_ref::<Discovery>() {
        Some(Discovery::NoTrustedGitRepository { .. }) | None => {
            reftable_at(directory).unwrap_or_else(|| RepositoryError::read("repository", directory, source))
        }
        Some(_) => RepositoryError::NotARepository { directory: directory.to_owned() },
    }
}

/// A repository with reftable references fails to open before its configuration can be asked.
fn reftable_at(directory: &Path) -> Option<RepositoryError> {
    let (found, _) = gix::discover::upwards(directory).ok()?;
    let (git_dir, _) = found.into_repository_and_work_tree_directories();
    let common_dir = match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(relative) => super::canonical(&git_dir.join(relative.trim())),
        Err(_) => super::canonical(&git_dir),
    };
    let feature = "`reftable` references".to_owned();
    common_dir.join("reftable").is_dir().then_some(RepositoryError::Unsupported { common_dir, feature })
}
