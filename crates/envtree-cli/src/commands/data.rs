//! `envtree data`: the bases that the data of environments is branches of.

mod archive;

use std::fmt::Write as _;

use clap::Subcommand;
use envtree::data::{BaseStatus, SnapshotChoice};
use envtree::up::UpOutcome;
use envtree_core::branch::base::Snapshot;
use jiff::Timestamp;

use super::up;
use crate::command_error::CommandError;
use crate::completion;
use crate::output::{BasesOutput, DroppedOutput, SeedOutput, SnapshotOutput};
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree data list                what there is, and which volumes are branches of it
  envtree data seed                make the base that the next environments begin on, now
  envtree data snapshot fix-login  keep the data of fix-login as it is now, under a name
  envtree data restore fix-login fix-login-1
                                   give fix-login the data of a snapshot
  envtree data reset fix-login     throw away what fix-login changed, and begin anew
  envtree data export fix-login-1  write a snapshot into fix-login-1.tar.zst
  envtree data import fix-login-1.tar.zst
                                   make it again, on another machine
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
            Action::Seed(args) => args.task.as_deref(),
            Action::Snapshot(args) => args.task.as_deref(),
            Action::Restore(args) => Some(&args.task),
            Action::List(_) | Action::Drop(_) | Action::Export(_) | Action::Import(_) => None,
        }
    }

    /// Returns the command that continues after an interruption.
    pub(crate) fn again(&self) -> Option<String> {
        let quoted = |task: &str| format!(" {}", text::shell_quoted(task));
        match &self.action {
            Action::Reset(ResetArgs { task }) => {
                Some(format!("envtree data reset{}", task.as_deref().map(quoted).unwrap_or_default()))
            }
            Action::Restore(args) => {
                let at = args.at.as_deref().map(|at| format!(" --at{}", quoted(at)));
                let which = args.name.as_deref().map(quoted).or(at).unwrap_or_default();
                Some(format!("envtree data restore{}{which}", quoted(&args.task)))
            }
            Action::Seed(SeedArgs { task }) => {
                Some(format!("envtree data seed{}", task.as_deref().map(quoted).unwrap_or_default()))
            }
            // What was cut off is brought up again; the snapshot is there, or nothing has happened.
            Action::Snapshot(args) => {
                Some(format!("envtree up{}", args.task.as_deref().map(quoted).unwrap_or_default()))
            }
            Action::Export(args) => args.again(),
            Action::Import(args) => args.again(),
            Action::List(_) | Action::Drop(_) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    Seed(SeedArgs),
    Snapshot(SnapshotArgs),
    Restore(RestoreArgs),
    Reset(ResetArgs),
    Drop(DropArgs),
    Export(archive::ExportArgs),
    Import(archive::ImportArgs),
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

/// Make the base that the next environments begin on, unless it is there
///
/// As the first `envtree up` does, but without an environment: the servers start on fresh volumes, the seed of the worktree
/// of TASK runs, and they stop.
#[derive(Debug, clap::Args)]
struct SeedArgs {
    /// Task whose worktree has the seed [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
}

/// Keep the data of an environment as it is now, under a name
///
/// The servers stop, what their branches changed becomes a layer that never changes again, and they go on above it. That
/// takes about a second, however much data there is.
#[derive(Debug, clap::Args)]
struct SnapshotArgs {
    /// Task whose data is kept [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// What the snapshot is called [default: the task and a number]
    name: Option<String>,
}

/// Give an environment the data of a snapshot
///
/// What the environment changed since is lost: it is named first, and needs consent.
#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// Task whose data is replaced
    #[arg(add = completion::tasks())]
    task: String,
    /// The snapshot or base
    #[arg(add = completion::bases(), required_unless_present = "at")]
    name: Option<String>,
    /// Take the newest snapshot of REV, or of the nearest commit before it that has one
    #[arg(long, value_name = "REV", conflicts_with = "name")]
    at: Option<String>,
}

/// List the bases and snapshots of this repository, and the volumes that are branches of them
#[derive(Debug, clap::Args)]
struct ListArgs {}

/// Remove bases and snapshots that nothing lies on or begins with
#[derive(Debug, clap::Args)]
struct DropArgs {
    /// Snapshots to remove, by name, and bases, by at least six digits
    #[arg(required_unless_present = "unused", value_name = "NAME", add = completion::bases())]
    bases: Vec<String>,
    /// Remove every base that nothing uses, and imports that were begun; snapshots, which nobody could make again, stay
    #[arg(long, conflicts_with = "bases")]
    unused: bool,
}

/// Does what is wanted.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    match &args.action {
        Action::List(_) => list(context).await,
        Action::Reset(args) => up::answer(&Box::pin(reset(args, context)).await?, context),
        Action::Seed(args) => Box::pin(seed(args, context)).await,
        Action::Snapshot(args) => Box::pin(snapshot(args, context)).await,
        Action::Restore(args) => up::answer(&Box::pin(restore(args, context)).await?, context),
        Action::Drop(args) => drop(args, context).await,
        Action::Export(args) => Box::pin(archive::export(args, context)).await,
        Action::Import(args) => Box::pin(archive::import(args, context)).await,
    }
}

