//! Why envtree's own state cannot be used, as people see it, and what they can do.

use envtree::error::Error;
use envtree::secret::SecretError;
use envtree::state::{FileError, LockError, StateError};
use envtree::trust::TrustError;

use super::CommandError;

/// Adds what to do about state, locks, secrets or trust that cannot be used; any other error stays as it is shown.
pub(super) fn of_state(shown: CommandError, error: &Error) -> CommandError {
    match error {
        Error::Lock(error) | Error::State(StateError::Lock(error)) => of_lock(shown, error),
        Error::State(StateError::File(error)) | Error::Secret(SecretError::Directory(error)) => {
            of_file(shown, error)
        }
        Error::Secret(SecretError::NotAFile { .. }) | Error::Trust(TrustError::NotAFile { .. }) => misplaced(shown),
        Error::Secret(SecretError::Damaged { .. }) => shown.hint(
            "restore it from a backup, or remove it: services whose data was made under its password then refuse the new one",
        ),
        Error::State(StateError::NoHome | StateError::RelativeHome { .. } | StateError::Create { .. } | StateError::Foreign { .. }) => {
            shown.hint("name a folder of your own with `ENVTREE_STATE_DIR`")
        }
        Error::State(StateError::Shared { path, .. }) => shown.hint(format!(
            "`chmod go-w {}`, or name a folder of your own with `ENVTREE_STATE_DIR`",
            crate::text::shell_quoted(&crate::text::path(path))
        )),
        _ => shown,
    }
}

fn of_lock(shown: CommandError, error: &LockError) -> CommandError {
    match error {
        LockError::TimedOut { .. } => shown
            .hint("run the command again when that one has ended; `ENVTREE_LOCK_TIMEOUT=10m` waits longer"),
        LockError::File(error) => of_file(shown, error),
        _ => shown,
    }
}

fn of_file(shown: CommandError, error: &FileError) -> CommandError {
    match error {
        FileError::Symlink { .. } | FileError::NotAFile { .. } => misplaced(shown),
        _ => shown,
    }
}

fn misplaced(shown: CommandError) -> CommandError {
    shown.hint("remove it, or put what it leads to in its place; `ENVTREE_STATE_DIR` names another folder for all of envtree's state")
}
