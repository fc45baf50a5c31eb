//! `envtree status`: one environment in full.

use std::fmt::Write as _;

use envtree::status::{BranchKind, EnvironmentStatus, HookOutcome, ServiceStatus};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::completion;
use crate::output::{EnvironmentOutput, StatusOutput};
use crate::run::Context;
use crate::text;

/// Show one environment in full
///
/// Services with their health, addresses, volumes with their size, env file, hooks, and the last failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task to show [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }
}

/// Shows an environment.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let status = context.session()?.status(args.task.as_deref()).await?;
    let output = StatusOutput::from(EnvironmentOutput::from(&status));
    context.ui.answer(&output, || shown(&status, Timestamp::now()))
}

fn shown(status: &EnvironmentStatus, now: Timestamp) -> String {
    let mut text = format!("{} is {}\n", status.project, status.state.as_str());
    let mut facts = vec![
        ("task".to_owned(), status.task.clone()),
        ("branch".to_owned(), status.branch.clone().unwrap_or_else(|| "none (detached HEAD)".to_owned())),
        ("worktree".to_owned(), text::path(&status.worktree)),
    ];
    facts.extend(status.git.as_ref().map(|git| ("git".to_owned(), super::ls::git(git))));
    facts.extend(status.env_file.as_deref().map(|file| ("env file".to_owned(), text::path(file))));
    facts.push(("age".to_owned(), text::age(status.created, now)));
    rows(&mut text, facts);
    section(
        &mut text,
        "Services",
        status.services.iter().flat_map(|one| service(status.spoken_name(one), one)).collect(),
    );
    let app = |app: &envtree::status::AppStatus| (app.name.clone(), format!("port {}", app.port));
    section(&mut text, "Programs on the host", status.apps.iter().map(app).collect());
    let volume = |volume: &envtree::status::VolumeStatus| {
        let size = match &volume.branch {
            Some(branch) => {
                format!("{} on {}", text::branch_size(branch.own, branch.logical_at_most), branch.on)
            }
            None => volume.size.map_or_else(|| "size unknown".to_owned(), text::bytes),
        };
        let name = volume.key.clone().unwrap_or_else(|| "(no longer named)".to_owned());
        let branch = match volume.branch.as_ref().map(|branch| &branch.kind) {
            Some(BranchKind::Copy { reason }) => format!("  copy: {}", text::plain(reason)),
            Some(BranchKind::Overlay) => "  overlay".to_owned(),
            None => String::new(),
        };
        (name, format!("{size}  {}{branch}", volume.name))
    };
    section(&mut text, "Volumes", status.volumes.iter().map(volume).collect());
    let hook = |hook: &envtree::status::HookStatus| (hook.hook.clone(), outcome(hook.outcome).to_owned());
    section(&mut text, "Hooks", status.hooks.iter().map(hook).collect());
    if let Some(failure) = &status.last_failure {
        let when = match text::age(failure.at, now).as_str() {
            "now" => "just now".to_owned(),
            age => format!("{age} ago"),
        };
        section(
            &mut text,
            "Last failure",
            vec![(failure.command.clone(), format!("{when}: {}", failure.message))],
        );
    }
    text
}

fn service(name: String, service: &ServiceStatus) -> Vec<(String, String)> {
    let mut state = match (&service.health, service.exit_code) {
        (Some(health), _) if service.state == "running" => health.clone(),
        (_, Some(code)) if service.state == "exited" => format!("exited with {code}"),
        _ => service.state.clone(),
    };
    let _ = write!(state, "  {}", service.image);
    if service.shared {
        state.push_str("  shared");
    }
    let mut rows = vec![(name, state)];
    for port in &service.ports {
        rows.push((String::new(), format!("{}  ({}/{})", port.url, port.target, port.protocol)));
    }
    rows
}

fn outcome(outcome: HookOutcome) -> &'static str {
    match outcome {
        HookOutcome::Done => "done",
        HookOutcome::Failed => "failed; the next `up` runs it again",
        HookOutcome::SkippedUntrusted => "skipped; `envtree trust` shows and accepts it",
        HookOutcome::Pending => "not due yet",
    }
}

fn section(text: &mut String, title: &str, facts: Vec<(String, String)>) {
    if !facts.is_empty() {
        let _ = writeln!(text, "\n{title}");
        rows(text, facts);
    }
}

fn rows(text: &mut String, facts: Vec<(String, String)>) {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;

    #[test]
    fn every_part_has_a_section() {
        let now = Timestamp::from_second(7_300).unwrap();
        insta::assert_snapshot!(shown(&sample(), now), @"
        shop-feature-login is ready
          task      feature/login
          branch    feature/login
          worktree  /home/shop.worktrees/feature-login
          git       2 changed, 1 untracked, 3 ahead
          env file  /home/shop.worktrees/feature-login/.env.local
          age       2 h

        Services
          db     healthy  postgres:17
                 postgres://app@127.0.0.1:20000/app  (5432/tcp)
          redis  healthy  redis:8
                 redis://127.0.0.1:20001  (6379/tcp)

        Programs on the host
          web  port 20002

        Volumes
          db-data  1.4 MB of its own, at most 49.4 MB in all on 3f9a2c81d0b7  shop-feature-login_db-data  copy: `data.mode` is `copy`
          uploads  48.2 MB  shop-feature-login_uploads

        Hooks
          post_create  skipped; `envtree trust` shows and accepts it

        Last failure
          up  2 h ago: port 20000 is taken
        ");
    }
}
