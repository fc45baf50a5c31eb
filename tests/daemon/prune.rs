//! What no longer belongs to anything is found, told and removed; what is in use, or was of late, stays.

use std::fs;
use std::path::{Path, PathBuf};

use envtree_core::label;
use serde_json::{Value, json};

use crate::common::Sandbox;
use crate::data::{bases, name, trusted};
use crate::stage::{IDLE, answer, beside, done, refused, sandbox_with, worktree};
use crate::support::docker;

pub(crate) fn state(sandbox: &Sandbox) -> PathBuf {
    beside(sandbox, "home/state/envtree")
}

/// Has every base that was ever used be used last on that day.
fn used_on(sandbox: &Sandbox, day: &str) {
    let path = state(sandbox).join("environments.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for used in known["used"].as_object_mut().unwrap().values_mut() {
        *used = json!(format!("{day}T00:00:00Z"));
    }
    fs::write(&path, known.to_string()).unwrap();
}

/// Returns what `prune` finds with these arguments, without removing it.
fn found(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let planned = answer(sandbox, &[&["prune", "--dry-run"], arguments].concat());
    let found = planned["found"].as_array().unwrap_or_else(|| panic!("{planned:#}")).clone();
    assert!(found.iter().all(|one| one["done"].is_null()), "{found:#?}");
    found
}

fn names(found: &[Value]) -> Vec<String> {
    found.iter().map(name).collect()
}

/// Returns what the Engine has of the repository.
pub(crate) fn objects(sandbox: &Sandbox) -> String {
    let own = sandbox.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let own = format!("label={}={own}", label::REPOSITORY_NAME);
    let containers =
        docker(&["container", "ls", "--all", "--format", "{{.ID}} {{.Names}}", "--filter", &own]);
    let networks = docker(&["network", "ls", "--format", "{{.ID}}", "--filter", &own]);
    let volumes = docker(&["volume", "ls", "--format", "{{.Name}}", "--filter", &own]);
    format!("{containers}\n{networks}\n{volumes}").trim().to_owned()
}

/// Returns the Compose project of a base, after which the volume with its record is named.
fn project(sandbox: &Sandbox, base: &str) -> String {
    let own = sandbox.repository().file_name().unwrap().to_str().unwrap().to_owned();
    docker(&["volume", "ls", "--quiet", "--filter", &format!("name=^{own}-[0-9a-f]+_base-{base}$")])
        .trim()
        .to_owned()
}

/// Returns every file below a folder with what it holds.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_base_goes_once_nothing_used_it_for_its_time_and_none_before() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    let base = name(&bases(&shop)[0]);
    used_on(&shop, "2020-01-01");
    assert!(found(&shop, &["--unused-for", "0s"]).is_empty(), "a branch lies on it");
    done(&shop, &["data", "snapshot", "a", "kept"]);
    done(&shop, &["rm", "a", "--force"]);
    assert!(found(&shop, &["--unused-for", "0s"]).is_empty(), "a snapshot lies on it");
    done(&shop, &["up", "b"]);
    done(&shop, &["data", "drop", "kept"]);
    used_on(&shop, "2020-01-01");
    done(&shop, &["rm", "b", "--force"]);
    // It was in use until then, whenever that began.
    assert!(found(&shop, &[]).is_empty());
    let listed = done(&shop, &["data", "list"]);
    assert!(listed.stdout.contains("unused since just now"), "{listed}");
    let before = (objects(&shop), files(&state(&shop)));
    let planned = found(&shop, &["--unused-for", "0s"]);
    assert_eq!((&planned[0]["kind"], names(&planned)), (&json!("base"), vec![base.clone()]));
    assert!(planned[0]["size"].as_u64().unwrap() > 10_000_000, "{planned:#?}");
    assert_eq!((objects(&shop), files(&state(&shop))), before, "a plan changes nothing");
    let asked = refused(&shop, 1, &["prune", "--unused-for", "0s"]);
    assert!(
        asked.stderr.contains("remove base `") && asked.stderr.contains("the data of db, redis"),
        "{asked}"
    );
    assert_eq!(objects(&shop), before.0, "nobody consented");
    used_on(&shop, "2020-01-01");
    // Somebody is about to begin with it.
    let project = project(&shop, &base);
    let lock = fs::File::create(state(&shop).join(format!("locks/{project}.lock"))).unwrap();
    lock.lock_shared().unwrap();
    assert!(found(&shop, &[]).is_empty());
    done(&shop, &["prune", "--yes"]);
    assert_eq!(objects(&shop), before.0);
    drop(lock);
    let pruned = answer(&shop, &["prune", "--yes"]);
    assert_eq!(names(pruned["found"].as_array().unwrap()), [base]);
    assert!(pruned["found"][0]["done"].to_string().contains("remove volume"), "{pruned:#}");
    assert_eq!(objects(&shop), "");
    assert!(bases(&shop).is_empty() && found(&shop, &["--unused-for", "0s"]).is_empty());
}

