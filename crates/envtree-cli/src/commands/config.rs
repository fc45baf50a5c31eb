//! `envtree config`: the Compose project that `up` would apply.

use crate::command_error::CommandError;
use crate::completion;
use crate::output::ConfigOutput;
use crate::run::Context;

/// Print the Compose project that `up` would apply, as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// Print it as the files have it, before it is isolated; comparable with `docker compose config`
    #[arg(long)]
    raw: bool,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }
}

/// Prints the project.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let report = context.session()?.config(args.task.as_deref(), args.raw).await?;
    for warning in &report.warnings {
        context.ui.warn(warning);
    }
    context.ui.answer(&ConfigOutput::from(&report), || report.yaml.clone())
}
