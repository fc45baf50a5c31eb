//! What `.worktreeinclude` brings into a new worktree.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::stage::{IDLE, done, git_in, sandbox_with, worktree};

const COMPOSE: &str = "\
services:
  app:
    image: busybox:1
    command: sleep inf
    init: true
    environment: { GREETING: '${GREETING:?is set in .env}' }
";

#[test]
fn ignored_files_are_brought_with_their_modes_and_others_are_not() {
    let files = [
        ("compose.yaml", IDLE),
        (".gitignore", "*.secret\n/cache/\n/skipped\n"),
        (".worktreeinclude", "# comment\n*.secret\n/cache/\n!cache/tmp\nREADME.md\n"),
    ];
    let sandbox = sandbox_with(&files);
    for path in ["deep/key.secret", "cache/a/b", "cache/tmp", "skipped", "untracked"] {
        sandbox.write(path, path);
    }
    let key = sandbox.repository().join("deep/key.secret");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    fs::set_permissions(sandbox.repository().join("cache/a/b"), PermissionsExt::from_mode(0o755)).unwrap();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let place = worktree(&sandbox, "fix");
    let mode = |path: &str| place.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("deep/key.secret"), mode("cache/a/b")), (0o400, 0o755));
    assert_eq!(fs::read_to_string(place.join("cache/a/b")).unwrap(), "cache/a/b");
    assert!(!place.join("skipped").exists() && !place.join("untracked").exists());
    assert_eq!(git_in(&sandbox, &place, &["status", "--porcelain"]), "");
}

#[test]
fn what_was_brought_belongs_to_the_new_worktree() {
    let files = [("compose.yaml", IDLE), (".gitignore", "/data\n"), (".worktreeinclude", "/data\n")];
    let sandbox = sandbox_with(&files);
    sandbox.write("data/one", "old");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let copy = worktree(&sandbox, "fix").join("data/one");
    fs::write(&copy, "new").unwrap();
    assert_eq!(fs::read_to_string(sandbox.repository().join("data/one")).unwrap(), "old");
    sandbox.write("data/one", "newer");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(fs::read_to_string(&copy).unwrap(), "new", "a second up replaces nothing");
}

#[test]
fn an_env_file_that_is_brought_counts_in_the_very_first_up() {
    let files = [("compose.yaml", COMPOSE), (".gitignore", ".env\n"), (".worktreeinclude", ".env\n")];
    let sandbox = sandbox_with(&files);
    sandbox.write(".env", "GREETING=hello\n");
    done(&sandbox, &["up", "fix"]);
    let ran = done(&sandbox, &["exec", "fix", "app", "--", "sh", "-c", "echo $GREETING"]);
    assert_eq!(ran.stdout, "hello\n");
}
