//! The two ends of an `ssh` that runs, as one stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::SshFailure;

/// How long `ssh` may take to end, and to have said why, once it has closed its output.
const FAREWELL: Duration = Duration::from_secs(5);
/// How much of the last words of `ssh` is kept.
const LAST_WORDS: usize = 8 * 1024;

/// A connection through `ssh`; dropping it ends the program.
pub(crate) struct SshStream {
    input: Option<ChildStdin>,
    output: ChildStdout,
    state: State,
    /// Dropped with the first byte.
    made: Option<oneshot::Sender<()>>,
}

enum State {
    Open { child: Box<Child>, words: JoinHandle<Vec<u8>> },
    Ending(BoxFuture<'static, Option<SshFailure>>),
    Ended,
}

impl fmt::Debug for SshStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SshStream").finish_non_exhaustive()
    }
}

impl SshStream {
    /// Takes over a child all of whose streams are pipes.
    pub(super) fn new(mut child: Child, made: oneshot::Sender<()>) -> Self {
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output is a pipe");
        let words = tokio::spawn(last_words(child.stderr.take().expect("its errors are a pipe")));
        Self { input, output, state: State::Open { child: Box::new(child), words }, made: Some(made) }
    }

    /// Waits for the end that the closed output announces.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Open { .. } = self.state
            && let State::Open { child, words } = std::mem::replace(&mut self.state, State::Ended)
        {
            // Once something came, the status of the far command is no news: only ssh itself can have lost the way.
            let had_answer = self.made.is_none();
            self.state = State::Ending(end(child, words, had_answer).boxed());
        }
        let State::Ending(end) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        let failure = ready!(end.poll_unpin(context));
        self.state = State::Ended;
        self.made = None;
        Poll::Ready(failure.map_or(Ok(()), |failure| Err(io::Error::other(failure))))
    }
}

/// Returns the last words on `errors`, of which all is read, so that `ssh` never waits for a reader.
async fn last_words(mut errors: ChildStderr) -> Vec<u8> {
    let (mut words, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = errors.read(&mut piece).await {
        words.extend_from_slice(&piece[..length]);
        let surplus = words.len().saturating_sub(LAST_WORDS);
        words.drain(..surplus);
    }
    words
}

async fn end(mut child: Box<Child>, words: JoinHandle<Vec<u8>>, had_answer: bool) -> Option<SshFailure> {
    let status = timeout(FAREWELL, child.wait()).await.ok()?.ok()?;
    if status.success() || (had_answer && status.code() != Some(255)) {
        return None;
    }
    // A connection that others share may keep the pipe open.
    let words = timeout(FAREWELL, words).await.ok().and_then(Result::ok).unwrap_or_default();
    Some(SshFailure::of(status.code(), &String::from_utf8_lossy(&words)))
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !matches!(self.state, State::Open { .. }) {
            return self.poll_end(context);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            return self.poll_end(context);
        }
        self.made = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(input) = &mut self.input else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        match ready!(Pin::new(input).poll_write(context, bytes)) {
            // Why `ssh` ended stands at the end of its output, and the reader is told there.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(bytes.len())),
            result => Poll::Ready(result),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(context))
    }

    /// Closes the input alone: the far `docker` hands that on to the Engine, whose answer still comes.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = &mut self.input {
            ready!(Pin::new(input).poll_shutdown(context))?;
        }
        self.input = None;
        Poll::Ready(Ok(()))
    }
}
