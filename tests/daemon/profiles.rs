//! Profiles: which services an environment has, and jobs that must be done before others start.

use crate::common::Sandbox;
use crate::stage::{IDLE, commit, done, environment, refused, sandbox_with};
use crate::support::SOON;

const COMPOSE: &str = "\
services:
  app: { image: busybox:1, command: sleep inf, init: true }
  debugger: { image: busybox:1, command: sleep inf, init: true, profiles: [debug] }
  tracer: { image: busybox:1, command: sleep inf, init: true, profiles: [trace, debug] }
  seeder: { image: busybox:1, command: sleep inf, init: true, profiles: [seed] }
";

/// Returns the services of `fix` that have a container, with their states.
fn made(sandbox: &Sandbox) -> Vec<String> {
    let environment = environment(sandbox, "fix");
    let services = environment["services"].as_array().unwrap().iter();
    let made = services.filter(|service| service["state"] != "missing");
    made.map(|service| format!("{} {}", service["name"], service["state"]).replace('"', "")).collect()
}

#[test]
fn services_of_a_profile_are_made_when_it_is_on_and_left_alone_when_it_is_not() {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(made(&sandbox), ["app running"]);
    done(&sandbox, &["up", "fix", "--profile", "debug"]);
    let all = ["app running", "debugger running", "tracer running"];
    assert_eq!(made(&sandbox), all);
    // What nobody decided about stays as it is, even where orphans go.
    let lives = sandbox.lives("fix", &["app", "debugger", "tracer"]);
    let ran = done(&sandbox, &["up", "fix", "--remove-orphans", "--yes"]);
    assert_eq!(ran.warnings(), "");
    assert_eq!(sandbox.lives("fix", &["app", "debugger", "tracer"]), lives);
    done(&sandbox, &["stop", "fix", "debugger"]);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(made(&sandbox), ["app running", "debugger exited", "tracer running"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
    done(&sandbox, &["down", "fix"]);
    assert_eq!(made(&sandbox), [""; 0]);
    done(&sandbox, &["up", "fix", "--profile", "*"]);
    assert_eq!(made(&sandbox).len(), 4);
    done(&sandbox, &["rm", "fix", "--yes"]);
    assert_eq!(sandbox.objects("fix"), [""; 0]);
}

#[test]
fn profiles_come_from_the_variable_and_from_the_settings_too() {
    let sandbox = sandbox_with(&[("compose.yaml", COMPOSE)]);
    let mut command = sandbox.envtree_with(&["up", "fix"]);
    let ran = sandbox.ran(&command.env("COMPOSE_PROFILES", "trace, seed").output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!(made(&sandbox), ["app running", "seeder running", "tracer running"]);
    done(&sandbox, &["rm", "fix", "--yes"]);
    sandbox.write("envtree.yaml", "compose: { profiles: [seed] }\n");
    commit(&sandbox, "Seed");
    done(&sandbox, &["up", "fix", "--profile", "trace"]);
    assert_eq!(made(&sandbox), ["app running", "seeder running", "tracer running"]);
}

#[test]
fn a_service_that_needs_one_of_a_profile_that_is_off_is_refused_with_its_place() {
    let more = "    depends_on:
      debugger: { condition: service_started }
  debugger: { image: busybox:1, command: sleep inf, init: true, profiles: [debug] }
";
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{IDLE}{more}"))]);
    insta::assert_snapshot!(refused(&sandbox, 1, &["up", "fix"]).stderr, @"error: main:compose.yaml:7:7: service `app`: `depends_on`: service `debugger` is required, but its profile is not active: `debug`");
    done(&sandbox, &["up", "fix", "--profile", "debug"]);
    assert_eq!(made(&sandbox), ["app running", "debugger running"]);
}

/// A Compose file with a job that `script` describes, and an app that waits for its good end.
fn with_job(script: &str) -> Sandbox {
    let compose = format!(
        "\
services:
  app:
    image: busybox:1
    command: sh -c 'cat /data/schema; exec sleep inf'
    init: true
    volumes: ['data:/data']
    depends_on: {{ migrate: {{ condition: service_completed_successfully }} }}
  migrate:
    image: busybox:1
    command: sh -c '{script}'
    volumes: ['data:/data']
volumes: {{ data: {{}} }}
"
    );
    sandbox_with(&[("compose.yaml", &compose)])
}

#[test]
fn an_app_starts_once_the_job_before_it_is_done_which_is_not_done_again() {
    let sandbox = with_job("sleep 1; echo migrated | tee -a /data/schema");
    done(&sandbox, &["up", "fix"]);
    assert_eq!(made(&sandbox), ["app running", "migrate exited"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
    crate::support::eventually(|| done(&sandbox, &["logs", "fix", "app"]).stdout == "app | migrated\n", SOON);
    assert_eq!(sandbox.up("fix")["operations"], 0);
    assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/schema"]), "migrated");
    done(&sandbox, &["up", "fix", "--force-recreate"]);
    assert_eq!(sandbox.inside("fix", "app", &["cat", "/data/schema"]), "migrated\nmigrated");
}

#[test]
fn a_job_that_fails_keeps_the_app_from_starting_and_shows_its_last_lines() {
    let sandbox = with_job("echo reading; echo a relation is missing; exit 3");
    let told = refused(&sandbox, 5, &["up", "fix"]).stderr;
    let why = &told[told.find("error: ").unwrap()..told.find("hint: ").unwrap()];
    insta::assert_snapshot!(why, @"
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: service `migrate` exited with status 3
      output: reading
      output: a relation is missing
    ");
    assert_eq!(made(&sandbox), ["app created", "migrate exited"]);
    // Mended, the job is done and the app starts.
    let worktree = crate::stage::worktree(&sandbox, "fix").join("compose.yaml");
    let text = std::fs::read_to_string(&worktree).unwrap().replace("exit 3", "echo 1 >/data/schema");
    std::fs::write(&worktree, text).unwrap();
    done(&sandbox, &["up", "fix"]);
    assert_eq!(made(&sandbox), ["app running", "migrate exited"]);
}
