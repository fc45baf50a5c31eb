//! Volumes that branch: an overlay over a layer that does not change, and what keeps both from being pruned.

use envtree_core::branch::{Branch, Ground, Layer};
use envtree_core::name::VolumeName;
use envtree_core::observed::ObservedVolume;
use envtree_core::plan::{NewCopy, Operation, Owner};
use envtree_core::project::Volume;
use envtree_core::service::{Mount, MountSource};

use crate::stage::{BUSYBOX, Stage};

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
    let layer = Layer::of_volume(&base.name, &base.mountpoint);
    Branch {
        volume: Volume { name: Some(stage.name(key)), labels: stage.labels(), ..Volume::default() },
        key: VolumeName::new(key).unwrap(),
        ground: Ground::on_layer("0", layer, OWNER, Vec::new()),
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

const FILL: &str = "mkdir /data/sub && echo one > /data/sub/one && ln /data/sub/one /data/two && ln -s two /data/link \
    && chown 999:70 /data /data/sub && chmod 750 /data && chmod 600 /data/two && touch -d '2001-02-03 04:05:06' /data/two";

/// Tells what of a copy is to be as it was.
const TELL: &str = "cd /data/$0 && stat -c '%n %u:%g %a %h %Y' . sub two && readlink link && cat sub/one";

#[tokio::test]
async fn a_copy_has_what_its_layer_has() {
    let stage = Stage::new().await;
    for key in ["base", "copy"] {
        stage.perform(&stage.volume(key)).await.unwrap();
    }
    run(&stage, "fill", "base", FILL).await;
    let layer = Layer::of_volume(&stage.name("base"), "");
    let copy = NewCopy::new(&layer, &stage.name("copy"), BUSYBOX, &stage.labels());
    // What was cut off before is thrown away, and whoever is at it still is ended.
    run(&stage, "torn", "copy", "mkdir /data/w && echo torn > /data/w/torn").await;
    let mut left = stage.shell("left", "sleep 600");
    left.name.clone_from(&copy.container);
    stage.run(left).await;
    stage.perform(&Operation::CopyLayer(Box::new(copy.clone()))).await.unwrap();
    let told = |line: &str, folder: &str| line.replace("$0", folder);
    let before = run(&stage, "before", "base", &told(TELL, ".")).await;
    assert!(
        before.contains("two 999:70 600 2 981173106") || before.contains("two 0:0 600 2 981173106"),
        "{before}"
    );
    assert_eq!(run(&stage, "after", "copy", &told(TELL, "u")).await, before);
    assert_eq!(run(&stage, "list", "copy", "ls -a /data/u | xargs; ls /data").await, ". .. link sub two\nu");
    // One that is whole stays, with what changed in it.
    run(&stage, "change", "copy", "echo changed > /data/u/two").await;
    stage.perform(&Operation::CopyLayer(Box::new(copy.clone()))).await.unwrap();
    assert_eq!(run(&stage, "same", "copy", "cat /data/u/two").await, "changed");
    assert_eq!(run(&stage, "base-same", "base", "cat /data/two").await, "one");
}

#[tokio::test]
async fn nothing_is_copied_out_of_a_volume_that_is_not_there() {
    let stage = Stage::new().await;
    stage.perform(&stage.volume("copy")).await.unwrap();
    let layer = Layer::of_volume(&stage.name("missing"), "");
    let copy = NewCopy::new(&layer, &stage.name("copy"), BUSYBOX, &stage.labels());
    let error = stage.perform(&Operation::CopyLayer(Box::new(copy))).await.unwrap_err();
    assert!(error.to_string().contains("there is no volume"), "{error}");
    assert_eq!(stage.docker.inspect_volume(&stage.name("missing")).await.unwrap(), None);
    // Nor is what has no folder of its own.
    stage.perform(&stage.volume("base")).await.unwrap();
    let layer = Layer { folder: "u".into(), ..Layer::of_volume(&stage.name("base"), "") };
    let copy = NewCopy::new(&layer, &stage.name("copy"), BUSYBOX, &stage.labels());
    let error = stage.perform(&Operation::CopyLayer(Box::new(copy))).await.unwrap_err();
    assert!(error.to_string().contains("/from/u"), "{error}");
    assert!(stage.observe().await.containers.is_empty());
}
