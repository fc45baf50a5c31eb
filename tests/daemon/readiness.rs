//! When `up` calls a service ready, and what it says of one that is not.

use std::time::{Duration, Instant};

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::stage::{
    IDLE, WEB, answer, commit, containers, docker, done, environment, port, refused, sandbox_with,
};

/// A server that listens on another port than its image says.
const CACHE_ELSEWHERE: &str = "\
services:
  cache:
    image: redis:8
    command: redis-server --port 7000
";

fn with(compose: &str) -> Sandbox {
    sandbox_with(&[("compose.yaml", compose)])
}

/// Returns what was written without the notes of what was done.
fn without_done(ran: &Ran) -> String {
    let text = ran.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert!(lines.len() < text.lines().count(), "{text}");
    lines.join("\n")
}

/// Returns a Compose file with one service of `busybox:1` that runs a shell script, and more lines of that service.
fn script(script: &str, more: &str) -> String {
    let quoted = serde_json::to_string(script).unwrap();
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    command: [sh, -c, {quoted}]\n{more}"
    )
}

/// Returns all that a service of the environment `fix` has written so far.
fn output(sandbox: &Sandbox, service: &str) -> String {
    docker(sandbox, &["logs", &sandbox.container("fix", service)])
}

#[test]
fn postgres_is_ready_when_its_final_server_answers() {
    let compose = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_PASSWORD: secret, POSTGRES_DB: shop }
    ports: ['5432']
    volumes: ['./init:/docker-entrypoint-initdb.d:ro']
";
    let slow = "CREATE TABLE goods (id int);\nSELECT pg_sleep(2);\nINSERT INTO goods VALUES (7);\n";
    let sandbox = sandbox_with(&[("compose.yaml", compose), ("init/seed.sql", slow)]);
    done(&sandbox, &["up", "fix"]);
    let query = [
        "exec",
        "fix",
        "db",
        "--",
        "psql",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-At",
        "-c",
        "TABLE goods",
        "shop",
    ];
    assert_eq!(done(&sandbox, &query).stdout, "7\n");
}

#[test]
fn a_health_check_is_run_although_the_server_answers_elsewhere() {
    let more = "    ports: ['6379']
    healthcheck: { test: ['CMD', 'redis-cli', '-p', '7000', 'ping'], interval: 10m }
";
    let sandbox = with(&format!("{CACHE_ELSEWHERE}{more}"));
    done(&sandbox, &["up", "fix"]);
}

#[test]
fn a_health_check_that_asks_for_more_than_an_answer_is_waited_for() {
    let compose = "\
services:
  cache:
    image: redis:8
    command: sh -c '{ sleep 2; touch /data/more; } & exec redis-server'
    ports: ['6379']
    healthcheck: { test: ['CMD', 'test', '-e', '/data/more'], interval: 10m }
";
    let sandbox = with(compose);
    done(&sandbox, &["up", "fix"]);
    done(&sandbox, &["exec", "fix", "cache", "--", "test", "-e", "/data/more"]);
}

