//! The desired state: services, networks and volumes after all files are read and merged.
//!
//! One type serves before and after isolation. Before, names of Engine objects are absent unless the file fixes
//! them; after, every name, host port and subnet is the environment's own.

use indexmap::IndexMap;
use serde::Serialize;

use crate::name::{NetworkName, ProjectName, ServiceName, VolumeName};
use crate::service::Service;

/// A Compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// The project's name.
    pub name: ProjectName,
    /// The services, in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// The networks that the services use or the file names.
    pub networks: IndexMap<NetworkName, Network>,
    /// The volumes that the file names.
    pub volumes: IndexMap<VolumeName, Volume>,
}

/// A network of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    /// The Engine's name, if the file fixes it or isolation chose it.
    pub name: Option<String>,
    /// Whether the network is used, but neither made nor removed.
    pub external: bool,
    /// The driver; the Engine's default, `bridge`, if absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: IndexMap<String, String>,
    /// Whether the network has no way out.
    pub internal: bool,
    /// Whether containers outside the project may join by hand.
    pub attachable: bool,
    /// Whether IPv6 is on.
    pub enable_ipv6: bool,
    /// Address pools, in the order of the file.
    pub ipam: Vec<IpamPool>,
    /// Labels of the file, and after isolation also Compose's and envtree's.
    pub labels: IndexMap<String, String>,
}

/// One entry of a network's `ipam.config`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct IpamPool {
    /// The subnet, in CIDR notation.
    pub subnet: Option<String>,
    /// The range that containers get addresses from, in CIDR notation.
    pub ip_range: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
}

/// A named volume of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Volume {
    /// The Engine's name, if the file fixes it or isolation chose it.
    pub name: Option<String>,
    /// Whether the volume is used, but neither made nor removed.
    pub external: bool,
    /// The driver; the Engine's default, `local`, if absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: IndexMap<String, String>,
    /// Labels of the file, and after isolation also Compose's and envtree's.
    pub labels: IndexMap<String, String>,
}
