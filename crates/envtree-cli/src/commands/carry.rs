//! The bytes of two terminals, the person's and that of a command in a container, carried to and fro.

use std::io::{self, Read, Write};
use std::pin::Pin;

use envtree::exec::{Output, ServiceSession};
use futures::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::command_error::CommandError;
use crate::terminal;

/// How the Engine begins when it tells why a command cannot be started.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed";

/// Carries bytes until the command's output has ended.
///
/// The Engine reports a command that cannot be started as if it had written that. Output that begins so and has no
/// other piece is not written but returned.
pub(super) async fn carry(session: &mut ServiceSession, tty: bool) -> Result<Option<Output>, CommandError> {
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

/// Writes what the command wrote.
pub(super) fn write(output: &Output) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
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
}
