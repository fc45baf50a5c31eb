//! `networks`, of the file and of a service.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::Scope;
use super::reports::Reports;
use super::runtime::lower_mac_address;
use super::section::{Section, is_empty_text, scalar};
use super::unknown::Keys;
use super::volume::external;
use crate::compose_file::node::{Node, Place, Value};
use crate::name::NetworkName;
use crate::project::{IpamPool, Network};
use crate::service::Attachment;

const ATTACHMENT_KEYS: Keys = Keys {
    read: &[
        "aliases",
        "driver_opts",
        "gw_priority",
        "interface_name",
        "ipv4_address",
        "ipv6_address",
        "link_local_ips",
        "mac_address",
        "priority",
    ],
    ignored: &[],
    refused: &[],
};
const NETWORK_KEYS: Keys = Keys {
    read: &[
        "name",
        "external",
        "driver",
        "driver_opts",
        "internal",
        "attachable",
        "enable_ipv4",
        "enable_ipv6",
        "ipam",
        "labels",
    ],
    ignored: &[],
    refused: &[],
};
// As in Compose, options of the driver are passed over.
const IPAM_KEYS: Keys = Keys { read: &["driver", "config"], ignored: &["options"], refused: &[] };
const POOL_KEYS: Keys =
    Keys { read: &["subnet", "ip_range", "gateway", "aux_addresses"], ignored: &[], refused: &[] };

const ADDRESS: &str = "an IP address";

/// The network of services that name none.
pub(super) const DEFAULT: &str = "default";

/// Returns how the service joins its networks, the one of the highest priority first, and else by name.
pub(super) fn lower_attachments(
    service: &Section<'_>,
    scope: &Scope<'_>,
) -> IndexMap<NetworkName, Attachment> {
    let mode = service.entries().get("network_mode").filter(|_| service.filled("network_mode").is_some());
    let networks = service.node("networks").filter(|node| !node.is_empty());
    if let (Some(entry), Some(_)) = (mode, networks) {
        service.error(&entry.key_place, "`network_mode` cannot stand beside `networks`");
    }
    if mode.is_some() {
        return IndexMap::new();
    }
    if let Some(node) = service.node("network_mode").filter(|_| networks.is_none()) {
        service.warn(&node.place, "`network_mode` is empty: the service joins no network");
        return IndexMap::new();
    }
    let mut found: Vec<(NetworkName, Attachment)> = Vec::new();
    let mut join = |place: &Place, name: &str, settings: Option<Section<'_>>| {
        if name != DEFAULT && !scope.networks.contains(&name) {
            service.undeclared("networks", place, ("network", name), scope.networks.iter().copied());
        } else if let Ok(name) = NetworkName::new(name) {
            let attachment = settings.map(|section| attachment(&section)).unwrap_or_default();
            found.push((name, attachment));
        }
    };
    match networks.map(|node| (&node.value, node)) {
        Some((Value::Map(entries), _)) => {
            for (name, entry) in entries {
                let settings = service.within(&format!("networks.{name}"), &entry.node, &ATTACHMENT_KEYS);
                join(&entry.key_place, name, settings);
            }
        }
        Some((Value::List(items), _)) => {
            for item in items {
                if let Value::Text(name) = &item.value {
                    join(&item.place, name, None);
                } else {
                    service.unfit("networks", item, "a list of names");
                }
            }
        }
        Some((_, node)) => service.unfit("networks", node, "a list or a mapping of networks"),
        None => {}
    }
    found.sort_by(|(a, joins_a), (b, joins_b)| {
        let rank = |attachment: &Attachment| attachment.priority.unwrap_or_default();
        rank(joins_b).cmp(&rank(joins_a)).then_with(|| a.cmp(b))
    });
    let mut networks: IndexMap<_, _> = found.into_iter().collect();
    if networks.is_empty() {
        networks.insert(default_network(), Attachment::default());
    }
    networks
}

pub(super) fn default_network() -> NetworkName {
    NetworkName::new(DEFAULT).expect("`default` is letters only")
}

fn attachment(section: &Section<'_>) -> Attachment {
    let address = |key| section.fit_or_shown(key, ADDRESS, is_address);
    Attachment {
        aliases: section.texts("aliases"),
        ipv4_address: address("ipv4_address"),
        ipv6_address: address("ipv6_address"),
        link_local_ips: link_local(section),
        mac_address: lower_mac_address(section),
        driver_opts: section.labels("driver_opts"),
        interface_name: section.text("interface_name"),
        gw_priority: section.cut_integer("gw_priority").filter(|rank| *rank != 0),
        priority: section.cut_integer("priority").filter(|rank| *rank != 0),
        ..Attachment::default()
    }
}

/// Returns the network that `node` describes.
pub(super) fn lower_network(name: &str, node: &Node, reports: &Reports) -> Option<Network> {
    let section = Section::new(node, format!("network `{name}`: "), &NETWORK_KEYS, reports)?;
    let (external, name) = external(&section, false);
    let named = section.node("external").and_then(|external| external.entry("name")).map(|entry| &entry.node);
    let named = section.node("name").or(named);
    let is_nameless = external && name.is_none() && named.is_some_and(is_empty_text);
    let name = if is_nameless { Some(String::new()) } else { name };
    let ipam = section.child("ipam", &IPAM_KEYS);
    Some(Network {
        name,
        external,
        driver: section.text("driver"),
        driver_opts: section.labels("driver_opts"),
        internal: section.is_on("internal"),
        attachable: section.is_on("attachable"),
        enable_ipv4: section.boolean("enable_ipv4"),
        enable_ipv6: section.is_on("enable_ipv6"),
        writes_no_ipv6: section.boolean("enable_ipv6") == Some(false),
        ipam_driver: ipam.as_ref().and_then(|ipam| ipam.text("driver")),
        ipam: ipam.as_ref().map(pools).unwrap_or_default(),
        labels: section.labels("labels"),
    })
}

fn pools(ipam: &Section<'_>) -> Vec<IpamPool> {
    let pools = ipam.items("config").iter().enumerate();
    pools
        .filter_map(|(index, item)| {
            let pool = ipam.within(&format!("config[{index}]"), item, &POOL_KEYS)?;
            Some(IpamPool {
                subnet: pool.fit_or_shown("subnet", "a subnet such as `10.1.0.0/24`", is_subnet),
                ip_range: pool.fit_or_shown("ip_range", "a range such as `10.1.0.0/28`", is_subnet),
                gateway: pool.fit_or_shown("gateway", ADDRESS, is_address),
                aux_addresses: auxiliary(&pool),
            })
        })
        .collect()
}

/// Returns the further addresses; those that are none are refused, and shown all the same.
fn link_local(section: &Section<'_>) -> Vec<String> {
    for item in section.item_or_items("link_local_ips") {
        if scalar(item).is_some_and(|text| !is_address(&text)) {
            section.refuse_unfit("link_local_ips", item, "a list of IP addresses");
        }
    }
    section.texts("link_local_ips")
}

fn auxiliary(pool: &Section<'_>) -> IndexMap<String, String> {
    for pair in pool.pairs("aux_addresses") {
        if !pair.value.as_deref().is_some_and(is_address) {
            pool.refuse_unfit(&format!("aux_addresses.{}", pair.key), pair.node, ADDRESS);
        }
    }
    pool.labels("aux_addresses")
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn is_subnet(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    length.parse::<u8>().is_ok_and(|length| length <= if address.is_ipv4() { 32 } else { 128 })
}
