//! Arbitrary projects before isolation, and the reservations of the environments that want them.

use std::collections::BTreeSet;

use envtree_core::isolate::{Assignments, Identity, needs_subnet};
use envtree_core::name::{EnvironmentId, NetworkName, ProjectName, ServiceName, VolumeName};
use envtree_core::port::{assign, wanted_by_services};
use envtree_core::project::{IpamPool, Network, Project, Volume};
use envtree_core::service::{
    Attachment, Condition, Dependency, Mount, MountSource, Port, Protocol, RestartPolicy, Service,
};
use envtree_core::subnet::{Subnet, choose};
use indexmap::IndexMap;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const SERVICES: [&str; 5] = ["db", "web", "web-db", "a_b", "x.y"];
const NETWORKS: [&str; 4] = ["default", "back", "front", "lan"];
const VOLUMES: [&str; 3] = ["data", "cache", "db-data"];
const IMAGES: [&str; 5] = ["postgres:17", "redis:8", "shop-web", "busybox", "ghcr.io/x/mariadb:11"];

/// What environments have reserved so far, whoever they are.
#[derive(Default)]
pub(crate) struct Reserved {
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) subnets: Vec<Subnet>,
}

pub(crate) fn identity(repository: &str, id: &str) -> Identity {
    Identity {
        repository: format!("id-of-{repository}"),
        repository_name: repository.into(),
        common_dir: format!("/{repository}/.git"),
        environment: EnvironmentId::new(id).expect("the ids of these tests are valid"),
        task: id.into(),
        worktree: format!("/{repository}.worktrees/{id}"),
        project: ProjectName::new(format!("{repository}-{id}")).expect("the names of these tests are valid"),
        config_files: vec!["compose.yaml".into()],
        version: "0.1.0".into(),
    }
}

/// Reserves what `project` wants besides what `held` has, as `up` does.
pub(crate) fn reserve(project: &Project, held: &Assignments, reserved: &mut Reserved) -> Assignments {
    let wanted = wanted_by_services(project);
    let ports = assign(&wanted, &held.ports, 20000..=20999, &reserved.ports, |port| port % 7 != 0)
        .expect("the range is large enough");
    reserved.ports.extend(ports.values());
    let pool = "10.214.0.0/16".parse().expect("this is a network");
    let mut subnets = IndexMap::new();
    for (key, _) in project.networks.iter().filter(|(_, network)| needs_subnet(network)) {
        let subnet = held.subnets.get(key).copied();
        let subnet =
            subnet.or_else(|| choose(pool, 26, &reserved.subnets)).expect("the pool is large enough");
        reserved.subnets.push(subnet);
        subnets.insert(key.clone(), subnet);
    }
    Assignments { ports, subnets, inside: IndexMap::new() }
}

pub(crate) fn projects() -> impl Strategy<Value = Project> {
    let networks = btree_map(select(&NETWORKS[..]), network(), 1..=4);
    let volumes = btree_map(select(&VOLUMES[..]), volume(), 0..=3);
    (networks, volumes).prop_flat_map(|(networks, volumes)| {
        let networks: IndexMap<NetworkName, Network> = networks
            .into_iter()
            .map(|(key, network)| (NetworkName::new(key).expect("the key is valid"), network))
            .collect();
        let volumes: IndexMap<VolumeName, Volume> = volumes
            .into_iter()
            .map(|(key, volume)| (VolumeName::new(key).expect("the key is valid"), volume))
            .collect();
        let service = service(networks.keys().cloned().collect(), volumes.keys().cloned().collect());
        btree_map(select(&SERVICES[..]), service, 1..=4).prop_map(move |services| Project {
            services: with_dependencies(services),
            networks: networks.clone(),
            volumes: volumes.clone(),
            ..Project::new(ProjectName::new("shop").expect("the name is valid"))
        })
    })
}

/// A service, and for each of those before it whether and how it depends on it.
type Dependent = (Service, Vec<Option<Dependency>>);

fn with_dependencies(
    services: std::collections::BTreeMap<&'static str, Dependent>,
) -> IndexMap<ServiceName, Service> {
    let mut named: IndexMap<ServiceName, Service> = IndexMap::new();
    for (name, (mut service, dependencies)) in services {
        for (on, dependency) in named.keys().zip(dependencies) {
            service.depends_on.extend(dependency.map(|dependency| (on.clone(), dependency)));
        }
        named.insert(ServiceName::new(name).expect("the name is valid"), service);
    }
    named
}

