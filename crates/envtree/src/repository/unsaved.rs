//! Finds the work that exists nowhere but in one worktree.

use std::path::Path;

use gix::bstr::ByteSlice;

use super::merge::merge_state;
use super::status::changes;
use super::{CommitId, Interruption, Repository, RepositoryError, Worktree};

/// As many subjects as fit on a screen with the rest of a message.
const MOST_SUBJECTS: usize = 5;

/// What the removal of a worktree and its branch would lose.
///
/// Stashes are not counted: they belong to the repository and survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsavedWork {
    /// Files that are modified, staged, in conflict or untracked and not ignored, relative to the top; a
    /// directory that is untracked as a whole is one entry that ends with a slash.
    pub files: Vec<String>,
    /// The number of commits that neither the base nor any remote-tracking branch holds. With a detached `HEAD`
    /// also no local branch and no tag.
    pub commits: usize,
    /// The subjects of the newest five of them.
    pub subjects: Vec<String>,
    /// Whether `HEAD` is detached, so that the commits have no branch that would keep them.
    pub is_detached: bool,
    /// Submodules with files or commits of their own that are nowhere else, by path.
    pub submodules: Vec<String>,
}

impl UnsavedWork {
    /// Whether the worktree can go without loss.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.commits == 0 && self.submodules.is_empty()
    }
}

impl Repository {
    /// Returns what would be lost without `worktree` and its branch, seen from `base`.
    ///
    /// Of a worktree whose folder is gone only the commits can be found; of one whose removal was interrupted,
    /// or whose checkout before all files were there, the files do not count. A branch that was squash-merged into `base` has no unsaved commits.
    pub fn unsaved_work(&self, worktree: &Worktree, base: CommitId) -> Result<UnsavedWork, RepositoryError> {
        let mut work = UnsavedWork { is_detached: worktree.branch.is_none(), ..UnsavedWork::default() };
        if let Some(head) = worktree.head {
            self.add_commits(&mut work, head, base)?;
        }
        if worktree.prunable || !worktree.can_hold_changes() {
            return Ok(work);
        }
        let local = self.open_worktree(&worktree.path)?;
        work.files = changes(&local, &worktree.path)?.into_iter().map(|change| change.path).collect();
        // A file can be staged and modified again.
        work.files.dedup();
        work.submodules = unsaved_submodules(&local, &worktree.path)?;
        Ok(work)
    }

    /// Returns what would be lost without the local branch `name` alone, seen from `base`.
    pub fn unsaved_commits(&self, name: &str, base: CommitId) -> Result<UnsavedWork, RepositoryError> {
        let mut work = UnsavedWork::default();
        if let Some(tip) = self.commit_of_reference(&self.local(), &format!("refs/heads/{name}"))? {
            self.add_commits(&mut work, tip, base)?;
        }
        Ok(work)
    }

    fn add_commits(
        &self,
        work: &mut UnsavedWork,
        tip: CommitId,
        base: CommitId,
    ) -> Result<(), RepositoryError> {
        let local = self.local();
        let read = |source| self.unreadable("commits", source);
        let mut kept = tips(&local, "refs/remotes/").map_err(read)?;
        kept.push(base.0);
        if work.is_detached {
            kept.extend(tips(&local, "refs/heads/").map_err(read)?);
            kept.extend(tips(&local, "refs/tags/").map_err(read)?);
        }
        let (commits, subjects) = commits_beyond(&local, tip.0, kept).map_err(read)?;
        if commits > 0 && !merge_state(self, &local, tip.0, base.0).map_err(read)?.is_merged() {
            (work.commits, work.subjects) = (commits, subjects);
        }
        Ok(())
    }
}

impl Worktree {
    /// Whether the folder holds a checkout that was completed and not yet given up.
    pub fn is_complete(&self) -> bool {
        !self.prunable && self.interruption().is_none()
    }

    /// Whether a file that differs from the commit is somebody's work, and not one that a checkout did not get to
    /// or a removal has deleted.
    pub(crate) fn can_hold_changes(&self) -> bool {
        match self.interruption() {
            None => true,
            // What is missing may be a submodule that cannot be fetched, and people work beside it.
            Some(Interruption::Checkout) => self.is_checked_out(),
            Some(Interruption::Removal) => false,
        }
    }

    /// Whether all files were written: then git writes the index.
    pub(crate) fn is_checked_out(&self) -> bool {
        self.git_dir.join("index").is_file()
    }
}

