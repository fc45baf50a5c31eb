//! The commands: a file each, with its arguments, whose docs are its help, and one `run`.

mod carry;
mod change;
mod completions;
mod config;
mod data;
mod doctor;
mod env;
mod exec;
mod init;
mod logs;
mod ls;
mod prune;
mod rm;
mod run;
mod status;
mod trust;
mod up;

use clap::Subcommand;

use crate::command_error::CommandError;
use crate::run::Context;

/// What is wanted. The variants have no docs: theirs would replace the help that their arguments carry.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Args),
    Down(change::DownArgs),
    Stop(change::StopArgs),
    Start(change::StartArgs),
    Restart(change::RestartArgs),
    Rm(rm::Args),
    Ls(ls::Args),
    Status(status::Args),
    Exec(exec::Args),
    Run(run::Args),
    Logs(logs::Args),
    Env(env::Args),
    Config(config::Args),
    Data(data::Args),
    Prune(prune::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Trust(trust::Args),
    Completions(completions::Args),
}

impl Command {
    /// Does what is wanted, and returns the exit status.
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CommandError> {
        match self {
            Self::Up(args) => Box::pin(up::run(args, context)).await?,
            Self::Down(args) => change::down(args, context).await?,
            Self::Stop(args) => change::stop(args, context).await?,
            Self::Start(args) => change::start(args, context).await?,
            Self::Restart(args) => change::restart(args, context).await?,
            Self::Rm(args) => rm::run(args, context).await?,
            Self::Ls(args) => ls::run(args, context).await?,
            Self::Status(args) => status::run(args, context).await?,
            Self::Exec(args) => return exec::run(args, context).await,
            Self::Run(args) => return Box::pin(run::run(args, context)).await,
            Self::Logs(args) => logs::run(args, context).await?,
            Self::Env(args) => env::run(args, context).await?,
            Self::Config(args) => config::run(args, context).await?,
            Self::Data(args) => data::run(args, context).await?,
            Self::Prune(args) => prune::run(args, context).await?,
            Self::Doctor(args) => return Box::pin(doctor::run(args, context)).await,
            Self::Init(args) => init::run(args, context)?,
            Self::Trust(args) => trust::run(args, context).await?,
            Self::Completions(args) => completions::run(args, context)?,
        }
        Ok(0)
    }

    /// Returns the task that was typed, if it was one.
    pub(crate) fn task(&self) -> Option<&str> {
        match self {
            Self::Up(args) => args.task(),
            Self::Down(args) => args.task(),
            Self::Stop(args) => args.task(),
            Self::Start(args) => args.task(),
            Self::Restart(args) => args.task(),
            Self::Status(args) => args.task(),
            Self::Exec(args) => Some(args.task()),
            Self::Run(args) => Some(args.task()),
            Self::Logs(args) => args.task(),
            Self::Env(args) => args.task(),
            Self::Config(args) => args.task(),
            Self::Data(args) => args.task(),
            // `rm` takes several, and names the one that failed itself.
            Self::Rm(_)
            | Self::Ls(_)
            | Self::Prune(_)
            | Self::Doctor(_)
            | Self::Init(_)
            | Self::Trust(_)
            | Self::Completions(_) => None,
        }
    }

    /// Returns whether standard output carries an answer of envtree's own, and no other program's.
    pub(crate) fn answers(&self) -> bool {
        !matches!(self, Self::Exec(_) | Self::Run(_))
    }

    /// Returns whether signals are the business of a program that is run.
    pub(crate) fn passes_signals_on(&self) -> bool {
        match self {
            Self::Exec(args) => args.is_on_host(),
            Self::Run(_) => true,
            _ => false,
        }
    }

    /// Returns whether a command runs inside a container, where no signal reaches it.
    pub(crate) fn runs_inside(&self) -> bool {
        matches!(self, Self::Exec(args) if !args.is_on_host())
    }

    /// Removes what must not stay when a signal ended the command.
    pub(crate) async fn clean_up(&self, context: &Context) {
        if let Self::Data(_) | Self::Up(_) = self
            && let Ok(session) = context.session()
        {
            // What cannot be removed now goes with the next command.
            let _ = session.remove_unmade().await;
        }
    }

    /// Returns the command that continues this one's work after an interruption, if it changes anything.
    pub(crate) fn continued_by(&self) -> Option<String> {
        match self {
            Self::Up(args) => args.again(),
            Self::Rm(args) => Some(args.again()),
            Self::Data(args) => args.again(),
            Self::Prune(args) => args.again(),
            Self::Down(args) => Some(args.again()),
            Self::Stop(args) => Some(args.again()),
            Self::Start(args) => Some(args.again()),
            Self::Restart(args) => Some(args.again()),
            _ => None,
        }
    }
}
