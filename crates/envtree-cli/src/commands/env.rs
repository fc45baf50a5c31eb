//! `envtree env`: the variables of an environment.

use clap::ValueEnum;
use envtree_core::variables::View;
use indexmap::IndexMap;

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
    let line = match args.format {
        Format::Json => return context.ui.write_json(&VariablesOutput::from(variables)),
        Format::Dotenv => dotenv,
        Format::Shell => shell,
    };
    let output = VariablesOutput::from(variables.clone());
    context.ui.answer(&output, || lines(&variables, line))
}

fn lines(variables: &IndexMap<String, String>, line: fn(&str, &str) -> String) -> String {
    variables.iter().map(|(name, value)| line(name, value)).collect()
}

fn shell(name: &str, value: &str) -> String {
    format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
}

fn dotenv(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=?&".contains(c);
    if value.chars().all(plain) {
        return format!("{name}={value}\n");
    }
    let escaped = value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('$', r"\$")
        .replace('\n', r"\n")
        .replace('\r', r"\r");
    format!("{name}=\"{escaped}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_values_are_quoted_where_they_must_be() {
        assert_eq!(
            dotenv("A", "postgres://app:p@127.0.0.1:1/x?a=b&c=d"),
            "A=postgres://app:p@127.0.0.1:1/x?a=b&c=d\n"
        );
        assert_eq!(dotenv("A", ""), "A=\n");
        assert_eq!(dotenv("A", "two words # $x \"y\""), "A=\"two words # \\$x \\\"y\\\"\"\n");
        assert_eq!(dotenv("A", "a\nb"), "A=\"a\\nb\"\n");
    }

    #[test]
    fn shell_values_are_always_quoted() {
        assert_eq!(shell("A", "it's $x"), "export A='it'\\''s $x'\n");
    }
}
