use envtree_core::reconcile::{ReconcileOptions, reconcile};
use envtree_core::simulate::SimulatedEngine;

use super::*;
use crate::environment::wanted_ports;
use crate::repository::test_repository::TestRepository;
use crate::session::test_session::{main_record, session};

const COMPOSE: &str = "services:
  db: { image: 'postgres:17', ports: ['5432', '5432/udp'], environment: { POSTGRES_PASSWORD: hush } }
  job: { image: shop-job }
  web: { image: shop-web, volumes: ['data:/d'], ports: ['0.0.0.0::8080', '9000'] }
volumes: { data: {} }
";

struct Stage {
    _shop: TestRepository,
    record: EnvironmentRecord,
    environment: Environment,
    engine: SimulatedEngine,
}

impl Stage {
    fn new() -> Self {
        let shop = TestRepository::new();
        shop.write("compose.yaml", COMPOSE);
        let session = session(&shop, &shop.path);
        let mut record = main_record(&session);
        let definition = session.define(&record, &session.present(&shop.path), "secret").unwrap();
        for (key, published) in wanted_ports(&definition).into_iter().zip(20000..) {
            let address = if key.target == 8080 { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
            record.ports.push(PortReservation {
                owner: key.owner,
                replica: key.replica,
                target: key.target,
                protocol: key.protocol,
                index: key.index,
                address: address.into(),
                published,
            });
        }
        let environment = session.assemble(definition, &record).unwrap();
        Self { _shop: shop, record, environment, engine: SimulatedEngine::default() }
    }

    fn up() -> Self {
        let mut stage = Self::new();
        let options = ReconcileOptions {
            repository: stage.record.repository.id.clone(),
            ..ReconcileOptions::default()
        };
        let plan = reconcile(&stage.environment.isolated.project, &stage.engine.state, &options).unwrap();
        stage.engine.apply(&plan).unwrap();
        stage
    }

    fn status(&self) -> EnvironmentStatus {
        let look = Look {
            environment: Some(&self.environment),
            observed: Some(&self.engine.state),
            git: None,
            trusted: None,
        };
        environment_status(&self.record, &look)
    }

    fn end(&mut self, service: &str, status: &str) {
        let container = self.container(service);
        (container.state, container.status) = (ContainerState::Exited, status.into());
    }

    fn container(&mut self, service: &str) -> &mut ObservedContainer {
        let containers = &mut self.engine.state.containers;
        containers.iter_mut().find(|container| container.service() == Some(service)).unwrap()
    }
}

#[test]
fn the_state_follows_the_containers() {
    let mut stage = Stage::new();
    assert_eq!(stage.status().state, EnvironmentState::Down);
    assert!(stage.status().services.iter().all(|service| service.state == "missing" && !service.ready));
    stage = Stage::up();
    assert_eq!(stage.status().state, EnvironmentState::Ready);
    stage.container("db").health = Some(Health::Starting);
    assert_eq!(stage.status().state, EnvironmentState::Starting);
    stage.container("db").health = Some(Health::Unhealthy);
    assert_eq!(stage.status().state, EnvironmentState::Degraded);
    stage.container("db").health = None;
    stage.end("web", "Exited (1) 1 second ago");
    assert_eq!(stage.status().state, EnvironmentState::Degraded);
    for service in ["db", "job"] {
        stage.end(service, "Exited (137) 1 second ago");
    }
    assert_eq!(stage.status().state, EnvironmentState::Stopped);
    let unseen = Look { environment: None, observed: None, git: None, trusted: None };
    assert_eq!(environment_status(&stage.record, &unseen).state, EnvironmentState::Unknown);
    stage.record.worktree = "/gone".into();
    assert_eq!(stage.status().state, EnvironmentState::Prunable);
}

#[test]
fn a_job_that_ended_well_is_ready_and_one_that_failed_is_not() {
    let mut stage = Stage::up();
    stage.end("job", "Exited (0) 1 second ago");
    assert_eq!(stage.status().state, EnvironmentState::Ready);
    stage.end("job", "Exited (2) 1 second ago");
    let status = stage.status();
    assert_eq!((status.state, status.services[1].exit_code), (EnvironmentState::Degraded, Some(2)));
    stage.end("job", "Exited (0) 1 second ago");
    stage.end("web", "Exited (0) 1 second ago");
    assert_eq!(stage.status().state, EnvironmentState::Degraded);
}

#[test]
fn a_service_whose_profile_is_off_may_end() {
    let mut stage = Stage::up();
    stage.environment.isolated.project.services.shift_remove("job");
    assert_eq!(stage.status().services_ready(), (3, 3));
    stage.end("job", "Exited (137) 1 second ago");
    let status = stage.status();
    assert_eq!((status.state, status.services_ready()), (EnvironmentState::Ready, (2, 2)));
    for service in ["db", "web"] {
        stage.end(service, "Exited (137) 1 second ago");
    }
    assert_eq!(stage.status().state, EnvironmentState::Stopped);
}

#[test]
fn services_that_all_run_are_not_called_ready_where_the_last_up_failed() {
    let mut stage = Stage::up();
    let message = "service `web` was not ready after 60 s: connection refused".into();
    let failure =
        crate::state::record::Failure { at: jiff::Timestamp::UNIX_EPOCH, what: "up".into(), message };
    stage.record.last_failure = Some(failure);
    assert_eq!(stage.status().state, EnvironmentState::Degraded);
}

#[test]
fn addresses_can_be_dialled_and_show_no_password() {
    let urls: Vec<String> = Stage::up()
        .status()
        .services
        .into_iter()
        .flat_map(|service| service.ports.into_iter().map(|port| port.url))
        .collect();
    assert_eq!(
        urls,
        [
            "postgres://postgres@127.0.0.1:20000/postgres",
            "127.0.0.1:20001",
            "http://127.0.0.1:20002",
            "127.0.0.1:20003",
        ]
    );
}

#[test]
fn what_belongs_to_another_environment_is_not_shown() {
    let mut stage = Stage::up();
    for container in &mut stage.engine.state.containers {
        container.labels.insert(label::COMPOSE_PROJECT.into(), "other".into());
    }
    stage.engine.state.volumes[0].labels.clear();
    let status = stage.status();
    assert_eq!(status.state, EnvironmentState::Down);
    assert!(status.volumes.is_empty());
}

#[test]
fn a_volume_that_the_files_no_longer_name_has_no_key() {
    let mut stage = Stage::up();
    let key = |stage: &Stage| stage.status().volumes.into_iter().map(|volume| volume.key).collect::<Vec<_>>();
    assert_eq!(key(&stage), [Some("data".to_owned())]);
    stage.environment.isolated.project.volumes.clear();
    assert_eq!(key(&stage), [None]);
}
