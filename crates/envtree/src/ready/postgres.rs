//! Asks a Postgres by the first step of a login.
//!
//! A server that asks for a password, or refuses the user or the database, has finished starting. One that still starts
//! or already stops says so with an SQLSTATE of its own. No password is ever sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Probe, limit};

/// Version 3.0 of the protocol.
const VERSION: i32 = 0x0003_0000;

/// More than any first answer needs; a longer one is not Postgres.
const LONGEST_ANSWER: u32 = 64 * 1024;

/// SQLSTATEs of a server that stops, has crashed, or cannot take connections now because it starts or stops.
const ABSENT: [&[u8]; 3] = [b"57P01", b"57P02", b"57P03"];

/// How long a server that lets everyone in may take to say goodbye.
const FAREWELL: Duration = Duration::from_millis(100);

/// Returns whether the server at `address` takes logins.
///
/// The real `user` and `database` keep the server's log free of refusals, but any name will do.
pub(crate) async fn probe(address: SocketAddr, user: &str, database: &str) -> Probe {
    let request = startup_message(user, database);
    limit(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&request).await?;
        loop {
            let kind = stream.read_u8().await?;
            let length = stream.read_u32().await?;
            if !matches!(kind, b'R' | b'E' | b'N' | b'v') || !(4..=LONGEST_ANSWER).contains(&length) {
                return Ok(Probe::NotYet("it does not answer as Postgres does".into()));
            }
            let mut body = Vec::new();
            (&mut stream).take(u64::from(length - 4)).read_to_end(&mut body).await?;
            match kind {
                b'R' if body == [0; 4] => {
                    let _ = tokio::time::timeout(FAREWELL, say_goodbye(stream)).await;
                    return Ok(Probe::Ready);
                }
                b'R' => return Ok(Probe::Ready),
                b'E' => return Ok(parse_error(&body)),
                // A notice, or a word on the version of the protocol; the answer follows.
                _ => {}
            }
        }
    })
    .await
}

fn startup_message(user: &str, database: &str) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    for text in ["user", user, "database", database] {
        // A zero byte would end the text early; no name holds one.
        body.extend(text.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body].concat()
}

/// Ends a session that was let in without a password, so that the server does not log a lost connection.
async fn say_goodbye(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"X\0\0\0\x04").await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Reads an `ErrorResponse`: fields of one letter and a text that ends with a zero byte.
fn parse_error(body: &[u8]) -> Probe {
    let field = |letter| {
        let mut fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
        fields.find(|(key, _)| **key == letter).map(|(_, text)| text)
    };
    match field(b'C') {
        Some(state) if ABSENT.contains(&state) => {
            let message = field(b'M').map(String::from_utf8_lossy).unwrap_or_default();
            Probe::NotYet(format!("it answers `{}`", message.escape_debug()))
        }
        _ => Probe::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::super::server;
    use super::*;

    fn error(state: &str, message: &str) -> Vec<u8> {
        let body = format!("SFATAL\0VFATAL\0C{state}\0M{message}\0Fpostmaster.c\0\0");
        let length = u32::try_from(body.len() + 4).unwrap();
        [b"E", &length.to_be_bytes()[..], body.as_bytes()].concat()
    }

    async fn ask(answer: impl Into<Vec<u8>>) -> Probe {
        let (address, server) = server::answering(answer, 5).await;
        let probe = probe(address, "app", "shop").await;
        let request = server.await.unwrap();
        assert_eq!(request, b"\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0");
        probe
    }

    #[tokio::test]
    async fn a_server_that_asks_for_a_password_is_ready() {
        assert_eq!(ask(*b"R\0\0\0\x08\0\0\0\x03").await, Probe::Ready);
        assert_eq!(ask(*b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_lets_everyone_in_is_ready() {
        assert_eq!(ask(*b"R\0\0\0\x08\0\0\0\0").await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_refuses_the_user_or_the_database_is_ready() {
        assert_eq!(ask(error("28000", "role \"app\" does not exist")).await, Probe::Ready);
        assert_eq!(ask(error("3D000", "database \"shop\" does not exist")).await, Probe::Ready);
    }

    #[tokio::test]
    async fn a_server_that_starts_or_stops_is_not_ready_and_says_why() {
        assert_eq!(
            ask(error("57P03", "the database system is starting up")).await,
            Probe::NotYet("it answers `the database system is starting up`".into())
        );
        assert!(matches!(ask(error("57P01", "terminating connection")).await, Probe::NotYet(_)));
    }

    #[tokio::test]
    async fn a_notice_before_the_answer_is_skipped() {
        let mut answer = b"N\0\0\0\x0aMhey\0\0v\0\0\0\x0c\0\x03\0\0\0\0\0\0".to_vec();
        answer.extend(error("57P03", "the database system is shutting down"));
        assert!(matches!(ask(answer).await, Probe::NotYet(reason) if reason.contains("shutting down")));
    }

    #[tokio::test]
    async fn another_protocol_is_not_ready() {
        let other = Probe::NotYet("it does not answer as Postgres does".into());
        assert_eq!(ask("HTTP/1.1 400 Bad Request\r\n").await, other);
        assert_eq!(ask("Ecould not fork new process\n\0").await, other);
    }

    #[tokio::test]
    async fn a_closed_or_refused_connection_is_not_ready() {
        let closed = Probe::NotYet("the connection was closed without an answer".into());
        assert_eq!(probe(server::proxy_to_nobody().await, "a", "b").await, closed);
        let refused = Probe::NotYet("connection refused".into());
        assert_eq!(probe(server::closed_port().await, "a", "b").await, refused);
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let (address, _listener) = server::mute().await;
        assert_eq!(probe(address, "a", "b").await, Probe::NotYet("no answer within 1 s".into()));
    }
}
