//! Removes a linked worktree, or the rest of one.
//!
//! `git worktree remove` forgets a worktree even when files of it could not be deleted, and cannot continue a
//! removal that was interrupted; hence the files are deleted here, the administrative directory last.

use std::path::{Path, PathBuf};

use super::claim::Claim;
use super::git::Git;
use super::{WorktreeError, blocking, delete, forget, mark, real_path};
use crate::repository::{
    BranchPlace, CHECKOUT_IN_PROGRESS, CommitId, REMOVAL_IN_PROGRESS, Repository, Worktree,
};

/// What a removal may override.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Delete uncommitted files, in submodules too.
    pub discard_changes: bool,
    /// Remove although somebody locked the worktree.
    pub ignore_lock: bool,
}

/// What a removal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The branch that was checked out, which still exists.
    pub branch: Option<String>,
    /// The commit that was checked out.
    pub head: Option<CommitId>,
    /// The folder, where it no longer was this worktree and was therefore left alone.
    pub folder_left: Option<PathBuf>,
}

/// Removes the linked worktree at `path`: its files, and what the repository knows of it. The branch stays.
///
/// Of a worktree whose folder is gone the entry is forgotten, and no other worktree's. After
/// [`WorktreeError::Undeletable`] the worktree is still registered, and the same call deletes the rest.
pub async fn remove(
    repository: &Repository,
    path: &Path,
    options: RemoveOptions,
) -> Result<Removed, WorktreeError> {
    let path = real_path(path)?;
    let claim = Claim::take(repository.common_dir(), &path).await?;
    let repository = repository.clone();
    let removed = blocking(move || remove_now(&repository, &path, options)).await;
    claim.release();
    removed
}

/// Refuses a worktree that [`remove`] would refuse whatever it holds. Nothing is changed.
pub fn check_removal(worktree: &Worktree, options: RemoveOptions) -> Result<(), WorktreeError> {
    let path = || worktree.path.clone();
    if worktree.is_main {
        return Err(WorktreeError::MainWorktree { path: path() });
    }
    if let (Some(reason), None, false) = (&worktree.locked, worktree.interruption(), options.ignore_lock) {
        return Err(WorktreeError::Locked { path: path(), reason: reason.clone() });
    }
    let is_foreign = || worktree.path.symlink_metadata().is_ok() && !is_empty(&worktree.path);
    if !options.discard_changes && !points_back(worktree) && is_foreign() {
        return Err(WorktreeError::BrokenLink { path: path() });
    }
    Ok(())
}

fn remove_now(
    repository: &Repository,
    path: &Path,
    options: RemoveOptions,
) -> Result<Removed, WorktreeError> {
    let found = repository.worktrees()?.into_iter().find(|worktree| worktree.path == path);
    let worktree = found.ok_or_else(|| WorktreeError::NotAWorktree { path: path.to_owned() })?;
    check_removal(&worktree, options)?;
    let mut removed = Removed { branch: worktree.branch.clone(), head: worktree.head, folder_left: None };
    if points_back(&worktree) {
        if !options.discard_changes {
            refuse_loss(repository, &worktree)?;
        }
        mark(&worktree, REMOVAL_IN_PROGRESS)?;
        delete::delete_checkout(&worktree.path).map_err(delete::Left::into_error)?;
    } else if worktree.path.symlink_metadata().is_ok() {
        removed.folder_left = std::fs::remove_dir(&worktree.path).is_err().then(|| worktree.path.clone());
    }
    forget(repository, &worktree)?;
    Ok(removed)
}

/// Removes what an addition at `path` left that was cut off before the repository knew of a worktree there: an empty
/// folder, and an entry that names no folder yet.
pub(crate) async fn remove_unfinished(repository: &Repository, path: &Path) -> Result<(), WorktreeError> {
    let path = real_path(path)?;
    let claim = Claim::take(repository.common_dir(), &path).await?;
    // Another addition may have just made such an entry; it is swept once nobody adds anything.
    let is_alone = !claim.has_company();
    let repository = repository.clone();
    let removed = blocking(move || {
        if repository.worktrees()?.iter().any(|worktree| worktree.path == path) {
            // The git of the one that was cut off went on until now.
            return remove_now(&repository, &path, RemoveOptions::default()).map(drop);
        }
        // It fails if anything is in it, which is wanted.
        let _ = std::fs::remove_dir(&path);
        if is_alone { sweep(&repository) } else { Ok(()) }
    });
    let removed = removed.await;
    claim.release();
    removed
}

/// Deletes the entries of this program's that name no folder yet.
fn sweep(repository: &Repository) -> Result<(), WorktreeError> {
    let all = repository.common_dir().join("worktrees");
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("locked").trim_end() == CHECKOUT_IN_PROGRESS && read("gitdir").is_empty() {
            delete::delete_all(&entry.path()).map_err(delete::Left::into_error)?;
        }
    }
    // It stays when there are others.
    let _ = std::fs::remove_dir(&all);
    Ok(())
}

