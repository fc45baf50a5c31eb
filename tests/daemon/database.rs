//! Databases of an environment's own on a server that environments share.

use std::process::Command;

use serde_json::Value;

use crate::common::Sandbox;
use crate::leftovers::leftovers;
use crate::stage::sandbox_with;
use crate::support::{SOON, checked, docker, eventually, inspect};

const POSTGRES: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret }
    ports: ['5432']
    volumes: ['data:/var/lib/postgresql/data']
  app:
    image: postgres:17
    command: sh -c 'psql $$DATABASE_URL -qtAc \"SELECT current_database()\" && exec sleep 1000'
    init: true
    environment:
      DATABASE_URL: postgres://app:secret@db:5432/app
      TESTS: postgresql://app:secret@db/app_test
      PGUSER: app
    depends_on: [db]
    healthcheck: { disable: true }
volumes: { data: }
";

const MARIADB: &str = "\
services:
  db:
    image: mariadb:11
    environment: { MARIADB_ROOT_PASSWORD: secret, MARIADB_DATABASE: app }
    ports: ['3306']
  app:
    image: mariadb:11
    command: sleep 1000
    init: true
    environment: { DATABASE_URL: 'mysql://root:secret@db/app' }
    depends_on: [db]
    healthcheck: { disable: true }
";

/// Services that reach the server by a link's alias, and say how in several forms.
const LINKED: &str = "\
services:
  db:
    image: postgres:17
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: secret }
    networks: { default: { aliases: [store] } }
  app:
    image: postgres:17
    command:
      - sh
      - -c
      - 'url=ecto://app:secret@database:5432/app; psql postgres$${url#ecto} -qtAc \"SELECT current_user\"; exec sleep 1000'
    init: true
    links: ['db:database']
    environment:
      ECTO_URL: ecto://app:secret@database/app_test?connect_timeout=9
      CONNINFO: host=store user=app password='secret' dbname=app
      JDBC_URL: jdbc:postgresql://database:5432/app?user=app&password=secret
    healthcheck: { disable: true }
  apart:
    image: postgres:17
    command: sh -c 'until pg_isready -h database -U app; do sleep 1; done; exec sleep 1000'
    init: true
    links: ['db:database']
    environment: { PGHOST: database, PGUSER: app, PGPASSWORD: secret, PGDATABASE: app }
    healthcheck: { disable: true }
  opaque:
    image: postgres:17
    command: sleep 1000
    init: true
    environment:
      - TARGET=app:secret@db
    healthcheck: { disable: true }
";

const SETTINGS: &str = "services: { db: { isolation: database } }\n";

fn server(sandbox: &Sandbox) -> String {
    format!("{}_shared-db-1", sandbox.repository().file_name().unwrap().to_str().unwrap())
}

fn variables(sandbox: &Sandbox, task: &str) -> Value {
    sandbox.json(&["env", task])["variables"].clone()
}

/// Asks the shared Postgres as its superuser.
fn ask(sandbox: &Sandbox, statement: &str) -> String {
    docker(&["exec", &server(sandbox), "psql", "-U", "app", "-d", "postgres", "-qtAc", statement])
}

