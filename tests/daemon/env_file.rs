//! The variables of an environment, and the file that carries them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::Sandbox;
use crate::stage::{
    IDLE, WEB, answer, beside, commit, containers, docker, done, git_in, port, refused, sandbox_with,
    worktree, worktrees,
};

const SETTINGS: &str = "\
apps:
  api: { port: 3000 }
  site: { port: 4000, env: PORT }
env:
  set:
    WEB_ORIGIN: http://${WEB_HOST}:${WEB_PORT}/
";

#[test]
fn the_file_holds_services_apps_and_what_the_settings_add() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB), ("envtree.yaml", SETTINGS)]);
    done(&sandbox, &["up", "fix"]);
    let text = fs::read_to_string(worktree(&sandbox, "fix").join(".env.local")).unwrap();
    let published = port(&sandbox, "fix", "web");
    assert!(text.contains(&format!("\nWEB_ORIGIN=http://127.0.0.1:{published}/\n")), "{text}");
    insta::assert_snapshot!(sandbox.redact(&text), @"
    # >>> envtree >>>
    # Managed by envtree: what stands between these two lines is replaced.
    WEB_HOST=127.0.0.1
    WEB_PORT=2####
    API_PORT=2####
    PORT=2####
    ENVTREE_TASK=fix
    ENVTREE_ENVIRONMENT=fix
    ENVTREE_WORKTREE=/root----------------/sandbox-xxxxxxxx.worktrees/fix
    COMPOSE_PROJECT_NAME=sandbox-xxxxxxxx-fix
    WEB_ORIGIN=http://127.0.0.1:2####/
    # <<< envtree <<<
    ");
}

#[test]
fn an_unchanged_file_is_not_touched() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE)]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let path = worktree(&sandbox, "fix").join(".env.local");
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(past).unwrap();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(path.metadata().unwrap().modified().unwrap(), past);
}

#[test]
fn foreign_lines_and_their_line_ends_survive_up_and_rm() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let foreign = "# mine\r\nTOKEN=\"a b\"\r\n\r\nWEB_PORT=1";
    sandbox.git(&["branch", "fix"]);
    let place = worktree(&sandbox, "fix");
    sandbox.git(&["worktree", "add", "--quiet", place.to_str().unwrap(), "fix"]);
    fs::write(place.join(".env.local"), foreign).unwrap();
    done(&sandbox, &["up", "fix"]);
    let text = fs::read_to_string(place.join(".env.local")).unwrap();
    assert!(text.starts_with(foreign) && text.contains("\r\nWEB_HOST=127.0.0.1\r\n"), "{text:?}");
    done(&sandbox, &["rm", "--force", "--yes", "fix"]);
    // The last line, which had no end, has one now.
    assert_eq!(fs::read_to_string(place.join(".env.local")).unwrap(), format!("{foreign}\r\n"));
}

#[test]
fn a_tracked_file_is_not_written_and_the_person_is_told() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB), (".env.local", "WEB_PORT=1\n")]);
    let ran = done(&sandbox, &["up", "fix"]);
    let place = worktree(&sandbox, "fix");
    assert_eq!(fs::read_to_string(place.join(".env.local")).unwrap(), "WEB_PORT=1\n");
    assert!(ran.stderr.contains("warning: `.env.local` is tracked by git"), "{ran}");
    assert!(!ran.stdout.contains("env file"), "{ran}");
    assert_eq!(git_in(&sandbox, &place, &["status", "--porcelain"]), "");
}

