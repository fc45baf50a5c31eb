//! What does not need each other runs side by side.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;

use crate::stage::idle;

#[test]
fn services_start_while_git_checks_out() {
    let sandbox = idle();
    let hook = sandbox.repository().join(".git/hooks/post-checkout");
    let ended = sandbox.repository().join(".git/ended");
    fs::write(&hook, format!("#!/bin/sh\nsleep 4\ntouch '{}'\n", ended.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();

    sandbox.up("one");
    let app = sandbox.look("one", "app");
    let started: Timestamp = app["State"]["StartedAt"].as_str().unwrap().parse().unwrap();
    let ended = Timestamp::try_from(fs::metadata(&ended).unwrap().modified().unwrap()).unwrap();
    assert!(started < ended, "the service started at {started}, after the checkout ended at {ended}");
}

#[test]
fn a_service_that_mounts_the_worktree_waits_for_its_files() {
    let sandbox = crate::stage::sandbox_with(&[
        ("page.txt", "here\n"),
        (
            "compose.yaml",
            "services:\n  app: { image: busybox:1, command: cat /site/page.txt, volumes: ['.:/site:ro'] }\n",
        ),
    ]);
    let hook = sandbox.repository().join(".git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\nsleep 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();

    sandbox.up("one");
    let logs = sandbox.succeed(&["logs", "one", "app"]).stdout;
    assert!(logs.contains("here"), "{logs}");
}