/// Asks by a URL of the host, from a container that has nothing else of the environment.
fn by_url(url: &Value, statement: &str) -> Result<String, String> {
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "host", "postgres:17", "psql"])
        .args([url.as_str().unwrap(), "-qtAc", statement])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn each_environment_has_databases_of_its_own_on_one_postgres() {
    let sandbox = sandbox_with(&[("compose.yaml", POSTGRES), ("envtree.yaml", SETTINGS)]);
    let up = sandbox.succeed(&["up", "fix-one"]);
    assert!(
        up.warnings().contains("service `app`: the variable `PGUSER` names the user of the server `db`"),
        "{up}"
    );
    let id = inspect("container", &server(&sandbox))["Id"].clone();
    sandbox.up("two");
    assert_eq!(inspect("container", &server(&sandbox))["Id"], id);

    // Inside, the values of the file point at the environment's own; the service found them when it started.
    let psql = |task: &str, variable: &str, statement: &str| {
        let command = format!("psql ${variable} -qtAc \"{statement}\"");
        sandbox.inside(task, "app", &["sh", "-c", &command])
    };
    assert_eq!(
        psql("fix-one", "DATABASE_URL", "SELECT current_database(), current_user"),
        "dev_fix_one|dev_fix_one"
    );
    assert_eq!(psql("fix-one", "TESTS", "SELECT current_database()"), "test_fix_one");
    assert!(sandbox.succeed(&["logs", "fix-one", "app"]).stdout.contains("dev_fix_one"));
    for task in ["fix-one", "two"] {
        psql(task, "DATABASE_URL", &format!("CREATE TABLE note AS SELECT 'of {task}' AS text"));
    }

    // On the host, so do the variables.
    let (one, two) = (variables(&sandbox, "fix-one"), variables(&sandbox, "two"));
    assert_eq!(by_url(&one["DATABASE_URL"], "SELECT text FROM note"), Ok("of fix-one".to_owned()));
    assert_eq!(by_url(&two["DB_URL"], "SELECT text FROM note"), Ok("of two".to_owned()));
    assert_eq!(by_url(&two["TEST_DATABASE_URL"], "SELECT current_database()"), Ok("test_two".to_owned()));
    assert_eq!((&one["DB_USER"], &one["DB_TEST_DATABASE"]), (&"dev_fix_one".into(), &"test_fix_one".into()));
    assert_ne!(one["DB_PASSWORD"], two["DB_PASSWORD"]);

    the_sibling_is_refused(&one, &two);
    passwords_are_nowhere(&sandbox, one["DB_PASSWORD"].as_str().unwrap());
    data_stays_until_rm(&sandbox, &one);
}

#[test]
fn a_login_in_any_form_at_the_alias_of_a_link_is_the_environments_own() {
    let sandbox = sandbox_with(&[("compose.yaml", LINKED), ("envtree.yaml", SETTINGS)]);
    let up = sandbox.succeed(&["up", "one"]);
    let told = up.warnings();
    let expected =
        "compose.yaml:31:9: service `opaque`: the variable `TARGET` names the password of the server `db`";
    assert!(told.contains(expected), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("of the server")).count(), 1, "{told}");

    let psql = |service: &str, arguments: &str| {
        let command = format!("psql {arguments} -qtAc 'SELECT current_user, current_database()'");
        sandbox.inside("one", service, &["sh", "-c", &command])
    };
    assert_eq!(psql("app", "postgres${ECTO_URL#ecto}"), "dev_one|test_one");
    assert_eq!(psql("app", "\"$CONNINFO\""), "dev_one|dev_one");
    assert_eq!(psql("app", "${JDBC_URL#jdbc:}"), "dev_one|dev_one");
    assert_eq!(psql("apart", ""), "dev_one|dev_one");
    eventually(|| sandbox.succeed(&["logs", "one", "app"]).stdout.contains("dev_one"), SOON);
    assert_eq!(sandbox.up("one")["operations"], 0);
}

fn the_sibling_is_refused(one: &Value, two: &Value) {
    for database in ["dev_two", "test_two"] {
        let own = one["DATABASE_URL"].as_str().unwrap();
        let url = own.replace("/dev_fix_one", &format!("/{database}"));
        let url = url.replacen(&format!("//{database}"), "//dev_fix_one", 1);
        let refused = by_url(&url.into(), "SELECT 1").unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    let guessed = two["DATABASE_URL"].as_str().unwrap();
    let guessed = guessed.replace(two["DB_PASSWORD"].as_str().unwrap(), one["DB_PASSWORD"].as_str().unwrap());
    assert!(by_url(&guessed.into(), "SELECT 1").unwrap_err().contains("password authentication failed"));
}

/// Returns the command lines of all processes.
fn command_lines() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // A process may end before it is looked at.
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines.collect()
}

