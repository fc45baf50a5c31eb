//! What to do about data that is not there as it should be.

use envtree::data::DataError;
use envtree_core::archive::ArchiveFault;
use envtree_core::nearest::nearest;

use super::{AGAIN, CommandError, TASK};
use crate::text::shell_quoted;

/// Adds what to do about data that is not there as it should be.
pub(super) fn of_data(shown: CommandError, error: &DataError) -> CommandError {
    match error {
        DataError::NotSeeded { .. } => {
            shown.hint(format!("`envtree up{TASK}` makes it, and then the command finds it"))
        }
        DataError::NoSeed | DataError::SeedUntrusted | DataError::NoServers | DataError::Untrusted { .. } => {
            of_seed(shown, error)
        }
        DataError::NotStopped { .. } => shown
            .hint("a server that ends well ends with 0: look at its `stop_signal` and `stop_grace_period`")
            .note(format!("`envtree up{TASK}` brings up what was stopped")),
        DataError::NoneBranched { task, .. } => {
            let task = shell_quoted(task);
            shown.hint(format!("`envtree down --volumes {task}` and `envtree up {task}` begin anew with all data"))
        }
        DataError::UnknownBase { name, known } | DataError::UnknownSource { name, known } => {
            match nearest(name, known.iter().map(String::as_str)) {
                Some(known) => shown.hint(format!("did you mean `{known}`?")),
                None => shown.hint("`envtree data list` lists the snapshots and bases"),
            }
        }
        DataError::Unchanged { name, .. } => shown.hint(format!(
            "`envtree up --data-from {}` begins with it in another environment, `envtree up{TASK}` goes on with it in this one", shell_quoted(name)
        )),
        DataError::Unfinished { .. } => shown.hint(format!("`envtree up{TASK}` makes it whole first")),
        DataError::NoneBefore { .. } => shown.hint("`envtree data list` lists the snapshots with their commits"),
        DataError::NotBranched { .. } => shown.hint(format!(
            "`envtree down --volumes{TASK}` removes it, and `envtree up{TASK} --data-from NAME` begins anew"
        )),
        DataError::SnapshotWanted { task } => shown.hint(format!(
            "take it with `envtree data snapshot {}`, and name it",
            shell_quoted(task)
        )),
        DataError::AlreadyThere { base, .. } => shown.hint(format!(
            "`envtree data restore{TASK} {}` replaces what is there",
            shell_quoted(base)
        )),
        DataError::OwnData { .. } => shown.hint("`envtree data snapshot` keeps it under a name"),
        DataError::SnapshotName { .. } => {
            shown.hint("letters, digits, `-`, `_` and `.`, at most 63, a letter or a digit first, and not the digits of a base")
        }
        DataError::SnapshotExists { .. } => shown.hint("choose another name, or none: one is made up"),
        DataError::GroundGone { .. } => {
            shown.hint(format!("`envtree data reset{TASK}` begins with what a new environment has"))
        }
        DataError::BaseInUse { users, .. } => shown
            .note(format!("on it lie {}", users.join(", ")))
            .hint("`envtree rm` or `envtree down --volumes` removes volumes with their environments, and `envtree data drop` snapshots"),
        _ => of_dump(shown, error),
    }
}

/// Adds what to do about an archive that cannot be read or written.
fn of_transport(shown: CommandError, error: &DataError) -> CommandError {
    match error {
        DataError::ImportedBefore { name } => {
            shown.hint(format!("`envtree up --data-from {}` begins with it", shell_quoted(name)))
        }
        DataError::KeyTaken { .. } => {
            shown.note("nothing was imported: only an archive that was changed has such a key")
        }
        DataError::NoFile { .. } => {
            shown.hint("name a file that is there or not, or `-` for the standard output")
        }
        DataError::Archive { source, .. } => of_archive(shown, source),
        DataError::ArchiveExists { .. } => shown.hint("`--force` replaces it; or name another file"),
        DataError::ArchiveBusy { .. } => shown.hint("wait for it, or name another file"),
        DataError::BaseNamed { .. } => shown.hint("leave out `--name`"),
        DataError::ArchiveWrite { source, .. } | DataError::ArchiveRead { source, .. } => {
            use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
            match source.kind() {
                NotFound | PermissionDenied | IsADirectory | NotADirectory => shown,
                _ => shown.hint(format!("{AGAIN} continues from here")),
            }
        }
        _ => shown,
    }
}

/// Adds what to do about an archive that cannot be used.
fn of_archive(shown: CommandError, fault: &ArchiveFault) -> CommandError {
    match fault {
        ArchiveFault::Foreign => shown.hint("`envtree data export` writes what can be imported"),
        ArchiveFault::Format { .. } => shown.hint("import it with the envtree that wrote it, or a newer one"),
        ArchiveFault::Platform { .. } => {
            shown.hint("export the data on a machine of the same platform, or let the seed make it here")
        }
        ArchiveFault::Truncated => shown.hint(format!("bring all of it, and run {AGAIN} again")),
        ArchiveFault::Altered => shown.hint("bring it anew: it was damaged on its way, or changed"),
        ArchiveFault::Manifest { .. } | ArchiveFault::Entry { .. } => {
            shown.note("nothing was imported: no export writes such an archive")
        }
    }
}

/// Adds what to do about data that cannot be made.
fn of_seed(shown: CommandError, error: &DataError) -> CommandError {
    match error {
        DataError::NoSeed => shown.hint(
            "`data: { seed: COMMAND }` fills the servers; `data: { prepare: true }` has them initialised without one",
        ),
        DataError::SeedUntrusted | DataError::Untrusted { .. } => shown.hint("`envtree trust` shows and accepts them"),
        DataError::NoServers => {
            shown.hint("`data.volumes` names volumes that hold data of servers which envtree does not know")
        }
        _ => shown,
    }
}

/// Adds what to do about real data that is not imported, or not exported.
fn of_dump(shown: CommandError, error: &DataError) -> CommandError {
    match error {
        DataError::NoReader { .. } => shown.hint(
            "Postgres reads `.sql` and what `pg_dump` writes, MySQL and MariaDB read `.sql`, MongoDB what `mongodump` writes",
        ),
        DataError::SeveralReaders { .. } => shown.hint("`--service` names the one that is meant"),
        DataError::NoVerification => shown.hint(
            "`data.verify: { query: SELECT … }` must have nothing to report; `--unsanitized` imports the data as it is",
        ),
        DataError::OtherDatabases { .. } => {
            shown.hint("`pg_dump` and `mysqldump` of one database, without `--create`, say no database's name")
        }
        DataError::NoDump { .. } => {
            shown.hint("`pg_dump --format=directory` writes a `toc.dat`, `mongodump` files that end in `.bson`")
        }
        DataError::ToolFailed { lines, .. } => {
            let shown = shown.log(lines);
            if lines.iter().any(|line| line.contains("role \"") && line.contains("does not exist")) {
                shown.hint("`pg_dump --no-owner --no-privileges` leaves out the roles of elsewhere")
            } else {
                shown.note("nothing of the data was kept")
            }
        }
        DataError::NotHarmless { lines } => {
            let shown = shown.log(lines);
            shown.hint("let `data.sanitize` change that too; nothing of the data was kept")
        }
        DataError::Raw { .. } => {
            shown.hint("`data.sanitize` and `data.verify` see to that at the next import; `--unsanitized` writes it as it is")
        }
        _ => of_transport(shown, error),
    }
}
