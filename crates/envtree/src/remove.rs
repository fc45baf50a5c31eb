//! `rm`: remove all that belongs to an environment, and say first what would be lost.

use std::path::{Path, PathBuf};

use envtree_core::branch::is_part;
use envtree_core::plan::{Operation, Plan};
use envtree_core::teardown::{RemovalOptions, plan_removal};

use crate::env_file::remove_block;
use crate::error::{Error, Failure, causes};
use crate::event::Event;
use crate::hooks::HookKey;
use crate::load::load_settings;
use crate::repository::{BranchPlace, CommitId, Repository, RepositoryError, UnsavedWork, Worktree};
use crate::secret::remove_secret;
use crate::session::Session;
use crate::state::Lock;
use crate::state::record::EnvironmentRecord;
use crate::worktree;

/// How many uncommitted files are named before the rest is counted.
const SHOWN: usize = 10;

/// Choices of `rm`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// The tasks.
    pub tasks: Vec<String>,
    /// Whether uncommitted, unpushed and unmerged work is thrown away.
    pub force: bool,
    /// Whether the branch stays although it is merged.
    pub keep_branch: bool,
}

/// What was removed for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveReport {
    /// The task.
    pub task: String,
    /// The Compose project.
    pub project: String,
    /// The Engine objects, as a plan shows their removal.
    pub done: Vec<String>,
    /// The worktree, if it was removed; a main or adopted one stays.
    pub worktree: Option<PathBuf>,
    /// The worktree that stays and why: it is the main one, or envtree did not make it.
    pub worktree_kept: Option<(PathBuf, String)>,
    /// The branch, if it was deleted.
    pub branch_deleted: Option<String>,
    /// The branch that stays and why, such as `not merged`.
    pub branch_kept: Option<(String, String)>,
}

impl Session {
    /// Removes environments, once none of them holds work that would be lost.
    ///
    /// The first that fails ends the command, and the error names those that are gone.
    pub async fn remove(&self, options: &RemoveOptions) -> Result<Vec<RemoveReport>, Error> {
        for task in &options.tasks {
            let record = self.record(Some(task)).await?;
            self.check_removal(
                &record,
                self.worktree_of(&record)?.as_ref(),
                self.base_of(&record)?,
                options,
            )?;
        }
        let mut reports: Vec<RemoveReport> = Vec::new();
        for task in &options.tasks {
            match self.remove_one(task, options).await {
                Ok(report) => reports.push(report),
                Err(error) if reports.is_empty() => return Err(error),
                Err(error) => {
                    return Err(Error::PartWay {
                        command: "remove",
                        project: task.clone(),
                        failures: Failure::all_of(&error),
                        done: reports.into_iter().flat_map(|report| report.done).collect(),
                    });
                }
            }
        }
        Ok(reports)
    }

    async fn remove_one(&self, task: &str, options: &RemoveOptions) -> Result<RemoveReport, Error> {
        let (record, lock) = self.hold(Some(task)).await?;
        self.remove_held(record, lock, options).await
    }

