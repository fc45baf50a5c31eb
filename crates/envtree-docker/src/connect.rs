//! Connects to the first of an endpoint's addresses at which an Engine answers.

mod error;

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as Bollard;

use crate::endpoint::{Address, Endpoint};
use crate::failure::EngineFailure;
use crate::ssh::{SshDialer, SshFailure};
use crate::tls::{TlsDialer, TlsFault};
use crate::transport::{self, Dialer};
use crate::version::{ApiVersion, EngineFacts, facts, host_kernel};

pub use error::{Attempt, ConnectError};

/// How long the Engine may take to begin an answer.
const TIMEOUT_SECONDS: u64 = 120;
/// How long the first answer of an endpoint may take.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// How long it may take through ssh, which makes several ways to the other machine and back before.
const FIRST_ANSWER_OF_SSH: Duration = Duration::from_secs(40);
/// How long an Engine that ended a connection is listened to for the reason.
const REASON: Duration = Duration::from_secs(5);

const NOT_AN_ENGINE: &str = "what answers is not a Docker Engine";

/// A client of the Engine that answered, and where it did.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: bollard::Docker,
    pub(crate) address: Address,
}

impl Connection {
    /// Asks the Engine about itself. It calls three programs for its answer, so only who needs one asks.
    pub(crate) async fn facts(&self) -> Result<EngineFacts, ConnectError> {
        let endpoint = self.address.to_string();
        let refused = |refusal: Refusal| refusal.into_error(self.address.to_string());
        let answer = match self.client.version().await {
            Ok(answer) => answer,
            Err(error) => return Err(refused(refusal(&self.address, error).await)),
        };
        let facts = facts(&self.address, answer, host_kernel().as_deref())
            .ok_or_else(|| refused(Refusal::new(NOT_AN_ENGINE)))?;
        if facts.api < ApiVersion::MINIMUM {
            return Err(ConnectError::ApiTooOld { endpoint, api: facts.api, minimum: ApiVersion::MINIMUM });
        }
        Ok(facts)
    }
}

/// Connects to the first address of `endpoint` at which an Engine answers.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let mut tried = Vec::new();
    let mut denied = None;
    for address in endpoint.addresses()? {
        let endpoint = address.to_string();
        match attempt(&address).await {
            Ok(client) => return Ok(Connection { client, address }),
            Err(Refusal::Fatal(error)) => return Err(error),
            Err(Refusal::Passed { cause, is_denied }) => {
                if is_denied {
                    denied.get_or_insert(endpoint.clone());
                }
                tried.push(Attempt { endpoint, cause });
            }
        }
    }
    // A socket that exists is the one that was meant, whatever else was tried after it.
    match denied {
        Some(endpoint) => Err(ConnectError::PermissionDenied { endpoint }),
        None => Err(ConnectError::NoEngine { tried }),
    }
}

/// Why an address does not do.
enum Refusal {
    /// Another address may.
    Passed { cause: String, is_denied: bool },
    /// It is the one that was meant, and this is in the way.
    Fatal(ConnectError),
}

impl Refusal {
    fn new(cause: &str) -> Self {
        Self::Passed { cause: cause.to_owned(), is_denied: false }
    }

    /// Returns the error where `endpoint` is the only one that counts.
    fn into_error(self, endpoint: String) -> ConnectError {
        match self {
            Self::Fatal(error) => error,
            Self::Passed { is_denied: true, .. } => ConnectError::PermissionDenied { endpoint },
            Self::Passed { cause, .. } => ConnectError::NoEngine { tried: vec![Attempt { endpoint, cause }] },
        }
    }
}

impl From<Bollard> for Refusal {
    fn from(error: Bollard) -> Self {
        let is_denied = is_permission_denied(&error);
        let failure = EngineFailure::from(error);
        let cause = match (failure.wordless_status(), failure.status) {
            // Every Engine knows what it is asked first.
            (Some(404), _) => "it answers HTTP 404: not a Docker Engine".to_owned(),
            (Some(status), _) => format!("it answers HTTP {status}"),
            (None, Some(status)) => format!("it answers HTTP {status}: {}", failure.message),
            (None, None) => failure.message.to_lowercase(),
        };
        Self::Passed { cause, is_denied }
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self::Fatal(error)
    }
}

/// Asks whether an Engine answers at `address`; returns its client.
async fn attempt(address: &Address) -> Result<bollard::Docker, Refusal> {
    if let Address::Unix(path) = address
        && !exists(path)
    {
        return Err(Refusal::new("no such socket"));
    }
    let patience = if matches!(address, Address::Ssh(_)) { FIRST_ANSWER_OF_SSH } else { FIRST_ANSWER };
    let client = client_of(address)?;
    match client.clone().with_timeout(patience).ping().await {
        Ok(answer) if answer.trim() == "OK" => Ok(client),
        Ok(_) => Err(Refusal::new(NOT_AN_ENGINE)),
        Err(error) => Err(refusal(address, error).await),
    }
}

