//! Puts the mounts together, and orders them so that each comes after those that it lies in.

use super::{
    BindMount, Preparation, Protection, RefFormat, Repository, SYSTEM_CONFIG, Submodule, ViewError,
    ViewOptions,
};
use crate::devcontainer::path::{joined, lies_in};

/// What the container may write to in a common git directory under [`Protection::Strict`], if it is there.
const WRITABLE: [&str; 4] = ["objects", "lfs", "rr-cache", SHARED];
/// The folder to which `packed-refs` is moved, behind a symlink, where the person agreed to that.
const SHARED: &str = "shared";
/// What the container may write to in the git directory of a submodule.
const WRITABLE_OF_SUBMODULE: [&str; 3] = ["objects", "refs", "logs"];
/// What of a worktree's own folder leads elsewhere.
const POINTERS: [&str; 2] = ["commondir", "gitdir"];
const CONFIG_WORKTREE: &str = "config.worktree";
/// What names further folders of objects; all else that git keeps beside it can be computed again.
const OBJECTS_INFO: &str = "objects/info";

/// A mount, and the path of the host that it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) mount: BindMount,
    /// The path that would be seen without it; nothing for a file of envtree's own.
    pub(super) covers: Option<String>,
}

/// What was put together.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) mounts: Vec<Planned>,
    pub(super) preparations: Vec<Preparation>,
}

pub(super) struct Builder<'a> {
    repository: &'a Repository,
    options: &'a ViewOptions,
    /// Where the worktree lies in the container.
    worktrees: Vec<String>,
    /// Where the common git directory lies in the container.
    common_dirs: Vec<String>,
    built: Built,
}

impl<'a> Builder<'a> {
    pub(super) fn new(repository: &'a Repository, options: &'a ViewOptions) -> Self {
        let mut worktrees = vec![repository.worktree.clone()];
        worktrees.extend(options.alias.iter().filter(|alias| **alias != repository.worktree).cloned());
        let common_dirs = common_dirs(repository, &worktrees);
        Self { repository, options, worktrees, common_dirs, built: Built::default() }
    }

    pub(super) fn build(mut self) -> Result<Built, Vec<ViewError>> {
        let repository = self.repository;
        let is_linked = repository.admin_dir.is_some();
        self.show(&repository.worktree, false);
        match self.options.protection {
            Protection::Strict if !is_linked => {
                return Err(vec![ViewError::NotLinked(repository.worktree.clone())]);
            }
            Protection::Strict => self.strict(),
            Protection::Guarded => self.guarded(),
            Protection::ReadOnly => self.read_only(),
            Protection::Off => return Ok(self.built),
        }
        if repository.git_file.is_some() {
            self.show(&format!("{}/.git", repository.worktree), true);
        }
        self.add_alternates();
        self.add_system_config();
        Ok(self.finish())
    }

    fn strict(&mut self) {
        let common_dir = &self.repository.common_dir;
        self.show(common_dir, true);
        let refs = match self.repository.ref_format {
            RefFormat::Files => "refs",
            RefFormat::Reftable => "reftable",
        };
        if self.repository.ref_format == RefFormat::Files {
            // The first change of a branch makes it, and fails where it cannot.
            self.prepare_folder("logs");
            self.show(&format!("{common_dir}/logs"), false);
        }
        for name in WRITABLE.into_iter().chain([refs]) {
            if self.repository.entries.contains(name) {
                self.show(&format!("{common_dir}/{name}"), false);
            }
        }
        // Without the folder the container could make it, and name folders of objects there.
        self.prepare_folder(OBJECTS_INFO);
        self.show(&format!("{common_dir}/{OBJECTS_INFO}"), true);
        self.add_hooks();
        self.add_admin_dir();
        self.add_submodules();
    }

    fn guarded(&mut self) {
        let common_dir = &self.repository.common_dir;
        self.show(common_dir, false);
        // The submodules that are there are the main worktree's; a linked one has its own.
        let is_linked = self.repository.admin_dir.is_some();
        let kept: &[&str] = if is_linked { &["config", "modules"] } else { &["config", "worktrees"] };
        for name in kept.iter().filter(|name| self.repository.entries.contains(**name)) {
            self.show(&format!("{common_dir}/{name}"), true);
        }
        if is_linked {
            self.show(&format!("{common_dir}/worktrees"), true);
        }
        self.add_empty_file(&format!("{common_dir}/{CONFIG_WORKTREE}"));
        self.add_hooks();
        self.add_admin_dir();
        self.add_submodules();
    }

    fn read_only(&mut self) {
        self.show(&self.repository.common_dir, true);
        for submodule in &self.repository.submodules {
            self.keep(&submodule.git_dir);
            if submodule.is_separate() {
                self.keep(&submodule.git_file());
            }
        }
    }

    /// Adds the worktree's own folder, without what leads elsewhere or can become configuration.
    fn add_admin_dir(&mut self) {
        let Some(admin_dir) = &self.repository.admin_dir else { return };
        self.show(admin_dir, false);
        for pointer in POINTERS {
            self.show(&format!("{admin_dir}/{pointer}"), true);
        }
        // It counts as soon as somebody turns `extensions.worktreeConfig` on, so it must not be the container's.
        self.add_empty_file(&format!("{admin_dir}/{CONFIG_WORKTREE}"));
    }

