//! Real data: dumps that a server reads, what makes them harmless, and what verifies it.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Sandbox, eventually};
use crate::data::{bases, check};
use crate::stage::{answer, beside, done, refused, sandbox_with};
use crate::support::docker;

/// How long a command may take to come so far.
const SOON: Duration = Duration::from_mins(1);

const SERVERS: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --data-checksums }
    ports: ['5432']
    volumes: ['data:/var/lib/postgresql/data']
  maria:
    image: mariadb:11
    environment: { MARIADB_ROOT_PASSWORD: secret, MARIADB_DATABASE: app }
    volumes: ['maria:/var/lib/mysql']
volumes: { data: , maria: }
";

const SETTINGS: &str = "\
data:
  sanitize: { files: [mask/*.sql], service: db }
  verify: { query: \"SELECT mail FROM users WHERE mail NOT LIKE '%@example.org'\", service: db }
";

const MASK: &str = "UPDATE users SET mail = 'user' || id || '@example.org';\n";

/// What no file of a server may hold once it was made harmless.
const SECRET: &str = "anna.of.the.real.world";

fn dump() -> String {
    let rows = (1..=500).map(|id| format!("{id}\t{SECRET}{id}@real.net\n"));
    let rows: String = rows.collect();
    format!("CREATE TABLE users (id int PRIMARY KEY, mail text);\nCOPY users FROM stdin;\n{rows}\\.\n")
}

fn inserts() -> String {
    let mail = format!("'{SECRET}' || id || '@real.net'");
    format!("CREATE TABLE users AS SELECT id, {mail} AS mail FROM generate_series(1, 500) AS id")
}

fn shop(settings: &str) -> Sandbox {
    let shop = sandbox_with(&[("compose.yaml", SERVERS), ("envtree.yaml", settings), ("mask/1.sql", MASK)]);
    fs::write(beside(&shop, "prod.sql"), dump()).unwrap();
    done(&shop, &["trust", "--yes"]);
    shop
}

fn import(shop: &Sandbox, more: &[&str]) -> Vec<String> {
    let path = beside(shop, "prod.sql").to_str().unwrap().to_owned();
    let words = ["data", "import", "--service", "db", "--from", &path];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Returns the volumes of the repository's bases and snapshots.
fn volumes(shop: &Sandbox) -> Vec<String> {
    let own = format!("name={}-[0-9a-f]+_base-", shop.repository().file_name().unwrap().to_str().unwrap());
    docker(&["volume", "ls", "--quiet", "--filter", &own]).lines().map(str::to_owned).collect()
}

fn query(shop: &Sandbox, task: &str, query: &str) -> String {
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", query])
}

/// Returns how many files of the volumes hold the secret.
fn leaks(shop: &Sandbox) -> usize {
    let line = format!("grep -rl {SECRET} /d | wc -l");
    let holds = |volume: &String| {
        let found = docker(&[
            "run",
            "--rm",
            "--volume",
            &format!("{volume}:/d:ro"),
            "postgres:17",
            "sh",
            "-c",
            &line,
        ]);
        found.parse::<usize>().unwrap()
    };
    volumes(shop).iter().map(holds).sum()
}

#[test]
fn real_data_is_harmless_and_verified_before_anything_begins_on_it() {
    let shop = shop(SETTINGS);
    let imported = answer(&shop, &words(&import(&shop, &["--name", "prod"])));
    assert_eq!((&imported["imported"], &imported["service"]), (&"prod".into(), &"db".into()), "{imported}");
    assert_eq!((&imported["sanitized"], &imported["verified"]), (&true.into(), &true.into()), "{imported}");
    // Dead rows and logs hold nothing of it either.
    assert_eq!(leaks(&shop), 0);
    done(&shop, &["up", "a", "--data-from", "prod"]);
    assert_eq!(query(&shop, "a", "SELECT count(*), min(mail) FROM users"), "500|user100@example.org");
    check(&shop, "a");
    let again = refused(&shop, 1, &words(&import(&shop, &["--name", "prod"])));
    assert!(again.stderr.contains("has a snapshot `prod`"), "{}", again.stderr);
    let file = beside(&shop, "prod.tar.zst").to_str().unwrap().to_owned();
    done(&shop, &["data", "export", "prod", &file]);
}

#[test]
fn what_is_not_harmless_leaves_nothing() {
    let half = "UPDATE users SET mail = 'user' || id || '@example.org' WHERE id > 3;\n";
    let shop = shop(SETTINGS);
    shop.write("mask/1.sql", half);
    let refused_ = refused(&shop, 1, &words(&import(&shop, &[])));
    assert!(refused_.stderr.contains("`data.verify` has something to report"), "{}", refused_.stderr);
    assert!(refused_.stderr.contains(&format!("output: {SECRET}1@real.net")), "{}", refused_.stderr);
    assert!(volumes(&shop).is_empty() && bases(&shop).is_empty(), "{:?}", volumes(&shop));
    shop.write("mask/1.sql", "UPDATE nobody SET mail = NULL;\n");
    let broken = refused(&shop, 1, &words(&import(&shop, &[])));
    assert!(broken.stderr.contains("`psql` in service `db` exited with status 3"), "{}", broken.stderr);
    assert!(broken.stderr.contains("relation \"nobody\" does not exist"), "{}", broken.stderr);
    assert!(volumes(&shop).is_empty(), "{:?}", volumes(&shop));
    // What is done to real data is accepted like a seed.
    shop.write("envtree.yaml", &SETTINGS.replace("example.org", "example.net"));
    let untrusted = refused(&shop, 1, &words(&import(&shop, &[])));
    assert!(
        untrusted.stderr.contains("`data.verify.query in service db` does not run"),
        "{}",
        untrusted.stderr
    );
}

#[test]
fn what_nobody_verified_goes_out_only_if_that_is_wanted() {
    let shop = shop("");
    let asked = refused(&shop, 1, &words(&import(&shop, &[])));
    assert!(asked.stderr.contains("`envtree.yaml` has no `data.verify`"), "{}", asked.stderr);
    let imported = done(&shop, &words(&import(&shop, &["--unsanitized"])));
    assert!(imported.stderr.contains("nothing has verified that `prod` is harmless"), "{}", imported.stderr);
    done(&shop, &["up", "a", "--data-from", "prod"]);
    done(&shop, &["data", "snapshot", "a", "later"]);
    let file = beside(&shop, "out.tar.zst").to_str().unwrap().to_owned();
    for name in ["prod", "later"] {
        let kept = refused(&shop, 1, &["data", "export", name, &file]);
        assert!(kept.stderr.contains("is real data of which nobody verified"), "{}", kept.stderr);
    }
    done(&shop, &["data", "export", "--unsanitized", "prod", &file]);
}

#[test]
fn dumps_of_every_kind_are_read_by_the_tools_of_their_servers() {
    let shop = shop("");
    done(&shop, &words(&import(&shop, &["--name", "first", "--unsanitized"])));
    done(&shop, &["up", "a", "--data-from", "first"]);
    let container = answer(&shop, &["status", "a"])["environment"]["project"].as_str().unwrap().to_owned();
    let db = format!("{container}-db-1");
    docker(&["exec", &db, "pg_dump", "-U", "app", "-Fc", "-f", "/tmp/x.dump"]);
    docker(&["exec", &db, "pg_dump", "-U", "app", "-Fd", "-f", "/tmp/folder"]);
    let custom = beside(&shop, "custom.dump").to_str().unwrap().to_owned();
    let folder = beside(&shop, "folder").to_str().unwrap().to_owned();
    docker(&["cp", &format!("{db}:/tmp/x.dump"), &custom]);
    docker(&["cp", &format!("{db}:/tmp/folder"), &folder]);
    let packed = beside(&shop, "packed.sql.zst");
    let mut zstd = zstd::Encoder::new(fs::File::create(&packed).unwrap(), 0).unwrap();
    zstd.write_all(dump().as_bytes()).unwrap();
    zstd.finish().unwrap();
    let statements = beside(&shop, "maria.sql").to_str().unwrap().to_owned();
    fs::write(&statements, "CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2);").unwrap();
    let import = |from: &str, name: &str, service: &str| {
        let words = ["data", "import", "--unsanitized", "--service", service, "--from", from, "--name", name];
        done(&shop, &words);
    };
    import(&custom, "custom", "db");
    import(&folder, "folder", "db");
    import(packed.to_str().unwrap(), "packed", "db");
    import(&statements, "maria", "maria");
    let several = refused(&shop, 1, &["data", "import", "--unsanitized", "--from", &statements]);
    assert!(several.stderr.contains("services db, maria can read it"), "{}", several.stderr);
    let words = ["data", "import", "--unsanitized", "--from", &custom, "--service", "maria"];
    let none = refused(&shop, 1, &words);
    assert!(
        none.stderr.contains("service `maria` is no server that reads an archive of `pg_dump`"),
        "{}",
        none.stderr
    );
    for name in ["custom", "folder", "packed"] {
        done(&shop, &["data", "restore", "a", name, "--yes"]);
        assert_eq!(query(&shop, "a", "SELECT count(*) FROM users"), "500", "{name}");
    }
    done(&shop, &["up", "b", "--data-from", "maria"]);
    let count = ["mariadb", "-uroot", "-psecret", "-N", "app", "-e", "SELECT count(*) FROM users"];
    assert_eq!(shop.inside("b", "maria", &count), "2");
}

/// Begins an import, and waits until its verification runs.
fn verifying(shop: &Sandbox) -> Child {
    let words_ = import(shop, &[]);
    let import = shop.envtree_with(&words(&words_)).stderr(Stdio::null()).spawn().unwrap();
    let runs = || fs::exists(shop.repository().join("verifying")).unwrap();
    eventually(runs, SOON);
    fs::remove_file(shop.repository().join("verifying")).unwrap();
    import
}

#[test]
fn an_import_that_is_interrupted_leaves_nothing_of_the_data() {
    let settings =
        "data: { sanitize: { files: mask/*.sql, service: db }, verify: 'touch verifying; sleep 600' }\n";
    let shop = shop(settings);
    let mut import = verifying(&shop);
    assert!(leaks(&shop) > 0);
    kill_process(Pid::from_child(&import), Signal::INT).unwrap();
    assert_eq!(import.wait().unwrap().code(), Some(130));
    assert!(volumes(&shop).is_empty(), "{:?}", volumes(&shop));
    let mut import = verifying(&shop);
    import.kill().unwrap();
    import.wait().unwrap();
    assert!(leaks(&shop) > 0);
    // Whatever command comes next.
    assert!(bases(&shop).is_empty());
    assert!(volumes(&shop).is_empty(), "{:?}", volumes(&shop));
}

#[test]
fn a_server_that_runs_is_read_by_the_tools_of_another() {
    let shop = shop(SETTINGS);
    done(&shop, &["up", "prod"]);
    let urls = answer(&shop, &["env", "prod", "--format", "json"]);
    let url = urls["variables"]["DATABASE_URL"].as_str().unwrap().to_owned();
    shop.inside("prod", "db", &["psql", "-U", "app", "-qc", &inserts()]);
    let imported = answer(&shop, &["data", "import", "--from", &url, "--name", "masked"]);
    assert_eq!((&imported["sanitized"], &imported["verified"]), (&true.into(), &true.into()), "{imported}");
    assert_eq!(leaks(&shop), 0);
    done(&shop, &["up", "a", "--data-from", "masked"]);
    assert_eq!(query(&shop, "a", "SELECT count(*), min(mail) FROM users"), "500|user100@example.org");
    // What is wrong is told by the tool, and the password by nobody.
    let wrong = url.replace("/app", "/nowhere").replace("secret", "t0psecret");
    let failed = refused(&shop, 1, &["data", "import", "--from", &wrong, "--service", "db"]);
    assert!(failed.stderr.contains("`pg_dump` in service `db` exited with status 1"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("t0psecret"), "{}", failed.stderr);
    let unknown = refused(&shop, 2, &["data", "import", "--from", "oracle://me:t0psecret@db/x"]);
    assert!(unknown.stderr.contains("cannot import from `oracle://me:***@db/x`"), "{}", unknown.stderr);
}

#[test]
fn a_dump_of_more_than_one_database_is_refused_where_one_is_made_harmless() {
    let shop = shop(SETTINGS);
    fs::write(beside(&shop, "prod.sql"), format!("CREATE DATABASE other;\n\\connect other\n{}", dump()))
        .unwrap();
    let other = refused(&shop, 1, &words(&import(&shop, &[])));
    assert!(
        other.stderr.contains("the dump has made database `other`: only `app` is made harmless"),
        "{}",
        other.stderr
    );
    assert!(volumes(&shop).is_empty(), "{:?}", volumes(&shop));
}