/// Whether the folder is still the checkout that the repository takes it for.
pub(crate) fn points_back(worktree: &Worktree) -> bool {
    let Ok(link) = std::fs::read_to_string(worktree.path.join(".git")) else {
        return false;
    };
    let Some(target) = link.strip_prefix("gitdir:").map(str::trim) else {
        return false;
    };
    worktree.path.join(target).canonicalize().is_ok_and(|target| target == worktree.git_dir)
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn refuse_loss(repository: &Repository, worktree: &Worktree) -> Result<(), WorktreeError> {
    if !worktree.can_hold_changes() {
        return Ok(());
    }
    // Commits are the caller's question; the branch stays, and a base of the same commit leaves none to ask about.
    let Some(head) = worktree.head else { return Ok(()) };
    let work = repository.unsaved_work(worktree, head)?;
    let mut lost = work.files.into_iter().chain(work.submodules);
    let Some(first) = lost.next() else { return Ok(()) };
    let (path, count) = (worktree.path.clone(), 1 + lost.count());
    Err(WorktreeError::Uncommitted { path, count, first })
}

/// Deletes the local branch `name` and its configuration, whether it is merged or not, provided that its tip is
/// still `expected`.
pub async fn delete_branch(
    repository: &Repository,
    name: &str,
    expected: CommitId,
) -> Result<(), WorktreeError> {
    let (repo, branch) = (repository.clone(), name.to_owned());
    blocking(move || check_deletable(&repo, &branch, expected)).await?;
    let git = Git::of(repository).args(["branch", "--quiet", "-D", "--", name]);
    git.run().await.map_err(|source| WorktreeError::DeleteBranch { branch: name.to_owned(), source })
}

fn check_deletable(repository: &Repository, name: &str, expected: CommitId) -> Result<(), WorktreeError> {
    if repository.branch(name)? != (BranchPlace::Local { commit: expected }) {
        return Err(WorktreeError::BranchMoved { branch: name.to_owned() });
    }
    let worktrees = repository.worktrees()?;
    match worktrees.into_iter().find(|worktree| worktree.branch.as_deref() == Some(name)) {
        Some(Worktree { path, prunable, .. }) => {
            Err(WorktreeError::BranchInUse { branch: name.to_owned(), path, prunable })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Branch, add};
    use super::*;
    use crate::repository::test_repository::{TestRepository, git_in, write_in};

    const FORCE: RemoveOptions = RemoveOptions { discard_changes: true, ignore_lock: true };

    async fn with_worktree(name: &str) -> (TestRepository, Repository, PathBuf) {
        let shop = TestRepository::new();
        let repository = shop.open();
        let path = shop.beside("login");
        let from = repository.base(None).unwrap().commit;
        add(&repository, &path, &Branch::New { name: name.to_owned(), from }).await.unwrap();
        (shop, repository, path)
    }

    #[tokio::test]
    async fn a_clean_worktree_goes_and_its_branch_stays() {
        let (shop, repository, path) = with_worktree("feature/login").await;
        shop.write(".git/info/exclude", "node_modules/\n");
        write_in(&path, "node_modules/a/b", "");
        let removed = remove(&repository, &path, RemoveOptions::default()).await.unwrap();
        assert_eq!(removed.branch.as_deref(), Some("feature/login"));
        assert_eq!(removed.folder_left, None);
        assert!(!path.exists() && !shop.path.join(".git/worktrees").exists());
        let head = removed.head.unwrap();
        delete_branch(&repository, "feature/login", head).await.unwrap();
        assert_eq!(repository.local_branches().unwrap(), ["main"]);
    }

    #[tokio::test]
    async fn what_was_cut_off_before_git_knew_the_folder_goes() {
        let shop = TestRepository::new();
        let entry = |name: &str, reason: &str| {
            write_in(&shop.path, &format!(".git/worktrees/{name}/locked"), &format!("{reason}\n"));
            shop.path.join(".git/worktrees").join(name)
        };
        let (own, others) = (entry("fix", CHECKOUT_IN_PROGRESS), entry("other", "on a stick"));
        let path = shop.beside("fix");
        std::fs::create_dir(&path).unwrap();
        let repository = shop.open();
        let busy = Claim::take(repository.common_dir(), &shop.beside("busy")).await.unwrap();
        remove_unfinished(&repository, &path).await.unwrap();
        assert!(!path.exists() && own.exists() && others.exists());
        busy.release();
        remove_unfinished(&repository, &path).await.unwrap();
        assert!(!own.exists() && others.exists());
        write_in(&path, "notes", "");
        remove_unfinished(&repository, &path).await.unwrap();
        assert!(path.join("notes").exists());
    }

    #[tokio::test]
    async fn uncommitted_files_are_kept_without_force() {
        let (_shop, repository, path) = with_worktree("login").await;
        write_in(&path, "notes/ü", "");
        let error = remove(&repository, &path, RemoveOptions::default()).await.unwrap_err();
        assert!(
            error.to_string().ends_with("has 1 uncommitted files, `notes/` the first of them"),
            "{error}"
        );
        assert!(path.join("notes/ü").exists());
        remove(&repository, &path, FORCE).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_lock_is_respected() {
        let (shop, repository, path) = with_worktree("login").await;
        shop.git(&["worktree", "lock", "--reason", "demo tomorrow", path.to_str().unwrap()]);
        let error = remove(&repository, &path, RemoveOptions::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("is locked: demo tomorrow"), "{error}");
        remove(&repository, &path, FORCE).await.unwrap();
        assert_eq!(repository.worktrees().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn only_the_entry_that_was_named_is_forgotten() {
        let (shop, repository, path) = with_worktree("login").await;
        shop.git(&["worktree", "add", "-q", "--detach", shop.beside("other").to_str().unwrap()]);
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::remove_dir_all(shop.beside("other")).unwrap();
        remove(&repository, &path, RemoveOptions::default()).await.unwrap();
        let left: Vec<_> =
            repository.worktrees().unwrap().into_iter().map(|worktree| worktree.path).collect();
        assert_eq!(left, [shop.path.clone(), shop.beside("other")]);
        let error = remove(&repository, &path, FORCE).await.unwrap_err();
        assert!(matches!(error, WorktreeError::NotAWorktree { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_folder_that_is_something_else_now_is_left_alone() {
        let (_shop, repository, path) = with_worktree("login").await;
        std::fs::remove_dir_all(&path).unwrap();
        write_in(&path, "novel.txt", "");
        let error = remove(&repository, &path, RemoveOptions::default()).await.unwrap_err();
        assert!(matches!(error, WorktreeError::BrokenLink { .. }), "{error:?}");
        let removed = remove(&repository, &path, FORCE).await.unwrap();
        assert_eq!(removed.folder_left, Some(path.clone()));
        assert!(path.join("novel.txt").exists());
        assert_eq!(repository.worktrees().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_interrupted_removal_is_finished_without_force() {
        let (shop, repository, path) = with_worktree("login").await;
        shop.git(&["worktree", "lock", "--reason", REMOVAL_IN_PROGRESS, path.to_str().unwrap()]);
        std::fs::remove_file(path.join("readme.md")).unwrap();
        let from = repository.base(None).unwrap().commit;
        let branch = Branch::New { name: "login".to_owned(), from };
        let error = add(&repository, &path, &branch).await.unwrap_err();
        assert!(matches!(error, WorktreeError::RemovalUnfinished { .. }), "{error:?}");
        remove(&repository, &path, RemoveOptions::default()).await.unwrap();
        assert!(!path.exists());
        assert_eq!(repository.worktrees().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_worktree_with_submodules_is_removed_unless_they_hold_work() {
        let (shop, library) = (TestRepository::new(), TestRepository::new());
        shop.git(&["submodule", "--quiet", "add", library.path.to_str().unwrap(), "library"]);
        shop.commit("Add library");
        let (repository, path) = (shop.open(), shop.beside("login"));
        let from = repository.base(None).unwrap().commit;
        add(&repository, &path, &Branch::New { name: "login".to_owned(), from }).await.unwrap();
        git_in(&path.join("library"), &["commit", "-q", "--allow-empty", "-m", "Inside"]);
        git_in(&path, &["-c", "advice.addEmbeddedRepo=false", "commit", "-q", "-a", "-m", "Update library"]);
        let error = remove(&repository, &path, RemoveOptions::default()).await.unwrap_err();
        assert!(
            matches!(&error, WorktreeError::Uncommitted { first, .. } if first == "library"),
            "{error:?}"
        );
        git_in(&path.join("library"), &["reset", "-q", "--hard", "origin/main"]);
        git_in(&path, &["reset", "-q", "--hard", "HEAD~"]);
        remove(&repository, &path, RemoveOptions::default()).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_main_worktree_and_changed_branches_are_refused() {
        let (shop, repository, path) = with_worktree("login").await;
        let error = remove(&repository, &shop.path, FORCE).await.unwrap_err();
        assert!(matches!(error, WorktreeError::MainWorktree { .. }), "{error:?}");
        let before = repository.resolve_commit("login").unwrap();
        let error = delete_branch(&repository, "login", before).await.unwrap_err();
        assert!(matches!(&error, WorktreeError::BranchInUse { path: at, .. } if *at == path), "{error:?}");
        git_in(&path, &["commit", "-q", "--allow-empty", "-m", "More"]);
        let error = delete_branch(&repository, "login", before).await.unwrap_err();
        assert!(matches!(error, WorktreeError::BranchMoved { .. }), "{error:?}");
    }
}
