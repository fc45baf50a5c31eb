//! The command `envtree`: a git worktree with a complete runtime of its own.

mod cli;
mod command_error;
mod commands;
mod completion;
mod done;
mod env_vars;
mod interrupt;
mod ledger;
mod output;
mod panic;
mod progress;
mod run;
mod terminal;
mod text;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

fn main() -> ExitCode {
    panic::install();
    CompleteEnv::with_factory(cli::Cli::command).complete();
    ExitCode::from(match cli::Cli::try_parse() {
        Ok(cli) => run::run(&cli),
        Err(error) => run::refuse(&error),
    })
}
