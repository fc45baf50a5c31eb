//! Runs one command to its end: its failure, its interruption and its exit status.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use clap::error::ErrorKind;
use envtree::load::Input;
use envtree::session::{Session, SessionOptions};
use envtree_core::dump::remote::without_password;

use crate::cli::{Cli, GlobalArgs};
use crate::command_error::{CommandError, Kind};
use crate::env_vars;
use crate::interrupt;
use crate::output::ErrorOutput;
use crate::ui::Ui;

/// What every command works with.
pub(crate) struct Context {
    /// The terminal.
    pub(crate) ui: Ui,
    /// The directory that the person stands in.
    pub(crate) directory: PathBuf,
    files: Vec<PathBuf>,
    input: Input,
    profiles: Vec<String>,
}

impl Context {
    /// Enters the directory that was asked for.
    fn new(args: &GlobalArgs, ui: Ui) -> Result<Self, CommandError> {
        if let Some(directory) = &args.directory {
            env::set_current_dir(directory).map_err(|error| {
                CommandError::input(format!("cannot enter `{}`", directory.display())).caused_by(&error)
            })?;
        }
        let directory = env::current_dir().map_err(|error| no_directory(&error))?;
        let absolute = |file: &PathBuf| match file.to_str() {
            Some("-") => file.clone(),
            _ => directory.join(file),
        };
        Ok(Self {
            files: args.files.iter().map(absolute).collect(),
            input: Input::new(|| Box::new(io::stdin())),
            profiles: args.profiles.clone(),
            ui,
            directory,
        })
    }

    /// Opens the library for the repository around the directory.
    pub(crate) fn session(&self) -> Result<Session, CommandError> {
        Ok(Session::open(self.session_options()?)?)
    }

    /// Returns what the library needs to know.
    pub(crate) fn session_options(&self) -> Result<SessionOptions, CommandError> {
        Ok(SessionOptions {
            directory: self.directory.clone(),
            files: self.files.clone(),
            input: self.input.clone(),
            profiles: self.profiles.clone(),
            environment: crate::completion::variables(),
            command: command_line(env::args_os().skip(1)),
            lock_timeout: env_vars::lock_timeout()?,
            events: self.ui.events(),
            confirm: self.ui.confirm(),
        })
    }
}

fn no_directory(error: &io::Error) -> CommandError {
    match error.kind() {
        io::ErrorKind::NotFound => CommandError::input("the current directory does not exist any more")
            .hint("go to another one, such as the main worktree"),
        _ => CommandError::input("cannot tell the current directory").caused_by(error),
    }
}

/// Runs the command, reports its failure, and returns the exit status.
pub(crate) fn run(cli: &Cli) -> u8 {
    let ui = Ui::new(&cli.global, cli.command.answers());
    match Context::new(&cli.global, ui.clone()).and_then(|context| block_on(cli, &context)) {
        Ok(status) => status,
        Err(error) => {
            let error = error.addressed(cli.command.task(), cli.command.continued_by().as_deref());
            if error.kind != Kind::Closed {
                ui.fail(&error);
            }
            error.kind.exit_code()
        }
    }
}

fn block_on(cli: &Cli, context: &Context) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::input("cannot start worker threads").caused_by(&error))?;
    let result = runtime.block_on(async {
        let command = cli.command.run(context);
        if cli.command.passes_signals_on() {
            return command.await;
        }
        // A task of its own hears signals even while the command keeps this thread busy.
        let signal = tokio::spawn(interrupt::requested());
        tokio::select! {
            result = command => result,
            Ok(signal) = signal => {
                cli.command.clean_up(context).await;
                Err(interrupted(cli, &context.ui, signal))
            }
        }
    });
    if matches!(&result, Err(error) if matches!(error.kind, Kind::Interrupted { .. })) {
        // Tasks that the runtime still has to drop hold programs too.
        envtree::running::end_all();
    }
    context.ui.finish();
    // What a blocking thread still does must not hold up the exit.
    runtime.shutdown_background();
    result
}

fn interrupted(cli: &Cli, ui: &Ui, signal: u8) -> CommandError {
    let error = CommandError::new(Kind::Interrupted { signal }, "interrupted");
    match cli.command.continued_by() {
        Some(command) => {
            let error = error.hint(format!("`{command}` continues from here"));
            ui.done_so_far().into_iter().fold(error, CommandError::note)
        }
        None if cli.command.runs_inside() => {
            error.note("the command may go on inside the container: the Engine passes no signals to it")
        }
        None => error,
    }
}

/// Reports a command line that cannot be understood, or shows the help it asks for; returns the exit status.
pub(crate) fn refuse(error: &clap::Error) -> u8 {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_help && wants_json() {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let failure = CommandError::new(Kind::Usage, message);
        // The exit status tells it where the output cannot.
        let _ = serde_json::to_writer(io::stdout(), &ErrorOutput::from(&failure));
    } else {
        // Nobody can be told that the output is closed.
        let _ = error.print();
    }
    if is_help { 0 } else { Kind::Usage.exit_code() }
}

// The options were not understood, so the words are looked at; those after `--` belong to another program.
fn wants_json() -> bool {
    env::args_os().take_while(|word| word != OsStr::new("--")).any(|word| word == OsStr::new("--json"))
}

/// Returns the words of this command, for those who have to wait for it.
///
/// Those after `--` belong to another program, and may hold its passwords; so may URLs.
fn command_line(words: impl Iterator<Item = OsString>) -> String {
    let words = words.take_while(|word| word != OsStr::new("--"));
    let words = words.map(|word| crate::text::shell_quoted(&without_password(&word.to_string_lossy())));
    std::iter::once("envtree".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_do_not_see_what_another_program_is_told() {
        let words = ["exec", "it's", "--", "psql", "postgres://me:password@db"].map(OsString::from);
        assert_eq!(command_line(words.into_iter()), r"envtree exec 'it'\''s'");
        let words = ["data", "import", "--from", "postgres://me:password@db/shop"].map(OsString::from);
        let shown = "envtree data import --from 'postgres://me:***@db/shop'";
        assert_eq!(command_line(words.into_iter()), shown);
    }
}