    fn add_submodules(&mut self) {
        if self.options.writable_submodules {
            return;
        }
        for submodule in &self.repository.submodules {
            let Submodule { git_dir, entries, .. } = submodule;
            self.keep(git_dir);
            for name in WRITABLE_OF_SUBMODULE.into_iter().filter(|name| entries.contains(*name)) {
                self.show(&format!("{git_dir}/{name}"), false);
            }
            if entries.contains("objects") {
                let info = format!("{git_dir}/{OBJECTS_INFO}");
                self.built.preparations.push(Preparation::Folder(info.clone()));
                self.show(&info, true);
            }
            if submodule.is_separate() {
                self.keep(&submodule.git_file());
            }
        }
    }

    /// Shows a path read-only, and keeps the folders that lead to it in their places.
    ///
    /// A mount moves along with the folder that it lies in, and another file could then be made where it was. A folder
    /// that is a mount itself cannot be moved.
    fn keep(&mut self, path: &str) {
        self.show(path, true);
        let Some(root) = self.writable_root(path) else { return };
        let mut rest = path;
        while let Some((folder, _)) = rest.rsplit_once('/').filter(|(folder, _)| folder.len() > root.len()) {
            let is_in_git_dir = |submodule: &Submodule| lies_in(folder, &submodule.git_dir);
            if !self.repository.submodules.iter().any(is_in_git_dir) {
                self.show(folder, false);
            }
            rest = folder;
        }
    }

    /// Returns the folder that the container may write to and that `path` lies in.
    fn writable_root(&self, path: &str) -> Option<&'a str> {
        let repository = self.repository;
        let git_dir = match (&repository.admin_dir, self.options.protection) {
            (_, Protection::ReadOnly | Protection::Off) => None,
            (None, _) => Some(&repository.common_dir),
            (admin_dir, _) => admin_dir.as_ref(),
        };
        let roots = git_dir.into_iter().chain([&repository.worktree]).map(String::as_str);
        roots.filter(|root| lies_in(path, root)).max_by_key(|root| root.len())
    }

    fn add_hooks(&mut self) {
        let Some(own) = &self.options.hooks else { return };
        self.prepare_folder("hooks");
        let covered = format!("{}/hooks", self.repository.common_dir);
        self.cover(&covered, own, false);
    }

    /// Adds the folders of objects that are not seen anyway.
    fn add_alternates(&mut self) {
        let (common_dir, worktree) = (&self.repository.common_dir, &self.repository.worktree);
        let is_seen = |path: &&String| lies_in(path, common_dir) || lies_in(path, worktree);
        for path in self.repository.alternates.iter().filter(|path| !is_seen(path)) {
            self.add(path.clone(), path.clone(), true, Some(path.clone()));
        }
    }

    fn add_system_config(&mut self) {
        if let Some(file) = &self.options.system_config {
            self.add(file.clone(), SYSTEM_CONFIG.to_owned(), true, None);
        }
    }

    fn prepare_folder(&mut self, name: &str) {
        let path = format!("{}/{name}", self.repository.common_dir);
        self.built.preparations.push(Preparation::Folder(path));
    }

    fn add_empty_file(&mut self, path: &str) {
        self.built.preparations.push(Preparation::EmptyFile(path.to_owned()));
        self.show(path, true);
    }

    /// Shows a path of the host wherever it lies in the container.
    fn show(&mut self, path: &str, read_only: bool) {
        self.cover(path, path, read_only);
    }

    /// Shows `source` wherever `path` lies in the container.
    fn cover(&mut self, path: &str, source: &str, read_only: bool) {
        for target in self.views(path) {
            self.add(source.to_owned(), target, read_only, Some(path.to_owned()));
        }
    }

    fn add(&mut self, source: String, target: String, read_only: bool, covers: Option<String>) {
        let mount = BindMount { source, target, read_only };
        self.built.mounts.push(Planned { mount, covers });
    }

    /// Returns where a path of the worktree or of the common git directory lies in the container.
    fn views(&self, path: &str) -> Vec<String> {
        let (worktree, common_dir) = (&self.repository.worktree, &self.repository.common_dir);
        let roots = [(worktree, &self.worktrees), (common_dir, &self.common_dirs)];
        let within = roots.into_iter().filter(|(root, _)| lies_in(path, root));
        let Some((root, targets)) = within.max_by_key(|(root, _)| root.len()) else { return Vec::new() };
        targets.iter().map(|target| format!("{target}{}", &path[root.len()..])).collect()
    }

    fn finish(mut self) -> Built {
        self.built
            .mounts
            .sort_by(|one, other| one.mount.target.split('/').cmp(other.mount.target.split('/')));
        self.built.mounts.dedup();
        self.built.preparations.sort();
        self.built.preparations.dedup();
        self.built
    }
}

/// Returns where the common git directory lies in the container: at its own path, and wherever `.git` leads from.
fn common_dirs(repository: &Repository, worktrees: &[String]) -> Vec<String> {
    let mut found = vec![repository.common_dir.clone()];
    for worktree in worktrees {
        let seen = match (&repository.git_file, &repository.admin_dir) {
            (Some(path), Some(_)) => joined(worktree, path).and_then(|path| joined(&path, "../..")),
            (Some(path), None) => joined(worktree, path),
            (None, _) => repository
                .common_dir
                .strip_prefix(&repository.worktree)
                .and_then(|below| joined(worktree, below.trim_start_matches('/'))),
        };
        found.extend(seen.filter(|path| !found.contains(path)));
    }
    found
}
