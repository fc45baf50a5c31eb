//! `envtree completions`: the script that makes a shell ask envtree for candidates.

use clap::ValueEnum;
use clap_complete::env::Shells;

use crate::command_error::{CommandError, Kind};
use crate::env_vars::COMPLETE;
use crate::run::Context;

const EXAMPLES: &str = "\
Examples:
  echo 'source <(envtree completions bash)' >> ~/.bashrc
  echo 'source <(envtree completions zsh)' >> ~/.zshrc
  envtree completions fish > ~/.config/fish/completions/envtree.fish";

/// Print a script that completes commands, tasks and services in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]

enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

/// Prints the script.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let shell = args.shell.as_str();
    let shells = Shells::builtins();
    let completer = shells
        .completer(shell)
        .ok_or_else(|| CommandError::new(Kind::Bug, format!("no completion for {shell}")))?;
    let mut script = Vec::new();
    completer.write_registration(COMPLETE, "envtree", "envtree", "envtree", &mut script)?;
    context.ui.write(&script)
}
