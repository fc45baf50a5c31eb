//! Data that branches: a seed runs once, and every environment begins with what it made.

use std::fs;
use std::process::Output;

use crate::common::{Sandbox, UNPREPARED};
use crate::stage::{answer, beside, commit, done, refused, sandbox_with};
use crate::support::docker;

pub(crate) const SERVERS: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --data-checksums }
    ports: ['5432']
    volumes: ['data:/var/lib/postgresql/data', './init:/docker-entrypoint-initdb.d:ro']
  redis:
    image: redis:8
    ports: ['6379']
volumes: { data: }
";

pub(crate) const INIT: &str = "CREATE TABLE users AS SELECT n FROM generate_series(1, 3) n;\n";

/// A seed without a client on the host: it counts its runs, and asks the servers through the Engine.
pub(crate) const SEED: &str = "\
data:
  seed:
    - test -n \"$DATABASE_URL\" && test -n \"$REDIS_URL\" && echo seeded >>\"$WORKTREE_MAIN_PATH/../seeds\"
    - docker exec \"$COMPOSE_PROJECT_NAME-db-1\" psql -qU app -c \"INSERT INTO users SELECT 10 FROM pg_class\"
    - docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli set greeting hello
  inputs: [seeds/**]
";

fn shop(settings: &str) -> Sandbox {
    let settings = format!("{SEED}{settings}");
    let files =
        [("compose.yaml", SERVERS), ("init/1.sql", INIT), ("envtree.yaml", &settings), ("seeds/a", "1")];
    sandbox_with(&files)
}

pub(crate) fn trusted() -> Sandbox {
    shop_with("")
}

/// Returns a repository with a trusted seed and further settings of `data`.
pub(crate) fn shop_with(settings: &str) -> Sandbox {
    let shop = shop(settings);
    done(&shop, &["trust", "--yes"]);
    shop
}

/// Returns how often the seed ran.
pub(crate) fn seeds(shop: &Sandbox) -> usize {
    fs::read_to_string(beside(shop, "seeds")).unwrap_or_default().lines().count()
}

pub(crate) fn bases(shop: &Sandbox) -> Vec<serde_json::Value> {
    answer(shop, &["data", "list"])["bases"].as_array().unwrap().clone()
}

pub(crate) fn name(base: &serde_json::Value) -> String {
    base["name"].as_str().unwrap().to_owned()
}

pub(crate) fn users(shop: &Sandbox, task: &str) -> String {
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", "SELECT count(*) FROM users WHERE n <= 3"])
}

pub(crate) fn insert(shop: &Sandbox, task: &str) {
    shop.inside(task, "db", &["psql", "-U", "app", "-qc", "INSERT INTO users VALUES (1)"]);
}

/// Returns a digest of every file of the base's volumes; `image` is one that the Engine has by now.
pub(crate) fn digest(shop: &Sandbox, image: &str) -> String {
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={own}-[0-9a-f]+_base-")]);
    volumes.lines().map(|volume| digest_of(volume, image)).collect()
}

/// Returns a digest of every file of a volume.
pub(crate) fn digest_of(volume: &str, image: &str) -> String {
    let line = "find /d -type f | sort | xargs sha256sum | sha256sum; find /d | wc -l";
    docker(&["run", "--rm", "--volume", &format!("{volume}:/d:ro"), image, "sh", "-c", line])
}

/// Asks the server itself whether its files are whole.
pub(crate) fn check(shop: &Sandbox, task: &str) {
    shop.inside(task, "db", &["pg_amcheck", "-U", "app", "--all", "--install-missing"]);
}

#[test]
fn every_environment_begins_with_the_data_of_one_seed_and_keeps_its_own() {
    let shop = trusted();
    let first = done(&shop, &["up", "a"]);
    assert!(first.stderr.contains("making the data of db, redis"), "{}", first.stderr);
    let whole = digest(&shop, "postgres:17");
    done(&shop, &["up", "b"]);
    let base = &bases(&shop)[0];
    assert_eq!(base["services"], serde_json::json!(["db", "redis"]));
    assert_eq!(base["branches"].as_array().unwrap().len(), 4);
    for branch in base["branches"].as_array().unwrap() {
        let is_copy = branch["mode"] == "copy";
        assert!(is_copy || branch["own"].as_u64() < base["size"].as_u64(), "{base:#}");
    }
    // To read a table, Postgres opens it for writing, and has a copy from then on.
    assert_eq!((seeds(&shop), bases(&shop).len()), (1, 1));
    for task in ["a", "b"] {
        assert_eq!(users(&shop, task), "3");
        assert_eq!(shop.redis(task, &["get", "greeting"]), "hello");
        insert(&shop, task);
        shop.redis(task, &["set", "greeting", task]);
        assert_eq!(users(&shop, task), "4");
        check(&shop, task);
    }
    assert_eq!(shop.redis("a", &["get", "greeting"]), "a");
    // What runs again is what was there.
    done(&shop, &["down", "a"]);
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "4");
    assert_eq!(digest(&shop, "postgres:17"), whole);
}

#[test]
fn an_environment_that_is_there_changes_nothing_again() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    assert_eq!(answer(&shop, &["up", "a"])["operations"], 0);
    let planned = answer(&shop, &["up", "b", "--dry-run"]);
    let branch = "it begins as a branch of its base";
    let steps = planned["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["cause"] != branch), "files of a worktree to be are not read");
    done(&shop, &["up", "b", "--no-wait"]);
    done(&shop, &["down", "b", "--volumes", "--yes"]);
    let planned = answer(&shop, &["up", "b", "--dry-run"]);
    let steps = planned["steps"].as_array().unwrap();
    assert_eq!(steps.iter().filter(|step| step["cause"] == branch).count(), 2, "{planned:#}");
}

#[test]
fn a_seed_that_nobody_trusts_is_skipped_and_data_that_is_there_stays() {
    let shop = shop("");
    let up = done(&shop, &["up", "a"]);
    insta::assert_snapshot!(up.warnings(), @"warning: `data.seed` was skipped: its commands are not trusted yet, and the services start with empty data; `envtree trust` shows and accepts them");
    assert!(bases(&shop).is_empty());
    done(&shop, &["trust", "--yes"]);
    done(&shop, &["up", "a"]);
    assert_eq!((seeds(&shop), shop.redis("a", &["get", "greeting"])), (0, String::new()));
    done(&shop, &["up", "b"]);
    assert_eq!((seeds(&shop), shop.redis("b", &["get", "greeting"])), (1, "hello".to_owned()));
}

#[test]
fn a_base_is_made_anew_when_and_only_when_something_changes_that_it_depends_on() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    let old = name(&bases(&shop)[0]);
    shop.write("readme.md", "nothing of it");
    commit(&shop, "unrelated");
    done(&shop, &["up", "b"]);
    assert_eq!(seeds(&shop), 1);
    shop.write("seeds/b", "2");
    commit(&shop, "a seed more");
    done(&shop, &["up", "c"]);
    shop.write("init/1.sql", "CREATE TABLE users (n int);\n");
    commit(&shop, "another schema");
    done(&shop, &["up", "d"]);
    assert_eq!((seeds(&shop), bases(&shop).len(), users(&shop, "d")), (3, 3, "0".to_owned()));
    // The first environments stay on what they began with.
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "3");
    let in_use = refused(&shop, 1, &["data", "drop", &old]);
    assert!(in_use.stderr.contains("on it lie volume "), "{}", in_use.stderr);
    done(&shop, &["rm", "--force", "a", "b"]);
    done(&shop, &["data", "drop", &old[..6]]);
    assert!(bases(&shop).iter().all(|base| name(base) != old));
    assert!(refused(&shop, 1, &["data", "drop", &old]).stderr.contains("has no base or snapshot"));
}

#[test]
fn a_seed_that_fails_leaves_nothing_and_is_mended() {
    let settings = "data: { seed: [echo half way, test -f seeds/whole] }\n";
    let shop = sandbox_with(&[("compose.yaml", SERVERS), ("init/1.sql", INIT), ("envtree.yaml", settings)]);
    done(&shop, &["trust", "--yes"]);
    let failed = refused(&shop, 5, &["up", "a"]);
    assert!(
        failed.stderr.contains("command `test -f seeds/whole` of hook `data.seed` exited with status 1"),
        "{}",
        failed.stderr
    );
    assert!(bases(&shop).is_empty());
    let of_base = docker(&["volume", "ls", "--quiet", "--filter", "label=dev.envtree.base"]);
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!of_base.contains(&own), "{of_base}");
    fs::create_dir_all(crate::stage::worktree(&shop, "a").join("seeds")).unwrap();
    fs::write(crate::stage::worktree(&shop, "a").join("seeds/whole"), "").unwrap();
    done(&shop, &["up", "a"]);
    assert_eq!((users(&shop, "a"), bases(&shop).len()), ("3".to_owned(), 1));
    done(&shop, &["rm", "--force", "a"]);
}

#[test]
fn environments_that_come_up_at_once_make_one_base() {
    let shop = trusted();
    let ups: Vec<_> = ["a", "b", "c"].map(|task| shop.envtree_with(&["up", task]).spawn().unwrap()).into();
    for up in ups {
        let Output { status, .. } = up.wait_with_output().unwrap();
        assert!(status.success());
    }
    assert_eq!((seeds(&shop), bases(&shop).len()), (1, 1));
    for task in ["a", "b", "c"] {
        assert_eq!(users(&shop, task), "3");
    }
}

#[test]
fn what_a_clean_up_of_the_engine_takes_comes_back_and_the_data_stays() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    let project = shop.project("a");
    done(&shop, &["down", "a"]);
    // What no container mounts is what `docker volume prune --all` takes.
    let dangling = docker(&["volume", "ls", "--quiet", "--filter", "dangling=true"]);
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let dangling: Vec<&str> = dangling.lines().filter(|name| name.starts_with(&own)).collect();
    assert_eq!(dangling.len(), 2, "{dangling:?}");
    for volume in dangling {
        assert!(volume.starts_with(&format!("{project}_")) && !volume.contains(".upper"), "{volume}");
        docker(&["volume", "rm", volume]);
    }
    docker(&["container", "rm", &format!("{project}_data.keeper")]);
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "4");
    docker(&["container", "inspect", &format!("{project}_data.keeper")]);
    check(&shop, "a");
    done(&shop, &["up", "b"]);
    assert_eq!((users(&shop, "b"), seeds(&shop)), ("3".to_owned(), 1));
}

#[test]
fn down_with_volumes_begins_anew_and_rm_leaves_the_base_alone() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["down", "a", "--volumes", "--yes"]);
    assert!(shop.objects("a").is_empty(), "{:?}", shop.objects("a"));
    done(&shop, &["up", "a"]);
    assert_eq!((users(&shop, "a"), seeds(&shop)), ("3".to_owned(), 1));
    done(&shop, &["rm", "--force", "a"]);
    assert!(shop.objects("a").is_empty(), "{:?}", shop.objects("a"));
    assert_eq!(bases(&shop).len(), 1);
    let dropped = answer(&shop, &["data", "drop", "--unused"]);
    assert_eq!(dropped["dropped"].as_array().unwrap().len(), 1);
    assert!(bases(&shop).is_empty());
}

#[test]
fn a_reset_begins_anew_and_asks_first() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    shop.redis("a", &["set", "greeting", "a"]);
    let asked = refused(&shop, 1, &["data", "reset", "a"]);
    assert!(asked.stderr.contains("remove what changed in volume"), "{}", asked.stderr);
    assert_eq!(users(&shop, "a"), "4");
    let ports = answer(&shop, &["status", "a"])["environment"]["services"].clone();
    done(&shop, &["data", "reset", "a", "--yes"]);
    assert_eq!((users(&shop, "a"), seeds(&shop)), ("3".to_owned(), 1));
    assert_eq!(shop.redis("a", &["get", "greeting"]), "hello");
    let kept = answer(&shop, &["status", "a"])["environment"]["services"].clone();
    assert_eq!(ports[0]["ports"], kept[0]["ports"]);
}

#[test]
fn a_volume_of_a_server_that_nobody_knows_branches_if_it_is_named() {
    let compose = "\
services:
  search:
    image: busybox:1
    init: true
    command: sh -c 'trap \"exit 0\" TERM; while sleep 0.1; do :; done'
    volumes: ['index:/index', 'cache:/cache']
volumes: { index: , cache: }
";
    let seed = "docker exec \"$COMPOSE_PROJECT_NAME-search-1\" sh -c 'echo seeded | tee /index/a /cache/a'";
    let settings =
        |volume: &str| format!("data: {{ seed: \"{}\", volumes: {volume} }}\n", seed.replace('"', "\\\""));
    let shop = sandbox_with(&[("compose.yaml", compose), ("envtree.yaml", &settings("indexes"))]);
    done(&shop, &["trust", "--yes"]);
    let unknown = refused(&shop, 1, &["up", "a"]);
    assert!(
        unknown.stderr.contains("the Compose project has no volume `indexes`; did you mean `index`?"),
        "{unknown}"
    );
    shop.write("envtree.yaml", &settings("index"));
    commit(&shop, "The index");
    for task in ["a", "b"] {
        done(&shop, &["up", task]);
        let read = "cat /index/a; ls /cache; echo changed >/index/a";
        assert_eq!(shop.inside(task, "search", &["sh", "-c", read]), "seeded");
    }
    assert_eq!(bases(&shop).len(), 1);
}

/// What tells the data directory of one server from every other one that was initialised.
fn identifier(shop: &Sandbox, task: &str) -> String {
    let query = "SELECT system_identifier FROM pg_control_system()";
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", query])
}

#[test]
fn servers_without_a_seed_are_initialised_once() {
    let shop = sandbox_with(&[("compose.yaml", SERVERS), ("init/1.sql", INIT)]);
    let machine = beside(&shop, "config.yaml");
    let text = fs::read_to_string(&machine).unwrap();
    done(&shop, &["up", "a"]);
    assert!(bases(&shop).is_empty(), "this machine wants none");
    done(&shop, &["rm", "a"]);
    fs::write(&machine, text.replace(UNPREPARED, "")).unwrap();
    for task in ["a", "b"] {
        done(&shop, &["up", task]);
        assert_eq!(users(&shop, task), "3");
    }
    assert_eq!(identifier(&shop, "a"), identifier(&shop, "b"));
    assert_eq!(bases(&shop).len(), 1);
    shop.write("envtree.yaml", "data: { prepare: false }\n");
    commit(&shop, "Prepare nothing");
    done(&shop, &["up", "c"]);
    assert_ne!(identifier(&shop, "a"), identifier(&shop, "c"));
    done(&shop, &["rm", "--force", "a", "b", "c"]);
    done(&shop, &["data", "drop", "--unused"]);
    assert!(bases(&shop).is_empty());
}

#[test]
fn servers_without_a_seed_are_initialised_anew_for_another_script() {
    let files =
        [("compose.yaml", SERVERS), ("init/1.sql", INIT), ("envtree.yaml", "data: { prepare: true }\n")];
    let shop = sandbox_with(&files);
    for task in ["a", "b"] {
        done(&shop, &["up", task]);
        assert_eq!(users(&shop, task), "3");
        check(&shop, task);
    }
    assert_eq!(identifier(&shop, "a"), identifier(&shop, "b"));
    insert(&shop, "a");
    assert_eq!((users(&shop, "a"), users(&shop, "b")), ("4".to_owned(), "3".to_owned()));
    let first = bases(&shop);
    assert_eq!(first.len(), 1);
    // Another script, another base; the one that nothing uses any more goes with its last branch, the newest stays.
    shop.write("init/1.sql", &INIT.replace("1, 3", "1, 2"));
    commit(&shop, "Fewer users");
    done(&shop, &["up", "c"]);
    assert_eq!((users(&shop, "c"), bases(&shop).len()), ("2".to_owned(), 2));
    let ran = done(&shop, &["rm", "--force", "a", "b"]);
    assert!(!ran.stdout.contains(".upper") && !ran.stderr.contains(".upper"), "{ran}");
    assert_eq!(bases(&shop).len(), 1);
    done(&shop, &["rm", "--force", "c"]);
    assert_eq!(bases(&shop).len(), 1);
    assert_ne!(name(&bases(&shop)[0]), name(&first[0]));
}

#[test]
fn a_server_that_cannot_be_prepared_begins_by_itself() {
    let compose = SERVERS.replace(
        "  redis:\n    image: redis:8\n",
        "  redis:\n    image: redis:8\n    command: redis-server --include /conf/none\n",
    );
    assert_ne!(compose, SERVERS);
    let files = [
        ("compose.yaml", compose.as_str()),
        ("init/1.sql", INIT),
        ("envtree.yaml", "data: { prepare: true }\n"),
    ];
    let shop = sandbox_with(&files);
    let first = refused(&shop, 5, &["up", "a"]);
    assert!(first.stderr.contains("service `redis` exited"), "{first}");
    assert!(first.stderr.contains("starts with an empty volume instead"), "{first}");
    // What keeps one server from it keeps no other.
    let prepared = bases(&shop);
    assert_eq!((prepared.len(), &prepared[0]["services"]), (1, &serde_json::json!(["db"])));
    // It is not tried again and again.
    let second = refused(&shop, 5, &["up", "b"]);
    assert!(!second.stderr.contains("making the data"), "{second}");
    assert_eq!(bases(&shop).len(), 1);
}
