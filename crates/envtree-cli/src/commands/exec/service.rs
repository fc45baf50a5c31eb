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
    let (_, reason) = words.split_once(&format!("exec: {program:?}: "))?;
    let is_missing =
        ["executable file not found", "no such file or directory"].iter().any(|text| reason.contains(text));
    if is_missing {
        let message = format!("service `{service}` has no command `{program}`");
        Some(CommandError::new(Kind::Command { status: 127 }, message))
    } else if ["permission denied", "is a directory"].iter().any(|text| reason.contains(text)) {
        let message = format!("service `{service}` cannot execute `{program}`");
        let error = io::Error::other(reason.trim().trim_end_matches(": unknown").to_owned());
        Some(CommandError::new(Kind::Command { status: 126 }, message).caused_by(&error))
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
        assert_eq!(not_started("web", "x", "sh: x: not found"), None);
    }

    #[test]
    fn a_word_that_is_no_text_is_refused() {
        assert!(as_text(&OsString::from_vec(vec![0xff])).is_err());
    }
}
