//! The `git` program, the repository around the person, and its worktrees.

use std::fs;
use std::path::{Path, PathBuf};

use super::Known;
use super::check::{About, Check, Group};
use super::typed::{envtree, named, quoted};
use crate::identify::WORKTREES;
use crate::load::load_settings;
use crate::repository::{Repository, RepositoryError, Worktree};
use crate::session::{Session, SessionOptions};
use crate::state::State;
use crate::state::identity::{environment_id, project_name, repository as repository_record};
use crate::state::record::EnvironmentRecord;
use crate::worktree::git::Git;
use crate::worktree::{GitError, points_back, refuse_unmakeable};

/// The first git with `worktree add --lock --reason`, which every new worktree is made by.
const OLDEST: GitVersion = GitVersion(2, 33);
/// The first git with `hook run`, by which `post-checkout` runs.
const COMPLETE: GitVersion = GitVersion(2, 36);
/// A task that stands for any.
const TASK: &str = "task";
const INSTALL: &str =
    "install git 2.36 or a newer one: `sudo apt install git`, `sudo dnf install git` or `brew install git`";

const fn about(name: &'static str) -> About {
    About(Group::Git, name)
}

/// A version of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GitVersion(u32, u32);

/// Finds the repository around the person; what is in the way of that is judged.
pub(super) fn repository(options: &SessionOptions, checks: &mut Vec<Check>) -> Option<Repository> {
    let directory = &options.directory;
    checks.push(program(Git::inside(directory).args(["--version"]).output_blocking()));
    let about = about("repository");
    match Repository::discover(directory) {
        Ok(repository) => {
            let common_dir = repository.common_dir().display();
            let finding = match repository.current_worktree() {
                Some(top) => format!("`{}` of `{common_dir}`", top.display()),
                None => format!("`{common_dir}`, not in a worktree"),
            };
            checks.push(match repository.resolve_commit("HEAD") {
                Ok(_) => about.ok(finding),
                Err(_) if repository.base(None).is_ok() => about.ok(finding),
                Err(_) => about.warn(
                    format!("{finding}, which has no commit for a worktree to start from"),
                    "`git commit --allow-empty -m Begin`",
                ),
            });
            Some(repository)
        }
        Err(error) => {
            checks.push(match (dangling_link(directory), error) {
                (Some((link, target)), _) => broken_link(&link, &target),
                (None, RepositoryError::NotARepository { .. }) => about.ok(format!(
                    "`{}` is not in a git repository: what belongs to one is not looked at",
                    directory.display()
                )),
                (None, error) => about.fault(error, "`git status` says what it makes of the repository"),
            });
            None
        }
    }
}

/// Judges what needs the repository.
pub(super) async fn judge(known: &Known, checks: &mut Vec<Check>) {
    let Some(session) = &known.session else { return };
    let place = place_of_worktrees(session, &known.state);
    checks.push(match refuse_unmakeable(&session.repository, &place) {
        Ok(()) => about("place").ok(format!("a worktree of task `task` goes to `{}`", place.display())),
        Err(error) => about("place").fault(error, "`worktrees:` in `envtree.yaml` names another place"),
    });
    let repository = session.repository.clone();
    let worktrees = crate::checkout::blocking(move || repository.worktrees()).await;
    match worktrees {
        Ok(worktrees) => {
            checks.push(linked(&worktrees));
            checks.extend(links(&worktrees));
            let records: Vec<_> = session.own_records(&known.state).collect();
            checks.extend(forgotten(&worktrees, &records, known.here()));
        }
        Err(error) => checks.push(about("worktrees").fault(error, "`git worktree list` shows what git sees")),
    }
}

fn program(told: Result<Vec<u8>, GitError>) -> Check {
    let about = about("program");
    let told = match told {
        Ok(told) => told,
        Err(GitError::NotInstalled) => return about.fail("there is no `git` in `PATH`", INSTALL),
        Err(error) => return about.fail(error.to_string(), INSTALL),
    };
    let told = String::from_utf8_lossy(&told);
    let told = told.trim();
    match parse_version(told) {
        None => about.warn(format!("`git --version` says `{told}`, which is no version"), INSTALL),
        Some(version) if version < OLDEST => about
            .fail(format!("{told}: no git before 2.33 makes worktrees with a lock and its reason"), INSTALL),
        Some(version) if version < COMPLETE => about.warn(
            format!("{told}: before 2.36, the hook `post-checkout` does not run in new worktrees"),
            INSTALL,
        ),
        Some(_) => about.ok(format!("{told} (oldest supported: 2.33)")),
    }
}