/// Brings `fix` up after `link` made its `.env.local` a symlink to a file outside, which has this text or is not there.
///
/// The person is told, and neither the symlink nor what it leads to is changed, by `up` or by `rm`.
#[track_caller]
fn assert_not_written_through(link: impl FnOnce(&Sandbox, &Path), text: Option<&str>) {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), (".gitignore", ".env*\n")]);
    let outside = beside(&sandbox, "outside");
    if let Some(text) = text {
        fs::write(&outside, text).unwrap();
    }
    link(&sandbox, &outside);
    let ran = done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(fs::read_link(worktree(&sandbox, "fix").join(".env.local")).unwrap(), outside, "{ran}");
    assert_eq!(fs::read_to_string(&outside).ok().as_deref(), text, "{ran}");
    let told = "warning: `.env.local` leads out of the worktree, so the environment's variables are not written; name another file under `env.file` in envtree.yaml";
    assert_eq!(ran.warnings(), told);
    assert!(!ran.stdout.contains("env file"), "{ran}");
    done(&sandbox, &["rm", "--force", "--yes", "fix"]);
    assert_eq!(fs::read_to_string(&outside).ok().as_deref(), text);
}

#[test]
fn a_symlink_out_of_the_worktree_is_not_written_through_however_it_came_there() {
    let by_hand = |sandbox: &Sandbox, outside: &Path| {
        sandbox.git(&["branch", "fix"]);
        let place = worktree(sandbox, "fix");
        sandbox.git(&["worktree", "add", "--quiet", place.to_str().unwrap(), "fix"]);
        symlink(outside, place.join(".env.local")).unwrap();
    };
    let brought_along = |sandbox: &Sandbox, outside: &Path| {
        sandbox.write(".worktreeinclude", ".env.local\n");
        commit(sandbox, "Bring the file along");
        symlink(outside, sandbox.repository().join(".env.local")).unwrap();
    };
    let committed = |sandbox: &Sandbox, outside: &Path| {
        symlink(outside, sandbox.repository().join(".env.local")).unwrap();
        sandbox.git(&["add", "--force", ".env.local"]);
        commit(sandbox, "Link the file");
    };
    for text in [Some("mine\n"), None] {
        assert_not_written_through(by_hand, text);
        assert_not_written_through(brought_along, text);
        assert_not_written_through(committed, text);
    }
}

#[test]
fn a_symlink_within_the_worktree_is_kept_and_what_it_leads_to_is_written() {
    let files = [("compose.yaml", WEB), (".gitignore", "*.env\n.env*\n"), ("config/x", "")];
    let sandbox = sandbox_with(&files);
    sandbox.git(&["branch", "fix"]);
    let place = worktree(&sandbox, "fix");
    sandbox.git(&["worktree", "add", "--quiet", place.to_str().unwrap(), "fix"]);
    symlink("config/local.env", place.join(".env.local")).unwrap();
    let ran = done(&sandbox, &["up", "fix"]);
    assert_eq!(ran.warnings(), "");
    assert!(place.join(".env.local").is_symlink());
    let text = fs::read_to_string(place.join("config/local.env")).unwrap();
    assert!(text.contains(&format!("WEB_PORT={}\n", port(&sandbox, "fix", "web"))), "{text}");
}

#[test]
fn rm_completes_although_somebody_broke_the_file() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE)]);
    sandbox.git(&["branch", "fix"]);
    let place = worktree(&sandbox, "fix");
    sandbox.git(&["worktree", "add", "--quiet", place.to_str().unwrap(), "fix"]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let broken = "# >>> envtree >>>\nA=1\n";
    fs::write(place.join(".env.local"), broken).unwrap();
    let ran = done(&sandbox, &["rm", "--force", "--yes", "fix"]);
    assert_eq!(fs::read_to_string(place.join(".env.local")).unwrap(), broken);
    assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
    assert!(ran.stderr.contains(".env.local:1:1: `# >>> envtree >>>` without"), "{ran}");
    assert!(ran.stderr.contains("delete envtree's lines in it by hand"), "{ran}");
}

#[test]
fn a_file_outside_the_worktree_is_an_error_before_anything_is_made() {
    for path in ["/tmp/out.env", "../out.env", ".git/config"] {
        let settings = format!("env:\n  file: {path}\n");
        let sandbox = sandbox_with(&[("compose.yaml", IDLE), ("envtree.yaml", &settings)]);
        let ran = refused(&sandbox, 1, &["up", "fix"]).to_string();
        assert_eq!((worktrees(&sandbox), containers(&sandbox).as_str()), (1, ""));
        assert!(ran.contains("envtree.yaml:2:9: expected a file inside the worktree"), "{ran}");
    }
}

