//! Room on the file systems that worktrees, the state and the Engine's data are on.

use std::io;
use std::path::Path;

use super::Known;
use super::check::{About, Check, Group, unseen};
use super::git::place_of_worktrees;
use super::typed::quoted;
use crate::words::bytes;

/// With less than these bytes, an image or a checkout of average size does not fit.
const NO_ROOM: u64 = 1 << 30;
/// With less than these, it is a matter of days.
const LITTLE_ROOM: u64 = 5 << 30;
/// With fewer inodes than these, a checkout of average size does not fit.
const NO_INODES: u64 = 10_000;
/// With fewer than these, dependencies of average size do not.
const FEW_INODES: u64 = 100_000;

/// What is left on a file system for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    free: u64,
    all: u64,
    /// Absent where the file system makes them as they are needed.
    free_inodes: Option<u64>,
}

/// Judges the room on each file system that something is written to.
pub(super) fn judge(known: &Known, checks: &mut Vec<Check>) {
    if let Some(session) = &known.session {
        let place = place_of_worktrees(session, &known.state);
        let remedy = "`envtree ls --all` shows environments with their age, `envtree rm TASK` removes one with its worktree";
        checks.extend(look("worktrees", &place, remedy));
    }
    if let Some(directory) = &known.directory {
        checks.extend(look(
            "state",
            directory.path(),
            "`sudo du -xh / | sort -h | tail` shows what takes it",
        ));
    }
    let engine = known.engine.as_ref().filter(|engine| engine.has_files_here());
    if let Some(root) = engine.and_then(|engine| engine.setup.root.as_ref()) {
        let remedy = "`docker system df` shows what takes it; `envtree prune`, `docker builder prune` and `docker image prune` free some";
        checks.extend(look("engine", root, remedy));
    }
}

/// Judges the room at `path`, or at the nearest folder above it that is there; nothing of one that is not for this user.
fn look(name: &'static str, path: &Path, remedy: &str) -> Option<Check> {
    let folder = path.ancestors().find(|folder| folder.symlink_metadata().is_ok())?;
    let about = About(Group::Disk, name);
    Some(match room(folder) {
        Ok(room) => judged(about, folder, room, remedy),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
        Err(error) => about.warn(unseen(folder, &error), format!("`df -h {}` shows why", quoted(folder))),
    })
}

fn room(folder: &Path) -> io::Result<Room> {
    let told = rustix::fs::statvfs(folder)?;
    Ok(Room {
        free: told.f_bavail.saturating_mul(told.f_frsize),
        all: told.f_blocks.saturating_mul(told.f_frsize),
        free_inodes: (told.f_files > 0).then_some(told.f_favail),
    })
}

fn judged(about: About, folder: &Path, room: Room, remedy: &str) -> Check {
    let Room { free, all, free_inodes } = room;
    let shown = folder.display();
    let finding = format!("{} of {} are free at `{shown}`", bytes(free), bytes(all));
    let inodes = free_inodes.unwrap_or(u64::MAX);
    let few = || format!("{inodes} inodes are free at `{shown}`: no room for many small files");
    let remedy_of_inodes =
        || format!("`du --inodes -xd2 {} | sort -n | tail` shows what takes them; {remedy}", quoted(folder));
    if free < NO_ROOM {
        about.fail(finding, remedy)
    } else if inodes < NO_INODES {
        about.fail(few(), remedy_of_inodes())
    } else if free < LITTLE_ROOM {
        about.warn(finding, remedy)
    } else if inodes < FEW_INODES {
        about.warn(few(), remedy_of_inodes())
    } else {
        about.ok(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::told;

    #[test]
    fn little_room_is_warned_about_and_none_is_a_failure() {
        let of = |free: u64, free_inodes| {
            let room = Room { free, all: 100 << 30, free_inodes };
            judged(About(Group::Disk, "state"), Path::new("/my data"), room, "tidy up")
        };
        insta::assert_snapshot!(told(&[
            of(LITTLE_ROOM, None),
            of(LITTLE_ROOM, Some(FEW_INODES)),
            of(LITTLE_ROOM - 1, Some(FEW_INODES)),
            of(LITTLE_ROOM, Some(FEW_INODES - 1)),
            of(NO_ROOM, Some(NO_INODES)),
            of(NO_ROOM - 1, Some(0)),
            of(LITTLE_ROOM, Some(NO_INODES - 1)),
        ]), @"
        ok   disk state: 5.3 GB of 107.3 GB are free at `/my data`
        ok   disk state: 5.3 GB of 107.3 GB are free at `/my data`
        warn disk state: 5.3 GB of 107.3 GB are free at `/my data`
             -> tidy up
        warn disk state: 99999 inodes are free at `/my data`: no room for many small files
             -> `du --inodes -xd2 '/my data' | sort -n | tail` shows what takes them; tidy up
        warn disk state: 1.0 GB of 107.3 GB are free at `/my data`
             -> tidy up
        fail disk state: 1.0 GB of 107.3 GB are free at `/my data`
             -> tidy up
        fail disk state: 9999 inodes are free at `/my data`: no room for many small files
             -> `du --inodes -xd2 '/my data' | sort -n | tail` shows what takes them; tidy up
        ");
    }

    #[test]
    fn the_room_of_a_folder_that_is_not_there_is_that_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path()).unwrap();
        assert!(room.all > 0 && room.free <= room.all, "{room:?}");
        let check = look("state", &folder.path().join("a/b"), "").unwrap();
        assert!(check.finding.ends_with(&format!("`{}`", folder.path().display())), "{}", check.finding);
    }
}
