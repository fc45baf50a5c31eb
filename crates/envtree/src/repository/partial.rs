//! Completes partial clones: an object that was left out is fetched when it is first needed, as git does it.
//!
//! The `git` program fetches, because it knows the remote, its credentials and its protocols. Nothing is asked
//! of it in a complete clone, or for an object that is there.

use super::{Repository, RepositoryError};
use crate::worktree::git::Git;

impl Repository {
    /// Makes sure that `object` can be read, if this is a partial clone that left it out.
    ///
    /// In any other repository the object may still be missing afterwards, and reading it then says so.
    pub(super) fn fetch_if_promised(
        &self,
        local: &gix::Repository,
        object: gix::ObjectId,
    ) -> Result<(), RepositoryError> {
        if local.has_object(object) || !self.is_partial(local) {
            return Ok(());
        }
        let git = Git::of(self).args(["cat-file", "-e"]).arg(object.to_string());
        git.output_blocking().map(drop).map_err(|source| RepositoryError::Fetch {
            object: object.to_string(),
            common_dir: self.common_dir.clone(),
            source: Box::new(source),
        })
    }

    /// Returns the tree that a merge of `theirs` into `ours` gives, by the `git` program, which fetches what it
    /// needs; none in a complete clone, after a conflict, and with a git older than 2.38.
    pub(super) fn merge_in_partial_clone(
        &self,
        local: &gix::Repository,
        ours: gix::ObjectId,
        theirs: gix::ObjectId,
    ) -> Option<gix::ObjectId> {
        if !self.is_partial(local) {
            return None;
        }
        let git =
            Git::of(self).args(["merge-tree", "--write-tree"]).arg(ours.to_string()).arg(theirs.to_string());
        gix::ObjectId::from_hex(git.output_blocking().ok()?.trim_ascii()).ok()
    }

