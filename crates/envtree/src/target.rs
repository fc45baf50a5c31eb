//! Decides which environment a command is about, and for `up` where its worktree comes from.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::repository::{BranchPlace, CommitId, Repository, Worktree};
use crate::session::Session;
use crate::state::State;
use crate::state::record::EnvironmentRecord;
use crate::up::UpOptions;
use crate::worktree::{Branch, WorktreeError, real_path};

/// What `up` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The task.
    pub(crate) task: String,
    /// Where the worktree comes from.
    pub(crate) origin: Origin,
}

/// Where a worktree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is there.
    Present(Worktree),
    /// It is to be made, or to be finished.
    Checkout {
        /// What it checks out.
        branch: Branch,
        /// The commit of that.
        commit: CommitId,
        /// The commit as people know it, such as `origin/main`.
        name: String,
        /// Whether the branch is made too.
        makes_branch: bool,
        /// Where, if that is decided already; else the settings say.
        path: Option<PathBuf>,
    },
}

/// Returns what `up` with these options is about. Nothing is changed.
pub(crate) fn resolve(
    session: &Session,
    state: &State,
    options: &UpOptions,
    base: Option<&str>,
) -> Result<Target, Error> {
    let worktrees = session.repository.worktrees()?;
    let resolver = Resolver { session, state, options, base, worktrees };
    match &options.task {
        None => resolver.here(),
        Some(task) => resolver.of_task(task),
    }
}

/// What a new worktree checks out.
struct Start {
    branch: Branch,
    commit: CommitId,
    /// The commit as people know it.
    name: String,
}

struct Resolver<'a> {
    session: &'a Session,
    state: &'a State,
    options: &'a UpOptions,
    base: Option<&'a str>,
    worktrees: Vec<Worktree>,
}

