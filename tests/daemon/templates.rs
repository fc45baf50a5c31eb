//! Templates: every one starts, is ready, and answers to the credentials of `envtree env`.

use serde_json::Value;

use crate::common::Sandbox;

/// A sandbox whose environment `one` was brought up out of a template; returns its variables.
fn with_template(name: &str) -> (Sandbox, Value) {
    let sandbox = Sandbox::new();
    sandbox.write("envtree.yaml", &format!("compose: {{ template: {name} }}\n"));
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Choose a template"]);
    let answer = sandbox.up("one");
    assert_eq!(answer["environment"]["state"], "ready");
    let variables = sandbox.json(&["env", "one", "--inside"]);
    (sandbox, variables)
}

fn variable<'a>(variables: &'a Value, name: &str) -> &'a str {
    variables["variables"][name].as_str().unwrap_or_else(|| panic!("no {name} in {variables}"))
}

fn postgres_answers(sandbox: &Sandbox, variables: &Value) {
    let url = variable(variables, "DATABASE_URL");
    // The name in the URL is not the loopback that needs no password.
    let asked = sandbox.inside("one", "postgres", &["psql", url, "-tAc", "SELECT current_user"]);
    assert_eq!(asked, "app");
    let wrong = url.replace(variable(variables, "POSTGRES_PASSWORD"), "wrong");
    let refused = sandbox.run(&["exec", "one", "postgres", "--", "psql", &wrong, "-tAc", "SELECT 1"]);
    assert_eq!(refused.status, Some(2), "{refused}");
}

fn redis_answers(sandbox: &Sandbox, variables: &Value) {
    let url = variable(variables, "REDIS_URL");
    assert_eq!(sandbox.inside("one", "redis", &["redis-cli", "-u", url, "PING"]), "PONG");
}

#[test]
fn postgres_alone_answers() {
    let (sandbox, variables) = with_template("postgres");
    postgres_answers(&sandbox, &variables);
    assert!(variables["variables"]["REDIS_URL"].is_null());
}

#[test]
fn postgres_and_redis_answer() {
    let (sandbox, variables) = with_template("postgres-redis");
    postgres_answers(&sandbox, &variables);
    redis_answers(&sandbox, &variables);
}

#[test]
fn mariadb_and_redis_answer() {
    let (sandbox, variables) = with_template("mariadb-redis");
    redis_answers(&sandbox, &variables);
    let [host, user, password, database] =
        ["HOST", "USER", "PASSWORD", "DATABASE"].map(|part| variable(&variables, &format!("MARIADB_{part}")));
    let words =
        ["mariadb", "-h", host, "-u", user, &format!("-p{password}"), database, "-Ne", "SELECT DATABASE()"];
    assert_eq!(sandbox.inside("one", "mariadb", &words), "app");
    let url = format!("mysql://{user}:{password}@{host}:3306/{database}");
    assert_eq!(variable(&variables, "DATABASE_URL"), url);
}

#[test]
fn postgres_redis_rabbitmq_and_nats_answer() {
    let (sandbox, variables) = with_template("full");
    postgres_answers(&sandbox, &variables);
    redis_answers(&sandbox, &variables);

    let password = variable(&variables, "RABBITMQ_PASSWORD");
    let login = ["rabbitmqctl", "authenticate_user", "app", password];
    assert!(sandbox.inside("one", "rabbitmq", &login).contains("Success"));
    let url = variable(&variables, "RABBITMQ_URL");
    assert!(url.starts_with(&format!("amqp://app:{password}@rabbitmq:5672")), "{url}");
    let greet = "exec 3<>/dev/tcp/nats/4222 && head -n 1 <&3";
    assert!(sandbox.inside("one", "postgres", &["bash", "-c", greet]).starts_with("INFO {"));
    assert_eq!(variable(&variables, "NATS_URL"), "nats://nats:4222");
}

#[test]
fn the_env_file_of_compose_chooses_the_version_of_postgres() {
    let sandbox = Sandbox::new();
    sandbox.write("envtree.yaml", "compose: { template: postgres }\n");
    sandbox.write(".env", "POSTGRES_IMAGE=postgres:15\n");
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "Choose an older Postgres"]);
    sandbox.up("one");

    let postgres = sandbox.look("one", "postgres");
    assert!(postgres["Config"]["Image"].as_str().unwrap().ends_with("postgres:15"), "{postgres}");
    assert!(sandbox.sql("one", "SHOW server_version").starts_with("15."));
}
