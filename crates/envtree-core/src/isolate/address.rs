//! Moves what a file fixes of a network's addresses into the environment's own subnets.
//!
//! An address keeps its place behind the start of the subnet. One that has no place in the smaller subnet gets one in
//! its upper half, which follows from the address alone unless it is taken. An IPv6 address keeps its last 64 bits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use crate::name::{NetworkName, ServiceName};
use crate::project::{IpamPool, Network};
use crate::service::Service;
use crate::subnet::Subnet;

/// Where the addresses of one network go.
pub(super) struct AddressMap<'a> {
    pub(super) key: &'a NetworkName,
    own: Subnet,
    /// The first 64 bits of the own IPv6 network, absent where the network has none.
    own_v6: Option<u64>,
    /// The IPv4 subnets of the file.
    from: Vec<Subnet>,
    /// The IPv6 subnets of the file: the bits that all their addresses share, and which these are.
    from_v6: Vec<(u128, u128)>,
    /// Where the addresses of services went.
    given: BTreeMap<IpAddr, IpAddr>,
}

impl<'a> AddressMap<'a> {
    /// Returns the map of a network whose own subnet is `own`, and whose name on the Engine is `name`.
    pub(super) fn new(key: &'a NetworkName, network: &Network, own: Subnet, name: &str) -> Self {
        let subnets = || network.ipam.iter().filter_map(|pool| pool.subnet.as_deref());
        let own_v6 = network.enable_ipv6.then(|| unique_local_prefix(name));
        let from = subnets().filter_map(|subnet| subnet.parse().ok()).collect();
        let from_v6 = subnets().filter_map(parse_v6).collect();
        Self { key, own, own_v6, from, from_v6, given: BTreeMap::new() }
    }

    /// Returns where the address of a service went; `None` if no service of the file has it, or has it no more.
    pub(super) fn given(&self, address: IpAddr) -> Option<IpAddr> {
        self.given.get(&address).copied()
    }

    /// Returns where an address of the file's subnets belongs; `None` if it is in none of them, or has no place.
    pub(super) fn place_of(&self, address: IpAddr) -> Option<IpAddr> {
        let moved = || self.moved(&address.to_string())?.parse().ok();
        self.given(address).or_else(|| moved().filter(|_| self.contains(address)))
    }

