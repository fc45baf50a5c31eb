//! Reads a git repository: where it is, its worktrees, branches, commits and unsaved work.
//!
//! Nothing here changes a repository but for the objects that a partial clone fetches late, and the files of a worktree
//! that [`crate::worktree`] makes. Calls read the disk and block, so async callers wrap them in `spawn_blocking`. A [`Repository`] is cheap to clone and shared between threads.

mod branch;
mod check_out;
mod error;
mod files;
mod history;
mod merge;
mod partial;
mod sparse;
mod status;
#[cfg(test)]
pub(crate) mod test_repository;
mod tree;
mod unsaved;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use branch::{Base, BranchPlace};
pub use error::{BranchNameFault, RepositoryError};
pub(crate) use files::{IgnoreRules, Patterns};
pub use merge::MergeState;
pub use status::{Upstream, WorktreeStatus};
pub use tree::{TreeEntry, TreeEntryKind};
pub use unsaved::UnsavedWork;

/// The reason on the lock of a worktree whose checkout was begun here and not yet finished.
pub(crate) const CHECKOUT_IN_PROGRESS: &str = "envtree: checkout in progress";
/// The reason on the lock of a worktree whose removal was begun here and not yet finished.
pub(crate) const REMOVAL_IN_PROGRESS: &str = "envtree: removal in progress";

/// A git repository, found from any directory inside one of its worktrees or its git directory.
#[derive(Clone)]
pub struct Repository {
    inner: gix::ThreadSafeRepository,
    common_dir: PathBuf,
    main_worktree: Option<PathBuf>,
    current_worktree: Option<PathBuf>,
    top: PathBuf,
    name: String,
}

impl fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Repository").field("common_dir", &self.common_dir).finish_non_exhaustive()
    }
}

/// The object id of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CommitId(gix::ObjectId);

impl CommitId {
    /// The first twelve hex digits: enough to read, not enough to rely on.
    pub fn short(&self) -> String {
        self.0.to_hex_with_len(12).to_string()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for CommitId {
    type Err = RepositoryError;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        gix::ObjectId::from_hex(hex.as_bytes())
            .map(Self)
            .map_err(|_| RepositoryError::UnknownRevision { revision: hex.to_owned() })
    }
}

/// One checkout of a repository: its main worktree or a linked one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Absolute; canonical as long as the folder exists.
    pub path: PathBuf,
    /// The worktree's own administrative directory, `<common dir>/worktrees/<name>` for a linked one.
    pub git_dir: PathBuf,
    /// The branch that is checked out, without `refs/heads/`; none when `HEAD` is detached.
    pub branch: Option<String>,
    /// The commit that is checked out; none when the branch has no commit yet or `HEAD` is broken.
    pub head: Option<CommitId>,
    /// Whether this is the main worktree, which cannot be removed.
    pub is_main: bool,
    /// The reason of the lock, possibly empty; none when the worktree is not locked.
    pub locked: Option<String>,
    /// Whether the folder is gone and nothing but the administrative directory is left.
    pub prunable: bool,
}

/// What was going on in a worktree when the process that did it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// [`crate::worktree::add`] had not finished; calling it again completes the worktree.
    Checkout,
    /// [`crate::worktree::remove`] had not finished; calling it again removes the rest.
    Removal,
}

impl Worktree {
    /// Returns what was interrupted in this worktree, if anything was.
    pub fn interruption(&self) -> Option<Interruption> {
        match self.locked.as_deref() {
            Some(CHECKOUT_IN_PROGRESS) => Some(Interruption::Checkout),
            Some(REMOVAL_IN_PROGRESS) => Some(Interruption::Removal),
            _ => None,
        }
    }
}

impl Repository {
    /// Finds the repository that `directory` belongs to, looking upwards as git does.
    ///
    /// The environment (`GIT_DIR` and its siblings) is not asked: the directory alone decides.
    pub fn discover(directory: &Path) -> Result<Self, RepositoryError> {
        std::env::current_dir().map_err(RepositoryError::NoWorkingDirectory)?;
        let directory = directory
            .canonicalize()
            .map_err(|source| RepositoryError::NoDirectory { directory: directory.to_owned(), source })?;
        let found = gix::ThreadSafeRepository::discover_opts(
            &directory,
            gix::discover::upwards::Options::default(),
            trust_mapping(),
        );
        let inner = found.map_err(|source| error::discovery_failure(&directory, source))?;
        Self::of(inner)
    }