fn passwords_are_nowhere(sandbox: &Sandbox, password: &str) {
    let written = [
        checked(&mut sandbox.envtree_with(&["config", "fix-one"])),
        checked(&mut sandbox.envtree_with(&["--json", "status", "fix-one"])),
        checked(&mut sandbox.envtree_with(&["--json", "up", "fix-one", "--dry-run"])),
        docker(&["logs", &server(sandbox)]),
        command_lines(),
    ];
    assert!(!written[0].contains("%7BENVTREE"), "{}", written[0]);
    for text in written {
        assert!(!text.contains(password), "{text}");
    }
    assert_eq!(sandbox.up("fix-one")["operations"], 0);
}

fn data_stays_until_rm(sandbox: &Sandbox, one: &Value) {
    sandbox.succeed(&["down", "fix-one"]);
    sandbox.up("fix-one");
    assert_eq!(by_url(&one["DATABASE_URL"], "SELECT text FROM note"), Ok("of fix-one".to_owned()));
    assert_eq!(variables(sandbox, "fix-one"), *one);

    // A database that the role owns goes with a connection open, also on a server that nobody uses at the moment.
    sandbox.succeed(&["down", "fix-one"]);
    sandbox.succeed(&["down", "two"]);
    assert_eq!(inspect("container", &server(sandbox))["State"]["Running"], false);
    // A list leads to the environment's own database.
    let listed = sandbox.json(&["status", "fix-one"]).to_string();
    assert!(listed.contains("/dev_fix_one\""), "{listed}");
    let removed = sandbox.succeed(&["rm", "--yes", "fix-one"]);
    assert!(removed.stdout.contains("2 databases"), "{removed}");
    for database in ["  database dev_fix_one of ", "  database test_fix_one of "] {
        assert!(removed.stdout.contains(database), "{removed}");
    }
    assert_eq!(inspect("container", &server(sandbox))["State"]["Running"], false);
    sandbox.up("two");
    let databases = "SELECT datname FROM pg_database WHERE datname ~ '^(dev|test)_' ORDER BY 1";
    assert_eq!(ask(sandbox, databases).split_whitespace().collect::<Vec<_>>(), ["dev_two", "test_two"]);
    assert_eq!(ask(sandbox, "SELECT rolname FROM pg_roles WHERE rolname ~ '^dev_'"), "dev_two");
    sandbox.succeed(&["rm", "--yes", "two"]);
    assert_eq!(leftovers(sandbox), [""; 0]);
}

#[test]
fn databases_go_with_the_volumes_that_down_removes() {
    let sandbox = sandbox_with(&[("compose.yaml", POSTGRES), ("envtree.yaml", SETTINGS)]);
    sandbox.up("one");
    sandbox.up("two");
    let url = variables(&sandbox, "one")["DATABASE_URL"].clone();
    by_url(&url, "CREATE TABLE note (text text)").unwrap();

    let asked = sandbox.fail(1, &["down", "--volumes", "one"]);
    let server = server(&sandbox);
    let question = format!("remove database `dev_one` of `{server}` and its data");
    assert!(asked.contains(&sandbox.redact(&question)), "{asked}");
    assert_eq!(by_url(&url, "SELECT count(*) FROM note"), Ok("0".to_owned()));

    let done = sandbox.succeed(&["--yes", "down", "--volumes", "one"]);
    let told = format!("removed database test_one of {server}");
    assert!(done.stdout.contains(&sandbox.redact(&told)), "{done}");
    let left = "SELECT datname FROM pg_database WHERE datname ~ '^(dev|test)_' ORDER BY 1";
    assert_eq!(ask(&sandbox, left).split_whitespace().collect::<Vec<_>>(), ["dev_two", "test_two"]);
    assert_eq!(ask(&sandbox, "SELECT rolname FROM pg_roles WHERE rolname ~ '^dev_'"), "dev_two");

    // It gets new ones, with the same password: also for a command, which waits until the server takes it.
    sandbox.succeed(&["down", "two"]);
    assert_eq!(inspect("container", &server)["State"]["Running"], false);
    let statement = "psql $DATABASE_URL -qtAc 'SELECT current_database()'";
    let ran = sandbox.succeed(&["run", "-q", "one", "app", "--", "sh", "-c", statement]);
    assert_eq!(ran.stdout.trim(), "dev_one");
    sandbox.up("one");
    assert_eq!(by_url(&url, "SELECT count(*) FROM pg_tables WHERE tablename = 'note'"), Ok("0".to_owned()));
}

