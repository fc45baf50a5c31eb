//! Chooses host ports: what is wanted, what is held, what is taken → one port each.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use indexmap::IndexMap;

use crate::name::ServiceName;
use crate::project::Project;
use crate::service::{Port, Protocol, Service};

/// What a host port is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// The service or the app.
    pub owner: Owner,
    /// The number of the service's container, from 1; 1 for an app.
    pub replica: u32,
    /// The port that the program listens on.
    pub target: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The position among entries of one owner with the same target and protocol, from 0.
    pub index: u16,
}

impl PortKey {
    /// Reads what [`fmt::Display`] writes of a container's port: `target/protocol/index`.
    pub fn parse(owner: Owner, replica: u32, text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let target = parts.next()?.parse().ok()?;
        let word = parts.next()?;
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .find(|known| known.as_str() == word)?;
        let index = parts.next()?.parse().ok()?;
        Some(Self { owner, replica, target, protocol, index })
    }
}

impl fmt::Display for PortKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.target, self.protocol.as_str(), self.index)
    }
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A service of the Compose project.
    Service(String),
    /// A program on the host, named under `apps:`.
    App(String),
}

/// No port is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no free port is left in {start}-{end}: {wanted} are needed, {held} of the {} are reserved, and programs may listen on others", u32::from(*end) - u32::from(*start) + 1)]
pub struct PortsExhausted {
    /// How many ports are needed together.
    pub wanted: usize,
    /// The first port of the range.
    pub start: u16,
    /// The last port of the range.
    pub end: u16,
    /// How many ports of the range reservations hold.
    pub held: usize,
}

/// Returns whether the Engine publishes the ports of a service of `project`.
///
/// Where all networks of the service are internal, it publishes none of them and says nothing.
pub fn are_published(project: &Project, service: &Service) -> bool {
    let is_internal = |key| project.networks.get(key).is_some_and(|network| network.internal);
    service.networks.is_empty() || !service.networks.keys().all(is_internal)
}

/// Returns a key for every published port of every container of `project`, in the order of the file.
pub fn wanted_by_services(project: &Project) -> Vec<PortKey> {
    let of_service = |(name, service)| {
        let numbers = 1..=Service::replicas(service);
        numbers.flat_map(move |number| wanted_by_container(name, service, number))
    };
    project
        .services
        .iter()
        .filter(|(_, service)| are_published(project, service))
        .flat_map(of_service)
        .collect()
}

/// Returns a key for every entry of a service's `ports`, in their order, for the container of that number.
pub fn wanted_by_container(name: &ServiceName, service: &Service, number: u32) -> Vec<PortKey> {
    let mut same: IndexMap<(u16, Protocol), u16> = IndexMap::new();
    let key = |port: &Port| {
        let next = same.entry((port.target, port.protocol)).or_default();
        let index = *next;
        *next = next.saturating_add(1);
        PortKey {
            owner: Owner::Service(name.to_string()),
            replica: number,
            target: port.target,
            protocol: port.protocol,
            index,
        }
    };
    service.ports.iter().map(key).collect()
}

/// Returns a host port for every key of `wanted`.
///
/// A port that `held` has for a key is kept, so a bookmarked address survives the next `up`. Any other port is the
/// lowest of `range` that is neither in `reserved` nor refused by `is_free`.
pub fn assign(
    wanted: &[PortKey],
    held: &IndexMap<PortKey, u16>,
    range: RangeInclusive<u16>,
    reserved: &BTreeSet<u16>,
    mut is_free: impl FnMut(u16) -> bool,
) -> Result<IndexMap<PortKey, u16>, PortsExhausted> {
    let mut assigned = IndexMap::new();
    let mut candidates =
        range.clone().filter(|port| !reserved.contains(port) && !held.values().any(|h| h == port));
    for key in wanted {
        let port = match held.get(key) {
            Some(port) => *port,
            None => candidates.by_ref().find(|port| is_free(*port)).ok_or_else(|| PortsExhausted {
                wanted: wanted.len(),
                start: *range.start(),
                end: *range.end(),
                held: reserved.range(range.clone()).count() + held.len(),
            })?,
        };
        assigned.insert(key.clone(), port);
    }
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(service: &str, target: u16) -> PortKey {
        PortKey {
            owner: Owner::Service(service.into()),
            replica: 1,
            target,
            protocol: Protocol::Tcp,
            index: 0,
        }
    }

    #[test]
    fn the_lowest_free_ports_are_chosen_in_order() {
        let reserved = BTreeSet::from([20000]);
        let assigned = assign(
            &[key("db", 5432), key("cache", 6379)],
            &IndexMap::new(),
            20000..=29999,
            &reserved,
            |port| port != 20001,
        )
        .unwrap();
        assert_eq!(assigned.values().copied().collect::<Vec<_>>(), [20002, 20003]);
    }

    #[test]
    fn a_held_port_is_kept_when_a_service_is_added_before_it() {
        let held = IndexMap::from([(key("db", 5432), 20000)]);
        let assigned =
            assign(&[key("web", 80), key("db", 5432)], &held, 20000..=29999, &BTreeSet::new(), |_| true)
                .unwrap();
        assert_eq!(assigned[&key("db", 5432)], 20000);
        assert_eq!(assigned[&key("web", 80)], 20001);
    }

    #[test]
    fn an_exhausted_range_is_an_error_with_its_bounds() {
        let reserved = BTreeSet::from([20000]);
        let error = assign(
            &[key("db", 5432), key("cache", 6379)],
            &IndexMap::new(),
            20000..=20001,
            &reserved,
            |_| true,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "no free port is left in 20000-20001: 2 are needed, 1 of the 2 are reserved, and programs may listen on others"
        );
    }
}
