//! Making a base: servers on fresh volumes, the seed, a clean stop, and a marker that says that all of it is there.

mod ancestor;

use std::time::{Duration, Instant};

use envtree_core::branch::base::{Base, BaseVolume, base_project, project_name, short, volume_key};
use envtree_core::branch::lineage::Lineage;
use envtree_core::branch::{DataVolume, Layer, upper_name};
use envtree_core::engine::{Engine, Scope};
use envtree_core::name::{ProjectName, ServiceName};
use envtree_core::plan::Plan;
use envtree_core::project::Project;
use envtree_core::reconcile::{ReconcileOptions, reconcile};
use envtree_core::settings::BranchMode;
use indexmap::IndexMap;
use jiff::Timestamp;

use super::grounds::WantedBase;
use super::inputs::unmatched;
use super::trial::TRIAL;
use super::{DataError, has_ended_well, owner, undirected};
use crate::apply::{FailureCause, apply};
use crate::converge::Open;
use crate::environment::Environment;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::readiness::Readiness;
use crate::session::Session;
use crate::state::identity::bases_name;
use crate::state::record::EnvironmentRecord;
use crate::state::{Lock, LockOptions};
use ancestor::Ancestor;

/// How long a command waits for another one that makes the same base: a seed may take its time.
const PATIENCE: Duration = Duration::from_hours(1);

/// How long servers may take to become ready that nothing waits for but their own start.
const PREPARED: Duration = Duration::from_mins(1);

/// How long the servers of a base may take to become ready where a seed needs them.
const READY: Duration = Duration::from_mins(5);

/// A base in the making.
pub(super) struct Making<'a> {
    pub(super) session: &'a Session,
    pub(super) record: &'a EnvironmentRecord,
    pub(super) environment: &'a Environment,
    pub(super) wanted: &'a WantedBase,
    pub(super) name: ProjectName,
    pub(super) project: Project,
    pub(super) labels: IndexMap<String, String>,
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
        self.found_or_made(record, &wanted.key, async || {
            let owner = owner(&record.repository);
            let name = project_name(&owner.bases, &wanted.key);
            self.remove_blank_volumes(&name, wanted).await?;
            let project = base_project(&undirected(environment), &wanted.all, &owner, &wanted.key);
            let labels = owner.labels(&wanted.key);
            Box::pin(Making { session: self, record, environment, wanted, name, project, labels }.run()).await
        })
        .await
    }

    /// Returns the base of that key; makes it with `make` unless it is there, or another command makes it meanwhile. As
    /// long as the lock is held, nobody drops it.
    pub(super) async fn found_or_made(
        &self,
        record: &EnvironmentRecord,
        key: &str,
        make: impl AsyncFn() -> Result<(), Error>,
    ) -> Result<(Base, Lock), Error> {
        let repository = &record.repository.id;
        let name = project_name(&bases_name(&record.repository.common_dir), key);
        loop {
            let held = self.state.share_project(&name, &self.patiently()).await?;
            if let Some(base) = self.find_base(repository, key).await? {
                self.note_use(&bases_name(&record.repository.common_dir), key).await?;
                return Ok((base, held));
            }
            drop(held);
            let lock = self.state.lock_project(&name, &self.patiently()).await?;
            // Whoever held the lock may have made it.
            if self.find_base(repository, key).await?.is_none() {
                self.sweep_bases(repository, Some(&name)).await?;
                self.note_unmade(repository, std::slice::from_ref(&name)).await?;
                let outcome = make().await;
                self.release(lock)?;
                // What is complete stays.
                let removed = self.remove_unmade().await;
                outcome?;
                removed?;
            } else {
                self.release(lock)?;
            }
        }
    }

    /// Returns how this command waits for another one that makes or drops the same base.
    pub(super) fn patiently(&self) -> LockOptions<'_> {
        let options = self.lock();
        LockOptions { timeout: options.timeout.max(PATIENCE), ..options }
    }

    /// Removes the volumes of a base that the Engine was making when it was killed itself: their labels are not there.
    async fn remove_blank_volumes(&self, name: &ProjectName, wanted: &WantedBase) -> Result<(), Error> {
        let volumes =
            wanted.all.iter().map(|data| name.object(&volume_key(data))).chain([name.object(TRIAL)]);
        let names =
            volumes.flat_map(|volume| [upper_name(&volume, 0), volume]).chain([name.to_string()]).collect();
        for name in self.docker.blank_volumes(&names).await? {
            self.docker.remove_unused_volume(&name).await?;
        }
        Ok(())
    }

    pub(super) async fn apply_to_base(&self, name: &ProjectName, plan: &Plan) -> Result<(), Error> {
        let Err(error) = apply(&self.docker, plan, &Open, &self.options.events).await else {
            return Ok(());
        };
        let failures = error.failures.iter().map(|failure| match failure {
            FailureCause::Engine(error) => Failure::of(error),
            FailureCause::Gate(never) => match *never {},
        });
        Err(Error::Base { project: name.to_string(), failures: failures.collect() })
    }
}

pub(super) fn scope(project: &ProjectName, images: Vec<String>) -> Scope {
    Scope { project: project.clone(), images, volumes: Vec::new(), built: false, shared: None }
}

