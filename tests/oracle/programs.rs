//! What each of the two programs makes of a project.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::Sandbox;
use crate::normalize::{normalize_compose, normalize_envtree};
use crate::project::Project;

/// What a program says about a project.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The model, normalised.
    Model(Value),
    /// Why there is none.
    Refusal(String),
}

/// Asks `docker compose config`.
pub(crate) fn compose(sandbox: &Sandbox, project: &Project) -> Answer {
    let name = project_name(sandbox);
    let mut command = sandbox.command("docker");
    command.args(["compose", "--project-name", &name]);
    for file in &project.files {
        command.args(["--file", file]);
    }
    for profile in &project.profiles {
        command.args(["--profile", profile]);
    }
    command.args(["config", "--format", "json"]);
    let output = run(command, sandbox, project);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !said.contains("is not a docker command"),
        "the Docker client has no `compose`: run `make oracle`"
    );
    if !output.status.success() {
        return Answer::Refusal(said);
    }
    let model = serde_json::from_slice(&output.stdout).expect("Compose writes JSON");
    Answer::Model(normalize_compose(model))
}

/// Asks `envtree config --raw`.
pub(crate) fn envtree(sandbox: &Sandbox, project: &Project) -> Answer {
    let mut command = sandbox.envtree();
    for file in &project.files {
        command.args(["--file", file]);
    }
    for profile in &project.profiles {
        command.args(["--profile", profile]);
    }
    command.args(["config", "--raw", "--json"]).env("DOCKER_HOST", "unix:///nonexistent");
    let output = run(command, sandbox, project);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        let ran = sandbox.ran(&output);
        panic!("{}: envtree writes no JSON\n{ran}", project.name)
    });
    if !output.status.success() {
        return Answer::Refusal(refusal(sandbox, &answer["error"]));
    }
    assert_eq!(answer["project"], Value::String(project_name(sandbox)));
    Answer::Model(normalize_envtree(answer["model"].clone()))
}

/// Returns an error as `refusal` files hold it: the message and its causes, a line each.
fn refusal(sandbox: &Sandbox, error: &Value) -> String {
    assert_eq!(error["kind"], "input", "{error:#}");
    let causes = error["causes"].as_array().into_iter().flatten();
    let lines = std::iter::once(&error["message"]).chain(causes);
    let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
    sandbox.redact(&lines.join("\n"))
}

fn run(mut command: Command, sandbox: &Sandbox, project: &Project) -> Output {
    command
        .current_dir(sandbox.repository().join(&project.directory))
        .envs(project.variables.iter().cloned());
    command.output().unwrap()
}

/// Returns the name of the project as envtree chooses it: Compose is told it.
fn project_name(sandbox: &Sandbox) -> String {
    let folder = sandbox.repository();
    format!("{}-main", folder.file_name().unwrap().to_str().unwrap())
}
