//! Asks a server of an unknown protocol: it is ready when it keeps a connection open.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{Probe, limit};

/// How long an accepted connection is watched; the Engine's proxy closes one that leads nowhere sooner, even on a
/// machine that is busy starting other services.
pub(crate) const WATCH: Duration = Duration::from_millis(250);

/// Returns whether the server at `address` greets, or waits for the client to speak, for the time of `watch`.
pub(crate) async fn probe(address: SocketAddr, watch: Duration) -> Probe {
    limit(async {
        let mut stream = TcpStream::connect(address).await?;
        match tokio::time::timeout(watch, stream.read(&mut [0; 64])).await {
            Ok(Ok(0)) => Ok(Probe::NotYet("the connection was closed at once".into())),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Ok(Probe::Ready),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::super::server;
    use super::*;

    #[tokio::test]
    async fn a_silent_server_is_ready() {
        let (address, _listener) = server::mute().await;
        assert_eq!(probe(address, WATCH).await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_greets_and_hangs_up_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 hello\r\n").await.unwrap();
        });
        assert_eq!(probe(address, WATCH).await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_at_once_is_not_ready() {
        let address = server::proxy_to_nobody().await;
        assert_eq!(probe(address, WATCH).await, Probe::NotYet("the connection was closed at once".into()));
    }

    #[tokio::test]
    async fn a_refused_connection_is_not_ready() {
        let address = server::closed_port().await;
        assert_eq!(probe(address, WATCH).await, Probe::NotYet("connection refused".into()));
    }
}
