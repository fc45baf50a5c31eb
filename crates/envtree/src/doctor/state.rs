//! What envtree keeps: whether it can be read and written, what it knows that is gone, and who works on what.

use std::path::Path;

use jiff::Timestamp;

use super::Known;
use super::check::{About, Check, Group};
use super::typed::{folder_of, named, quoted, removal};
use crate::access::is_writable;
use crate::error::Error;
use crate::session::SessionOptions;
use crate::state::record::EnvironmentRecord;
use crate::state::{Damage, Holder, State, StateDirectory};
use crate::words::{bytes, counted};

/// For how long a command may work before somebody should look at it, in seconds.
const LONG: i64 = 60 * 60;

const ELSEWHERE: &str = "name a folder of your own with `ENVTREE_STATE_DIR`";

const fn about(name: &'static str) -> About {
    About(Group::State, name)
}

/// Finds the state's folder; nothing if it has no place, or one that no command would use.
pub(super) fn directory(options: &SessionOptions, checks: &mut Vec<Check>) -> Option<StateDirectory> {
    let variable = |name: &str| options.environment.get(name).map(Into::into);
    let about = about("folder");
    let directory = match StateDirectory::locate(variable) {
        Ok(path) => StateDirectory::left_alone(path),
        Err(error) => {
            checks.push(about.fault(Error::from(error), ELSEWHERE));
            return None;
        }
    };
    let is_there = match directory.is_there() {
        Ok(is_there) => is_there,
        Err(error) => {
            checks.push(about.fault(Error::from(error), ELSEWHERE));
            return None;
        }
    };
    let path = directory.path();
    let mut folders = path.ancestors().filter(|folder| folder.symlink_metadata().is_ok());
    checks.push(match folders.next().filter(|folder| !is_writable(folder)) {
        Some(folder) => {
            let shown = quoted(folder);
            let finding = format!("`{}` is not writable for this user", folder.display());
            about.fail(
                finding,
                format!("`sudo chown \"$USER\" {shown}` and `chmod u+rwx {shown}`, or {ELSEWHERE}"),
            )
        }
        None if is_there => about.ok(format!("`{}`", path.display())),
        None => about.ok(format!("`{}`, which the first `envtree up` makes", path.display())),
    });
    Some(directory)
}

/// Reads the state as it is; nothing if it cannot be understood.
pub(super) fn read(directory: &StateDirectory, checks: &mut Vec<Check>) -> Option<State> {
    let about = about("records");
    match directory.peek() {
        Ok(Ok(state)) => {
            let size = directory
                .file()
                .metadata()
                .map(|file| file.len())
                .map(|size| format!(", {}", bytes(size)))
                .unwrap_or_default();
            let (count, version) = (state.environments.len(), State::version());
            checks.push(about.ok(format!("{}, format {version}{size}", counted(count, "environment"))));
            Some(state)
        }
        Ok(Err(damage)) => {
            checks.push(damaged(&directory.file(), &damage));
            None
        }
        Err(error) => {
            checks.push(about.fault(Error::from(error), ELSEWHERE));
            None
        }
    }
}

/// Judges what the state knows.
pub(super) fn judge(known: &Known, checks: &mut Vec<Check>) {
    let is_gone = |record: &&EnvironmentRecord| matches!(record.worktree.try_exists(), Ok(false));
    let gone: Vec<&EnvironmentRecord> = known.state.environments.iter().filter(is_gone).collect();
    let has_repository =
        |record: &&EnvironmentRecord| !matches!(record.repository.common_dir.try_exists(), Ok(false));
    let (gone, lost): (Vec<_>, Vec<_>) = gone.into_iter().partition(has_repository);
    if gone.is_empty() && lost.is_empty() && !known.state.environments.is_empty() {
        checks.push(about("worktrees").ok("the worktree of every environment is there"));
    }
    checks.extend(without_worktree(&gone, known.here()));
    checks.extend(without_repository(&lost));
    checks.push(locks(&known.held, known.now));
}

fn damaged(file: &Path, damage: &Damage) -> Check {
    let remedy = match damage {
        Damage::Newer { .. } => "update envtree, or name another folder with `ENVTREE_STATE_DIR`".to_owned(),
        Damage::Foreign(_) => format!(
            "restore `{}`, or let `envtree ls` set it aside: records are then rebuilt from what the Engine and git know",
            file.display()
        ),
    };
    about("records").fail(format!("`{}` cannot be understood: {damage}", file.display()), remedy)
}

fn without_worktree(gone: &[&EnvironmentRecord], here: Option<&Path>) -> Option<Check> {
    if gone.is_empty() {
        return None;
    }
    Some(about("worktrees").warn(
        format!("environments whose worktree is gone: {}", named(gone.iter().map(|record| &record.project))),
        format!(
            "{}, to remove what is left; `up` in place of `rm` makes the worktree again",
            removal(here, gone.iter().copied())
        ),
    ))
}

fn without_repository(lost: &[&EnvironmentRecord]) -> Option<Check> {
    let first = lost.first()?;
    let folder = quoted(folder_of(&first.repository.common_dir));
    Some(about("repositories").warn(
        format!("environments whose repository is gone: {}", named(lost.iter().map(|record| &record.project))),
        format!("bring it back, or remove what is left in an empty one of the same place: `git init {folder}`, then {}", removal(None, lost.iter().copied())),
    ))
}

