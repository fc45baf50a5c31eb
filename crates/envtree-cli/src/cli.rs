//! The command line as a whole: the options that every command takes, and the list of commands.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, ValueEnum, ValueHint};

use crate::commands::Command;
use crate::env_vars;

/// A git worktree with a complete runtime of its own: containers, volumes, ports and variables.
#[derive(Debug, Parser)]
#[command(name = "envtree", version, propagate_version = false, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(max_term_width = 100, after_long_help = env_vars::help())]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What is wanted.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// Read this Compose file instead of the configured ones, `-` for the standard input; may be given several times
    #[arg(long = "file", value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Turn on a profile of the Compose files; may be given several times
    #[arg(long = "profile", value_name = "NAME", global = true)]
    pub(crate) profiles: Vec<String>,
    /// Write the answer as versioned JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write neither progress nor warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Write a line for every step
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Colour the output
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t)]
    pub(crate) color: ColorWhen,
    /// Answer every question with yes
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) yes: bool,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorWhen {
    /// Where a terminal shows it, and `NO_COLOR` is not set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<ColorWhen> for anstream::ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::Always,
            ColorWhen::Never => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other() {
        assert!(Cli::try_parse_from(["envtree", "-q", "-v", "up"]).is_err());
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let cli = Cli::try_parse_from(["envtree", "up", "--json", "-C", "/x"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.directory, Some(PathBuf::from("/x")));
    }
}
