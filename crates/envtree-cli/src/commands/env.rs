//! `envtree env`: the variables of an environment.

use clap::ValueEnum;
use envtree::env_file::{render_dotenv, render_shell};
use envtree_core::variables::View;

use crate::command_error::CommandError;
use crate::completion;
use crate::output::VariablesOutput;
use crate::run::Context;

const EXAMPLES: &str = "\
Examples:
  eval \"$(envtree env fix-login --format shell)\"    set them in this shell
  envtree env fix-login --inside                    the values that containers see";

/// Print the variables of an environment
///
/// The values contain the passwords of its services.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Task [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// How to write them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print the values that are valid on the environment's own network
    #[arg(long)]
    inside: bool,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }
}

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// NAME=value, quoted where a reader of .env files needs it
    #[default]
    Dotenv,
    /// Export commands for a POSIX shell
    Shell,
    /// Versioned JSON, as with --json
    Json,
}

/// Prints variables.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let view = if args.inside { View::Inside } else { View::Host };
    let variables = context.session()?.variables(args.task.as_deref(), view).await?;
    let render = match args.format {
        Format::Json => return context.ui.write_json(&VariablesOutput::from(variables)),
        Format::Dotenv => render_dotenv,
        Format::Shell => render_shell,
    };
    let output = VariablesOutput::from(variables.clone());
    context.ui.answer(&output, || render(&variables))
}
