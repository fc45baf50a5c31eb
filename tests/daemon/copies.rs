//! Branches that are copies: they live as overlays do, tell what they are, and are whole or not there.

use std::fs;

use serde_json::{Value, json};

use crate::common::Sandbox;
use crate::data::{bases, check, digest, digest_of, insert, name, seeds, shop_with, users};
use crate::leftovers::state_directory;
use crate::stage::{answer, beside, commit, done, refused};
use crate::support::docker;

const MODE: &str = "  mode: copy\n";

/// Returns what an environment's volumes consist of, and why.
fn kinds(shop: &Sandbox, task: &str) -> Vec<Value> {
    let status = answer(shop, &["status", task]);
    status["environment"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| json!({ "mode": volume["branch"]["mode"], "reason": volume["branch"]["reason"] }))
        .collect()
}

/// Runs a line of the shell with a volume at `/d`.
fn with_volume(volume: &str, line: &str) -> String {
    docker(&["run", "--rm", "--volume", &format!("{volume}:/d"), "postgres:17", "sh", "-c", line])
}

#[test]
fn copies_keep_their_own_and_what_they_lie_on_does_not_change() {
    let shop = shop_with(MODE);
    let up = done(&shop, &["up", "a"]);
    assert!(up.stderr.contains("copied data into sandbox-xxxxxxxx-a_data ("), "{up}");
    assert_eq!(up.warnings(), "");
    let whole = digest(&shop, "postgres:17");
    done(&shop, &["up", "b"]);
    let kind = json!({ "mode": "copy", "reason": "`data.mode` is `copy`" });
    assert_eq!(kinds(&shop, "a"), [kind.clone(), kind]);
    let base = &bases(&shop)[0];
    let branches = base["branches"].as_array().unwrap();
    assert!(branches.len() == 4 && branches.iter().all(|branch| branch["mode"] == "copy"), "{base:#}");
    for task in ["a", "b"] {
        insert(&shop, task);
        shop.redis(task, &["set", "greeting", task]);
        assert_eq!(
            (users(&shop, task), shop.redis(task, &["get", "greeting"])),
            ("4".into(), task.to_owned())
        );
        check(&shop, task);
    }
    assert_eq!((digest(&shop, "postgres:17"), seeds(&shop)), (whole, 1));
    assert_eq!(answer(&shop, &["up", "a"])["operations"], 0);
    done(&shop, &["down", "a"]);
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "4");
    done(&shop, &["data", "reset", "a", "--yes"]);
    assert_eq!((users(&shop, "a"), shop.redis("a", &["get", "greeting"])), ("3".into(), "hello".to_owned()));
    let in_use = refused(&shop, 1, &["data", "drop", &name(base)]);
    assert!(in_use.stderr.contains("on it lie volume "), "{in_use}");
    done(&shop, &["rm", "--force", "a", "b"]);
    assert!(shop.objects("a").is_empty(), "{:?}", shop.objects("a"));
}

#[test]
fn a_snapshot_of_a_copy_lies_on_nothing_and_goes_on_as_a_copy() {
    let shop = shop_with(MODE);
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "kept"]);
    let layer = format!("{}_data.upper", shop.project("a"));
    let frozen = digest_of(&layer, "postgres:17");
    let kept = bases(&shop).into_iter().find(|base| base["name"] == "kept").unwrap();
    assert_eq!((&kept["on"], &kept["branches"][0]["mode"]), (&json!([]), &json!("copy")));
    insert(&shop, "a");
    done(&shop, &["up", "b", "--data-from", "kept"]);
    assert_eq!((users(&shop, "a"), users(&shop, "b")), ("5".to_owned(), "4".to_owned()));
    done(&shop, &["data", "restore", "a", "kept", "--yes"]);
    assert_eq!(users(&shop, "a"), "4");
    check(&shop, "a");
    check(&shop, "b");
    assert_eq!(digest_of(&layer, "postgres:17"), frozen);
    // It is whole without the base, of which it knows nothing any more.
    let base = name(&bases(&shop)[0]);
    done(&shop, &["data", "drop", &base]);
    done(&shop, &["rm", "--force", "a", "b"]);
    done(&shop, &["up", "c", "--data-from", "kept"]);
    assert_eq!((users(&shop, "c"), seeds(&shop)), ("4".to_owned(), 1));
    done(&shop, &["rm", "--force", "c"]);
    done(&shop, &["data", "drop", "kept"]);
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let left = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={own}")]);
    assert!(left.is_empty(), "{left}");
}

