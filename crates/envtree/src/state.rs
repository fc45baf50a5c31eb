//! The state directory: what this machine knows about environments and Engine labels cannot hold.
//!
//! Everything in it belongs to its owner alone. Every file is replaced whole, under a lock shared by all repositories,
//! and every one can be lost: reservations and records are rebuilt from labels, trust is asked for again.

mod document;
pub(crate) mod file;
pub mod identity;
mod lock;
mod look;
pub mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use envtree_core::name::ProjectName;
use envtree_core::shared::is_shared_project;
use envtree_core::subnet::Subnet;
use etcetera::BaseStrategy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::{UnfinishedImport, UnmadeData};

pub use document::{Damage, Loaded, Notice};
pub use file::FileError;
pub use lock::{Holder, Lock, LockError, LockOptions, OnWait};
pub use record::EnvironmentRecord;

pub(crate) use document::{Document, load, update};
pub(crate) use file::create_private_directory;

/// Why the state directory or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither a variable nor the system names a home directory.
    #[error("cannot tell where state is kept: neither `ENVTREE_STATE_DIR` nor `HOME` is set")]
    NoHome,
    /// The home directory depends on where one stands.
    #[error("cannot tell where state is kept: the home directory `{home}` is not absolute")]
    RelativeHome {
        /// What `HOME` says.
        home: PathBuf,
    },
    /// The directory cannot be created or examined.
    #[error("cannot create the state directory `{path}`")]
    Create {
        /// The directory.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
    /// Another user owns the directory and could replace what is in it.
    #[error("the state directory `{path}` belongs to user {owner}, and this process runs as user {user}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Other users can write to the directory.
    #[error("the state directory `{path}` is writable by other users (mode {mode:o})")]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The lock was not obtained.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A value has no place in JSON: a path that is not UTF-8.
    #[error("cannot write `{path}`")]
    Encode {
        /// The file that keeps its old content.
        path: PathBuf,
        /// What could not be written.
        source: serde_json::Error,
    },
}

/// The directory where this machine's state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirectory {
    path: PathBuf,
    /// The folders that were made for it when it was opened, the deepest first.
    created: Vec<PathBuf>,
    /// Whether what cannot be understood stays where it is.
    is_left_alone: bool,
}

impl StateDirectory {
    /// Returns the place of the directory, which need not exist.
    ///
    /// `$ENVTREE_STATE_DIR`, else `$XDG_STATE_HOME/envtree`, else the platform's place for state. `variable` looks an
    /// environment variable up; an empty one counts as missing.
    pub fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StateError> {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set("ENVTREE_STATE_DIR") {
            return std::path::absolute(&path).map_err(|source| StateError::Create { path, source });
        }
        // The XDG specification has relative paths ignored.
        if let Some(path) = set("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
            return Ok(path.join("envtree"));
        }
        let platform = etcetera::choose_base_strategy().map_err(|_| StateError::NoHome)?;
        if !platform.home_dir().is_absolute() {
            return Err(StateError::RelativeHome { home: platform.home_dir().to_owned() });
        }
        Ok(platform.state_dir().unwrap_or_else(|| platform.data_dir()).join("envtree"))
    }

