//! Two worktrees share nothing but what is external, whatever their Compose files fix.

#[path = "support/projects.rs"]
mod projects;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use envtree_core::isolate::{Assignments, Isolated, isolate};
use envtree_core::label;
use envtree_core::name::ServiceName;
use envtree_core::port::{Owner, PortKey, are_published, assign, wanted_by_services};
use envtree_core::project::Project;
use envtree_core::service::{Protocol, Service};
use envtree_core::subnet::Subnet;
use indexmap::IndexMap;
use projects::{Reserved, identity, projects, reserve};
use proptest::prelude::*;
use proptest::sample::Index;

const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Two environments: their repositories, their ids, and what each wants.
///
/// An id has no hyphen here, for Compose's names of containers are not unique otherwise: service `web-db` of project
/// `shop-fix` and service `db` of project `shop-fix-web` have one name.
fn pairs() -> impl Strategy<Value = ((String, String), Project, Project)> {
    let ids = ("[a-z0-9]{1,3}", "[a-z0-9]{1,3}", any::<bool>());
    let ids = ids.prop_filter("environments of one repository have different ids", |(one, other, same)| {
        !same || one != other
    });
    (ids, projects(), projects()).prop_map(|((one, other, same), first, second)| {
        let second_repository = if same { "shop" } else { "store" };
        ((format!("shop/{one}"), format!("{second_repository}/{other}")), first, second)
    })
}

fn isolated(environment: &str, project: &Project, reserved: &mut Reserved) -> Project {
    let (repository, id) = environment.split_once('/').expect("it is made with a slash");
    let assignments = reserve(project, &Assignments::default(), reserved);
    let Isolated { project, .. } = isolate(project, &identity(repository, id), &assignments);
    project
}

/// Every name and number of the Engine and the host that no two environments may have, with its kind.
fn claims(project: &Project) -> Vec<String> {
    let mut claims = Vec::new();
    for (_, service) in project.services.values().flat_map(Service::containers) {
        claims.push(format!("container {}", service.container_name.as_deref().unwrap_or("?")));
        let ports = service.ports.iter().filter(|_| are_published(project, &service));
        claims.extend(ports.map(|port| format!("port {:?}", port.published)));
    }
    for network in project.networks.values().filter(|network| !network.external) {
        claims.push(format!("network {}", network.name.as_deref().unwrap_or("?")));
        claims.extend(network.ipam.iter().map(|pool| format!("subnet {:?}", pool.subnet)));
        claims.extend(network.driver_opts.get(BRIDGE_NAME).map(|name| format!("bridge {name}")));
    }
    for volume in project.volumes.values().filter(|volume| !volume.external) {
        claims.push(format!("volume {}", volume.name.as_deref().unwrap_or("?")));
    }
    claims
}

