//! `run`: one command in a container of its own, with the definition of a service, beside the service's own containers.

mod file;

use std::collections::BTreeSet;
use std::time::Duration;

use envtree_core::compose_file::lower::parse_port;
use envtree_core::config_hash::hex;
use envtree_core::label;
use envtree_core::name::ServiceName;
use envtree_core::observed::ObservedState;
use envtree_core::one_off::{Ended, OneOff, OneOffPlan, one_off_project, plan_one_off};
use envtree_core::plan::{Await, Plan};
use envtree_core::project::Project;
use envtree_core::reconcile::{BuildPolicy, ReconcileOptions, plan_images};
use envtree_core::service::{Condition, Port, PullPolicy};
use envtree_docker::attach::AttachedControl;
use envtree_docker::{Docker, DockerError};

use crate::adopt;
use crate::apply::{Gate, apply};
use crate::converge::{Told, begin, step_failure};
use crate::data::lacking;
use crate::database::Databases;
use crate::environment::Definition;
use crate::error::{Error, Failure, Unreachable};
use crate::exec::ServiceSession;
use crate::readiness::{NotReady, Readiness};
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::up::{UpOptions, reconcile_options, refuse_unstartable};
use file::file_of;

/// What [`Error::PartWay`] says that a `run` was doing, which no later one continues.
pub const RUNNING: &str = "run a command in";

/// Choices of `run`. What is absent or empty is as the service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// The task.
    pub task: String,
    /// The service.
    pub service: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The entrypoint, as a line of a Compose file.
    pub entrypoint: Option<String>,
    /// Variables as `NAME=VALUE`; `NAME` alone takes the caller's.
    pub environment: Vec<String>,
    /// Further volumes, in the short syntax of Compose files.
    pub volumes: Vec<String>,
    /// Further ports, in the short syntax of Compose files.
    pub publish: Vec<String>,
    /// The user.
    pub user: Option<String>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// The container's name.
    pub name: Option<String>,
    /// Whether the service's ports are published.
    pub service_ports: bool,
    /// Whether the container is reached under the names of the service.
    pub use_aliases: bool,
    /// Whether nothing is started that the service depends on.
    pub no_deps: bool,
    /// Whether the container stays once the command has ended.
    pub keep: bool,
    /// Whether nobody waits for the command.
    pub detach: bool,
    /// Whether the command gets a terminal.
    pub tty: bool,
    /// When images are built.
    pub build: BuildPolicy,
    /// When images are pulled; absent leaves it to each service.
    pub pull: Option<PullPolicy>,
    /// How long services may take to become ready that the command needs.
    pub timeout: Duration,
}

/// A command that runs in a container of its own.
pub struct Run {
    /// The container's name.
    pub container: String,
    /// Its input and output; nothing if nobody waits for it.
    pub session: Option<ServiceSession>,
    /// Its signals and its end.
    pub control: RunControl,
}

/// Sends signals to a command, and removes its container.
#[derive(Debug, Clone)]
pub struct RunControl {
    docker: Docker,
    container: String,
    attached: Option<AttachedControl>,
    keep: bool,
}

impl RunControl {
    /// Sends the command a signal; one that has ended needs none.
    pub async fn signal(&self, number: u8) -> Result<(), Error> {
        match &self.attached {
            Some(control) => Ok(control.signal(number).await?),
            None => Ok(()),
        }
    }

    /// Removes the container with its anonymous volumes, unless it is to stay; one that runs is stopped first.
    pub async fn remove(&self) -> Result<(), Error> {
        if !self.keep {
            self.docker.stop_container(&self.container, Some(0)).await?;
            self.docker.remove_container(&self.container, true).await?;
        }
        Ok(())
    }
}

impl Session {
    /// Starts a command in a container of its own, once what its service depends on is ready.
    ///
    /// Missing networks, volumes, images and services that it needs are made as `up` makes them; the rest of the
    /// environment is left as it is. A container that is not removed by its caller goes with the next `up`, `down` or `rm`.
    ///
    /// Of what is noticed, only that is told which the command brings about: `up` tells the rest.
    pub async fn run(&self, options: &RunOptions) -> Result<Run, Error> {
        self.connect().await?;
        let (record, lock) = self.hold(Some(&options.task)).await?;
        let run = Box::pin(self.start_one_off(&record, options)).await;
        self.release(lock)?;
        run
    }