impl Resolver<'_> {
    /// The worktree that the person stands in.
    fn here(&self) -> Result<Target, Error> {
        let directory = self.session.directory();
        let found = self.session.repository.worktree_containing(directory)?;
        let worktree = found.ok_or_else(|| Error::NotInWorktree { directory: directory.to_owned() })?;
        let record = self.records().find(|record| record.worktree == worktree.path);
        let record = record.or_else(|| self.moved_to(&worktree));
        let task = record.map_or_else(|| self.task_of(&worktree), |record| record.task.clone());
        match (worktree.interruption(), &worktree.branch) {
            (Some(_), Some(branch)) => self.checkout(&task, branch, Some(worktree.path.clone())),
            _ => Ok(Target { task, origin: Origin::Present(worktree) }),
        }
    }

    /// Returns the task of a worktree without an environment: its branch, else the name of its folder, with a number
    /// where another environment has it.
    fn task_of(&self, worktree: &Worktree) -> String {
        let is_free = |task: &String| !self.records().any(|record| record.task == *task);
        let folder = worktree.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = (2..).map(|number: u64| format!("{folder}-{number}"));
        let mut names = worktree.branch.iter().cloned().chain([folder.clone()]).chain(numbered);
        names.find(is_free).expect("there are more numbers than environments")
    }

    /// Returns the environment whose worktree was moved here (`git worktree move`): it has the branch, and its own place
    /// is empty.
    fn moved_to(&self, worktree: &Worktree) -> Option<&EnvironmentRecord> {
        let branch = worktree.branch.as_ref()?;
        self.records().find(|record| {
            record.branch.as_ref() == Some(branch) && self.worktree_at(&record.worktree).is_none()
        })
    }

    fn of_task(&self, task: &str) -> Result<Target, Error> {
        // Not by its id: `feature-auth` is another task than `feature/auth`, whose id it would be.
        if let Some(record) = self.records().find(|record| record.task == task) {
            return self.of_record(record);
        }
        Repository::check_branch_name(task)?;
        let branch = self.options.branch.as_deref().unwrap_or(task);
        if self.options.branch.is_some() {
            Repository::check_branch_name(branch)?;
        }
        let path = self.wanted_path()?;
        let at_path = path.as_ref().and_then(|path| self.worktree_at(path));
        let having = self
            .worktrees
            .iter()
            .find(|worktree| worktree.branch.as_deref() == Some(branch) && !worktree.prunable);
        let at_path = at_path.filter(|worktree| !worktree.prunable);
        if let Some(other) = at_path.filter(|worktree| worktree.branch.as_deref() != Some(branch)) {
            return Err(
                WorktreeError::PathTaken { path: other.path.clone(), branch: other.branch.clone() }.into()
            );
        }
        let adopted = at_path.or(having);
        match adopted {
            // One whose removal was interrupted is refused when it comes to the checkout.
            Some(worktree) if worktree.interruption().is_some() => {
                self.checkout(task, branch, Some(worktree.path.clone()))
            }
            Some(worktree) => self.adopt(task, worktree, path.as_deref()),
            None => self.checkout(task, branch, path),
        }
    }

    /// Takes a worktree that somebody made, wherever it lies.
    fn adopt(&self, task: &str, worktree: &Worktree, path: Option<&Path>) -> Result<Target, Error> {
        if let Some(path) = path.filter(|path| *path != worktree.path) {
            let known = self.records().find(|record| record.worktree == worktree.path);
            return Err(match known {
                Some(record) => mismatch(&record.task, "worktree", worktree.path.display(), path.display()),
                None => WorktreeError::BranchInUse {
                    branch: worktree.branch.clone().unwrap_or_default(),
                    path: worktree.path.clone(),
                    prunable: false,
                }
                .into(),
            });
        }
        self.refuse_from(worktree.branch.as_deref().unwrap_or("HEAD"))?;
        // The worktree may belong to an environment under another task.
        let record = self.records().find(|record| record.worktree == worktree.path);
        let own = record.map_or(task, |record| record.task.as_str());
        if own != task && self.options.branch.is_some() {
            return Err(Error::WorktreeHasTask { worktree: worktree.path.clone(), task: own.to_owned() });
        }
        Ok(Target { task: own.to_owned(), origin: Origin::Present(worktree.clone()) })
    }

    /// An environment that exists: its worktree is there, or is made again.
    fn of_record(&self, record: &EnvironmentRecord) -> Result<Target, Error> {
        let task = record.task.as_str();
        let present = self.worktree_of(record).filter(|worktree| !worktree.prunable);
        let place = present.map_or(&record.worktree, |worktree| &worktree.path);
        if let Some(path) = self.wanted_path()?.filter(|path| path != place) {
            return Err(mismatch(task, "worktree", place.display(), path.display()));
        }
        let branch = present.and_then(|worktree| worktree.branch.clone()).or_else(|| record.branch.clone());
        if let (Some(wanted), Some(branch)) = (&self.options.branch, &branch)
            && wanted != branch
        {
            return Err(mismatch(task, "branch", branch, wanted));
        }
        match present {
            Some(worktree) if worktree.interruption().is_none() => {
                self.refuse_from(branch.as_deref().unwrap_or("HEAD"))?;
                Ok(Target { task: task.to_owned(), origin: Origin::Present(worktree.clone()) })
            }
            _ => self.checkout(task, branch.as_deref().unwrap_or(task), Some(place.clone())),
        }
    }

    /// Returns the worktree of an environment, at its place or where it was moved to.
    fn worktree_of(&self, record: &EnvironmentRecord) -> Option<&Worktree> {
        let is_moved = |worktree: &&Worktree| {
            !self.records().any(|other| other.worktree == worktree.path)
                && self.moved_to(worktree).is_some_and(|moved| moved.task == record.task)
        };
        self.worktree_at(&record.worktree).or_else(|| self.worktrees.iter().find(is_moved))
    }

    fn checkout(&self, task: &str, branch: &str, path: Option<PathBuf>) -> Result<Target, Error> {
        let start = self.start(branch)?;
        let makes_branch = !matches!(start.branch, Branch::Existing { .. });
        let Start { branch, commit, name } = start;
        let origin = Origin::Checkout { branch, commit, name, makes_branch, path };
        Ok(Target { task: task.to_owned(), origin })
    }

    /// Returns what a new worktree of `branch` checks out: the branch that is there, that of a remote, or a new one.
    fn start(&self, branch: &str) -> Result<Start, Error> {
        let repository = &self.session.repository;
        let name = branch.to_owned();
        match (repository.branch(branch)?, &self.options.from) {
            (BranchPlace::Local { commit }, _) => {
                // A worktree that was begun with `--from` is finished with the same words.
                if !self.worktrees.iter().any(|worktree| worktree.branch.as_deref() == Some(branch)) {
                    self.refuse_from(branch)?;
                }
                Ok(Start { branch: Branch::Existing { name: name.clone() }, commit, name })
            }
            (_, Some(from)) => {
                let commit = repository.resolve_commit(from)?;
                Ok(Start {
                    branch: Branch::starting_at(repository, branch, from)?,
                    commit,
                    name: from.clone(),
                })
            }
            (BranchPlace::Remote { reference, commit, remote }, None) => Ok(Start {
                name: format!("{remote}/{name}"),
                branch: Branch::Tracking { name, reference },
                commit,
            }),
            (BranchPlace::Ambiguous(remotes), None) => Err(Error::AmbiguousBranch { branch: name, remotes }),
            (BranchPlace::Missing, None) => {
                let base = repository.base(self.base)?;
                Ok(Start {
                    branch: Branch::New { name, from: base.commit },
                    commit: base.commit,
                    name: base.name,
                })
            }
        }
    }

    fn refuse_from(&self, branch: &str) -> Result<(), Error> {
        match &self.options.from {
            Some(from) => Err(Error::BranchExists { branch: branch.to_owned(), from: from.clone() }),
            None => Ok(()),
        }
    }

    fn records(&self) -> impl Iterator<Item = &EnvironmentRecord> {
        self.session.own_records(self.state)
    }

    fn worktree_at(&self, path: &Path) -> Option<&Worktree> {
        self.worktrees.iter().find(|worktree| worktree.path == path)
    }

    /// Returns `--path` as git would register it.
    fn wanted_path(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.options.path.as_ref().map(|path| self.session.directory().join(path));
        Ok(path.map(|path| real_path(&path)).transpose()?)
    }
}

