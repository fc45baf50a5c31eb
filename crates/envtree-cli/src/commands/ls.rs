//! `envtree ls`: one line an environment.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use envtree::inspect::list_all;
use envtree::status::{EnvironmentStatus, GitStatus};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::output::{EnvironmentOutput, ListOutput};
use crate::run::Context;
use crate::{terminal, text};

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
        list_all(&context.session_options()?).await?
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
    let columns = terminal::size().map(|(_, columns)| usize::from(columns));
    ui.answer(&output, || table(&listing.environments, args.all, Timestamp::now(), columns))
}

/// Returns a line for each environment, or a block where a line would be wider than the terminal's `columns`.
fn table(environments: &[EnvironmentStatus], all: bool, now: Timestamp, columns: Option<usize>) -> String {
    let mut header = vec!["TASK", "BRANCH", "STATE", "SERVICES", "URLS", "AGE", "GIT"];
    if all {
        header.insert(0, "REPOSITORY");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let rows = environments.iter().map(|environment| {
        let mut row = row(environment, now);
        if all {
            row.insert(0, environment.repository.clone());
        }
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table.set_header(&header).add_rows(&rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let width = lines.iter().map(|line| console::measure_text_width(line)).max().unwrap_or(0);
    if columns.is_some_and(|columns| width > columns) {
        return rows.iter().map(|row| block(&header, row)).collect::<Vec<_>>().join("\n");
    }
    text::lines("", &lines)
}

/// Returns a line for each cell of a row, and for each word of a cell of several addresses.
fn block(header: &[&str], row: &[String]) -> String {
    let width = header.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, cell) in header.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        let below = format!("\n{:width$}  ", "");
        let cell = if *name == "URLS" { cell.replace(' ', &below) } else { cell.clone() };
        let _ = writeln!(text, "{name:<width$}  {cell}");
    }
    text
}

fn row(environment: &EnvironmentStatus, now: Timestamp) -> Vec<String> {
    let services = &environment.services;
    let (ready, count) = environment.services_ready();
    let urls = services.iter().flat_map(|service| &service.ports).map(|port| port.url.as_str());
    vec![
        environment.task.clone(),
        environment.branch.clone().unwrap_or_else(|| "-".to_owned()),
        environment.state.as_str().to_owned(),
        format!("{ready}/{count}"),
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
        insta::assert_snapshot!(table(&environments(), false, now, None), @"
        TASK           BRANCH         STATE  SERVICES  URLS                                                        AGE  GIT
        feature/login  feature/login  ready  2/2       postgres://app@127.0.0.1:20000/app redis://127.0.0.1:20001  2 h  2 changed, 1 untracked, 3 ahead
        x              -              down   0/0                                                                   2 h  clean
        ");
    }

    #[test]
    fn what_is_too_wide_for_the_terminal_becomes_a_block() {
        let now = Timestamp::from_second(7_300).unwrap();
        insta::assert_snapshot!(table(&environments(), false, now, Some(40)), @"
        TASK      feature/login
        BRANCH    feature/login
        STATE     ready
        SERVICES  2/2
        URLS      postgres://app@127.0.0.1:20000/app
                  redis://127.0.0.1:20001
        AGE       2 h
        GIT       2 changed, 1 untracked, 3 ahead

        TASK      x
        BRANCH    -
        STATE     down
        SERVICES  0/0
        AGE       2 h
        GIT       clean
        ");
    }

    #[test]
    fn with_all_repositories_each_is_named() {
        let text = table(&environments(), true, Timestamp::UNIX_EPOCH, Some(1_000));
        assert!(text.starts_with("REPOSITORY  TASK"), "{text}");
        assert!(text.contains("\nshop        feature/login"), "{text}");
    }
}