    async fn start_one_off(&self, record: &EnvironmentRecord, options: &RunOptions) -> Result<Run, Error> {
        let facts = self.docker.facts().await?;
        let (plain, definition) = self.define_one_off(record, options)?;
        let one_off = one_off(record, options)?;
        self.check_name(&one_off).await?;
        self.remove_half_made_volumes(record).await?;
        let choices = UpOptions {
            build: options.build,
            pull: options.pull,
            scale: record.scale.clone(),
            ..UpOptions::of(Some(&options.task))
        };
        let (record, mut observed, adopted) =
            self.reserve_for(record, &definition, &choices, &BTreeSet::new()).await?;
        let mut environment = self.assemble(definition, &record)?;
        let plain = self.assemble(plain, &record)?;
        environment.warnings.retain(|warning| !plain.warnings.contains(warning));
        environment.warnings.extend(adopt::warnings(&record.project, &adopted));
        for warning in &environment.warnings {
            self.warn(warning.clone());
        }
        let project = one_off_project(&environment.isolated.project, &one_off);
        refuse_unstartable(&project, &environment.definition.wanted, facts)?;
        self.refuse_unjoinable_of(&project, &environment.definition.wanted).await?;
        if one_off.dependencies && self.wake_shared(&record, &environment).await? {
            (observed, _) = self.observe_and_adopt(&record, &environment.definition).await?;
        }
        // With another command, a server is none, and its volume holds data all the same.
        if (record.data_from.is_some() || self.trusts_seed(&record, &environment)?)
            && let Some(lacking) = lacking(&plain, &project, &observed)
        {
            return Err(lacking.into());
        }
        let reconciling = reconcile_options(&environment, &choices, false);
        let preparation = Preparation {
            session: self,
            record: &record,
            definition: &environment.definition,
            project: &project,
            one_off: &one_off,
            options: &reconciling,
            timeout: options.timeout,
        };
        let run = async {
            preparation.run(observed).await?;
            self.start_container(&one_off, options).await
        };
        match run.await {
            Ok(run) => Ok(run),
            Err(error) => {
                // The first failure says more than a second.
                let _ = self.remove_one_off(&record, &one_off).await;
                Err(self.with_containers(error).await)
            }
        }
    }

