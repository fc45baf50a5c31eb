//! Asks a Redis, or a server that speaks its protocol, with a `PING`.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Probe, limit};

/// More than any answer to `PING` needs.
const LINE_BYTES: u64 = 1024;

/// Answers of a server that takes requests, though not this client's or not this one.
const REFUSALS: [&str; 5] = ["-NOAUTH", "-WRONGPASS", "-DENIED", "-NOPERM", "-ERR unknown command"];

/// Returns whether the server at `address` answers a `PING`; one that asks for a password does.
pub(crate) async fn probe(address: SocketAddr) -> Probe {
    limit(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
        let mut line = Vec::new();
        BufReader::new(stream.take(LINE_BYTES)).read_until(b'\n', &mut line).await?;
        Ok(parse_answer(&String::from_utf8_lossy(&line)))
    })
    .await
}

fn parse_answer(line: &str) -> Probe {
    let Some(line) = line.strip_suffix("\r\n") else {
        return Probe::NotYet("the connection was closed without an answer".into());
    };
    if line == "+PONG" || REFUSALS.iter().any(|refusal| line.starts_with(refusal)) {
        return Probe::Ready;
    }
    match line.strip_prefix('-') {
        // Such as `LOADING Redis is loading the dataset in memory`.
        Some(error) => Probe::NotYet(format!("it answers `{}`", error.escape_debug())),
        None => Probe::NotYet("it does not answer as Redis does".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::server;
    use super::*;

    async fn ask(answer: &str) -> Probe {
        let (address, server) = server::answering(answer, 3).await;
        let probe = probe(address).await;
        assert_eq!(server.await.unwrap(), b"*1\r\n$4\r\nPING\r\n");
        probe
    }

    #[tokio::test]
    async fn a_pong_is_ready() {
        assert_eq!(ask("+PONG\r\n").await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_wants_a_password_is_ready() {
        assert_eq!(ask("-NOAUTH Authentication required.\r\n").await, Probe::Ready);
        assert_eq!(ask("-WRONGPASS invalid username-password pair\r\n").await, Probe::Ready);
        assert_eq!(ask("-DENIED Redis is running in protected mode\r\n").await, Probe::Ready);
        assert_eq!(ask("-NOPERM this user has no permissions\r\n").await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_loads_its_data_is_not_ready_and_says_why() {
        assert_eq!(
            ask("-LOADING Redis is loading the dataset in memory\r\n").await,
            Probe::NotYet("it answers `LOADING Redis is loading the dataset in memory`".into())
        );
        assert!(matches!(ask("-MASTERDOWN Link with MASTER is down\r\n").await, Probe::NotYet(_)));
    }

    #[tokio::test]
    async fn another_protocol_is_not_ready() {
        assert_eq!(
            ask("HTTP/1.1 400 Bad Request\r\n").await,
            Probe::NotYet("it does not answer as Redis does".into())
        );
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let (address, _listener) = server::mute().await;
        assert_eq!(probe(address).await, Probe::NotYet("no answer within 1 s".into()));
    }

    #[tokio::test]
    async fn a_closed_or_refused_connection_is_not_ready() {
        let closed = Probe::NotYet("the connection was closed without an answer".into());
        assert_eq!(probe(server::proxy_to_nobody().await).await, closed);
        assert_eq!(probe(server::closed_port().await).await, Probe::NotYet("connection refused".into()));
    }
}