fn subnets(project: &Project) -> Vec<Subnet> {
    let own = project.networks.values().filter(|network| !network.external);
    own.flat_map(|network| &network.ipam).filter_map(|pool| pool.subnet.as_ref()?.parse().ok()).collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_worktrees_share_nothing((names, first, second) in pairs()) {
        let mut reserved = Reserved::default();
        let first = isolated(&names.0, &first, &mut reserved);
        let second = isolated(&names.1, &second, &mut reserved);
        let all: Vec<String> = claims(&first).into_iter().chain(claims(&second)).collect();
        let distinct: BTreeSet<&String> = all.iter().collect();
        prop_assert_eq!(distinct.len(), all.len(), "{:?}", all);
        let subnets: Vec<Subnet> = subnets(&first).into_iter().chain(subnets(&second)).collect();
        for (position, one) in subnets.iter().enumerate() {
            prop_assert!(!subnets[position + 1..].iter().any(|other| one.overlaps(*other)), "{:?}", subnets);
        }
    }

    #[test]
    fn what_is_external_is_used_as_it_is(raw in projects()) {
        let project = isolated("shop/x", &raw, &mut Reserved::default());
        for (key, network) in raw.networks.iter().filter(|(_, network)| network.external) {
            prop_assert_eq!(project.networks[key].name.as_deref(), network.name.as_deref().or(Some(key)));
            prop_assert!(project.networks[key].labels.is_empty());
        }
        for (key, volume) in raw.volumes.iter().filter(|(_, volume)| volume.external) {
            prop_assert_eq!(project.volumes[key].name.as_deref(), volume.name.as_deref().or(Some(key)));
            prop_assert!(project.volumes[key].labels.is_empty());
        }
    }

    #[test]
    fn everything_else_bears_the_label_by_which_it_is_owned(raw in projects()) {
        let project = isolated("shop/x", &raw, &mut Reserved::default());
        let services = project.services.values().map(|service| &service.labels);
        let networks = project.networks.values().filter(|network| !network.external);
        let volumes = project.volumes.values().filter(|volume| !volume.external);
        let labels = services.chain(networks.map(|network| &network.labels));
        for labels in labels.chain(volumes.map(|volume| &volume.labels)) {
            prop_assert_eq!(labels.get(label::REPOSITORY).map(String::as_str), Some("id-of-shop"));
            prop_assert_eq!(labels.get(label::COMPOSE_PROJECT).map(String::as_str), Some("shop-x"));
            prop_assert!(labels.contains_key(label::CONFIG_HASH));
        }
    }

    #[test]
    fn a_fixed_name_lives_on_as_an_alias_and_a_fixed_address_inside_the_own_subnet(raw in projects()) {
        let project = isolated("shop/x", &raw, &mut Reserved::default());
        for (name, service) in &project.services {
            for (key, attachment) in &service.networks {
                if let Some(fixed) = &raw.services[name].container_name {
                    prop_assert!(attachment.aliases.contains(fixed));
                }
                let network = &project.networks[key];
                if let (false, Some(address)) = (network.external, &attachment.ipv4_address) {
                    let address: Ipv4Addr = address.parse().expect("it is an address");
                    let subnet = network.ipam[0].subnet.as_ref().expect("it is reserved");
                    prop_assert!(subnet.parse::<Subnet>().expect("it is a network").contains(address));
                }
            }
        }
    }

    #[test]
    fn adding_a_service_moves_no_port_and_changes_no_other_definition(
        raw in projects(), other in projects(), at in any::<Index>()
    ) {
        let mut reserved = Reserved::default();
        let before = reserve(&raw, &Assignments::default(), &mut reserved);
        let mut grown = raw.clone();
        let mut added = other.services.values().next().expect("there is a service").clone();
        added.networks.retain(|key, _| raw.networks.contains_key(key));
        added.mounts.clear();
        added.depends_on.clear();
        let name = ServiceName::new("added").expect("the name is valid");
        grown.services.shift_insert(at.index(raw.services.len() + 1), name, added);
        let after = reserve(&grown, &before, &mut Reserved::default());
        for (key, port) in &before.ports {
            prop_assert_eq!(after.ports.get(key), Some(port));
        }
        let identity = identity("shop", "x");
        let (old, new) = (isolate(&raw, &identity, &before), isolate(&grown, &identity, &after));
        for (name, service) in &old.project.services {
            let hash = |service: &envtree_core::service::Service| service.labels[label::CONFIG_HASH].clone();
            prop_assert_eq!(hash(service), hash(&new.project.services[name]), "{}", name);
        }
    }

    #[test]
    fn ports_are_distinct_kept_and_free(
        raw in projects(),
        held in prop::collection::vec((any::<Index>(), 20000u16..20020), 0..4),
        reserved in prop::collection::btree_set(20000u16..20040, 0..20),
        busy in prop::collection::btree_set(20000u16..20040, 0..10),
    ) {
        let wanted = wanted_by_services(&raw);
        let mut own: IndexMap<PortKey, u16> = IndexMap::new();
        for (index, port) in held {
            let gone = PortKey { owner: Owner::App("gone".into()), ..key(&wanted, index) };
            let key = if port % 5 == 0 { gone } else { key(&wanted, index) };
            if !own.values().any(|other| *other == port) && !reserved.contains(&port) {
                own.insert(key, port);
            }
        }
        let assigned = assign(&wanted, &own, 20000..=20999, &reserved, |port| !busy.contains(&port));
        let assigned = assigned.expect("the range is large enough");
        prop_assert_eq!(assigned.len(), wanted.len());
        prop_assert_eq!(assigned.values().collect::<BTreeSet<_>>().len(), wanted.len());
        for (key, port) in &assigned {
            match own.get(key) {
                Some(held) => prop_assert_eq!(port, held),
                None => prop_assert!(!reserved.contains(port) && !busy.contains(port)),
            }
        }
    }
}

fn key(wanted: &[PortKey], index: Index) -> PortKey {
    let app =
        PortKey { owner: Owner::App("app".into()), replica: 1, target: 1, protocol: Protocol::Tcp, index: 0 };
    if wanted.is_empty() { app } else { wanted[index.index(wanted.len())].clone() }
}
