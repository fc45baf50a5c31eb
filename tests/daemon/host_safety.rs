//! What envtree may do to the host: private files, loopback alone, no command of a repository, no word into a shell.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::leftovers::state_directory;
use crate::stage::{IDLE, WEB, answer, beside, commit, done, environment, sandbox_with, worktree};

/// Fails unless everything below `folder`, and itself, is its owner's alone.
#[track_caller]
fn assert_private(folder: &Path, after: &str) {
    let metadata = fs::symlink_metadata(folder).unwrap();
    let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(metadata.mode() & 0o7777, expected, "{} after {after}", folder.display());
    for entry in fs::read_dir(folder).into_iter().flatten() {
        assert_private(&entry.unwrap().path(), after);
    }
}

#[test]
fn the_state_is_private_under_any_mask_and_replaced_whole() {
    for mask in ["000", "077"] {
        let hook = "hooks: { post_create: 'true' }\n";
        let secret = WEB.to_owned() + "    environment: { PASSWORD: '${ENVTREE_PASSWORD}' }\n";
        let sandbox = sandbox_with(&[("compose.yaml", &secret), ("envtree.yaml", hook)]);
        let state = state_directory(&sandbox);
        let masked = ["sh", "-c", &format!("umask {mask}; exec \"$@\""), "sh"].map(str::to_owned);
        let run = |arguments: &[&str]| {
            let wrapper: Vec<&str> = masked.iter().map(String::as_str).collect();
            let ran = sandbox.ran(&sandbox.through(&wrapper, arguments).output().unwrap());
            assert_eq!(ran.status, Some(0), "{arguments:?}: {ran}");
            assert_private(&state, &format!("{arguments:?} under {mask}"));
            fs::metadata(state.join("environments.json")).map_or(0, |metadata| metadata.ino())
        };
        run(&["trust", "--yes"]);
        let first = run(&["up", "fix"]);
        fs::write(worktree(&sandbox, "fix").join("envtree.yaml"), "env: { set: { MORE: '1' } }\n").unwrap();
        let second = run(&["up", "fix"]);
        run(&["env", "fix"]);
        run(&["trust", "--yes"]);
        run(&["down", "fix"]);
        let third = run(&["rm", "fix", "--force"]);
        assert!(first != second || second != third, "a file that is replaced has another inode");
        fs::write(state.join("environments.json"), "{").unwrap();
        fs::set_permissions(
            state.join("environments.json"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        run(&["ls"]);
    }
}

/// Returns the addresses that listen on TCP ports of this host, as `/proc` writes them, and their inodes.
fn listening() -> Vec<(String, u16, String)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines: Vec<String> =
        tables.iter().flat_map(|table| table.lines().skip(1).map(str::to_owned)).collect();
    let socket = |line: &String| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields[1].rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (fields[3] == "0A").then(|| (address.to_owned(), port, fields[9].to_owned()))
    };
    lines.iter().filter_map(socket).collect()
}

/// Returns the addresses that listen on `port`.
fn listening_on(port: u16) -> BTreeSet<String> {
    listening().into_iter().filter(|socket| socket.1 == port).map(|socket| socket.0).collect()
}

#[test]
fn ports_are_published_on_loopback_unless_the_file_names_an_address() {
    let compose = "\
services:
  web:
    image: busybox:1
    command: sleep inf
    init: true
    ports: ['80', '8080:81', '0.0.0.0:8082:82', '127.0.0.2:8083:83', { target: 84 }]
";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let environment = environment(&sandbox, "fix");
    let ports = environment["services"][0]["ports"].as_array().unwrap().clone();
    assert_eq!(ports.len(), 5, "{environment:#}");
    for port in ports {
        let published = u16::try_from(port["published"].as_u64().unwrap()).unwrap();
        let expected = match port["target"].as_u64().unwrap() {
            82 => "00000000",
            83 => "0200007F",
            _ => "0100007F",
        };
        assert_eq!(listening_on(published), BTreeSet::from([expected.to_owned()]), "{port}");
    }
}

#[test]
fn envtree_listens_on_nothing_while_it_works() {
    let hook = "hooks:\n  post_up: touch ../../working; until test -e ../../enough; do sleep 0.1; done\n";
    let sandbox = sandbox_with(&[("compose.yaml", WEB), ("envtree.yaml", hook)]);
    done(&sandbox, &["trust", "--yes"]);
    let mut child = sandbox.envtree_with(&["up", "fix", "-q"]).stdout(Stdio::null()).spawn().unwrap();
    eventually(|| beside(&sandbox, "working").exists(), SOON);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let open: BTreeSet<_> =
        descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect();
    let held = listening()
        .into_iter()
        .filter(|(_, _, inode)| open.contains(Path::new(&format!("socket:[{inode}]"))));
    let held: Vec<_> = held.collect();
    fs::write(beside(&sandbox, "enough"), "").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(held.is_empty(), "{held:?}");
    assert!(!open.is_empty());
}

/// Returns whether a command of the repository left its mark anywhere.
fn is_pwned(sandbox: &Sandbox) -> bool {
    let found = sandbox.command("find").arg(beside(sandbox, ".")).args(["-name", "pwned*"]).output().unwrap();
    !found.stdout.is_empty()
}