    /// Returns whether an address lies in a subnet of the file and not in the environment's own.
    pub(super) fn replaces(&self, address: IpAddr) -> bool {
        let is_own = match address {
            IpAddr::V4(address) => self.own.contains(address),
            IpAddr::V6(address) => self.own_v6.is_some_and(|own| address.to_bits() >> 64 == u128::from(own)),
        };
        self.contains(address) && !is_own
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.from.iter().any(|from| from.contains(address)),
            IpAddr::V6(address) => {
                self.from_v6.iter().any(|(shared, mask)| address.to_bits() & mask == *shared)
            }
        }
    }

    /// Says what becomes of the subnets that the file fixes, which cannot be those of two environments.
    pub(super) fn warnings_of_subnets(&self, network: &Network) -> Vec<String> {
        let fixed = network.ipam.iter().filter_map(|pool| pool.subnet.as_deref());
        let (v6, v4): (Vec<&str>, Vec<&str>) = fixed.partition(|subnet| subnet.contains(':'));
        let own_v4 = (network.enable_ipv4 != Some(false)).then(|| self.own.to_string());
        let kinds = [("enable_ipv4", v4, own_v4), ("enable_ipv6", v6, self.subnet_v6())];
        kinds
            .into_iter()
            .filter_map(|(switch, fixed, own)| self.warning_of_subnets(switch, &fixed, own.as_deref()))
            .collect()
    }

    /// Says what becomes of subnets of one kind, whose addresses the network has only if `switch` is on.
    fn warning_of_subnets(&self, switch: &str, fixed: &[&str], own: Option<&str>) -> Option<String> {
        let replaced: Vec<&str> = fixed.iter().copied().filter(|fixed| Some(*fixed) != own).collect();
        let (last, others) = replaced.split_last()?;
        let replaced =
            if others.is_empty() { (*last).to_owned() } else { format!("{} and {last}", others.join(", ")) };
        let key = self.key;
        Some(match own {
            Some(own) => {
                format!("network `{key}` has subnet {own} instead of {replaced}; addresses in it move along")
            }
            None => format!("network `{key}`: subnet {replaced} is left out, because `{switch}` is not on"),
        })
    }

    /// Moves the addresses of all services.
    pub(super) fn move_addresses(
        &mut self,
        services: &mut IndexMap<ServiceName, Service>,
        warnings: &mut Vec<String>,
    ) {
        let wanted: Vec<Ipv4Addr> = services
            .values()
            .filter_map(|service| service.networks.get(self.key)?.ipv4_address.as_deref()?.parse().ok())
            .collect();
        let places = self.places(&wanted);
        self.given.extend(places.iter().map(|(from, to)| (IpAddr::V4(*from), IpAddr::V4(*to))));
        for (name, service) in services {
            let Some(attachment) = service.networks.get_mut(self.key) else {
                continue;
            };
            if let Some(address) = attachment.ipv4_address.take() {
                let place = address.parse().ok().and_then(|address| places.get(&address));
                attachment.ipv4_address = place.map(ToString::to_string);
                match place {
                    Some(moved) if self.transplanted(&address).is_none() => warnings.push(format!(
                        "service `{name}`: the address {address} has no place in the environment's own subnet of network `{}`; it becomes {moved}",
                        self.key
                    )),
                    Some(_) => {}
                    None => warnings.push(self.left_out(name, &address)),
                }
            }
            if let Some(address) = attachment.ipv6_address.take() {
                attachment.ipv6_address = self.moved_v6(&address);
                match attachment.ipv6_address.as_deref().and_then(|moved| moved.parse().ok()) {
                    Some(moved) => self.given.extend(address.parse().map(|address: IpAddr| (address, moved))),
                    None => warnings.push(self.left_out(name, &address)),
                }
            }
        }
    }

    fn left_out(&self, service: &ServiceName, address: &str) -> String {
        format!(
            "service `{service}`: the address {address} on network `{}` is left out; the Engine chooses one",
            self.key
        )
    }

    /// Returns where each address goes: first those that keep their place, then the others.
    fn places(&self, wanted: &[Ipv4Addr]) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
        let kept = |address: &Ipv4Addr| Some((*address, self.transplanted(&address.to_string())?));
        let mut places: BTreeMap<_, _> = wanted.iter().filter_map(kept).collect();
        let mut taken: BTreeSet<Ipv4Addr> = places.values().copied().collect();
        for address in wanted {
            if places.contains_key(address) {
                continue;
            }
            if let Some(free) = self.candidates(*address).find(|candidate| !taken.contains(candidate)) {
                places.insert(*address, free);
                taken.insert(free);
            }
        }
        places
    }

    /// Returns the hosts of the upper half, from a place that follows from `address`.
    fn candidates(&self, address: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
        let last = u32::from(self.own.last_host());
        // The first address is the network's, the next one the gateway's.
        let lowest = u32::from(self.own.first()) + 2;
        let half = (last.saturating_sub(lowest) / 2).max(1);
        let hash = Sha256::digest(address.octets());
        let start = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % half;
        (0..half).map(move |step| Ipv4Addr::from(last - (start + step) % half))
    }

    fn transplanted(&self, address: &str) -> Option<Ipv4Addr> {
        let address: Ipv4Addr = address.parse().ok()?;
        self.from.iter().find_map(|from| self.own.transplant(address, *from))
    }

    fn moved_v6(&self, address: &str) -> Option<String> {
        let address: Ipv6Addr = address.parse().ok()?;
        let [.., a, b, c, d] = address.segments();
        Some(with_suffix(self.own_v6?, [a, b, c, d]).to_string())
    }

    fn subnet_v6(&self) -> Option<String> {
        self.own_v6.map(|prefix| format!("{}/64", with_suffix(prefix, [0; 4])))
    }

    /// Replaces the pools of the file by the environment's own.
    pub(super) fn move_pools(&self, network: &mut Network, warnings: &mut Vec<String>) {
        let pools = std::mem::take(&mut network.ipam);
        let (mut v4, mut v6) = (IpamPool::default(), IpamPool::default());
        v4.subnet = Some(self.own.to_string());
        v6.subnet = self.subnet_v6();
        for pool in &pools {
            self.move_pool(pool, &mut v4, &mut v6, warnings);
        }
        if network.enable_ipv4 != Some(false) {
            network.ipam.push(v4);
        }
        if self.own_v6.is_some() {
            network.ipam.push(v6);
        }
    }

    fn move_pool(&self, pool: &IpamPool, v4: &mut IpamPool, v6: &mut IpamPool, warnings: &mut Vec<String>) {
        let mut left_out = |what: &str, value: &str| {
            warnings.push(format!(
                "network `{}`: the {what} {value} has no place in the environment's own subnet and is left out",
                self.key
            ));
        };
        if let Some(gateway) = &pool.gateway {
            match self.moved(gateway) {
                Some(moved) if moved.contains(':') => v6.gateway = Some(moved),
                Some(moved) => v4.gateway = Some(moved),
                None => left_out("gateway", gateway),
            }
        }
        if let Some(range) = &pool.ip_range {
            match self.moved_range(range) {
                Some(moved) => v4.ip_range = Some(moved),
                None => left_out("range", range),
            }
        }
        for (name, address) in &pool.aux_addresses {
            match self.moved(address) {
                Some(moved) if moved.contains(':') => drop(v6.aux_addresses.insert(name.clone(), moved)),
                Some(moved) => drop(v4.aux_addresses.insert(name.clone(), moved)),
                None => left_out("address", address),
            }
        }
    }

    fn moved(&self, address: &str) -> Option<String> {
        match address.parse().ok()? {
            IpAddr::V4(_) => self.transplanted(address).map(|moved| moved.to_string()),
            IpAddr::V6(_) => self.moved_v6(address),
        }
    }

    /// Returns a range that keeps its size and its place.
    fn moved_range(&self, range: &str) -> Option<String> {
        let range: Subnet = range.parse().ok()?;
        let first = self.transplanted(&range.first().to_string())?;
        let moved = Subnet::new(first, range.prefix())?;
        (range.prefix() >= self.own.prefix() && moved.first() == first).then(|| moved.to_string())
    }
}

