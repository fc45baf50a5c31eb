//! `envtree ls`: one line an environment.

use comfy_table::{ContentArrangement, Table, presets};
use envtree::inspect::list_all;
use envtree::status::{EnvironmentStatus, GitStatus};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::output::{EnvironmentOutput, ListOutput};
use crate::run::Context;
use crate::text;

/// List the environments of this repository
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List those of every repository on this machine
    #[arg(short, long)]
    all: bool,
}

/// Lists environments.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    let listing = if args.all {
        list_all(&context.session_options()).await?
    } else {
        context.session()?.list().await?
    };
    let engine_error = listing.engine_error.map(CommandError::from);
    if let Some(error) = &engine_error {
        ui.warn(&format!("states are unknown: {}", error.message));
    }
    if listing.environments.is_empty() && !ui.wants_json() {
        let place = if args.all { "on this machine" } else { "in this repository" };
        ui.note(&format!("no environments {place} yet; `envtree up TASK` makes one"));
        return Ok(());
    }
    let environments = listing.environments.iter().map(EnvironmentOutput::from).collect();
    let output = ListOutput::new(environments, engine_error.map(|error| error.message));
    ui.answer(&output, || table(&listing.environments, args.all, Timestamp::now()))
}

fn table(environments: &[EnvironmentStatus], all: bool, now: Timestamp) -> String {
    let mut header = vec!["TASK", "BRANCH", "STATE", "SERVICES", "URLS", "AGE", "GIT"];
    if all {
        header.insert(0, "REPOSITORY");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for environment in environments {
        let mut row = row(environment, now);
        if all {
            row.insert(0, environment.repository.clone());
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn row(environment: &EnvironmentStatus, now: Timestamp) -> Vec<String> {
    let services = &environment.services;
    let ready = services.iter().filter(|service| service.ready).count();
    let urls = services.iter().flat_map(|service| &service.ports).map(|port| port.url.as_str());
    vec![
        environment.task.clone(),
        environment.branch.clone().unwrap_or_else(|| "-".to_owned()),
        environment.state.as_str().to_owned(),
        format!("{ready}/{}", services.len()),
        urls.collect::<Vec<_>>().join(" "),
        text::age(environment.created, now),
        environment.git.as_ref().map_or_else(|| "-".to_owned(), git),
    ]
}

/// Writes what git says of a worktree: `clean`, or what is not.
pub(super) fn git(git: &GitStatus) -> String {
    let counts = [
        (git.conflicted, "in conflict"),
        (git.changed, "changed"),
        (git.untracked, "untracked"),
        (git.ahead, "ahead"),
        (git.behind, "behind"),
    ];
    let parts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() { "clean".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use envtree::status::EnvironmentState;

    use super::*;
    use crate::output::sample;

    fn environments() -> [EnvironmentStatus; 2] {
        let down = EnvironmentStatus {
            task: "x".to_owned(),
            branch: None,
            state: EnvironmentState::Down,
            services: Vec::new(),
            git: Some(GitStatus::default()),
            ..sample()
        };
        [sample(), down]
    }

    #[test]
    fn an_environment_is_a_line() {
        let now = Timestamp::from_second(7_300).unwrap();
        insta::assert_snapshot!(table(&environments(), false, now), @"
        TASK           BRANCH         STATE  SERVICES  URLS                                                        AGE  GIT
        feature/login  feature/login  ready  2/2       postgres://app@127.0.0.1:20000/app redis://127.0.0.1:20001  2 h  2 changed, 1 untracked, 3 ahead
        x              -              down   0/0                                                                   2 h  clean
        ");
    }

    #[test]
    fn with_all_repositories_each_is_named() {
        let text = table(&environments(), true, Timestamp::UNIX_EPOCH);
        assert!(text.starts_with("REPOSITORY  TASK"), "{text}");
        assert!(text.contains("\nshop        feature/login"), "{text}");
    }
}
