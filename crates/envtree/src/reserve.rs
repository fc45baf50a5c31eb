//! Reserves host ports and subnets for an environment, in its record.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use envtree_core::isolate::needs_subnet;
use envtree_core::name::NetworkName;
use envtree_core::observed::ObservedState;
use envtree_core::port::{Owner, PortKey, assign};
use envtree_core::service::Protocol;
use envtree_core::settings::machine::MachineSettings;
use envtree_core::subnet::{Subnet, choose};

use crate::environment::{Definition, wanted_ports};
use crate::error::Error;
use crate::port_probe;
use crate::state::State;
use crate::state::record::{EnvironmentRecord, PortReservation, SubnetReservation};
use crate::taken::{describe, strangers_port};

/// What a reservation depends on besides the record.
pub(crate) struct Circumstances<'a> {
    /// What the environment wants.
    pub(crate) definition: &'a Definition,
    /// What the Engine has.
    pub(crate) observed: &'a ObservedState,
    /// The IPv4 routes of the host.
    pub(crate) routes: &'a [Subnet],
    /// The machine's range of ports and pool of subnets.
    pub(crate) machine: &'a MachineSettings,
    /// What is done about a reserved port that a stranger took.
    pub(crate) taken: TakenPolicy,
    /// Ports that the Engine could not publish a moment ago: they are taken, whatever can be seen from here.
    pub(crate) refused: &'a BTreeSet<u16>,
    /// The ports that containers publish on the other machine, if the Engine runs on one: this one's do not count then.
    pub(crate) remote_ports: Option<&'a BTreeSet<u16>>,
}

/// What is done about a reserved port that a stranger took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenPolicy {
    /// It stays reserved: nothing is started.
    Keep,
    /// It is an error.
    Refuse,
    /// It is replaced by another.
    Reassign,
}

/// Completes the reservations of `record`; what it holds, it keeps.
///
/// `state` holds the reservations of all others, so the caller holds its lock, or only wants to know.
pub(crate) fn reserve(
    record: &mut EnvironmentRecord,
    state: &State,
    on: &Circumstances<'_>,
) -> Result<(), Error> {
    reserve_names(record, state, on)?;
    reserve_ports(record, state, on)?;
    reserve_subnets(record, state, on)
}

/// Notes the services, unless a container of another environment has the name that one of these would have.
///
/// Compose's names leave that open: service `web-db` of `shop-fix` and service `db` of `shop-fix-web` share one.
fn reserve_names(record: &mut EnvironmentRecord, state: &State, on: &Circumstances<'_>) -> Result<(), Error> {
    let services: Vec<String> =
        on.definition.wanted.project.services.keys().map(ToString::to_string).collect();
    let name = |project: &str, service: &String| format!("{project}-{service}");
    for other in state.environments.iter().filter(|other| other.project != record.project) {
        let theirs: Vec<String> =
            other.services.iter().map(|service| name(&other.project, service)).collect();
        let shared =
            services.iter().map(|service| name(&record.project, service)).find(|own| theirs.contains(own));
        if let Some(shared) = shared {
            return Err(Error::NameTaken {
                container: format!("{shared}-1"),
                project: other.project.to_string(),
            });
        }
    }
    record.services = services;
    Ok(())
}

fn reserve_ports(record: &mut EnvironmentRecord, state: &State, on: &Circumstances<'_>) -> Result<(), Error> {
    let wanted = wanted_ports(on.definition);
    refuse_too_many(&wanted, on)?;
    let mut reserved: BTreeSet<u16> = state.ports_of_others(&record.project);
    if let Some(published) = on.remote_ports {
        reserved.extend(published);
    }
    let taken = match on.taken {
        TakenPolicy::Keep => Vec::new(),
        TakenPolicy::Refuse | TakenPolicy::Reassign => taken_ports(record, &wanted, on),
    };
    if !taken.is_empty() && on.taken == TakenPolicy::Refuse {
        return Err(Error::PortsTaken(taken.iter().map(describe).collect()));
    }
    record.ports.retain(|reservation| !taken.contains(reservation));
    reserved.extend(taken.iter().map(|reservation| reservation.published));
    reserved.extend(on.refused);
    let has_udp = wanted.iter().any(|key| key.protocol == Protocol::Udp);
    let is_free_here = |port| {
        port_probe::is_free(port, Protocol::Tcp) && (!has_udp || port_probe::is_free(port, Protocol::Udp))
    };
    let held = record.held_ports();
    // The programs behind apps run here, wherever the Engine is.
    let (apps, services): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|key| matches!(key.owner, Owner::App(_)));
    let range = || on.machine.port_range.clone();
    let is_free = |port| on.remote_ports.is_some() || is_free_here(port);
    let mut assigned = assign(&services, &held, range(), &reserved, is_free)?;
    reserved.extend(assigned.values());
    assigned.extend(assign(&apps, &held, range(), &reserved, is_free_here)?);
    for (key, published) in assigned {
        let address = address_of(&key, on.definition);
        if let Some(kept) = record.ports.iter_mut().find(|reservation| reservation.key() == key) {
            kept.address = address;
        } else {
            let PortKey { owner, replica, target, protocol, index } = key;
            let reservation = PortReservation { owner, replica, target, protocol, index, address, published };
            record.ports.push(reservation);
        }
    }
    Ok(())
}

