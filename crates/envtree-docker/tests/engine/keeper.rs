//! Volumes that branch: an overlay over a layer that does not change, and what keeps both from being pruned.

use envtree_core::branch::{Branch, Ground, Layer};
use envtree_core::name::VolumeName;
use envtree_core::observed::ObservedVolume;
use envtree_core::plan::{Operation, Owner};
use envtree_core::project::Volume;
use envtree_core::service::{Mount, MountSource};

use crate::stage::Stage;

const OWNER: Owner = Owner { uid: 999, gid: 70, mode: 0o750 };

/// Runs a line of the shell with the volume `key` at `/data`, and returns what it wrote.
fn run(stage: &Stage, service: &str, key: &str, line: &str) -> impl Future<Output = String> {
    Box::pin(run_boxed(stage, service.to_owned(), key.to_owned(), line.to_owned()))
}

async fn run_boxed(stage: &Stage, service: String, key: String, line: String) -> String {
    let mut container = stage.shell(&service, &line);
    let name = VolumeName::new(&*key).unwrap();
    let source = MountSource::volume(Some(name.clone()));
    container.definition.mounts = vec![Mount::new("/data", source)];
    container.volume_names.insert(name, stage.name(&key));
    let container = stage.run(container).await;
    assert_eq!(stage.docker.wait_container(&container).await.unwrap(), 0);
    stage.docker.last_lines(&container, 10).await.unwrap().join("\n")
}

/// Makes a volume that holds a file, and returns it as the Engine tells of it.
async fn base(stage: &Stage) -> ObservedVolume {
    stage.perform(&stage.volume("base")).await.unwrap();
    run(stage, "fill", "base", "echo old > /data/file; chown 999:70 /data; chmod 750 /data").await;
    stage.docker.inspect_volume(&stage.name("base")).await.unwrap().unwrap()
}

fn branch(stage: &Stage, base: &ObservedVolume, key: &str) -> Branch {
    let layer = Layer { volume: base.name.clone(), mountpoint: base.mountpoint.clone() };
    Branch {
        volume: Volume { name: Some(stage.name(key)), labels: stage.labels(), ..Volume::default() },
        key: VolumeName::new(key).unwrap(),
        ground: Ground { base: "0".into(), layer, owner: OWNER, others: Vec::new() },
    }
}

async fn make(stage: &Stage, branch: &Branch) {
    let key = branch.key.clone();
    let create = |volume| Operation::CreateVolume { key: key.clone(), volume };
    let keeper = branch.keeper();
    let container = keeper.name.clone();
    let operations = [
        create(branch.upper()),
        Operation::CreateKeeper(Box::new(keeper)),
        Operation::PutDirectories { container, directories: branch.directories() },
        create(branch.definition().unwrap()),
    ];
    for operation in operations {
        stage.perform(&operation).await.unwrap();
    }
}

#[tokio::test]
async fn two_branches_of_a_base_do_not_see_each_other() {
    let stage = Stage::new().await;
    let base = base(&stage).await;
    for key in ["a", "b"] {
        make(&stage, &branch(&stage, &base, key)).await;
        let seen =
            run(&stage, key, key, "cat /data/file; echo new > /data/file; stat -c '%u:%g %a' /data").await;
        assert_eq!(seen, "old\n999:70 750");
    }
    assert_eq!(run(&stage, "again", "a", "cat /data/file").await, "new");
    assert_eq!(run(&stage, "look", "base", "cat /data/file").await, "old");
}

#[tokio::test]
async fn branches_are_told_apart_and_their_volumes_are_in_use() {
    let stage = Stage::new().await;
    let base = base(&stage).await;
    make(&stage, &branch(&stage, &base, "a")).await;
    let observed = stage.observe().await;
    assert_eq!(observed.keepers.len(), 1);
    assert_eq!(observed.uppers.len(), 1);
    assert!(observed.volumes.iter().all(|volume| volume.name != observed.uppers[0].name));
    for name in [stage.name("base"), stage.name("a.upper")] {
        assert!(stage.docker.remove_volume(&name).await.is_err(), "{name} is free");
    }
}

#[tokio::test]
async fn the_owner_of_a_folder_is_read_without_running_anything() {
    let stage = Stage::new().await;
    base(&stage).await;
    if stage.docker.facts().await.unwrap().is_podman() {
        // It gives every file of an archive to root.
        return;
    }
    assert_eq!(stage.docker.owner_at(&stage.name("fill"), "/data").await.unwrap(), OWNER);
}
