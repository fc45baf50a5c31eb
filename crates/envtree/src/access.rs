//! What this user may do with a folder, asked before anything depends on it.

use std::path::Path;

/// Returns whether this user may make, replace and delete what is in `folder`.
#[cfg(unix)]
pub(crate) fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Returns whether this user may make, replace and delete what is in `folder`.
#[cfg(not(unix))]
pub(crate) fn is_writable(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| !metadata.permissions().readonly())
}
