//! TLS with an Engine: whose certificates count, and which the person shows.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connect::ConnectError;
use crate::endpoint::host_of;
use crate::file;

/// How TLS is spoken with an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities of which one must vouch for the Engine; the system's if absent.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the Engine, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether the Engine must prove who it is.
    pub verify: bool,
}

impl Tls {
    /// Takes `ca.pem`, `cert.pem` and `key.pem` of a folder, as far as they exist; the last two count together alone.
    pub fn in_folder(folder: &Path, verify: bool) -> Self {
        // A file that may not be looked at counts, so that its name is in the error.
        let existing = |name: &str| Some(folder.join(name)).filter(|path| path.try_exists().unwrap_or(true));
        Self { ca: existing("ca.pem"), client: existing("cert.pem").zip(existing("key.pem")), verify }
    }

    /// Reads the files.
    fn load(&self) -> Result<ClientConfig, ConnectError> {
        let provider = Arc::new(ring::default_provider());
        // Read even where it is not used: Docker's client refuses a folder without it.
        let roots = self.ca.as_deref().map(roots_of).transpose()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions");
        let builder = if self.verify {
            builder.with_root_certificates(roots.unwrap_or_else(roots_of_system))
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        };
        let Some((cert, key)) = &self.client else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(cert)?;
        let secret = read_pem(key)
            .and_then(|pem| PrivateKeyDer::from_pem_slice(&pem))
            .map_err(|error| unusable(key, "private key", error))?;
        builder.with_client_auth_cert(chain, secret).map_err(|error| ConnectError::CertificateInvalid {
            path: cert.display().to_string(),
            rule: format!("it does not fit its key `{}`: {error}", key.display()),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let wrong = |error| unusable(path, "certificate", error);
    let pem = read_pem(path).map_err(wrong)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() { Err(wrong(PemError::NoItemsFound)) } else { Ok(found) }
}

fn read_pem(path: &Path) -> Result<Vec<u8>, PemError> {
    file::read(path).map_err(PemError::Io)
}

fn roots_of(path: &Path) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| ConnectError::CertificateInvalid {
            path: path.display().to_string(),
            rule: format!("it holds a certificate that cannot be used: {error}"),
        })?;
    }
    Ok(roots)
}

fn roots_of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read vouches for nobody: the handshake then says that the issuer is unknown.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Says what is wrong with a file that ought to hold a `thing`.
fn unusable(path: &Path, thing: &'static str, error: PemError) -> ConnectError {
    let path = path.display().to_string();
    match error {
        PemError::Io(source) => ConnectError::CertificateUnreadable { path, source },
        PemError::NoItemsFound => ConnectError::CertificateInvalid {
            path,
            rule: format!("it holds no {thing} in PEM, unencrypted"),
        },
        error => ConnectError::CertificateInvalid { path, rule: error.to_string() },
    }
}

/// Opens connections with TLS to one address.
#[derive(Clone)]
pub(crate) struct TlsDialer {
    address: String,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for TlsDialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsDialer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TlsDialer {
    /// Reads the certificates for `host:port`; nothing is sent yet.
    pub(crate) fn load(address: &str, tls: &Tls) -> Result<Self, ConnectError> {
        let name = ServerName::try_from(host_of(address).to_owned()).map_err(|_| {
            let endpoint = format!("tcp://{address}");
            ConnectError::EndpointInvalid { endpoint, rule: "its host is neither a name nor an address" }
        })?;
        Ok(Self { address: address.to_owned(), name, config: Arc::new(tls.load()?) })
    }

    /// Returns `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection, over which both sides have agreed on keys.
    pub(crate) async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address.as_str()).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await
    }

    /// Returns why the Engine closes connections, if it says so in TLS.
    ///
    /// With TLS 1.3 it refuses a client's certificate only after the client takes the handshake for done. A request that
    /// is already on its way then fails as a broken connection, so this one sends nothing and listens.
    pub(crate) async fn refusal(&self) -> Option<rustls::Error> {
        let error = match self.dial().await {
            Ok(mut stream) => stream.read_u8().await.err()?,
            Err(error) => error,
        };
        error.get_ref()?.downcast_ref::<rustls::Error>().cloned()
    }
}

/// Why TLS with an Engine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The Engine's certificate is not what was asked for.
    ServerUntrusted,
    /// The Engine wants another certificate of the client, or one at all.
    ClientRefused,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

impl TlsFault {
    pub(crate) fn of(error: &rustls::Error) -> Self {
        use AlertDescription as Alert;
        match error {
            rustls::Error::InvalidCertificate(_) => Self::ServerUntrusted,
            rustls::Error::AlertReceived(
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                // TLS 1.2 has no word of its own for a certificate that is missing.
                | Alert::HandshakeFailure
                | Alert::NoCertificate,
            ) => Self::ClientRefused,
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

/// Takes the Engine for whoever it says it is, as `DOCKER_TLS` without verification asks.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let error = |tls: &Tls| {
            let error = tls.load().unwrap_err().to_string();
            error.replace(folder.path().to_str().unwrap(), "~")
        };
        let missing = Tls { ca: Some(path("ca.pem")), client: None, verify: true };
        assert_eq!(error(&missing), "cannot read certificate file `~/ca.pem`");
        std::fs::write(path("ca.pem"), "no certificate\n").unwrap();
        let empty = "certificate file `~/ca.pem` cannot be used: it holds no certificate in PEM, unencrypted";
        assert_eq!(error(&missing), empty);
        // Docker's client reads it although it trusts any Engine.
        assert_eq!(error(&Tls { verify: false, ..missing }), empty);
        let client = Some((path("ca.pem"), path("key.pem")));
        assert_eq!(error(&Tls { ca: None, client, verify: false }), empty);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_no_file_of_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("ca.pem");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let pair = Some((pipe.clone(), pipe.clone()));
        for tls in [
            Tls { ca: Some(pipe.clone()), client: None, verify: true },
            Tls { ca: None, client: pair, verify: true },
        ] {
            let error = tls.load().unwrap_err();
            assert!(matches!(error, ConnectError::CertificateUnreadable { .. }), "{error}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_no_client_certificate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), "").unwrap();
        assert_eq!(Tls::in_folder(folder.path(), true), Tls { ca: None, client: None, verify: true });
    }
}
