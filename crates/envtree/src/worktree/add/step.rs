//! Decides what an addition has to do, from what is there.

use std::path::{Path, PathBuf};

use super::super::{WorktreeError, forget};
use super::Branch;
use crate::access::is_writable;
use crate::repository::{BranchPlace, CommitId, Interruption, Repository, Worktree};

/// What is to be done.
pub(super) enum Step {
    /// The worktree stands already.
    Nothing,
    /// Make it, of this branch.
    Make(Branch),
    /// Finish what an interrupted run began.
    Finish(Worktree),
}

/// What an entry at the wanted path allows.
enum Entry {
    /// It decides.
    Decides(Step),
    /// It was of no use and is forgotten; nothing of it had been checked out.
    Forgotten {
        /// Whether it was an interrupted run's, which may have made the branch.
        was_begun: bool,
    },
}

/// Refuses a place or a branch that is not to be had, as far as that can be seen without changing anything.
pub(super) fn check(repository: &Repository, path: &Path, branch: &Branch) -> Result<(), WorktreeError> {
    let worktrees = repository.worktrees()?;
    refuse_elsewhere(&worktrees, path, branch)?;
    match worktrees.into_iter().find(|worktree| worktree.path == path) {
        // What an interrupted run left there is judged by the next one.
        Some(worktree) if worktree.prunable || worktree.interruption().is_some() => return Ok(()),
        Some(worktree) if has(&worktree, branch) => return Ok(()),
        Some(Worktree { path, branch, .. }) => return Err(WorktreeError::PathTaken { path, branch }),
        None => {}
    }
    refuse_occupied(path)?;
    refuse_unmakeable(repository, path)?;
    makeable(repository, branch, true).map(drop)
}

/// Looks at what is there, and clears what an interrupted run left too early to be of use.
pub(super) fn plan(repository: &Repository, path: &Path, branch: &Branch) -> Result<Step, WorktreeError> {
    let worktrees = repository.worktrees()?;
    refuse_elsewhere(&worktrees, path, branch)?;
    let mut was_begun_here = false;
    if let Some(worktree) = worktrees.into_iter().find(|worktree| worktree.path == path) {
        match judge(repository, worktree, branch)? {
            Entry::Decides(step) => return Ok(step),
            Entry::Forgotten { was_begun } => was_begun_here = was_begun,
        }
    }
    refuse_occupied(path)?;
    makeable(repository, branch, was_begun_here).map(Step::Make)
}

fn refuse_elsewhere(worktrees: &[Worktree], path: &Path, branch: &Branch) -> Result<(), WorktreeError> {
    let elsewhere = worktrees.iter().find(|worktree| has(worktree, branch) && worktree.path != path);
    elsewhere.map_or(Ok(()), |other| {
        Err(WorktreeError::BranchInUse {
            branch: branch.name().to_owned(),
            path: other.path.clone(),
            prunable: other.prunable,
        })
    })
}

fn has(worktree: &Worktree, branch: &Branch) -> bool {
    worktree.branch.as_deref() == Some(branch.name())
}

/// Judges the entry that is registered at the wanted path.
fn judge(repository: &Repository, worktree: Worktree, branch: &Branch) -> Result<Entry, WorktreeError> {
    let is_same = has(&worktree, branch);
    match (worktree.interruption(), worktree.prunable) {
        (Some(Interruption::Removal), _) => Err(WorktreeError::RemovalUnfinished { path: worktree.path }),
        (Some(Interruption::Checkout), false) if worktree.head.is_some() && is_same => {
            Ok(Entry::Decides(Step::Finish(worktree)))
        }
        (Some(Interruption::Checkout), prunable) if prunable || worktree.head.is_none() => {
            // Killed before `HEAD` was written: there can be nothing but the link in the folder.
            let _ = std::fs::remove_file(worktree.path.join(".git"));
            forget(repository, &worktree)?;
            Ok(Entry::Forgotten { was_begun: true })
        }
        (None, true) if worktree.locked.is_none() => {
            forget(repository, &worktree)?;
            Ok(Entry::Forgotten { was_begun: false })
        }
        (None, true) => {
            Err(WorktreeError::Locked { path: worktree.path, reason: worktree.locked.unwrap_or_default() })
        }
        (None, false) if is_same => Ok(Entry::Decides(Step::Nothing)),
        (_, _) => Err(WorktreeError::PathTaken { path: worktree.path, branch: worktree.branch }),
    }
}

fn refuse_occupied(path: &Path) -> Result<(), WorktreeError> {
    let is_occupied = match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.symlink_metadata().is_ok(),
    };
    if is_occupied { Err(WorktreeError::PathOccupied { path: path.to_owned() }) } else { Ok(()) }
}

/// Refuses a folder that this user cannot make, and a repository that this user cannot change.
pub(crate) fn refuse_unmakeable(repository: &Repository, path: &Path) -> Result<(), WorktreeError> {
    let refused =
        |at: &Path, rule| WorktreeError::Unmakeable { path: path.to_owned(), at: at.to_owned(), rule };
    let above = path.ancestors().skip(1).find(|folder| folder.symlink_metadata().is_ok());
    if let Some(file) = above.filter(|above| !above.is_dir()) {
        return Err(refused(file, "is not a folder"));
    }
    let common = repository.common_dir();
    let own = [common.to_owned(), common.join("worktrees"), common.join("refs/heads")];
    // With reftable, `refs/heads` is a file.
    let folders = own.iter().map(PathBuf::as_path).filter(|folder| folder.is_dir());
    match above.into_iter().chain(folders).find(|folder| !is_writable(folder)) {
        Some(folder) => Err(refused(folder, "is not writable for this user")),
        None => Ok(()),
    }
}

/// Returns the branch as it can be checked out now: one that was to be made, and that an interrupted run made
/// and left where it began, is an existing one.
fn makeable(repository: &Repository, branch: &Branch, was_begun: bool) -> Result<Branch, WorktreeError> {
    if matches!(branch, Branch::Existing { .. }) {
        return Ok(branch.clone());
    }
    let name = branch.name();
    if let Some(existing) = repository.branch_in_the_way(name)? {
        return Err(WorktreeError::BranchInTheWay { branch: name.to_owned(), existing });
    }
    match repository.branch(name)? {
        BranchPlace::Local { commit } if was_begun && commit == start_of(repository, branch)? => {
            Ok(Branch::Existing { name: name.to_owned() })
        }
        BranchPlace::Local { .. } => Err(WorktreeError::BranchExists { branch: name.to_owned() }),
        _ => Ok(branch.clone()),
    }
}

/// Returns the commit on which `branch` begins, or on which it is.
pub(super) fn start_of(repository: &Repository, branch: &Branch) -> Result<CommitId, WorktreeError> {
    Ok(match branch {
        Branch::New { from, .. } => *from,
        Branch::Tracking { reference, .. } => repository.resolve_commit(reference)?,
        Branch::Existing { name } => repository.resolve_commit(&format!("refs/heads/{name}"))?,
    })
}
