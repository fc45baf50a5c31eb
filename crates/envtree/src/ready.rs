//! Asks a server once whether it answers, in its own protocol.
//!
//! Each probe is one attempt with a deadline of [`ATTEMPT`]; repeating it is the caller's business. A connection that
//! opens proves nothing: the Engine's proxy accepts connections for a container that does not listen yet, and closes
//! them at once.

pub(crate) mod backoff;
pub(crate) mod greeting;
pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod tcp;

use std::future::Future;
use std::io;
use std::time::Duration;

/// How long one attempt may take.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(1);

/// What one attempt met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The server takes requests.
    Ready,
    /// It may later; the reason is a fragment for people, such as `connection refused`.
    NotYet(String),
}

/// Returns what `attempt` met, or why it met nothing within [`ATTEMPT`].
async fn limit(attempt: impl Future<Output = io::Result<Probe>>) -> Probe {
    match tokio::time::timeout(ATTEMPT, attempt).await {
        Ok(Ok(probe)) => probe,
        Ok(Err(error)) => Probe::NotYet(reason(&error)),
        Err(_) => Probe::NotYet(format!("no answer within {} s", ATTEMPT.as_secs())),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "the connection was closed without an answer".into(),
        _ => error.to_string(),
    }
}

/// Servers for the tests of the probes.
#[cfg(test)]
mod server {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// Returns an address of the loopback at which nothing listens.
    pub(super) async fn closed_port() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// Accepts one connection and closes it, as the Engine's proxy does for a container that does not listen.
    pub(super) async fn proxy_to_nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { drop(listener.accept().await) });
        address
    }

    /// Accepts connections into its backlog and never says a word.
    pub(super) async fn mute() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    /// Reads one request, sends `answer` in pieces of `piece` bytes, and returns the request.
    pub(super) async fn answering(
        answer: impl Into<Vec<u8>>,
        piece: usize,
    ) -> (SocketAddr, JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer.into();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            request.truncate(length);
            for piece in answer.chunks(piece) {
                // A probe that has read enough goes away.
                if stream.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            // Until the probe goes away.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            request
        });
        (address, task)
    }
}