/// Returns the commits at the tips of all references below `prefix`.
fn tips(local: &gix::Repository, prefix: &str) -> Result<Vec<gix::ObjectId>, gix::Error> {
    let references = local.references()?;
    let mut tips = Vec::new();
    for mut reference in references.prefixed(prefix)?.flatten() {
        // `origin/HEAD` may dangle, and tags may name other things than commits.
        tips.extend(reference.peel_to_commit().ok().map(|commit| commit.id));
    }
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

/// Counts the commits that only `tip` has, and returns the subjects of the newest.
fn commits_beyond(
    local: &gix::Repository,
    tip: gix::ObjectId,
    kept: Vec<gix::ObjectId>,
) -> Result<(usize, Vec<String>), gix::Error> {
    let (mut count, mut subjects) = (0, Vec::new());
    for commit in local.rev_walk([tip]).with_hidden(kept).all()? {
        let commit = commit?;
        count += 1;
        if subjects.len() < MOST_SUBJECTS {
            let commit = commit.object()?;
            subjects
                .push(commit.message_raw()?.lines().next().unwrap_or_default().to_str_lossy().into_owned());
        }
    }
    Ok((count, subjects))
}

fn unsaved_submodules(local: &gix::Repository, worktree: &Path) -> Result<Vec<String>, RepositoryError> {
    let read = |source| RepositoryError::read("submodules", worktree, source);
    let mut unsaved = Vec::new();
    for submodule in local.submodules().map_err(read)?.into_iter().flatten() {
        let path = submodule.path().map_err(read)?.to_string();
        // One that was never initialised has nothing to lose.
        let Ok(Some(inner)) = submodule.open() else {
            continue;
        };
        let Some(folder) = inner.workdir().filter(|folder| folder.join(".git").exists()) else {
            continue;
        };
        let folder = folder.to_owned();
        let (_, head) = super::head_of(&inner);
        let mut kept = tips(&inner, "refs/remotes/").map_err(read)?;
        kept.extend(tips(&inner, "refs/tags/").map_err(read)?);
        let commits = match head {
            Some(head) => commits_beyond(&inner, head.0, kept).map_err(read)?.0,
            None => 0,
        };
        let has_files = !changes(&inner, &folder)?.is_empty();
        let has_inner = !unsaved_submodules(&inner, &folder)?.is_empty();
        if commits > 0 || has_files || has_inner {
            unsaved.push(path);
        }
    }
    Ok(unsaved)
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, git_in, write_in};
    use super::*;

    fn unsaved(shop: &TestRepository) -> UnsavedWork {
        let repository = shop.open();
        let worktree = repository.worktree_containing(&shop.path).unwrap().unwrap();
        let base = repository.base(None).unwrap().commit;
        repository.unsaved_work(&worktree, base).unwrap()
    }

    #[test]
    fn a_fresh_branch_has_nothing_to_lose() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "-c", "login"]);
        shop.write(".git/info/exclude", "node_modules/\n");
        shop.write("node_modules/x", "");
        assert_eq!(unsaved(&shop), UnsavedWork::default());
        assert!(unsaved(&shop).is_empty());
    }

    #[test]
    fn files_of_every_kind_are_named() {
        let shop = TestRepository::new();
        shop.write("both", "one\n");
        shop.commit("Add");
        shop.write("both", "two\n");
        shop.git(&["add", "both"]);
        shop.write("both", "three\n");
        shop.write("notes/ü.txt", "");
        std::fs::remove_file(shop.path.join("readme.md")).unwrap();
        assert_eq!(unsaved(&shop).files, ["both", "notes/", "readme.md"]);
    }

    #[test]
    fn commits_count_until_they_are_pushed_or_merged() {
        let shop = TestRepository::new();
        shop.remote("origin");
        shop.git(&["switch", "-q", "-c", "login"]);
        for index in 1..=7 {
            shop.write("login", &format!("{index}\n"));
            shop.commit(&format!("Step {index}"));
        }
        let work = unsaved(&shop);
        assert_eq!(work.commits, 7);
        assert_eq!(work.subjects, ["Step 7", "Step 6", "Step 5", "Step 4", "Step 3"]);
        let repository = shop.open();
        let base = repository.base(None).unwrap().commit;
        assert_eq!(repository.unsaved_commits("login", base).unwrap().commits, 7);
        shop.git(&["push", "-q", "origin", "login:review/login"]);
        assert!(unsaved(&shop).is_empty());
    }

    #[test]
    fn a_squash_merged_branch_has_no_unsaved_commits() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "-c", "login"]);
        shop.write("login", "");
        shop.commit("Login");
        shop.git(&["switch", "-q", "main"]);
        shop.git(&["merge", "-q", "--squash", "login"]);
        shop.commit("Squashed");
        shop.git(&["switch", "-q", "login"]);
        assert!(unsaved(&shop).is_empty());
    }

    #[test]
    fn commits_on_a_detached_head_count_unless_another_branch_has_them() {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "--detach"]);
        shop.commit("Loose");
        let work = unsaved(&shop);
        assert!(work.is_detached);
        assert_eq!((work.commits, work.subjects), (1, vec!["Loose".to_owned()]));
        shop.git(&["branch", "kept"]);
        assert!(unsaved(&shop).is_empty());
    }

    #[test]
    fn the_commits_of_a_vanished_worktree_are_still_found() {
        let shop = TestRepository::new();
        let linked = shop.beside("linked");
        shop.git(&["worktree", "add", "-q", "-b", "login", linked.to_str().unwrap()]);
        git_in(&linked, &["commit", "-q", "--allow-empty", "-m", "Login"]);
        write_in(&linked, "lost", "");
        std::fs::remove_dir_all(&linked).unwrap();
        let repository = shop.open();
        let worktree = &repository.worktrees().unwrap()[1];
        let work = repository.unsaved_work(worktree, repository.resolve_commit("main").unwrap()).unwrap();
        assert_eq!((work.files.len(), work.commits), (0, 1));
    }

    #[test]
    fn work_inside_a_submodule_counts() {
        let (shop, library) = (TestRepository::new(), TestRepository::new());
        shop.git(&["submodule", "--quiet", "add", library.path.to_str().unwrap(), "library"]);
        shop.commit("Add library");
        let clean = unsaved(&shop);
        assert_eq!(clean.submodules, [] as [&str; 0]);
        assert_eq!(clean.files, [] as [&str; 0]);
        git_in(&shop.path.join("library"), &["commit", "-q", "--allow-empty", "-m", "Inside"]);
        assert_eq!(unsaved(&shop).submodules, ["library"]);
    }
}
