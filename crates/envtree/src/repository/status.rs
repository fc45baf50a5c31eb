//! Sums up what is going on in one worktree.

use std::path::Path;

use gix::status::index_worktree::iter::Summary;
use gix::status::{Item, Submodule, UntrackedFiles, tree_index::TrackRenames};

use super::{CommitId, Repository, RepositoryError};

/// The state of one worktree, as counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorktreeStatus {
    /// Files that differ from the index, deleted ones and submodules included.
    pub modified: usize,
    /// Files whose index entry differs from `HEAD`.
    pub staged: usize,
    /// Files and whole directories that git neither tracks nor ignores.
    pub untracked: usize,
    /// Files with unresolved conflicts.
    pub conflicted: usize,
    /// The branch on a remote that this one follows; none when `HEAD` is detached or no branch is configured.
    pub upstream: Option<Upstream>,
}

impl WorktreeStatus {
    /// Whether a commit would leave nothing behind.
    pub fn is_clean(&self) -> bool {
        self.modified + self.staged + self.untracked + self.conflicted == 0
    }
}

/// How a branch stands to the one it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// For people, `origin/login`.
    pub name: String,
    /// Commits that only the local branch and only the upstream has; none when the upstream is gone.
    pub ahead_behind: Option<(usize, usize)>,
}

/// One path that differs, as `git status` lists it.
pub(super) struct Change {
    /// Relative to the top; a directory that is untracked as a whole ends with a slash.
    pub(super) path: String,
    pub(super) kind: ChangeKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Modified,
    Staged,
    Untracked,
    Conflicted,
}

impl Repository {
    /// Sums up the state of `worktree`.
    pub fn status(&self, worktree: &Path) -> Result<WorktreeStatus, RepositoryError> {
        let local = self.open_worktree(worktree)?;
        let mut status =
            WorktreeStatus { upstream: upstream(&local, worktree)?, ..WorktreeStatus::default() };
        for change in changes(&local, worktree)? {
            match change.kind {
                ChangeKind::Modified => status.modified += 1,
                ChangeKind::Staged => status.staged += 1,
                ChangeKind::Untracked => status.untracked += 1,
                ChangeKind::Conflicted => status.conflicted += 1,
            }
        }
        Ok(status)
    }

    /// Returns the branch that is checked out in `worktree`; none when `HEAD` is detached.
    pub fn branch_in(&self, worktree: &Path) -> Result<Option<String>, RepositoryError> {
        Ok(super::head_of(&self.open_worktree(worktree)?).0)
    }

    /// Counts the commits that only `ours` and only `theirs` has.
    pub fn ahead_behind(&self, ours: CommitId, theirs: CommitId) -> Result<(usize, usize), RepositoryError> {
        count_apart(&self.local(), ours.0, theirs.0).map_err(|source| self.unreadable("commits", source))
    }
}

/// Lists everything in a worktree that a commit of its `HEAD` does not hold, ignored files aside.
pub(super) fn changes(local: &gix::Repository, worktree: &Path) -> Result<Vec<Change>, RepositoryError> {
    let read = |source| RepositoryError::read("status", worktree, source);
    let walk = local.dirwalk_options().map_err(read)?;
    let items = local
        .status(gix::progress::Discard)
        .map_err(read)?
        // `status.showUntrackedFiles=no` must not hide files from a removal.
        .index_worktree_options_mut(|options| options.dirwalk_options = Some(walk))
        .untracked_files(UntrackedFiles::Collapsed)
        .index_worktree_rewrites(None)
        .tree_index_track_renames(TrackRenames::Disabled)
        .index_worktree_submodules(Submodule::AsConfigured { check_dirty: true })
        .into_iter(None)
        .map_err(read)?;
    let mut changes = Vec::new();
    for item in items {
        changes.extend(change_of(&item.map_err(read)?));
    }
    changes.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(changes)
}

fn change_of(item: &Item) -> Option<Change> {
    let mut path = item.location().to_string();
    let kind = match item {
        Item::TreeIndex(_) => ChangeKind::Staged,
        Item::IndexWorktree(item) => match item.summary()? {
            Summary::Conflict => ChangeKind::Conflicted,
            Summary::Added | Summary::Copied => ChangeKind::Untracked,
            Summary::Removed
            | Summary::Modified
            | Summary::TypeChange
            | Summary::Renamed
            | Summary::IntentToAdd => ChangeKind::Modified,
        },
    };
    if let Item::IndexWorktree(gix::status::index_worktree::Item::DirectoryContents { entry, .. }) = item {
        let is_directory = entry.disk_kind.is_some_and(|kind| kind.is_dir());
        if is_directory && !path.ends_with('/') {
            path.push('/');
        }
    }
    Some(Change { path, kind })
}

