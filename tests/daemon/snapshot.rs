//! Snapshots: the data of an environment as it is, under a name, from which others begin.

use std::fs;

use crate::common::{SOON, Sandbox, eventually};
use crate::data::{bases, check, digest_of, insert, name, seeds, trusted, users};
use crate::leftovers::state_directory;
use crate::stage::{answer, commit, done, refused, worktree};
use crate::support::docker;

fn snapshots(shop: &Sandbox) -> Vec<serde_json::Value> {
    bases(shop).into_iter().filter(|base| !base["snapshot"].is_null()).collect()
}

fn query(shop: &Sandbox, task: &str, query: &str) -> String {
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", query])
}

#[test]
fn a_snapshot_under_load_is_whole_and_others_begin_with_it() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    shop.inside("a", "db", &["pgbench", "-U", "app", "-qi", "-s", "2", "app"]);
    let load = format!("{}-db-1", shop.project("a"));
    docker(&["exec", "--detach", &load, "pgbench", "-U", "app", "-n", "-c", "4", "-T", "60", "app"]);
    let runs = "SELECT count(*) > 100 FROM pgbench_history";
    eventually(|| query(&shop, "a", runs) == "t", SOON);
    let taken = answer(&shop, &["data", "snapshot", "a", "loaded"]);
    assert_eq!(taken["snapshot"], "loaded");
    assert_eq!(taken["services"], serde_json::json!(["db", "redis"]));
    assert!(taken["away_ms"].as_u64().unwrap() > 0);
    let layer = format!("{}_data.upper", shop.project("a"));
    let frozen = digest_of(&layer, "postgres:17");
    // Every transaction is there as a whole, or not at all.
    let balance = "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts) \
                   AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(tbalance) FROM pgbench_tellers)";
    done(&shop, &["up", "b", "--data-from", "loaded"]);
    for task in ["a", "b"] {
        check(&shop, task);
        assert_eq!(query(&shop, task, balance), "t", "{task}");
        assert_eq!(users(&shop, task), "3");
    }
    insert(&shop, "a");
    query(&shop, "b", "TRUNCATE pgbench_history");
    assert_eq!((users(&shop, "a"), users(&shop, "b")), ("4".to_owned(), "3".to_owned()));
    assert_eq!(query(&shop, "a", "SELECT count(*) > 100 FROM pgbench_history"), "t");
    assert_eq!(digest_of(&layer, "postgres:17"), frozen);
    assert_eq!(seeds(&shop), 1);
    assert_eq!(answer(&shop, &["up", "b", "--data-from", "loaded"])["operations"], 0);
}

#[test]
fn a_restore_brings_back_what_there_was_and_asks_first() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    shop.write("readme.md", "on the way");
    commit(&shop, "On the way");
    let none = refused(&shop, 1, &["data", "restore", "a", "--at", "main"]);
    assert!(none.stderr.contains("no snapshot was taken at `main` or at a commit before it"), "{none}");
    let told = done(&shop, &["data", "snapshot", "a"]);
    assert!(told.stdout.starts_with("snapshot a-1: db, redis, which did not answer for "), "{told}");
    let status = answer(&shop, &["status", "a"])["environment"]["state"].clone();
    assert_eq!((status.as_str(), users(&shop, "a").as_str()), (Some("ready"), "4"));
    let listed = &snapshots(&shop)[0];
    let head = shop.git(&["rev-parse", "a"]);
    assert_eq!(listed["snapshot"], serde_json::json!({ "task": "a", "branch": "a", "commit": head.trim() }));
    insert(&shop, "a");
    shop.redis("a", &["set", "greeting", "later"]);
    let asked = refused(&shop, 1, &["data", "restore", "a", "a-1"]);
    assert!(asked.stderr.contains("remove what changed in volume"), "{asked}");
    assert_eq!(users(&shop, "a"), "5");
    done(&shop, &["data", "restore", "a", "a-1", "--yes"]);
    assert_eq!((users(&shop, "a"), shop.redis("a", &["get", "greeting"])), ("4".into(), "hello".to_owned()));
    // What it went on with is a branch like any other.
    done(&shop, &["down", "a"]);
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "4");
    check(&shop, "a");
    done(&shop, &["data", "reset", "a", "--yes"]);
    assert_eq!((users(&shop, "a"), seeds(&shop)), ("3".to_owned(), 1));
    // The commit of the snapshot is one that came before.
    done(&shop, &["data", "restore", "a", "--at", "main", "--yes"]);
    assert_eq!(users(&shop, "a"), "4");
    done(&shop, &["data", "reset", "a", "--yes"]);
    let taken = answer(&shop, &["data", "snapshot", "a"]);
    assert_eq!(taken["snapshot"], "a-2");
    // An environment that is down stays so, and nobody drops what it goes on with.
    done(&shop, &["down", "a"]);
    assert!(answer(&shop, &["data", "snapshot", "a", "asleep"])["away_ms"].is_null());
    let in_use = refused(&shop, 1, &["data", "drop", "asleep"]);
    assert!(in_use.stderr.contains("on it lie environment a"), "{in_use}");
    let lacking = refused(&shop, 1, &["run", "a", "db", "--", "true"]);
    assert!(lacking.stderr.contains("the data of service `db` is not there yet"), "{lacking}");
    assert_eq!(answer(&shop, &["status", "a"])["environment"]["state"], "down");
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "3");
}

