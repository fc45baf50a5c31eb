//! A command inside a service: the bytes of both terminals are carried to and fro.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::pin::Pin;

use envtree::error::{Error, causes};
use envtree::exec::{Output, ServiceExec, ServiceSession};
use envtree::session::Session;
use futures::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Args;
use crate::command_error::{CommandError, Kind};
use crate::terminal::{self, RawMode};

/// How the Engine begins when it tells why a command cannot be started.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed";

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
fn not_started(service: &str, program: &str, words: &str) -> Option<CommandError> {
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

fn as_text(word: &OsString) -> Result<String, CommandError> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        CommandError::input(format!("`{}` is not valid UTF-8", word.to_string_lossy()))
            .note("the Engine takes commands as UTF-8 alone")
    })
}

/// Carries bytes until the command's output has ended.
///
/// The Engine reports a command that cannot be started as if it had written that. Output that begins so and has no
/// other piece is not written but returned.
async fn carry(session: &mut ServiceSession, tty: bool) -> Result<Option<Output>, CommandError> {
    let input = std::mem::replace(&mut session.input, Box::pin(tokio::io::sink()));
    let feeding = tokio::spawn(feed(input, standard_input()));
    if tty {
        resize(session).await;
    }
    let mut changes = Changes::new(tty)?;
    let mut pieces = 0_u64;
    let mut held: Option<Output> = None;
    let result = loop {
        tokio::select! {
            output = session.output.next() => match output {
                Some(Ok(output)) => {
                    pieces += 1;
                    if pieces == 1 && output.bytes.starts_with(NOT_STARTED) {
                        held = Some(output);
                        continue;
                    }
                    let earlier = held.take();
                    if let Err(error) = earlier.iter().chain([&output]).try_for_each(write) {
                        break Err(error.into());
                    }
                }
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(held),
            },
            () = changes.next() => {
                terminal::renew();
                resize(session).await;
            }
        }
    };
    // The command has ended: what is still typed is not for it.
    feeding.abort();
    result
}

async fn resize(session: &ServiceSession) {
    if let Some((rows, columns)) = terminal::size() {
        // A terminal of the wrong size still works.
        let _ = session.resize(rows, columns).await;
    }
}

fn write(output: &Output) -> io::Result<()> {
    // The bytes are the command's own: nothing strips them of colours.
    if output.stderr {
        io::stderr().write_all(&output.bytes)
    } else {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&output.bytes)?;
        stdout.flush()
    }
}

/// Reads standard input on a thread of its own: a read cannot be cancelled, and must not hold up the exit.
fn standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = io::stdin().read(&mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn feed(mut input: Pin<Box<dyn AsyncWrite + Send>>, mut bytes: mpsc::Receiver<Vec<u8>>) {
    while let Some(chunk) = bytes.recv().await {
        // A command that has ended reads nothing; its status says the rest.
        if input.write_all(&chunk).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    let _ = input.shutdown().await;
}

/// Tells when the terminal changes its size, and when it is envtree's again after a stop.
struct Changes {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 2]>,
}

impl Changes {
    #[cfg(unix)]
    fn new(tty: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        const CONTINUED: i32 = rustix::process::Signal::CONT.as_raw();
        let kinds = [SignalKind::window_change(), SignalKind::from_raw(CONTINUED)];
        let signals = if tty { Some([signal(kinds[0])?, signal(kinds[1])?]) } else { None };
        Ok(Self { signals })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        match &mut self.signals {
            Some([size, continued]) => tokio::select! {
                _ = size.recv() => {}
                _ = continued.recv() => {}
            },
            None => std::future::pending().await,
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "listening can fail on Unix")]
    fn new(_: bool) -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[tokio::test]
    async fn the_end_of_the_input_reaches_the_command() {
        let (near, mut far) = tokio::io::duplex(64);
        let (sender, receiver) = mpsc::channel(1);
        sender.send(b"select 1;".to_vec()).await.unwrap();
        drop(sender);
        feed(Box::pin(near), receiver).await;
        let mut read = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut far, &mut read).await.unwrap();
        assert_eq!(read, "select 1;");
    }

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
