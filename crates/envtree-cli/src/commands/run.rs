//! `envtree run`: one command in a container of its own, with the definition of a service.

use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use envtree::error::{Error, causes};
use envtree::exec::ServiceSession;
use envtree::one_off::{Run, RunControl, RunOptions};
use envtree_core::reconcile::BuildPolicy;
use envtree_core::service::PullPolicy;

use super::carry::{carry, write};
use super::exec::service::{as_text, not_started};
use super::up::PullWhen;
use crate::command_error::{CommandError, Kind};
use crate::interrupt::{self, Signals};
use crate::run::Context;
use crate::terminal::{self, RawMode};
use crate::{completion, text};

/// The signal that no command outlives.
const KILL: u8 = 9;

const EXAMPLES: &str = "\
Examples:
  envtree run fix-login app -- npm run db:migrate     what app depends on is started first
  envtree run fix-login app -- sh                     a shell in a container like app's
  envtree run fix-login app -e DEBUG=1 -- npm test
  envtree run fix-login tools                         the command that the Compose file gives tools

`docker compose run` keeps its containers unless --rm is given; here they go, unless --keep is given.

Exit status: the command's own; 127 if it was not found, and 126 if it cannot be executed.";

/// Run one command in a new container of a service
///
/// Makes a container with the definition of SERVICE beside the service's own one, starts what SERVICE depends on and
/// waits until that is ready, runs CMD in place of the service's command, and removes the container in the end. It
/// mounts the same volumes and is on the same networks, but has no published ports and none of the service's names
/// there. A service that a profile hides can be run too: its profiles count as turned on. Of what the files make envtree
/// warn about, `envtree up` tells; here, only what the options bring about is told.
///
/// Input, output and the signals sent to envtree are passed on; a second signal kills the command. Should envtree itself
/// be killed, the command goes on; its container goes with the next `envtree down` or `rm`, and with the next `up` once
/// the command has ended. --json does not apply.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Args {
    /// Task whose environment is used; `envtree up` makes it
    #[arg(add = completion::tasks())]
    task: String,
    /// Service whose definition the container has
    #[arg(add = completion::services())]
    service: String,
    /// Set a variable; NAME alone takes the caller's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Mount a volume or a path besides, such as `./dump:/dump:ro`
    #[arg(long = "volume", value_name = "SOURCE:TARGET")]
    volumes: Vec<String>,
    /// Publish a port, such as 8080:80; on 127.0.0.1 unless an address stands before it
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// Publish the ports of the service, on the environment's own host ports
    #[arg(long)]
    service_ports: bool,
    /// Let other containers reach this one under the names of the service
    #[arg(long)]
    use_aliases: bool,
    /// User to run the command as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Entrypoint in place of the service's; the service's command is left out then
    #[arg(long, value_name = "CMD")]
    entrypoint: Option<String>,
    /// Name of the container [default: the project's, the service's, and a random number]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Start nothing that the service depends on
    #[arg(long)]
    no_deps: bool,
    /// Keep the container once the command has ended, until `envtree down` or `rm`
    #[arg(long, conflicts_with = "rm")]
    keep: bool,
    /// Remove the container once the command has ended: the default
    #[arg(long, hide = true)]
    rm: bool,
    /// Print the container's name, and return while the command runs
    #[arg(short, long)]
    detach: bool,
    /// Give the command no terminal, even if both ends are one
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Build the images of the service and of what it depends on again
    #[arg(long)]
    build: bool,
    /// When to pull images [default: what each service says]
    #[arg(long, value_name = "WHEN", value_enum)]
    pull: Option<PullWhen>,
    /// How long services may take to become ready that the command needs
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = text::parse_duration)]
    timeout: Duration,
    /// The command and its arguments, after `--` [default: the service's]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> &str {
        &self.task
    }

    fn options(&self) -> Result<RunOptions, CommandError> {
        Ok(RunOptions {
            task: self.task.clone(),
            service: self.service.clone(),
            command: self.command.iter().map(as_text).collect::<Result<_, _>>()?,
            entrypoint: self.entrypoint.clone(),
            environment: self.env.clone(),
            volumes: self.volumes.clone(),
            publish: self.publish.clone(),
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
            name: self.name.clone(),
            service_ports: self.service_ports,
            use_aliases: self.use_aliases,
            no_deps: self.no_deps,
            keep: self.keep,
            detach: self.detach,
            tty: !self.no_tty && !self.detach && terminal::at_both_ends(),
            build: if self.build { BuildPolicy::Always } else { BuildPolicy::Missing },
            pull: self.pull.map(PullPolicy::from),
            timeout: self.timeout,
        })
    }
}

/// Runs the command, and returns its exit status.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<u8, CommandError> {
    let options = args.options()?;
    let session = context.session()?;
    let started = tokio::select! {
        started = session.run(&options) => started,
        signal = interrupt::requested() => return Err(interrupted(signal)),
    };
    let program = options.command.first().map(String::as_str).unwrap_or_default();
    let Run { container, session, control } =
        started.map_err(|error| refused(&args.service, program, error))?;
    context.ui.finish();
    let Some(mut session) = session else {
        context.ui.write(format!("{container}\n").as_bytes())?;
        return Ok(0);
    };
    let status = attend(&mut session, &control, options.tty).await;
    let removed = control.remove().await;
    let status = status?;
    removed?;
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Carries input, output and signals until the command has ended, and returns its exit status.
async fn attend(session: &mut ServiceSession, control: &RunControl, tty: bool) -> Result<i64, CommandError> {
    let raw = if tty { Some(RawMode::enter()?) } else { None };
    let mut signals = Signals::listen();
    let mut heard = 0;
    let held = {
        let mut carrying = pin!(carry(session, tty));
        loop {
            tokio::select! {
                carried = &mut carrying => break carried?,
                signal = signals.next() => {
                    heard += 1;
                    match heard {
                        1 => control.signal(signal).await?,
                        2 => control.signal(KILL).await?,
                        _ => return Err(interrupted(signal)),
                    }
                }
            }
        }
    };
    drop(raw);
    if let Some(output) = held {
        write(&output)?;
    }
    Ok(session.exit_code().await?)
}

fn refused(service: &str, program: &str, error: Error) -> CommandError {
    let words = match &error {
        Error::PartWay { failures, .. } => {
            failures.iter().flat_map(|failure| &failure.causes).cloned().collect::<Vec<_>>().join(": ")
        }
        other => causes(other).join(": "),
    };
    not_started(service, program, &words).unwrap_or_else(|| error.into())
}

fn interrupted(signal: u8) -> CommandError {
    CommandError::new(Kind::Interrupted { signal }, "interrupted").note(
        "what was made is used by the next `envtree run` or `up`, which also removes the command's container",
    )
}