    fn of(inner: gix::ThreadSafeRepository) -> Result<Self, RepositoryError> {
        let local = inner.to_thread_local();
        let common_dir = canonical(local.common_dir());
        let storage = local.config_snapshot().string("extensions.refStorage");
        if let Some(storage) = storage.filter(|storage| storage != "files") {
            return Err(RepositoryError::Unsupported {
                common_dir,
                feature: format!("`{storage}` references"),
            });
        }
        let main = local
            .main_repo()
            .map_err(|source| RepositoryError::read("main repository", &common_dir, source))?;
        let main_worktree = if main.is_bare() { None } else { main.workdir().map(canonical) };
        let current_worktree = local.workdir().filter(|path| path.is_dir()).map(canonical);
        // In a bare repository the configured absence of a worktree wins over the folder that holds `.git`.
        let is_linked = local.git_dir() != local.common_dir();
        let current_worktree =
            if is_linked { current_worktree } else { main_worktree.clone().filter(|path| path.is_dir()) };
        let top = main_worktree.clone().unwrap_or_else(|| bare_top(&common_dir));
        let name = repository_name(main_worktree.as_deref(), &common_dir);
        Ok(Self { inner, common_dir, main_worktree, current_worktree, top, name })
    }

    /// The directory that all worktrees share (`.git` of the main worktree, or the bare repository):
    /// absolute, canonical, and so the identity of the repository on this machine.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The name of the main worktree's folder. For a bare repository the folder that holds it when its own
    /// name begins with a dot (`shop/.bare` is `shop`), else its own name without `.git`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The main worktree; none for a bare repository.
    pub fn main_worktree(&self) -> Option<&Path> {
        self.main_worktree.as_deref()
    }

    /// The top of the worktree in which the repository was found; none inside a git directory.
    pub fn current_worktree(&self) -> Option<&Path> {
        self.current_worktree.as_deref()
    }

    /// The directory against which relative worktree paths such as `../{repository}.worktrees/{id}` are
    /// resolved: the main worktree; for `shop/.bare` the folder `shop`; for `shop.git` that directory itself,
    /// so that `..` is the folder beside it in every layout.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Lists the main worktree, if there is one, and then the linked ones by path.
    pub fn worktrees(&self) -> Result<Vec<Worktree>, RepositoryError> {
        let local = self.local();
        let mut worktrees = Vec::new();
        for proxy in local.worktrees().map_err(|source| self.unreadable("worktrees", source))? {
            worktrees.extend(linked_worktree(&proxy));
        }
        worktrees.sort_by(|left, right| left.path.cmp(&right.path));
        if let Some(path) = &self.main_worktree {
            let main = local.main_repo().map_err(|source| self.unreadable("main repository", source))?;
            let (branch, head) = head_of(&main);
            let git_dir = self.common_dir.clone();
            let (locked, prunable) = (None, false);
            worktrees.insert(
                0,
                Worktree { path: path.clone(), git_dir, branch, head, is_main: true, locked, prunable },
            );
        }
        Ok(worktrees)
    }

    /// Returns the worktree that holds `directory`; the innermost where one lies inside another.
    pub fn worktree_containing(&self, directory: &Path) -> Result<Option<Worktree>, RepositoryError> {
        let directory = canonical(directory);
        let worktrees = self.worktrees()?.into_iter();
        Ok(worktrees
            .filter(|worktree| directory.starts_with(&worktree.path))
            .max_by_key(|worktree| worktree.path.components().count()))
    }

    /// Returns how many processes the user wants for a checkout, if that is configured.
    pub(crate) fn checkout_workers(&self) -> Option<i64> {
        self.local().config_snapshot().integer("checkout.workers")
    }

    fn local(&self) -> gix::Repository {
        self.inner.to_thread_local()
    }

    /// Opens the repository as it is seen from one of its worktrees.
    fn open_worktree(&self, worktree: &Path) -> Result<gix::Repository, RepositoryError> {
        let options = trust_mapping().into_value_by_level(self.local().git_dir_trust());
        let opened =
            options.open(worktree).map_err(|source| RepositoryError::read("worktree", worktree, source))?;
        let opened = opened.to_thread_local();
        if canonical(opened.common_dir()) == self.common_dir {
            Ok(opened)
        } else {
            Err(RepositoryError::ForeignWorktree { path: worktree.to_owned() })
        }
    }

    fn unreadable(&self, what: &'static str, source: gix::Error) -> RepositoryError {
        RepositoryError::read(what, &self.common_dir, source)
    }
}

