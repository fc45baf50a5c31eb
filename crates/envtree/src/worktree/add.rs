//! Makes a linked worktree, or finishes one that was begun.

mod checkout;
mod step;

use std::path::{Path, PathBuf};

use super::claim::Claim;
use super::git::Git;
use super::{GitError, WorktreeError, blocking, real_path, registered, unmark};
use crate::repository::{CommitId, Repository};
use step::Step;

pub(crate) use step::refuse_unmakeable;

/// What a new worktree checks out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// A branch that is made first; it follows no other.
    New {
        /// Its name.
        name: String,
        /// Its first commit.
        from: CommitId,
    },
    /// A local branch.
    Existing {
        /// Its name.
        name: String,
    },
    /// A branch that is made first and follows one of a remote.
    Tracking {
        /// Its name.
        name: String,
        /// The remote-tracking reference in full, `refs/remotes/origin/login`.
        reference: String,
    },
}

impl Branch {
    /// A new branch that starts at `revision`, and follows it if that is a branch of a remote, unless
    /// `branch.autoSetupMerge` says otherwise: what `git branch` makes of the two.
    pub fn starting_at(repository: &Repository, name: &str, revision: &str) -> Result<Self, WorktreeError> {
        let from = repository.resolve_commit(revision)?;
        let name = name.to_owned();
        match repository.remote_tracking_reference(revision) {
            Some(reference) if repository.is_followed(&name, &reference) => {
                Ok(Self::Tracking { name, reference })
            }
            _ => Ok(Self::New { name, from }),
        }
    }

    /// The name of the local branch.
    pub fn name(&self) -> &str {
        match self {
            Self::New { name, .. } | Self::Existing { name } | Self::Tracking { name, .. } => name,
        }
    }
}

/// How a worktree came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowAdded {
    /// It was made now.
    Made,
    /// It had been begun by a process that was killed, and was finished now.
    Completed,
    /// It was there, with the branch that was asked for.
    Existed,
}

/// A worktree that stands.
#[derive(Debug)]
pub struct Added {
    /// Canonical.
    pub path: PathBuf,
    /// How it came about.
    pub how: HowAdded,
    /// What the `post-checkout` hook said if it failed. As with git, the checkout stands nevertheless.
    pub hook_failure: Option<GitError>,
}

/// Makes a worktree of `repository` at `path` with `branch` checked out, hooks, filters, sparse checkout and
/// submodules included.
///
/// A worktree that is there with that branch is left as it is; one that a killed process began is finished. Of a
/// worktree whose folder is gone at that path the old entry is forgotten first. When it fails nothing is left,
/// except after [`WorktreeError::Submodules`].
pub async fn add(repository: &Repository, path: &Path, branch: &Branch) -> Result<Added, WorktreeError> {
    Repository::check_branch_name(branch.name())?;
    let path = real_path(path)?;
    let claim = Claim::take(repository.common_dir(), &path).await?;
    let added = add_claimed(repository, path, branch, &claim).await;
    claim.release();
    added
}

/// Refuses what [`add`] would refuse, as far as that can be seen without changing anything.
pub fn check(repository: &Repository, path: &Path, branch: &Branch) -> Result<(), WorktreeError> {
    Repository::check_branch_name(branch.name())?;
    step::check(repository, &real_path(path)?, branch)
}

