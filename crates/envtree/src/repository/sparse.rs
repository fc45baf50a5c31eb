//! Reads the files that a sparse checkout leaves out of a worktree.

use std::path::Path;

use gix::index::entry::{Flags, Mode};

use super::files::inside;
use super::{CommitId, Repository, RepositoryError};

impl Repository {
    /// Returns the content that `HEAD` of `worktree` has at `path` (relative to the top), if a sparse checkout leaves
    /// that file out; none for every other file, one that was deleted included.
    pub(crate) fn read_left_out(
        &self,
        worktree: &Path,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        // Where the folder is gone or is no worktree any more, nothing is left out on purpose.
        let Ok(local) = self.open_worktree(worktree) else {
            return Ok(None);
        };
        if local.config_snapshot().boolean("core.sparseCheckout") != Some(true) {
            return Ok(None);
        }
        let Ok(name) = inside(path) else {
            return Ok(None);
        };
        let index =
            local.index_or_empty().map_err(|source| RepositoryError::read("index", worktree, source))?;
        let is_left_out = index.entries().iter().any(|entry| {
            let at = entry.path(&index);
            // A sparse index has one entry for a whole folder, whose name ends with a slash.
            entry.flags.contains(Flags::SKIP_WORKTREE)
                && (at == name || entry.mode == Mode::DIR && name.starts_with(at))
        });
        match local.head_id() {
            Ok(head) if is_left_out => self.read_file(CommitId(head.detach()), path),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    #[test]
    fn only_what_a_sparse_checkout_leaves_out_is_read_from_the_commit() {
        for sparse_index in ["--no-sparse-index", "--sparse-index"] {
            let shop = TestRepository::new();
            shop.write("infra/compose.yaml", "services: {}\n");
            shop.write("web/gone", "");
            shop.commit("Add");
            let linked = shop.beside("linked");
            let read = |worktree: &Path, path: &str| shop.open().read_left_out(worktree, Path::new(path));
            assert_eq!(read(&shop.path, "infra/compose.yaml").unwrap(), None);
            shop.git(&["sparse-checkout", "set", sparse_index, "web"]);
            shop.git(&["worktree", "add", "-q", linked.to_str().unwrap()]);
            for worktree in [&shop.path, &linked] {
                std::fs::remove_file(worktree.join("web/gone")).unwrap();
                assert!(!worktree.join("infra").exists());
                let text = read(worktree, "infra/compose.yaml").unwrap();
                assert_eq!(text.as_deref(), Some(&b"services: {}\n"[..]), "{sparse_index}");
                for path in ["infra", "infra/other.yaml", "web/gone", "other"] {
                    assert_eq!(read(worktree, path).unwrap(), None, "{path}");
                }
            }
        }
    }
}
