//! Looks at the state directory without making or mending anything there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::document::{self, Document};
use super::{Damage, FileError, Holder, Lock, State, StateDirectory, StateError};

impl StateDirectory {
    /// Returns the directory at `path`, to be read alone: nothing is made there, and nothing set aside.
    pub(crate) fn left_alone(path: PathBuf) -> Self {
        Self { path, created: Vec::new(), is_left_alone: true }
    }

    /// Returns whether the directory is there; an error if [`Self::open`] would refuse it.
    pub(crate) fn is_there(&self) -> Result<bool, StateError> {
        let path = &self.path;
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(StateError::Create { path: path.clone(), source }),
        };
        if metadata.is_symlink() {
            return Err(FileError::Symlink { path: path.clone() }.into());
        }
        if !metadata.is_dir() {
            let source = io::ErrorKind::NotADirectory.into();
            return Err(StateError::Create { path: path.clone(), source });
        }
        refuse_others(path, &metadata)?;
        Ok(true)
    }

    /// Returns the state, or why it cannot be understood, and leaves it as it is.
    pub(crate) fn peek(&self) -> Result<Result<State, Damage>, StateError> {
        document::peek(self)
    }

    /// Returns the file of the state.
    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(State::FILE)
    }

    /// Returns the locks that somebody holds, by the projects that they are for, and who, where that is known.
    pub(crate) fn held_locks(&self) -> Vec<(String, Option<Holder>)> {
        let entries = fs::read_dir(self.path.join("locks")).into_iter().flatten().flatten();
        let mut held: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some("lock".as_ref()) && Lock::is_held(path))
            .filter_map(|path| {
                let project = path.file_stem()?.to_string_lossy().into_owned();
                Some((project, Lock::named_holder(&path)))
            })
            .collect();
        held.sort_by(|one, other| one.0.cmp(&other.0));
        held
    }
}

/// Refuses a directory of another user, and one that other users can write to.
pub(super) fn refuse_others(path: &Path, metadata: &fs::Metadata) -> Result<(), StateError> {
    let user = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != user {
        return Err(StateError::Foreign { path: path.to_owned(), owner, user });
    }
    if mode & 0o022 != 0 {
        return Err(StateError::Shared { path: path.to_owned(), mode });
    }
    Ok(())
}