#[test]
fn a_service_that_exits_is_named_with_its_status_and_last_lines_and_can_be_mended() {
    let sandbox = with(&script("echo starting; echo no such table; exit 3", ""));
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert_eq!(containers(&sandbox), "");
    insta::assert_snapshot!(without_done(&ran), @"
    exit status 5
    --- stderr
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix ([time])
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: service `app` exited with status 3
      output: starting
      output: no such table
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    ");
    let failure = environment(&sandbox, "fix")["last_failure"].clone();
    assert_eq!(failure["command"], "up");
    assert_eq!(failure["message"], "service `app` exited with status 3");
    assert!(done(&sandbox, &["status", "fix"]).stdout.contains("service `app` exited with status 3"));
    let place = crate::stage::worktree(&sandbox, "fix");
    std::fs::write(place.join("compose.yaml"), IDLE).unwrap();
    done(&sandbox, &["up", "fix"]);
    assert!(environment(&sandbox, "fix")["last_failure"].is_null());
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn a_service_that_the_engine_keeps_starting_again_is_told_so() {
    let sandbox = with(&script("echo no such table; exit 3", "    restart: unless-stopped\n"));
    let ran = refused(&sandbox, 5, &["up", "fix", "--timeout", "8s"]);
    assert!(ran.stderr.contains("service `app` was not ready after [time]: it keeps exiting"), "{ran}");
    assert!(ran.stderr.contains("\n  output: no such table\n"), "{ran}");
}

#[test]
fn an_unhealthy_service_shows_what_its_check_said() {
    let check = "    healthcheck: { test: 'echo disk is full; exit 1', interval: 200ms, retries: 1 }\n";
    let sandbox = with(&script("exec sleep inf", check));
    let ran = refused(&sandbox, 5, &["up", "fix", "--timeout", "20s"]);
    assert_eq!(environment(&sandbox, "fix")["services"][0]["health"], "unhealthy");
    assert!(ran.stderr.contains("service `app` is unhealthy: disk is full"), "{ran}");
}

#[test]
fn a_check_every_half_minute_does_not_take_half_a_minute() {
    let check = "    healthcheck: { test: test -e /tmp/up, interval: 30s }\n";
    let sandbox = with(&script("sleep 1; touch /tmp/up; exec sleep inf", check));
    let started = Instant::now();
    done(&sandbox, &["up", "fix"]);
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_secs(1) && elapsed < Duration::from_secs(20), "{elapsed:?}");
}

#[test]
fn a_port_that_nobody_listens_on_is_waited_for_until_the_timeout() {
    let sandbox = with(&script("nc -l -p 81", "    ports: ['80']\n"));
    let started = Instant::now();
    let ran = refused(&sandbox, 5, &["up", "fix", "--timeout", "2s"]);
    assert!(started.elapsed() >= Duration::from_secs(2));
    insta::assert_snapshot!(without_done(&ran), @"
    exit status 5
    --- stderr
    created worktree /root----------------/sandbox-xxxxxxxx.worktrees/fix ([time])
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: service `app` was not ready after [time]: the connection was closed at once
    hint: nothing answers at port 80, and the service has no health check: a `healthcheck` tells when it is ready, `--no-wait` does not wait for it
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    ");
    assert_eq!(environment(&sandbox, "fix")["state"], "degraded");
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
}

#[test]
fn a_process_that_only_keeps_its_container_running_is_not_waited_for() {
    let sandbox = with(&script("true && exec sleep inf", "    ports: ['80']\n"));
    done(&sandbox, &["up", "fix", "--timeout", "2s"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
}

#[test]
fn a_service_that_answers_at_another_of_its_ports_is_ready_after_a_while() {
    let sandbox = with(&script("exec httpd -f -p 80", "    ports: ['9229', '80']\n"));
    let started = Instant::now();
    done(&sandbox, &["up", "fix", "--timeout", "40s"]);
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_secs(10) && elapsed < Duration::from_secs(30), "{elapsed:?}");
}

#[test]
fn without_waiting_up_ends_when_the_containers_have_started() {
    let sandbox = with(&script("nc -l -p 81", "    ports: ['80']\n"));
    done(&sandbox, &["up", "fix", "--no-wait"]);
    assert_eq!(containers(&sandbox), "sandbox-xxxxxxxx-fix-app-1");
}

#[test]
fn dependents_start_after_what_they_need_is_healthy_or_done() {
    let compose = "\
services:
  app:
    image: busybox:1
    init: true
    command: sh -c 'test -e /shared/migrated && test -e /shared/healthy && exec sleep inf'
    volumes: ['shared:/shared']
    depends_on:
      migrate: { condition: service_completed_successfully }
      db: { condition: service_healthy }
  migrate:
    image: busybox:1
    command: sh -c 'test -e /shared/healthy && sleep 1 && touch /shared/migrated'
    volumes: ['shared:/shared']
    depends_on:
      db: { condition: service_healthy }
  db:
    image: busybox:1
    init: true
    command: sh -c 'sleep 1; touch /shared/healthy; exec sleep inf'
    volumes: ['shared:/shared']
    healthcheck: { test: test -e /shared/healthy, interval: 1s }
volumes:
  shared: {}
";
    let sandbox = with(compose);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
    assert_eq!(containers(&sandbox).lines().count(), 2);
    let again = answer(&sandbox, &["up", "fix"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready", "{again:#}");
}

#[test]
fn a_job_that_fails_keeps_its_dependents_from_starting() {
    let compose = "\
services:
  app:
    image: busybox:1
    init: true
    command: sleep inf
    depends_on:
      migrate: { condition: service_completed_successfully }
  migrate:
    image: busybox:1
    command: sh -c 'echo column exists; exit 4'
";
    let sandbox = with(compose);
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert_eq!(containers(&sandbox), "");
    assert!(ran.stderr.contains("service `migrate` exited with status 4"), "{ran}");
    assert!(ran.stderr.contains("output: column exists"), "{ran}");
}

#[test]
fn http_is_asked_for_an_answer_and_not_for_a_connection() {
    let long = "    ports: [{ target: 80, app_protocol: http }]\n";
    let sandbox = with(&script("echo mute | nc -l -p 80 >/dev/null; exec sleep inf", long));
    let ran = refused(&sandbox, 5, &["up", "fix", "--timeout", "2s"]);
    assert!(ran.stderr.contains("service `app` was not ready after"), "{ran}");
    sandbox
        .write("compose.yaml", &WEB.replace("ports: ['80']", "ports: [{ target: 80, app_protocol: http }]"));
    commit(&sandbox, "Serve");
    done(&sandbox, &["up", "served"]);
    assert_eq!(environment(&sandbox, "served")["services"][0]["ready"], true);
    assert!(port(&sandbox, "served", "web") >= 20_000);
}

#[test]
fn a_job_on_the_image_of_a_server_is_done_when_it_ends_well() {
    let compose = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_PASSWORD: secret }
    healthcheck: { test: pg_isready -h 127.0.0.1 -U postgres, interval: 1s, retries: 100 }
  migrate:
    image: postgres:17
    environment: { PGPASSWORD: secret }
    command: psql -h db -U postgres -c 'CREATE TABLE goods AS SELECT 1'
    depends_on: { db: { condition: service_healthy } }
";
    let sandbox = with(compose);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(environment(&sandbox, "fix")["state"], "ready");
    // The Engine may write down the last lines a moment after the end.
    eventually(|| output(&sandbox, "migrate") == "SELECT 1", SOON);
}

#[test]
fn a_job_with_a_volume_that_nobody_named_is_started_once_although_it_fails() {
    let job = script("echo no such table; exit 4", "    volumes: [/data]\n");
    let sandbox = with(&job);
    let ran = refused(&sandbox, 5, &["up", "fix"]);
    assert!(ran.stderr.contains("service `app` exited with status 4"), "{ran}");
    assert_eq!(output(&sandbox, "app"), "no such table");
}

#[test]
fn the_image_of_a_server_may_run_something_else() {
    let compose = "\
services:
  client:
    image: postgres:17
    command: sleep inf
    init: true
";
    let sandbox = with(compose);
    done(&sandbox, &["up", "fix"]);
    assert_eq!(environment(&sandbox, "fix")["services"][0]["ready"], true);
}

#[test]
fn a_server_that_never_answers_is_waited_for_once() {
    let sandbox = with(CACHE_ELSEWHERE);
    let started = Instant::now();
    let ran = refused(&sandbox, 5, &["up", "fix", "--timeout", "20s"]);
    let elapsed = started.elapsed();
    assert!(ran.stderr.contains("service `cache` was not ready after"), "{ran}");
    assert!(elapsed >= Duration::from_secs(20) && elapsed < Duration::from_secs(40), "{elapsed:?}");
}

#[test]
fn what_the_engine_does_not_publish_is_not_waited_for() {
    let compose = "\
services:
  cache: { image: 'redis:8', ports: ['6379'], networks: [back] }
  web:
    image: busybox:1
    command: httpd -f -p 80
    init: true
    ports: ['80']
    networks: [back]
networks:
  back: { internal: true }
";
    let sandbox = with(compose);
    let ran = done(&sandbox, &["up", "fix"]);
    for service in ["cache", "web"] {
        let warning = format!("warning: service `{service}`: the Engine publishes none of its ports");
        assert_eq!(ran.stderr.matches(&warning).count(), 1, "{ran}");
    }
    let environment = environment(&sandbox, "fix");
    assert_eq!(environment["state"], "ready");
    assert_eq!(environment["services"][0]["ports"], serde_json::json!([]));
}

#[test]
fn dependents_of_what_cannot_be_asked_are_told_what_healthy_means() {
    let compose = "\
services:
  job:
    image: busybox:1
    init: true
    command: sleep 600
  cache:
    image: redis:8
    ports: ['6379']
  app:
    image: busybox:1
    init: true
    command: sleep 600
    depends_on:
      job: { condition: service_healthy }
      cache: { condition: service_healthy }
";
    let ran = done(&with(compose), &["up", "fix"]).to_string();
    let told: Vec<&str> = ran.lines().filter(|line| line.contains("service_healthy")).collect();
    assert_eq!(
        told,
        [
            "warning: main:compose.yaml:13:5: service `app`: `service_healthy` of `job` means only that it runs: it has no health check, and no port where it can be asked; give `job` a `healthcheck`"
        ],
        "{ran}"
    );
}