impl Making<'_> {
    /// Makes the base.
    async fn run(mut self) -> Result<(), Error> {
        let started = Instant::now();
        self.tell_unmatched_inputs()?;
        let services = self.project.services.keys().map(ToString::to_string).collect();
        let ancestor = self.ancestor().await?;
        let on = ancestor.as_ref().map(|ancestor| ancestor.base.name().to_owned());
        self.session.emit(Event::MakingBase { base: short(&self.wanted.key).to_owned(), services, on });
        Box::pin(self.fill(ancestor.as_ref())).await?;
        let base = short(&self.wanted.key).to_owned();
        self.session.emit(Event::MadeBase { base, elapsed: started.elapsed() });
        Ok(())
    }

    /// Warns of inputs that name nothing: the base would not be made anew when what they mean changes.
    fn tell_unmatched_inputs(&self) -> Result<(), Error> {
        let Self { session, record, environment, wanted, .. } = self;
        let patterns = &environment.definition.settings.data.inputs;
        if wanted.is_seeded {
            for pattern in unmatched(&session.repository, &record.worktree, patterns)? {
                session.warn(format!(
                    "`{pattern}` of `data.inputs` names no file of the worktree; symlinks to folders are not followed"
                ));
            }
        }
        Ok(())
    }

    async fn fill(&mut self, ancestor: Option<&Ancestor>) -> Result<(), Error> {
        if let Some(ancestor) = ancestor {
            self.begin_on(ancestor).await?;
        }
        let project = self.start().await?;
        let mut volumes = Vec::new();
        if ancestor.is_none() {
            for data in &self.wanted.all {
                volumes.push(self.volume(data, container(&project, &data.service)).await?);
            }
            // Before the seed takes its time.
            self.try_branch(&volumes).await?;
        }
        self.seed(&project).await?;
        self.stop(&project).await?;
        if let Some(ancestor) = ancestor {
            volumes = self.freeze(ancestor).await?;
        }
        let lineage = Lineage::of(&self.wanted.ingredients).filter(|_| self.wanted.is_incremental);
        let base = Base {
            key: self.wanted.key.clone(),
            repository: bases_name(&self.record.repository.common_dir),
            is_seeded: self.wanted.is_seeded,
            made: Timestamp::now().as_second(),
            volumes,
            others: ancestor.map(Ancestor::volumes).unwrap_or_default(),
            snapshot: None,
            lineage,
            copy_of: None,
            is_raw: false,
        };
        self.session.docker.create_volume("marker", &base.marker(&self.labels)).await?;
        Ok(())
    }

    /// Finds out whether the Engine mounts branches of the base; that it does not is a failure only where it has to.
    pub(super) async fn try_branch(&self, volumes: &[BaseVolume]) -> Result<(), Error> {
        let mode = self.session.branch_mode(self.environment);
        if mode == BranchMode::Copy {
            return Ok(());
        }
        let tried = self.session.try_branch(&self.name, &self.labels, volumes).await;
        match mode {
            BranchMode::Overlay => tried,
            _ => self.session.note_overlays(tried).await.map(drop),
        }
    }

    /// Stops the servers, which must end as they should, and removes all but their data.
    pub(super) async fn stop(&self, project: &Project) -> Result<(), Error> {
        let docker = &self.session.docker;
        for (name, service) in &project.services {
            let container = container(project, name);
            docker.stop_container(container, None).await?;
            let code = docker.inspect_container(container).await?.exit_code;
            if !has_ended_well(service, code) {
                return Err(DataError::NotStopped { service: name.to_string(), code }.into());
            }
        }
        let data = self.wanted.all.iter().map(|data| self.name.object(&volume_key(data)));
        let kept = data.flat_map(|name| [upper_name(&name, 0), name]).collect();
        self.session.remove_all_but(&self.record.repository.id, &self.name, &kept).await
    }

    /// Returns how plans are made here. The files of the worktree at `top` are there, so that nothing waits for them.
    pub(super) fn options(record: &EnvironmentRecord, top: &str) -> ReconcileOptions {
        ReconcileOptions {
            repository: record.repository.id.clone(),
            worktree: top.to_owned(),
            ..ReconcileOptions::default()
        }
    }

    /// Starts the servers, and returns the project with the host ports that the Engine chose, once they are ready.
    pub(super) async fn start(&self) -> Result<Project, Error> {
        let Self { session, record, project, .. } = self;
        let images = project.services.values().map(|service| service.image.clone()).collect();
        let observed = session.docker.observe(&scope(&self.name, images)).await?;
        let options = Self::options(record, &self.environment.definition.top);
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
        let patience = if self.wanted.is_seeded { READY } else { PREPARED };
        let readiness = Readiness::new(&session.docker, &running, patience, &session.options.events);
        let faults = readiness.wait_all().await.err().unwrap_or_default();
        if let Some(fault) = faults.first().filter(|_| !self.wanted.is_seeded) {
            let service = fault.service.clone();
            return Err(DataError::NotReady { service, reason: fault.to_string() }.into());
        }
        if !faults.is_empty() {
            let failures = faults.iter().map(Failure::of_service).collect();
            return Err(Error::Base { project: self.name.to_string(), failures });
        }
        drop(readiness);
        Ok(running)
    }

    /// Returns a volume as the record of the base tells of it; its server has stopped.
    pub(super) async fn volume(&self, data: &DataVolume, container: &str) -> Result<BaseVolume, Error> {
        let docker = &self.session.docker;
        let name = self.name.object(&volume_key(data));
        let owner = docker.owner_at(container, &data.target).await?;
        let gone = || DataError::Gone { container: container.to_owned() };
        let observed = docker.inspect_volume(&name).await?.ok_or_else(gone)?;
        Ok(BaseVolume {
            service: data.service.to_string(),
            target: data.target.clone(),
            layer: Layer::of_volume(&name, &observed.mountpoint),
            below: Vec::new(),
            on: None,
            owner,
        })
    }
}

pub(super) fn container<'a>(project: &'a Project, service: &ServiceName) -> &'a str {
    project.services[service].container_name.as_deref().unwrap_or_default()
}
