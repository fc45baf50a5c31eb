use std::collections::BTreeSet;

use std::net::TcpListener;

use super::*;
use crate::repository::test_repository::TestRepository;
use crate::session::Session;
use crate::session::test_session::{main_record, session};
use crate::state::record::Unsettled;

const COMPOSE: &str = "services:
  db: { image: x, ports: [\"5432\", \"0.0.0.0:9000:5432\"], networks: [default, back] }
networks: { back: {} }
";

struct Stage {
    session: Session,
    record: EnvironmentRecord,
    definition: Definition,
    machine: MachineSettings,
    observed: ObservedState,
    remote_ports: Option<BTreeSet<u16>>,
    routes: Vec<Subnet>,
    state: State,
    refused: BTreeSet<u16>,
}

impl Stage {
    fn new(compose: &str, settings: &str) -> Self {
        let shop = TestRepository::new();
        shop.write("compose.yaml", compose);
        shop.write("envtree.yaml", settings);
        let session = session(&shop, &shop.path);
        let record = main_record(&session);
        let definition = session.define(&record, &session.present(&shop.path), "secret").unwrap();
        let machine = MachineSettings { port_range: 26500..=26999, ..session.machine.clone() };
        let (observed, routes, state) = (ObservedState::default(), Vec::new(), State::default());
        let refused = BTreeSet::new();
        let remote_ports = None;
        Self { session, record, definition, machine, observed, remote_ports, routes, state, refused }
    }

    fn reserve(&mut self, taken: TakenPolicy) -> Result<(), Error> {
        let on = Circumstances {
            definition: &self.definition,
            observed: &self.observed,
            routes: &self.routes,
            machine: &self.machine,
            taken,
            refused: &self.refused,
            remote_ports: self.remote_ports.as_ref(),
        };
        reserve(&mut self.record, &self.state, &on)
    }

    fn subnets(&self) -> Vec<String> {
        self.record.subnets.iter().map(|held| format!("{} {}", held.network, held.subnet)).collect()
    }
}

fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn every_port_and_network_is_reserved_and_kept() {
    let mut stage = Stage::new(COMPOSE, "apps: { web: { port: 3000 } }\n");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let addresses: Vec<String> = stage.record.ports.iter().map(|port| port.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1", "0.0.0.0", "127.0.0.1"]);
    assert_eq!(stage.record.subnets.len(), 2);
    let before = stage.record.clone();
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.record, before);
}

#[test]
fn a_changed_address_is_noted_and_its_port_kept() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let published = stage.record.ports[0].published;
    let ports = &mut stage.definition.wanted.project.services["db"].ports;
    ports[0].host_ip = Some("0.0.0.0".into());
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let port = &stage.record.ports[0];
    assert_eq!((port.address.to_string().as_str(), port.published), ("0.0.0.0", published));
}

#[test]
fn a_held_port_that_a_stranger_took_is_refused_kept_or_replaced() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let (_listener, port) = taken();
    stage.record.ports[0].published = port;
    let error = stage.reserve(TakenPolicy::Refuse).unwrap_err().to_string();
    let expected =
        format!("port {port}, reserved for service `db`, is taken by process {}", std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    stage.reserve(TakenPolicy::Keep).unwrap();
    assert_eq!(stage.record.ports[0].published, port);
    stage.reserve(TakenPolicy::Reassign).unwrap();
    assert_eq!(stage.record.ports.len(), 2);
    assert!(stage.record.ports.iter().all(|reservation| reservation.published != port));
}

#[test]
fn a_port_that_the_engine_refused_is_replaced_although_it_looks_free() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let before: Vec<u16> = stage.record.ports.iter().map(|reservation| reservation.published).collect();
    stage.refused = BTreeSet::from([before[0]]);
    stage.reserve(TakenPolicy::Reassign).unwrap();
    let after: Vec<u16> = stage.record.ports.iter().map(|reservation| reservation.published).collect();
    assert!(after.contains(&before[1]) && !after.contains(&before[0]), "{before:?} {after:?}");
}

#[test]
fn the_held_port_of_an_app_may_be_in_use() {
    let mut stage = Stage::new(COMPOSE, "apps: { web: { port: 3000 } }\n");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let (_listener, port) = taken();
    stage.record.ports[2].published = port;
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.record.ports[2].published, port);
}

#[test]
fn ports_of_others_and_ports_in_use_are_passed_over() {
    let mut stage = Stage::new(COMPOSE, "");
    let mut other = Stage::new(COMPOSE, "");
    let (_listener, port) = taken();
    stage.machine.port_range = port..=port.saturating_add(200);
    other.machine.port_range = stage.machine.port_range.clone();
    other.reserve(TakenPolicy::Refuse).unwrap();
    other.record.project = envtree_core::name::ProjectName::new("other").unwrap();
    let held: Vec<u16> = other.record.ports.iter().map(|reservation| reservation.published).collect();
    stage.state.put(other.record);
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert!(stage.record.ports.iter().all(|own| own.published != port && !held.contains(&own.published)));
}

