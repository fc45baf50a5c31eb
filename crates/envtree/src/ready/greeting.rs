//! Asks a server that speaks first, or answers the first bytes of a client: it is ready when it says anything.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Probe, limit};

/// Returns whether the server at `address` says anything, once it was sent `opening`.
pub(crate) async fn probe(address: SocketAddr, opening: &[u8]) -> Probe {
    limit(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(opening).await?;
        Ok(match stream.read(&mut [0; 64]).await? {
            0 => Probe::NotYet("the connection was closed at once".into()),
            _ => Probe::Ready,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::super::server;
    use super::*;

    #[tokio::test]
    async fn a_server_that_answers_the_opening_is_ready() {
        let (address, request) = server::answering("hello", 1).await;
        assert_eq!(probe(address, b"who is there").await, Probe::Ready);
        assert_eq!(request.await.unwrap(), b"who is there");
    }

    #[tokio::test]
    async fn a_silent_server_is_not_ready() {
        let (address, _listener) = server::mute().await;
        assert_eq!(probe(address, b"").await, Probe::NotYet("no answer within 1 s".into()));
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_at_once_is_not_ready() {
        let address = server::proxy_to_nobody().await;
        assert_eq!(probe(address, b"").await, Probe::NotYet("the connection was closed at once".into()));
    }
}
