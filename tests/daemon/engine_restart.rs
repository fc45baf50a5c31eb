//! What an Engine that is restarted leaves: environments with their data, on the ports that they had.

use crate::common::Sandbox;
use crate::private_engine::PrivateEngine;
use crate::support::{SOON, checked, eventually};

const COMPOSE: &str = "\
services:
  redis:
    image: redis:8
    command: redis-server --appendonly yes
    restart: unless-stopped
    ports: ['6379']
    volumes: ['data:/data']
volumes:
  data: {}
";

#[test]
fn ports_and_data_survive_a_restart_of_the_engine() {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", COMPOSE);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "--quiet", "--message", "Use Redis"]);
    let mut engine = PrivateEngine::start(&[], None);
    engine.bring_image(&sandbox, "redis:8");
    let before = engine.answer(&sandbox, &["up", "fix", "--json"]);
    let port = before["environment"]["services"][0]["ports"][0]["published"].clone();
    assert!(port.is_number(), "{before}");
    checked(
        &mut engine.envtree(&sandbox, &["exec", "fix", "redis", "--", "redis-cli", "set", "key", "kept"]),
    );

    engine.restart();

    // The Engine starts the container again, as its policy says, on the very port.
    let is_ready =
        || engine.answer(&sandbox, &["status", "fix", "--json"])["environment"]["state"] == "ready";
    eventually(is_ready, SOON);
    let published = checked(&mut engine.docker(&["ps", "--format", "{{.Ports}}"]));
    assert_eq!(published, format!("127.0.0.1:{port}->6379/tcp"));
    let again = engine.answer(&sandbox, &["up", "fix", "--json"]);
    assert_eq!(again["operations"], 0, "{again}");
    assert_eq!(again["environment"]["services"][0]["ports"][0]["published"], port);
    let key = ["exec", "fix", "redis", "--", "redis-cli", "get", "key"];
    assert_eq!(checked(&mut engine.envtree(&sandbox, &key)), "kept");
    checked(&mut engine.envtree(&sandbox, &["rm", "fix", "--yes"]));
}

const POSTGRES: &str = "\
services:
  db:
    image: postgres:17
    environment:
      POSTGRES_USER: app
      POSTGRES_PASSWORD: secret
      POSTGRES_INITDB_ARGS: --data-checksums
    stop_signal: SIGINT
    restart: unless-stopped
    ports: ['5432']
";

/// Runs statements in the database of a task, and returns what they print.
fn query(engine: &PrivateEngine, sandbox: &Sandbox, task: &str, text: &str) -> String {
    let psql = ["exec", task, "db", "--", "psql", "-U", "app", "-qtAc", text];
    checked(&mut engine.envtree(sandbox, &psql))
}

#[test]
fn branches_survive_restarts_of_the_engine_and_of_the_machine() {
    let seed =
        "data: { seed: { service: db, run: \"psql -U app -qc 'CREATE TABLE note AS SELECT 1 AS n'\" } }\n";
    let sandbox = Sandbox::with_files(&[("compose.yaml", POSTGRES), ("envtree.yaml", seed)]);
    let mut engine = PrivateEngine::start(&[], None);
    engine.bring_image(&sandbox, "postgres:17");
    assert_eq!(sandbox.run(&["trust", "--yes"]).status, Some(0));
    for task in ["fix", "search"] {
        engine.answer(&sandbox, &["up", task, "--json"]);
        query(&engine, &sandbox, task, &format!("INSERT INTO note VALUES ({}); CHECKPOINT", task.len()));
    }
    checked(&mut engine.envtree(&sandbox, &["data", "snapshot", "fix", "before"]));
    query(&engine, &sandbox, "fix", "INSERT INTO note VALUES (2)");

    for lose_power in [false, true] {
        if lose_power {
            engine.lose_power();
        }
        engine.restart();
        for (task, notes) in [("fix", "1\n2\n3"), ("search", "1\n6")] {
            let is_ready =
                || engine.answer(&sandbox, &["status", task, "--json"])["environment"]["state"] == "ready";
            eventually(is_ready, SOON);
            let again = engine.answer(&sandbox, &["up", task, "--json"]);
            assert_eq!(again["operations"], 0, "{again:#}");
            assert_eq!(query(&engine, &sandbox, task, "SELECT n FROM note ORDER BY n"), notes);
            let amcheck = ["exec", task, "db", "--", "pg_amcheck", "-U", "app", "--all", "--install-missing"];
            checked(&mut engine.envtree(&sandbox, &amcheck));
        }
    }
    checked(&mut engine.envtree(&sandbox, &["data", "restore", "fix", "before", "--yes"]));
    assert_eq!(query(&engine, &sandbox, "fix", "SELECT n FROM note ORDER BY n"), "1\n3");
    checked(&mut engine.envtree(&sandbox, &["rm", "fix", "search", "--yes"]));
    checked(&mut engine.envtree(&sandbox, &["data", "drop", "before"]));
    checked(&mut engine.envtree(&sandbox, &["data", "drop", "--unused"]));
    assert_eq!(checked(&mut engine.docker(&["volume", "ls", "--quiet"])), "");
}
