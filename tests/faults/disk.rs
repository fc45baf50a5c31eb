//! Disks that are full: the one that holds envtree's state, and the one that holds the Engine's data.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Ran, Sandbox};
use crate::crowd::WEB;
use crate::engine::checked;
use crate::engine_death::STORE;
use crate::leftovers::{leftovers, state_directory};
use crate::private_engine::PrivateEngine;

/// A small file system in memory; dropping it takes it away.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        checked(mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(folder));
        Self { folder: folder.to_owned() }
    }

    /// Fills the disk up, but for `free` blocks of 4 KiB.
    fn fill(&self, free: usize) {
        let block = [0; 4096];
        let mut filler = File::create(self.filler()).unwrap();
        let mut blocks = 0_u64;
        while filler.write_all(&block).is_ok() {
            blocks += 1;
        }
        filler.set_len(blocks.saturating_sub(free as u64) * 4096).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        checked(Command::new("umount").arg("--lazy").arg(&self.folder));
    }
}

fn with_service() -> Sandbox {
    Sandbox::with_files(&[("compose.yaml", WEB)])
}

fn done(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let ran = sandbox.run(arguments);
    assert_eq!(ran.status, Some(0), "{arguments:?}: {ran}");
    ran
}

/// Checks that a command came to its end, or said that the disk is full.
fn check_told(ran: &Ran, what: &str) -> bool {
    if ran.status == Some(0) {
        return false;
    }
    assert!(matches!(ran.status, Some(1 | 5)), "{what}: {ran}");
    assert!(ran.stderr.to_lowercase().contains("no space left on device"), "{what}: {ran}");
    true
}

/// Checks that a private Engine has nothing of the sandbox any more.
fn is_clean(engine: &PrivateEngine, sandbox: &Sandbox, what: &str) {
    let format = ["--filter", "label=dev.envtree.repository", "--format", "{{.ID}}"];
    for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let format =
            if kind[0] == "volume" { [format[0], format[1], format[2], "{{.Name}}"] } else { format };
        let listed = checked(&mut engine.docker(&[kind, &format[..]].concat()));
        assert_eq!(listed, "", "{what}: {kind:?}");
    }
    let left = leftovers(sandbox);
    assert!(left.is_empty(), "{what}: {left:?}");
}

#[test]
fn a_full_disk_under_the_state_loses_nothing() {
    let sandbox = with_service();
    let disk = SmallDisk::mount(state_directory(&sandbox).parent().unwrap(), "128k");
    let mut refused = 0;
    for free in 0..8 {
        let what = format!("with {free} free blocks");
        disk.fill(free);
        refused += usize::from(check_told(&sandbox.run(&["up", "fix"]), &what));
        disk.empty();
        done(&sandbox, &["up", "fix"]);
        disk.fill(free);
        refused += usize::from(check_told(&sandbox.run(&["down", "fix"]), &what));
        refused += usize::from(check_told(&sandbox.run(&["rm", "fix", "--yes"]), &what));
        disk.empty();
        let ran = sandbox.run(&["rm", "fix", "--yes"]);
        let is_gone = ran.stderr.starts_with("error: no environment of this repository has the task");
        assert_eq!(ran.status, Some(i32::from(is_gone)), "{what}: {ran}");
        let left = leftovers(&sandbox);
        assert!(left.is_empty(), "{what}: {left:?}\n{ran}");
    }
    assert!(refused >= 2, "the disk was never full enough");
    println!("24 commands on a full disk, {refused} of them refused; leftovers 0");
}

