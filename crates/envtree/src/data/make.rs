//! Making a base: servers on fresh volumes, the seed, a clean stop, and a marker that says that all of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use envtree_core::branch::base::{Base, BaseVolume, base_project, project_name, short, volume_key};
use envtree_core::branch::{Branch, DataVolume, Ground, Layer, upper_name};
use envtree_core::engine::{Engine, Scope};
use envtree_core::label;
use envtree_core::name::{ProjectName, ServiceName, VolumeName};
use envtree_core::observed::ObservedState;
use envtree_core::plan::{NewKeeper, Operation, Owner, Plan};
use envtree_core::project::{Project, Volume};
use envtree_core::reconcile::{ReconcileOptions, reconcile};
use envtree_core::teardown::{RemovalOptions, plan_removal};
use envtree_core::variables::{View, variables};
use envtree_docker::DockerError;
use indexmap::IndexMap;
use jiff::Timestamp;

use super::{DataError, SEED, WantedBase, complete, owner};
use crate::apply::{FailureCause, apply};
use crate::converge::Open;
use crate::environment::Environment;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::hook::run_hook;
use crate::readiness::Readiness;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::state::{Lock, LockOptions};

/// How long a command waits for another one that makes the same base: a seed may take its time.
const PATIENCE: Duration = Duration::from_hours(1);

/// How long the servers of a base may take to become ready.
const READY: Duration = Duration::from_mins(5);

/// The key of a volume that is made to find out whether the Engine mounts branches.
const TRIAL: &str = "trial";

/// A base in the making.
struct Making<'a> {
    session: &'a Session,
    record: &'a EnvironmentRecord,
    environment: &'a Environment,
    wanted: &'a WantedBase,
    name: ProjectName,
    project: Project,
    labels: IndexMap<String, String>,
}

impl Session {
    /// Returns the base that is wanted; makes it unless it is there, or another command makes it meanwhile. As long as
    /// the lock is held, nobody drops it.
    pub(super) async fn base(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        wanted: &WantedBase,
    ) -> Result<(Base, Lock), Error> {
        let owner = owner(record);
        let repository = &record.repository.id;
        let name = project_name(&owner.repository_name, &wanted.key);
        loop {
            let held = self.state.share_project(&name, &self.patiently()).await?;
            if let Some(base) = self.find_base(repository, &wanted.key).await? {
                return Ok((base, held));
            }
            drop(held);
            let lock = self.state.lock_project(&name, &self.patiently()).await?;
            // Whoever held the lock may have made it.
            if self.find_base(repository, &wanted.key).await?.is_none() {
                self.sweep_bases(repository, Some(&name)).await?;
                self.remove_blank_volumes(&name, wanted).await?;
                let project = base_project(&environment.isolated.project, &wanted.all, &owner, &wanted.key);
                let labels = owner.labels(&wanted.key);
                let name = name.clone();
                let making = Making { session: self, record, environment, wanted, name, project, labels };
                Box::pin(making.run()).await?;
            }
            self.release(lock)?;
        }
    }

    /// Returns how this command waits for another one that makes or drops the same base.
    pub(super) fn patiently(&self) -> LockOptions<'_> {
        let options = self.lock();
        LockOptions { timeout: options.timeout.max(PATIENCE), ..options }
    }

    /// Removes what interrupted commands left of bases of the repository that nobody works on; this command itself may
    /// work on `own`. Returns what was done.
    pub(crate) async fn sweep_bases(
        &self,
        repository: &str,
        own: Option<&ProjectName>,
    ) -> Result<Vec<String>, Error> {
        let observed = self.docker.observe_all(Some(repository)).await?;
        let complete = complete(&observed.volumes);
        let volumes = observed.volumes.iter().map(|volume| &volume.labels);
        let containers = observed.containers.iter().map(|container| &container.labels);
        let networks = observed.networks.iter().map(|network| &network.labels);
        let of_bases = volumes.chain(containers).chain(networks);
        // What lies on a base bears its key too, and belongs to an environment.
        let of_bases = of_bases.filter(|labels| !labels.contains_key(label::ENVIRONMENT));
        let is_torn = |key: &str| complete.iter().all(|base| base.key != key);
        let torn: BTreeSet<&String> = of_bases
            .filter(|labels| labels.get(label::BASE).is_some_and(|key| is_torn(key)))
            .filter_map(|labels| labels.get(label::COMPOSE_PROJECT))
            .collect();
        let mut done = Vec::new();
        for name in torn.into_iter().filter_map(|name| ProjectName::new(name).ok()) {
            if own == Some(&name) {
                done.extend(self.remove_base(repository, &name, true).await?);
            } else if let Some(lock) = self.state.try_lock_project(&name, &self.options.command)? {
                done.extend(self.remove_base(repository, &name, true).await?);
                self.release(lock)?;
            }
        }
        Ok(done)
    }

    /// Removes the volumes of a base that the Engine was making when it was killed itself: their labels are not there.
    async fn remove_blank_volumes(&self, name: &ProjectName, wanted: &WantedBase) -> Result<(), Error> {
        let volumes = wanted.all.iter().map(|data| name.object(&volume_key(data)));
        let trial = name.object(TRIAL);
        let names = volumes.chain([upper_name(&trial), trial, name.to_string()]).collect();
        for name in self.docker.blank_volumes(&names).await? {
            self.docker.remove_unused_volume(&name).await?;
        }
        Ok(())
    }

    /// Removes the containers and networks of a base, and its volumes too if asked; returns what was done.
    pub(super) async fn remove_base(
        &self,
        repository: &str,
        name: &ProjectName,
        volumes: bool,
    ) -> Result<Vec<String>, Error> {
        let observed = self.docker.observe(&scope(name, Vec::new())).await?;
        let removal =
            RemovalOptions { repository: repository.to_owned(), volumes, images: false, grace: None };
        let plan = plan_removal(&observed, name, &removal);
        self.apply_to_base(name, &plan).await?;
        Ok(plan.steps.iter().map(|step| step.operation.to_string()).collect())
    }

    async fn apply_to_base(&self, name: &ProjectName, plan: &Plan) -> Result<(), Error> {
        let Err(error) = apply(&self.docker, plan, &Open, &self.options.events).await else {
            return Ok(());
        };
        let failures = error.failures.iter().map(|failure| match failure {
            FailureCause::Engine(error) => Failure::of(error),
            FailureCause::Gate(never) => match *never {},
        });
        Err(part_way(name, failures.collect()))
    }
}