#[test]
fn the_time_is_that_of_the_repository_or_the_machine() {
    let shop = trusted();
    done(&shop, &["data", "seed"]);
    used_on(&shop, "2020-01-01");
    let settings = fs::read_to_string(shop.repository().join("envtree.yaml")).unwrap();
    shop.write("envtree.yaml", &format!("{settings}  keep: 5000w\n"));
    assert!(found(&shop, &[]).is_empty());
    assert_eq!(found(&shop, &["--unused-for", "14d"]).len(), 1);
    shop.write("envtree.yaml", &format!("{settings}  keep: 14\n"));
    let wrong = refused(&shop, 1, &["prune"]);
    assert!(wrong.stderr.contains("expected a time with a unit, such as `14d` or `36h`"), "{wrong}");
    shop.write("envtree.yaml", &settings);
    assert_eq!(found(&shop, &[]).len(), 1);
    refused(&shop, 2, &["prune", "--unused-for", "14"]);
    // Where nothing is known of its use any more, its making counts.
    let path = state(&shop).join("environments.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    known["used"] = json!({});
    fs::write(&path, known.to_string()).unwrap();
    assert!(found(&shop, &[]).is_empty());
    // A base without its record is none.
    let project = project(&shop, &name(&bases(&shop)[0]));
    docker(&["volume", "rm", &project]);
    let left = found(&shop, &[]);
    assert_eq!((&left[0]["kind"], names(&left)), (&json!("torn-base"), vec![project]));
    done(&shop, &["prune", "--yes"]);
    assert_eq!(objects(&shop), "");
}

#[test]
fn an_environment_goes_that_is_in_no_record_and_whose_worktree_is_gone() {
    let sandbox = sandbox_with(&[("compose.yaml", &format!("{IDLE}    volumes: ['/data']\n"))]);
    done(&sandbox, &["up", "gone"]);
    done(&sandbox, &["up", "here"]);
    assert!(found(&sandbox, &[]).is_empty());
    fs::remove_file(state(&sandbox).join("environments.json")).unwrap();
    assert!(found(&sandbox, &[]).is_empty(), "both worktrees are there");
    fs::remove_dir_all(worktree(&sandbox, "gone")).unwrap();
    fs::remove_file(state(&sandbox).join("environments.json")).ok();
    assert!(found(&sandbox, &[]).is_empty(), "git knows of it: it may lie on a disk that is away");
    sandbox.git(&["worktree", "prune", "--expire", "now"]);
    assert_eq!(names(&found(&sandbox, &[])), ["gone"]);
    let asked = refused(&sandbox, 1, &["prune"]);
    assert!(asked.stderr.contains("with all data of `"), "{asked}");
    done(&sandbox, &["prune", "--yes"]);
    assert!(sandbox.objects("gone").is_empty() && !sandbox.objects("here").is_empty());
    assert_eq!(sandbox.git(&["branch", "--list", "gone"]).trim(), "gone");
}