async fn add_claimed(
    repository: &Repository,
    path: PathBuf,
    branch: &Branch,
    claim: &Claim,
) -> Result<Added, WorktreeError> {
    let (repo, wanted, at) = (repository.clone(), branch.clone(), path.clone());
    let step = blocking(move || step::plan(&repo, &at, &wanted)).await?;
    let (how, hook_failure) = match step {
        Step::Nothing => {
            return Ok(Added { path, how: HowAdded::Existed, hook_failure: None });
        }
        Step::Make(branch) => {
            let hook_failure = checkout::make(repository, &path, &branch, claim).await?;
            (HowAdded::Made, hook_failure)
        }
        Step::Finish(worktree) => {
            let hook_failure = checkout::finish(repository, &worktree, claim).await?;
            (HowAdded::Completed, hook_failure)
        }
    };
    if path.join(".gitmodules").is_file() {
        let update = Git::inside(&path).args(["submodule", "--quiet", "update", "--init", "--recursive"]);
        let updated = update.holding(claim.share()?).run().await;
        updated.map_err(|source| WorktreeError::Submodules { path: path.clone(), source })?;
    }
    let (repo, at) = (repository.clone(), path.clone());
    if let Some(worktree) = blocking(move || registered(&repo, &at)).await? {
        unmark(&worktree.git_dir)?;
    }
    Ok(Added { path, how, hook_failure })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::repository::test_repository::{TestRepository, git_in};
    use crate::repository::{CHECKOUT_IN_PROGRESS, Interruption};

    fn new_branch(repository: &Repository, name: &str) -> Branch {
        Branch::New { name: name.to_owned(), from: repository.base(None).unwrap().commit }
    }

    fn existing(name: &str) -> Branch {
        Branch::Existing { name: name.to_owned() }
    }

    fn hook(shop: &TestRepository, path: &str, script: &str) {
        shop.write(path, &format!("#!/bin/sh\n{script}\n"));
        #[cfg(unix)]
        std::fs::set_permissions(shop.path.join(path), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }

    #[tokio::test]
    async fn a_new_branch_is_checked_out_and_a_second_call_changes_nothing() {
        let shop = TestRepository::new();
        let repository = shop.open();
        let path = shop.beside("shop.worktrees/größe und mehr");
        let branch = new_branch(&repository, "feature/größe");
        let added = add(&repository, &path, &branch).await.unwrap();
        assert_eq!((&added.path, added.how), (&path, HowAdded::Made));
        assert!(added.hook_failure.is_none());
        assert_eq!(std::fs::read_to_string(path.join("readme.md")).unwrap(), "shop\n");
        assert_eq!(git_in(&path, &["status", "--porcelain", "--branch"]), "## feature/größe");
        assert!(!shop.git(&["worktree", "list", "--porcelain"]).contains("locked"));
        let again =
            add(&repository, &shop.path.join("../shop.worktrees/größe und mehr"), &branch).await.unwrap();
        assert_eq!((again.path, again.how), (path, HowAdded::Existed));
        let rest: Vec<_> = std::fs::read_dir(shop.path.join(".git/envtree")).unwrap().collect();
        assert!(rest.is_empty(), "{rest:?}");
    }

    #[tokio::test]
    async fn a_filter_that_fails_leaves_nothing() {
        let shop = TestRepository::new();
        shop.write(".gitattributes", "*.txt filter=broken\n");
        shop.write("a.txt", "text\n");
        shop.commit("Add");
        for (key, value) in [("clean", "cat"), ("smudge", "false"), ("required", "true")] {
            shop.git(&["config", &format!("filter.broken.{key}"), value]);
        }
        let repository = shop.open();
        let path = shop.beside("fix");
        let error = add(&repository, &path, &new_branch(&repository, "fix")).await.unwrap_err();
        assert!(matches!(error, WorktreeError::Checkout { .. }), "{error:?}");
        assert!(!path.exists());
        assert_eq!(shop.git(&["branch", "--list", "fix"]), "");
        assert_eq!(shop.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    }

    #[tokio::test]
    async fn a_worktree_that_another_process_has_made_by_half_is_waited_for() {
        let shop = TestRepository::new();
        let half = shop.path.join(".git/worktrees/half");
        std::fs::create_dir_all(&half).unwrap();
        std::fs::write(half.join("commondir"), "").unwrap();
        std::fs::write(half.join("gitdir"), shop.beside("half/.git").to_str().unwrap()).unwrap();
        std::fs::write(half.join("HEAD"), "ref: refs/heads/half\n").unwrap();
        let repository = shop.open();
        let branch = new_branch(&repository, "fix");
        let path = shop.beside("fix");
        let (added, ()) = tokio::join!(add(&repository, &path, &branch), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            std::fs::write(half.join("commondir"), "../..\n").unwrap();
        });
        assert_eq!(added.unwrap().how, HowAdded::Made);
        assert!(path.join("readme.md").exists());
    }

    #[tokio::test]
    async fn an_existing_branch_is_taken_even_when_a_tag_has_its_name() {
        let shop = TestRepository::new();
        shop.git(&["tag", "login"]);
        shop.git(&["switch", "-q", "-c", "login"]);
        shop.write("login", "");
        shop.commit("Login");
        shop.git(&["switch", "-q", "main"]);
        let path = shop.beside("login");
        add(&shop.open(), &path, &existing("login")).await.unwrap();
        assert!(path.join("login").exists());
        assert_eq!(git_in(&path, &["symbolic-ref", "HEAD"]), "refs/heads/login");
    }

    #[tokio::test]
    async fn a_branch_of_a_remote_is_followed() {
        let shop = TestRepository::new();
        shop.git(&["branch", "login"]);
        shop.remote("origin");
        shop.git(&["branch", "-q", "-D", "login"]);
        let path = shop.beside("login");
        let reference = "refs/remotes/origin/login".to_owned();
        let branch = Branch::Tracking { name: "login".to_owned(), reference };
        add(&shop.open(), &path, &branch).await.unwrap();
        assert_eq!(git_in(&path, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/login");
        let fresh = shop.beside("fresh");
        add(&shop.open(), &fresh, &new_branch(&shop.open(), "fresh")).await.unwrap();
        assert_eq!(shop.git(&["config", "--get", "--default", "none", "branch.fresh.merge"]), "none");
    }

    #[tokio::test]
    async fn a_branch_that_starts_at_one_of_a_remote_follows_it() {
        let shop = TestRepository::new();
        shop.remote("origin");
        let repository = shop.open();
        let branch = Branch::starting_at(&repository, "fix", "origin/main").unwrap();
        add(&repository, &shop.beside("fix"), &branch).await.unwrap();
        let upstream = shop.git(&["rev-parse", "--abbrev-ref", "fix@{upstream}"]);
        assert_eq!(upstream, "origin/main");
        let branch = Branch::starting_at(&repository, "other", "main").unwrap();
        assert_eq!(branch, new_branch(&repository, "other"));
        assert!(Branch::starting_at(&repository, "other", "gone").is_err());
    }

    #[tokio::test]
    async fn a_bare_repository_gets_worktrees_too() {
        let shop = TestRepository::new();
        let project = shop.beside("project");
        std::fs::create_dir(&project).unwrap();
        git_in(&project, &["clone", "-q", "--bare", shop.path.to_str().unwrap(), ".bare"]);
        std::fs::write(project.join(".git"), "gitdir: ./.bare\n").unwrap();
        let repository = Repository::discover(&project).unwrap();
        let path = repository.top().join("fix");
        add(&repository, &path, &new_branch(&repository, "fix")).await.unwrap();
        assert!(path.join("readme.md").exists());
        let inside = Repository::discover(&path).unwrap();
        add(&inside, &project.join("main"), &existing("main")).await.unwrap();
        assert!(project.join("main/readme.md").exists());
    }

    #[tokio::test]
    async fn a_branch_checked_out_elsewhere_is_refused_and_the_place_named() {
        let shop = TestRepository::new();
        let error = add(&shop.open(), &shop.beside("x"), &existing("main")).await.unwrap_err();
        let expected = format!("branch `main` is already checked out in `{}`", shop.path.display());
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn occupied_places_and_names_are_refused() {
        let shop = TestRepository::new();
        let repository = shop.open();
        std::fs::create_dir(shop.beside("full")).unwrap();
        std::fs::write(shop.beside("full/file"), "").unwrap();
        let error = add(&repository, &shop.beside("full"), &new_branch(&repository, "a")).await.unwrap_err();
        assert!(matches!(error, WorktreeError::PathOccupied { .. }), "{error:?}");
        shop.git(&["branch", "fix"]);
        let error =
            add(&repository, &shop.beside("x"), &new_branch(&repository, "fix/login")).await.unwrap_err();
        assert_eq!(error.to_string(), "branch `fix/login` cannot exist beside branch `fix`");
        add(&repository, &shop.beside("fix"), &existing("fix")).await.unwrap();
        let error = add(&repository, &shop.beside("fix"), &new_branch(&repository, "b")).await.unwrap_err();
        assert!(
            matches!(&error, WorktreeError::PathTaken { branch: Some(name), .. } if name == "fix"),
            "{error:?}"
        );
        std::fs::create_dir(shop.beside("empty")).unwrap();
        add(&repository, &shop.beside("empty"), &new_branch(&repository, "c")).await.unwrap();
    }

    #[tokio::test]
    async fn a_worktree_whose_folder_is_gone_is_made_again() {
        let shop = TestRepository::new();
        let repository = shop.open();
        for name in ["login", "other"] {
            add(&repository, &shop.beside(name), &new_branch(&repository, name)).await.unwrap();
            std::fs::remove_dir_all(shop.beside(name)).unwrap();
        }
        let added = add(&repository, &shop.beside("login"), &existing("login")).await.unwrap();
        assert_eq!(added.how, HowAdded::Made);
        let list = shop.git(&["worktree", "list", "--porcelain"]);
        assert!(list.contains("/other\n"), "the other entry is not pruned: {list}");
        shop.git(&["worktree", "lock", "--reason", "on a stick", shop.beside("other").to_str().unwrap()]);
        let error = add(&repository, &shop.beside("other"), &existing("other")).await.unwrap_err();
        assert!(
            matches!(&error, WorktreeError::Locked { reason, .. } if reason == "on a stick"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn the_post_checkout_hook_runs_with_the_arguments_of_a_new_worktree() {
        let shop = TestRepository::new();
        hook(&shop, ".git/hooks/post-checkout", "echo \"$@\" > hook-ran");
        let path = shop.beside("login");
        let added = add(&shop.open(), &path, &new_branch(&shop.open(), "login")).await.unwrap();
        assert!(added.hook_failure.is_none());
        let head = git_in(&path, &["rev-parse", "HEAD"]);
        let ran = std::fs::read_to_string(path.join("hook-ran")).unwrap();
        assert_eq!(ran.trim(), format!("{} {head} 1", "0".repeat(40)));
    }

    #[tokio::test]
    async fn a_hook_under_hooks_path_that_fails_is_reported_and_the_checkout_stands() {
        let shop = TestRepository::new();
        hook(&shop, ".husky/post-checkout", "echo no >&2; exit 3");
        shop.commit("Hook");
        shop.git(&["config", "core.hooksPath", ".husky"]);
        let path = shop.beside("login");
        let added = add(&shop.open(), &path, &new_branch(&shop.open(), "login")).await.unwrap();
        let Some(GitError::Failed { status, stderr, .. }) = added.hook_failure else { panic!("no failure") };
        assert_eq!((status.code(), stderr.lines().last()), (Some(3), Some("no")));
        assert!(path.join("readme.md").exists());
        assert!(!shop.git(&["worktree", "list", "--porcelain"]).contains("locked"));
    }

    #[tokio::test]
    async fn a_failed_checkout_leaves_neither_folder_nor_branch() {
        let shop = TestRepository::new();
        shop.write(".gitattributes", "*.bin filter=missing\n");
        shop.write("a.bin", "");
        shop.commit("Filter");
        shop.git(&["config", "filter.missing.smudge", "exit 9"]);
        shop.git(&["config", "filter.missing.required", "true"]);
        let path = shop.beside("login");
        let error = add(&shop.open(), &path, &new_branch(&shop.open(), "login")).await.unwrap_err();
        let WorktreeError::Checkout { source: GitError::Failed { stderr, command, .. }, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(stderr.contains("missing"), "{stderr}");
        assert_eq!(command[0], "git");
        assert!(!path.exists());
        assert_eq!(shop.open().local_branches().unwrap(), ["main"]);
        assert_eq!(shop.open().worktrees().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn submodules_are_checked_out_and_their_failure_can_be_repaired() {
        let (shop, library) = (TestRepository::new(), TestRepository::new());
        shop.git(&["submodule", "--quiet", "add", library.path.to_str().unwrap(), "vendor/library"]);
        shop.commit("Add library");
        let moved = library.beside("moved");
        std::fs::rename(&library.path, &moved).unwrap();
        let path = shop.beside("login");
        let error = add(&shop.open(), &path, &new_branch(&shop.open(), "login")).await.unwrap_err();
        assert!(matches!(error, WorktreeError::Submodules { .. }), "{error:?}");
        let worktree = &shop.open().worktrees().unwrap()[1];
        assert_eq!(worktree.interruption(), Some(Interruption::Checkout));
        std::fs::write(path.join("notes"), "a day's work").unwrap();
        let options = crate::worktree::RemoveOptions::default();
        let error = crate::worktree::remove(&shop.open(), &path, options).await.unwrap_err();
        assert!(matches!(&error, WorktreeError::Uncommitted { first, .. } if first == "notes"), "{error:?}");
        std::fs::remove_file(path.join("notes")).unwrap();
        std::fs::rename(&moved, &library.path).unwrap();
        let added = add(&shop.open(), &path, &existing("login")).await.unwrap();
        assert_eq!(added.how, HowAdded::Completed);
        assert!(path.join("vendor/library/readme.md").exists());
        assert_eq!(git_in(&path, &["status", "--porcelain"]), "");
    }

    #[tokio::test]
    async fn sparse_checkouts_stay_sparse() {
        let shop = TestRepository::new();
        shop.write("web/index.ts", "");
        shop.write("api/main.rs", "");
        shop.commit("Add");
        shop.git(&["sparse-checkout", "set", "web"]);
        let path = shop.beside("login");
        add(&shop.open(), &path, &new_branch(&shop.open(), "login")).await.unwrap();
        assert!(path.join("web/index.ts").exists() && !path.join("api").exists());
    }

    #[tokio::test]
    async fn a_checkout_that_was_killed_is_completed() {
        let shop = TestRepository::new();
        hook(&shop, ".git/hooks/post-checkout", "touch hook-ran");
        let path = shop.beside("login");
        let arguments =
            ["worktree", "add", "-q", "--no-checkout", "--lock", "--reason", CHECKOUT_IN_PROGRESS];
        shop.git(&[&arguments[..], &["-b", "login", path.to_str().unwrap()]].concat());
        std::fs::write(shop.path.join(".git/worktrees/login/index.lock"), "").unwrap();
        std::fs::write(path.join("readme.md"), "half").unwrap();
        let added = add(&shop.open(), &path, &existing("login")).await.unwrap();
        assert_eq!(added.how, HowAdded::Completed);
        assert_eq!(git_in(&path, &["status", "--porcelain"]), "?? hook-ran");
        assert_eq!(shop.open().worktrees().unwrap()[1].locked, None);
    }

    #[tokio::test]
    async fn a_registration_that_was_killed_is_begun_again() {
        let shop = TestRepository::new();
        let path = shop.beside("login");
        let arguments =
            ["worktree", "add", "-q", "--no-checkout", "--lock", "--reason", CHECKOUT_IN_PROGRESS];
        shop.git(&[&arguments[..], &["-b", "login", path.to_str().unwrap()]].concat());
        std::fs::write(shop.path.join(".git/worktrees/login/HEAD"), "0".repeat(40)).unwrap();
        let added = add(&shop.open(), &path, &existing("login")).await.unwrap();
        assert_eq!(added.how, HowAdded::Made);
        assert_eq!(git_in(&path, &["status", "--porcelain", "--branch"]), "## login");
    }

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancelled_checkout_is_completed_once_its_orphaned_git_has_ended() {
        let shop = TestRepository::new();
        shop.write(".gitattributes", "*.slow filter=slow\n");
        shop.write("a.slow", "content\n");
        shop.commit("Slow");
        shop.git(&["config", "filter.slow.smudge", "sleep 2; cat"]);
        let (path, repository) = (shop.beside("login"), shop.open());
        let branch = new_branch(&repository, "login");
        let cut = tokio::time::timeout(Duration::from_millis(700), add(&repository, &path, &branch)).await;
        assert!(cut.is_err(), "the checkout was faster than its filter");
        let added = add(&repository, &path, &existing("login")).await.unwrap();
        assert_eq!(added.how, HowAdded::Completed);
        assert_eq!(std::fs::read_to_string(path.join("a.slow")).unwrap(), "content\n");
        assert_eq!(git_in(&path, &["status", "--porcelain"]), "");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_calls_at_once_make_one_worktree() {
        let shop = TestRepository::new();
        let (path, repository) = (shop.beside("login"), shop.open());
        let branch = new_branch(&repository, "login");
        let (one, two) = tokio::join!(add(&repository, &path, &branch), add(&repository, &path, &branch));
        let mut how = [one.unwrap().how, two.unwrap().how];
        how.sort_by_key(|how| *how as u8);
        assert_eq!(how, [HowAdded::Made, HowAdded::Existed]);
    }

    #[tokio::test]
    async fn a_branch_that_exists_is_neither_reused_nor_deleted_for_a_new_one() {
        let shop = TestRepository::new();
        shop.git(&["branch", "login"]);
        let (repository, path) = (shop.open(), shop.beside("login"));
        let error = add(&repository, &path, &new_branch(&repository, "login")).await.unwrap_err();
        assert_eq!(error.to_string(), "branch `login` exists already");
        assert_eq!(repository.local_branches().unwrap(), ["login", "main"]);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_registration_that_was_killed_is_begun_again_by_the_very_same_call() {
        let shop = TestRepository::new();
        let (repository, path) = (shop.open(), shop.beside("login"));
        let branch = new_branch(&repository, "login");
        shop.git(&["branch", "login"]);
        let arguments = ["worktree", "add", "-q", "--no-checkout", "--lock", "--reason"];
        let arguments = [&arguments[..], &[CHECKOUT_IN_PROGRESS, path.to_str().unwrap(), "login"]].concat();
        shop.git(&arguments);
        std::fs::write(shop.path.join(".git/worktrees/login/HEAD"), "0".repeat(40)).unwrap();
        let added = add(&repository, &path, &branch).await.unwrap();
        assert_eq!(added.how, HowAdded::Made);
        assert_eq!(git_in(&path, &["status", "--porcelain", "--branch"]), "## login");
    }
}
