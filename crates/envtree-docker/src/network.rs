//! Networks: create, connect, remove, list.

use bollard::models::{
    Ipam, IpamConfig, Network as EngineNetwork, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};
use envtree_core::observed::ObservedNetwork;
use envtree_core::project::Network;
use envtree_core::service::Attachment;
use serde_json::Value;

use crate::container::body::{list, map};
use crate::container::done_if_gone;
use crate::container::endpoint::endpoint_settings;
use crate::engine::Docker;
use crate::error::DockerError;
use crate::failure::EngineFailure;
use crate::observe::sorted;
use crate::version::{ApiVersion, Asked, TooOld};

/// Returns an error for what the Engine would drop without a word.
pub(crate) fn check(name: &str, network: &Network, api: ApiVersion) -> Result<(), TooOld> {
    if network.enable_ipv4 != Some(false) || network.external {
        return Ok(());
    }
    ApiVersion::NO_IPV4.demand(api, name, "enable_ipv4 of a network", Asked::Key("enable_ipv4"))
}

impl Docker {
    /// Makes a network. One of its name that exists already is an error, whoever made it.
    pub async fn create_network(&self, key: &str, network: &Network) -> Result<(), DockerError> {
        let name = network.name.as_deref().unwrap_or(key);
        if network.enable_ipv4 == Some(false) {
            check(key, network, self.facts().await?.api)?;
        }
        let request = create_request(name, network);
        let body = checked_body(&request).to_string();
        let client = self.client().await?;
        // bollard's request lacks `CheckDuplicate`, so the body that goes out is written here.
        let client = client
            .clone()
            .with_request_modifier(move |call| call.map(|_| bollard::body_full(body.clone().into())));
        client
            .create_network(request)
            .await
            .map(|_| ())
            .map_err(|error| create_error(name, network, error.into()))
    }

    /// Attaches a container to a further network, under the names and addresses of `attachment`.
    pub async fn connect_network(
        &self,
        container: &str,
        network: &str,
        attachment: &Attachment,
    ) -> Result<(), DockerError> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint_settings(network, None, attachment)),
        };
        let client = self.client().await?;
        match client.connect_network(network, request).await.map_err(EngineFailure::from) {
            Ok(()) => Ok(()),
            Err(failure)
                // The last are Podman's words.
                if failure.says(&[
                    "already exists in network",
                    "is already attached to network",
                    "is already connected to network",
                ]) =>
            {
                Ok(())
            }
            Err(source) => Err(DockerError::ConnectNetwork {
                container: container.to_owned(),
                network: network.to_owned(),
                source,
            }),
        }
    }

    /// Detaches a container from a network; one that is not on it, or gone, is done.
    pub async fn disconnect_network(&self, container: &str, network: &str) -> Result<(), DockerError> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let client = self.client().await?;
        match done_if_gone(client.disconnect_network(network, request).await) {
            Err(failure) if failure.says(&["is not connected to"]) => Ok(()),
            result => result.map_err(|source| DockerError::DisconnectNetwork {
                container: container.to_owned(),
                network: network.to_owned(),
                source,
            }),
        }
    }

    /// Removes a network by its id; one that is gone is done.
    pub async fn remove_network(&self, id: &str, name: &str) -> Result<(), DockerError> {
        let client = self.client().await?;
        done_if_gone(client.remove_network(id).await).map_err(|source| remove_error(name, source))
    }

    /// Returns the host's address on the Engine's own bridge, which is what `host-gateway` stands for.
    pub(crate) async fn bridge_gateway(&self) -> Result<Option<String>, DockerError> {
        let bridge = self.client().await?.inspect_network("bridge", None::<InspectNetworkOptions>).await;
        let bridge = bridge.map_err(|error| DockerError::ListNetworks(error.into()))?;
        let pools = bridge.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(pools.into_iter().find_map(|pool| pool.gateway))
    }

    /// Returns all networks of the Engine that `options` lets pass.
    pub(crate) async fn list_networks(
        &self,
        options: Option<ListNetworksOptions>,
    ) -> Result<Vec<ObservedNetwork>, DockerError> {
        let client = self.client().await?;
        let networks =
            client.list_networks(options).await.map_err(|error| DockerError::ListNetworks(error.into()))?;
        Ok(networks.into_iter().map(observed_network).collect())
    }
}

