//! Archives: data of one repository begins environments of another, whatever happens on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use envtree::data::{ArchiveTarget, ExportOptions, ExportedData};
use envtree::event::Events;
use envtree::load::Input;
use envtree::session::{Session, SessionOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{SOON, Sandbox, eventually};
use crate::data::{bases, check, insert, name, seeds, trusted, users};
use crate::leftovers::state_directory;
use crate::stage::{answer, beside, commit, done, refused};
use crate::support::docker;

/// Small enough that the data of two servers makes dozens of chunks.
const CHUNK: u64 = 1024 * 1024;

/// Exports with chunks of that size.
fn export(shop: &Sandbox, name: &str, path: &Path, chunk: u64) -> ExportedData {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let environment = [
        ("HOME", beside(shop, "home")),
        ("XDG_STATE_HOME", beside(shop, "home/state")),
        ("ENVTREE_CONFIG", beside(shop, "config.yaml")),
    ];
    let environment: BTreeMap<String, String> =
        environment.map(|(key, path)| (key.to_owned(), text(path))).into();
    let session = Session::open(SessionOptions {
        directory: shop.repository(),
        files: Vec::new(),
        input: Input::empty(),
        profiles: Vec::new(),
        environment,
        command: "envtree data export".into(),
        lock_timeout: SOON,
        events: Events::ignored(),
        confirm: Arc::new(|_| false),
    });
    let target = ArchiveTarget::File(path.to_owned());
    let options = ExportOptions { force: true, chunk, ..ExportOptions::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(session.unwrap().export_data(name, target, options)).unwrap()
}

/// Returns a repository with a base, and an archive of it in chunks.
fn exported() -> (Sandbox, PathBuf, ExportedData) {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    let path = beside(&shop, "base.tar.zst");
    let exported = export(&shop, &name(&bases(&shop)[0]), &path, CHUNK);
    assert!(exported.chunks > 20, "{exported:?}");
    (shop, path, exported)
}

/// Returns the names of everything on the Engine that belongs to the repository.
fn objects(shop: &Sandbox) -> Vec<String> {
    let own = shop.repository().file_name().unwrap().to_str().unwrap().to_owned();
    let own = format!("label={}={own}", envtree_core::label::REPOSITORY_NAME);
    let containers = docker(&["container", "ls", "--all", "--format", "{{.Names}}", "--filter", &own]);
    let volumes = docker(&["volume", "ls", "--format", "{{.Name}}", "--filter", &own]);
    containers.lines().chain(volumes.lines()).map(str::to_owned).collect()
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns how many chunks of unfinished imports are in, as the state has it.
fn chunks_in(shop: &Sandbox) -> u64 {
    let state = fs::read(state_directory(shop).join("environments.json")).unwrap_or_default();
    let state: Value = serde_json::from_slice(&state).unwrap_or_default();
    state["imports"][0]["chunks"].as_u64().unwrap_or_default()
}

/// Begins an import, and kills it once some chunks are in.
fn killed_import(shop: &Sandbox, archive: &Path) {
    let mut import =
        shop.envtree_with(&["data", "import", shown(archive)]).stderr(Stdio::null()).spawn().unwrap();
    eventually(|| chunks_in(shop) >= 3, SOON);
    import.kill().unwrap();
    assert!(!import.wait().unwrap().success());
}

#[test]
fn the_base_of_one_clone_is_what_another_one_begins_on() {
    let (shop, path, whole) = exported();
    let base = name(&bases(&shop)[0]);
    let there = refused(&shop, 1, &["data", "export", &base, shown(&path)]);
    assert!(there.stderr.contains("is there already"), "{there}");
    let folder = path.parent().unwrap();
    let folder = refused(&shop, 1, &["data", "export", "--force", &base, shown(folder)]);
    assert!(folder.stderr.contains("is not a file"), "{folder}");
    let told = done(&shop, &["data", "export", "--force", &base[..6], shown(&path)]);
    assert!(told.stdout.contains(": db, redis, "), "{told}");
    let again = answer(&shop, &["data", "export", "--force", &base, shown(&path)]);
    assert_eq!((again["bytes"].as_u64(), again["chunks"].as_u64()), (Some(whole.bytes), Some(2)));
    let unknown = refused(&shop, 1, &["data", "export", "nothing"]);
    assert!(unknown.stderr.contains("has no base or snapshot `nothing`"), "{unknown}");
    let other = trusted();
    let named = refused(&other, 1, &["data", "import", shown(&path), "--name", "x"]);
    assert!(named.stderr.contains("holds a base, which has no name but its key"), "{named}");
    let imported = answer(&other, &["data", "import", shown(&path)]);
    assert_eq!(imported["imported"], json!(base));
    assert_eq!((&imported["was_there"], &imported["bytes"]), (&json!(false), &json!(whole.bytes)));
    let up = done(&other, &["up", "b"]);
    assert!(!up.stderr.contains("making the data"), "{up}");
    assert_eq!((seeds(&other), users(&other, "b")), (0, "3".to_owned()));
    assert_eq!(other.redis("b", &["get", "greeting"]), "hello");
    insert(&other, "b");
    check(&other, "b");
    let there = answer(&other, &["data", "import", shown(&path)]);
    assert_eq!((&there["was_there"], bases(&other).len()), (&json!(true), 1));
    let left = [objects(&shop), objects(&other)].concat();
    assert!(!left.iter().any(|name| name.contains("-export") || name.contains(".import")), "{left:?}");
}

#[test]
fn a_snapshot_is_carried_as_a_stream_and_called_as_one_likes() {
    let shop = trusted();
    done(&shop, &["up", "a"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "kept"]);
    insert(&shop, "a");
    done(&shop, &["data", "snapshot", "a", "later"]);
    let other = trusted();
    let carry = |name: &str, to: &[&str]| {
        let mut from =
            shop.envtree_with(&["data", "export", name, "-"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut import = other.envtree_with(&[&["data", "import", "-"], to].concat());
        let ran = other.ran(&import.stdin(from.stdout.take().unwrap()).output().unwrap());
        // It holds the end of the pipe that is read.
        drop(import);
        (from.wait().unwrap().success(), ran)
    };
    let (_, ran) = carry("kept", &["--name", "no/slash"]);
    assert!(ran.stderr.contains("`no/slash` cannot be the name of a snapshot"), "{ran}");
    let (is_exported, ran) = carry("kept", &["--name", "brought"]);
    assert!(is_exported && ran.status == Some(0), "{ran}");
    let (_, ran) = carry("later", &["--name", "brought"]);
    assert!(ran.status == Some(1) && ran.stderr.contains("has a snapshot `brought`"), "{ran}");
    let (_, ran) = carry("kept", &["--name", "else"]);
    assert!(ran.status == Some(1) && ran.stderr.contains("is here already, as `brought`"), "{ran}");
    let found = bases(&other);
    assert_eq!((found.len(), name(&found[0])), (1, "brought".to_owned()));
    let head = shop.git(&["rev-parse", "a"]);
    assert_eq!(found[0]["snapshot"], json!({ "task": "a", "branch": "a", "commit": head }));
    done(&other, &["up", "x", "--data-from", "brought"]);
    assert_eq!((users(&other, "x"), seeds(&other)), ("4".to_owned(), 0));
    check(&other, "x");
    let (_, ran) = carry("later", &[]);
    assert_eq!(ran.status, Some(0), "{ran}");
    done(&other, &["data", "restore", "x", "later", "--yes"]);
    assert_eq!(users(&other, "x"), "5");
    done(&other, &["rm", "--force", "x"]);
    // What nobody could make again is kept.
    assert!(answer(&other, &["data", "drop", "--unused"])["dropped"].as_array().unwrap().is_empty());
    done(&other, &["data", "drop", "brought", "later"]);
    assert_eq!(objects(&other), Vec::<String>::new());
    let left = objects(&shop);
    assert!(!left.iter().any(|name| name.contains("-export")), "{left:?}");
}

/// Returns the archive of data for another platform: its first chunk, with a seal that is right.
fn of_another_platform(archive: &[u8]) -> Vec<u8> {
    let seal = archive.windows(7).position(|bytes| bytes == b"envtree").unwrap() - 8;
    let mut plain = zstd::decode_all(&archive[..seal]).unwrap();
    let key = br#""platform": ""#;
    let platform = plain.windows(key.len()).position(|bytes| bytes == key).unwrap() + key.len();
    plain[platform..platform + 11].copy_from_slice(b"linux/s390x");
    let packed = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let mut changed = packed.clone();
    changed.extend_from_slice(&archive[seal..seal + 16]);
    for bytes in [packed, plain] {
        changed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        changed.extend_from_slice(&Sha256::digest(bytes));
    }
    [&changed, &archive[seal + 96..]].concat()
}

#[test]
fn an_archive_that_is_not_as_it_was_written_leaves_nothing() {
    let (_shop, path, _) = exported();
    let whole = fs::read(&path).unwrap();
    let other = trusted();
    let import = |archive: &[u8]| {
        let path = beside(&other, "damaged.tar.zst");
        fs::write(&path, archive).unwrap();
        let ran = refused(&other, 1, &["data", "import", shown(&path)]);
        assert_eq!((bases(&other), objects(&other)), (Vec::new(), Vec::new()), "{ran}");
        assert_eq!(chunks_in(&other), 0);
        ran.stderr
    };
    let cut = import(&whole[..whole.len() * 2 / 3]);
    assert!(cut.contains("it is cut off: its end is missing"), "{cut}");
    // A byte of a chunk in the middle, and of the last one.
    for at in [whole.len() / 2, whole.len() - 200] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let told = import(&damaged);
        assert!(told.contains("it is damaged: a digest does not match"), "{told}");
    }
    let told = import(&of_another_platform(&whole));
    assert!(told.contains("its data is of `linux/s390x`, and this Engine runs `linux/"), "{told}");
    let told = import(b"something else");
    assert!(told.contains("it is no archive of `envtree data export`"), "{told}");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let (_shop, path, whole) = exported();
    let other = trusted();
    killed_import(&other, &path);
    let begun = &bases(&other)[0];
    assert_eq!((&begun["unfinished"], begun["branches"].as_array().unwrap().len()), (&json!(true), 0));
    let listed = done(&other, &["data", "list"]);
    assert!(listed.stdout.contains("an import that is not complete"), "{listed}");
    // Nothing begins with it, and what sweeps leaves it alone.
    let unknown = refused(&other, 1, &["up", "b", "--data-from", &name(begun)]);
    assert!(unknown.stderr.contains("no task, snapshot or base"), "{unknown}");
    other.write("seeds/b", "2");
    commit(&other, "Another seed");
    done(&other, &["up", "c"]);
    assert_eq!((seeds(&other), bases(&other).len()), (1, 2));
    let imported = answer(&other, &["data", "import", shown(&path)]);
    let (chunks, kept) = (imported["chunks"].as_u64().unwrap(), imported["chunks_kept"].as_u64().unwrap());
    assert_eq!(chunks, whole.chunks as u64);
    assert!((3..chunks).contains(&kept), "{imported}");
    done(&other, &["up", "b", "--from", "main~1"]);
    assert_eq!((seeds(&other), users(&other, "b")), (1, "3".to_owned()));
    check(&other, "b");
    assert!(bases(&other).iter().all(|base| base["unfinished"] == false));
}

#[test]
fn an_import_that_was_begun_goes_when_it_is_dropped_or_made_here() {
    let (_shop, path, _) = exported();
    let other = trusted();
    killed_import(&other, &path);
    assert!(!objects(&other).is_empty());
    let dropped = answer(&other, &["data", "drop", &name(&bases(&other)[0])]);
    assert_eq!(dropped["dropped"].as_array().unwrap().len(), 1);
    assert_eq!((objects(&other), bases(&other)), (Vec::new(), Vec::new()));
    killed_import(&other, &path);
    // Somebody took a volume away meanwhile: what was put into it is put again.
    let mut volumes = objects(&other);
    let container = volumes.iter().position(|name| name.ends_with(".import")).unwrap();
    docker(&["container", "rm", &volumes.remove(container)]);
    docker(&["volume", "rm", &volumes[0]]);
    let mut import = other.envtree_with(&["data", "import", shown(&path)]).spawn().unwrap();
    import.wait().unwrap();
    assert_eq!(bases(&other)[0]["unfinished"], false);
    done(&other, &["data", "drop", "--unused"]);
    killed_import(&other, &path);
    // An `up` that needs it does not wait for anybody.
    done(&other, &["up", "a"]);
    assert_eq!((seeds(&other), users(&other, "a")), (1, "3".to_owned()));
    check(&other, "a");
    let found = bases(&other);
    assert_eq!((found.len(), &found[0]["unfinished"]), (1, &json!(false)));
}

#[test]
fn an_export_that_was_cut_off_goes_on_where_it_was() {
    let (shop, path, whole) = exported();
    let base = name(&bases(&shop)[0]);
    let archive = fs::read(&path).unwrap();
    let part = beside(&shop, "again.tar.zst.part");
    let again = beside(&shop, "again.tar.zst");
    let mut running =
        shop.envtree_with(&["data", "export", &base, shown(&again)]).stderr(Stdio::null()).spawn().unwrap();
    eventually(|| part.exists(), SOON);
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!again.exists());
    assert!(objects(&shop).iter().any(|name| name.contains("-export")), "{:?}", objects(&shop));
    fs::write(&part, &archive[..archive.len() * 2 / 3]).unwrap();
    let exported = export(&shop, &base, &again, CHUNK);
    assert!(exported.kept > 0 && exported.kept < exported.chunks, "{exported:?}");
    assert_eq!(
        (exported.chunks, exported.bytes, exported.size),
        (whole.chunks, whole.bytes, archive.len() as u64)
    );
    assert!(fs::read(&again).unwrap() == archive);
    assert!(!part.exists());
    // What a killed export left keeps nobody from dropping the base.
    let mut running =
        shop.envtree_with(&["data", "export", &base, shown(&part)]).stderr(Stdio::null()).spawn().unwrap();
    eventually(|| objects(&shop).iter().any(|name| name.contains("-export")), SOON);
    running.kill().unwrap();
    running.wait().unwrap();
    done(&shop, &["rm", "--force", "a"]);
    done(&shop, &["data", "drop", &base]);
    assert_eq!(objects(&shop), Vec::<String>::new());
}