#[test]
fn nothing_of_a_repository_runs_before_it_is_trusted() {
    let touch = "touch \"$HOME/pwned\"";
    let settings = format!("hooks:\n  post_create: {touch}\n  post_up: {touch}\n  pre_remove: {touch}\n");
    let script = format!("#!/bin/sh\n{touch}\n");
    let gitconfig = format!("[core]\n\tfsmonitor = {script:?}\n\thooksPath = .githooks\n");
    let sandbox = sandbox_with(&[
        ("compose.yaml", IDLE),
        ("envtree.yaml", &settings),
        (".envrc", &script),
        (".githooks/post-checkout", &script),
        (".githooks/pre-commit", &script),
        (".gitattributes", "* filter=evil\n"),
        (".gitconfig", &gitconfig),
        (".lfsconfig", "[filter \"evil\"]\n\tsmudge = touch pwned\n"),
        (".vscode/tasks.json", "{}\n"),
    ]);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(sandbox.repository().join(".githooks/post-checkout"), executable).unwrap();
    commit(&sandbox, "Make it executable");
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["exec", "fix", "--", "true"]);
    for command in ["env", "status", "config", "restart", "down"] {
        done(&sandbox, &[command, "fix"]);
    }
    let removed = done(&sandbox, &["rm", "fix"]);
    assert!(removed.stderr.contains("hook `pre_remove` was skipped"), "{removed}");
    assert!(!is_pwned(&sandbox));
}

/// Values that a shell would run if it ever read them as its own words.
const HOSTILE: [&str; 7] = [
    "$(touch pwned1)",
    "`touch pwned2`",
    "it's; touch pwned3; '",
    "\"; touch pwned4; \"",
    "two\nlines; touch pwned5 $(touch pwned6) `touch pwned7` it's",
    "\\\"$(touch pwned8)",
    "'`touch pwned9`\\",
];

#[test]
fn no_word_of_a_task_reaches_a_shell() {
    let hook = "printf '%s|' \"$ENVTREE_TASK\" \"$WORKTREE_BRANCH\" >../../seen";
    let settings = format!("hooks:\n  post_create: {}\n", serde_json::to_string(hook).unwrap());
    let compose = IDLE.replace("app:", "a.b_c-D0:");
    let sandbox = sandbox_with(&[("compose.yaml", &compose), ("envtree.yaml", &settings)]);
    done(&sandbox, &["trust", "--yes"]);
    for task in
        ["a$(touch${IFS}pwned)b", "a;touch${IFS}pwned;b", "a`touch${IFS}pwned`", "it's|\"pwned\"&&x", "-"]
    {
        let task = if task == "-" { "x--help;pwned" } else { task };
        done(&sandbox, &["up", task, "--no-wait"]);
        assert_eq!(fs::read_to_string(beside(&sandbox, "seen")).unwrap(), format!("{task}|{task}|"));
        let told = done(&sandbox, &["exec", task, "--", "sh", "-c", "printf %s \"$ENVTREE_TASK\""]);
        assert_eq!(told.stdout, task);
        let inside = ["exec", task, "a.b_c-D0", "--", "sh", "-c", "printf %s \"$ENVTREE_TASK\""];
        assert_eq!(done(&sandbox, &inside).stdout, task);
        assert_eq!(sourced(&sandbox, task, "ENVTREE_TASK"), [task, task]);
        done(&sandbox, &["rm", task, "--force"]);
    }
    assert!(!is_pwned(&sandbox));
}

#[test]
fn no_value_of_a_variable_is_run_by_the_shells_that_read_it() {
    let set: serde_json::Map<_, _> = (0..)
        .map(|index| format!("HOSTILE_{index}"))
        .zip(HOSTILE.map(|value| value.replace('$', "$$").into()))
        .collect();
    let settings = serde_json::json!({ "env": { "set": set } }).to_string();
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", &settings)]);
    done(&sandbox, &["up", "fix"]);
    for (index, value) in HOSTILE.iter().enumerate() {
        let name = format!("HOSTILE_{index}");
        let [evaluated, _] = sourced(&sandbox, "fix", &name);
        assert_eq!(evaluated, *value, "{name}");
        let told = done(&sandbox, &["exec", "fix", "--", "sh", "-c", &format!("printf %s \"${name}\"")]);
        assert_eq!(told.stdout, *value);
        assert_eq!(answer(&sandbox, &["env", "fix"])["variables"][&name], *value);
    }
    assert!(!is_pwned(&sandbox));
}

/// Returns the variable as a shell has it that evaluates `env --format shell`, and one that sources the env file.
fn sourced(sandbox: &Sandbox, task: &str, name: &str) -> [String; 2] {
    let envtree = env!("CARGO_BIN_EXE_envtree");
    let file = environment(sandbox, task)["env_file"].clone();
    let file = file["path"].as_str().or(file.as_str()).unwrap().to_owned();
    let evaluating = format!("eval \"$({envtree} env --format shell -- \"$1\")\"; printf %s \"${name}\"");
    let sourcing = format!(". \"$2\"; printf %s \"${name}\"");
    [evaluating, sourcing].map(|script| {
        let mut shell = sandbox.command("sh");
        let output = shell.args(["-c", &script, "sh", task, &file]).output().unwrap();
        let ran: Ran = sandbox.ran(&output);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{script}");
        String::from_utf8(output.stdout).unwrap()
    })
}
