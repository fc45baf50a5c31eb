//! Operations, one after the other, as a plan would have them.

use std::time::{Duration, Instant};

use envtree_core::label;
use envtree_core::name::VolumeName;
use envtree_core::observed::ContainerState;
use envtree_core::plan::Operation;
use envtree_core::service::{Attachment, Mount, MountSource};
use envtree_docker::{DockerError, ImageError};
use futures::future::join_all;

use crate::stage::{BUSYBOX, Stage, soon};

#[tokio::test]
async fn an_environment_is_made_and_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let name = Box::pin(made(&stage)).await;
    let observed = stage.observe().await;
    let container = &observed.containers[0];
    assert_eq!(container.state, ContainerState::Running);
    let networks: Vec<_> = container.networks.keys().cloned().collect();
    assert_eq!(networks, [stage.name("back"), stage.name("front")]);
    assert_eq!(container.volumes["/data"], stage.name("data"));
    assert_eq!(observed.volumes.len(), 1);

    let in_use = stage.perform(&Operation::RemoveVolume { name: stage.name("data") }).await;
    assert!(matches!(in_use, Err(DockerError::VolumeInUse { .. })), "{in_use:?}");
    for operation in removal(&stage, &name).await {
        soon(stage.perform(&operation)).await.unwrap();
        // What is gone already is done.
        soon(stage.perform(&operation)).await.unwrap();
    }
    let observed = stage.observe().await;
    assert!(observed.containers.is_empty());
    assert!(observed.volumes.is_empty());
    assert!(!observed.networks.iter().any(|network| is_of(&stage, &network.name)));
}

#[tokio::test]
async fn volumes_are_measured_for_all_who_ask_at_once() {
    let stage = Stage::new().await;
    stage.perform(&stage.volume("empty")).await.unwrap();
    let container = Box::pin(made(&stage)).await;
    for sizes in join_all((0..8).map(|_| stage.docker.volume_sizes())).await {
        let sizes = sizes.unwrap();
        assert_eq!(sizes.get(&stage.name("empty")), Some(&0));
        assert!(sizes[&stage.name("data")] >= 4096, "{sizes:?}");
    }
    for operation in removal(&stage, &container).await {
        soon(stage.perform(&operation)).await.unwrap();
    }
    stage.perform(&Operation::RemoveVolume { name: stage.name("empty") }).await.unwrap();
}

/// Makes two networks, a volume and a container that uses all three; returns the container's name.
async fn made(stage: &Stage) -> String {
    for operation in [stage.network("front"), stage.network("back"), stage.volume("data")] {
        stage.perform(&operation).await.unwrap();
    }
    let key = VolumeName::new("data").unwrap();
    let mut container = stage.shell("app", "head -c 4096 /dev/zero > /data/file; sleep 300");
    container.definition.mounts = vec![Mount::new("/data", MountSource::volume(Some(key.clone())))];
    container.volume_names = [(key, stage.name("data"))].into();
    container.network = Some((stage.name("front"), Attachment::default()));
    let connect = Operation::ConnectNetwork {
        container: container.name.clone(),
        network: stage.name("back"),
        attachment: Attachment { aliases: vec!["app".to_owned()], ..Attachment::default() },
    };
    let name = stage.run(container).await;
    stage.perform(&connect).await.unwrap();
    stage.perform(&connect).await.unwrap();
    let lookup = ["nslookup", "app"].map(str::to_owned);
    let limit = std::time::Duration::from_secs(20);
    let status = stage.docker.exec_status(&name, &lookup, limit).await.unwrap();
    assert_eq!(status.code, 0, "{}", status.output);
    name
}

/// Returns what removes all that the project has.
async fn removal(stage: &Stage, container: &str) -> Vec<Operation> {
    let mut operations = vec![
        Operation::StopContainer { container: container.to_owned(), grace: Some(0) },
        Operation::RemoveContainer { container: container.to_owned(), volumes: true },
        Operation::RemoveVolume { name: stage.name("data") },
    ];
    let networks = stage.observe().await.networks.into_iter();
    operations.extend(
        networks
            .filter(|network| is_of(stage, &network.name))
            .map(|network| Operation::RemoveNetwork { id: network.id, name: network.name }),
    );
    assert_eq!(operations.len(), 5);
    operations
}

fn is_of(stage: &Stage, name: &str) -> bool {
    name.starts_with(&stage.name(""))
}

#[tokio::test]
async fn a_second_network_of_one_name_is_refused() {
    let stage = Stage::new().await;
    let create = stage.network("default");
    stage.perform(&create).await.unwrap();
    let error = stage.perform(&create).await.unwrap_err();
    assert!(matches!(error, DockerError::NetworkAlreadyExists { .. }), "{error:?}");
    let networks = stage.observe().await.networks;
    let count = networks.iter().filter(|network| is_of(&stage, &network.name));
    assert_eq!(count.count(), 1);
}

#[tokio::test]
async fn a_volume_is_made_once_and_is_not_taken_from_another() {
    let stage = Stage::new().await;
    let create = stage.volume("data");
    stage.perform(&create).await.unwrap();
    stage.perform(&create).await.unwrap();
    let Operation::CreateVolume { key, mut volume } = create else {
        unreachable!("a volume is made");
    };
    volume.labels.insert(label::REPOSITORY.to_owned(), "another".to_owned());
    let error = stage.perform(&Operation::CreateVolume { key, volume }).await.unwrap_err();
    assert!(matches!(error, DockerError::VolumeAlreadyExists { .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_that_the_registry_lacks_is_not_found() {
    let stage = Stage::new().await;
    let pull = Operation::PullImage { image: "127.0.0.1:5000/library/none:1".to_owned(), platform: None };
    let error = stage.perform(&pull).await.unwrap_err();
    assert!(matches!(error, DockerError::Image(ImageError::ImageNotFound { .. })), "{error:?}");
}

#[tokio::test]
async fn a_pull_that_brings_nothing_new_is_noted() {
    let stage = Stage::new().await;
    for image in ["127.0.0.1:5000/library/busybox:1", BUSYBOX] {
        let pulled = async || {
            stage.perform(&Operation::PullImage { image: image.to_owned(), platform: None }).await.unwrap();
            stage.docker.inspect_image(image).await.unwrap().unwrap().tagged.unwrap()
        };
        let (first, started) = (pulled().await, Instant::now());
        // The times are whole seconds.
        while pulled().await == first {
            assert!(started.elapsed() < Duration::from_secs(30), "{image} is as old as it was");
        }
    }
}