fn upstream(local: &gix::Repository, worktree: &Path) -> Result<Option<Upstream>, RepositoryError> {
    let read = |source| RepositoryError::read("upstream", worktree, source);
    let Ok(mut head) = local.head() else {
        return Ok(None);
    };
    let Some(branch) = head.referent_name().map(ToOwned::to_owned) else {
        return Ok(None);
    };
    let tracking = local.branch_remote_tracking_ref_name(branch.as_ref(), gix::remote::Direction::Fetch);
    // A branch whose upstream cannot be expressed here (a bare URL as remote) has none to compare with.
    let Some(Ok(tracking)) = tracking else {
        return Ok(None);
    };
    let name = tracking.shorten().to_string();
    let theirs = local.try_find_reference(tracking.as_ref()).map_err(read)?;
    let theirs = theirs.and_then(|mut reference| reference.peel_to_commit().ok()).map(|commit| commit.id);
    let ours = head.peel_to_commit().ok().map(|commit| commit.id);
    let ahead_behind = match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(count_apart(local, ours, theirs).map_err(read)?),
        _ => None,
    };
    Ok(Some(Upstream { name, ahead_behind }))
}

fn count_apart(
    local: &gix::Repository,
    ours: gix::ObjectId,
    theirs: gix::ObjectId,
) -> Result<(usize, usize), gix::Error> {
    let only = |tip: gix::ObjectId, hidden: gix::ObjectId| -> Result<usize, gix::Error> {
        let walk = local.rev_walk([tip]).with_hidden([hidden]).all()?;
        walk.map(|commit| commit.map(|_| 1)).sum()
    };
    Ok((only(ours, theirs)?, only(theirs, ours)?))
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, git_in, write_in};
    use super::*;

    #[test]
    fn every_kind_of_change_is_counted_once() {
        let shop = TestRepository::new();
        for name in ["a", "b", "c"] {
            shop.write(name, "one\n");
        }
        shop.write(".gitignore", "*.log\n");
        shop.commit("Add");
        shop.write("a", "two and more\n");
        std::fs::remove_file(shop.path.join("b")).unwrap();
        shop.write("c", "staged\n");
        shop.git(&["add", "c"]);
        shop.write("new file", "");
        shop.write("folder/one", "");
        shop.write("folder/two", "");
        shop.write("noise.log", "");
        shop.git(&["config", "status.showUntrackedFiles", "no"]);
        let status = shop.open().status(&shop.path).unwrap();
        let expected = WorktreeStatus { modified: 2, staged: 1, untracked: 2, conflicted: 0, upstream: None };
        assert_eq!(status, expected);
        assert!(!status.is_clean());
    }

    #[test]
    fn conflicts_are_counted() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "-c", "left"]);
        shop.write("readme.md", "left\n");
        shop.commit("Left");
        shop.git(&["switch", "-q", "main"]);
        shop.write("readme.md", "right\n");
        shop.commit("Right");
        let merged = std::process::Command::new("git")
            .current_dir(&shop.path)
            .args(["-c", "user.name=T", "-c", "user.email=t@e", "merge", "-q", "left"])
            .output()
            .unwrap();
        assert!(!merged.status.success());
        assert_eq!(shop.open().status(&shop.path).unwrap().conflicted, 1);
    }

    #[test]
    fn a_branch_is_compared_with_the_one_it_follows() {
        let shop = TestRepository::new();
        shop.remote("origin");
        shop.git(&["branch", "-q", "--set-upstream-to", "origin/main"]);
        shop.commit("Ahead");
        shop.commit("Further");
        let other = shop.beside("other");
        git_in(
            &shop.path,
            &["clone", "-q", shop.beside("origin.git").to_str().unwrap(), other.to_str().unwrap()],
        );
        write_in(&other, "theirs", "");
        git_in(&other, &["add", "theirs"]);
        git_in(&other, &["commit", "-q", "-m", "Theirs"]);
        git_in(&other, &["push", "-q"]);
        shop.git(&["fetch", "-q", "origin"]);
        let upstream = shop.open().status(&shop.path).unwrap().upstream.unwrap();
        assert_eq!(upstream, Upstream { name: "origin/main".to_owned(), ahead_behind: Some((2, 1)) });
        shop.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
        assert_eq!(shop.open().status(&shop.path).unwrap().upstream.unwrap().ahead_behind, None);
    }

    #[test]
    fn a_repository_without_commit_has_a_status() {
        let shop = TestRepository::without_commit();
        shop.write("new", "");
        shop.write("staged", "");
        shop.git(&["add", "staged"]);
        let status = shop.open().status(&shop.path).unwrap();
        assert_eq!((status.untracked, status.staged), (1, 1));
    }
}
