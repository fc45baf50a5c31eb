//! Branches of servers of several kinds, and many of one: none sees another, and what they lie on never changes.

use crate::common::Sandbox;
use crate::data::{bases, check, digest, seeds};
use crate::stage::{done, sandbox_with};

const SERVERS: &str = "\
services:
  db:
    image: postgres:15
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --data-checksums }
    volumes: ['pg:/var/lib/postgresql/data']
  maria:
    image: mariadb:11
    environment: { MARIADB_ROOT_PASSWORD: secret, MARIADB_DATABASE: app }
    volumes: ['maria:/var/lib/mysql']
  redis:
    image: redis:8
    command: redis-server --appendonly yes
volumes: { pg: , maria: }
";

const SEED: &str = "\
data:
  seed:
    - echo seeded >>\"$WORKTREE_MAIN_PATH/../seeds\"
    - docker exec \"$COMPOSE_PROJECT_NAME-db-1\" psql -qU app -c 'CREATE TABLE users AS SELECT 1 AS n'
    - docker exec \"$COMPOSE_PROJECT_NAME-maria-1\" mariadb -uroot -psecret app -e 'CREATE TABLE users (n int) ENGINE=InnoDB; INSERT INTO users VALUES (1)'
    - docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli rpush users 1
";

const ONE: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --data-checksums }
    # A sandbox has not as many networks.
    network_mode: none
    # The server that only initialises the data listens on a socket alone.
    healthcheck: { test: [CMD, pg_isready, -U, app, -h, 127.0.0.1], interval: 1s, retries: 60 }
    volumes: ['pg:/var/lib/postgresql/data']
volumes: { pg: }
";

const SEED_OF_ONE: &str = "\
data:
  seed:
    - echo seeded >>\"$WORKTREE_MAIN_PATH/../seeds\"
    - docker exec \"$COMPOSE_PROJECT_NAME-db-1\" psql -qU app -c 'CREATE TABLE users AS SELECT 1 AS n'
";

/// How many environments begin on one base, and how many commands run at once.
const MANY: usize = 50;
const AT_ONCE: usize = 5;

fn shop(compose: &str, seed: &str) -> Sandbox {
    let shop = sandbox_with(&[("compose.yaml", compose), ("envtree.yaml", seed)]);
    done(&shop, &["trust", "--yes"]);
    shop
}

fn postgres(shop: &Sandbox, task: &str, query: &str) -> String {
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", query])
}

fn mariadb(shop: &Sandbox, task: &str, query: &str) -> String {
    shop.inside(task, "maria", &["mariadb", "-uroot", "-psecret", "-N", "app", "-e", query])
}

/// Returns what each server of an environment has.
fn counts(shop: &Sandbox, task: &str) -> [String; 3] {
    let count = "SELECT count(*) FROM users";
    [postgres(shop, task, count), mariadb(shop, task, count), shop.redis(task, &["llen", "users"])]
}

fn add(shop: &Sandbox, task: &str) {
    let insert = "INSERT INTO users VALUES (2)";
    postgres(shop, task, insert);
    mariadb(shop, task, insert);
    shop.redis(task, &["rpush", "users", "2"]);
}

/// Asks each server whether its files are whole.
fn check_all(shop: &Sandbox, task: &str) {
    check(shop, task);
    assert_eq!(mariadb(shop, task, "CHECK TABLE users EXTENDED"), "app.users\tcheck\tstatus\tOK");
    shop.inside(task, "redis", &["sh", "-c", "redis-check-aof /data/appendonlydir/*.manifest"]);
}

#[test]
fn branches_of_each_kind_of_server_keep_their_own() {
    let shop = shop(SERVERS, SEED);
    done(&shop, &["up", "a"]);
    let whole = digest(&shop, "postgres:15");
    done(&shop, &["up", "b"]);
    add(&shop, "a");
    assert_eq!(counts(&shop, "a"), ["2", "2", "2"]);
    assert_eq!(counts(&shop, "b"), ["1", "1", "1"]);
    // A third one goes on from what the first has by now.
    done(&shop, &["up", "c", "--data-from", "a"]);
    add(&shop, "c");
    assert_eq!(counts(&shop, "a"), ["2", "2", "2"]);
    assert_eq!(counts(&shop, "c"), ["3", "3", "3"]);
    for task in ["a", "b", "c"] {
        check_all(&shop, task);
    }
    let now = digest(&shop, "postgres:15");
    assert!(whole.lines().all(|line| now.contains(line)), "{whole}\n\n{now}");
    assert_eq!(seeds(&shop), 1);
}

#[test]
fn many_environments_begin_on_one_base() {
    let shop = shop(ONE, SEED_OF_ONE);
    done(&shop, &["data", "seed"]);
    let whole = digest(&shop, "postgres:17");
    let tasks: Vec<String> = (1..=MANY).map(|number| format!("task-{number}")).collect();
    for some in tasks.chunks(AT_ONCE) {
        let ups = some.iter().map(|task| (task, shop.envtree_with(&["up", task]).spawn().unwrap()));
        for (task, mut up) in ups.collect::<Vec<_>>() {
            assert!(up.wait().unwrap().success(), "{task}");
        }
        for (task, number) in some.iter().zip(2..) {
            postgres(&shop, task, &format!("INSERT INTO users SELECT FROM generate_series(1, {number})"));
        }
        for (task, number) in some.iter().zip(2..) {
            assert_eq!(postgres(&shop, task, "SELECT count(*) FROM users"), format!("{}", number + 1));
            check(&shop, task);
        }
        // The machine need not bear all of the servers at once.
        for task in some {
            done(&shop, &["stop", task]);
        }
    }
    let base = bases(&shop).remove(0);
    assert_eq!((base["branches"].as_array().unwrap().len(), seeds(&shop)), (MANY, 1));
    assert_eq!(digest(&shop, "postgres:17"), whole);
    let names = tasks.iter().map(String::as_str);
    done(&shop, &["rm", "--force"].into_iter().chain(names).collect::<Vec<_>>());
    done(&shop, &["data", "drop", "--unused"]);
    assert!(bases(&shop).is_empty());
}