#[test]
fn naming_a_tracked_file_is_an_error_before_anything_is_made() {
    let settings = "env:\n  file: config/dev.env\n";
    let files = [("compose.yaml", IDLE), ("envtree.yaml", settings), ("config/dev.env", "A=1\n")];
    let sandbox = sandbox_with(&files);
    let ran = refused(&sandbox, 1, &["up", "fix"]);
    assert_eq!((worktrees(&sandbox), containers(&sandbox).as_str()), (1, ""));
    insta::assert_snapshot!(ran, @"
    exit status 1
    --- stderr
    error: main:envtree.yaml:2:9: `config/dev.env` is tracked by git, and envtree writes no tracked file
    hint: name a file that git ignores, or write none with `env: { file: false }`
    ");
    assert_eq!(answer(&sandbox, &["ls"])["environments"], serde_json::json!([]));
}

#[test]
fn git_does_not_see_the_file() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE)]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(git_in(&sandbox, &worktree(&sandbox, "fix"), &["status", "--porcelain"]), "");
    let exclude = fs::read_to_string(sandbox.repository().join(".git/info/exclude")).unwrap();
    assert_eq!(exclude.lines().filter(|line| *line == "/.env.local").count(), 1);
}

#[test]
fn a_file_that_git_ignores_is_not_excluded_again() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE), (".gitignore", ".env*\n")]);
    let exclude = sandbox.repository().join(".git/info/exclude");
    let before = fs::read_to_string(&exclude).unwrap_or_default();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert!(worktree(&sandbox, "fix").join(".env.local").exists());
    assert_eq!(fs::read_to_string(&exclude).unwrap_or_default(), before);
}

#[test]
fn compose_does_not_read_back_what_was_written_to_its_own_file() {
    let compose = "\
services:
  web:
    image: busybox:1
    command: httpd -f -p 80
    init: true
    ports: ['80']
    environment: { SEEN: '${WEB_PORT:-unset}', OWN: '${OWN}' }
";
    let settings = "env:\n  file: .env\n";
    let files = [
        ("compose.yaml", compose),
        ("envtree.yaml", settings),
        (".gitignore", ".env\n"),
        (".worktreeinclude", ".env\n"),
    ];
    let sandbox = sandbox_with(&files);
    sandbox.write(".env", "OWN=mine\n");
    done(&sandbox, &["up", "fix"]);
    let text = fs::read_to_string(worktree(&sandbox, "fix").join(".env")).unwrap();
    assert!(text.starts_with("OWN=mine\n") && text.contains("\nWEB_PORT="), "{text}");
    let seen = || done(&sandbox, &["exec", "fix", "web", "--", "sh", "-c", "echo $SEEN $OWN"]).stdout;
    assert_eq!(seen(), "unset mine\n");
    let again = answer(&sandbox, &["up", "fix"]);
    assert_eq!(again["operations"], 0, "{again:#}");
    assert_eq!(seen(), "unset mine\n");
}

#[test]
fn file_false_writes_none_and_takes_an_earlier_block_back() {
    let sandbox = sandbox_with(&[("compose.yaml", IDLE)]);
    done(&sandbox, &["up", "fix", "--no-wait"]);
    let place = worktree(&sandbox, "fix");
    assert!(place.join(".env.local").exists());
    fs::write(place.join("envtree.yaml"), "env: { file: false }\n").unwrap();
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert!(!place.join(".env.local").exists());
    assert_eq!(answer(&sandbox, &["env", "fix"])["variables"]["ENVTREE_TASK"], "fix");
}

