//! Connects to the first of an endpoint's addresses at which an Engine answers, and learns its version.

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::{API_DEFAULT_VERSION, ClientVersion};

use crate::endpoint::{Address, Endpoint};
use crate::failure::EngineFailure;
use crate::version::{ApiVersion, EngineFacts, facts, host_kernel};

/// How long the Engine may take to begin an answer.
const TIMEOUT_SECONDS: u64 = 120;
/// How long the first answer of an endpoint may take.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Why no Engine could be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nothing answers at any of the endpoints.
    #[error("no Engine answers at {}", attempts(tried))]
    NoEngine {
        /// The endpoints in the order of the attempts.
        tried: Vec<Attempt>,
    },
    /// The socket exists, but this user may not open it.
    #[error("no permission to open `{endpoint}`")]
    PermissionDenied {
        /// The endpoint.
        endpoint: String,
    },
    /// The Engine does not speak the API that envtree needs.
    #[error("the Engine at `{endpoint}` speaks API {api}, which is older than {minimum}")]
    ApiTooOld {
        /// The endpoint.
        endpoint: String,
        /// The newest version that the Engine speaks.
        api: ApiVersion,
        /// The oldest version that is enough.
        minimum: ApiVersion,
    },
    /// The endpoint uses a way of transport that envtree does not speak.
    #[error("endpoint `{endpoint}` is not supported yet: {transport}")]
    EndpointUnsupported {
        /// The endpoint.
        endpoint: String,
        /// The way of transport.
        transport: &'static str,
    },
    /// The text does not name an endpoint.
    #[error("`{endpoint}` is not an endpoint: {rule}")]
    EndpointInvalid {
        /// The text.
        endpoint: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The selected Docker context does not exist, or names no endpoint.
    #[error("Docker context `{context}`, chosen by {chosen_by}, does not exist or has no endpoint")]
    ContextMissing {
        /// The context's name.
        context: String,
        /// What selected it.
        chosen_by: String,
    },
    /// Docker's `config.json` cannot be read.
    #[error("cannot read `{path}`")]
    ConfigUnreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One endpoint at which no Engine answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: String,
    /// Why it failed, as a lower-case fragment.
    pub cause: String,
}

fn attempts(tried: &[Attempt]) -> String {
    let tried: Vec<String> =
        tried.iter().map(|attempt| format!("`{}` ({})", attempt.endpoint, attempt.cause)).collect();
    tried.join(", ")
}

/// A client of the Engine that answered, and what it said about itself.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: bollard::Docker,
    pub(crate) facts: EngineFacts,
}

/// Connects to the first address of `endpoint` at which an Engine answers; one that is too old ends the search.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    let mut tried = Vec::new();
    let mut denied = None;
    for address in endpoint.addresses()? {
        let endpoint = address.to_string();
        match attempt(&address).await {
            Ok(connection) if connection.facts.api < ApiVersion::MINIMUM => {
                return Err(ConnectError::ApiTooOld {
                    endpoint,
                    api: connection.facts.api,
                    minimum: ApiVersion::MINIMUM,
                });
            }
            Ok(connection) => return Ok(connection),
            Err(Refusal { cause, is_denied }) => {
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

/// Why an address is passed over.
struct Refusal {
    cause: String,
    is_denied: bool,
}

impl Refusal {
    fn new(cause: &str) -> Self {
        Self { cause: cause.to_owned(), is_denied: false }
    }
}

impl From<Bollard> for Refusal {
    fn from(error: Bollard) -> Self {
        Self {
            is_denied: is_permission_denied(&error),
            cause: EngineFailure::from(error).message.to_lowercase(),
        }
    }
}

/// Asks the Engine at `address` for its version.
async fn attempt(address: &Address) -> Result<Connection, Refusal> {
    if let Address::Unix(path) = address
        && !exists(path)
    {
        return Err(Refusal::new("no such socket"));
    }
    let first = client_of(address, API_DEFAULT_VERSION)?.with_timeout(FIRST_ANSWER);
    let answer = first.version().await?;
    let facts = facts(address, answer, host_kernel().as_deref())
        .ok_or_else(|| Refusal::new("what answers is not a Docker Engine"))?;
    Ok(Connection { client: client_of(address, &client_version(facts.api))?, facts })
}

/// Returns whether something is at `path`; what may not be looked at counts, so that the permission is named.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Makes a client; nothing is sent yet.
fn client_of(address: &Address, version: &ClientVersion) -> Result<bollard::Docker, Bollard> {
    match address {
        // bollard takes a socket that it may not look at for one that does not exist.
        #[cfg(unix)]
        Address::Unix(path) => match path.try_exists() {
            Err(error) => Err(error.into()),
            Ok(_) => bollard::Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT_SECONDS, version),
        },
        #[cfg(windows)]
        Address::Pipe(path) => bollard::Docker::connect_with_named_pipe(path, TIMEOUT_SECONDS, version),
        Address::Tcp(host) => bollard::Docker::connect_with_http(host, TIMEOUT_SECONDS, version),
        other => Err(Bollard::UnsupportedURISchemeError { uri: other.to_string() }),
    }
}

fn is_permission_denied(error: &Bollard) -> bool {
    if let Bollard::IOError { err } = error {
        return err.kind() == io::ErrorKind::PermissionDenied;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the newest version that both sides speak.
fn client_version(api: ApiVersion) -> ClientVersion {
    let wanted = ClientVersion { major_version: api.major.into(), minor_version: api.minor.into() };
    if wanted < *API_DEFAULT_VERSION { wanted } else { *API_DEFAULT_VERSION }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_that_was_tried_is_named() {
        let error = ConnectError::NoEngine {
            tried: vec![
                Attempt {
                    endpoint: "unix:///var/run/docker.sock".to_owned(),
                    cause: "no such socket".to_owned(),
                },
                Attempt {
                    endpoint: "unix:///run/podman/podman.sock".to_owned(),
                    cause: "connection refused".to_owned(),
                },
            ],
        };
        insta::assert_snapshot!(error, @"no Engine answers at `unix:///var/run/docker.sock` (no such socket), `unix:///run/podman/podman.sock` (connection refused)");
    }
}
