//! A command on the host: it gets the terminal, the environment's variables, and the signals sent to envtree.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use envtree::exec::HostExec;
use envtree::session::Session;
use tokio::process::{Child, Command};

use super::Args;
use crate::command_error::{CommandError, Kind, TASK};
use crate::interrupt::Signals;
use crate::run::Context;
use crate::text;

pub(super) async fn run(args: &Args, context: &Context, session: &Session) -> Result<u8, CommandError> {
    let (program, arguments) = args.command.split_first().expect("clap requires a command");
    let place = session.host_exec(&args.task).await?;
    let mut command = Command::new(program);
    command.args(arguments).envs(&place.variables);
    command.current_dir(directory(&place, &context.directory));
    // Before the command begins: a signal between the two would end envtree and leave the command behind.
    let signals = Signals::listen();
    match command.spawn() {
        Ok(child) => Ok(status_of(wait(child, signals).await?)),
        Err(error) => Err(not_started(program, &place, &error)),
    }
}

/// Returns the folder that the person stands in if it is in the worktree, else the worktree.
fn directory<'a>(place: &'a HostExec, standing: &'a Path) -> &'a Path {
    if standing.starts_with(&place.directory) { standing } else { &place.directory }
}

fn not_started(program: &OsStr, place: &HostExec, error: &io::Error) -> CommandError {
    let program = program.to_string_lossy();
    if !place.directory.is_dir() {
        let directory = text::path(&place.directory);
        return CommandError::input(format!("worktree `{directory}` is gone"))
            .hint(format!("`envtree up{TASK}` makes it again, `envtree rm{TASK}` removes the rest"));
    }
    match error.kind() {
        io::ErrorKind::NotFound => {
            CommandError::new(Kind::Command { status: 127 }, format!("there is no program `{program}`"))
        }
        _ => CommandError::new(Kind::Command { status: 126 }, format!("cannot execute `{program}`")),
    }
    .caused_by(error)
}

#[cfg(unix)]
fn status_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(not(unix))]
fn status_of(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

async fn wait(mut child: Child, mut signals: Signals) -> Result<ExitStatus, CommandError> {
    loop {
        let signal = tokio::select! {
            status = child.wait() => return status.map_err(|error| waiting_failed(&error)),
            signal = signals.next() => signal,
        };
        pass(signal, &child);
    }
}

/// Sends a signal that envtree received to the command too.
#[cfg(unix)]
fn pass(signal: u8, child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};

    let signal = Signal::from_named_raw(signal.into()).expect("only named signals are listened for");
    // The terminal's keys have reached the command already: a second Ctrl-C would often mean "at once".
    let from_terminal = matches!(signal, Signal::INT | Signal::QUIT) && crate::terminal::is_foreground();
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(id) = id.filter(|_| !from_terminal) {
        // A command that has just ended needs no signal.
        let _ = kill_process(id, signal);
    }
}

/// The console sends Ctrl-C to the command as well; envtree outlives it to return its status.
#[cfg(not(unix))]
fn pass(_: u8, _: &Child) {}

fn waiting_failed(error: &io::Error) -> CommandError {
    CommandError::input("cannot wait for the command").caused_by(error)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_signal_counts_from_128() {
        assert_eq!(status_of(ExitStatus::from_raw(15)), 143);
        assert_eq!(status_of(ExitStatus::from_raw(3 << 8)), 3);
    }

    #[test]
    fn a_folder_below_the_worktree_is_kept() {
        let place = HostExec { directory: "/home/x".into(), variables: indexmap::IndexMap::new() };
        assert_eq!(directory(&place, Path::new("/home/x/web")), Path::new("/home/x/web"));
        assert_eq!(directory(&place, Path::new("/home/xy")), Path::new("/home/x"));
    }

    #[test]
    fn a_missing_program_is_127_and_one_that_cannot_run_126() {
        let place = HostExec { directory: "/".into(), variables: indexmap::IndexMap::new() };
        let status = |kind| not_started(OsStr::new("x"), &place, &io::Error::from(kind)).kind.exit_code();
        assert_eq!(status(io::ErrorKind::NotFound), 127);
        assert_eq!(status(io::ErrorKind::PermissionDenied), 126);
    }

    #[tokio::test]
    async fn the_status_of_the_command_comes_back() {
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        assert_eq!(status_of(wait(child, Signals::listen()).await.unwrap()), 7);
    }
}
