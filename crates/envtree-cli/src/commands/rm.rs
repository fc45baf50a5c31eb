//! `envtree rm`: remove all that belongs to environments.

use std::fmt::Write as _;

use envtree::error::Error;
use envtree::remove::{RemoveOptions, RemoveReport};

use crate::command_error::CommandError;
use crate::completion;
use crate::done;
use crate::output::RemoveOutput;
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree rm fix-login             remove it, unless that would lose work
  envtree rm fix-login search      remove two
  envtree rm --force fix-login     remove it and any work that exists nowhere else";

/// Remove environments with their data, worktrees and merged branches
///
/// Removes the containers, networks, volumes and reserved ports of each TASK, its worktree, and its branch if that is
/// merged. Uncommitted work, and commits that are neither pushed nor merged, are not removed without --force: the
/// refusal says what would be lost.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Tasks to remove
    #[arg(required = true, value_name = "TASK", add = completion::tasks())]
    tasks: Vec<String>,
    /// Throw away uncommitted, unpushed and unmerged work
    #[arg(short, long)]
    force: bool,
    /// Keep the branch, even a merged one
    #[arg(long)]
    keep_branch: bool,
}

impl Args {
    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> String {
        self.again_for(&self.tasks)
    }

    fn again_for(&self, tasks: &[String]) -> String {
        let force = if self.force { " --force" } else { "" };
        let keep = if self.keep_branch { " --keep-branch" } else { "" };
        let tasks: Vec<_> = tasks.iter().map(|task| text::shell_quoted(task)).collect();
        format!("envtree rm{force}{keep} {}", tasks.join(" "))
    }
}

/// Removes environments.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let options =
        RemoveOptions { tasks: args.tasks.clone(), force: args.force, keep_branch: args.keep_branch };
    let reports = context.session()?.remove(&options).await.map_err(|error| failed(args, error))?;
    let verbose = context.ui.is_verbose();
    context.ui.answer(&RemoveOutput::from(reports.as_slice()), || {
        let mut text: String = reports.iter().map(|report| removed(report, verbose)).collect();
        if !context.directory.is_dir() {
            text.push_str("next: cd to another directory: the one you stand in is gone\n");
        }
        text
    })
}

/// Names the task that failed where that can be told, and the tasks that are still to be removed.
fn failed(args: &Args, error: Error) -> CommandError {
    // A failure after others were removed has the task in the place of the project.
    let position = match &error {
        Error::PartWay { project, .. } => args.tasks.iter().position(|task| task == project),
        _ => None,
    };
    let again = args.again_for(&args.tasks[position.unwrap_or(0)..]);
    let task = match (position, args.tasks.as_slice()) {
        (Some(position), tasks) => &tasks[position],
        (None, [task]) => task,
        (None, _) => "TASK",
    };
    CommandError::from(error).addressed(Some(task), Some(&again))
}

fn removed(report: &RemoveReport, verbose: bool) -> String {
    let mut shown = format!("removed {}: {}\n", report.task, done::removed(&report.done));
    if verbose {
        let steps: Vec<_> = report.done.iter().map(|step| done::told(step)).collect();
        shown.push_str(&text::lines("  ", &steps));
    } else {
        // Their data is gone with them.
        for object in done::removed_data(&report.done) {
            let _ = writeln!(shown, "  {object}");
        }
    }
    if let Some(worktree) = &report.worktree {
        let _ = writeln!(shown, "  worktree {}", text::path(worktree));
    }
    if let Some((worktree, reason)) = &report.worktree_kept {
        let _ = writeln!(shown, "  kept worktree {}: {reason}", text::path(worktree));
    }
    if let Some(branch) = &report.branch_deleted {
        let _ = writeln!(shown, "  branch {branch}");
    }
    if let Some((branch, reason)) = &report.branch_kept {
        let _ = writeln!(shown, "  kept branch {branch}: {reason}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_task_and_what_is_still_to_be_removed() {
        let tasks = ["a", "b", "c"].map(str::to_owned).to_vec();
        let args = Args { tasks, force: true, keep_branch: true };
        let part_way = |project: &str| Error::PartWay {
            command: "remove",
            project: project.to_owned(),
            failures: Vec::new(),
            done: Vec::new(),
        };
        let hint = |error| failed(&args, error).hints.remove(0);
        assert_eq!(
            hint(part_way("b")),
            "`envtree rm --force --keep-branch b c` continues from here, `envtree status b` shows what there is"
        );
        let unsaved = Error::UnsavedWork { worktree: "/x".into(), losses: Vec::new() };
        assert_eq!(hint(unsaved), "commit and push it, or throw it away with `envtree rm --force TASK`");
    }

    #[test]
    fn the_answer_says_what_went_and_what_stayed() {
        let report = RemoveReport {
            task: "fix-login".to_owned(),
            project: "shop-fix-login".to_owned(),
            done: ["container shop-fix-login-db-1", "volume shop-fix-login_data"]
                .map(|object| format!("remove {object}"))
                .to_vec(),
            worktree: Some("/home/shop.worktrees/fix-login".into()),
            worktree_kept: None,
            branch_deleted: None,
            branch_kept: Some(("fix-login".to_owned(), "not merged".to_owned())),
        };
        insta::assert_snapshot!(removed(&report, false), @"
        removed fix-login: 1 container, 1 volume
          volume shop-fix-login_data
          worktree /home/shop.worktrees/fix-login
          kept branch fix-login: not merged
        ");
    }
}
