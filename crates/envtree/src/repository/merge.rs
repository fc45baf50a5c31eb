//! Decides whether a branch has arrived in another one.

use super::{CommitId, Repository, RepositoryError};

/// Whether the changes of one commit's history are part of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeState {
    /// They are not, or at least it cannot be shown.
    Unmerged,
    /// The commit itself is in the other's history.
    Merged,
    /// The commit is not, but all that it changed is: it was squashed, rebased or cherry-picked.
    SquashMerged,
}

impl MergeState {
    /// Whether nothing would be lost without the commit.
    pub fn is_merged(self) -> bool {
        self != Self::Unmerged
    }
}

impl Repository {
    /// Returns whether `commit` has been merged into `into`.
    ///
    /// A squash merge is recognised by merging in memory: when that changes nothing in `into`, everything
    /// that the branch changed is there. A branch that undid all of its own changes counts as unmerged, and so
    /// does one whose lines `into` has changed again since.
    pub fn merge_state(&self, commit: CommitId, into: CommitId) -> Result<MergeState, RepositoryError> {
        let local = self.local();
        merge_state(self, &local, commit.0, into.0).map_err(|source| self.unreadable("commits", source))
    }
}

pub(super) fn merge_state(
    repository: &Repository,
    local: &gix::Repository,
    commit: gix::ObjectId,
    into: gix::ObjectId,
) -> Result<MergeState, gix::Error> {
    if commit == into {
        return Ok(MergeState::Merged);
    }
    let Some(base) = local.merge_base(commit, into)?.map(gix::Id::detach) else {
        return Ok(MergeState::Unmerged);
    };
    if base == commit {
        return Ok(MergeState::Merged);
    }
    if base == into {
        return Ok(MergeState::Unmerged);
    }
    let tree = |id: gix::ObjectId| Ok::<_, gix::Error>(local.find_commit(id)?.tree_id()?.detach());
    if tree(commit)? == tree(base)? {
        return Ok(MergeState::Unmerged);
    }
    let memory = local.clone().with_object_memory();
    let labels = gix::merge::blob::builtin_driver::text::Labels::default();
    let options = memory
        .tree_merge_options()?
        .with_fail_on_conflict(Some(gix::merge::tree::TreatAsUnresolved::forced_resolution()));
    let merged = match memory.merge_commits(into, commit, labels, options.into()) {
        Ok(mut outcome) => {
            let conflicts = gix::merge::tree::TreatAsUnresolved::forced_resolution();
            let is_conflicted = outcome.tree_merge.has_unresolved_conflicts(conflicts);
            if is_conflicted { None } else { Some(outcome.tree_merge.tree.write()?.detach()) }
        }
        Err(_) => repository.merge_in_partial_clone(local, into, commit),
    };
    if merged == Some(tree(into)?) { Ok(MergeState::SquashMerged) } else { Ok(MergeState::Unmerged) }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    fn state(shop: &TestRepository, branch: &str) -> MergeState {
        let repository = shop.open();
        let resolve = |name| repository.resolve_commit(name).unwrap();
        repository.merge_state(resolve(branch), resolve("main")).unwrap()
    }

    fn with_branch() -> TestRepository {
        let shop = TestRepository::new();
        shop.git(&["switch", "-q", "-c", "login"]);
        shop.write("login", "one\n");
        shop.commit("One");
        shop.write("login", "one\ntwo\n");
        shop.commit("Two");
        shop.git(&["switch", "-q", "main"]);
        shop.write("other", "");
        shop.commit("Other");
        shop
    }

    #[test]
    fn a_merged_branch_is_in_the_history() {
        let shop = with_branch();
        assert_eq!(state(&shop, "login"), MergeState::Unmerged);
        shop.git(&["merge", "-q", "--no-edit", "login"]);
        assert_eq!(state(&shop, "login"), MergeState::Merged);
        assert_eq!(state(&shop, "main"), MergeState::Merged);
    }

    #[test]
    fn a_squash_merge_is_recognised_even_after_further_commits() {
        let shop = with_branch();
        shop.git(&["merge", "-q", "--squash", "login"]);
        shop.commit("Squashed");
        shop.write("later", "");
        shop.commit("Later");
        assert_eq!(state(&shop, "login"), MergeState::SquashMerged);
    }

    #[test]
    fn a_squash_merge_that_was_reverted_is_unmerged() {
        let shop = with_branch();
        shop.git(&["merge", "-q", "--squash", "login"]);
        shop.commit("Squashed");
        shop.git(&["revert", "--no-edit", "HEAD"]);
        assert_eq!(state(&shop, "login"), MergeState::Unmerged);
    }

    #[test]
    fn a_branch_that_undid_its_own_changes_is_unmerged() {
        let shop = with_branch();
        shop.git(&["switch", "-q", "login"]);
        shop.git(&["rm", "-q", "login"]);
        shop.commit("Undo");
        assert_eq!(state(&shop, "login"), MergeState::Unmerged);
    }

    #[test]
    fn conflicting_and_unrelated_histories_are_unmerged() {
        let shop = with_branch();
        shop.write("login", "other\n");
        shop.commit("Conflict");
        assert_eq!(state(&shop, "login"), MergeState::Unmerged);
        shop.git(&["switch", "-q", "--orphan", "orphan"]);
        shop.commit("Orphan");
        assert_eq!(state(&shop, "orphan"), MergeState::Unmerged);
    }
}
