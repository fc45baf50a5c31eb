//! Keeps two processes from working on the same worktree.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::WorktreeError;

/// Long enough for the checkout of an average repository that a killed process left running.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// A file under `<common dir>/envtree/`, locked as long as this value or a `git` that was given it lives.
///
/// The lock belongs to the open file and not to the process, so a `git` that outlives a killed parent keeps it:
/// who gets the lock knows that nobody is writing to the worktree.
pub(super) struct Claim {
    file: File,
    path: PathBuf,
}

impl Claim {
    /// Waits up to twenty seconds for the claim on `worktree`.
    pub(super) async fn take(common_dir: &Path, worktree: &Path) -> Result<Self, WorktreeError> {
        let folder = common_dir.join("envtree");
        std::fs::create_dir_all(&folder).map_err(|source| WorktreeError::file("create", &folder, source))?;
        let digest = Sha256::digest(worktree.as_os_str().as_encoded_bytes());
        let (start, _) = digest.split_at(8);
        let name = start.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let path = folder.join(format!("worktree-{name:016x}.lock"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|source| WorktreeError::file("open", &path, source))?;
            match file.try_lock() {
                // The former holder may have deleted the file between the two steps.
                Ok(()) if is_still_there(&file, &path) => return Ok(Self { file, path }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(WorktreeError::UnderWay { path: worktree.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(WorktreeError::file("lock", &path, source)),
            }
        }
    }

    /// Returns whether somebody works on another worktree of the same repository.
    pub(super) fn has_company(&self) -> bool {
        let claims = self.path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
        claims.into_iter().flatten().flatten().any(|entry| {
            let is_held = || {
                matches!(
                    File::open(entry.path()).map(|file| file.try_lock()),
                    Ok(Err(TryLockError::WouldBlock))
                )
            };
            entry.path() != self.path && is_held()
        })
    }

    /// Deletes the file, once no `git` that was given it can be running. A claim that is dropped instead, as when
    /// its future is cancelled, leaves the file and thereby the lock of a `git` that goes on.
    pub(super) fn release(self) {
        // A file that cannot be deleted is an empty one that the next claim uses again.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Returns the file for a child to hold.
    pub(super) fn share(&self) -> Result<File, WorktreeError> {
        self.file.try_clone().map_err(|source| WorktreeError::file("open", &self.path, source))
    }
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_there(_: &File, path: &Path) -> bool {
    path.exists()
}
