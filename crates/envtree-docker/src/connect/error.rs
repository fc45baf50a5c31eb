//! Why no Engine could be reached.

use std::io;

use crate::ssh::SshProblem;
use crate::version::ApiVersion;

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
    /// A file of certificates or keys cannot be read.
    #[error("cannot read certificate file `{path}`")]
    CertificateUnreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of certificates or keys holds something else.
    #[error("certificate file `{path}` cannot be used: {rule}")]
    CertificateInvalid {
        /// The file.
        path: String,
        /// What is wrong with it.
        rule: String,
    },
    /// The Engine does not prove that it is the one that was meant.
    #[error("the certificate of the Engine at `{endpoint}` is not trusted: {cause}")]
    ServerUntrusted {
        /// The endpoint.
        endpoint: String,
        /// The file of the authorities that were asked; absent if it was the system's.
        ca: Option<String>,
        /// What is wrong with the certificate.
        cause: String,
    },
    /// The Engine wants a certificate, and did not take this one.
    #[error("the Engine at `{endpoint}` refuses {}: {cause}", client_words(certificate.as_deref()))]
    ClientRefused {
        /// The endpoint.
        endpoint: String,
        /// The file of the certificate that was shown, if one was.
        certificate: Option<String>,
        /// What the Engine said.
        cause: String,
    },
    /// One side speaks TLS and the other does not.
    #[error("{}", mismatch_words(endpoint, *engine_speaks_tls))]
    TlsMismatch {
        /// The endpoint.
        endpoint: String,
        /// Whether it is the Engine that does.
        engine_speaks_tls: bool,
    },
    /// The way through ssh is barred.
    #[error("cannot reach the Engine at `{endpoint}` through ssh: {message}")]
    Ssh {
        /// The endpoint.
        endpoint: String,
        /// What bars it.
        problem: SshProblem,
        /// What ssh, or the other machine, said.
        message: String,
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
    /// The selected Docker context does not exist.
    #[error("Docker context `{context}`, chosen by {chosen_by}, does not exist")]
    ContextMissing {
        /// The context's name.
        context: String,
        /// What selected it.
        chosen_by: String,
    },
    /// The file of the selected Docker context, or what may be it, cannot be understood.
    #[error("cannot read Docker context `{context}`, chosen by {chosen_by}: `{path}` is broken")]
    ContextUnreadable {
        /// The context's name.
        context: String,
        /// What selected it.
        chosen_by: String,
        /// The first file of a context that cannot be understood, where no other describes this one.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
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

fn client_words(certificate: Option<&str>) -> String {
    certificate.map_or_else(
        || "a client without a certificate".to_owned(),
        |certificate| format!("the certificate `{certificate}`"),
    )
}

fn mismatch_words(endpoint: &str, engine_speaks_tls: bool) -> String {
    if engine_speaks_tls {
        format!("the Engine at `{endpoint}` speaks TLS only, and TLS is not asked for")
    } else {
        format!("what answers at `{endpoint}` does not speak TLS, which is asked for")
    }
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
