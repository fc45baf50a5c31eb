//! Asks whether git tracks or ignores a path of a worktree.

use std::path::{Component, Path};

use gix::bstr::{BString, ByteSlice};
use gix::worktree::stack::state::ignore::Source;

use super::{Repository, RepositoryError};

impl Repository {
    /// Returns whether the index of `worktree` holds `path` (relative to its top), or a file below it.
    pub fn is_tracked(&self, worktree: &Path, path: &Path) -> Result<bool, RepositoryError> {
        let path = inside(path)?;
        let local = self.open_worktree(worktree)?;
        let index =
            local.index_or_empty().map_err(|source| RepositoryError::read("index", worktree, source))?;
        Ok(holds(&index, &path))
    }

    /// Returns whether git's ignore rules match `path` (relative to the top of `worktree`): those of every
    /// `.gitignore` on the way, of `info/exclude` and of `core.excludesFile`.
    ///
    /// As with `git check-ignore --no-index`, a tracked file may match too. A path that does not exist is judged
    /// as a file.
    pub fn is_ignored(&self, worktree: &Path, path: &Path) -> Result<bool, RepositoryError> {
        let mut rules = IgnoreRules::of(self, worktree)?;
        let is_directory = worktree.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        rules.is_ignored(path, is_directory)
    }
}

/// The ignore rules and the index of one worktree, for asking about many paths.
pub(crate) struct IgnoreRules {
    local: gix::Repository,
    index: gix::worktree::Index,
    stack: gix::worktree::Stack,
}

impl IgnoreRules {
    pub(crate) fn of(repository: &Repository, worktree: &Path) -> Result<Self, RepositoryError> {
        let local = repository.open_worktree(worktree)?;
        let read = |source| RepositoryError::read("ignore rules", worktree, source);
        let index = local.index_or_empty().map_err(read)?;
        let excludes = local.excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped);
        let stack = excludes.map_err(read)?.detach();
        Ok(Self { local, index, stack })
    }

    pub(crate) fn is_ignored(&mut self, path: &Path, is_directory: bool) -> Result<bool, RepositoryError> {
        let inside = inside(path)?;
        let kind = if is_directory { gix::index::entry::Mode::DIR } else { gix::index::entry::Mode::FILE };
        let at = self.stack.at_entry(inside.as_bstr(), Some(kind), &self.local.objects);
        at.map(|platform| platform.is_excluded())
            .map_err(|source| RepositoryError::read("ignore rules", path, source))
    }

    pub(crate) fn is_tracked(&self, path: &Path) -> Result<bool, RepositoryError> {
        Ok(holds(&self.index, &inside(path)?))
    }
}

/// The patterns of one file in gitignore syntax, matched exactly as git matches them.
pub(crate) struct Patterns {
    search: gix::ignore::Search,
    case: gix::glob::pattern::Case,
}

impl Patterns {
    /// Reads the patterns of `file`, which are relative to the top of the worktree.
    pub(crate) fn load(repository: &Repository, file: &Path) -> std::io::Result<Self> {
        Self::of_text(repository, &std::fs::read(file)?, file)
    }

    /// Reads patterns, one a line; `source` says where they stand.
    pub(crate) fn of_text(repository: &Repository, text: &[u8], source: &Path) -> std::io::Result<Self> {
        let mut search = gix::ignore::Search::default();
        let syntax = gix::ignore::search::Ignore::default();
        search.add_patterns_buffer(text, source, None, syntax)?;
        let folds = repository.local().config_snapshot().boolean("core.ignoreCase");
        let case = if folds == Some(true) {
            gix::glob::pattern::Case::Fold
        } else {
            gix::glob::pattern::Case::Sensitive
        };
        Ok(Self { search, case })
    }

    /// Returns whether a pattern matches `path` (relative to the top) itself, and no later one takes that back.
    pub(crate) fn matches(&self, path: &Path, is_directory: bool) -> Result<bool, RepositoryError> {
        let path = inside(path)?;
        let found = self.search.pattern_matching_relative_path(path.as_bstr(), Some(is_directory), self.case);
        Ok(found.is_some_and(|found| !found.pattern.is_negative()))
    }
}

fn holds(index: &gix::index::State, path: &BString) -> bool {
    let below = BString::from([path.as_slice(), b"/"].concat());
    // Conflicting entries have no stage 0, so every stage counts.
    index.entry_range(path.as_bstr()).is_some() || index.prefixed_entries_range(below.as_bstr()).is_some()
}

/// Spells a relative path as git does.
pub(super) fn inside(path: &Path) -> Result<BString, RepositoryError> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            _ => {
                return Err(RepositoryError::OutsideWorktree { path: path.to_owned() });
            }
        }
    }
    let joined: std::path::PathBuf = parts.into_iter().collect();
    let bytes = gix::path::into_bstr(joined.as_path());
    let bytes = bytes.map_err(|_| RepositoryError::OutsideWorktree { path: path.to_owned() })?;
    Ok(gix::path::to_unix_separators_on_windows(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    #[test]
    fn ignore_rules_come_from_every_place_that_git_knows() {
        let shop = TestRepository::new();
        shop.write(".gitignore", "*.log\n/build/\n!keep.log\n");
        shop.write("apps/.gitignore", "secret\n");
        shop.write(".git/info/exclude", ".env.local\n");
        let global = shop.beside("global");
        std::fs::write(&global, "*.swp\n").unwrap();
        shop.git(&["config", "core.excludesFile", global.to_str().unwrap()]);
        shop.write("build/out", "");
        let repository = shop.open();
        let ignored = |path: &str| repository.is_ignored(&shop.path, Path::new(path)).unwrap();
        for path in ["a.log", "apps/deep/a.log", "build", "build/out", "apps/secret", ".env.local", "x/y.swp"]
        {
            assert!(ignored(path), "{path}");
        }
        for path in ["keep.log", "secret", "apps/build", "readme.md", "apps"] {
            assert!(!ignored(path), "{path}");
        }
    }

    #[test]
    fn tracked_files_are_those_of_the_worktree_asked_for() {
        let shop = TestRepository::new();
        shop.write("config/app.yaml", "");
        shop.write("loose", "");
        shop.git(&["add", "config"]);
        let linked = shop.beside("linked");
        shop.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
        let repository = shop.open();
        let tracked = |path: &str| repository.is_tracked(&shop.path, Path::new(path)).unwrap();
        assert!(tracked("readme.md") && tracked("config/app.yaml") && tracked("config"));
        assert!(!tracked("loose") && !tracked("config/app") && !tracked("conf"));
        assert!(!repository.is_tracked(&linked, Path::new("config/app.yaml")).unwrap());
        assert!(repository.is_tracked(&shop.path, Path::new("../x")).is_err());
    }

    #[test]
    fn a_worktree_of_another_repository_is_refused() {
        let (shop, other) = (TestRepository::new(), TestRepository::new());
        let error = shop.open().is_tracked(&other.path, Path::new("readme.md")).unwrap_err();
        assert!(matches!(error, RepositoryError::ForeignWorktree { .. }), "{error:?}");
    }
}