#[test]
fn a_snapshot_of_a_copy_is_carried_in_an_archive() {
    let shop = shop_with(MODE);
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "kept"]);
    let archive = beside(&shop, "kept.tar.zst");
    let archive = archive.to_str().unwrap();
    done(&shop, &["data", "export", "kept", archive]);
    done(&shop, &["rm", "--force", "a"]);
    done(&shop, &["data", "drop", "kept"]);
    done(&shop, &["data", "import", archive]);
    done(&shop, &["up", "b", "--data-from", "kept"]);
    assert_eq!((users(&shop, "b"), kinds(&shop, "b")[0]["mode"].clone()), ("4".to_owned(), json!("copy")));
    check(&shop, "b");
}

#[test]
fn a_copy_that_was_cut_off_is_made_anew_and_one_that_is_whole_stays() {
    let shop = shop_with(MODE);
    done(&shop, &["up", "a"]);
    let (volume, upper) =
        (format!("{}_data", shop.project("a")), format!("{}_data.upper", shop.project("a")));
    done(&shop, &["down", "a"]);
    // As a command leaves it that is killed while data is copied, and the Engine with it.
    docker(&["volume", "rm", &volume]);
    with_volume(&upper, "mv /d/u /d/w && rm -r /d/w/base /d/w/PG_VERSION");
    docker(&["create", "--name", &format!("{upper}.copy"), "postgres:17", "sleep", "60"]);
    docker(&["start", &format!("{upper}.copy")]);
    done(&shop, &["up", "a"]);
    assert_eq!((users(&shop, "a"), seeds(&shop)), ("3".to_owned(), 1));
    check(&shop, "a");
    assert_eq!(with_volume(&upper, "ls /d"), "u");
    let copiers = docker(&["ps", "--all", "--quiet", "--filter", &format!("name={upper}.copy")]);
    assert!(copiers.is_empty(), "{copiers}");
    // What mounts the copy is not what holds it.
    insert(&shop, "a");
    done(&shop, &["down", "a"]);
    docker(&["volume", "rm", &volume]);
    done(&shop, &["up", "a"]);
    assert_eq!(users(&shop, "a"), "4");
}

#[test]
fn an_engine_that_mounts_no_overlays_is_told_of() {
    let shop = shop_with("");
    done(&shop, &["up", "a"]);
    let path = state_directory(&shop).join("environments.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let engines = state["overlays"].as_object_mut().unwrap();
    assert!(engines.len() == 1 && engines.values().all(Value::is_null), "{engines:?}");
    engines.values_mut().for_each(|found| *found = "no such device".into());
    fs::write(&path, state.to_string()).unwrap();
    let reason = "the Engine mounts no overlays for volumes: no such device";
    let up = done(&shop, &["up", "b"]);
    assert_eq!(up.warnings(), format!("warning: data is copied: {reason}"));
    assert_eq!(kinds(&shop, "b")[0], json!({ "mode": "copy", "reason": reason }));
    assert_eq!((users(&shop, "b"), seeds(&shop)), ("3".to_owned(), 1));
    let told = done(&shop, &["status", "b"]);
    assert!(told.stdout.contains(&format!("copy: {reason}")), "{told}");
}

#[test]
fn what_lies_on_overlays_is_copied_as_a_whole() {
    let shop = shop_with("");
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "kept"]);
    assert_eq!(kinds(&shop, "a")[0], json!({ "mode": "overlay", "reason": null }));
    let settings = fs::read_to_string(shop.repository().join("envtree.yaml")).unwrap();
    shop.write("envtree.yaml", &format!("{settings}{MODE}"));
    commit(&shop, "Copies from here on");
    done(&shop, &["up", "b", "--data-from", "kept"]);
    assert_eq!((users(&shop, "b"), kinds(&shop, "b")[0]["mode"].clone()), ("4".to_owned(), json!("copy")));
    check(&shop, "b");
    // The base is the same, whatever its branches consist of.
    done(&shop, &["up", "c"]);
    assert_eq!((users(&shop, "c"), seeds(&shop)), ("3".to_owned(), 1));
    done(&shop, &["rm", "--force", "b", "c"]);
}