#[test]
fn rm_ends_connections_to_the_databases_that_it_drops() {
    let sandbox = sandbox_with(&[("compose.yaml", POSTGRES), ("envtree.yaml", SETTINGS)]);
    sandbox.up("one");
    sandbox.up("two");
    let url = variables(&sandbox, "one")["DATABASE_URL"].as_str().unwrap().to_owned();
    let client = format!("{}-client", sandbox.project("one"));
    let arguments =
        ["run", "--detach", "--rm", "--name", &client, "--network", "host", "postgres:17", "psql", &url];
    docker(&[&arguments[..], &["-c", "SELECT pg_sleep(1000)"]].concat());
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'dev_one' AND query ~ '^SELECT pg_sleep'";
    eventually(|| ask(&sandbox, sleeping) == "1", SOON);

    sandbox.succeed(&["rm", "--yes", "one"]);
    assert_eq!(ask(&sandbox, "SELECT count(*) FROM pg_database WHERE datname ~ 'one'"), "0");
    let left = || docker(&["container", "ls", "--quiet", "--filter", &format!("name={client}")]);
    eventually(|| left().is_empty(), SOON);
}

#[test]
fn each_environment_has_databases_of_its_own_on_one_mariadb() {
    let sandbox = sandbox_with(&[("compose.yaml", MARIADB), ("envtree.yaml", SETTINGS)]);
    sandbox.up("fix-one");
    sandbox.up("fix-two");
    let ask = |task: &str, login: &Value, database: &str, statement: &str| {
        let login = |key: &str| login[key].as_str().unwrap().to_owned();
        let (user, password) = (format!("-u{}", login("DB_USER")), format!("-p{}", login("DB_PASSWORD")));
        let command =
            ["exec", task, "app", "--", "mariadb", "-hdb", "--skip-ssl", "-N", &user, &password, database];
        sandbox.run(&[&command[..], &["-e", statement]].concat())
    };
    let (one, two) = (variables(&sandbox, "fix-one"), variables(&sandbox, "fix-two"));
    for (task, login, database) in [("fix-one", &one, "dev_fix_one"), ("fix-two", &two, "test_fix_two")] {
        let made = ask(
            task,
            login,
            database,
            "CREATE TABLE note AS SELECT DATABASE() AS text; SELECT text FROM note",
        );
        assert_eq!((made.stdout.trim(), made.status), (database, Some(0)), "{made}");
    }
    let refused = ask("fix-one", &one, "test_fix_two", "SELECT 1");
    assert!(refused.stderr.contains("Access denied"), "{refused}");
    // The name of a database is no pattern.
    let root = |statement: &str| {
        let query = ["exec", &server(&sandbox), "mariadb", "-uroot", "-psecret", "-N", "-e", statement];
        docker(&query)
    };
    root("CREATE DATABASE devXfix_one");
    let refused = ask("fix-one", &one, "devXfix_one", "SELECT 1");
    assert!(refused.stderr.contains("Access denied"), "{refused}");

    sandbox.succeed(&["rm", "--yes", "fix-one"]);
    let left = root("SHOW DATABASES LIKE '%fix%'");
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["devXfix_one", "dev_fix_two", "test_fix_two"]);
    assert_eq!(root("SELECT user FROM mysql.user WHERE user LIKE 'dev%'"), "dev_fix_two");
}