    /// Opens the directory at `path`; creates it, for its owner alone, where it is missing.
    ///
    /// Others lose the right to read it. A directory of another user, or one that others can write to, is refused.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        let is_missing = |folder: &&Path| folder.symlink_metadata().is_err();
        let created = path.ancestors().take_while(is_missing).map(Path::to_owned).collect();
        let failed = |source| StateError::Create { path: path.clone(), source };
        create_private_directory(&path).map_err(|error| match error {
            FileError::Write { source, .. } => failed(source),
            other => StateError::File(other),
        })?;
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        look::refuse_others(&path, &metadata)?;
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(Self { path, created, is_left_alone: false })
    }

    /// Removes the folders that opening made, as long as they are empty: for a command that must leave nothing.
    pub(crate) fn undo(&self) {
        for folder in &self.created {
            // It fails once anything is in it, which is wanted.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the state as it is now, without waiting for anybody.
    ///
    /// It may have changed when the caller acts on it: whoever reserves something does so in [`Self::update`].
    pub fn read(&self) -> Result<Loaded<State>, StateError> {
        load(self)
    }

    /// Changes the state while no other process can.
    ///
    /// Nothing is written if `change` returns an error or changes nothing. `change` should be quick: every envtree
    /// command of this user waits for it.
    pub async fn update<T, E: From<StateError>>(
        &self,
        options: &LockOptions<'_>,
        change: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<Loaded<T>, E> {
        update(self, options, change).await
    }

    /// Waits for the lock that a command holds while it works on `project`.
    ///
    /// It is taken before the lock of the state, never while that is held.
    pub async fn lock_project(&self, project: &str, options: &LockOptions<'_>) -> Result<Lock, LockError> {
        Lock::acquire(&self.project_lock(project)?, options).await
    }

    /// Waits until no command works on `project` alone; others that do no more may share the lock.
    pub(crate) async fn share_project(
        &self,
        project: &str,
        options: &LockOptions<'_>,
    ) -> Result<Lock, LockError> {
        Lock::share(&self.project_lock(project)?, options).await
    }

    /// Takes the same lock if no command works on `project`.
    pub(crate) fn try_lock_project(&self, project: &str, command: &str) -> Result<Option<Lock>, LockError> {
        Lock::try_acquire(&self.project_lock(project)?, command)
    }

    /// Returns whether a command works on `project`, alone or with others; nothing is written.
    pub(crate) fn is_project_held(&self, project: &str) -> bool {
        self.project_lock_path(project).is_some_and(|path| Lock::is_held(&path))
    }

    fn project_lock_path(&self, project: &str) -> Option<PathBuf> {
        let valid = ProjectName::new(project).ok()?;
        Some(self.path.join("locks").join(format!("{valid}.lock")))
    }

    fn project_lock(&self, project: &str) -> Result<PathBuf, LockError> {
        let path = self.project_lock_path(project);
        let path = path.ok_or_else(|| LockError::Name { project: project.to_owned() })?;
        create_private_directory(&self.path.join("locks"))?;
        Ok(path)
    }

    /// Removes the lock files of projects that no record names, unless somebody holds one.
    ///
    /// Commands that waited for an environment while it was removed leave such files, and so do killed ones.
    pub(crate) fn sweep_locks(&self, state: &State) {
        let entries = fs::read_dir(self.path.join("locks")).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let project = path
                .file_stem()
                .and_then(OsStr::to_str)
                .filter(|_| path.extension() == Some("lock".as_ref()));
            if project.is_some_and(|project| state.by_project(project).is_none())
                && let Ok(Some(lock)) = Lock::try_acquire(&path, "envtree")
            {
                // A file that stays does no harm, and is tried again by the next command that removes something.
                let _ = lock.retire();
            }
        }
    }

    pub(crate) async fn lock_state(&self, options: &LockOptions<'_>) -> Result<Lock, LockError> {
        Lock::acquire(&self.state_lock(), options).await
    }

    pub(crate) fn try_lock_state(&self) -> Result<Option<Lock>, LockError> {
        Lock::try_acquire(&self.state_lock(), "envtree")
    }

    fn state_lock(&self) -> PathBuf {
        self.path.join("state.lock")
    }
}

/// What is known about the environments of every repository of this user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// One record per environment, the oldest first.
    #[serde(default)]
    pub environments: Vec<EnvironmentRecord>,
    /// One record for each repository whose environments share services: that of the project which holds these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<EnvironmentRecord>,
    /// Bases that could not be made, by key with the service that kept them from it, and Engines on which none can, the oldest
    /// finding first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unprepared: Vec<String>,
    /// The Engines that were tried, and why they mount no overlays for volumes; absent for one that does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overlays: BTreeMap<String, Option<String>>,
    /// When bases were last used, by their Compose projects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) used: BTreeMap<String, Timestamp>,
    /// Imports of data that were begun and are not complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) imports: Vec<UnfinishedImport>,
    /// Projects in which data was begun that may not be complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmade: Vec<UnmadeData>,
    /// What a newer program of the same version wrote, kept as it is.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Document for State {
    const FILE: &'static str = "environments.json";
    const VERSION: u64 = 1;
}

impl State {
    /// Returns the version of its format.
    pub(crate) fn version() -> u64 {
        <Self as Document>::VERSION
    }

    /// Returns the environment of `task` in the repository with this id.
    pub fn environment(&self, repository: &str, task: &str) -> Option<&EnvironmentRecord> {
        self.environments.iter().find(|record| record.repository.id == repository && record.task == task)
    }

    /// Returns the environments of the repository with this id.
    pub fn of_repository<'a>(&'a self, repository: &'a str) -> impl Iterator<Item = &'a EnvironmentRecord> {
        self.environments.iter().filter(move |record| record.repository.id == repository)
    }

    /// Returns what the environments of the repository with this id share.
    pub fn shared_of(&self, repository: &str) -> Option<&EnvironmentRecord> {
        self.shared.iter().find(|record| record.repository.id == repository)
    }

    /// Returns the environment with this project name, or what the environments of a repository share under it.
    pub fn by_project(&self, project: &str) -> Option<&EnvironmentRecord> {
        self.records().find(|record| record.project == *project)
    }

