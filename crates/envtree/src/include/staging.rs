//! Copies under a name of its own and gives the final name to what is complete.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{IncludeError, IncludeWarning, Included, names_in};

/// The folder, at the top of the new worktree and so on its file system, in which copies are made.
const FOLDER: &str = ".envtree-include.partial";

/// A folder for copies that are not complete, unreadable for other users.
pub(super) struct Staging {
    folder: PathBuf,
    worktree: PathBuf,
}

impl Staging {
    /// Makes the folder; what an interrupted run left in it is deleted.
    pub(super) fn begin(worktree: &Path) -> Result<Self, IncludeError> {
        let staging = Self { folder: worktree.join(FOLDER), worktree: worktree.to_owned() };
        staging.clear()?;
        // Git does not show what a killed run leaves behind.
        let made = std::fs::create_dir(&staging.folder)
            .and_then(|()| make_private(&staging.folder))
            .and_then(|()| std::fs::write(staging.folder.join(".gitignore"), "*\n"));
        made.map_err(|source| staging.failure(source))?;
        Ok(staging)
    }

    /// Deletes the folder.
    pub(super) fn end(self) -> Result<(), IncludeError> {
        self.clear()
    }

    fn clear(&self) -> Result<(), IncludeError> {
        match crate::worktree::delete_folder(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.failure(source)),
            _ => Ok(()),
        }
    }

    fn failure(&self, source: io::Error) -> IncludeError {
        IncludeError::Staging { path: self.folder.clone(), source }
    }

    /// Copies `source` and moves it to `path` in the worktree. Returns whether it could be copied; what is below
    /// it and cannot be becomes a warning.
    pub(super) fn bring(
        &self,
        source: &Path,
        path: &Path,
        metadata: &Metadata,
        included: &mut Included,
    ) -> io::Result<bool> {
        let copy = self.folder.join("copy");
        // An earlier copy is in the way where it failed or could not be moved.
        crate::worktree::delete_folder(&copy)?;
        let mut tally = Included::default();
        if !copy_entry(source, &copy, path, metadata, &mut tally)? {
            included.warnings.append(&mut tally.warnings);
            return Ok(false);
        }
        move_to(&copy, &self.worktree.join(path))?;
        included.files += tally.files;
        included.bytes += tally.bytes;
        included.warnings.append(&mut tally.warnings);
        Ok(true)
    }
}

/// Returns whether the device or the user's share of it is full, so that nothing else could be written either.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

fn copy_entry(
    source: &Path,
    target: &Path,
    path: &Path,
    metadata: &Metadata,
    tally: &mut Included,
) -> io::Result<bool> {
    if metadata.is_symlink() {
        copy_symlink(source, target)?;
        tally.files += 1;
    } else if metadata.is_file() {
        // The target must not exist: neither way of copying would replace it as a whole.
        reflink_copy::reflink_or_copy(source, target)?;
        keep_time(target, metadata);
        tally.files += 1;
        tally.bytes += metadata.len();
    } else if metadata.is_dir() {
        if source.join(".git").is_file() {
            let path = path.to_owned();
            tally.warnings.push(IncludeWarning::Worktree { path });
            return Ok(false);
        }
        copy_directory(source, target, path, metadata, tally)?;
    } else {
        let path = path.to_owned();
        tally.warnings.push(IncludeWarning::Special { path });
        return Ok(false);
    }
    Ok(true)
}

fn copy_directory(
    source: &Path,
    target: &Path,
    path: &Path,
    metadata: &Metadata,
    tally: &mut Included,
) -> io::Result<()> {
    let names = names_in(source)?;
    std::fs::create_dir(target)?;
    for name in names {
        let (source, path) = (source.join(&name), path.join(&name));
        let copied = source
            .symlink_metadata()
            .and_then(|metadata| copy_entry(&source, &target.join(&name), &path, &metadata, tally));
        match copied {
            Err(failure) if is_full(&failure) => return Err(failure),
            // Programs that run in the main worktree delete files meanwhile.
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => {}
            Err(source) => tally.warnings.push(IncludeWarning::File { path, source }),
            Ok(_) => {}
        }
    }
    // The mode may forbid to write, so it comes after the content.
    std::fs::set_permissions(target, metadata.permissions())?;
    keep_time(target, metadata);
    Ok(())
}

/// Gives `copy` its final name, unless something appeared there meanwhile.
fn move_to(copy: &Path, target: &Path) -> io::Result<()> {
    if target.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mode = copy.symlink_metadata()?.permissions();
    let is_closed = copy.is_dir() && !copy.is_symlink() && mode.readonly();
    if is_closed {
        // A directory that cannot be written cannot get another parent.
        make_private(copy)?;
    }
    std::fs::rename(copy, target)?;
    if is_closed {
        std::fs::set_permissions(target, mode)?;
    }
    Ok(())
}

/// Build tools compare times; one that cannot be kept costs a rebuild and no more.
fn keep_time(target: &Path, metadata: &Metadata) {
    if let (Ok(time), Ok(file)) = (metadata.modified(), File::open(target)) {
        let _ = file.set_modified(time);
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn copy_symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(std::fs::read_link(source)?, target)
}

#[cfg(not(unix))]
fn copy_symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
