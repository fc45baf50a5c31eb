//! Where the Engine is: the endpoint that the `docker` program would use.
//!
//! Docker contexts are read here because bollard ignores them. Where nothing is selected, the usual sockets are named
//! in turn.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::connect::ConnectError;

/// The values that select the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// Whether `DOCKER_TLS` or `DOCKER_TLS_VERIFY` asks for TLS.
    pub tls: bool,
    /// The folder of Docker's `config.json`: `DOCKER_CONFIG`, else `~/.docker`.
    pub config_dir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
}

impl Endpoint {
    /// Takes the values from the environment of this process.
    pub fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        let home = std::env::home_dir();
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS").or(text("DOCKER_TLS_VERIFY")).is_some(),
            config_dir: path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker"))),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            home,
        }
    }

    /// Returns the addresses to try, in order: one if `DOCKER_HOST` or a context selects it, else the usual sockets.
    pub fn addresses(&self) -> Result<Vec<Address>, ConnectError> {
        if let Some(host) = &self.docker_host {
            return Ok(vec![Address::parse(host, self.tls)?]);
        }
        if let Some((context, chosen_by)) = self.context()? {
            let missing = ConnectError::ContextMissing { context: context.clone(), chosen_by };
            let (host, tls) = self.context_host(&context).ok_or(missing)?;
            return Ok(vec![Address::parse(&host, tls)?]);
        }
        Ok(self.default_addresses())
    }

    /// Returns the selected context and what selected it. The context `default` is the absence of one.
    fn context(&self) -> Result<Option<(String, String)>, ConnectError> {
        let selected = match &self.docker_context {
            Some(context) => Some((context.clone(), "`DOCKER_CONTEXT`".to_owned())),
            None => self.current_context()?,
        };
        Ok(selected.filter(|(context, _)| context != "default"))
    }

    fn current_context(&self) -> Result<Option<(String, String)>, ConnectError> {
        let Some(path) = self.config_dir.as_ref().map(|dir| dir.join("config.json")) else {
            return Ok(None);
        };
        let unreadable = |source| ConnectError::ConfigUnreadable { path: path.display().to_string(), source };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let config: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
        let context = config["currentContext"].as_str().filter(|name| !name.is_empty());
        Ok(context.map(|name| (name.to_owned(), format!("`{}`", path.display()))))
    }

    /// Returns the host of a context and whether it comes with certificates.
    ///
    /// Its folder is named after a hash, so each `meta.json` is read until one bears the name.
    fn context_host(&self, context: &str) -> Option<(String, bool)> {
        let contexts = self.config_dir.as_ref()?.join("contexts");
        std::fs::read_dir(contexts.join("meta")).ok()?.flatten().find_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
            let meta: Value = serde_json::from_str(&text).ok()?;
            if meta["Name"] != context {
                return None;
            }
            let host = meta["Endpoints"]["docker"]["Host"].as_str()?;
            let certificates = contexts.join("tls").join(entry.file_name()).join("docker");
            Some((host.to_owned(), certificates.is_dir()))
        })
    }

    fn default_addresses(&self) -> Vec<Address> {
        if cfg!(windows) {
            return ["docker_engine", "dockerDesktopLinuxEngine", "podman-machine-default"]
                .map(|name| Address::Pipe(format!("//./pipe/{name}")))
                .to_vec();
        }
        let in_dir = |dir: &Option<PathBuf>, path: &str| dir.as_ref().map(|dir| dir.join(path));
        [
            Some(PathBuf::from("/var/run/docker.sock")),
            in_dir(&self.runtime_dir, "docker.sock"),
            in_dir(&self.home, ".docker/run/docker.sock"),
            in_dir(&self.home, ".docker/desktop/docker.sock"),
            in_dir(&self.home, ".orbstack/run/docker.sock"),
            in_dir(&self.home, ".colima/default/docker.sock"),
            in_dir(&self.home, ".rd/docker.sock"),
            in_dir(&self.runtime_dir, "podman/podman.sock"),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ]
        .into_iter()
        .flatten()
        .map(Address::Unix)
        .collect()
    }
}

/// An address at which an Engine may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, without encryption.
    Tcp(String),
    /// A named pipe of Windows.
    Pipe(String),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(host) => write!(formatter, "tcp://{host}"),
            Self::Pipe(path) => write!(formatter, "npipe://{path}"),
        }
    }
}

impl Address {
    /// Reads an address as `DOCKER_HOST` gives it; `tls` says that certificates are to be used over TCP.
    pub fn parse(text: &str, tls: bool) -> Result<Self, ConnectError> {
        let unsupported =
            |transport| Err(ConnectError::EndpointUnsupported { endpoint: text.to_owned(), transport });
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(PathBuf::from("/var/run/docker.sock"))),
            "unix" if cfg!(unix) => Ok(Self::Unix(PathBuf::from(rest))),
            "npipe" if cfg!(windows) => Ok(Self::Pipe(rest.to_owned())),
            "tcp" | "http" if tls => unsupported("TCP with TLS"),
            "tcp" | "http" => tcp_host(text, rest.trim_end_matches('/')).map(Self::Tcp),
            "https" => unsupported("TCP with TLS"),
            "ssh" => unsupported("SSH"),
            "npipe" => unsupported("named pipes exist on Windows only"),
            "unix" => unsupported("a unix socket on Windows"),
            _ => Err(ConnectError::EndpointInvalid {
                endpoint: text.to_owned(),
                rule: "it must begin with `unix://`, `tcp://`, `npipe://` or `ssh://`",
            }),
        }
    }
}

/// Returns `host:port`; Docker's default port fills a gap.
fn tcp_host(text: &str, rest: &str) -> Result<String, ConnectError> {
    let host = rest.rsplit_once(':').map_or(
        rest,
        |(host, port)| {
            if port.parse::<u16>().is_ok() { host } else { rest }
        },
    );
    let is_valid = host.starts_with('[') == host.ends_with(']')
        && !rest.contains(['/', '@'])
        && (host.starts_with('[') || !host.contains(':'));
    match (is_valid, host, host == rest) {
        (false, ..) => Err(ConnectError::EndpointInvalid {
            endpoint: text.to_owned(),
            rule: "a TCP endpoint is `tcp://host:port`",
        }),
        (true, "", true) => Ok("localhost:2375".to_owned()),
        (true, _, true) => Ok(format!("{host}:2375")),
        (true, ..) => Ok(rest.to_owned()),
    }
}