    /// Returns whether a remote has promised the objects that are missing here.
    pub(super) fn is_partial(&self, local: &gix::Repository) -> bool {
        // Git asks whose a repository is only when it finds it itself, which `Git::of` prevents without a main
        // worktree; and a fetch runs whatever program the configuration names.
        let is_judged = self.main_worktree.as_ref().is_some_and(|path| path.is_dir());
        if !is_judged && local.git_dir_trust() != gix::sec::Trust::Full {
            return false;
        }
        let configuration = local.config_snapshot();
        let promises = |remote: &gix::bstr::BStr| {
            configuration.boolean(format!("remote.{remote}.promisor").as_str()) == Some(true)
        };
        configuration.string("extensions.partialClone").is_some()
            || local.remote_names().iter().any(|remote| promises(remote.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::test_repository::{TestRepository, git_in};
    use super::super::{MergeState, TreeEntryKind};
    use super::*;

    fn server() -> TestRepository {
        let shop = TestRepository::new();
        shop.git(&["config", "uploadpack.allowFilter", "true"]);
        shop.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        shop.write("deploy/dev/compose.yaml", "name: dev\n");
        shop.commit("Add");
        shop
    }

    fn clone(shop: &TestRepository, name: &str, options: &[&str]) -> PathBuf {
        let path = shop.beside(name);
        let url = format!("file://{}", shop.path.display());
        let arguments = [&["clone", "-q"], options, &[&url, path.to_str().unwrap()]].concat();
        git_in(&shop.path, &arguments);
        path
    }

    fn read(repository: &Repository, revision: &str, path: &str) -> Result<Option<String>, RepositoryError> {
        let commit = repository.resolve_commit(revision).unwrap();
        let bytes = repository.read_file(commit, Path::new(path))?;
        Ok(bytes.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn files_and_directories_that_were_left_out_are_fetched() {
        let shop = server();
        for filter in ["--filter=blob:none", "--filter=tree:0"] {
            for form in ["--no-checkout", "--bare"] {
                let path = clone(&shop, &format!("{filter}{form}"), &[filter, form]);
                let repository = Repository::discover(&path).unwrap();
                let text = read(&repository, "HEAD", "deploy/dev/compose.yaml").unwrap();
                assert_eq!(text.as_deref(), Some("name: dev\n"), "{filter} {form}");
                assert_eq!(read(&repository, "HEAD", "deploy/prod/compose.yaml").unwrap(), None);
                let head = repository.resolve_commit("HEAD").unwrap();
                let entries = repository.list_directory(head, Path::new("deploy")).unwrap().unwrap();
                assert_eq!(entries[0].kind, TreeEntryKind::Directory);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_that_was_left_out_is_followed() {
        let shop = server();
        std::os::unix::fs::symlink("deploy/dev/compose.yaml", shop.path.join("compose.yaml")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", shop.path.join("absolute")).unwrap();
        shop.commit("Link");
        let path = clone(&shop, "partial", &["--filter=blob:none", "--no-checkout"]);
        let repository = Repository::discover(&path).unwrap();
        assert_eq!(read(&repository, "HEAD", "compose.yaml").unwrap().as_deref(), Some("name: dev\n"));
        let error = read(&repository, "HEAD", "absolute").unwrap_err();
        assert!(matches!(error, RepositoryError::Symlink { .. }), "{error:?}");
    }

    #[test]
    fn files_of_a_base_that_moved_on_are_fetched() {
        let shop = server();
        let path = clone(&shop, "partial", &["--filter=blob:none"]);
        shop.write("deploy/dev/compose.yaml", "name: new\n");
        shop.commit("Change");
        git_in(&path, &["fetch", "-q"]);
        let repository = Repository::discover(&path).unwrap();
        let text = read(&repository, "origin/main", "deploy/dev/compose.yaml").unwrap();
        assert_eq!(text.as_deref(), Some("name: new\n"));
    }

    #[test]
    fn a_remote_that_cannot_be_reached_is_named_in_the_error() {
        let shop = server();
        let path = clone(&shop, "partial", &["--filter=blob:none", "--no-checkout"]);
        git_in(&path, &["remote", "set-url", "origin", "file:///nowhere"]);
        let repository = Repository::discover(&path).unwrap();
        let error = read(&repository, "HEAD", "readme.md").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().starts_with("cannot fetch object `"), "{error}");
        assert!(cause.contains("/nowhere"), "{cause}");
    }

    #[test]
    fn a_missing_object_of_a_complete_clone_is_not_fetched() {
        let shop = server();
        let path = clone(&shop, "partial", &["--filter=blob:none", "--no-checkout"]);
        git_in(&path, &["config", "--unset", "remote.origin.promisor"]);
        let repository = Repository::discover(&path).unwrap();
        let error = read(&repository, "HEAD", "readme.md").unwrap_err();
        assert!(matches!(error, RepositoryError::Read { what: "files", .. }), "{error:?}");
    }

    #[test]
    fn a_squash_merge_is_recognised_although_blobs_were_left_out() {
        let shop = server();
        let lines = |first: &str, last: &str| format!("{first}\n1\n2\n3\n4\n5\n6\n{last}\n");
        shop.write("list", &lines("a", "z"));
        shop.commit("List");
        shop.git(&["switch", "-q", "-c", "login"]);
        shop.write("list", &lines("b", "z"));
        shop.commit("Login");
        shop.git(&["switch", "-q", "main"]);
        shop.git(&["merge", "-q", "--squash", "login"]);
        shop.commit("Squashed");
        shop.write("list", &lines("b", "y"));
        shop.commit("Later");
        let path = clone(&shop, "partial", &["--filter=blob:none", "--no-checkout"]);
        let repository = Repository::discover(&path).unwrap();
        let resolve = |name| repository.resolve_commit(name).unwrap();
        let state = repository.merge_state(resolve("origin/login"), resolve("origin/main")).unwrap();
        assert_eq!(state, MergeState::SquashMerged);
    }
}