/// Returns the first half of the IPv6 network of a name: bits of its hash below `fd00::/8` (RFC 4193), so that no pool
/// is needed.
fn unique_local_prefix(name: &str) -> u64 {
    let hash = Sha256::digest(name);
    u64::from_be_bytes([0xfd, hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6]])
}

/// Returns the bits that the addresses of an IPv6 network share, and which these are.
fn parse_v6(subnet: &str) -> Option<(u128, u128)> {
    let (address, prefix) = subnet.split_once('/')?;
    let (address, prefix): (Ipv6Addr, u32) = (address.parse().ok()?, prefix.parse().ok()?);
    let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
    Some((address.to_bits() & mask, mask))
}

fn with_suffix(prefix: u64, suffix: [u16; 4]) -> Ipv6Addr {
    let low = suffix.iter().fold(0_u64, |low, part| low << 16 | u64::from(*part));
    Ipv6Addr::from(u128::from(prefix) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Attachment;

    fn network(pools: &[&str]) -> Network {
        let pool = |subnet: &&str| IpamPool { subnet: Some((*subnet).to_owned()), ..IpamPool::default() };
        Network { ipam: pools.iter().map(pool).collect(), enable_ipv6: true, ..Network::default() }
    }

    /// Returns where services go that fix these addresses, and what is said about it.
    fn moved(network: &Network, addresses: &[&str]) -> (Vec<String>, Vec<String>) {
        let key = NetworkName::new("back").unwrap();
        let mut services = IndexMap::new();
        for (index, address) in addresses.iter().enumerate() {
            let mut attachment = Attachment::default();
            if address.contains(':') {
                attachment.ipv6_address = Some((*address).to_owned());
            } else {
                attachment.ipv4_address = Some((*address).to_owned());
            }
            let networks = IndexMap::from([(key.clone(), attachment)]);
            let name = ServiceName::new(format!("s{index}")).unwrap();
            services.insert(name, Service { networks, ..Service::default() });
        }
        let mut warnings = Vec::new();
        let own = "10.214.0.64/26".parse().unwrap();
        AddressMap::new(&key, network, own, "shop_back").move_addresses(&mut services, &mut warnings);
        let address = |service: &Service| {
            let attachment = &service.networks["back"];
            attachment.ipv4_address.clone().or(attachment.ipv6_address.clone()).unwrap_or_default()
        };
        (services.values().map(address).collect(), warnings)
    }

    #[test]
    fn addresses_keep_their_place_or_get_one_in_the_upper_half() {
        let (moved, warnings) = moved(
            &network(&["172.28.0.0/16"]),
            &["172.28.0.7", "172.28.9.9", "172.28.0.62", "172.28.1.1", "172.28.9.9"],
        );
        assert_eq!(moved[0], "10.214.0.71");
        assert_eq!(moved[2], "10.214.0.126");
        assert_eq!(moved[1], moved[4]);
        assert_ne!(moved[1], moved[3]);
        let own: Subnet = "10.214.0.96/27".parse().unwrap();
        assert!(moved[1..].iter().all(|address| own.contains(address.parse().unwrap())), "{moved:?}");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(
            warnings[0].ends_with(&format!("of network `back`; it becomes {}", moved[1])),
            "{warnings:?}"
        );
    }

    #[test]
    fn an_ipv6_address_keeps_its_last_half() {
        let (moved, warnings) = moved(&network(&["2001:db8::/64"]), &["2001:db8::1:2"]);
        assert!(moved[0].starts_with("fd") && moved[0].ends_with("::1:2"), "{moved:?}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn each_subnet_is_said_to_be_replaced_by_the_one_of_its_kind() {
        let key = NetworkName::new("back").unwrap();
        let said = |network: &Network| {
            let own = "10.214.0.64/26".parse().unwrap();
            AddressMap::new(&key, network, own, "shop_back").warnings_of_subnets(network).join("\n")
        };
        let mut both = network(&["fd00::/64", "172.28.0.0/16", "172.29.0.0/16"]);
        insta::assert_snapshot!(said(&both), @"
        network `back` has subnet 10.214.0.64/26 instead of 172.28.0.0/16 and 172.29.0.0/16; addresses in it move along
        network `back` has subnet fd7b:1c8e:44f8:5076::/64 instead of fd00::/64; addresses in it move along
        ");
        (both.enable_ipv4, both.enable_ipv6) = (Some(false), false);
        insta::assert_snapshot!(said(&both), @"
        network `back`: subnet 172.28.0.0/16 and 172.29.0.0/16 is left out, because `enable_ipv4` is not on
        network `back`: subnet fd00::/64 is left out, because `enable_ipv6` is not on
        ");
        assert_eq!(said(&network(&["10.214.0.64/26"])), "");
    }

    #[test]
    fn pools_move_with_what_they_hold_as_far_as_it_fits() {
        let key = NetworkName::new("back").unwrap();
        let mut network = network(&["172.28.0.0/16", "2001:db8::/64"]);
        network.ipam[0].gateway = Some("172.28.0.1".into());
        network.ipam[0].ip_range = Some("172.28.0.32/27".into());
        network.ipam[0].aux_addresses =
            IndexMap::from([("near".into(), "172.28.0.5".into()), ("far".into(), "172.28.5.5".into())]);
        network.ipam[1].gateway = Some("2001:db8::1".into());
        let mut warnings = Vec::new();
        let own = "10.214.0.64/26".parse().unwrap();
        AddressMap::new(&key, &network.clone(), own, "shop_back").move_pools(&mut network, &mut warnings);
        let [v4, v6] = network.ipam.as_slice() else { panic!("{:?}", network.ipam) };
        assert_eq!(v4.subnet.as_deref(), Some("10.214.0.64/26"));
        assert_eq!(v4.gateway.as_deref(), Some("10.214.0.65"));
        assert_eq!(v4.ip_range.as_deref(), Some("10.214.0.96/27"));
        assert_eq!(v4.aux_addresses["near"], "10.214.0.69");
        assert!(v6.gateway.as_deref().is_some_and(|gateway| gateway.starts_with("fd")), "{v6:?}");
        assert_eq!(
            warnings,
            [
                "network `back`: the address 172.28.5.5 has no place in the environment's own subnet and is left out"
            ]
        );
    }
}