fn create_request(name: &str, network: &Network) -> NetworkCreateRequest {
    let pools = network.ipam.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: map(&pool.aux_addresses),
    });
    let ipam = Ipam { driver: network.ipam_driver.clone(), config: list(pools), options: None };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.enable_ipv6),
        options: map(&network.driver_opts),
        labels: map(&network.labels),
        enable_ipv4: network.enable_ipv4,
        ipam: (ipam != Ipam::default()).then_some(ipam),
        ..NetworkCreateRequest::default()
    }
}

/// Returns the request with `CheckDuplicate`.
///
/// Engines before 25 otherwise make a second network of the same name, and then refuse both as ambiguous.
fn checked_body(request: &NetworkCreateRequest) -> Value {
    let mut body = serde_json::to_value(request).expect("the request is plain data");
    body["CheckDuplicate"] = Value::Bool(true);
    body
}

fn create_error(name: &str, network: &Network, source: EngineFailure) -> DockerError {
    let wanted: Vec<&str> = network.ipam.iter().filter_map(|pool| pool.subnet.as_deref()).collect();
    let network = name.to_owned();
    // Podman answers 500 until version 5, and then 409.
    if source.says(&["already exists"]) {
        DockerError::NetworkAlreadyExists { network, source }
    } else if source.says(&["pool overlaps", "networks have overlapping", "already used on the host"]) {
        let subnets = wanted.join(", ");
        DockerError::SubnetOverlap { network, subnets, source }
    } else if source.says(&["non-overlapping IPv4 address pool", "predefined address pools"]) {
        DockerError::AddressPoolsExhausted { network, source }
    } else {
        DockerError::CreateNetwork { network, source }
    }
}

fn remove_error(name: &str, source: EngineFailure) -> DockerError {
    let network = name.to_owned();
    // Docker's words, and Podman's.
    if source.says(&["has active endpoints", "has associated containers"]) {
        DockerError::NetworkInUse { network, source }
    } else {
        DockerError::RemoveNetwork { network, source }
    }
}

fn observed_network(network: EngineNetwork) -> ObservedNetwork {
    let pools = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    ObservedNetwork {
        id: network.id.unwrap_or_default(),
        name: network.name.unwrap_or_default(),
        subnets: pools.into_iter().filter_map(|pool| pool.subnet).collect(),
        labels: sorted(network.labels.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use envtree_core::project::IpamPool;

    use super::*;

    fn network() -> Network {
        Network {
            ipam: vec![IpamPool { subnet: Some("10.77.4.0/24".to_owned()), ..IpamPool::default() }],
            ..Network::default()
        }
    }

    #[test]
    fn a_network_is_asked_for_by_a_name_of_its_own() {
        let body = checked_body(&create_request("shop-default", &network()));
        insta::assert_snapshot!(body, @r#"{"Name":"shop-default","Internal":false,"Attachable":false,"IPAM":{"Config":[{"Subnet":"10.77.4.0/24"}]},"EnableIPv6":false,"CheckDuplicate":true}"#);
    }

    #[test]
    fn a_taken_name_is_known_by_the_words_of_every_engine() {
        let messages = [
            (409, "network with name shop-default already exists"),
            (500, "network name shop-default already used: network already exists"),
        ];
        for (status, message) in messages {
            let failure = EngineFailure { status: Some(status), message: message.to_owned() };
            let error = create_error("shop-default", &network(), failure);
            assert!(matches!(error, DockerError::NetworkAlreadyExists { .. }), "{error:?}");
        }
    }

    #[test]
    fn an_overlap_names_the_subnet() {
        let messages = [
            "Pool overlaps with other one on this address space",
            "subnet 10.77.4.0/24 is already used on the host or by another config",
        ];
        for message in messages {
            let failure = EngineFailure { status: Some(403), message: message.to_owned() };
            let error = create_error("shop-default", &network(), failure);
            let told = "subnet 10.77.4.0/24 of network `shop-default` overlaps another network";
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn a_network_in_use_is_known_by_the_words_of_every_engine() {
        let messages = [
            "error while removing network: network shop-default id 1f has active endpoints",
            "\"shop-default\" has associated containers with it. Use -f to forcibly delete containers and pods: \
             network is being used",
        ];
        for message in messages {
            let failure = EngineFailure { status: Some(409), message: message.to_owned() };
            let error = remove_error("shop-default", failure);
            assert!(matches!(error, DockerError::NetworkInUse { .. }), "{error:?}");
        }
    }
}
