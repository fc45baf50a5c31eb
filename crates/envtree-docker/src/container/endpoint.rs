//! How a container joins its networks, as the Engine takes it.

use std::collections::HashMap;

use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use envtree_core::name::NetworkName;
use envtree_core::plan::NewContainer;
use envtree_core::service::Attachment;
use indexmap::IndexMap;

use super::body::{list, map};
use crate::error::DockerError;
use crate::version::{ApiVersion, Asked, TooOld};

/// The option of an endpoint that names its interface in the container.
const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

/// Returns how a container joins a network: under the name of its service, if that is given, and the aliases.
pub(crate) fn endpoint_settings(
    network: &str,
    service: Option<&str>,
    attachment: &Attachment,
) -> EndpointSettings {
    let mut aliases: Vec<String> = service.map(str::to_owned).into_iter().collect();
    for alias in &attachment.aliases {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    // The Engine's own networks resolve no names, and a container with an alias there does not start.
    if attachment.nameless || ["bridge", "host", "none"].contains(&network) {
        aliases.clear();
    }
    EndpointSettings {
        aliases: list(aliases),
        links: list(attachment.links.iter().cloned()),
        ipam_config: addresses(attachment),
        mac_address: attachment.mac_address.clone(),
        driver_opts: map(&driver_options(attachment)),
        gw_priority: attachment.gw_priority,
        ..EndpointSettings::default()
    }
}

fn addresses(attachment: &Attachment) -> Option<EndpointIpamConfig> {
    let config = EndpointIpamConfig {
        ipv4_address: attachment.ipv4_address.clone(),
        ipv6_address: attachment.ipv6_address.clone(),
        link_local_ips: list(attachment.link_local_ips.iter().cloned()),
    };
    (config != EndpointIpamConfig::default()).then_some(config)
}

fn driver_options(attachment: &Attachment) -> IndexMap<String, String> {
    let mut options = attachment.driver_opts.clone();
    options.extend(attachment.interface_name.iter().map(|name| (INTERFACE_NAME.to_owned(), name.clone())));
    options
}

/// Returns the network that the container is made on. Where the service fixes its hardware address, it is that of this
/// network.
pub(super) fn networking(
    container: &NewContainer,
    api: ApiVersion,
) -> Result<Option<NetworkingConfig>, DockerError> {
    let definition = &container.definition;
    check(&container.service, &container.definition.networks, api)?;
    let Some((network, attachment)) = &container.network else {
        return Ok(None);
    };
    let mut settings = endpoint_settings(network, Some(&container.service), attachment);
    if settings.mac_address.is_none() {
        settings.mac_address.clone_from(&definition.runtime.mac_address);
    }
    if api < ApiVersion::ENDPOINT_MAC_ADDRESS {
        settings.mac_address = None;
    }
    let endpoints = HashMap::from([(network.clone(), settings)]);
    Ok(Some(NetworkingConfig { endpoints_config: Some(endpoints) }))
}

/// Returns the hardware address that an Engine takes for the whole container, because it has no place for that of a
/// network.
pub(super) fn container_mac_address(container: &NewContainer, api: ApiVersion) -> Option<String> {
    if api >= ApiVersion::ENDPOINT_MAC_ADDRESS {
        return None;
    }
    let first = container.network.as_ref().and_then(|(_, attachment)| attachment.mac_address.clone());
    first.or_else(|| container.definition.runtime.mac_address.clone())
}

/// Returns an error for what the Engine would drop without a word.
pub(super) fn check(
    service: &str,
    networks: &IndexMap<NetworkName, Attachment>,
    api: ApiVersion,
) -> Result<(), TooOld> {
    if networks.values().skip(1).any(|attachment| attachment.mac_address.is_some()) {
        ApiVersion::ENDPOINT_MAC_ADDRESS.demand(
            api,
            service,
            "mac_address of a further network",
            Asked::Key("networks"),
        )?;
    }
    if networks.values().any(|attachment| attachment.gw_priority.is_some()) {
        ApiVersion::GATEWAY_PRIORITY.demand(
            api,
            service,
            "gw_priority of a network",
            Asked::Key("networks"),
        )?;
    }
    if networks.values().any(|attachment| attachment.interface_name.is_some()) {
        ApiVersion::INTERFACE_NAME.demand(
            api,
            service,
            "interface_name of a network",
            Asked::Key("networks"),
        )?;
    }
    Ok(())
}