fn network() -> impl Strategy<Value = Network> {
    let name = option::weighted(0.3, select(&["shared", "lan"][..]));
    let subnet = option::weighted(0.3, select(&["172.28.0.0/16", "10.214.0.0/24"][..]));
    let driver = select(&[None, Some("bridge")][..]);
    let bridge = option::weighted(0.2, select(&["br-shop", "docker1"][..]));
    (name, prop::bool::weighted(0.2), driver, subnet, any::<(bool, bool)>(), bridge).prop_map(
        |(name, external, driver, subnet, (internal, enable_ipv6), bridge)| Network {
            name: name.map(str::to_owned),
            external,
            driver: driver.map(str::to_owned),
            driver_opts: bridge
                .into_iter()
                .map(|name| ("com.docker.network.bridge.name".to_owned(), name.to_owned()))
                .collect(),
            internal,
            enable_ipv6,
            ipam: subnet
                .into_iter()
                .map(|subnet| IpamPool { subnet: Some(subnet.into()), ..IpamPool::default() })
                .collect(),
            ..Network::default()
        },
    )
}

fn volume() -> impl Strategy<Value = Volume> {
    let name = option::weighted(0.3, select(&["shared", "pgdata"][..]));
    (name, prop::bool::weighted(0.2)).prop_map(|(name, external)| Volume {
        name: name.map(str::to_owned),
        external,
        ..Volume::default()
    })
}

fn service(networks: Vec<NetworkName>, volumes: Vec<VolumeName>) -> impl Strategy<Value = Dependent> {
    let container_name = option::weighted(0.3, select(&["db", "cache", "shop-x-db-1"][..]));
    let joined = btree_map(select(networks), attachment(), 0..=3);
    let volume = if volumes.is_empty() { Just(None).boxed() } else { option::of(select(volumes)).boxed() };
    let mounts = vec((volume, select(&["/data", "/var/lib", "/x"][..])), 0..=2);
    let restart = select(&[RestartPolicy::No, RestartPolicy::Always, RestartPolicy::UnlessStopped][..]);
    let scale = option::weighted(0.4, 0u32..=3);
    let what = (select(&IMAGES[..]), container_name, restart, scale);
    let dependencies = vec(option::weighted(0.3, dependency()), 4);
    (what, vec(port(), 0..=3), joined, mounts, dependencies).prop_map(
        |((image, container_name, restart, scale), ports, networks, mounts, dependencies)| {
            let mut service = Service {
                image: image.into(),
                container_name: container_name.map(str::to_owned),
                restart,
                ports,
                networks: networks.into_iter().collect(),
                mounts: mounts.into_iter().map(|(volume, target)| mount(volume, target)).collect(),
                ..Service::default()
            };
            if let Some(count) = scale {
                rescale(&mut service, count);
            }
            (service, dependencies)
        },
    )
}

/// Gives a service `count` containers, of which no two can have the address that the file fixes.
pub(crate) fn rescale(service: &mut Service, count: u32) {
    service.scale = Some(count);
    if count > 1 {
        service.networks.values_mut().for_each(|joins| joins.ipv4_address = None);
    }
}

fn mount(volume: Option<VolumeName>, target: &str) -> Mount {
    let source = MountSource::volume(volume);
    Mount::new(target, source)
}

fn attachment() -> impl Strategy<Value = Attachment> {
    let address = option::weighted(0.2, select(&["172.28.0.9", "10.214.0.9", "172.28.9.9"][..]));
    address
        .prop_map(|address| Attachment { ipv4_address: address.map(str::to_owned), ..Attachment::default() })
}

fn port() -> impl Strategy<Value = Port> {
    let protocol = select(&[Protocol::Tcp, Protocol::Udp][..]);
    let published = option::of(select(&[5432, 8080, 20000, 20001][..]));
    let host_ip = option::weighted(0.3, select(&["0.0.0.0", "127.0.0.2"][..]));
    (select(&[80, 5432, 6379][..]), published, host_ip, protocol).prop_map(
        |(target, published, host_ip, protocol)| Port {
            published,
            host_ip: host_ip.map(str::to_owned),
            protocol,
            ..Port::new(target)
        },
    )
}

fn dependency() -> impl Strategy<Value = Dependency> {
    let condition = select(&[Condition::ServiceStarted, Condition::ServiceHealthy][..]);
    (condition, any::<bool>()).prop_map(|(condition, restart)| Dependency {
        condition,
        required: true,
        restart,
    })
}
