//! A reserved host port that somebody else has, in words for people.

use envtree_core::service::Protocol;

use crate::port_probe::Holder;

/// A reserved host port that somebody else listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPort {
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The service that it is published for.
    pub service: String,
    /// The process that holds it, where that can be told.
    pub holder: Option<Holder>,
    /// The container that publishes it, if one does.
    pub container: Option<String>,
    /// The user of a process of which no more can be told.
    pub user: Option<String>,
    /// The containers that such a process may run in: those that share the host's network.
    pub suspects: Vec<String>,
}

impl TakenPort {
    /// Returns the port as it is told to people; TCP goes without saying.
    pub fn number(&self) -> String {
        match self.protocol {
            Protocol::Tcp => self.port.to_string(),
            other => format!("{}/{}", self.port, other.as_str()),
        }
    }

    /// Returns who holds the port, as far as that can be told.
    pub fn held_by(&self) -> Option<String> {
        match (&self.container, &self.holder) {
            (Some(container), _) => Some(format!("container `{container}`")),
            (None, Some(holder)) => Some(format!("process {} (`{}`)", holder.pid, holder.name)),
            (None, None) => {
                let user = self.user.as_ref()?;
                Some(format!("a process of user `{user}`{}", suspicion(&self.suspects)))
            }
        }
    }
}

fn suspicion(containers: &[String]) -> String {
    match containers {
        [] => String::new(),
        [one] => format!(", perhaps in container `{one}`, which shares the host's network"),
        several => {
            format!(
                ", perhaps in one of the containers that share the host's network: `{}`",
                several.join("`, `")
            )
        }
    }
}

/// Returns the ports and who holds them, as one sentence.
pub(super) fn taken_ports(taken: &[TakenPort]) -> String {
    let one = |port: &TakenPort| {
        let holder = port.held_by().unwrap_or_else(|| "another process".to_owned());
        format!("port {}, reserved for service `{}`, is taken by {holder}", port.number(), port.service)
    };
    taken.iter().map(one).collect::<Vec<_>>().join("; ")
}