#[test]
fn env_prints_the_variables_in_every_format() {
    let sandbox = sandbox_with(&[
        ("compose.yaml", WEB),
        ("envtree.yaml", "env:\n  set:\n    GREETING: it's \"$$5\"\n"),
    ]);
    done(&sandbox, &["up", "fix"]);
    let formats = ["dotenv", "shell", "json"].map(|format| {
        let ran = done(&sandbox, &["env", "fix", "--format", format]);
        format!("{format}\n{}", ran.stdout)
    });
    insta::assert_snapshot!(formats.join("\n"), @r#"
    dotenv
    WEB_HOST=127.0.0.1
    WEB_PORT=2####
    ENVTREE_TASK=fix
    ENVTREE_ENVIRONMENT=fix
    ENVTREE_WORKTREE=/root----------------/sandbox-xxxxxxxx.worktrees/fix
    COMPOSE_PROJECT_NAME=sandbox-xxxxxxxx-fix
    GREETING="it's \"\$5\""

    shell
    export WEB_HOST='127.0.0.1'
    export WEB_PORT='2####'
    export ENVTREE_TASK='fix'
    export ENVTREE_ENVIRONMENT='fix'
    export ENVTREE_WORKTREE='/root----------------/sandbox-xxxxxxxx.worktrees/fix'
    export COMPOSE_PROJECT_NAME='sandbox-xxxxxxxx-fix'
    export GREETING='it'\''s "$5"'

    json
    {"version":1,"variables":{"WEB_HOST":"127.0.0.1","WEB_PORT":"2####","ENVTREE_TASK":"fix","ENVTREE_ENVIRONMENT":"fix","ENVTREE_WORKTREE":"/root----------------/sandbox-xxxxxxxx.worktrees/fix","COMPOSE_PROJECT_NAME":"sandbox-xxxxxxxx-fix","GREETING":"it's \"$5\""}}
    "#);
    let script = format!(
        "set -eu\n{}printf %s \"$GREETING\"",
        done(&sandbox, &["env", "fix", "--format", "shell"]).stdout
    );
    let output = sandbox.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's \"$5\"");
    insta::assert_snapshot!(done(&sandbox, &["env", "fix", "--inside"]).stdout, @r#"
    WEB_HOST=web
    WEB_PORT=80
    ENVTREE_TASK=fix
    ENVTREE_ENVIRONMENT=fix
    ENVTREE_WORKTREE=/root----------------/sandbox-xxxxxxxx.worktrees/fix
    COMPOSE_PROJECT_NAME=sandbox-xxxxxxxx-fix
    GREETING="it's \"\$5\""
    "#);
}

#[test]
fn exec_has_host_values_and_containers_those_of_their_network() {
    let compose = "\
services:
  web:
    image: busybox:1
    command: httpd -f -p 80
    init: true
    ports: ['80']
  worker:
    image: busybox:1
    command: sleep inf
    init: true
    environment: { WEB_HOST: mine }
";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    done(&sandbox, &["up", "fix"]);
    let script = "echo $WEB_HOST:$WEB_PORT $ENVTREE_TASK";
    let on_host = done(&sandbox, &["exec", "fix", "--", "sh", "-c", script]).stdout;
    assert_eq!(on_host, sandbox.redact(&format!("127.0.0.1:{} fix\n", port(&sandbox, "fix", "web"))));
    let inside = done(&sandbox, &["exec", "fix", "worker", "--", "sh", "-c", script]).stdout;
    assert_eq!(inside, "mine:80 fix\n", "the file's own value wins");
    let fetched =
        done(&sandbox, &["exec", "fix", "web", "--", "sh", "-c", "echo $WEB_HOST:$WEB_PORT"]).stdout;
    assert_eq!(fetched, "web:80\n");
}

#[test]
fn a_data_image_is_given_no_variables() {
    let compose = "services:\n  redis:\n    image: redis:8\n    ports: ['6379']\n";
    let sandbox = sandbox_with(&[("compose.yaml", compose)]);
    done(&sandbox, &["up", "fix"]);
    let container = answer(&sandbox, &["status", "fix"])["environment"]["services"][0]["container"].clone();
    let variables =
        docker(&sandbox, &["inspect", "--format", "{{.Config.Env}}", container.as_str().unwrap()]);
    assert!(!variables.contains("REDIS_URL") && !variables.contains("ENVTREE_"), "{variables}");
}
