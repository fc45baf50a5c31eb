//! The desired state: services, networks and volumes after all files are read and merged.
//!
//! One type serves before and after isolation. Before, names of Engine objects are absent unless the file fixes
//! them; after, every name, host port and subnet is the environment's own.

use indexmap::IndexMap;
use serde::Serialize;

use crate::database::Account;
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
    /// The configs that services are given.
    pub configs: IndexMap<String, FileObject>,
    /// The secrets that services are given.
    pub secrets: IndexMap<String, FileObject>,
    /// Services that run once for all environments of the repository, and join the networks that they name here.
    #[serde(skip)]
    pub shared: IndexMap<ServiceName, Service>,
    /// What the environment has of its own on shared servers.
    #[serde(skip)]
    pub accounts: IndexMap<ServiceName, Account>,
    /// Services that are no part of it but for their images, which others of it are made from or mount.
    #[serde(skip)]
    pub bases: IndexMap<ServiceName, Service>,
}

impl Project {
    /// Returns a project that holds nothing.
    pub fn new(name: ProjectName) -> Self {
        Self {
            name,
            services: IndexMap::new(),
            networks: IndexMap::new(),
            volumes: IndexMap::new(),
            configs: IndexMap::new(),
            secrets: IndexMap::new(),
            shared: IndexMap::new(),
            accounts: IndexMap::new(),
            bases: IndexMap::new(),
        }
    }

    /// Returns the services whose images are built here, those that it is made from included.
    pub(crate) fn built(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.services.iter().chain(&self.bases).filter(|(_, service)| service.build.is_some())
    }
}

/// A config or a secret of a project: where its content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FileObject {
    /// The name of a swarm's object, if the file fixes it.
    pub name: Option<String>,
    /// The absolute path of the host's file.
    pub file: Option<String>,
    /// The variable whose value it is.
    pub environment: Option<String>,
    /// The text itself.
    pub content: Option<String>,
    /// Whether a swarm has it already.
    pub external: bool,
    /// Labels of a swarm's object.
    pub labels: IndexMap<String, String>,
    /// The driver of a swarm's secret.
    #[serde(skip)]
    pub driver: Option<String>,
    /// Options of that driver.
    #[serde(skip)]
    pub driver_opts: IndexMap<String, String>,
    /// What fills in the text of a swarm's object.
    #[serde(skip)]
    pub template_driver: Option<String>,
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
    /// Whether IPv4 is on; absent means it is.
    pub enable_ipv4: Option<bool>,
    /// Whether IPv6 is on.
    pub enable_ipv6: bool,
    /// Whether the file says that IPv6 is off, which says as much as nothing.
    #[serde(skip)]
    pub writes_no_ipv6: bool,
    /// The driver that hands out addresses; the Engine's own if absent.
    pub ipam_driver: Option<String>,
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
    /// Addresses that the driver uses itself, by name.
    pub aux_addresses: IndexMap<String, String>,
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
