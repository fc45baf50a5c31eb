//! `networks`, of the file and of a service.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::Scope;
use super::runtime::lower_mac_address;
use super::section::{Reports, Section};
use super::unknown::{Keys, hint};
use super::volume::external;
use crate::compose_file::node::{Node, Value};
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
const IPAM_KEYS: Keys = Keys { read: &["driver", "config", "options"], ignored: &[], refused: &[] };
const POOL_KEYS: Keys =
    Keys { read: &["subnet", "ip_range", "gateway", "aux_addresses"], ignored: &[], refused: &[] };

/// The network of services that name none.
pub(super) const DEFAULT: &str = "default";

/// Returns how the service joins its networks, the one of the highest priority first, and else by name.
pub(super) fn lower_attachments(
    service: &Section<'_>,
    scope: &Scope<'_>,
) -> IndexMap<NetworkName, Attachment> {
    let mode = service.entries().get("network_mode").filter(|_| service.filled("network_mode").is_some());
    if let (Some(entry), Some(_)) = (mode, service.node("networks")) {
        service.error(&entry.key_place, "`network_mode` cannot stand beside `networks`");
    }
    if mode.is_some() {
        return IndexMap::new();
    }
    if let Some(node) = service.node("network_mode").filter(|_| service.node("networks").is_none()) {
        service.warn(&node.place, "`network_mode` is empty: the service joins no network");
        return IndexMap::new();
    }
    let mut found: Vec<(NetworkName, Attachment)> = Vec::new();
    let mut join = |name: &str, node: &Node, settings: Option<Section<'_>>| {
        if name != DEFAULT && !scope.networks.contains(&name) {
            let known = scope.networks.iter().copied();
            let message = format!("network `{name}` is not declared under `networks`");
            service.error(&node.place, message + &hint(name, known));
        } else if let Ok(name) = NetworkName::new(name) {
            let attachment = settings.map(|section| attachment(&section)).unwrap_or_default();
            found.push((name, attachment));
        }
    };
    match service.node("networks").map(|node| (&node.value, node)) {
        Some((Value::Map(entries), _)) => {
            for (name, entry) in entries {
                let settings = service.within(&format!("networks.{name}"), &entry.node, &ATTACHMENT_KEYS);
                join(name, &entry.node, settings);
            }
        }
        Some((Value::List(items), _)) => {
            for item in items {
                if let Value::Text(name) = &item.value {
                    join(name, item, None);
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
    let address = |key| {
        section.parsed_text(key, "an IP address", |text| {
            text.parse::<IpAddr>().ok().map(|address| address.to_string())
        })
    };
    Attachment {
        aliases: section.texts("aliases"),
        ipv4_address: address("ipv4_address"),
        ipv6_address: address("ipv6_address"),
        link_local_ips: section.texts("link_local_ips"),
        mac_address: lower_mac_address(section),
        driver_opts: section.labels("driver_opts"),
        interface_name: section.text("interface_name"),
        gw_priority: section.integer("gw_priority").filter(|rank| *rank != 0),
        priority: section.integer("priority").filter(|rank| *rank != 0),
        ..Attachment::default()
    }
}

/// Returns the network that `node` describes.
pub(super) fn lower_network(name: &str, node: &Node, reports: &Reports) -> Option<Network> {
    let section = Section::new(node, format!("network `{name}`: "), &NETWORK_KEYS, reports)?;
    let (external, name) = external(&section, false);
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
        ipam_driver: ipam.as_ref().and_then(|ipam| ipam.text("driver")),
        ipam_options: ipam.as_ref().map(|ipam| ipam.labels("options")).unwrap_or_default(),
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
                subnet: pool.parsed_text("subnet", "a subnet such as `10.1.0.0/24`", parse_subnet),
                ip_range: pool.parsed_text("ip_range", "a range such as `10.1.0.0/28`", parse_subnet),
                gateway: pool.parsed_text("gateway", "an IP address", |text| {
                    text.parse::<IpAddr>().ok().map(|address| address.to_string())
                }),
                aux_addresses: pool.labels("aux_addresses"),
            })
        })
        .collect()
}

fn parse_subnet(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let bits = if address.parse::<IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
    (length.parse::<u8>().ok()? <= bits).then(|| text.to_owned())
}
