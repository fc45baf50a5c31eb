//! What bases and branches hold, told in bytes, and what is freed once nothing used it for long.

use std::time::Duration;

use serde_json::Value;

use crate::common::{Sandbox, eventually};
use crate::data::bases;
use crate::stage::{done, environment, sandbox_with};

const SERVER: &str = "\
services:
  db:
    image: postgres:17
    command: postgres -c autovacuum=off
    # A branch that is only started has a segment of its log changed: it is to be small.
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --wal-segsize=1 }
    network_mode: none
    # The server that only initialises the data listens on a socket alone.
    healthcheck: { test: [CMD, pg_isready, -U, app, -h, 127.0.0.1], interval: 1s, retries: 60 }
    volumes: ['pg:/var/lib/postgresql/data']
volumes: { pg: }
";

/// Some 330 MB: a page for each row.
const SEED: &str = "\
data:
  seed: docker exec \"$COMPOSE_PROJECT_NAME-db-1\" psql -qU app -c \"CREATE TABLE filler WITH (fillfactor = 10) AS SELECT n, repeat('x', 500) AS text FROM generate_series(1, 40000) n\"
";

const FILLER: u64 = 300_000_000;

fn shop() -> Sandbox {
    let shop = sandbox_with(&[("compose.yaml", SERVER), ("envtree.yaml", SEED)]);
    done(&shop, &["trust", "--yes"]);
    shop
}

fn bytes(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("`{key}` is not known: {of:#}"))
}

#[test]
fn a_branch_tells_what_it_holds_of_its_own_and_shows_at_most() {
    let shop = shop();
    done(&shop, &["up", "a"]);
    let base = bases(&shop).remove(0);
    let (size, fresh) = (bytes(&base, "size"), &base["branches"][0]);
    assert!(size > FILLER && bytes(&base, "logical_at_most") == size, "{base:#}");
    assert!(bytes(fresh, "own") * 50 < size, "{base:#}");
    assert_eq!(bytes(fresh, "logical_at_most"), size + bytes(fresh, "own"));
    assert_eq!(fresh["task"], "a");
    let grow =
        "CREATE TABLE more WITH (fillfactor = 10) AS SELECT repeat('x', 500) FROM generate_series(1, 3000)";
    shop.inside("a", "db", &["psql", "-qU", "app", "-c", grow, "-c", "CHECKPOINT"]);
    let now = bases(&shop).remove(0);
    let grown = &now["branches"][0];
    assert!(bytes(grown, "own") > bytes(fresh, "own") + 20_000_000, "{now:#}");
    assert_eq!(bytes(grown, "logical_at_most"), size + bytes(grown, "own"));
    assert_eq!(now["size"], base["size"], "what a branch lies on never changes");
    // The Engine may be too busy to measure in the time that `status` gives it.
    let told = || environment(&shop, "a")["volumes"][0].clone();
    eventually(|| told()["branch"]["own"] == grown["own"], Duration::from_mins(1));
    let told = told();
    assert_eq!((&told["branch"]["on"], &told["size"]), (&base["name"], &Value::Null));
    assert_eq!(told["branch"]["logical_at_most"], grown["logical_at_most"]);
    // What a snapshot took is the branch's no more, and is told once.
    done(&shop, &["data", "snapshot", "a", "grown"]);
    let [_, snapshot] = &bases(&shop)[..] else { panic!("one base, one snapshot") };
    assert!(
        bytes(snapshot, "size") > 20_000_000 && bytes(snapshot, "logical_at_most") > size,
        "{snapshot:#}"
    );
    assert!(bytes(&snapshot["branches"][0], "own") * 50 < size, "{snapshot:#}");
    assert_eq!(environment(&shop, "a")["volumes"][0]["branch"]["on"], "grown");
}