    /// Returns the record of a project, to be changed.
    pub(crate) fn by_project_mut(&mut self, project: &str) -> Option<&mut EnvironmentRecord> {
        self.environments.iter_mut().chain(&mut self.shared).find(|record| record.project == *project)
    }

    fn records(&self) -> impl Iterator<Item = &EnvironmentRecord> {
        self.environments.iter().chain(&self.shared)
    }

    /// Returns the environment whose worktree `path` lies in.
    pub fn by_worktree(&self, path: &Path) -> Option<&EnvironmentRecord> {
        self.environments
            .iter()
            .filter(|record| path.starts_with(&record.worktree))
            .max_by_key(|record| record.worktree.components().count())
    }

    /// Adds `record`, in the place of the one with the same project if there is one.
    pub fn put(&mut self, record: EnvironmentRecord) {
        let records =
            if is_shared_project(&record.project) { &mut self.shared } else { &mut self.environments };
        match records.iter_mut().find(|old| old.project == record.project) {
            Some(old) => *old = record,
            None => records.push(record),
        }
    }

    /// Takes out the record of `project`, and with it everything it reserves.
    pub fn remove(&mut self, project: &str) -> Option<EnvironmentRecord> {
        let records = if is_shared_project(project) { &mut self.shared } else { &mut self.environments };
        let index = records.iter().position(|record| record.project == *project)?;
        Some(records.remove(index))
    }

    /// Returns every host port that an environment other than `project` reserves.
    pub fn ports_of_others(&self, project: &str) -> BTreeSet<u16> {
        self.others(project).flat_map(|record| record.ports.iter().map(|port| port.published)).collect()
    }

    /// Returns every subnet that an environment other than `project` reserves.
    pub fn subnets_of_others(&self, project: &str) -> Vec<Subnet> {
        self.others(project)
            .flat_map(|record| record.subnets.iter().map(|reservation| reservation.subnet))
            .collect()
    }

    fn others<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a EnvironmentRecord> {
        self.records().filter(move |record| record.project != *project)
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::record::tests::record;
    use super::*;

    const OPTIONS: LockOptions<'_> = LockOptions {
        command: "envtree up x",
        timeout: std::time::Duration::from_secs(20),
        on_wait: &|_| {},
    };

    fn temporary() -> (tempfile::TempDir, StateDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(parent.path().join("a/envtree")).unwrap();
        (parent, directory)
    }

