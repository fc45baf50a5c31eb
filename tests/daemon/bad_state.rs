//! Homes and state directories that cannot be used: what is said of each, and that nothing outside is touched.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::{Ran, Sandbox};
use crate::leftovers::leftovers;
use crate::stage::{WEB, beside, done, refused, sandbox_with};

const SETTINGS: &str = "hooks: { post_up: 'true' }\n";
/// It makes use of the repository's secret.
const SECRET: &str = "    environment: { PASSWORD: '${ENVTREE_PASSWORD}' }\n";

fn sandbox() -> Sandbox {
    sandbox_with(&[("compose.yaml", &format!("{WEB}{SECRET}")), ("envtree.yaml", SETTINGS)])
}

fn state(sandbox: &Sandbox) -> PathBuf {
    beside(sandbox, "home/state/envtree")
}

/// Returns all that can be told of a file or a folder from outside.
fn looks(path: &Path) -> (Vec<u8>, Vec<PathBuf>, u32, u64, i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    let content = fs::read(path).unwrap_or_default();
    (content, entries, metadata.mode(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Replaces `place` by a symlink to a copy of it, runs envtree, and puts it back; the copy must stay as it was.
fn through_symlink(sandbox: &Sandbox, place: &Path, arguments: &[&str]) -> Ran {
    let moved = beside(sandbox, "moved");
    fs::rename(place, &moved).unwrap();
    symlink(&moved, place).unwrap();
    let mode = if moved.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(&moved, fs::Permissions::from_mode(mode)).unwrap();
    let before = looks(&moved);
    let ran = sandbox.run(arguments);
    assert_eq!(looks(&moved), before, "{}: {ran}", place.display());
    assert!(place.is_symlink(), "{}: {ran}", place.display());
    fs::remove_file(place).unwrap();
    fs::rename(&moved, place).unwrap();
    ran
}

#[test]
fn no_symlink_is_followed_anywhere_in_the_state_directory() {
    let sandbox = sandbox();
    done(&sandbox, &["trust", "--yes"]);
    done(&sandbox, &["up", "fix"]);
    let state = state(&sandbox);
    let only = |folder: &str| {
        let mut entries = fs::read_dir(state.join(folder)).unwrap();
        entries.next().unwrap().unwrap().path()
    };
    let files = [
        (state.join("environments.json"), &["ls"][..]),
        (state.join("environments.json"), &["up", "fix"]),
        (state.join("state.lock"), &["up", "fix"]),
        (state.join("trust.json"), &["up", "fix"]),
        (state.join("trust.json"), &["trust", "--yes"]),
        (only("secrets"), &["up", "fix"]),
        (only("secrets"), &["env", "fix"]),
        (only("locks"), &["up", "fix"]),
        (only("locks"), &["down", "fix"]),
        (state.join("secrets"), &["up", "fix"]),
        (state.join("secrets"), &["env", "fix"]),
        (state.join("locks"), &["down", "fix"]),
        (state.clone(), &["ls"]),
        (state.clone(), &["up", "fix"]),
    ];
    let mut told = Vec::new();
    for (place, arguments) in files {
        let ran = through_symlink(&sandbox, &place, arguments);
        assert_eq!(ran.status, Some(1), "{} {arguments:?}: {ran}", place.display());
        assert!(ran.stderr.contains("\nhint: remove it, or put what it leads to in its place; "), "{ran}");
        told.extend(ran.stderr.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned));
    }
    told.dedup();
    insta::assert_snapshot!(told.join("\n"), @"
    error: `/root----------------/home/state/envtree/environments.json` is a symlink, and envtree follows none in its state directory
    error: `/root----------------/home/state/envtree/state.lock` is a symlink, and envtree follows none in its state directory
    error: `/root----------------/home/state/envtree/trust.json` is not a regular file
    error: `/root----------------/home/state/envtree/secrets/############` is not a regular file
    error: `/root----------------/home/state/envtree/locks/sandbox-xxxxxxxx-fix.lock` is a symlink, and envtree follows none in its state directory
    error: `/root----------------/home/state/envtree/secrets` is a symlink, and envtree follows none in its state directory
    error: `/root----------------/home/state/envtree/locks` is a symlink, and envtree follows none in its state directory
    error: `/root----------------/home/state/envtree` is a symlink, and envtree follows none in its state directory
    ");
    assert_eq!(done(&sandbox, &["up", "fix"]).stdout, done(&sandbox, &["up", "fix"]).stdout);
}

#[test]
fn dangling_symlinks_make_nothing_at_their_end() {
    let sandbox = sandbox();
    let (state, end) = (state(&sandbox), beside(&sandbox, "end"));
    for name in ["environments.json", "state.lock", "trust.json", "secrets", "locks"] {
        fs::create_dir_all(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&end, state.join(name)).unwrap();
        let arguments = if name == "trust.json" { ["trust", "--yes"] } else { ["up", "fix"] };
        let ran = refused(&sandbox, 1, &arguments);
        assert!(!end.exists() && ran.stderr.contains("hint: remove it"), "{name}: {ran}");
        fs::remove_dir_all(&state).unwrap();
    }
    symlink(&end, &state).unwrap();
    refused(&sandbox, 1, &["up", "fix"]);
    assert!(!end.exists());
    fs::remove_file(&state).unwrap();
    assert_eq!(leftovers(&sandbox), [""; 0]);
}

#[test]
fn a_home_that_cannot_hold_state_is_told() {
    let sandbox = sandbox();
    let with = |variables: &[(&str, &str)]| {
        let mut command = sandbox.envtree_with(&["up", "fix"]);
        command.env_remove("XDG_STATE_HOME").envs(variables.iter().copied());
        let ran = sandbox.ran(&command.output().unwrap());
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "", "{variables:?} made something here");
        assert_eq!(leftovers(&sandbox), [""; 0]);
        ran
    };
    insta::assert_snapshot!(with(&[("HOME", "relative")]), @"
    exit status 1
    --- stderr
    error: cannot tell where state is kept: the home directory `relative` is not absolute
    hint: name a folder of your own with `ENVTREE_STATE_DIR`
    ");
    insta::assert_snapshot!(with(&[("HOME", "/proc/nobody")]), @"
    exit status 1
    --- stderr
    error: cannot create the state directory `/proc/nobody/.local/state/envtree`
      caused by: No such file or directory (os error 2)
    hint: name a folder of your own with `ENVTREE_STATE_DIR`
    ");
    insta::assert_snapshot!(with(&[("ENVTREE_STATE_DIR", "/dev/null")]), @"
    exit status 1
    --- stderr
    error: cannot create the state directory `/dev/null`
      caused by: File exists (os error 17)
    hint: name a folder of your own with `ENVTREE_STATE_DIR`
    ");
    insta::assert_snapshot!(with(&[("ENVTREE_STATE_DIR", "/tmp")]), @"
    exit status 1
    --- stderr
    error: the state directory `/tmp` is writable by other users (mode 1777)
    hint: `chmod go-w /tmp`, or name a folder of your own with `ENVTREE_STATE_DIR`
    ");
}

#[test]
fn relative_xdg_folders_count_as_missing_and_a_named_state_needs_no_home() {
    let sandbox = sandbox();
    let mut command = sandbox.envtree_with(&["trust", "--yes"]);
    command.env("XDG_STATE_HOME", "state").env("XDG_CONFIG_HOME", "config").env("XDG_CACHE_HOME", "cache");
    let ran = sandbox.ran(&command.output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran}");
    assert!(beside(&sandbox, "home/.local/state/envtree/trust.json").exists());
    let mut command = sandbox.envtree_with(&["trust", "--yes"]);
    command.env_remove("HOME").env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
    let output = command.env("ENVTREE_STATE_DIR", beside(&sandbox, "named")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", sandbox.ran(&output));
    assert!(beside(&sandbox, "named/trust.json").exists());
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}
