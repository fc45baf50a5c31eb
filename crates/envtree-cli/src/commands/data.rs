//! `envtree data`: the bases that the data of environments is branches of.

use std::fmt::Write as _;

use clap::Subcommand;
use envtree::data::{BaseStatus, BranchStatus};
use envtree::up::UpOutcome;
use jiff::Timestamp;

use super::up;
use crate::command_error::CommandError;
use crate::completion;
use crate::output::{BasesOutput, DroppedOutput};
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree data list                what there is, and which volumes are branches of it
  envtree data reset fix-login     throw away what fix-login changed, and begin anew
  envtree data drop 3f9a2c81d0b7   remove one that nothing uses
  envtree data drop --unused       remove all that nothing uses";

/// Show and drop the seeded data that environments begin with
///
/// Where `envtree.yaml` has a `data.seed`, the first `envtree up` makes a base: the servers start on fresh volumes, the
/// seed runs, and the volumes never change again. The data of every environment is a branch of it, which holds only
/// what the environment changes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

impl Args {
    /// Returns the task that was typed, if it was one.
    pub(crate) fn task(&self) -> Option<&str> {
        match &self.action {
            Action::Reset(args) => args.task.as_deref(),
            Action::List(_) | Action::Drop(_) => None,
        }
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> Option<String> {
        let Action::Reset(args) = &self.action else {
            return None;
        };
        let task = args.task.iter().map(|task| format!(" {}", text::shell_quoted(task)));
        Some(format!("envtree data reset{}", task.collect::<String>()))
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    Reset(ResetArgs),
    Drop(DropArgs),
}

/// Throw away what an environment changed in its data, and begin anew with the data of the seed
///
/// The branches of TASK are removed and made again, on the base that a new environment would begin with. Volumes that are
/// no branches stay as they are. What is lost is named first and needs consent.
#[derive(Debug, clap::Args)]
struct ResetArgs {
    /// Task whose data is reset [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
}

/// List the bases of this repository, and the volumes that are branches of them
#[derive(Debug, clap::Args)]
struct ListArgs {}

/// Remove bases that no volume is a branch of
#[derive(Debug, clap::Args)]
struct DropArgs {
    /// Bases to remove, by the first digits of their names
    #[arg(required_unless_present = "unused", value_name = "BASE")]
    bases: Vec<String>,
    /// Remove every base that nothing uses
    #[arg(long, conflicts_with = "bases")]
    unused: bool,
}

/// Does what is wanted.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    match &args.action {
        Action::List(_) => list(context).await,
        Action::Reset(args) => up::answer(&Box::pin(reset(args, context)).await?, context),
        Action::Drop(args) => drop(args, context).await,
    }
}

async fn reset(args: &ResetArgs, context: &Context) -> Result<UpOutcome, CommandError> {
    Ok(context.session()?.reset_data(args.task.as_deref()).await?)
}

async fn list(context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    let bases = context.session()?.bases().await?;
    if bases.is_empty() && !ui.wants_json() {
        ui.note("no bases in this repository; `envtree up` makes one where `envtree.yaml` has a `data.seed`");
        return Ok(());
    }
    ui.answer(&BasesOutput::from(bases.as_slice()), || tree(&bases, Timestamp::now()))
}

async fn drop(args: &DropArgs, context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    let dropped = context.session()?.drop_bases(&args.bases).await?;
    if dropped.is_empty() {
        ui.note("every base is in use");
    }
    for base in &dropped {
        ui.note(&format!("dropped base {}", base.name));
    }
    ui.answer(&DroppedOutput::from(dropped.as_slice()), String::new)
}

/// Returns a line for each base, and below it one for each of its branches.
fn tree(bases: &[BaseStatus], now: Timestamp) -> String {
    let mut tree = String::new();
    for base in bases {
        let services = base.services.join(", ");
        let size = base.size.map(|size| format!("  {}", text::bytes(size))).unwrap_or_default();
        let used = match base.branches.len() {
            0 => "unused".to_owned(),
            1 => "1 branch".to_owned(),
            count => format!("{count} branches"),
        };
        let _ = writeln!(tree, "{}  {services}{size}  {}  {used}", base.name, text::age(base.made, now));
        for BranchStatus { volume, own } in &base.branches {
            let own = own.map(|own| format!("  {} of its own", text::bytes(own))).unwrap_or_default();
            let _ = writeln!(tree, "  {volume}{own}");
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_stand_below_their_base() {
        let base = |name: &str, branches| BaseStatus {
            name: name.to_owned(),
            services: vec!["postgres".to_owned(), "redis".to_owned()],
            made: Timestamp::from_second(0).unwrap(),
            size: Some(48_000_000),
            branches,
        };
        let branch = |volume: &str, own| BranchStatus { volume: volume.to_owned(), own };
        let branches = vec![branch("shop-a_db", Some(1_400_000)), branch("shop-b_db", None)];
        let bases = [base("3f9a2c81d0b7", branches), base("0011aabbccdd", Vec::new())];
        insta::assert_snapshot!(tree(&bases, Timestamp::from_second(7_300).unwrap()), @"
        3f9a2c81d0b7  postgres, redis  48.0 MB  2 h  2 branches
          shop-a_db  1.4 MB of its own
          shop-b_db
        0011aabbccdd  postgres, redis  48.0 MB  2 h  unused
        ");
    }
}