fn mismatch(task: &str, what: &'static str, present: impl Display, wanted: impl Display) -> Error {
    Error::TaskMismatch {
        task: task.to_owned(),
        what,
        present: present.to_string(),
        wanted: wanted.to_string(),
    }
}

/// Returns the record that `name` means: by its task, else by its id.
fn find<'a>(
    records: impl Iterator<Item = &'a EnvironmentRecord>,
    name: &str,
) -> Option<&'a EnvironmentRecord> {
    let mut by_id = None;
    for record in records {
        if record.task == name {
            return Some(record);
        }
        by_id = by_id.or((record.id == *name).then_some(record));
    }
    by_id
}

impl Session {
    /// Returns the environment of `task` (or its id or branch), or of the worktree that the person stands in.
    ///
    /// One that only the Engine's labels know is taken from there.
    pub(crate) async fn record(&self, task: Option<&str>) -> Result<EnvironmentRecord, Error> {
        let state = self.read_state()?;
        if let Some(record) = self.known_record(&state, task)? {
            return Ok(record);
        }
        // An Engine that does not answer has nothing to add to the message.
        if let Ok(true) = self.rebuild_state().await {
            let state = self.read_state()?;
            if let Some(record) = self.known_record(&state, task)? {
                return Ok(record);
            }
        }
        Err(match (task, self.repository.worktree_containing(self.directory())?) {
            (Some(task), _) => Error::UnknownTask {
                task: task.to_owned(),
                known: self.own_records(&state).map(|record| record.task.clone()).collect(),
            },
            (None, Some(worktree)) => Error::NoEnvironment { worktree: worktree.path },
            (None, None) => Error::NotInWorktree { directory: self.directory().to_owned() },
        })
    }

    fn known_record(&self, state: &State, task: Option<&str>) -> Result<Option<EnvironmentRecord>, Error> {
        let records: Vec<&EnvironmentRecord> = self.own_records(state).collect();
        let Some(name) = task else {
            let worktree = self.repository.worktree_containing(self.directory())?;
            let here = worktree
                .and_then(|worktree| records.into_iter().find(|record| record.worktree == worktree.path));
            return Ok(here.cloned());
        };
        let by_branch = || records.iter().copied().find(|record| record.branch.as_deref() == Some(name));
        Ok(find(records.iter().copied(), name).or_else(by_branch).cloned())
    }
}

#[cfg(test)]
mod tests;
