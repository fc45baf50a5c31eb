//! `envtree prune`: remove what no longer belongs to anything.

use std::fmt::Write as _;
use std::time::Duration;

use envtree::prune::{Prunable, PrunableKind, PruneOptions, PruneReport};
use envtree_core::branch::prune::{AGE, parse_age};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::output::PruneOutput;
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree prune --dry-run          what would go, and how much that would free
  envtree prune --unused-for 36h   bases too that nothing used since the day before yesterday
  envtree prune --yes              without a question, as in a job at night";

/// Find and remove what no longer belongs to anything in this repository
///
/// Bases of data that nothing is a branch of and nothing used for 14 days, or for what `data.keep` says; imports that
/// nobody went on with for as long; what interrupted commands left of bases; and what is left of environments that are
/// in no record any more and whose worktrees are gone. Snapshots stay. What would be lost is named first and needs
/// consent; what another command works on is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove bases that nothing used for TIME, such as `14d` or `36h` [default: `data.keep`, else 14d]
    #[arg(long, value_name = "TIME", value_parser = age)]
    unused_for: Option<Duration>,
}

fn age(text: &str) -> Result<Duration, String> {
    parse_age(text).ok_or_else(|| format!("expected {AGE}"))
}

impl Args {
    /// Returns the command that continues after an interruption, if it changes anything.
    pub(crate) fn again(&self) -> Option<String> {
        let unused_for = self.unused_for.map(|time| format!(" --unused-for {}s", time.as_secs()));
        (!self.dry_run).then(|| format!("envtree prune{}", unused_for.unwrap_or_default()))
    }
}

/// Removes what no longer belongs to anything.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let options = PruneOptions { unused_for: args.unused_for, dry_run: args.dry_run };
    let report = Box::pin(context.session()?.prune(&options)).await?;
    if report.found.is_empty() {
        context.ui.note("nothing to remove: all that there is belongs to something, or was used of late");
    }
    context.ui.answer(&PruneOutput::from(&report), || shown(&report, args.dry_run, Timestamp::now()))
}

fn shown(report: &PruneReport, is_plan: bool, now: Timestamp) -> String {
    let mut shown = String::new();
    for found in &report.found {
        let fate = match (&found.done, is_plan) {
            (Some(_), _) => "removed",
            (None, true) => "would remove",
            (None, false) => "left, since somebody uses it now:",
        };
        let _ = writeln!(shown, "{fate} {}", described(found, now));
    }
    let going = || report.found.iter().filter(|found| is_plan || found.done.is_some());
    let freed: u64 = going().filter_map(|one| one.size).sum();
    if freed > 0 {
        let verb = if is_plan { "would free" } else { "freed" };
        let at_least = if going().all(|one| one.size.is_some()) { "" } else { " at least" };
        let _ = writeln!(shown, "{verb}{at_least} {}", text::bytes(freed));
    }
    shown
}

fn described(found: &Prunable, now: Timestamp) -> String {
    let kind = match found.kind {
        PrunableKind::Environment => "environment",
        PrunableKind::Base => "base",
        PrunableKind::Import => "unfinished import",
        PrunableKind::Torn => "what was left of",
    };
    let mut described = format!("{kind} {}", found.name);
    if !found.services.is_empty() {
        let _ = write!(described, "  {}", found.services.join(", "));
    }
    if let Some(size) = found.size {
        let _ = write!(described, "  {}", text::bytes(size));
    }
    if let Some(used) = found.last_used {
        let _ = write!(described, "  {}", text::unused(used, now));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: PrunableKind, name: &str, done: Option<Vec<String>>) -> Prunable {
        let is_base = kind == PrunableKind::Base;
        Prunable {
            kind,
            name: name.to_owned(),
            services: if is_base { vec!["db".to_owned(), "redis".to_owned()] } else { Vec::new() },
            last_used: is_base.then_some(Timestamp::UNIX_EPOCH),
            size: is_base.then_some(48_000_000),
            done,
        }
    }

    #[test]
    fn what_goes_is_told_and_what_stays() {
        let done = || Some(vec!["remove volume x".to_owned()]);
        let report = |done: &dyn Fn() -> Option<Vec<String>>| PruneReport {
            unused_for: Duration::from_hours(1),
            found: vec![
                found(PrunableKind::Environment, "fix", done()),
                found(PrunableKind::Torn, "shop_base-001122334455", done()),
                found(PrunableKind::Base, "3f9a2c81d0b7", done()),
                found(PrunableKind::Base, "aabbccddeeff", None),
            ],
        };
        let now = Timestamp::from_second(86_400 * 15).unwrap();
        insta::assert_snapshot!(shown(&report(&done), false, now), @"
        removed environment fix
        removed what was left of shop_base-001122334455
        removed base 3f9a2c81d0b7  db, redis  48.0 MB  unused for 15 d
        left, since somebody uses it now: base aabbccddeeff  db, redis  48.0 MB  unused for 15 d
        freed at least 48.0 MB
        ");
        insta::assert_snapshot!(shown(&report(&|| None), true, now), @"
        would remove environment fix
        would remove what was left of shop_base-001122334455
        would remove base 3f9a2c81d0b7  db, redis  48.0 MB  unused for 15 d
        would remove base aabbccddeeff  db, redis  48.0 MB  unused for 15 d
        would free at least 96.0 MB
        ");
    }

    #[test]
    fn a_time_without_a_unit_is_refused() {
        assert_eq!(age("14d"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(age("14").unwrap_err(), "expected a time with a unit, such as `14d` or `36h`");
    }
}