#[test]
fn another_machine_has_its_own_ports_and_only_apps_are_probed_here() {
    let mut stage = Stage::new(COMPOSE, "apps: { web: { port: 3000 } }\n");
    let (_listener, port) = taken();
    stage.machine.port_range = port..=port.saturating_add(200);
    stage.remote_ports = Some(BTreeSet::from([port + 1]));
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let published = |stage: &Stage| stage.record.ports.iter().map(|own| own.published).collect::<Vec<_>>();
    assert_eq!(published(&stage)[..2], [port, port + 2]);
    assert!(published(&stage)[2] > port + 2);
    // A container there has taken one since, and the Engine has refused the other.
    stage.remote_ports = Some(BTreeSet::from([port + 2]));
    let error = stage.reserve(TakenPolicy::Refuse).unwrap_err();
    assert!(matches!(error, Error::PortsTaken(taken) if taken.len() == 1));
    stage.remote_ports = Some(BTreeSet::new());
    stage.refused = BTreeSet::from([port, port + 1]);
    stage.reserve(TakenPolicy::Reassign).unwrap();
    let moved = stage.record.ports.iter().map(|own| own.published).max().unwrap();
    assert!(moved > port + 2 && !published(&stage).contains(&port), "{:?}", published(&stage));
}

#[test]
fn subnets_avoid_routes_other_networks_and_other_environments() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.machine.network_pools = vec!["10.214.0.0/24".parse().unwrap()];
    stage.machine.network_size = 26;
    stage.routes = vec!["10.214.0.0/26".parse().unwrap()];
    stage.observed.networks.push(envtree_core::observed::ObservedNetwork {
        id: "1".into(),
        name: "other".into(),
        subnets: vec!["10.214.0.64/27".into()],
        labels: indexmap::IndexMap::new(),
    });
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.subnets(), ["back 10.214.0.128/26", "default 10.214.0.192/26"]);
    stage.routes.push("10.214.0.128/25".parse().unwrap());
    let error = stage.reserve(TakenPolicy::Refuse).unwrap_err();
    assert_eq!(error.to_string(), "no free subnet of size /26 is left in 10.214.0.0/24");
}

#[test]
fn the_route_to_an_own_network_moves_no_subnet() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let before = stage.subnets();
    stage.routes = stage.record.subnets.iter().map(|held| held.subnet).collect();
    let project = stage.session.task_names().map(|_| stage.record.project.to_string()).unwrap();
    for (number, subnet) in stage.routes.iter().enumerate() {
        stage.observed.networks.push(envtree_core::observed::ObservedNetwork {
            id: number.to_string(),
            name: format!("network-{number}"),
            subnets: vec![subnet.to_string()],
            labels: [(envtree_core::label::COMPOSE_PROJECT.to_owned(), project.clone())].into(),
        });
    }
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.subnets(), before);
}

#[test]
fn the_route_to_a_network_that_is_still_being_made_moves_no_subnet() {
    let mut stage = Stage::new(COMPOSE, "");
    stage.reserve(TakenPolicy::Refuse).unwrap();
    let before = stage.subnets();
    // The bridge is there before the Engine lists the network.
    stage.routes = vec![stage.record.subnets[0].subnet];
    stage.record.unsettled = Some(Unsettled::default());
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.subnets(), before);
    stage.record.unsettled = None;
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_ne!(stage.subnets(), before, "a route of somebody else's");
}

#[test]
fn a_container_never_gets_the_name_of_one_of_another_environment() {
    let mut stage = Stage::new("services:\n  db: { image: x }\n", "");
    let mut other = stage.record.clone();
    // `shop` and its service `main-db` make the name that `shop-main` and `db` make.
    let shorter = stage.record.project.rsplit_once('-').unwrap().0.to_owned();
    let rest = stage.record.project.rsplit_once('-').unwrap().1.to_owned();
    other.project = envtree_core::name::ProjectName::new(shorter).unwrap();
    other.services = vec![format!("{rest}-cache")];
    stage.state.put(other.clone());
    stage.reserve(TakenPolicy::Refuse).unwrap();
    assert_eq!(stage.record.services, ["db"]);
    other.services.push(format!("{rest}-db"));
    stage.state.put(other);
    let error = stage.reserve(TakenPolicy::Refuse).unwrap_err();
    assert!(matches!(error, Error::NameTaken { .. }), "{error}");
}
