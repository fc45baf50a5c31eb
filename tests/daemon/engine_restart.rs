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
