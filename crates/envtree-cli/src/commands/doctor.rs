//! `envtree doctor`: what environments depend on, what is wrong with it, and what to do about that.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use envtree::doctor::{Check, Remedy, Verdict, doctor};

use crate::command_error::{CommandError, Kind};
use crate::output::{CheckOutput, DoctorOutput};
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree doctor                     in a repository, or anywhere else
  envtree doctor --json | jq -r '.checks[] | select(.verdict != \"ok\") | .remedy'";

/// Check all that environments depend on, and say what to do about what is wrong
///
/// The Engine, git and the repository, envtree's state, the configuration and the Compose files, host ports, addresses of
/// networks, room on disks, data that branches, and what is left of environments that are gone. Each check is `ok`, `warn`
/// (it works, though not as well as it could, or not for long) or `fail` (it keeps a command from its work); what is not
/// ok comes with what to do. Nothing is changed. The exit status is 3 if a check fails, else 0.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Checks, and returns the exit status.
pub(crate) async fn run(_: &Args, context: &Context) -> Result<u8, CommandError> {
    let checks = Box::pin(doctor(&context.session_options()?)).await;
    let checks: Vec<CheckOutput> = checks.into_iter().map(told).collect();
    let output = DoctorOutput::new(checks);
    context.ui.answer(&output, || shown(&output))?;
    Ok(if output.verdict() == Verdict::Fail { Kind::Findings.exit_code() } else { 0 })
}

/// Words the remedy, which for an error is what a command that fails of it hints at.
fn told(check: Check) -> CheckOutput {
    let remedy = match check.remedy {
        Remedy::Nothing => None,
        Remedy::Words(words) => Some(words),
        Remedy::OfError { error, otherwise } => {
            let hints = CommandError::from(*error).addressed(None, Some("envtree doctor")).hints;
            Some(if hints.is_empty() { otherwise } else { hints.join("; ") })
        }
    };
    CheckOutput::new(check.group, check.name, check.verdict, (check.finding, remedy))
}

fn shown(output: &DoctorOutput) -> String {
    let mut shown = String::new();
    let width = output.checks().iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    // Below the finding, behind the verdict and the name.
    let indent = " ".repeat(width + 10);
    for group in output.checks().chunk_by(|one, other| one.group == other.group) {
        let _ = writeln!(shown, "{}", group[0].group);
        for check in group {
            let (style, verdict) = (style(check.verdict()), check.verdict().as_str());
            let finding = lines(&check.finding, &indent);
            let _ = writeln!(shown, "  {style}{verdict:<4}{style:#}  {:<width$}  {finding}", check.name);
            if let Some(remedy) = &check.remedy {
                let hint = AnsiColor::Cyan.on_default().bold();
                let _ = writeln!(shown, "{indent}{hint}hint:{hint:#} {}", lines(remedy, &indent));
            }
        }
    }
    let counts = [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(|verdict| {
        let count = output.checks().iter().filter(|check| check.verdict() == verdict).count();
        format!("{count} {}", verdict.as_str())
    });
    let _ = writeln!(shown, "{}: {}", text::counted(output.checks().len(), "check"), counts.join(", "));
    shown
}

fn style(verdict: Verdict) -> Style {
    let color = match verdict {
        Verdict::Ok => AnsiColor::Green,
        Verdict::Warn => AnsiColor::Yellow,
        Verdict::Fail => AnsiColor::Red,
    };
    color.on_default().bold()
}

/// Returns text whose further lines stand below its first.
fn lines(words: &str, indent: &str) -> String {
    let lines: Vec<String> = words.lines().map(text::plain).collect();
    lines.join(&format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use envtree::doctor::Group;
    use envtree::error::{ConnectError, DockerError, Error};
    use envtree::load::LoadError;

    use super::*;

    fn checks() -> Vec<CheckOutput> {
        let tried = Vec::new();
        let silent = Error::from(DockerError::Connect(ConnectError::NoEngine { tried }));
        let of_error =
            |error: Error| Remedy::OfError { error: Box::new(error), otherwise: "wait".to_owned() };
        let invalid = Error::Load(LoadError::Invalid(Vec::new()));
        let check = |group, name, verdict, finding: &str, remedy| {
            told(Check { group, name, verdict, finding: finding.to_owned(), remedy })
        };
        let run = Remedy::Words("`envtree rm a`".to_owned());
        vec![
            check(Group::Engine, "endpoint", Verdict::Fail, "no Engine answers", of_error(silent)),
            check(Group::Git, "program", Verdict::Ok, "git version 2.47.3\u{1b}[31m", Remedy::Nothing),
            check(Group::Git, "worktrees", Verdict::Warn, "a\nb", run),
            check(Group::Data, "unused", Verdict::Warn, "x", of_error(invalid)),
        ]
    }

    #[test]
    fn checks_are_shown_by_group_with_their_remedies() {
        let shown = shown(&DoctorOutput::new(checks()));
        insta::assert_snapshot!(anstream::adapter::strip_str(&shown), @"
        engine
          fail  endpoint   no Engine answers
                           hint: start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`
        git
          ok    program    git version 2.47.3
          warn  worktrees  a
                           b
                           hint: `envtree rm a`
        data
          warn  unused     x
                           hint: wait
        4 checks: 1 ok, 2 warn, 1 fail
        ");
    }

    #[test]
    fn the_verdict_is_that_of_the_worst_check() {
        let verdict =
            |range: std::ops::RangeFrom<usize>| DoctorOutput::new(checks().split_off(range.start)).verdict();
        assert_eq!((verdict(0..), verdict(1..), verdict(4..)), (Verdict::Fail, Verdict::Warn, Verdict::Ok));
    }
}
