//! `envtree up`: make or adopt the worktree, converge its environment, say where everything is.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use envtree::status::EnvironmentState;
use envtree::up::{PlannedUp, UpOptions, UpOutcome, UpReport};
use envtree_core::reconcile::BuildPolicy;
use envtree_core::service::PullPolicy;

use crate::command_error::CommandError;
use crate::completion;
use crate::output::{PlanOutput, UpOutput};
use crate::run::Context;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  envtree up fix-login                 a worktree on branch fix-login, and its environment
  envtree up fix-login --from v2.1     the same, with the branch starting at tag v2.1
  envtree up                           bring up the worktree you stand in
  envtree up fix-login --scale web=3   three containers of service web
  envtree up fix-login --dry-run       show what would be done

Run again it changes only what differs; after an interruption it continues.";

/// Make a worktree and its environment, or bring one up again
///
/// Makes or adopts the git worktree and branch of TASK, makes the networks, volumes and containers of its Compose
/// project, waits until every service is ready, and prints where everything is. Containers of services whose profiles are
/// off are left as they are. What `docker compose -p` made under the environment's project name, from files of the same
/// worktree, is taken over: volumes keep their data, containers are made again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Task to work on, any valid branch name [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// Start a new branch at REF: a branch, a tag or a commit [default: `base` of envtree.yaml]
    #[arg(long, value_name = "REF", requires = "task")]
    from: Option<String>,
    /// Branch to check out, where it is not named like the task
    #[arg(long, value_name = "NAME", requires = "task")]
    branch: Option<String>,
    /// Folder of a new worktree [default: `worktrees` of envtree.yaml]
    #[arg(long, value_name = "DIR", requires = "task", value_hint = ValueHint::DirPath)]
    path: Option<PathBuf>,
    /// Begin with the data of SOURCE: a snapshot, a base, or a task [default: what the seed makes]
    ///
    /// Of a task's environment, a snapshot is taken: its servers do not answer for a moment. What `envtree data list` shows
    /// is used as it is. Data that is there already is not touched; `envtree data restore` replaces it.
    #[arg(long, value_name = "SOURCE", add = completion::sources())]
    data_from: Option<String>,
    /// Return once the containers have started, ready or not
    #[arg(long)]
    no_wait: bool,
    /// How long services may take to become ready, such as 90s, 2m or 1h30m; a bare number is seconds
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = text::parse_duration)]
    timeout: Duration,
    /// When to pull images [default: what each service says]
    #[arg(long, value_name = "WHEN", value_enum)]
    pull: Option<PullWhen>,
    /// Build images that have a `build` again, though the Engine has them
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Build nothing; a missing image that would be built is an error
    #[arg(long)]
    no_build: bool,
    /// Give SERVICE so many containers, whatever the Compose files say; may be repeated
    ///
    /// Each container has a name, host ports and variables of its own. Until the next `up`, which goes by the files again
    /// unless it says otherwise.
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = text::parse_scale)]
    scale: Vec<(String, u32)>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove containers and networks that the Compose files no longer name
    #[arg(long)]
    remove_orphans: bool,
    /// Make every container again, even one that matches its definition
    #[arg(long)]
    force_recreate: bool,
    /// Move away from reserved ports that another program has taken
    #[arg(long)]
    reassign_ports: bool,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PullWhen {
    /// Images that the Engine does not have
    Missing,
    /// Every image, each time
    Always,
    /// None; a missing one is an error
    Never,
}

impl From<PullWhen> for PullPolicy {
    fn from(when: PullWhen) -> Self {
        match when {
            PullWhen::Missing => Self::Missing,
            PullWhen::Always => Self::Always,
            PullWhen::Never => Self::Never,
        }
    }
}

impl Args {
    fn options(&self, context: &Context) -> UpOptions {
        UpOptions {
            task: self.task.clone(),
            from: self.from.clone(),
            branch: self.branch.clone(),
            path: self.path.as_ref().map(|path| context.directory.join(path)),
            data_from: self.data_from.clone(),
            no_wait: self.no_wait,
            timeout: self.timeout,
            pull: self.pull.map(PullPolicy::from),
            build: match (self.build, self.no_build) {
                (true, _) => BuildPolicy::Always,
                (_, true) => BuildPolicy::Never,
                _ => BuildPolicy::Missing,
            },
            scale: self.scale.iter().cloned().collect(),
            dry_run: self.dry_run,
            remove_orphans: self.remove_orphans,
            force_recreate: self.force_recreate,
            reassign_ports: self.reassign_ports,
            git_status: context.ui.wants_json(),
        }
    }

    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Returns the command that continues after an interruption; a dry run has nothing to continue.
    pub(crate) fn again(&self) -> Option<String> {
        let task = self.task.iter().map(|task| format!(" {}", text::shell_quoted(task)));
        let task: String = task.collect();
        // Without it, the next `up` goes by the files.
        let scale = self.scale.iter().map(|(service, count)| format!(" --scale {service}={count}"));
        let data_from =
            self.data_from.iter().map(|name| format!(" --data-from {}", text::shell_quoted(name)));
        let further = data_from.chain(scale).collect::<String>();
        (!self.dry_run).then(|| format!("envtree up{task}{further}"))
    }
}

