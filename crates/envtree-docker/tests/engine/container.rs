//! What is seen of containers, and what they end with.

use std::net::TcpListener;

use envtree_core::label;
use envtree_core::observed::{ContainerState, Health, ObservedState};
use envtree_core::plan::Operation;
use envtree_core::service::{HealthCheck, HealthTest, Port};
use envtree_docker::DockerError;

use crate::stage::{Stage, soon};

#[tokio::test]
async fn a_running_container_is_observed_among_all_networks() {
    let stage = Stage::new().await;
    let redis = stage.redis().await;
    let observed = stage.observe().await;
    let [container] = observed.containers.as_slice() else {
        panic!("one container, not {:?}", observed.containers);
    };
    assert_eq!(container.id, redis.id());
    assert_eq!(container.name, stage.name("cache"));
    assert_eq!(container.state, ContainerState::Running);
    assert_eq!(container.service(), Some("cache"));
    assert!(container.networks[stage.default_network].is_some());
    assert!(
        observed.networks.iter().any(|network| [stage.default_network, "bridge"].contains(&&*network.name))
    );
    assert!(observed.images.contains_key("busybox:1"));
    let all = stage.docker.observe_all(Some(&stage.name("repository"))).await.unwrap();
    // The words of a state tell its age, which differs from one list to the next.
    assert_eq!(ids(&all), [redis.id()]);
    assert!(all.networks.is_empty());
    let of_all_repositories = stage.docker.observe_all(None).await.unwrap();
    assert!(ids(&of_all_repositories).contains(&redis.id()));
}

fn ids(observed: &ObservedState) -> Vec<&str> {
    observed.containers.iter().map(|container| container.id.as_str()).collect()
}

#[tokio::test]
async fn a_container_tells_its_addresses_and_its_check() {
    let stage = Stage::new().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut container = stage.shell("app", "sleep 300");
    container.definition.ports = vec![published(free)];
    container.definition.health_check = Some(HealthCheck {
        test: Some(HealthTest::Shell("echo fine".to_owned())),
        interval: Some(std::time::Duration::from_millis(200)),
        ..HealthCheck::default()
    });
    let name = stage.run(container).await;
    let detail = soon(async {
        loop {
            let detail = stage.docker.inspect_container(&name).await.unwrap();
            if detail.health == Some(Health::Healthy) {
                return detail;
            }
        }
    })
    .await;
    assert_eq!(detail.state, ContainerState::Running);
    assert_eq!(detail.ports["80/tcp"][0].port, free);
    assert!(detail.addresses.contains_key(stage.default_network));
    assert_eq!(detail.health_test, Some(HealthTest::Shell("echo fine".to_owned())));
    assert_eq!(detail.last_health_output.as_deref(), Some("fine"));
    assert!(detail.started_at.is_some());
    assert_eq!(stage.observe().await.containers[0].health, Some(Health::Healthy));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let stage = Stage::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut container = stage.shell("app", "sleep 300");
    container.definition.ports = vec![published(port)];
    let start =
        Operation::StartContainer { container: container.name.clone(), service: container.service.clone() };
    stage.perform(&Operation::CreateContainer(Box::new(container))).await.unwrap();
    let error = stage.perform(&start).await.unwrap_err();
    let named = match &error {
        DockerError::PortInUse { port, .. } => *port,
        _ => panic!("{error:?}"),
    };
    assert_eq!(named, Some(port));
}

#[tokio::test]
async fn the_end_of_a_container_is_awaited_before_and_after_it() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "sleep 1; exit 5")).await;
    assert_eq!(soon(stage.docker.wait_container(&name)).await.unwrap(), 5);
    assert_eq!(soon(stage.docker.wait_container(&name)).await.unwrap(), 5);
    let detail = stage.docker.inspect_container(&name).await.unwrap();
    assert_eq!((detail.state, detail.exit_code), (ContainerState::Exited, 5));
    assert!(!detail.oom_killed);
    assert_eq!(stage.observe().await.containers[0].exit_code(), Some(5));
    let error = stage.docker.wait_container(&stage.name("none")).await.unwrap_err();
    assert!(matches!(error, DockerError::ContainerMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_frozen_container_goes_on() {
    let stage = Stage::new().await;
    let redis = stage.redis().await;
    // The kernel of a busy machine does not freeze a container at every attempt.
    soon(async { while redis.pause().await.is_err() {} }).await;
    assert_eq!(stage.observe().await.containers[0].state, ContainerState::Paused);
    let unpause = Operation::UnpauseContainer { container: stage.name("cache") };
    stage.perform(&unpause).await.unwrap();
    assert_eq!(stage.observe().await.containers[0].state, ContainerState::Running);
    stage.perform(&unpause).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let stage = Stage::new().await;
    let create = Operation::CreateContainer(Box::new(stage.shell("app", "true")));
    stage.perform(&create).await.unwrap();
    let error = stage.perform(&create).await.unwrap_err();
    assert!(matches!(error, DockerError::ContainerAlreadyExists { .. }), "{error:?}");
    let container = &stage.observe().await.containers[0];
    assert_eq!(container.labels[label::COMPOSE_PROJECT], stage.project.as_str());
}

fn published(port: u16) -> Port {
    Port { published: Some(port), host_ip: Some("127.0.0.1".to_owned()), ..Port::new(80) }
}