    /// Removes an environment on which this command alone works.
    pub(crate) async fn remove_held(
        &self,
        record: EnvironmentRecord,
        lock: Lock,
        options: &RemoveOptions,
    ) -> Result<RemoveReport, Error> {
        // The person may stand in the worktree that goes: the repository is looked at from where it stays.
        let repository = Repository::discover(self.repository.common_dir())?;
        let worktree = self.worktree_of(&record)?;
        let base = self.base_of(&record)?;
        self.check_removal(&record, worktree.as_ref(), base, options)?;
        self.run_pre_remove(&record, options).await?;
        let shared = self.lock_shared(&record).await?;
        let mut done = self.remove_objects(&record, options.force).await?;
        if record.unsettled.is_some() {
            done.extend(Box::pin(self.sweep_bases(&record.repository.id, None)).await?);
        }
        if done.iter().any(|step| is_part(step)) {
            done.extend(Box::pin(self.drop_stale_bases(&record.repository.id)).await?);
        }
        // With the last environment, the servers go too.
        if !self.is_last(&record)? {
            done.extend(Box::pin(self.drop_databases(&record)).await?);
        }
        done.extend(Box::pin(self.leave_shared(&record, true)).await?);
        drop(shared);
        let mut report = RemoveReport {
            task: record.task.clone(),
            project: record.project.to_string(),
            done,
            worktree: None,
            worktree_kept: None,
            branch_deleted: None,
            branch_kept: None,
        };
        let removed = async {
            self.remove_worktree(&record, worktree, options, &mut report).await?;
            (report.branch_deleted, report.branch_kept) =
                remove_branch(&repository, &record, base, options).await?;
            Ok(())
        };
        if let Err(error) = removed.await {
            if report.done.is_empty() {
                return Err(error);
            }
            return Err(Error::PartWay {
                command: "remove",
                project: report.project,
                failures: Failure::all_of(&error),
                done: report.done,
            });
        }
        remove_secret(self.state.path(), &record.project)?;
        self.update_state(|state| {
            state.remove(&record.project);
            Ok(())
        })
        .await?;
        // The lock's file goes last: a command that waits for it starts over with a new one.
        self.release(lock)?;
        Ok(report)
    }

    /// Removes containers, networks and volumes, and names the volumes first; returns what was done.
    ///
    /// With `force`, a `pre_stop` hook that fails is a warning.
    pub(crate) async fn remove_objects(
        &self,
        record: &EnvironmentRecord,
        force: bool,
    ) -> Result<Vec<String>, Error> {
        let removal = RemovalOptions {
            repository: record.repository.id.clone(),
            volumes: true,
            images: true,
            grace: None,
            force,
        };
        let mut done = self.remove_half_made_volumes(record).await?;
        let removed = self.until_quiet(record, "remove", |observed| {
            let plan = plan_removal(observed, &record.project, &removal);
            self.name_lost_volumes(&plan);
            plan
        });
        done.extend(removed.await?);
        Ok(done)
    }

    /// Names the volumes whose data a plan removes, before it does.
    fn name_lost_volumes(&self, plan: &Plan) {
        let removed = plan.steps.iter().filter_map(|step| match &step.operation {
            Operation::RemoveVolume { name } => Some(name),
            _ => None,
        });
        let removed: Vec<&String> = removed.collect();
        // A part of a branch counts where the branch itself is not there.
        let is_named = |name: &&&String| {
            let is_of = |other: &&&String| !is_part(other) && name.starts_with(&format!("{other}."));
            !is_part(name) || !removed.iter().any(|other| is_of(&other))
        };
        let volumes: Vec<String> = removed.iter().filter(is_named).map(|name| format!("`{name}`")).collect();
        if !volumes.is_empty() {
            self.emit(Event::RemovingVolumes { volumes });
        }
    }

    pub(crate) fn worktree_of(&self, record: &EnvironmentRecord) -> Result<Option<Worktree>, Error> {
        let worktrees = self.repository.worktrees()?;
        Ok(worktrees.into_iter().find(|worktree| worktree.path == record.worktree))
    }