fn part_way(name: &ProjectName, failures: Vec<Failure>) -> Error {
    Error::PartWay { command: "work on base", project: name.to_string(), failures, done: Vec::new() }
}

fn scope(project: &ProjectName, images: Vec<String>) -> Scope {
    Scope { project: project.clone(), images, volumes: Vec::new(), built: false, shared: None }
}

impl Making<'_> {
    /// Makes the base. Whatever fails, nothing of it is left.
    async fn run(self) -> Result<(), Error> {
        let started = Instant::now();
        let services = self.project.services.keys().map(ToString::to_string).collect();
        self.session.emit(Event::MakingBase { base: short(&self.wanted.key).to_owned(), services });
        match Box::pin(self.fill()).await {
            Ok(()) => {
                let base = short(&self.wanted.key).to_owned();
                self.session.emit(Event::MadeBase { base, elapsed: started.elapsed() });
                Ok(())
            }
            Err(error) => {
                let repository = &self.record.repository.id;
                if let Err(left) = self.session.remove_base(repository, &self.name, true).await {
                    self.session.warn(format!(
                        "what was made of base `{}` could not be removed, and is by the next `envtree up`: {left}",
                        short(&self.wanted.key)
                    ));
                }
                Err(error)
            }
        }
    }

    async fn fill(&self) -> Result<(), Error> {
        let session = self.session;
        let project = self.start().await?;
        let mut volumes = Vec::new();
        for data in &self.wanted.all {
            volumes.push(self.volume(data, container(&project, &data.service)).await?);
        }
        // Before the seed takes its time.
        self.try_branch(&volumes).await?;
        self.seed(&project).await?;
        for service in project.services.keys() {
            let container = container(&project, service);
            session.docker.stop_container(container, None).await?;
            let detail = session.docker.inspect_container(container).await?;
            if detail.exit_code != 0 {
                let (service, code) = (service.to_string(), detail.exit_code);
                return Err(DataError::NotStopped { service, code }.into());
            }
        }
        session.remove_base(&self.record.repository.id, &self.name, false).await?;
        let base = Base {
            key: self.wanted.key.clone(),
            repository: self.record.repository.name.clone(),
            is_seeded: true,
            made: Timestamp::now().as_second(),
            volumes,
        };
        session.docker.create_volume("marker", &base.marker(&self.labels)).await?;
        Ok(())
    }

    /// Starts the servers, and returns the project with the host ports that the Engine chose, once they are ready.
    async fn start(&self) -> Result<Project, Error> {
        let Self { session, record, project, .. } = self;
        let images = project.services.values().map(|service| service.image.clone()).collect();
        let observed = session.docker.observe(&scope(&self.name, images)).await?;
        let options = ReconcileOptions {
            repository: record.repository.id.clone(),
            worktree: self.environment.definition.top.clone(),
            ..ReconcileOptions::default()
        };
        // The files are there, so that nothing waits for the checkout.
        let plan = reconcile(project, &observed, &options)?;
        session.apply_to_base(&self.name, &plan).await?;
        let mut running = project.clone();
        for service in running.services.values_mut() {
            let container = service.container_name.as_deref().unwrap_or_default();
            let detail = session.docker.inspect_container(container).await?;
            for port in &mut service.ports {
                let key = format!("{}/{}", port.target, port.protocol.as_str());
                port.published =
                    detail.ports.get(&key).and_then(|published| published.first()).map(|first| first.port);
            }
        }
        let readiness = Readiness::new(&session.docker, &running, READY, &session.options.events);
        let faults = readiness.wait_all().await.err().unwrap_or_default();
        if !faults.is_empty() {
            return Err(part_way(&self.name, faults.iter().map(Failure::of_service).collect()));
        }
        drop(readiness);
        Ok(running)
    }

    /// Runs the seed on the host, with variables that lead to the base.
    async fn seed(&self, project: &Project) -> Result<(), Error> {
        let Self { session, record, environment, .. } = self;
        let definition = &environment.definition;
        let Some(seed) = &definition.settings.data.seed else {
            return Ok(());
        };
        let of_base = variables(project, &definition.identity, &[], View::Host);
        let (mut host, _) = session.with_settings(of_base, definition)?;
        host.insert("COMPOSE_PROJECT_NAME".into(), self.name.to_string());
        let variables = session.hook_variables(record, &host);
        let events = &session.options.events;
        run_hook(SEED, &seed.commands, &record.worktree, &variables, events).await?;
        Ok(())
    }

    /// Returns a volume as the record of the base tells of it; its server has stopped.
    async fn volume(&self, data: &DataVolume, container: &str) -> Result<BaseVolume, Error> {
        let docker = &self.session.docker;
        let name = self.name.object(&volume_key(data));
        let owner = docker.owner_at(container, &data.target).await?;
        let gone = || DataError::Gone { container: container.to_owned() };
        let observed = docker.inspect_volume(&name).await?.ok_or_else(gone)?;
        Ok(BaseVolume {
            service: data.service.to_string(),
            target: data.target.clone(),
            volume: name,
            mountpoint: observed.mountpoint,
            owner,
        })
    }

    /// Makes a branch of the base, and looks into it: not every Engine mounts one.
    async fn try_branch(&self, volumes: &[BaseVolume]) -> Result<(), Error> {
        let Some(volume) = volumes.first() else {
            return Ok(());
        };
        let docker = &self.session.docker;
        let layer = Layer { volume: volume.volume.clone(), mountpoint: volume.mountpoint.clone() };
        let key = VolumeName::new(TRIAL).expect("it is a key");
        let branch = Branch {
            volume: Volume {
                name: Some(self.name.object(TRIAL)),
                labels: self.labels.clone(),
                ..Volume::default()
            },
            key: key.clone(),
            ground: Ground { base: self.wanted.key.clone(), layer, owner: volume.owner, others: Vec::new() },
        };
        let Some(definition) = branch.definition() else {
            return Err(DataError::NoBranches { reason: place(volume) }.into());
        };
        let keeper = branch.keeper();
        let container = keeper.name.clone();
        let look = NewKeeper {
            name: format!("{}.look", branch.name()),
            volumes: IndexMap::from([("/branch".to_owned(), branch.name().to_owned())]),
            labels: keeper.labels.clone(),
        };
        let name = look.name.clone();
        let operations = [
            Operation::CreateVolume { key: key.clone(), volume: branch.upper() },
            Operation::CreateKeeper(Box::new(keeper)),
            Operation::PutDirectories { container, directories: branch.directories() },
            Operation::CreateVolume { key, volume: definition },
            Operation::CreateKeeper(Box::new(look)),
        ];
        for operation in &operations {
            docker.perform(operation, &|_| {}).await?;
        }
        let seen = docker.owner_at(&name, "/branch").await;
        let reason = match seen {
            Ok(owner) if owner == volume.owner => None,
            Ok(Owner { uid, gid, mode }) => {
                Some(format!("a branch of `{}` belongs to {uid}:{gid} with mode {mode:o}", volume.volume))
            }
            // Any other failure says nothing of branches.
            Err(DockerError::NotMounted { source, .. }) => Some(source.to_string()),
            Err(error) => return Err(error.into()),
        };
        for keeper in [name, branch.keeper().name] {
            docker.remove_container(&keeper, false).await?;
        }
        let upper = branch.upper().name.unwrap_or_default();
        for volume in [branch.name(), &upper] {
            docker.remove_volume(volume).await?;
        }
        match reason {
            Some(reason) => Err(DataError::NoBranches { reason }.into()),
            None => Ok(()),
        }
    }
}

fn container<'a>(project: &'a Project, service: &ServiceName) -> &'a str {
    project.services[service].container_name.as_deref().unwrap_or_default()
}

fn place(volume: &BaseVolume) -> String {
    if volume.mountpoint.is_empty() {
        format!("it does not tell where volume `{}` lies", volume.volume)
    } else {
        format!("the options of a mount cannot name `{}`", volume.mountpoint)
    }
}

/// Bases by their keys, for what uses them.
pub(super) fn users(observed: &ObservedState) -> BTreeMap<&str, Vec<&str>> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for upper in &observed.uppers {
        if let (Some(base), Some(branch)) = (upper.labels.get(label::BASE), upper.labels.get(label::BRANCH)) {
            users.entry(base).or_default().push(branch);
        }
    }
    users
}
