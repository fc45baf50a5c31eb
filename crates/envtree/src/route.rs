//! Reads the IPv4 routes of the host, so that no environment's network covers addresses that the host reaches.

use std::fs;
use std::net::Ipv4Addr;

use envtree_core::subnet::Subnet;

/// A wider route is a default route in parts, as VPN clients install: 0.0.0.0/1 with 128.0.0.0/1, for instance.
const WIDEST: u8 = 8;

/// Returns the networks that the host has routes to, sorted, default routes left out.
///
/// They include the networks of the Engine, envtree's own among them. Only Linux is read; elsewhere the list is empty,
/// as the Engine runs in a virtual machine whose networks the host does not route to.
pub(crate) fn host_subnets() -> Vec<Subnet> {
    fs::read_to_string("/proc/net/route").map(|table| parse_routes(&table)).unwrap_or_default()
}

fn parse_routes(table: &str) -> Vec<Subnet> {
    let mut subnets: Vec<_> = table.lines().skip(1).filter_map(parse_route).collect();
    subnets.sort_unstable();
    subnets.dedup();
    subnets
}

fn parse_route(line: &str) -> Option<Subnet> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let mask = u32::from(parse_address(fields.get(7)?)?);
    let prefix = mask.leading_ones();
    let is_network = prefix == mask.count_ones();
    let prefix = u8::try_from(prefix).ok().filter(|prefix| is_network && *prefix >= WIDEST)?;
    Subnet::new(parse_address(fields.get(1)?)?, prefix)
}

/// Reads an address that the kernel prints as one number of the machine's own byte order.
fn parse_address(text: &str) -> Option<Ipv4Addr> {
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read_and_default_routes_left_out() {
        let table = "\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
tun0	00000000	010200C0	0003	0	0	0	00000080	0	0	0
tun0	00000080	010200C0	0003	0	0	0	00000080	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
wlan0	000200C0	00000000	0001	0	0	600	00FFFFFF	0	0	0
vpn0	0000000A	00000000	0001	0	0	0	000000FF	0	0	0
vpn0	0A0B0C0A	00000000	0005	0	0	0	FFFFFFFF	0	0	0
odd0	0000000A	00000000	0001	0	0	0	00FF00FF	0	0	0
damaged
";
        let subnets: Vec<_> = parse_routes(table).iter().map(ToString::to_string).collect();
        assert_eq!(subnets, ["10.0.0.0/8", "10.12.11.10/32", "172.17.0.0/16", "192.0.2.0/24"]);
    }

    #[test]
    fn no_network_of_the_host_is_a_default_route() {
        assert!(host_subnets().iter().all(|subnet| subnet.prefix() >= WIDEST));
    }

    #[test]
    fn an_empty_table_has_no_routes() {
        assert_eq!(parse_routes(""), []);
    }
}
