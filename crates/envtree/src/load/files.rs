//! The files of a worktree, whether it is there or still to be checked out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::LoadError;
use crate::include;
use crate::repository::{CommitId, Repository};

/// Where the files of a worktree come from.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// The worktree is there.
    Present {
        /// Its top.
        top: PathBuf,
        /// The directory that the person stands in: paths below it are shown relative to it.
        directory: PathBuf,
    },
    /// The worktree will be a checkout of `commit`, with what `.worktreeinclude` brings.
    Commit {
        /// The repository.
        repository: Box<Repository>,
        /// The commit.
        commit: CommitId,
        /// The commit as people know it, such as `origin/main`.
        name: String,
        /// The top of the worktree to be.
        top: PathBuf,
    },
}

impl Files {
    /// Returns the top of the worktree.
    pub(crate) fn top(&self) -> &Path {
        match self {
            Self::Present { top, .. } | Self::Commit { top, .. } => top,
        }
    }

    /// Returns the text of the file at the absolute `path`, as the worktree has it or will have it; none if there is no
    /// such file. What lies outside the worktree is read where it is.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<String>, LoadError> {
        let Self::Commit { repository, commit, top, .. } = self else {
            return read_file(path);
        };
        let Ok(inside) = path.strip_prefix(top) else {
            return read_file(path);
        };
        match repository.read_file(*commit, inside)? {
            Some(bytes) => text(path, bytes).map(Some),
            None => match repository.main_worktree() {
                Some(main) if include::is_included(repository, main, inside)? => {
                    read_file(&main.join(inside))
                }
                _ => Ok(None),
            },
        }
    }

    /// Returns `path` as messages show it: relative where the person stands, else in git's notation of a file in a
    /// commit, `origin/main:compose.yaml`, else absolute.
    pub(crate) fn display(&self, path: &Path) -> String {
        match self {
            Self::Present { directory, .. } => {
                path.strip_prefix(directory).unwrap_or(path).display().to_string()
            }
            Self::Commit { name, top, .. } => match path.strip_prefix(top) {
                Ok(inside) => format!("{name}:{}", inside.display()),
                Err(_) => path.display().to_string(),
            },
        }
    }
}

/// Returns the text of a file without a byte order mark; none if there is no such file.
pub(super) fn read_file(path: &Path) -> Result<Option<String>, LoadError> {
    match std::fs::read(path) {
        Ok(bytes) => text(path, bytes).map(Some),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(LoadError::Read { path: path.to_owned(), source }),
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, LoadError> {
    let text = String::from_utf8(bytes).map_err(|_| LoadError::NotText { path: path.to_owned() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