/// Reads what `git --version` says, such as `git version 2.39.5 (Apple Git-154)`.
fn parse_version(text: &str) -> Option<GitVersion> {
    let mut numbers = text.strip_prefix("git version ")?.split(|c: char| !c.is_ascii_digit());
    Some(GitVersion(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns the record of an environment of task `task`, which nobody asked for.
pub(super) fn record_of_task(session: &Session, state: &State) -> EnvironmentRecord {
    let repository = repository_record(state, session.repository.common_dir());
    let id = environment_id(state, &repository, TASK);
    let project = project_name(&repository, &id);
    EnvironmentRecord::new(repository, TASK, id, project)
}

/// Returns where the worktree of a new task would be.
pub(super) fn place_of_worktrees(session: &Session, state: &State) -> PathBuf {
    // Settings that cannot be read are told of elsewhere.
    let setting = load_settings(&session.home_files()).ok().and_then(|settings| settings.worktrees);
    session.place(setting.as_deref().unwrap_or(WORKTREES), &record_of_task(session, state), TASK)
}

fn linked(worktrees: &[Worktree]) -> Check {
    let about = about("worktrees");
    let gone: Vec<_> =
        worktrees.iter().filter(|worktree| worktree.prunable && worktree.locked.is_none()).collect();
    let count = worktrees.iter().filter(|worktree| !worktree.is_main).count();
    if gone.is_empty() {
        return about.ok(crate::words::counted(count, "linked worktree"));
    }
    about.warn(
        format!("git lists worktrees whose folder is gone: {}", named(gone.iter().map(|worktree| worktree.path.display()))),
        "`git worktree prune` has git forget them; `git worktree lock PATH` keeps one whose disk is only away",
    )
}

/// Judges the `.git` files of linked worktrees that git knows.
fn links(worktrees: &[Worktree]) -> Option<Check> {
    let is_broken = |worktree: &&Worktree| !worktree.is_main && !worktree.prunable && !points_back(worktree);
    let broken: Vec<&Path> =
        worktrees.iter().filter(is_broken).map(|worktree| worktree.path.as_path()).collect();
    if broken.is_empty() {
        return None;
    }
    let paths: Vec<String> = broken.iter().map(|path| quoted(path)).collect();
    Some(about("links").warn(
        format!(
            "`.git` does not lead back to this repository in {}",
            named(broken.iter().map(|path| path.display()))
        ),
        format!("`git worktree repair {}`", paths.join(" ")),
    ))
}

/// Judges worktrees of environments that are there, and that git has forgotten.
fn forgotten(worktrees: &[Worktree], records: &[&EnvironmentRecord], here: Option<&Path>) -> Option<Check> {
    let is_known = |path: &Path| worktrees.iter().any(|worktree| worktree.path == path);
    let lost: Vec<_> = records
        .iter()
        .filter(|record| {
            !is_known(&record.worktree)
                && target_of(&record.worktree.join(".git")).is_some_and(|target| !target.exists())
        })
        .collect();
    let first = lost.first()?;
    Some(about("forgotten").warn(
        format!("git has forgotten {}", named(lost.iter().map(|record| record.worktree.display()))),
        format!(
            "move the folder away, `{}` makes the worktree anew, and bring what you need over",
            envtree(here, &first.repository.common_dir, &["up", &first.task])
        ),
    ))
}

fn broken_link(link: &Path, target: &Path) -> Check {
    let top = link.parent().unwrap_or(link);
    about("repository").fail(
        format!("`{}` leads to `{}`, where nothing is", link.display(), target.display()),
        format!("`git worktree repair {}`, in the repository's main worktree", quoted(top)),
    )
}

/// Returns the nearest `.git` at `directory` or above, if it is a file that leads to where nothing is, with that place.
fn dangling_link(directory: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut links = directory.ancestors().map(|folder| folder.join(".git"));
    let link = links.find(|link| link.symlink_metadata().is_ok())?;
    let target = target_of(&link)?;
    (!target.exists()).then_some((link, target))
}

/// Returns where a `.git` leads that is a file.
fn target_of(link: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(link).ok()?;
    Some(link.parent()?.join(text.strip_prefix("gitdir:")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{known, masked, told};
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::options;
    use crate::state::record::tests::record;

    #[test]
    fn a_git_that_is_too_old_or_lacks_something_is_told() {
        let of = |text: &str| program(Ok(format!("{text}\n").into_bytes()));
        insta::assert_snapshot!(told(&[
            of("git version 2.47.3"),
            of("git version 3.0.0-rc1"),
            of("git version 2.36.0 (Apple Git-154)"),
            of("git version 2.35.8"),
            of("git version 2.32.0.windows.1"),
            of("hello"),
            program(Err(GitError::NotInstalled)),
        ]), @"
        ok   git program: git version 2.47.3 (oldest supported: 2.33)
        ok   git program: git version 3.0.0-rc1 (oldest supported: 2.33)
        ok   git program: git version 2.36.0 (Apple Git-154) (oldest supported: 2.33)
        warn git program: git version 2.35.8: before 2.36, the hook `post-checkout` does not run in new worktrees
             -> install git 2.36 or a newer one: `sudo apt install git`, `sudo dnf install git` or `brew install git`
        fail git program: git version 2.32.0.windows.1: no git before 2.33 makes worktrees with a lock and its reason
             -> install git 2.36 or a newer one: `sudo apt install git`, `sudo dnf install git` or `brew install git`
        warn git program: `git --version` says `hello`, which is no version
             -> install git 2.36 or a newer one: `sudo apt install git`, `sudo dnf install git` or `brew install git`
        fail git program: there is no `git` in `PATH`
             -> install git 2.36 or a newer one: `sudo apt install git`, `sudo dnf install git` or `brew install git`
        ");
    }

    #[test]
    fn worktrees_that_git_cannot_use_are_told() {
        let shop = TestRepository::new();
        for name in ["whole", "gone", "away", "moved"] {
            shop.git(&["worktree", "add", "-q", "-b", name, shop.beside(name).to_str().unwrap()]);
        }
        assert_eq!(linked(&shop.open().worktrees().unwrap()).finding, "4 linked worktrees");
        assert!(links(&shop.open().worktrees().unwrap()).is_none());
        shop.git(&["worktree", "lock", "away"]);
        fs::remove_dir_all(shop.beside("gone")).unwrap();
        fs::remove_dir_all(shop.beside("away")).unwrap();
        fs::write(shop.beside("moved/.git"), "gitdir: /nowhere/.git/worktrees/moved\n").unwrap();
        let worktrees = shop.open().worktrees().unwrap();
        let checks = [linked(&worktrees), links(&worktrees).unwrap()];
        insta::assert_snapshot!(masked(&told(&checks), &shop), @"
        warn git worktrees: git lists worktrees whose folder is gone: `/src/gone`
             -> `git worktree prune` has git forget them; `git worktree lock PATH` keeps one whose disk is only away
        warn git links: `.git` does not lead back to this repository in `/src/moved`
             -> `git worktree repair /src/moved`
        ");
        let (link, target) = dangling_link(&shop.beside("moved")).unwrap();
        insta::assert_snapshot!(masked(&told(&[broken_link(&link, &target)]), &shop), @"
        fail git repository: `/src/moved/.git` leads to `/nowhere/.git/worktrees/moved`, where nothing is
             -> `git worktree repair /src/moved`, in the repository's main worktree
        ");
        assert!(dangling_link(&shop.beside("whole")).is_none() && dangling_link(&shop.path).is_none());
    }

    #[test]
    fn a_worktree_that_git_has_forgotten_is_told() {
        let shop = TestRepository::new();
        let path = shop.beside("lost");
        shop.git(&["worktree", "add", "-q", "-b", "lost", path.to_str().unwrap()]);
        let common_dir = shop.path.join(".git");
        let record = EnvironmentRecord {
            worktree: path,
            ..record(common_dir.to_str().unwrap(), "shop", "lost", "lost")
        };
        let judged = || forgotten(&shop.open().worktrees().unwrap(), &[&record], Some(common_dir.as_path()));
        assert!(judged().is_none());
        fs::remove_dir_all(common_dir.join("worktrees/lost")).unwrap();
        insta::assert_snapshot!(masked(&told(&[judged().unwrap()]), &shop), @"
        warn git forgotten: git has forgotten `/src/lost`
             -> move the folder away, `envtree up lost` makes the worktree anew, and bring what you need over
        ");
    }

    #[test]
    fn a_repository_is_told_and_what_it_lacks() {
        let judged = |shop: &TestRepository, directory: &Path| {
            let mut checks = Vec::new();
            let found = repository(&options(shop, directory), &mut checks);
            // The first is about the program.
            (found.is_some(), masked(&told(&checks[1..]), shop))
        };
        let (shop, empty) = (TestRepository::new(), TestRepository::without_commit());
        shop.git(&["clone", "-q", "--bare", ".", shop.beside("bare.git").to_str().unwrap()]);
        let (is_found, whole) = judged(&shop, &shop.path);
        assert!(is_found);
        let (is_found, bare) = judged(&shop, &shop.beside("bare.git"));
        assert!(is_found);
        let (is_found, begun) = judged(&empty, &empty.path);
        assert!(is_found);
        let (is_found, none) = judged(&shop, shop.path.parent().unwrap());
        assert!(!is_found);
        insta::assert_snapshot!([whole, bare, begun, none].join("\n"), @"
        ok   git repository: `/src/shop` of `/src/shop/.git`
        ok   git repository: `/src/bare.git`, not in a worktree
        warn git repository: `/src/shop` of `/src/shop/.git`, which has no commit for a worktree to start from
             -> `git commit --allow-empty -m Begin`
        ok   git repository: `/src` is not in a git repository: what belongs to one is not looked at
        ");
    }

    #[tokio::test]
    async fn a_place_where_no_worktree_can_be_made_is_a_failure() {
        let shop = TestRepository::new();
        let mut checks = Vec::new();
        judge(&known(&shop), &mut checks).await;
        shop.write("envtree.yaml", "worktrees: readme.md/{id}\n");
        judge(&known(&shop), &mut checks).await;
        checks.retain(|check| check.name == "place");
        insta::assert_snapshot!(masked(&told(&checks), &shop), @"
        ok   git place: a worktree of task `task` goes to `/src/shop.worktrees/task`
        fail git place: cannot make worktree `/src/shop/readme.md/task`: `/src/shop/readme.md` is not a folder
             => `worktrees:` in `envtree.yaml` names another place
        ");
    }
}