/// Refuses more ports than the range has.
fn refuse_too_many(wanted: &[PortKey], on: &Circumstances<'_>) -> Result<(), Error> {
    let range = &on.machine.port_range;
    if wanted.len() <= range.len() {
        return Ok(());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in wanted {
        if let Owner::Service(name) = &key.owner {
            *counts.entry(name).or_default() += 1;
        }
    }
    let service = counts.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name);
    let places = &on.definition.wanted.places;
    Err(Error::TooManyPorts {
        place: service.and_then(|name| places.key(name, "ports")).cloned(),
        service: service.map(str::to_owned),
        needed: wanted.len(),
        start: *range.start(),
        end: *range.end(),
    })
}

/// Returns the host address that a port is published on.
fn address_of(key: &PortKey, definition: &Definition) -> IpAddr {
    let Owner::Service(name) = &key.owner else {
        return IpAddr::V4(Ipv4Addr::LOCALHOST);
    };
    let ports = definition.wanted.project.services.get(name.as_str()).map(|service| &service.ports);
    let port = ports.and_then(|ports| {
        let mut same = ports.iter().filter(|port| port.target == key.target && port.protocol == key.protocol);
        same.nth(key.index.into())
    });
    let address = port.and_then(|port| port.host_ip.as_deref()?.parse().ok());
    address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Returns the held ports of services that somebody else listens on.
///
/// On another machine, that is what its containers publish. What else is taken there shows only when the Engine refuses
/// to publish it. It may be free again by now, so such a port is given up on request, and no reason to refuse.
///
/// The ports of a container that runs are taken by itself, and those of apps by the person's own programs as a rule: one
/// that a program elsewhere has is given up on request, and no reason to refuse either.
fn taken_ports(
    record: &EnvironmentRecord,
    wanted: &[PortKey],
    on: &Circumstances<'_>,
) -> Vec<PortReservation> {
    let is_held = |reservation: &PortReservation| {
        on.refused.contains(&reservation.published)
            || match on.remote_ports {
                None => !port_probe::is_free(reservation.published, reservation.protocol),
                Some(published) => published.contains(&reservation.published),
            }
    };
    let is_running = |service: &str, number| {
        let mut containers = on.observed.containers.iter().filter(|container| container.is_active());
        containers.any(|container| {
            container.service() == Some(service)
                && container.number() == number
                && record.names(&container.labels)
        })
    };
    let is_taken = |reservation: &&PortReservation| match &reservation.owner {
        Owner::Service(service) => {
            wanted.contains(&reservation.key())
                && !is_running(service, reservation.replica)
                && is_held(reservation)
        }
        Owner::App(_) => {
            on.taken == TakenPolicy::Reassign && strangers_port(reservation, &record.worktree).is_some()
        }
    };
    record.ports.iter().filter(is_taken).cloned().collect()
}

fn reserve_subnets(
    record: &mut EnvironmentRecord,
    state: &State,
    on: &Circumstances<'_>,
) -> Result<(), Error> {
    let (own, others): (Vec<_>, Vec<_>) =
        on.observed.networks.iter().partition(|network| record.names(&network.labels));
    let parsed = |subnet: &String| subnet.parse::<Subnet>().ok();
    let made: Vec<Subnet> =
        own.iter().flat_map(|network| network.subnets.iter().filter_map(parsed)).collect();
    let mut taken: Vec<Subnet> =
        others.iter().flat_map(|network| network.subnets.iter().filter_map(parsed)).collect();
    taken.extend(state.subnets_of_others(&record.project));
    // The route to a network of the environment itself is no obstacle, nor to one that the Engine is still making for a
    // command that was cut off: on another subnet it would make a second one of that name, and refuse both.
    let held: Vec<Subnet> = record.subnets.iter().map(|held| held.subnet).collect();
    let is_own = |route: &Subnet| made.contains(route) || record.unsettled.is_some() && held.contains(route);
    taken.extend(on.routes.iter().filter(|route| !is_own(route)));
    let project = &on.definition.wanted.project;
    let wanted: Vec<&NetworkName> =
        project.networks.iter().filter(|(_, network)| needs_subnet(network)).map(|(key, _)| key).collect();
    // A subnet is a promise to nobody: one that overlaps another meanwhile gives way, unless its network exists.
    record
        .subnets
        .retain(|held| made.contains(&held.subnet) || !taken.iter().any(|other| other.overlaps(held.subnet)));
    for key in wanted {
        if record.subnet(key).is_some() {
            continue;
        }
        taken.extend(record.subnets.iter().map(|held| held.subnet));
        let (pools, size) = (&on.machine.network_pools, on.machine.network_size);
        let subnet = pools.iter().find_map(|pool| choose(*pool, size, &taken));
        let subnet = subnet.ok_or_else(|| Error::SubnetsExhausted { pools: pools.clone(), size })?;
        record.subnets.push(SubnetReservation { network: key.to_string(), subnet });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