async fn reset(args: &ResetArgs, context: &Context) -> Result<UpOutcome, CommandError> {
    Ok(context.session()?.reset_data(args.task.as_deref()).await?)
}

async fn restore(args: &RestoreArgs, context: &Context) -> Result<UpOutcome, CommandError> {
    let choice = match (&args.name, &args.at) {
        (_, Some(revision)) => SnapshotChoice::At(revision),
        (name, None) => SnapshotChoice::Named(name.as_deref().unwrap_or_default()),
    };
    Ok(context.session()?.restore_data(Some(&args.task), choice).await?)
}

async fn seed(args: &SeedArgs, context: &Context) -> Result<(), CommandError> {
    let base = context.session()?.seed_data(args.task.as_deref()).await?;
    let made =
        base.made_in.map_or_else(|| "is there".to_owned(), |made| format!("made in {}", text::elapsed(made)));
    let told = || format!("base {}: {}, {made}\n", base.name, base.services.join(", "));
    context.ui.answer(&SeedOutput::from(&base), told)
}

async fn snapshot(args: &SnapshotArgs, context: &Context) -> Result<(), CommandError> {
    let taken = context.session()?.take_snapshot(args.task.as_deref(), args.name.as_deref()).await?;
    let services = taken.services.join(", ");
    let away = taken.away.map(|away| format!(", which did not answer for {}", text::elapsed(away)));
    let told = || format!("snapshot {}: {services}{}\n", taken.name, away.unwrap_or_default());
    context.ui.answer(&SnapshotOutput::from(&taken), told)
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
        ui.note("every base is in use; a snapshot goes by its name alone");
    }
    for base in &dropped {
        ui.note(&format!("dropped {}", base.name));
    }
    ui.answer(&DroppedOutput::from(dropped.as_slice()), String::new)
}

/// Returns a line for each base, and below it one for each of its branches and of the snapshots that lie on it.
fn tree(bases: &[BaseStatus], now: Timestamp) -> String {
    let is_known = |name: &String| bases.iter().any(|base| base.name == *name);
    let mut tree = String::new();
    for base in bases.iter().filter(|base| !base.on.first().is_some_and(is_known)) {
        write_base(&mut tree, base, bases, 0, now);
    }
    tree
}