    /// Refuses a name that another container has, whoever made it: it would be taken for the command's own.
    async fn check_name(&self, one_off: &OneOff) -> Result<(), Error> {
        match self.docker.inspect_container(&one_off.container).await {
            Ok(_) => Err(Error::ContainerNameTaken { container: one_off.container.clone() }),
            Err(DockerError::ContainerMissing { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the command's container, if it was made; another of its name stays.
    async fn remove_one_off(&self, record: &EnvironmentRecord, one_off: &OneOff) -> Result<(), Error> {
        let observed = self.observe_project(record).await?;
        let is_made = observed.containers.iter().any(|container| {
            container.name == one_off.container
                && container.labels.get(label::COMPOSE_SLUG) == Some(&one_off.slug)
        });
        if is_made {
            self.docker.remove_container(&one_off.container, true).await?;
        }
        Ok(())
    }

    async fn start_container(&self, one_off: &OneOff, options: &RunOptions) -> Result<Run, Error> {
        let container = one_off.container.clone();
        let control = RunControl {
            docker: self.docker.clone(),
            container: container.clone(),
            attached: None,
            keep: options.keep,
        };
        if options.detach {
            self.docker.start_container(&container).await?;
            return Ok(Run { container, session: None, control });
        }
        let attached = self.docker.start_attached(&container, one_off.tty).await?;
        let control = RunControl { attached: Some(attached.control.clone()), ..control };
        Ok(Run { container, session: Some(ServiceSession::attached(attached)), control })
    }

    /// Reads what the worktree defines, as it is and as the command changes it; a service that it does not name is an error.
    fn define_one_off(
        &self,
        record: &EnvironmentRecord,
        options: &RunOptions,
    ) -> Result<(Definition, Definition), Error> {
        let files = self.files_of(record)?;
        let secret = self.secret(record)?;
        let definition = self.define(record, &files, &secret)?;
        let plain = &definition.wanted;
        if plain.project.shared.contains_key(options.service.as_str()) {
            return Err(Error::SharedService { service: options.service.clone() });
        }
        let active = plain.project.services.keys().map(ToString::to_string);
        let mut known: Vec<String> = active.chain(plain.inactive.iter().cloned()).collect();
        if !known.contains(&options.service) {
            known.sort();
            let (project, service) = (record.project.to_string(), options.service.clone());
            return Err(Error::UnknownService { project, service, known });
        }
        let changed = self.define_for(record, &files, &secret, Some(&file_of(options)))?;
        Ok((definition, changed))
    }
}

fn one_off(record: &EnvironmentRecord, options: &RunOptions) -> Result<OneOff, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let slug = hex(&bytes);
    let service = ServiceName::new(&*options.service).expect("the files name the service");
    let container = options.name.clone();
    Ok(OneOff {
        container: container.unwrap_or_else(|| format!("{}-{service}-run-{slug}", record.project)),
        service,
        slug,
        ended: match (options.keep, options.detach) {
            (true, _) => Ended::Kept,
            (false, true) => Ended::RemovedByEngine,
            (false, false) => Ended::Removed,
        },
        tty: options.tty,
        interactive: !options.detach,
        service_ports: options.service_ports,
        publish: published(&options.publish)?,
        use_aliases: options.use_aliases,
        dependencies: !options.no_deps,
    })
}

/// Returns the ports to publish, for this machine alone unless they say otherwise.
fn published(texts: &[String]) -> Result<Vec<Port>, Error> {
    let mut ports = Vec::new();
    for text in texts {
        let parsed = parse_port(text).ok_or_else(|| Error::NotAPort { text: text.clone() })?;
        ports.extend(
            parsed
                .into_iter()
                .map(|port| Port { host_ip: port.host_ip.or_else(|| Some("127.0.0.1".to_owned())), ..port }),
        );
    }
    Ok(ports)
}

/// The way to a container that is ready to be started.
struct Preparation<'a> {
    session: &'a Session,
    record: &'a EnvironmentRecord,
    definition: &'a Definition,
    project: &'a Project,
    one_off: &'a OneOff,
    options: &'a ReconcileOptions,
    timeout: Duration,
}

impl Preparation<'_> {
    async fn run(&self, mut observed: ObservedState) -> Result<(), Error> {
        let Self { session, project, one_off, options, .. } = *self;
        let mut watched = project.clone();
        watched.services.extend(std::mem::take(&mut watched.shared));
        let gate = Dependencies {
            readiness: Readiness::new(&session.docker, &watched, self.timeout, &session.options.events),
            databases: Databases::lacking(session, self.record, project),
        };
        let unreachable = |error| Unreachable::of(error, &self.definition.wanted);
        let images = plan_images(project, &observed, options).map_err(unreachable)?;
        if !images.is_empty() {
            self.apply(&images, &gate).await?;
            (observed, _) = session.observe_and_adopt(self.record, self.definition).await?;
        }
        let OneOffPlan { plan, awaits } =
            plan_one_off(project, &observed, one_off, options).map_err(unreachable)?;
        self.apply(&plan, &gate).await?;
        let mut faults = Vec::new();
        for condition in &awaits {
            faults.extend(gate.wait(condition).await.err());
        }
        if faults.is_empty() && one_off.dependencies {
            faults = gate.databases.make_all(&gate.readiness).await;
        }
        if faults.is_empty() {
            return Ok(());
        }
        let done = plan.steps.iter().map(|step| step.operation.to_string()).collect();
        Err(self.part_way(faults.iter().map(Failure::of_service).collect(), done))
    }

    async fn apply(&self, plan: &Plan, gate: &Dependencies<'_>) -> Result<(), Error> {
        let Self { session, record, .. } = *self;
        session.update_record(&record.project, |record| begin(record, plan)).await?;
        let applied = apply(&session.docker, plan, gate, &session.options.events).await;
        let error = applied.err().map(|error| {
            let of_gate = |fault: NotReady| Some(Failure::of_service(&fault));
            let failures = error.failures.into_iter();
            let told = Told { record, files: Some((self.project, &self.definition.wanted.places)) };
            let failures = failures.filter_map(|failure| step_failure(failure, &told, &of_gate));
            self.part_way(failures.collect(), error.done)
        });
        let is_cut_off = error.as_ref().is_some_and(Error::is_cut_off);
        session.update_record(&record.project, |record| record.settle(is_cut_off)).await?;
        error.map_or(Ok(()), Err)
    }

    fn part_way(&self, failures: Vec<Failure>, done: Vec<String>) -> Error {
        // The container is removed again.
        let own = format!("create container {}", self.one_off.container);
        let done = done.into_iter().filter(|step| *step != own).collect();
        Error::PartWay { command: RUNNING, project: self.record.project.to_string(), failures, done }
    }
}

/// Lets services start when those that they depend on, shared ones too, are ready and hold the environment's databases.
struct Dependencies<'a> {
    readiness: Readiness<'a>,
    databases: Databases<'a>,
}

impl Gate for Dependencies<'_> {
    type Error = NotReady;

    async fn wait(&self, condition: &Await) -> Result<(), NotReady> {
        // The files of an environment that exists are there.
        self.readiness.wait(condition).await?;
        if let Await::Service { service, condition: Condition::ServiceHealthy, .. } = condition {
            self.databases.make(service).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_published_for_this_machine_alone_unless_it_says_otherwise() {
        let addresses = |text: &str| {
            let ports = published(&[text.to_owned()]).unwrap();
            ports.into_iter().map(|port| (port.host_ip.unwrap(), port.published)).collect::<Vec<_>>()
        };
        assert_eq!(addresses("8080:80"), [("127.0.0.1".to_owned(), Some(8080))]);
        assert_eq!(addresses("0.0.0.0:8080:80"), [("0.0.0.0".to_owned(), Some(8080))]);
        assert!(matches!(published(&["x".to_owned()]), Err(Error::NotAPort { .. })));
    }
}
