//! One address at which an Engine may answer, and how `DOCKER_HOST` spells it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::connect::ConnectError;
use crate::ssh::SshHost;
use crate::tls::Tls;

/// An address at which an Engine may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, without encryption.
    Tcp(String),
    /// `host:port`, with TLS.
    Tls(String, Tls),
    /// The `docker` program of another machine.
    Ssh(SshHost),
    /// A named pipe of Windows.
    Pipe(String),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => formatter.write_str(&without_password(&format!("unix://{}", path.display()))),
            Self::Tcp(host) | Self::Tls(host, _) => write!(formatter, "tcp://{host}"),
            Self::Ssh(host) => host.fmt(formatter),
            Self::Pipe(path) => formatter.write_str(&without_password(&format!("npipe://{path}"))),
        }
    }
}

impl Address {
    /// Reads an address as `DOCKER_HOST` gives it; with `tls`, TCP is encrypted.
    pub fn parse(text: &str, tls: Option<Tls>) -> Result<Self, ConnectError> {
        let unsupported = |transport| {
            Err(ConnectError::EndpointUnsupported { endpoint: without_password(text), transport })
        };
        let invalid = |rule| ConnectError::EndpointInvalid { endpoint: without_password(text), rule };
        if text.starts_with('/') || text.starts_with("unix:") && !text.starts_with("unix://") {
            return Err(invalid("a socket is `unix:///path/to/socket`"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(PathBuf::from("/var/run/docker.sock"))),
            "unix" if cfg!(unix) => Ok(Self::Unix(PathBuf::from(rest))),
            "npipe" if cfg!(windows) => Ok(Self::Pipe(rest.to_owned())),
            "tcp" | "http" | "https" => {
                let host = tcp_host(rest).map_err(invalid)?;
                Ok(match tls {
                    Some(tls) => Self::Tls(host, tls),
                    None => Self::Tcp(host),
                })
            }
            "ssh" => SshHost::parse(rest).map(Self::Ssh).map_err(invalid),
            "npipe" => unsupported("named pipes exist on Windows only"),
            "unix" => unsupported("a unix socket on Windows"),
            _ => Err(invalid("it must begin with `unix://`, `tcp://`, `npipe://` or `ssh://`")),
        }
    }

    /// Returns the other machine on which the Engine runs, if it is another one.
    ///
    /// An address of this machine's own network cards is this machine: only here can a socket be bound to it. An Engine
    /// that is reached through ssh counts as another machine always, since a tunnel can lead from this one anywhere.
    pub fn remote_host(&self) -> Option<&str> {
        match self {
            Self::Unix(_) | Self::Pipe(_) => None,
            Self::Ssh(host) => Some(host.host()),
            Self::Tcp(address) | Self::Tls(address, _) => {
                let host = host_of(address);
                (!is_this_machine(host)).then_some(host)
            }
        }
    }
}

/// Masks the password of a user in an address; a path has neither.
fn without_password(text: &str) -> String {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |end| end + "://".len()));
    let named = rest.rsplit_once('@').filter(|_| !rest.starts_with('/'));
    match named.and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}{user}:***@{host}"),
        None => text.to_owned(),
    }
}

/// Returns the host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

fn is_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || std::net::UdpSocket::bind((address, 0)).is_ok(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Returns `host:port`; `localhost` and Docker's port fill gaps.
///
/// Docker's client takes the port 2375 for a host that it is given without one, with TLS too.
fn tcp_host(rest: &str) -> Result<String, &'static str> {
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ => (rest, "2375"),
    };
    let is_valid = host.starts_with('[') == host.ends_with(']')
        && !rest.contains(['/', '@'])
        && (host.starts_with('[') || !host.contains(':'));
    match (is_valid, host) {
        (false, _) => Err("a TCP endpoint is `tcp://host:port`"),
        (true, "") => Ok(format!("localhost:{port}")),
        (true, host) => Ok(format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Address::parse(text, None).map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn gaps_are_filled_as_docker_fills_them() {
        let texts = ["tcp://", "localhost", ":77", "127.0.0.1:77", "tcp://[::1]", "tcp://host:1/", "unix://"];
        let addresses = texts.map(parsed);
        assert_eq!(
            addresses,
            [
                "tcp://localhost:2375",
                "tcp://localhost:2375",
                "tcp://localhost:77",
                "tcp://127.0.0.1:77",
                "tcp://[::1]:2375",
                "tcp://host:1",
                "unix:///var/run/docker.sock",
            ]
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_rule() {
        insta::assert_snapshot!(
            ["/run/docker.sock", "unix:/x", "ftp://x", "tcp://a:b:c", "tcp://me@host", "ssh://", "ssh://me:secret@host", "ssh://host?x=1"]
                .map(parsed).join("\n"), @"
        `/run/docker.sock` is not an endpoint: a socket is `unix:///path/to/socket`
        `unix:/x` is not an endpoint: a socket is `unix:///path/to/socket`
        `ftp://x` is not an endpoint: it must begin with `unix://`, `tcp://`, `npipe://` or `ssh://`
        `tcp://a:b:c` is not an endpoint: a TCP endpoint is `tcp://host:port`
        `tcp://me@host` is not an endpoint: a TCP endpoint is `tcp://host:port`
        `ssh://` is not an endpoint: an SSH endpoint is `ssh://[user@]host[:port][/path/to/socket]`
        `ssh://me:***@host` is not an endpoint: it must hold no password; use a key and an agent
        `ssh://host?x=1` is not an endpoint: an SSH endpoint is `ssh://[user@]host[:port][/path/to/socket]`
        ");
    }

    #[test]
    fn a_password_is_shown_in_no_message() {
        for scheme in ["", "unix://", "unix:", "npipe://", "tcp://", "https://", "ssh://", "ftp://"] {
            let shown = parsed(&format!("{scheme}me:pw0rd@x"));
            assert!(!shown.contains("pw0rd") && shown.contains(":***@x"), "{shown}");
            assert!(!parsed(&format!("{scheme}me:pw0@pw0:pw0@x")).contains("pw0"), "{scheme}");
        }
        assert_eq!(parsed("unix:///run/me:1@x"), "unix:///run/me:1@x");
    }

    #[test]
    fn loopback_is_this_machine_and_ssh_is_another() {
        let remote = |text| Address::parse(text, None).unwrap().remote_host().map(str::to_owned);
        for text in ["unix:///x", "tcp://127.0.0.1", "tcp://127.8.8.8:1", "tcp://[::1]:1", "localhost:1"] {
            assert_eq!(remote(text), None, "{text}");
        }
        // TEST-NET-1 belongs to no machine.
        assert_eq!(remote("tcp://192.0.2.1:2376").as_deref(), Some("192.0.2.1"));
        assert_eq!(remote("tcp://build.example").as_deref(), Some("build.example"));
        assert_eq!(remote("ssh://me@localhost:22").as_deref(), Some("localhost"));
    }
}