/// Brings an environment up.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    answer(&context.session()?.up(&args.options(context)).await?, context)
}

/// Tells what `up` did or would do.
pub(super) fn answer(outcome: &UpOutcome, context: &Context) -> Result<(), CommandError> {
    let ui = &context.ui;
    match outcome {
        UpOutcome::Planned(plan) => {
            for warning in &plan.warnings {
                ui.warn(warning);
            }
            ui.answer(&PlanOutput::from(plan), || planned(plan))
        }
        UpOutcome::Done(report) => {
            let inside = context.directory.starts_with(&report.status.worktree);
            ui.answer(&UpOutput::from(&**report), || done(report, inside))
        }
    }
}

fn planned(plan: &PlannedUp) -> String {
    let mut text = String::new();
    if plan.creates_worktree {
        let branch = plan.branch.as_deref().unwrap_or("a detached HEAD");
        let _ = writeln!(text, "create worktree {} on {branch}", text::path(&plan.worktree));
    }
    for step in &plan.steps {
        let _ = writeln!(text, "{} {} [{}]", text::act(step.act), step.object, step.cause);
    }
    for loss in &plan.confirmations {
        let _ = writeln!(text, "needs consent: {loss}");
    }
    if text.is_empty() {
        let _ = writeln!(text, "nothing to do: {} is as it should be", plan.project);
    }
    text
}

fn done(report: &UpReport, inside: bool) -> String {
    let status = &report.status;
    let elapsed = text::elapsed(report.elapsed);
    let mut text = match status.state {
        EnvironmentState::Ready => format!("{} is ready in {elapsed}\n", status.project),
        state => format!("{} is {} after {elapsed}\n", status.project, state.as_str()),
    };
    let mut rows = vec![("worktree".to_owned(), text::path(&status.worktree))];
    rows.extend(status.branch.clone().map(|branch| ("branch".to_owned(), branch)));
    for service in &status.services {
        let urls: Vec<_> = service.ports.iter().map(|port| port.url.as_str()).collect();
        let place = if urls.is_empty() { "no published port".to_owned() } else { urls.join(" ") };
        let state = if service.ready { String::new() } else { format!(" ({})", service.state) };
        rows.push((status.spoken_name(service), place + &state));
    }
    for app in &status.apps {
        rows.push((app.name.clone(), format!("port {} is reserved for it", app.port)));
    }
    rows.extend(status.env_file.as_deref().map(|file| ("env file".to_owned(), text::path(file))));
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
    if !inside {
        let _ = writeln!(text, "next: cd {}", text::shell_quoted(&text::path(&status.worktree)));
    }
    text
}

#[cfg(test)]
mod tests {
    use envtree::event::Act;
    use envtree::up::PlannedStep;

    use super::*;
    use crate::output::sample;

    fn report() -> UpReport {
        UpReport {
            status: sample(),
            created_worktree: true,
            operations: 7,
            warnings: Vec::new(),
            elapsed: Duration::from_millis(1_432),
        }
    }

    #[test]
    fn the_answer_says_where_everything_is() {
        insta::assert_snapshot!(done(&report(), false), @"
        shop-feature-login is ready in 1.4 s
          worktree  /home/shop.worktrees/feature-login
          branch    feature/login
          db        postgres://app@127.0.0.1:20000/app
          redis     redis://127.0.0.1:20001
          web       port 20002 is reserved for it
          env file  /home/shop.worktrees/feature-login/.env.local
        next: cd /home/shop.worktrees/feature-login
        ");
    }

    #[test]
    fn who_stands_inside_need_not_go_there() {
        assert!(!done(&report(), true).contains("cd "));
    }

    #[test]
    fn a_plan_has_a_line_for_each_step() {
        let plan = PlannedUp {
            task: "x".to_owned(),
            project: "shop-x".to_owned(),
            worktree: "/home/shop.worktrees/x".into(),
            branch: Some("x".to_owned()),
            creates_worktree: true,
            steps: vec![PlannedStep {
                act: Act::CreateNetwork,
                object: "shop-x_default".to_owned(),
                cause: "it does not exist".to_owned(),
            }],
            warnings: Vec::new(),
            confirmations: Vec::new(),
        };
        insta::assert_snapshot!(planned(&plan), @"
        create worktree /home/shop.worktrees/x on x
        create network shop-x_default [it does not exist]
        ");
    }
}
