//! Finds what the checkout of a commit needs besides writing files.

use std::path::PathBuf;

use gix::bstr::ByteSlice;

use super::{CommitId, Repository, RepositoryError};

/// What a checkout has to run: all of it is the `git` program's work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutNeeds {
    /// The `post-checkout` hook, under `core.hooksPath` where that is set. A relative `core.hooksPath` counts
    /// from the top of the new worktree, and the path returned is then relative too.
    pub post_checkout_hook: Option<PathBuf>,
    /// The filters that `.gitattributes` files name, sorted; `lfs` for git-lfs.
    pub filters: Vec<String>,
    /// Whether there are submodules.
    pub submodules: bool,
}

impl Repository {
    /// Returns what a checkout of `commit` has to run.
    pub fn checkout_needs(&self, commit: CommitId) -> Result<CheckoutNeeds, RepositoryError> {
        let local = self.local();
        let read = |source| self.unreadable("commit", source);
        let tree = local.find_commit(commit.0).and_then(|commit| commit.tree()).map_err(read)?;
        let mut needs = CheckoutNeeds {
            post_checkout_hook: self.hook(&local, "post-checkout"),
            ..CheckoutNeeds::default()
        };
        for file in tree.traverse().breadthfirst.files().map_err(read)? {
            let name = file.filepath.rsplit_str("/").next().unwrap_or_default();
            if file.filepath == ".gitmodules" {
                needs.submodules = true;
            } else if name == b".gitattributes" {
                self.fetch_if_promised(&local, file.oid)?;
                let attributes = local.find_object(file.oid).map_err(read)?;
                needs.filters.extend(filters_in(&attributes.data.to_str_lossy()));
            }
        }
        needs.filters.sort();
        needs.filters.dedup();
        Ok(needs)
    }

    /// Returns how many processes the user wants for a checkout, if that is configured.
    pub(crate) fn checkout_workers(&self) -> Option<i64> {
        self.local().config_snapshot().integer("checkout.workers")
    }

    fn hook(&self, local: &gix::Repository, name: &str) -> Option<PathBuf> {
        let configured = local.config_snapshot().trusted_path("core.hooksPath").ok().flatten();
        let hook = configured.unwrap_or_else(|| self.common_dir.join("hooks")).join(name);
        (hook.is_relative() || is_executable(&hook)).then_some(hook)
    }
}

#[cfg(unix)]
fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &std::path::Path) -> bool {
    path.is_file()
}

fn filters_in(attributes: &str) -> impl Iterator<Item = String> + '_ {
    let lines = attributes.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).filter_map(|word| word.strip_prefix("filter=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    #[test]
    fn filters_submodules_and_hooks_are_found() {
        let shop = TestRepository::new();
        let repository = shop.open();
        let head = repository.resolve_commit("HEAD").unwrap();
        assert_eq!(repository.checkout_needs(head).unwrap(), CheckoutNeeds::default());
        shop.write(".gitattributes", "*.psd filter=lfs diff=lfs -text\n# *.x filter=old\n");
        shop.write("secrets/.gitattributes", "* filter=git-crypt\n");
        shop.write(".gitmodules", "");
        shop.commit("Attributes");
        shop.write(".git/hooks/post-checkout", "#!/bin/sh\n");
        #[cfg(unix)]
        std::fs::set_permissions(
            shop.path.join(".git/hooks/post-checkout"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let repository = shop.open();
        let needs = repository.checkout_needs(repository.resolve_commit("HEAD").unwrap()).unwrap();
        assert_eq!(needs.filters, ["git-crypt", "lfs"]);
        assert!(needs.submodules);
        assert_eq!(needs.post_checkout_hook, Some(shop.path.join(".git/hooks/post-checkout")));
        shop.git(&["config", "core.hooksPath", ".husky/_"]);
        let repository = shop.open();
        let needs = repository.checkout_needs(head).unwrap();
        assert_eq!(needs.post_checkout_hook, Some(PathBuf::from(".husky/_/post-checkout")));
    }
}