/// Returns the options with which repositories are opened.
fn trust_mapping() -> gix::sec::trust::Mapping<gix::open::Options> {
    #[cfg(not(test))]
    let mapping = gix::sec::trust::Mapping::default();
    // Tests must not depend on the configuration of the person who runs them.
    #[cfg(test)]
    let mapping = gix::sec::trust::Mapping {
        full: gix::open::Options::isolated(),
        reduced: gix::open::Options::isolated(),
    };
    mapping
}

fn linked_worktree(proxy: &gix::worktree::Proxy<'_>) -> Option<Worktree> {
    let path = canonical(&proxy.base().ok()?);
    let git_dir = canonical(proxy.git_dir());
    let locked = proxy.is_locked().then(|| proxy.lock_reason().unwrap_or_default().to_string());
    // Asked here because a locked worktree counts as not prunable for gix.
    let prunable = path.join(".git").symlink_metadata().is_err();
    let opened = proxy.clone().into_repo_with_possibly_inaccessible_worktree();
    let (branch, head) = opened.map_or((None, None), |repository| head_of(&repository));
    Some(Worktree { path, git_dir, branch, head, is_main: false, locked, prunable })
}

fn head_of(repository: &gix::Repository) -> (Option<String>, Option<CommitId>) {
    let Ok(mut head) = repository.head() else {
        return (None, None);
    };
    let branch = head.referent_name().and_then(|name| {
        let (category, short) = name.category_and_short_name()?;
        (category == gix::refs::Category::LocalBranch).then(|| short.to_string())
    });
    // A worktree that is being made may hold an id of zeros, which names no commit.
    let commit = head.peel_to_commit().ok().map(|commit| CommitId(commit.id));
    (branch, commit)
}

fn repository_name(main_worktree: Option<&Path>, common_dir: &Path) -> String {
    let top = bare_top(common_dir);
    let named = main_worktree.unwrap_or(&top);
    let name = named.file_name().unwrap_or(named.as_os_str()).to_string_lossy();
    match (main_worktree, name.strip_suffix(".git")) {
        (None, Some(stem)) if !stem.is_empty() => stem.to_owned(),
        _ => name.into_owned(),
    }
}

fn bare_top(common_dir: &Path) -> PathBuf {
    let is_hidden = common_dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let holder = if is_hidden { common_dir.parent() } else { None };
    holder.unwrap_or(common_dir).to_owned()
}

