//! Where and how seeds run: in the containers of services, on top of what they made before, and before anybody waits.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{SOON, Sandbox, eventually};
use crate::data::{bases, check, name};
use crate::stage::{answer, commit, done, refused, sandbox_with};
use crate::support::docker;

const SERVERS: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_INITDB_ARGS: --data-checksums }
    ports: ['5432']
    volumes: ['data:/var/lib/postgresql/data', 'scratch:/scratch']
  tools:
    image: postgres:17
    profiles: [tools]
    entrypoint: ['false']
    environment: { PGAPPNAME: '${COMPOSE_PROJECT_NAME}', PGHOST: db }
    volumes: ['.:/work', 'cache:/cache']
    working_dir: /work
    depends_on: [db]
    ports: ['4000']
volumes: { data: , scratch: , cache: }
";

/// A seed that adds what it has not read yet, as migrations do, and says which files these were.
const MIGRATE: &str = "\
data:
  seed:
    service: tools
    incremental: true
    run: |
      psql -qv ON_ERROR_STOP=1 \"$DATABASE_URL\" -c 'CREATE TABLE IF NOT EXISTS done (file text PRIMARY KEY)'
      for file in migrations/*; do
        ! grep -q broken $file || exit 9
        psql -qtA \"$DATABASE_URL\" -c \"INSERT INTO done VALUES ('$file') ON CONFLICT DO NOTHING RETURNING file\"
      done
  inputs: [migrations]
";

fn shop(settings: &str) -> Sandbox {
    let shop = sandbox_with(&[
        ("compose.yaml", SERVERS),
        ("envtree.yaml", settings),
        ("migrations/V8", "x"),
        ("migrations/V9", "x"),
    ]);
    done(&shop, &["trust", "--yes"]);
    shop
}

/// Returns the migrations that an environment's database has seen.
fn migrated(shop: &Sandbox, task: &str) -> String {
    let query =
        "SELECT string_agg(replace(file, 'migrations/', ''), ' ' ORDER BY length(file), file) FROM done";
    shop.inside(task, "db", &["psql", "-U", "app", "-qtAc", query])
}

/// Returns the lines that the seed wrote in a run.
fn written(ran: &crate::common::Ran) -> Vec<&str> {
    let lines = ran.stderr.lines().filter_map(|line| line.split_once("migrations/V"));
    lines.map(|(_, number)| number).filter(|number| number.len() < 4).collect()
}

/// Returns the containers and the volumes of the bases of a repository.
fn of_bases(shop: &Sandbox) -> (String, Vec<String>) {
    let own = format!("{}-[0-9a-f]+_base-", shop.repository().file_name().unwrap().to_str().unwrap());
    let containers = docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("name={own}")]);
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={own}")]);
    (containers, volumes.lines().map(str::to_owned).collect())
}

#[test]
fn an_incremental_seed_goes_on_from_the_base_with_the_most_of_its_inputs() {
    let shop = shop(MIGRATE);
    let first = done(&shop, &["up", "a"]);
    assert_eq!(written(&first), ["8", "9"], "{}", first.stderr);
    let old = bases(&shop).remove(0);
    let layers = of_bases(&shop).1;

    shop.write("migrations/V10", "x");
    commit(&shop, "one more");
    let second = done(&shop, &["up", "b"]);
    assert_eq!(written(&second), ["10"], "{}", second.stderr);
    let new = bases(&shop).into_iter().find(|base| base["name"] != old["name"]).unwrap();
    assert_eq!(new["on"], serde_json::json!([old["name"]]));
    assert!(second.stderr.contains(", on "), "{}", second.stderr);
    assert_eq!((migrated(&shop, "a"), migrated(&shop, "b")), ("V8 V9".into(), "V8 V9 V10".into()));
    check(&shop, "b");
    // Its own layer holds only what changed, and nothing else of it is left.
    assert!(new["size"].as_u64() < old["size"].as_u64(), "{new:#}");
    let (containers, volumes) = of_bases(&shop);
    assert_eq!((containers.as_str(), volumes.len()), ("", layers.len() + 2), "{volumes:?}");

    // What lies on another keeps it.
    done(&shop, &["rm", "--force", "a"]);
    let in_use = refused(&shop, 1, &["data", "drop", &name(&old)]);
    assert!(in_use.stderr.contains("on it lie base "), "{}", in_use.stderr);
    // A snapshot on top of it is one as any other.
    done(&shop, &["data", "snapshot", "b", "kept"]);
    done(&shop, &["up", "c", "--data-from", "kept"]);
    assert_eq!(migrated(&shop, "c"), "V8 V9 V10");

    // What is put between others is not what comes after them: all of it is made anew.
    shop.write("migrations/V7", "x");
    commit(&shop, "one before");
    let third = done(&shop, &["up", "d"]);
    assert_eq!(written(&third), ["10", "7", "8", "9"], "{}", third.stderr);
    // One that fails leaves what it would go on from as it was, and nothing else.
    let before = of_bases(&shop);
    shop.write("migrations/V11", "broken");
    commit(&shop, "a broken one");
    let failed = refused(&shop, 5, &["data", "seed"]);
    assert!(failed.stderr.contains(", on ") && failed.stderr.contains("status 9"), "{}", failed.stderr);
    assert_eq!(of_bases(&shop), before);
    done(&shop, &["rm", "--force", "b", "c", "d"]);
    done(&shop, &["data", "drop", "kept"]);
    done(&shop, &["data", "drop", "--unused"]);
    assert_eq!(of_bases(&shop), (String::new(), Vec::new()));
}

#[test]
fn an_incremental_seed_goes_on_from_a_copy_of_a_base() {
    let shop = shop(&format!("{MIGRATE}  mode: copy\n"));
    done(&shop, &["up", "a"]);
    let old = name(&bases(&shop)[0]);
    shop.write("migrations/V10", "x");
    commit(&shop, "one more");
    let second = done(&shop, &["up", "b"]);
    assert_eq!(written(&second), ["10"], "{}", second.stderr);
    assert_eq!((migrated(&shop, "a"), migrated(&shop, "b")), ("V8 V9".into(), "V8 V9 V10".into()));
    check(&shop, "b");
    // It is whole without what it was copied from.
    done(&shop, &["rm", "--force", "a"]);
    done(&shop, &["data", "drop", &old]);
    done(&shop, &["up", "c"]);
    assert_eq!((migrated(&shop, "c"), bases(&shop).len()), ("V8 V9 V10".into(), 1));
    check(&shop, "c");
    let (containers, volumes) = of_bases(&shop);
    assert_eq!((containers.as_str(), volumes.len()), ("", 2), "{volumes:?}");
}

#[test]
fn a_seed_in_a_service_leaves_nothing_beside_the_data() {
    let shop = shop(&MIGRATE.replace("run: |", "run: |\n      grep ' /cache ' /proc/self/mountinfo"));
    let ran = done(&shop, &["data", "seed"]);
    let cache = unnamed_volume(&ran);
    assert_eq!(written(&ran), ["8", "9"], "{}", ran.stderr);
    assert!(ran.stdout.contains(": db, made in "), "{ran}");
    let (containers, volumes) = of_bases(&shop);
    assert_eq!((containers.as_str(), volumes.len()), ("", 2), "{volumes:?}");
    assert!(!docker(&["volume", "ls", "--quiet"]).contains(&cache), "{cache}");
    // No environment was made for it, and it is there for the first.
    assert!(answer(&shop, &["ls"])["environments"].as_array().unwrap().is_empty());
    assert_eq!(answer(&shop, &["data", "seed"])["made_ms"], serde_json::Value::Null);
    let up = done(&shop, &["up", "a"]);
    assert!(!up.stderr.contains("making the data"), "{}", up.stderr);
    assert_eq!(migrated(&shop, "a"), "V8 V9");
}

/// Returns the volume without a name whose mount the seed printed.
fn unnamed_volume(ran: &crate::common::Ran) -> String {
    let mount = ran.stderr.lines().find_map(|line| line.split_once("/volumes/")).expect(&ran.stderr).1;
    mount.split('/').next().unwrap().to_owned()
}

#[test]
fn a_seed_that_is_interrupted_leaves_nothing() {
    let shop = shop("data: { seed: { run: 'touch /tmp/runs; sleep 600', service: db } }\n");
    done(&shop, &["trust", "--yes"]);
    let begin = || {
        let up = shop.envtree_with(&["up", "a"]).stderr(Stdio::null()).spawn().unwrap();
        let runs = |container: &str| {
            let run = Command::new("docker").args(["exec", container, "ls", "/tmp/runs"]).output().unwrap();
            run.status.success()
        };
        eventually(|| of_bases(&shop).0.lines().any(runs), SOON);
        up
    };
    let mut up = begin();
    kill_process(Pid::from_child(&up), Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert_eq!(of_bases(&shop), (String::new(), Vec::new()));
    let mut up = begin();
    up.kill().unwrap();
    up.wait().unwrap();
    // Whatever command comes next.
    done(&shop, &["data", "list"]);
    assert_eq!(of_bases(&shop), (String::new(), Vec::new()));
}

#[test]
fn a_seed_runs_in_the_server_itself() {
    let settings = "\
data:
  seed:
    service: db
    run:
      - psql -qU app -c \"CREATE TABLE done AS SELECT 'migrations/$PGUSER' AS file\"
      - grep ' /scratch ' /proc/self/mountinfo; exit 7
";
    let settings = settings.replace("$PGUSER", "$POSTGRES_USER$DB_HOST");
    let shop = shop(&settings);
    let failed = refused(&shop, 5, &["data", "seed"]);
    let message = "of hook `data.seed` exited with status 7";
    assert!(failed.stderr.contains(message), "{}", failed.stderr);
    assert_eq!(of_bases(&shop), (String::new(), Vec::new()));
    let scratch = unnamed_volume(&failed);
    assert!(!docker(&["volume", "ls", "--quiet"]).contains(&scratch), "{scratch}");
    shop.write("envtree.yaml", &settings.replace("exit 7", "exit 0"));
    // Where commands run is a part of what was accepted, and so is each of their words.
    let untrusted = refused(&shop, 1, &["data", "seed"]);
    assert!(untrusted.stderr.contains("its commands are not trusted yet"), "{}", untrusted.stderr);
    let shown = done(&shop, &["trust", "--yes"]);
    assert!(shown.stderr.contains("data.seed in service db"), "{shown}");
    let scratch = unnamed_volume(&done(&shop, &["data", "seed"]));
    assert!(!docker(&["volume", "ls", "--quiet"]).contains(&scratch), "{scratch}");
    commit(&shop, "settings");
    done(&shop, &["up", "a"]);
    assert_eq!(migrated(&shop, "a"), "appdb");
}

#[test]
fn a_seed_without_its_service_is_refused_with_its_place() {
    let shop = shop("data:\n  seed: { run: make, service: tool }\n");
    let refused = refused(&shop, 1, &["up", "a"]);
    let message = "envtree.yaml:2:31: the Compose project has no service `tool`; did you mean `tools`?";
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
}
