//! envtree as a user who may not open the Engine's socket, or whom the system does not know.
//!
//! It needs root, to become that user: hence the feature `private-engine`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{Ran, Sandbox};
use crate::leftovers::leftovers;
use crate::stage::{beside, idle};
use crate::support::checked;

/// Runs envtree as the user `id`, to whom the sandbox belongs meanwhile.
fn as_user(sandbox: &Sandbox, id: &str, variables: &[(&str, &str)], without: &[&str]) -> Ran {
    let root = beside(sandbox, ".");
    let own = |id: &str| checked(sandbox.command("chown").arg("--recursive").arg(id).arg(&root));
    // The folder that the binary lies in may be closed to others.
    let binary = root.join("envtree");
    fs::copy(env!("CARGO_BIN_EXE_envtree"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    own(id);
    let mut command = sandbox.command("setpriv");
    command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups"]);
    command.arg(&binary).args(["up", "fix"]).envs(variables.iter().copied());
    for name in without {
        command.env_remove(name);
    }
    let ran = sandbox.ran(&command.output().unwrap());
    own("0");
    assert_eq!(leftovers(sandbox), [""; 0]);
    ran
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
