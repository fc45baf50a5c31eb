//! Networks and volumes, and how services join networks.

use serde_json::Value;

use super::settings::{Settings, text};
use crate::project::{IpamPool, Network, Volume};
use crate::service::Attachment;

pub(super) fn network(network: &Network, key: &str, own_name: &str) -> Value {
    let mut settings = Settings::default();
    settings.name(network.name.as_deref(), network.external, key, own_name);
    settings.on("external", network.external);
    settings.some("driver", network.driver.clone());
    settings.mapping("driver_opts", &network.driver_opts, text);
    settings.on("internal", network.internal);
    settings.on("attachable", network.attachable);
    settings.some("enable_ipv4", network.enable_ipv4);
    settings
        .some("enable_ipv6", (network.enable_ipv6 || network.writes_no_ipv6).then_some(network.enable_ipv6));
    let mut ipam = Settings::default();
    ipam.some("driver", network.ipam_driver.clone());
    ipam.list("config", &network.ipam.iter().map(pool).collect::<Vec<_>>());
    settings.inner("ipam", ipam);
    settings.mapping("labels", &network.labels, text);
    settings.into()
}

fn pool(pool: &IpamPool) -> Value {
    let mut settings = Settings::default();
    settings.some("subnet", pool.subnet.clone());
    settings.some("ip_range", pool.ip_range.clone());
    settings.some("gateway", pool.gateway.clone());
    settings.mapping("aux_addresses", &pool.aux_addresses, text);
    settings.into()
}

pub(super) fn attachment(attachment: &Attachment) -> Value {
    let mut settings = Settings::default();
    if !attachment.nameless {
        settings.list("aliases", &attachment.aliases);
    }
    settings.some("ipv4_address", attachment.ipv4_address.clone());
    settings.some("ipv6_address", attachment.ipv6_address.clone());
    settings.list("link_local_ips", &attachment.link_local_ips);
    settings.some("mac_address", attachment.mac_address.clone());
    settings.mapping("driver_opts", &attachment.driver_opts, text);
    settings.some("interface_name", attachment.interface_name.clone());
    settings.some("gw_priority", attachment.gw_priority);
    settings.some("priority", attachment.priority);
    if settings.is_empty() { Value::Null } else { settings.into() }
}

pub(super) fn volume(volume: &Volume, key: &str, own_name: &str) -> Value {
    let mut settings = Settings::default();
    settings.name(volume.name.as_deref(), volume.external, key, own_name);
    if volume.external {
        settings.set("external", true);
        return settings.into();
    }
    settings.some("driver", volume.driver.clone());
    settings.mapping("driver_opts", &volume.driver_opts, text);
    settings.mapping("labels", &volume.labels, text);
    settings.into()
}