#[test]
fn an_environment_begins_with_the_data_of_another_one() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["up", "b", "--data-from", "a"]);
    assert_eq!((users(&shop, "a"), users(&shop, "b")), ("4".to_owned(), "4".to_owned()));
    // Again, it takes no other snapshot.
    done(&shop, &["up", "b", "--data-from", "a"]);
    assert_eq!(snapshots(&shop).len(), 1);
    let there = refused(&shop, 1, &["up", "a", "--data-from", "b"]);
    assert!(there.stderr.contains("is there already: it cannot begin with `b-1`"), "{there}");
    assert!(there.stderr.contains("`envtree data restore a b-1` replaces what is there"), "{there}");
    let own = refused(&shop, 1, &["up", "a", "--data-from", "a"]);
    assert!(own.stderr.contains("cannot begin with its own data"), "{own}");
    let unknown = refused(&shop, 1, &["up", "c", "--data-from", "b-2"]);
    assert!(unknown.stderr.contains("did you mean `b-1`?"), "{unknown}");
    assert!(!worktree(&shop, "c").exists());
    let planned = answer(&shop, &["up", "c", "--data-from", "b-1", "--dry-run"]);
    let branches = planned["steps"].as_array().unwrap().iter();
    assert_eq!(branches.filter(|step| step["cause"] == "it begins as a branch of its base").count(), 2);
    // What a task began with is not what it begins with for ever.
    done(&shop, &["down", "b", "--volumes", "--yes"]);
    done(&shop, &["up", "b"]);
    assert_eq!(users(&shop, "b"), "3");
}

#[test]
fn a_snapshot_outlives_its_environment_and_what_lies_on_another_keeps_it() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "first"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "second"]);
    let names: Vec<_> =
        snapshots(&shop).iter().map(|base| (base["name"].clone(), base["on"].clone())).collect();
    assert_eq!(names[1], ("second".into(), serde_json::json!(["first"])));
    let taken = refused(&shop, 1, &["data", "snapshot", "a", "second"]);
    assert!(taken.stderr.contains("this repository has a snapshot `second`"), "{taken}");
    let odd = refused(&shop, 1, &["data", "snapshot", "a", "no/slash"]);
    assert!(odd.stderr.contains("`no/slash` cannot be the name of a snapshot"), "{odd}");
    done(&shop, &["rm", "--force", "a"]);
    // What nobody could make again is neither unused nor dangling.
    assert!(answer(&shop, &["data", "drop", "--unused"])["dropped"].as_array().unwrap().is_empty());
    let dangling = docker(&["volume", "ls", "--quiet", "--filter", "dangling=true"]);
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!dangling.lines().any(|name| name.starts_with(&own)), "{dangling}");
    done(&shop, &["up", "a", "--data-from", "second"]);
    assert_eq!(users(&shop, "a"), "5");
    check(&shop, "a");
    let in_use = refused(&shop, 1, &["data", "drop", "first"]);
    assert!(in_use.stderr.contains("on it lie snapshot second"), "{in_use}");
    assert!(refused(&shop, 1, &["data", "drop", "second"]).stderr.contains("on it lie volume"));
    done(&shop, &["rm", "--force", "a"]);
    done(&shop, &["data", "drop", "first", "second"]);
    done(&shop, &["data", "drop", "--unused"]);
    let own = format!("label={}={own}", envtree_core::label::REPOSITORY_NAME);
    for kind in ["volume", "container"] {
        let all = if kind == "container" { vec!["--all"] } else { Vec::new() };
        let left = docker(&[&[kind, "ls", "--quiet", "--filter", &own], &all[..]].concat());
        assert!(left.is_empty(), "{kind} {left}");
    }
}