/// Says why the Engine at `address` gave no answer.
async fn refusal(address: &Address, error: Bollard) -> Refusal {
    let endpoint = address.to_string();
    match address {
        Address::Tcp(_) if error.to_string().contains("HTTP request to an HTTPS server") => {
            ConnectError::TlsMismatch { endpoint, engine_speaks_tls: true }.into()
        }
        Address::Tls(..) => match tls_refusal(address, &error).await {
            Some(refusal) => refusal.into(),
            None => error.into(),
        },
        Address::Ssh(_) => match inside::<SshFailure>(&error) {
            Some(failure) => {
                let (problem, message) = (failure.problem, failure.to_string());
                ConnectError::Ssh { endpoint, problem, message }.into()
            }
            None => error.into(),
        },
        _ => error.into(),
    }
}

async fn tls_refusal(address: &Address, error: &Bollard) -> Option<ConnectError> {
    let Address::Tls(host, tls) = address else {
        return None;
    };
    let cause = if let Some(cause) = inside::<rustls::Error>(error) {
        cause.clone()
    } else {
        let dialer = TlsDialer::load(host, tls).ok()?;
        tokio::time::timeout(REASON, dialer.refusal()).await.ok()??
    };
    let shown = |path: &Path| path.display().to_string();
    let endpoint = address.to_string();
    match TlsFault::of(&cause) {
        TlsFault::ServerUntrusted => {
            let ca = tls.ca.as_deref().map(shown);
            Some(ConnectError::ServerUntrusted { endpoint, ca, cause: cause.to_string() })
        }
        TlsFault::ClientRefused => {
            let certificate = tls.client.as_ref().map(|(certificate, _)| shown(certificate));
            Some(ConnectError::ClientRefused { endpoint, certificate, cause: cause.to_string() })
        }
        TlsFault::NotTls => Some(ConnectError::TlsMismatch { endpoint, engine_speaks_tls: false }),
        TlsFault::Other => None,
    }
}

/// Returns whether something is at `path`; what may not be looked at counts, so that the permission is named.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Makes a client; nothing is sent yet.
///
/// bollard names no version of the API in its calls, so every Engine answers with its own newest.
fn client_of(address: &Address) -> Result<bollard::Docker, Refusal> {
    let version = API_DEFAULT_VERSION;
    let client = match address {
        // bollard takes a socket that it may not look at for one that does not exist.
        #[cfg(unix)]
        Address::Unix(path) => match path.try_exists() {
            Err(error) => Err(error.into()),
            Ok(_) => bollard::Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT_SECONDS, version),
        },
        #[cfg(windows)]
        Address::Pipe(path) => bollard::Docker::connect_with_named_pipe(path, TIMEOUT_SECONDS, version),
        Address::Tcp(host) => bollard::Docker::connect_with_http(host, TIMEOUT_SECONDS, version),
        Address::Tls(host, tls) => {
            transport::client(Dialer::Tls(TlsDialer::load(host, tls)?), TIMEOUT_SECONDS, version)
        }
        Address::Ssh(host) => transport::client(Dialer::Ssh(SshDialer::new(host)), TIMEOUT_SECONDS, version),
        other => Err(Bollard::UnsupportedURISchemeError { uri: other.to_string() }),
    };
    Ok(client?)
}

fn is_permission_denied(error: &Bollard) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Returns the first cause of type `T`. The standard library's error hides what it carries from the chain.
fn inside<T: StdError + 'static>(error: &Bollard) -> Option<&T> {
    causes(error).find_map(|cause| {
        let carried = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.downcast_ref::<T>().or_else(|| carried?.downcast_ref::<T>())
    })
}

fn causes(error: &Bollard) -> impl Iterator<Item = &'_ (dyn StdError + 'static)> {
    // bollard hands on the causes of such an error, but not the error itself.
    let first: &(dyn StdError + 'static) = match error {
        Bollard::IOError { err } => err,
        other => other,
    };
    std::iter::successors(Some(first), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Returns why an endpoint does not do that answers everything with this status line and this text.
    async fn told(status: &str, text: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let endpoint = Endpoint { docker_host: Some(format!("tcp://{address}")), ..Endpoint::default() };
        let error = connect(&endpoint).await.unwrap_err().to_string();
        server.abort();
        error.replace(&address, "host")
    }

    #[tokio::test]
    async fn an_answer_that_is_no_engines_is_told_with_its_status() {
        let told = [
            told("503 Service Unavailable", "").await,
            told("404 Not Found", "").await,
            told("500 Internal Server Error", "The Engine Starts").await,
            told("200 OK", "hello").await,
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        no Engine answers at `tcp://host` (it answers HTTP 503)
        no Engine answers at `tcp://host` (it answers HTTP 404: not a Docker Engine)
        no Engine answers at `tcp://host` (it answers HTTP 500: The Engine Starts)
        no Engine answers at `tcp://host` (what answers is not a Docker Engine)
        ");
    }
}