    /// Returns the commit against which merges are judged; none where the repository has none.
    fn base_of(&self, record: &EnvironmentRecord) -> Result<Option<CommitId>, Error> {
        let setting = self.files_of(record).ok().and_then(|files| load_settings(&files).ok()?.base);
        match self.repository.base(setting.as_deref()) {
            Ok(base) => Ok(Some(base.commit)),
            Err(RepositoryError::NoCommit { .. } | RepositoryError::UnknownRevision { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses to lose work, and says which, and to begin what could not be ended because the worktree has to stay.
    ///
    /// Only what this command would remove counts.
    fn check_removal(
        &self,
        record: &EnvironmentRecord,
        worktree: Option<&Worktree>,
        base: Option<CommitId>,
        options: &RemoveOptions,
    ) -> Result<(), Error> {
        let Some(worktree) = worktree.filter(|worktree| is_removed(record, worktree)) else {
            return Ok(());
        };
        worktree::check_removal(worktree, overrides(options))?;
        if options.force { Ok(()) } else { self.refuse_loss(record, worktree, base) }
    }

    fn refuse_loss(
        &self,
        record: &EnvironmentRecord,
        worktree: &Worktree,
        base: Option<CommitId>,
    ) -> Result<(), Error> {
        let Some(base) = base.or(worktree.head) else {
            return Ok(());
        };
        let work = self.repository.unsaved_work(worktree, base)?;
        let losses = losses(&work, worktree.branch.as_deref());
        // Commits on a branch survive the worktree: the branch is kept unless it is merged.
        let is_lost =
            !work.files.is_empty() || !work.submodules.is_empty() || (work.commits > 0 && work.is_detached);
        let is_unmerged = work.commits > 0 && record.branch_made_by_envtree;
        if is_lost || is_unmerged {
            return Err(Error::UnsavedWork { worktree: record.worktree.clone(), losses });
        }
        Ok(())
    }

    /// Runs `pre_remove` where the worktree can still tell what it is; with `--force` its failure is a warning.
    async fn run_pre_remove(&self, record: &EnvironmentRecord, options: &RemoveOptions) -> Result<(), Error> {
        let secret = self.secret(record)?;
        let environment = match self.environment(record, &secret) {
            Ok(environment) => environment,
            Err(Error::WorktreeGone { .. }) => return Ok(()),
            Err(error) => {
                self.warn(format!("hook `pre_remove` was skipped: {}", causes(&error).join(": ")));
                return Ok(());
            }
        };
        match self.run_hook_of(record, &environment, HookKey::PreRemove).await {
            Err(error) if options.force => {
                self.warn(causes(&error).join(": "));
                Ok(())
            }
            result => result,
        }
    }

    /// Removes the worktree if envtree made it, else takes out the block that it wrote into the env file.
    async fn remove_worktree(
        &self,
        record: &EnvironmentRecord,
        worktree: Option<Worktree>,
        options: &RemoveOptions,
        report: &mut RemoveReport,
    ) -> Result<(), Error> {
        let Some(Worktree { path, .. }) = worktree.as_ref().filter(|worktree| is_removed(record, worktree))
        else {
            // Containers and data are gone by now: a file that somebody broke must not keep the rest.
            if let Some(file) = &record.env_file
                && let Err(error) =
                    remove_block(file, worktree.as_ref().map(|worktree| worktree.git_dir.as_path()))
            {
                self.warn(format!("{}; delete envtree's lines in it by hand", causes(&error).join(": ")));
            }
            if worktree.is_none() && record.worktree_made_by_envtree {
                worktree::remove_unfinished(&self.repository, &record.worktree).await?;
            }
            report.worktree_kept = worktree.map(|worktree| {
                let reason =
                    if worktree.is_main { "it is the main worktree" } else { "envtree did not make it" };
                (worktree.path, reason.to_owned())
            });
            return Ok(());
        };
        self.emit(Event::RemovingWorktree { path: path.clone() });
        let removed = worktree::remove(&self.repository, path, overrides(options)).await?;
        if let Some(left) = removed.folder_left {
            report.worktree_kept = Some((left, "it is no longer a worktree of this repository".to_owned()));
            return Ok(());
        }
        remove_empty_parent(path);
        self.emit(Event::RemovedWorktree { path: path.clone() });
        report.worktree = Some(path.clone());
        Ok(())
    }
}

/// Returns whether `rm` removes the worktree: envtree made it, and it is not the repository itself.
fn is_removed(record: &EnvironmentRecord, worktree: &Worktree) -> bool {
    record.worktree_made_by_envtree && !worktree.is_main
}

/// Returns what the removal of the worktree may override.
fn overrides(options: &RemoveOptions) -> worktree::RemoveOptions {
    // What envtree itself left in the worktree is ignored by git, and what the person left was asked about.
    worktree::RemoveOptions { discard_changes: options.force, ignore_lock: options.force }
}

/// Deletes the branch that envtree made, if it is merged, or if its loss is wanted.
///
/// Returns the branch that was deleted, or the one that stays and why.
async fn remove_branch(
    repository: &Repository,
    record: &EnvironmentRecord,
    base: Option<CommitId>,
    options: &RemoveOptions,
) -> Result<(Option<String>, Option<(String, String)>), Error> {
    let Some(branch) = record.branch.clone() else {
        return Ok((None, None));
    };
    let kept = |reason: &str| Ok((None, Some((branch.clone(), reason.to_owned()))));
    let BranchPlace::Local { commit } = repository.branch(&branch)? else {
        return Ok((None, None));
    };
    if repository.worktrees()?.iter().any(|worktree| worktree.branch.as_deref() == Some(&branch)) {
        return kept("a worktree has it checked out");
    }
    if options.keep_branch {
        return kept("`--keep-branch`");
    }
    if !record.branch_made_by_envtree {
        return kept("envtree did not make it");
    }
    let is_merged = match base {
        Some(base) => repository.merge_state(commit, base)?.is_merged(),
        None => false,
    };
    if !is_merged && !options.force {
        return kept("not merged");
    }
    worktree::delete_branch(repository, &branch, commit).await?;
    Ok((Some(branch), None))
}

/// Returns what would be lost, a line each.
fn losses(work: &UnsavedWork, branch: Option<&str>) -> Vec<String> {
    let mut losses: Vec<String> =
        work.files.iter().take(SHOWN).map(|file| format!("uncommitted: {file}")).collect();
    if work.files.len() > SHOWN {
        losses.push(format!("and {} more uncommitted files", work.files.len() - SHOWN));
    }
    losses.extend(work.submodules.iter().map(|path| format!("submodule with work of its own: {path}")));
    if work.commits > 0 {
        let on = branch.map_or_else(|| "a detached HEAD".to_owned(), |branch| format!("`{branch}`"));
        let noun = if work.commits == 1 { "commit" } else { "commits" };
        losses.push(format!("{} {noun} on {on}, neither pushed nor merged:", work.commits));
        losses.extend(work.subjects.iter().map(|subject| format!("  {subject}")));
    }
    losses
}

/// Removes the folder that held the worktrees of a repository, once it is empty.
fn remove_empty_parent(worktree: &Path) {
    if let Some(parent) = worktree.parent() {
        // It fails as long as anything is in it, which is wanted.
        let _ = std::fs::remove_dir(parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_named_up_to_ten_files_and_then_counted() {
        let work = UnsavedWork {
            files: (0..12).map(|number| format!("file-{number}")).collect(),
            commits: 2,
            subjects: vec!["Add login".into(), "Fix login".into()],
            submodules: vec!["lib".into()],
            ..UnsavedWork::default()
        };
        let text = losses(&work, Some("login"));
        assert_eq!(text.len(), 15);
        assert_eq!(text[0], "uncommitted: file-0");
        assert_eq!(
            text[10..],
            [
                "and 2 more uncommitted files",
                "submodule with work of its own: lib",
                "2 commits on `login`, neither pushed nor merged:",
                "  Add login",
                "  Fix login",
            ]
        );
    }

    #[test]
    fn a_commit_on_a_detached_head_is_named_so() {
        let work = UnsavedWork {
            commits: 1,
            subjects: vec!["Try".into()],
            is_detached: true,
            ..UnsavedWork::default()
        };
        assert_eq!(losses(&work, None), ["1 commit on a detached HEAD, neither pushed nor merged:", "  Try"]);
        assert!(losses(&UnsavedWork::default(), None).is_empty());
    }
}
