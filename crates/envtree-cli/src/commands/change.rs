//! `envtree down`, `stop`, `start` and `restart`: change what runs, and keep the rest.

use std::time::Duration;

use envtree::down::{ChangeReport, DownOptions};

use crate::command_error::CommandError;
use crate::completion;
use crate::done;
use crate::output::ChangeOutput;
use crate::run::Context;
use crate::text;

/// Stop and remove containers and networks
///
/// The worktree, the volumes and the reserved ports stay: the next `envtree up` finds the same data at the same
/// addresses.
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {
    /// Task to take down [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// Remove the volumes and their data as well, and its databases on a server that it shares
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    grace: GraceArgs,
}

/// Stop containers, without removing them
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    grace: GraceArgs,
}

/// Start stopped containers
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    selection: SelectionArgs,
}

/// Stop containers and start them again
#[derive(Debug, clap::Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    grace: GraceArgs,
}

/// Which containers are meant.
#[derive(Debug, clap::Args)]
struct SelectionArgs {
    /// Task [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// Services [default: all of the task]
    #[arg(value_name = "SERVICE", add = completion::services())]
    services: Vec<String>,
}

/// How long containers get to stop.
#[derive(Debug, clap::Args)]
struct GraceArgs {
    /// How long each container gets to stop before it is killed, such as 10s; a bare number is seconds
    /// [default: what its service says, else 10s]
    #[arg(short, long, value_name = "DURATION", value_parser = text::parse_duration)]
    timeout: Option<Duration>,
}

impl GraceArgs {
    /// Returns whole seconds, as the Engine counts; a part of a second counts as one.
    fn seconds(&self) -> Option<u64> {
        let round_up = |timeout: Duration| timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        self.timeout.map(round_up)
    }
}

impl SelectionArgs {
    /// Returns the command line of `verb` for the same containers.
    fn again(&self, verb: &str) -> String {
        let words = self.task.iter().chain(&self.services);
        words.fold(format!("envtree {verb}"), |line, word| line + " " + &text::shell_quoted(word))
    }
}

impl DownArgs {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> String {
        let volumes = if self.volumes { " --volumes" } else { "" };
        let task = self.task.iter().map(|task| text::shell_quoted(task));
        task.fold(format!("envtree down{volumes}"), |line, task| line + " " + &task)
    }
}

impl StopArgs {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.selection.task.as_deref()
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> String {
        self.selection.again("stop")
    }
}

impl StartArgs {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.selection.task.as_deref()
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> String {
        self.selection.again("start")
    }
}

impl RestartArgs {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.selection.task.as_deref()
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> String {
        self.selection.again("restart")
    }
}

/// Takes an environment down.
pub(crate) async fn down(args: &DownArgs, context: &Context) -> Result<(), CommandError> {
    let options =
        DownOptions { task: args.task.clone(), volumes: args.volumes, timeout: args.grace.seconds() };
    answer(context, &context.session()?.down(&options).await?)
}

/// Stops containers.
pub(crate) async fn stop(args: &StopArgs, context: &Context) -> Result<(), CommandError> {
    let SelectionArgs { task, services } = &args.selection;
    let session = context.session()?;
    answer(context, &session.stop(task.as_deref(), services, args.grace.seconds()).await?)
}

/// Starts containers.
pub(crate) async fn start(args: &StartArgs, context: &Context) -> Result<(), CommandError> {
    let SelectionArgs { task, services } = &args.selection;
    answer(context, &context.session()?.start(task.as_deref(), services).await?)
}

/// Restarts containers.
pub(crate) async fn restart(args: &RestartArgs, context: &Context) -> Result<(), CommandError> {
    let SelectionArgs { task, services } = &args.selection;
    let session = context.session()?;
    answer(context, &session.restart(task.as_deref(), services, args.grace.seconds()).await?)
}

fn answer(context: &Context, report: &ChangeReport) -> Result<(), CommandError> {
    if report.done.is_empty() {
        context.ui.note(&format!("nothing to do for {}", report.project));
    }
    context.ui.answer(&ChangeOutput::from(report), || {
        report.done.iter().map(|step| done::told(step) + "\n").collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_command_is_continued_for_the_same_containers() {
        let selection = SelectionArgs { task: Some("it's".to_owned()), services: vec!["db".to_owned()] };
        assert_eq!(selection.again("stop"), r"envtree stop 'it'\''s' db");
    }

    #[test]
    fn a_part_of_a_second_is_given_whole() {
        let seconds = |timeout| GraceArgs { timeout }.seconds();
        assert_eq!(seconds(Some(Duration::from_millis(1_500))), Some(2));
        assert_eq!(seconds(Some(Duration::ZERO)), Some(0));
        assert_eq!(seconds(None), None);
    }
}
