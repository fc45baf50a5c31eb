//! Passwords of Compose files and of envtree: shown by `env`, which is asked for them, and nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::common::Sandbox;
use crate::leftovers::state_directory;
use crate::stage::{sandbox_with, worktree};

/// What stands in the files of the repository.
const OWN: [&str; 5] =
    ["s3cret-environment", "s3cret-file", "s3cret-dotenv", "s3cret-build", "s3cret-default"];

const COMPOSE: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_PASSWORD: '${ENVTREE_PASSWORD}', POSTGRES_USER: app }
    ports: ['5432']
  app:
    image: busybox:1
    build: { context: ., args: { TOKEN: s3cret-build } }
    init: true
    environment: { PLAIN: s3cret-environment, FROM: '${DOTENV}', OWN: '${ENVTREE_PASSWORD}' }
    env_file: app.env
    command: ['sh', '-c', ': ${DOTENV} ${ABSENT:-s3cret-default}; exec sleep inf']
";

const SETTINGS: &str = "\
env:
  set: { OWN_URL: 'redis://:${DOTENV:-none}@here' }
hooks:
  post_up: test -e fail && exit 3 || sleep 0.5
";

fn with_secrets() -> Sandbox {
    sandbox_with(&[
        ("compose.yaml", COMPOSE),
        ("envtree.yaml", SETTINGS),
        ("Dockerfile", "FROM 127.0.0.1:5000/library/busybox:1\nARG TOKEN\nRUN test -n \"$TOKEN\"\n"),
        ("app.env", "TOKEN=s3cret-file\n"),
        (".env", "DOTENV=s3cret-dotenv\n"),
    ])
}

/// Returns the secrets that `text` holds.
fn found(text: &[u8], secrets: &[String]) -> Vec<String> {
    let holds = |secret: &&String| text.windows(secret.len()).any(|window| window == secret.as_bytes());
    secrets.iter().filter(holds).cloned().collect()
}

/// Fails if a file of the state, other than the secrets themselves, holds one.
#[track_caller]
fn assert_silent(folder: &Path, secrets: &[String]) {
    // A dry run leaves no folder.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("secrets") {
            assert_silent(&path, secrets);
        } else if path.is_file() {
            let held = found(&fs::read(&path).unwrap(), secrets);
            assert!(held.is_empty(), "{}: {held:?}", path.display());
        }
    }
}

/// Returns the secrets of the files, and envtree's own once it has been made.
fn secrets(sandbox: &Sandbox) -> Vec<String> {
    let made = fs::read_dir(state_directory(sandbox).join("secrets")).into_iter().flatten();
    let made = made.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap().trim_end().to_owned());
    OWN.iter().map(|secret| (*secret).to_owned()).chain(made).collect()
}