fn locks(held: &[(String, Option<Holder>)], now: Timestamp) -> Check {
    let is_old = |holder: &&Holder| now.as_second() - holder.since.as_second() > LONG;
    let word = |(project, holder): &(String, Option<Holder>)| match holder {
        Some(holder) if is_old(&holder) => format!("{holder} works on `{project}` since {}", holder.since),
        Some(holder) => format!("{holder} works on `{project}`"),
        None => format!("another process works on `{project}`"),
    };
    let working: Vec<String> = held.iter().map(word).collect();
    if working.is_empty() {
        return about("locks").ok("no command is at work");
    }
    let finding = working.join(", ");
    match held.iter().filter_map(|(_, holder)| holder.as_ref()).find(is_old) {
        None => about("locks").ok(finding),
        Some(Holder { pid, .. }) => about("locks").warn(
            finding,
            format!(
                "`ps -fp {pid}` shows whether it still does; `kill {pid}` ends it, and it can be typed again"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::doctor::tests::{masked, told};
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::options;
    use crate::state::record::tests::record;

    fn looked(shop: &TestRepository) -> (Option<State>, String) {
        let mut checks = Vec::new();
        let directory = directory(&options(shop, &shop.path), &mut checks);
        let state = directory.and_then(|directory| read(&directory, &mut checks));
        (state, masked(&told(&checks), shop))
    }

    #[test]
    fn a_state_that_is_not_there_yet_is_left_so() {
        let shop = TestRepository::new();
        let (state, told) = looked(&shop);
        insta::assert_snapshot!(told, @"
        ok   state folder: `/src/state`, which the first `envtree up` makes
        ok   state records: 0 environments, format 1
        ");
        assert_eq!(state, Some(State::default()));
        assert!(!shop.beside("state").exists());
    }

    #[test]
    fn a_state_that_cannot_be_understood_stays_where_it_is() {
        let shop = TestRepository::new();
        let folder = shop.beside("state");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let file = folder.join("environments.json");
        let mut all = Vec::new();
        for text in ["{\"version\": 1, ", "{\"version\": 7}"] {
            fs::write(&file, text).unwrap();
            let (state, told) = looked(&shop);
            assert_eq!(state, None);
            all.push(told);
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        insta::assert_snapshot!(all.join("\n"), @"
        ok   state folder: `/src/state`
        fail state records: `/src/state/environments.json` cannot be understood: not a document of envtree: EOF while parsing a value at line 1 column 15
             -> restore `/src/state/environments.json`, or let `envtree ls` set it aside: records are then rebuilt from what the Engine and git know
        ok   state folder: `/src/state`
        fail state records: `/src/state/environments.json` cannot be understood: version 7, and this envtree reads 1
             -> update envtree, or name another folder with `ENVTREE_STATE_DIR`
        ");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused_as_by_every_command() {
        let shop = TestRepository::new();
        let folder = shop.beside("state");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let (state, shared) = looked(&shop);
        fs::remove_dir(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        let (_, file) = looked(&shop);
        insta::assert_snapshot!(format!("{shared}\n{file}"), @"
        fail state folder: the state directory `/src/state` is writable by other users (mode 777)
             => name a folder of your own with `ENVTREE_STATE_DIR`
        fail state folder: cannot create the state directory `/src/state`: not a directory
             => name a folder of your own with `ENVTREE_STATE_DIR`
        ");
        assert_eq!(state, None);
    }

    #[test]
    fn environments_whose_worktree_or_repository_is_gone_are_told_with_what_removes_them() {
        let records =
            [record("/src/shop/.git", "shop", "a", "a"), record("/src/blog/.git", "blog", "b", "b")];
        let records: Vec<_> = records.iter().collect();
        let here = Some(Path::new("/src/shop/.git"));
        let checks = [without_worktree(&records, here).unwrap(), without_repository(&records[1..]).unwrap()];
        insta::assert_snapshot!(told(&checks), @"
        warn state worktrees: environments whose worktree is gone: `shop-a`, `blog-b`
             -> `envtree rm a` and `envtree -C /src/blog rm b`, to remove what is left; `up` in place of `rm` makes the worktree again
        warn state repositories: environments whose repository is gone: `blog-b`
             -> bring it back, or remove what is left in an empty one of the same place: `git init /src/blog`, then `envtree -C /src/blog rm b`
        ");
        assert!(without_worktree(&[], here).is_none() && without_repository(&[]).is_none());
    }

    #[test]
    fn a_command_that_works_for_very_long_is_told() {
        let since = Timestamp::from_second(1_000).unwrap();
        let holder = Holder { pid: 7, command: "envtree up a".to_owned(), since };
        let held = [("shop-a".to_owned(), Some(holder)), ("shop-b".to_owned(), None)];
        let at = |second| locks(&held, Timestamp::from_second(second).unwrap());
        insta::assert_snapshot!(told(&[at(1_000 + LONG), at(1_001 + LONG)]), @"
        ok   state locks: `envtree up a` (pid 7) works on `shop-a`, another process works on `shop-b`
        warn state locks: `envtree up a` (pid 7) works on `shop-a` since 1970-01-01T00:16:40Z, another process works on `shop-b`
             -> `ps -fp 7` shows whether it still does; `kill 7` ends it, and it can be typed again
        ");
        assert_eq!(locks(&[], since).finding, "no command is at work");
    }
}
