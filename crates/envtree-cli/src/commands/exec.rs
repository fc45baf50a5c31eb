//! `envtree exec`: a command on the host with the environment's variables, or inside a service.

mod host;
pub(super) mod service;

use std::ffi::OsString;

use crate::command_error::CommandError;
use crate::completion;
use crate::run::Context;

const EXAMPLES: &str = "\
Examples:
  envtree exec fix-login -- npm test          on the host, in the worktree
  envtree exec fix-login db -- psql -U app    inside service db
  envtree exec fix-login db -T -- pg_dump app > dump.sql
  envtree exec fix-login web --index 2 -- sh  inside the second container of web

Exit status: the command's own; 128 and the signal's number if a signal ended it; 127 if it
was not found, and 126 if it cannot be executed.";

/// Run a command in an environment
///
/// Without SERVICE the command runs on the host: in the worktree of TASK, or in the folder below it that you stand in,
/// with the environment's variables. With SERVICE it runs inside that service's container. Standard input and
/// output are passed through, and signals to a command on the host; the Engine passes none to one inside a container,
/// which may go on when envtree is ended. --json does not apply.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Task whose environment is used
    #[arg(add = completion::tasks())]
    task: String,
    /// Service to run the command in [default: run it on the host]
    #[arg(add = completion::services())]
    service: Option<String>,
    /// Container of SERVICE to run it in, where it has several, by its number [default: the first]
    #[arg(long, value_name = "NUMBER", requires = "service")]
    index: Option<u32>,
    /// Give the command no terminal, even if both ends are one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> &str {
        &self.task
    }

    /// Returns whether the command runs on the host.
    pub(crate) fn is_on_host(&self) -> bool {
        self.service.is_none()
    }
}

/// Runs the command, and returns its exit status.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<u8, CommandError> {
    let session = context.session()?;
    match &args.service {
        Some(service) => service::run(args, service, &session).await,
        None => host::run(args, context, &session).await,
    }
}