fn write_base(tree: &mut String, base: &BaseStatus, all: &[BaseStatus], depth: usize, now: Timestamp) {
    let above: Vec<&BaseStatus> = all.iter().filter(|other| other.on.first() == Some(&base.name)).collect();
    let snapshots = above.iter().filter(|other| other.snapshot.is_some()).count();
    let size = match (base.size, base.logical_at_most) {
        (Some(size), Some(most)) if most > size => text::branch_size(base.size, base.logical_at_most),
        (Some(size), _) => text::bytes(size),
        (None, _) => "size unknown".to_owned(),
    };
    let counted = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let users = [
        counted(base.branches.len(), "branch", "branches"),
        counted(snapshots, "snapshot", "snapshots"),
        counted(above.len() - snapshots, "base", "bases"),
        (base.branches.is_empty() && !base.tasks.is_empty()).then(|| base.tasks.join(", ")),
    ];
    let users: Vec<String> = users.into_iter().flatten().collect();
    let used = match users.join(", ") {
        _ if base.is_unfinished => {
            format!("an import that is not complete, {}", text::unused(base.last_used, now))
        }
        none if none.is_empty() => text::unused(base.last_used, now),
        users => users,
    };
    let (name, services, age) = (&base.name, base.services.join(", "), text::age(base.made, now));
    let copy = base.copy_of.as_ref().map(|copied| format!("  copy of {copied}"));
    let of = base.snapshot.as_ref().map(taken_of).or(copy).unwrap_or_default();
    let indent = "  ".repeat(depth);
    let _ = writeln!(tree, "{indent}{name}  {services}  {size}  {age}  {used}{of}");
    for branch in &base.branches {
        let size = text::branch_size(branch.own, branch.logical_at_most);
        let age = branch.made.map(|made| format!("  {}", text::age(made, now))).unwrap_or_default();
        let copy = branch.kind.reason().map_or("", |_| "  copy");
        let _ = writeln!(tree, "{indent}  {}  {size}{age}{copy}", branch.volume);
    }
    for other in above {
        write_base(tree, other, all, depth + 1, now);
    }
}

/// Returns what a snapshot was taken of.
fn taken_of(snapshot: &Snapshot) -> String {
    let commit = snapshot.commit.as_deref().and_then(|commit| commit.get(..7));
    let commit = commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
    format!("  of {}{commit}", snapshot.task)
}

#[cfg(test)]
mod tests {
    use envtree::data::BranchStatus;
    use envtree::status::BranchKind;

    use super::*;

    #[test]
    fn branches_stand_below_their_base() {
        let base = |name: &str, branches| BaseStatus {
            name: name.to_owned(),
            snapshot: None,
            on: Vec::new(),
            copy_of: None,
            services: vec!["postgres".to_owned(), "redis".to_owned()],
            made: Timestamp::from_second(0).unwrap(),
            last_used: Timestamp::from_second(3_700).unwrap(),
            size: Some(48_000_000),
            logical_at_most: Some(48_000_000),
            branches,
            tasks: Vec::new(),
            is_unfinished: false,
        };
        let branch = |volume: &str, own: Option<u64>| BranchStatus {
            volume: volume.to_owned(),
            task: Some("a".to_owned()),
            made: own.map(|_| Timestamp::from_second(3_700).unwrap()),
            own,
            logical_at_most: own.map(|own| own + 48_000_000),
            kind: BranchKind::of(own.is_none().then(|| "it was asked for".to_owned())),
        };
        let branches = vec![branch("shop-a_db", Some(1_400_000)), branch("shop-b_db", None)];
        let snapshot = BaseStatus {
            snapshot: Some(Snapshot {
                name: "a-1".to_owned(),
                task: "a".to_owned(),
                branch: Some("a".to_owned()),
                commit: Some("0123456789abcdef".to_owned()),
            }),
            on: vec!["3f9a2c81d0b7".to_owned()],
            size: Some(2_000_000),
            logical_at_most: Some(50_000_000),
            ..base("a-1", vec![branch("shop-c_db", None)])
        };
        let on = vec!["a-1".to_owned()];
        let above = BaseStatus { on, tasks: vec!["asleep".to_owned()], ..base("a-2", Vec::new()) };
        let begun = BaseStatus { is_unfinished: true, size: None, ..base("begun", Vec::new()) };
        let bases =
            [base("3f9a2c81d0b7", branches), base("0011aabbccdd", Vec::new()), snapshot, above, begun];
        insta::assert_snapshot!(tree(&bases, Timestamp::from_second(7_300).unwrap()), @"
        3f9a2c81d0b7  postgres, redis  48.0 MB  2 h  2 branches, 1 snapshot
          shop-a_db  1.4 MB of its own, at most 49.4 MB in all  1 h
          shop-b_db  size unknown  copy
          a-1  postgres, redis  2.0 MB of its own, at most 50.0 MB in all  2 h  1 branch, 1 base  of a at 0123456
            shop-c_db  size unknown  copy
            a-2  postgres, redis  48.0 MB  2 h  asleep
        0011aabbccdd  postgres, redis  48.0 MB  2 h  unused for 1 h
        begun  postgres, redis  size unknown  2 h  an import that is not complete, unused for 1 h
        ");
    }
}