    async fn add(directory: &StateDirectory, task: &str) -> Loaded<()> {
        directory
            .update(&OPTIONS, |state| {
                state.put(record("/src/shop/.git", "shop", task, task));
                Ok::<_, StateError>(())
            })
            .await
            .unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_variables_decide_where_state_is_kept() {
        let with = |pairs: &'static [(&str, &str)]| {
            StateDirectory::locate(move |name| {
                pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.into())
            })
            .unwrap()
        };
        assert_eq!(with(&[("ENVTREE_STATE_DIR", "/x"), ("XDG_STATE_HOME", "/y")]), Path::new("/x"));
        assert_eq!(with(&[("ENVTREE_STATE_DIR", ""), ("XDG_STATE_HOME", "/y")]), Path::new("/y/envtree"));
        assert!(with(&[("ENVTREE_STATE_DIR", "x")]).is_absolute());
        assert!(with(&[("XDG_STATE_HOME", "relative")]).ends_with("envtree"));
    }

    #[tokio::test]
    async fn everything_belongs_to_its_owner_alone() {
        let (_parent, directory) = temporary();
        add(&directory, "x").await;
        drop(directory.lock_project("shop-x", &OPTIONS).await.unwrap());
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(mode(&directory.path().join("locks")), 0o700);
        assert_eq!(mode(&directory.path().join("environments.json")), 0o600);
        assert_eq!(mode(&directory.path().join("state.lock")), 0o600);
        assert_eq!(mode(&directory.path().join("locks/shop-x.lock")), 0o600);
    }

    #[test]
    fn a_readable_directory_is_closed_and_a_writable_one_refused() {
        let parent = tempfile::tempdir().unwrap();
        let chmod = |mode| fs::set_permissions(parent.path(), fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o755);
        StateDirectory::open(parent.path()).unwrap();
        assert_eq!(mode(parent.path()), 0o700);
        chmod(0o1777);
        let error = StateDirectory::open(parent.path()).unwrap_err();
        assert!(error.to_string().ends_with("(mode 1777)"), "{error}");
    }

    #[tokio::test]
    async fn what_opening_made_is_undone_unless_it_is_used() {
        let parent = tempfile::tempdir().unwrap();
        let at = parent.path().join("a/b/envtree");
        StateDirectory::open(&at).unwrap().undo();
        assert!(!parent.path().join("a").exists());
        let used = StateDirectory::open(&at).unwrap();
        add(&used, "x").await;
        used.undo();
        StateDirectory::open(&at).unwrap().undo();
        assert_eq!(used.read().unwrap().value.environments.len(), 1);
    }

    #[tokio::test]
    async fn a_lock_is_swept_once_no_record_names_it_and_nobody_holds_it() {
        let (_parent, directory) = temporary();
        add(&directory, "x").await;
        let project = directory.read().unwrap().value.environments[0].project.to_string();
        for unused in [&project, "shop-gone"] {
            drop(directory.lock_project(unused, &OPTIONS).await.unwrap());
        }
        let held = directory.lock_project("shop-held", &OPTIONS).await.unwrap();
        let locks = || {
            let files =
                fs::read_dir(directory.path().join("locks")).unwrap().map(|file| file.unwrap().file_name());
            files.map(|name| name.into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let sweep = || directory.sweep_locks(&directory.read().unwrap().value);
        sweep();
        assert_eq!(locks(), [format!("{project}.lock"), "shop-held.lock".to_owned()].into());
        drop(held);
        sweep();
        assert_eq!(locks(), [format!("{project}.lock")].into());
    }

    #[tokio::test]
    async fn a_stored_record_is_read_back() {
        let (_parent, directory) = temporary();
        assert_eq!(directory.read().unwrap().value, State::default());
        add(&directory, "x").await;
        let state = directory.read().unwrap().value;
        assert_eq!(state.environments, [record("/src/shop/.git", "shop", "x", "x")]);
        assert!(state.by_worktree(Path::new("/worktrees/shop/x/src")).is_some());
        assert!(state.by_worktree(Path::new("/worktrees/shop/xy")).is_none());
    }

    #[tokio::test]
    async fn a_refused_change_and_an_empty_one_write_nothing() {
        let (_parent, directory) = temporary();
        let refused = directory
            .update(&OPTIONS, |state| {
                state.put(record("/src/shop/.git", "shop", "x", "x"));
                Err::<(), _>(StateError::NoHome)
            })
            .await;
        assert!(matches!(refused, Err(StateError::NoHome)));
        directory.update(&OPTIONS, |_| Ok::<_, StateError>(())).await.unwrap();
        assert!(!directory.path().join("environments.json").exists());
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_set_aside_and_reported() {
        for (content, newer) in [
            ("", false),
            ("{\"version\": 1, \"environments\": [{", false),
            ("[]", false),
            ("{\"version\": 0}", false),
            ("{\"version\": 1, \"environments\": 3}", false),
            ("{\"version\": 2, \"things\": []}", true),
        ] {
            let (_parent, directory) = temporary();
            let path = directory.path().join("environments.json");
            fs::write(&path, content).unwrap();
            let loaded = add(&directory, "x").await;
            let [Notice::SetAside { kept_as: Some(kept), damage, .. }] = &loaded.notices[..] else {
                panic!("{content}: {loaded:?}");
            };
            assert_eq!(matches!(damage, Damage::Newer { .. }), newer, "{content}");
            assert_eq!(fs::read_to_string(kept).unwrap(), content);
            assert_eq!(directory.read().unwrap().value.environments.len(), 1, "{content}");
        }
    }

    #[tokio::test]
    async fn a_reader_leaves_a_broken_file_to_the_process_that_holds_the_lock() {
        let (_parent, directory) = temporary();
        let path = directory.path().join("environments.json");
        fs::write(&path, "{").unwrap();
        let lock = directory.lock_state(&OPTIONS).await.unwrap();
        let loaded = directory.read().unwrap();
        assert!(matches!(loaded.notices[..], [Notice::SetAside { kept_as: None, .. }]));
        assert!(path.exists());
        drop(lock);
        directory.read().unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_top_level_key_of_a_newer_program_survives() {
        let (_parent, directory) = temporary();
        let path = directory.path().join("environments.json");
        fs::write(&path, r#"{"version": 1, "environments": [], "bases": {"a": 1}}"#).unwrap();
        add(&directory, "x").await;
        let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(value["bases"]["a"], 1);
        assert_eq!(value["version"], 1);
    }

    #[test]
    fn no_change_is_lost_among_threads() {
        let (_parent, directory) = temporary();
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let directory = directory.clone();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    for round in 0..5 {
                        runtime.block_on(add(&directory, &format!("t{thread}-{round}")));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(directory.read().unwrap().value.environments.len(), 20);
    }

    #[tokio::test]
    async fn a_project_name_cannot_lead_out_of_the_locks() {
        let (_parent, directory) = temporary();
        for name in ["../x", "", "a/b"] {
            let error = directory.lock_project(name, &OPTIONS).await.unwrap_err();
            assert!(matches!(error, LockError::Name { .. }), "{error}");
        }
    }
}
