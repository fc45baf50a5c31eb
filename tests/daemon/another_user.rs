//! envtree as a user who may not open the Engine's socket, whom the system does not know, or who may not write
//! everywhere.
//!
//! It needs root, to become that user: hence the feature `private-engine`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::common::{Ran, Sandbox};
use crate::engine::socket;
use crate::leftovers::leftovers;
use crate::ports::Stranger;
use crate::stage::{WEB, beside, done, idle, port, sandbox_with, worktree};
use crate::support::checked;

/// Returns envtree as the user `id`, in one group more, and gives that user the sandbox.
fn envtree_as(sandbox: &Sandbox, id: &str, groups: &str) -> Command {
    let root = beside(sandbox, ".");
    // The folder that the binary lies in may be closed to others.
    let binary = root.join("envtree");
    fs::copy(env!("CARGO_BIN_EXE_envtree"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    give(sandbox, id);
    let mut command = sandbox.command("setpriv");
    command.args([&format!("--reuid={id}"), &format!("--regid={id}"), groups]).arg(&binary);
    command
}

/// Makes all of the sandbox the user's.
fn give(sandbox: &Sandbox, id: &str) {
    checked(sandbox.command("chown").arg("--recursive").arg(id).arg(beside(sandbox, ".")));
}

/// Runs `up` as the user `id`, who may not open the Engine's socket; nothing is made.
fn as_user(sandbox: &Sandbox, id: &str, variables: &[(&str, &str)], without: &[&str]) -> Ran {
    let mut command = envtree_as(sandbox, id, "--clear-groups");
    command.args(["up", "fix"]).envs(variables.iter().copied());
    for name in without {
        command.env_remove(name);
    }
    let ran = sandbox.ran(&command.output().unwrap());
    give(sandbox, "0");
    assert_eq!(leftovers(sandbox), [""; 0]);
    ran
}

/// Runs envtree as a user who may use the Engine and is not root.
fn as_developer(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let mut command = envtree_as(sandbox, "65534", &engine_group());
    sandbox.ran(&command.args(arguments).env_remove("DOCKER_CONFIG").output().unwrap())
}

/// The group that may use the Engine.
fn engine_group() -> String {
    format!("--groups={}", fs::metadata(socket()).unwrap().gid())
}

#[test]
fn a_socket_that_this_user_may_not_open_is_told_with_a_remedy() {
    let sandbox = idle();
    let socket = Path::new("/var/run/docker.sock");
    assert!(socket.exists(), "the Engine listens there");
    let host = [("DOCKER_HOST", "unix:///var/run/docker.sock")];
    insta::assert_snapshot!(as_user(&sandbox, "65534", &host, &["DOCKER_CONFIG"]), @r#"
    exit status 4
    --- stderr
    error: no permission to open `unix:///var/run/docker.sock`
    hint: join the group that owns the socket: `sudo usermod -aG docker "$USER"`, then log in again
    "#);
    // Found by itself, it is told alike.
    let found = as_user(&sandbox, "65534", &[], &["DOCKER_CONFIG", "DOCKER_HOST"]);
    assert_eq!(found.status, Some(4), "{found}");
    assert!(found.stderr.contains("usermod"), "{found}");
}

#[test]
fn the_holder_of_a_port_is_told_as_far_as_a_user_may_know_it() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["down", "fix"]);
    let reserved = port(&sandbox, "fix", "web");
    let stranger =
        Stranger::new(&sandbox, &["--network", "host"], &format!("127.0.0.1:{reserved}"), reserved);
    let ran = as_developer(&sandbox, &["up", "fix"]);
    give(&sandbox, "0");
    assert_eq!(ran.status, Some(1), "{ran}");
    assert!(ran.stderr.contains("is taken by a process of user `root`, perhaps in "), "{ran}");
    assert!(ran.stderr.contains(&sandbox.redact(&format!("`{}`", stranger.0))), "{ran}");
}

#[test]
fn a_user_without_a_home_is_asked_for_a_place() {
    let sandbox = idle();
    let without = ["HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG"];
    insta::assert_snapshot!(as_user(&sandbox, "54321", &[], &without), @"
    exit status 1
    --- stderr
    error: cannot tell where state is kept: neither `ENVTREE_STATE_DIR` nor `HOME` is set
    hint: name a folder of your own with `ENVTREE_STATE_DIR`
    ");
}

#[test]
fn what_this_user_may_not_write_is_told_before_anything_is_made() {
    let sandbox = idle();
    let closed =
        |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mut told = Vec::new();
    let worktrees = worktree(&sandbox, "fix").parent().unwrap().to_owned();
    fs::create_dir_all(&worktrees).unwrap();
    for folder in [worktrees, sandbox.repository().join(".git/refs/heads")] {
        closed(&folder, 0o555);
        told.push(as_developer(&sandbox, &["up", "fix"]).to_string());
        closed(&folder, 0o755);
        give(&sandbox, "0");
        assert_eq!(leftovers(&sandbox), [""; 0]);
    }
    closed(&sandbox.repository(), 0o555);
    told.push(as_developer(&sandbox, &["-C", &sandbox.repository().to_string_lossy(), "up"]).to_string());
    closed(&sandbox.repository(), 0o755);
    give(&sandbox, "0");
    assert_eq!(leftovers(&sandbox), [""; 0]);
    insta::assert_snapshot!(told.join("\n"), @"
    exit status 1
    --- stderr
    error: cannot make worktree `/root----------------/sandbox-xxxxxxxx.worktrees/fix`: `/root----------------/sandbox-xxxxxxxx.worktrees` is not writable for this user
    hint: mend that, or name another folder with `--path DIR`, for every task with `worktrees:` in `envtree.yaml`

    exit status 1
    --- stderr
    error: cannot make worktree `/root----------------/sandbox-xxxxxxxx.worktrees/fix`: `/root----------------/sandbox-xxxxxxxx/.git/refs/heads` is not writable for this user
    hint: mend that, or name another folder with `--path DIR`, for every task with `worktrees:` in `envtree.yaml`

    exit status 1
    --- stderr
    error: cannot write env file `/root----------------/sandbox-xxxxxxxx/.env.local`: its folder is not writable for this user
    hint: make the folder writable, or name another file with `env: { file: NAME }`
    ");
}

#[test]
fn files_of_somebody_else_in_a_worktree_are_told_and_rm_goes_on_once_they_are_gone() {
    let sandbox = idle();
    assert_eq!(as_developer(&sandbox, &["up", "fix"]).status, Some(0));
    let folder = worktree(&sandbox, "fix").join("made-by-a-container");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("cache"), "").unwrap();
    let exclude = sandbox.repository().join(".git/info/exclude");
    let excluded = fs::read_to_string(&exclude).unwrap();
    fs::write(&exclude, excluded + "made-by-a-container\n").unwrap();
    let ran = {
        let mut command = envtree_as(&sandbox, "65534", &engine_group());
        checked(sandbox.command("chown").args(["--recursive", "0"]).arg(&folder));
        sandbox.ran(&command.args(["rm", "--yes", "fix"]).env_remove("DOCKER_CONFIG").output().unwrap())
    };
    assert!(folder.join("cache").exists());
    insta::assert_snapshot!(ran, @"
    exit status 5
    --- stderr
    error: cannot remove environment `sandbox-xxxxxxxx-fix`
      caused by: cannot delete `/root----------------/sandbox-xxxxxxxx.worktrees/fix/made-by-a-container/cache`
      caused by: Permission denied (os error 13)
    hint: delete it as its owner, which may be root if a container made it: `sudo rm -r /root----------------/sandbox-xxxxxxxx.worktrees/fix/made-by-a-container/cache`
    hint: `envtree rm fix` continues from here, `envtree status fix` shows what there is
    note: stopped: container `sandbox-xxxxxxxx-fix-app-1`
    note: removed: container `sandbox-xxxxxxxx-fix-app-1`, network `sandbox-xxxxxxxx-fix_default`
    ");
    fs::remove_dir_all(&folder).unwrap();
    let ran = as_developer(&sandbox, &["rm", "--yes", "fix"]);
    give(&sandbox, "0");
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!(leftovers(&sandbox), [""; 0]);
}
