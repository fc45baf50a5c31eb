//! Asks an HTTP server with a `GET`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use reqwest::redirect::Policy;

use super::{ATTEMPT, Probe};

/// Returns whether the server at `address` answers a `GET` of `path` with any status below 500.
///
/// A redirect is an answer and is not followed. The proxy that the environment may name is not asked: the server is on
/// this machine.
pub(crate) async fn probe(address: SocketAddr, path: &str) -> Probe {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(ATTEMPT).build();
    let answer = match client {
        Ok(client) => client.get(format!("http://{address}{path}")).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status().is_server_error() => {
            Probe::NotYet(format!("it answers with status {}", answer.status()))
        }
        Ok(_) => Probe::Ready,
        Err(error) => Probe::NotYet(reason(&error)),
    }
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ATTEMPT.as_secs());
    }
    let mut innermost: &(dyn Error + 'static) = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return super::reason(cause);
        }
    }
    // The outer errors only name the address; the innermost tells what happened.
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::server;
    use super::*;

    async fn ask(status: &str) -> Probe {
        let answer =
            format!("HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        let (address, server) = server::answering(answer, 7).await;
        let probe = probe(address, "/live?full=1").await;
        let request = String::from_utf8(server.await.unwrap()).unwrap();
        assert!(request.starts_with("GET /live?full=1 HTTP/1.1\r\n"), "{request}");
        probe
    }

    #[tokio::test]
    async fn any_status_below_500_is_ready() {
        for status in ["200 OK", "302 Found", "401 Unauthorized", "404 Not Found"] {
            assert_eq!(ask(status).await, Probe::Ready, "{status}");
        }
    }

    #[tokio::test]
    async fn a_server_error_is_not_ready() {
        assert_eq!(
            ask("503 Service Unavailable").await,
            Probe::NotYet("it answers with status 503 Service Unavailable".into())
        );
    }

    #[tokio::test]
    async fn a_refused_connection_is_not_ready() {
        let address = server::closed_port().await;
        assert_eq!(probe(address, "/").await, Probe::NotYet("connection refused".into()));
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_at_once_is_not_ready() {
        let Probe::NotYet(reason) = probe(server::proxy_to_nobody().await, "/").await else {
            panic!("ready");
        };
        assert!(reason.contains("closed"), "{reason}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let (address, _listener) = server::mute().await;
        assert_eq!(probe(address, "/").await, Probe::NotYet("no answer within 1 s".into()));
    }

    #[tokio::test]
    async fn another_protocol_is_not_ready() {
        let (address, _server) = server::answering("-ERR unknown command\r\n", 64).await;
        assert!(matches!(probe(address, "/").await, Probe::NotYet(_)));
    }
}
