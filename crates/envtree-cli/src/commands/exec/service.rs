//! A command inside a service.

use std::ffi::OsString;
use std::io;

use envtree::error::{Error, causes};
use envtree::exec::ServiceExec;
use envtree::session::Session;

use super::Args;
use crate::command_error::{CommandError, Kind};
use crate::commands::carry::{carry, write};
use crate::terminal::{self, RawMode};

pub(super) async fn run(args: &Args, service: &str, session: &Session) -> Result<u8, CommandError> {
    let tty = !args.no_tty && terminal::at_both_ends();
    let options = ServiceExec {
        command: args.command.iter().map(as_text).collect::<Result<_, _>>()?,
        tty,
        interactive: true,
        index: args.index,
    };
    let program = options.command.first().cloned().unwrap_or_default();
    let started = session.service_exec(&args.task, service, options).await;
    let mut session = started.map_err(|error| refused(service, &program, error))?;
    let raw = if tty { Some(RawMode::enter()?) } else { None };
    let carried = carry(&mut session, tty).await;
    drop(raw);
    let held = carried?;
    let status = session.exit_code().await?;
    if let Some(output) = held {
        let words = String::from_utf8_lossy(&output.bytes);
        match not_started(service, &program, &words).filter(|_| matches!(status, 126 | 127)) {
            Some(error) => return Err(error),
            None => write(&output)?,
        }
    }
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

fn refused(service: &str, program: &str, error: Error) -> CommandError {
    not_started(service, program, &causes(&error).join(": ")).unwrap_or_else(|| error.into())
}

/// Returns the failure to start `program` that `words` tell of, if they are the Engine's.
pub(in crate::commands) fn not_started(service: &str, program: &str, words: &str) -> Option<CommandError> {
    // What runc says, and what crun says.
    let runc = format!("exec: {program:?}: ");
    let beginnings = [&runc, "crun: executable file ", "crun: open executable"];
    let (_, reason) = beginnings.iter().find_map(|beginning| words.split_once(beginning))?;
    let lower = reason.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    if says(&["executable file not found", "no such file or directory"]) {
        let message = format!("service `{service}` has no command `{program}`");
        Some(CommandError::new(Kind::Command { status: 127 }, message))
    } else if says(&["permission denied", "operation not permitted", "is a directory"]) {
        let message = format!("service `{service}` cannot execute `{program}`");
        let reason = reason.trim_start_matches(": ").trim().trim_end_matches(": unknown");
        let reason = reason.trim_end_matches(": OCI permission denied");
        Some(
            CommandError::new(Kind::Command { status: 126 }, message)
                .caused_by(&io::Error::other(reason.to_owned())),
        )
    } else {
        None
    }
}

pub(in crate::commands) fn as_text(word: &OsString) -> Result<String, CommandError> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        CommandError::input(format!("`{}` is not valid UTF-8", word.to_string_lossy()))
            .note("the Engine takes commands as UTF-8 alone")
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_command_that_cannot_be_started_is_told_as_a_shell_would() {
        let status = |reason: &str| {
            let words = format!(
                "OCI runtime exec failed: exec failed: unable to start: exec: \"x\": {reason}: unknown\r\n"
            );
            not_started("web", "x", &words).map(|error| (error.kind.exit_code(), error.message))
        };
        let missing = Some((127, "service `web` has no command `x`".to_owned()));
        assert_eq!(status("executable file not found in $PATH"), missing);
        assert_eq!(status("stat x: no such file or directory"), missing);
        assert_eq!(status("permission denied"), Some((126, "service `web` cannot execute `x`".to_owned())));
        assert_eq!(status("it is Monday"), None);
        let crun = |reason: &str| {
            let words = format!("preparing container 12 for attach: crun: {reason}");
            not_started("web", "x", &words).map(|error| error.kind.exit_code())
        };
        assert_eq!(crun("executable file `x` not found in $PATH: No such file or directory"), Some(127));
        assert_eq!(crun("open executable: Operation not permitted: OCI permission denied"), Some(126));
        assert_eq!(crun("it is Monday"), None);
        assert_eq!(not_started("web", "x", "sh: x: not found"), None);
    }

    #[test]
    fn a_word_that_is_no_text_is_refused() {
        assert!(as_text(&OsString::from_vec(vec![0xff])).is_err());
    }
}
