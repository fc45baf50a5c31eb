//! What came before a commit.

use std::collections::BTreeSet;

use super::{CommitId, Repository, RepositoryError};

impl Repository {
    /// Returns the first of `candidates` on the way back from `commit`, which may be one itself; none if none of them came
    /// before it.
    ///
    /// The way leads through the parents of all commits of one distance before those of the next.
    pub fn nearest_before(
        &self,
        commit: CommitId,
        candidates: &BTreeSet<CommitId>,
    ) -> Result<Option<CommitId>, RepositoryError> {
        let local = self.local();
        let read = |source| self.unreadable("commits", source);
        for found in local.rev_walk([commit.0]).all().map_err(read)? {
            let found = CommitId(found.map_err(read)?.id);
            if candidates.contains(&found) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    #[test]
    fn the_nearest_is_found_on_all_lines_of_history() {
        let shop = TestRepository::new();
        let head = |shop: &TestRepository| shop.git(&["rev-parse", "HEAD"]).parse::<CommitId>().unwrap();
        let first = head(&shop);
        shop.commit("Second");
        let second = head(&shop);
        shop.git(&["checkout", "--quiet", "-b", "side", &first.to_string()]);
        shop.commit("Aside");
        let aside = head(&shop);
        shop.git(&["merge", "--quiet", "--no-edit", &second.to_string()]);
        let merged = head(&shop);
        shop.commit("Later");
        let repository = shop.open();
        let nearest = |from: CommitId, of: &[CommitId]| {
            repository.nearest_before(from, &of.iter().copied().collect()).unwrap()
        };
        assert_eq!(nearest(head(&shop), &[first, second]), Some(second));
        assert_eq!(nearest(head(&shop), &[first, aside]), Some(aside));
        assert_eq!(nearest(head(&shop), &[first, second, merged]), Some(merged));
        assert_eq!(nearest(second, &[second, first]), Some(second));
        assert_eq!(nearest(second, &[aside, merged]), None);
    }
}