#[test]
fn a_full_disk_under_the_engine_is_told_and_mended() {
    let sandbox = with_service();
    let folder = tempfile::Builder::new().prefix("envtree-disk-").tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "64m");
    let engine = PrivateEngine::start(&[], Some(folder.path()));
    engine.bring_image(&sandbox, "busybox:1");
    let run = |arguments: &[&str]| sandbox.ran(&engine.envtree(&sandbox, arguments).output().unwrap());
    let mut refused = 0;
    for free in [0, 1, 2, 4, 8, 16, 32] {
        let what = format!("with {free} free blocks");
        disk.fill(free);
        refused += usize::from(check_told(&run(&["up", "fix"]), &what));
        disk.empty();
        let ran = run(&["up", "fix"]);
        if ran.status != Some(0) {
            // Now and then version 20.10 holds the port of a container that it failed to start for as long as it runs.
            assert!(ran.stderr.contains("is taken by process"), "{what}: {ran}");
            assert!(
                ran.stderr.contains("hint: `envtree up fix --reassign-ports` picks others"),
                "{what}: {ran}"
            );
            let ran = run(&["up", "fix", "--reassign-ports"]);
            assert_eq!(ran.status, Some(0), "{what}: {ran}");
        }
        disk.fill(free);
        refused += usize::from(check_told(&run(&["rm", "fix", "--yes"]), &what));
        disk.empty();
        let ran = run(&["rm", "fix", "--yes"]);
        assert!(matches!(ran.status, Some(0 | 1)), "{what}: {ran}");
        is_clean(&engine, &sandbox, &what);
    }
    assert!(refused > 0, "the disk was never full enough");
    println!("14 commands on an Engine with a full disk, {refused} of them refused; leftovers 0");
    drop(engine);
}

/// Data of eight megabytes.
const SEED: &str = "\
data:
  volumes: [data]
  seed: { service: store, run: 'dd if=/dev/zero of=/data/large bs=1M count=8 && echo whole >/data/note' }
";

#[test]
fn a_full_disk_while_a_base_or_a_snapshot_is_made_tears_nothing() {
    let sandbox = Sandbox::with_files(&[("compose.yaml", STORE), ("envtree.yaml", SEED)]);
    let folder = tempfile::Builder::new().prefix("envtree-disk-").tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "128m");
    let engine = PrivateEngine::start(&[], Some(folder.path()));
    engine.bring_image(&sandbox, "busybox:1");
    done(&sandbox, &["trust", "--yes"]);
    let run = |arguments: &[&str]| sandbox.ran(&engine.envtree(&sandbox, arguments).output().unwrap());
    let succeeds = |arguments: &[&str], what: &str| {
        let ran = run(arguments);
        assert_eq!(ran.status, Some(0), "{what}: {arguments:?}: {ran}");
        ran
    };
    let is_whole = |what: &str| {
        let look = ["exec", "fix", "store", "--", "sh", "-c", "cat /data/note; wc -c </data/large"];
        assert_eq!(succeeds(&look, what).stdout, "whole\n8388608\n", "{what}");
    };
    let mut refused = 0;
    for free in [0, 2, 8, 32, 128, 1024, 2200, 2600] {
        let what = format!("with {free} free blocks");
        disk.fill(free);
        let is_told = check_told(&run(&["up", "fix"]), &what);
        refused += usize::from(is_told);
        let listed = engine.answer(&sandbox, &["data", "list", "--json"]);
        let bases = listed["bases"].as_array().unwrap().len();
        assert!(bases == 0 || free > 2048, "{what}: a base without its data: {listed:#}");
        disk.empty();
        succeeds(&["up", "fix"], &what);
        is_whole(&what);
        disk.fill(free);
        refused += usize::from(check_told(&run(&["data", "snapshot", "fix", "kept"]), &what));
        disk.empty();
        succeeds(&["up", "fix"], &what);
        is_whole(&what);
        succeeds(&["rm", "fix", "--yes", "--force"], &what);
        let listed = engine.answer(&sandbox, &["data", "list", "--json"]);
        for snapshot in listed["bases"].as_array().unwrap().iter().filter(|base| !base["snapshot"].is_null())
        {
            succeeds(&["data", "drop", snapshot["name"].as_str().unwrap()], &what);
        }
        succeeds(&["data", "drop", "--unused"], &what);
        is_clean(&engine, &sandbox, &what);
    }
    assert!(refused > 0, "the disk was never full enough");
    println!("16 commands that make data on a full disk, {refused} of them refused; leftovers 0");
    drop(engine);
}