/// Runs envtree, which must write none of `secrets`.
#[track_caller]
fn silent(sandbox: &Sandbox, status: i32, arguments: &[&str]) {
    let output = sandbox.envtree_with(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", sandbox.ran(&output));
    let secrets = secrets(sandbox);
    let written = [output.stdout, output.stderr].concat();
    let held = found(&written, &secrets);
    assert!(held.is_empty(), "{arguments:?} writes {held:?}:\n{}", String::from_utf8_lossy(&written));
    assert_silent(&state_directory(sandbox), &secrets);
}

#[test]
fn no_command_writes_a_secret_that_it_is_not_asked_for() {
    let sandbox = with_secrets();
    for arguments in [
        &["up", "fix", "--dry-run"][..],
        &["up", "fix", "--dry-run", "--json"],
        &["trust"],
        &["trust", "--json"],
    ] {
        silent(&sandbox, i32::from(arguments[0] == "trust"), arguments);
    }
    for arguments in [
        &["trust", "--yes"][..],
        &["up", "fix", "-v"],
        &["up", "fix", "--json"],
        &["up", "fix", "--dry-run", "--force-recreate", "-v"],
        &["up", "fix", "--dry-run", "--force-recreate", "--json"],
        &["up", "fix", "--force-recreate", "-v"],
        &["status", "fix"],
        &["status", "fix", "--json"],
        &["ls"],
        &["ls", "--all", "--json"],
        &["logs", "fix"],
        &["logs", "fix", "app"],
        &["exec", "fix", "--", "true"],
        &["exec", "fix", "app", "--", "true"],
        &["restart", "fix", "-v"],
        &["stop", "fix", "--json"],
        &["start", "fix", "-v"],
        &["down", "fix", "-v"],
    ] {
        silent(&sandbox, 0, arguments);
    }
    fs::write(worktree(&sandbox, "fix").join("fail"), "").unwrap();
    silent(&sandbox, 5, &["up", "fix", "-v"]);
    silent(&sandbox, 0, &["status", "fix"]);
    silent(&sandbox, 5, &["up", "fix", "--json"]);
    silent(&sandbox, 0, &["rm", "fix", "--force", "--yes", "-v"]);
}

#[test]
fn failures_tell_names_and_places_but_no_values() {
    let sandbox = with_secrets();
    let broken = [
        ("app.env", "TOKEN=\"s3cret-file\n", 1),
        ("app.env", "s3cret file = s3cret-file\n", 1),
        (".env", "DOTENV='s3cret-dotenv\n", 1),
        ("compose.yaml", &COMPOSE.replace("'sh', '-c'", "/nonexistent"), 5),
        (
            "compose.yaml",
            &COMPOSE.replace("    init: true", "    init: true\n    user: nobody-of-that-name"),
            5,
        ),
        ("compose.yaml", &COMPOSE.replace("{ PLAIN: s3cret-environment", "{ PLAIN: [s3cret-environment]"), 1),
        ("compose.yaml", &COMPOSE.replace("init: true", "init: '${DOTENV}'"), 1),
        ("compose.yaml", &COMPOSE.replace("init: true", "entrypoint: \"it's ${DOTENV}\""), 1),
        ("compose.yaml", &COMPOSE.replace("FROM: '${DOTENV}'", "FROM: '${DOTENV'"), 1),
    ];
    for (path, text, status) in broken {
        let before = fs::read_to_string(sandbox.repository().join(path)).unwrap();
        sandbox.write(path, text);
        crate::stage::commit(&sandbox, "Break it");
        silent(&sandbox, status, &["up", "fix", "-v"]);
        if status == 5 {
            silent(&sandbox, 0, &["status", "fix", "--json"]);
            silent(&sandbox, 0, &["rm", "fix", "--force", "--yes"]);
        }
        sandbox.write(path, &before);
        crate::stage::commit(&sandbox, "Mend it");
    }
}

#[test]
fn config_shows_what_the_files_say_and_env_what_is_asked_for() {
    let sandbox = with_secrets();
    let made = sandbox.run(&["up", "fix", "--no-wait"]);
    assert_eq!(made.status, Some(0), "{made}");
    let secrets = secrets(&sandbox);
    let generated = &secrets[OWN.len()..];
    assert_eq!(generated.len(), 1);
    let shown = |arguments: &[&str]| sandbox.envtree_with(arguments).output().unwrap().stdout;
    for arguments in [&["config", "fix"][..], &["config", "fix", "--raw"], &["config", "fix", "--json"]] {
        // As `docker compose config`, it shows what the person's own files say.
        let config = shown(arguments);
        assert_eq!(found(&config, &secrets), OWN, "{arguments:?}");
        assert!(String::from_utf8_lossy(&config).contains("${ENVTREE_PASSWORD}"), "{arguments:?}");
    }
    assert_eq!(found(&shown(&["env", "fix"]), generated), generated);
}

/// Returns the command lines of the processes that have the sandbox's home.
fn command_lines(sandbox: &Sandbox) -> BTreeSet<String> {
    crate::leftovers::processes(sandbox).into_iter().collect()
}

#[test]
fn no_process_is_told_a_secret_in_its_arguments() {
    let sandbox = with_secrets();
    assert_eq!(sandbox.run(&["trust", "--yes"]).status, Some(0));
    let mut seen = BTreeSet::new();
    for arguments in [["up", "fix", "-q"], ["up", "fix", "--force-recreate"], ["rm", "fix", "--yes"]] {
        let mut child =
            sandbox.envtree_with(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            seen.extend(command_lines(&sandbox));
        }
    }
    let all = seen.iter().cloned().collect::<Vec<_>>().join("\n");
    let held = found(all.as_bytes(), &secrets(&sandbox));
    assert!(held.is_empty(), "{held:?}:\n{all}");
    assert!(
        seen.iter().any(|line| line.starts_with("process sh -c test -e fail")),
        "the hook was not seen:\n{all}"
    );
}