#[test]
fn a_snapshot_that_lost_its_keeper_gets_another() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    done(&shop, &["data", "snapshot", "a", "kept"]);
    done(&shop, &["rm", "--force", "a"]);
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let keepers = || {
        let name = format!("name={own}-[0-9a-f]+_base-");
        docker(&["container", "ls", "--all", "--format", "{{.Names}}", "--filter", &name])
    };
    let keeper = keepers();
    assert_eq!(keeper.lines().count(), 1, "{keeper}");
    docker(&["container", "rm", keeper.trim()]);
    done(&shop, &["data", "drop", "--unused"]);
    assert_eq!(keepers(), keeper);
    // A layer that somebody removed all the same: nothing can begin with what is left, and it goes.
    docker(&["container", "rm", keeper.trim()]);
    docker(&["volume", "rm", &format!("{own}-a_data.upper")]);
    let gone = refused(&shop, 1, &["up", "b", "--data-from", "kept"]);
    assert!(gone.stderr.contains("no task, snapshot or base `kept`"), "{gone}");
    done(&shop, &["data", "drop", "--unused"]);
    assert!(bases(&shop).is_empty(), "{:#?}", bases(&shop));
    let left = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={own}")]);
    assert!(left.is_empty(), "{left}");
}

#[test]
fn an_environment_that_is_down_after_a_snapshot_is_just_that() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    shop.inside("a", "redis", &["redis-cli", "set", "precious", "yes"]);
    done(&shop, &["down", "a"]);
    done(&shop, &["data", "snapshot", "a", "kept"]);
    let again = refused(&shop, 1, &["data", "snapshot", "a", "more"]);
    assert!(
        again.stderr.contains("the data of `a` is that of `kept`: nothing has begun on it since"),
        "{again}"
    );
    done(&shop, &["up", "b", "--data-from", "a"]);
    assert_eq!(shop.inside("b", "redis", &["redis-cli", "get", "precious"]), "yes");
    assert_eq!(snapshots(&shop).len(), 1);
    // Only the state knew on what it goes on.
    fs::remove_file(state_directory(&shop).join("environments.json")).unwrap();
    let up = done(&shop, &["up", "a"]);
    assert!(up.stderr.contains("its data begins with snapshot `kept`"), "{up}");
    assert_eq!(shop.inside("a", "redis", &["redis-cli", "get", "precious"]), "yes");
}

#[test]
fn a_server_that_does_not_stop_well_is_not_kept() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    docker(&["kill", "--signal", "KILL", &format!("{}-db-1", shop.project("a"))]);
    let torn = refused(&shop, 5, &["data", "snapshot", "a"]);
    assert!(torn.stderr.contains("service `db` ended with status 137"), "{torn}");
    assert!(snapshots(&shop).is_empty());
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "3");
    done(&shop, &["data", "snapshot", "a"]);
    assert_eq!(snapshots(&shop).len(), 1);
    let none = refused(&shop, 1, &["data", "restore", "a", "nothing"]);
    assert!(none.stderr.contains("has no base or snapshot `nothing`"), "{none}");
}

#[test]
fn a_long_line_of_snapshots_goes_on_above_a_copy() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    for number in 1..=32 {
        insert(&shop, "a");
        done(&shop, &["data", "snapshot", "a", &format!("step-{number}")]);
    }
    let all = bases(&shop);
    let copies: Vec<_> = all.iter().filter(|base| base["copy_of"].is_string()).collect();
    assert_eq!(copies.len(), 1, "{copies:#?}");
    // What was copied is all of it, and what came before stays on its own layers.
    insert(&shop, "a");
    for (task, snapshot, count) in [("b", "step-30", "33"), ("c", "step-31", "34"), ("d", "step-32", "35")] {
        done(&shop, &["up", task, "--data-from", snapshot]);
        assert_eq!(users(&shop, task), count, "{snapshot}");
        check(&shop, task);
        done(&shop, &["rm", "--force", task]);
    }
    assert_eq!(users(&shop, "a"), "36");
    check(&shop, "a");
    let copy = name(copies[0]);
    let used = refused(&shop, 1, &["data", "drop", &copy]);
    assert!(used.stderr.contains("is in use"), "{}", used.stderr);
}
