//! An Engine behind ssh: each connection is the `docker` program of the other machine, run by this one's `ssh`.
//!
//! So the person's configuration of ssh, agent and known hosts count. Nothing is ever asked: nobody may be there.

mod failure;
mod stream;

use std::fmt;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

pub(crate) use failure::SshFailure;
pub use failure::SshProblem;
pub(crate) use stream::SshStream;

/// How many connections are made at once: sshd drops some of those that come while ten are not authenticated.
const AT_ONCE: usize = 6;
/// After this time a connection counts as made, although nothing has come over it.
const MADE: Duration = Duration::from_secs(10);

const RULE: &str = "an SSH endpoint is `ssh://[user@]host[:port][/path/to/socket]`";

/// Another machine, as `ssh://` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: Option<String>,
}

impl fmt::Display for SshHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(formatter, "[{}]", self.host)?;
        } else {
            formatter.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

impl SshHost {
    /// Reads what follows `ssh://`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(['?', '#']) || text.contains(|c: char| c.is_control() || c == ' ') {
            return Err(RULE);
        }
        let (authority, path) = text.find('/').map_or((text, ""), |start| text.split_at(start));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user).filter(|user| !user.is_empty()), address),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("it must hold no password; use a key and an agent");
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().map_err(|_| RULE)?)),
            _ => (address, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(RULE);
        }
        let socket = Some(path).filter(|path| !path.trim_matches('/').is_empty());
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: socket.map(str::to_owned),
        })
    }

    /// Returns the host as ssh knows it, which may be a name of the person's configuration alone.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the arguments of `ssh`, as Docker's client has them, and those by which nothing is ever asked.
    fn arguments(&self) -> Vec<String> {
        // A connection must end without others: it uses one that is shared already, and shares none itself.
        let options = ["BatchMode=yes", "ConnectTimeout=30", "ControlMaster=no"];
        let mut arguments: Vec<String> =
            options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]).collect();
        arguments.push("-T".to_owned());
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend(["--".to_owned(), self.host.clone(), "docker".to_owned()]);
        if let Some(socket) = &self.socket {
            // The other machine's shell reads this.
            let quoted = socket.replace('\'', r"'\''");
            arguments.push(format!("'--host=unix://{quoted}'"));
        }
        arguments.extend(["system".to_owned(), "dial-stdio".to_owned()]);
        arguments
    }
}

/// Opens connections to the Engine of one machine.
#[derive(Debug, Clone)]
pub(crate) struct SshDialer {
    host: SshHost,
    turns: Arc<Semaphore>,
}

impl SshDialer {
    pub(crate) fn new(host: &SshHost) -> Self {
        Self { host: host.clone(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Opens a connection. Whether it can be made shows when it is read from.
    pub(crate) async fn dial(&self) -> io::Result<SshStream> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(io::Error::other)?;
        let mut command = Command::new("ssh");
        command
            .args(self.host.arguments())
            // Its words are read here, and the other shell's too.
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // An interrupt at the terminal is envtree's to deal with: what it does then needs the connection.
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| io::Error::other(SshFailure::not_started(&error)))?;
        let (made, is_made) = oneshot::channel::<()>();
        tokio::spawn(async move {
            // The first byte, or the end of the stream, drops the sender.
            let _ = timeout(MADE, is_made).await;
            drop(turn);
        });
        Ok(SshStream::new(child, made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> SshHost {
        SshHost::parse(text).unwrap()
    }

    #[test]
    fn an_address_survives_being_read() {
        for text in ["host", "me@host", "me@host:22/run/user/1/docker.sock", "[::1]:2222", "a@b@host"] {
            assert_eq!(host(text).to_string(), format!("ssh://{text}"));
        }
        assert_eq!(host("host/").to_string(), "ssh://host");
        assert_eq!(SshHost::parse("host:x"), Err(RULE));
    }

    #[test]
    fn nothing_of_the_address_reaches_a_shell_or_becomes_an_option() {
        let shown = host("-me@-oProxyCommand=x:22/it's/a.sock").arguments().join(" ");
        assert_eq!(
            shown,
            r"-o BatchMode=yes -o ConnectTimeout=30 -o ControlMaster=no -T -l -me -p 22 -- -oProxyCommand=x docker '--host=unix:///it'\''s/a.sock' system dial-stdio"
        );
    }
}