/// Resolves symlinks as far as the path exists; a path that is gone is returned as it is.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::test_repository::{TestRepository, git_in, write_in};
    use super::*;

    #[test]
    fn a_repository_is_found_from_a_folder_inside_and_from_its_git_directory() {
        let shop = TestRepository::new();
        shop.write("apps/web/index.ts", "");
        for directory in [shop.path.clone(), shop.path.join("apps/web"), shop.path.join(".git/refs")] {
            let repository = Repository::discover(&directory).unwrap();
            assert_eq!(repository.common_dir(), shop.path.join(".git"), "{directory:?}");
            assert_eq!(repository.main_worktree(), Some(shop.path.as_path()));
            assert_eq!(repository.top(), shop.path);
            assert_eq!(repository.name(), "shop");
        }
        assert_eq!(shop.open().current_worktree(), Some(shop.path.as_path()));
    }

    #[test]
    fn a_linked_worktree_leads_to_the_same_repository() {
        let shop = TestRepository::new();
        let linked = shop.beside("shop fix");
        shop.git(&["worktree", "add", "-q", "-b", "fix/ümläut", linked.to_str().unwrap()]);
        write_in(&linked, "deep/file", "");
        let repository = Repository::discover(&linked.join("deep")).unwrap();
        assert_eq!(repository.common_dir(), shop.path.join(".git"));
        assert_eq!(repository.main_worktree(), Some(shop.path.as_path()));
        assert_eq!(repository.current_worktree(), Some(linked.as_path()));
        assert_eq!(repository.name(), "shop");
        let found = repository.worktree_containing(&linked.join("deep")).unwrap().unwrap();
        assert_eq!(found.path, linked);
        assert_eq!(found.branch.as_deref(), Some("fix/ümläut"));
        assert_eq!(found.head, Some(repository.resolve_commit("main").unwrap()));
        assert!(!found.is_main && !found.prunable && found.locked.is_none());
    }

    #[test]
    fn a_hidden_bare_repository_is_anchored_at_the_folder_that_holds_it() {
        let shop = TestRepository::new();
        let project = shop.beside("project");
        std::fs::create_dir(&project).unwrap();
        git_in(&project, &["clone", "-q", "--bare", shop.path.to_str().unwrap(), ".bare"]);
        std::fs::write(project.join(".git"), "gitdir: ./.bare\n").unwrap();
        git_in(&project, &["worktree", "add", "-q", "main"]);
        for directory in [project.clone(), project.join(".bare"), project.join("main")] {
            let repository = Repository::discover(&directory).unwrap();
            assert_eq!(repository.common_dir(), project.join(".bare"), "{directory:?}");
            assert_eq!(repository.main_worktree(), None);
            assert_eq!(repository.top(), project);
            assert_eq!(repository.name(), "project");
            let worktrees = repository.worktrees().unwrap();
            assert_eq!(worktrees.len(), 1);
            assert_eq!(worktrees[0].branch.as_deref(), Some("main"));
        }
        assert_eq!(Repository::discover(&project).unwrap().current_worktree(), None);
    }

    #[test]
    fn a_plain_bare_repository_is_its_own_anchor() {
        let shop = TestRepository::new();
        let bare = shop.remote("store");
        let repository = Repository::discover(&bare).unwrap();
        assert_eq!(repository.name(), "store");
        assert_eq!(repository.top(), bare);
        assert_eq!(repository.main_worktree(), None);
        assert_eq!(repository.worktrees().unwrap(), []);
    }

    #[test]
    fn a_git_directory_kept_elsewhere_is_followed() {
        let shop = TestRepository::new();
        let elsewhere = shop.beside("elsewhere");
        shop.git(&["init", "-q", "--separate-git-dir", elsewhere.to_str().unwrap()]);
        let repository = shop.open();
        assert_eq!(repository.common_dir(), elsewhere);
        assert_eq!(repository.main_worktree(), Some(shop.path.as_path()));
        assert_eq!(repository.name(), "shop");
    }

    #[test]
    fn a_submodule_is_a_repository_of_its_own() {
        let shop = TestRepository::new();
        let library = TestRepository::new();
        shop.git(&["submodule", "--quiet", "add", library.path.to_str().unwrap(), "vendor/library"]);
        let checkout = shop.path.join("vendor/library");
        let repository = Repository::discover(&checkout).unwrap();
        assert_eq!(repository.common_dir(), shop.path.join(".git/modules/vendor/library"));
        assert_eq!(repository.main_worktree(), Some(checkout.as_path()));
        assert_eq!(repository.name(), "library");
    }

    #[test]
    fn a_folder_outside_every_repository_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Repository::discover(folder.path()).unwrap_err();
        assert!(matches!(error, RepositoryError::NotARepository { .. }), "{error:?}");
        let error = Repository::discover(&folder.path().join("gone")).unwrap_err();
        assert!(matches!(error, RepositoryError::NoDirectory { .. }), "{error:?}");
    }

    #[test]
    fn references_kept_as_reftable_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        git_in(folder.path(), &["init", "-q", "--ref-format=reftable", "shop"]);
        let error = Repository::discover(&folder.path().join("shop")).unwrap_err();
        assert!(matches!(error, RepositoryError::Unsupported { .. }), "{error:?}");
    }

    #[test]
    fn locked_and_vanished_worktrees_are_told_apart() {
        let shop = TestRepository::new();
        for name in ["away", "kept", "detached"] {
            shop.git(&["worktree", "add", "-q", "--detach", shop.beside(name).to_str().unwrap()]);
        }
        shop.git(&["worktree", "lock", "--reason", "on a stick", shop.beside("kept").to_str().unwrap()]);
        std::fs::remove_dir_all(shop.beside("away")).unwrap();
        let worktrees = shop.open().worktrees().unwrap();
        let names: Vec<_> = worktrees.iter().map(|worktree| worktree.path.clone()).collect();
        assert_eq!(
            names,
            [shop.path.clone(), shop.beside("away"), shop.beside("detached"), shop.beside("kept")]
        );
        assert!(worktrees[0].is_main);
        assert!(worktrees[1].prunable && worktrees[1].locked.is_none());
        assert!(worktrees[2].branch.is_none() && worktrees[2].head.is_some());
        assert_eq!(worktrees[3].locked.as_deref(), Some("on a stick"));
    }

    #[test]
    fn a_repository_without_commit_is_listed_and_has_no_base() {
        let shop = TestRepository::without_commit();
        let repository = shop.open();
        let worktrees = repository.worktrees().unwrap();
        assert_eq!((worktrees[0].branch.as_deref(), worktrees[0].head), (Some("main"), None));
        let error = repository.base(None).unwrap_err();
        assert!(matches!(error, RepositoryError::NoCommit { .. }), "{error:?}");
    }
}
