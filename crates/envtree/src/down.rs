//! `down`, `stop`, `start`, `restart`: change what runs, keep worktree and reservations.

use std::time::{Duration, Instant};

use envtree_core::label;
use envtree_core::observed::{ObservedContainer, ObservedState};
use envtree_core::plan::Plan;
use envtree_core::shared::joined;
use envtree_core::teardown::{RemovalOptions, plan_removal, plan_restart, plan_start, plan_stop};

use crate::apply::apply;
use crate::converge::{Open, Told, step_failure};
use crate::environment::placeholder;
use crate::error::{Error, Failure};
use crate::post_start::unhooked;
use crate::readiness::Readiness;
use crate::session::Session;
use crate::state::Lock;
use crate::state::record::EnvironmentRecord;
use crate::taken::taken_by_strangers;

/// How long services may take to become ready after `start` and `restart`.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Choices of `down`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DownOptions {
    /// The task; absent means the worktree that the person stands in.
    pub task: Option<String>,
    /// Whether volumes and their data go too, and the environment's databases on servers that it shares.
    pub volumes: bool,
    /// Seconds that each container gets to stop.
    pub timeout: Option<u64>,
}

/// What a command changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeReport {
    /// The task.
    pub task: String,
    /// The Compose project.
    pub project: String,
    /// What was done, as a plan shows it: `stop container shop-x-db-1`.
    pub done: Vec<String>,
}

impl Session {
    /// Stops and removes containers and networks; volumes stay unless asked, reservations in any case.
    pub async fn down(&self, options: &DownOptions) -> Result<ChangeReport, Error> {
        let (record, _lock) = self.hold(options.task.as_deref()).await?;
        let _shared = self.lock_shared(&record).await?;
        if options.volumes {
            self.consent_to_lost_data(&record).await?;
            // Cut off from here on, the next `up` begins with what a new environment has.
            self.update_record(&record.project, |record| record.data_from = None).await?;
        }
        let removal = RemovalOptions {
            images: false,
            repository: record.repository.id.clone(),
            volumes: options.volumes,
            grace: options.timeout,
            force: false,
        };
        let mut done = self.remove_half_made_volumes(&record).await?;
        let plan = |observed: &ObservedState| plan_removal(observed, &record.project, &removal);
        done.extend(self.until_quiet(&record, "take down", plan).await?);
        if options.volumes {
            done.extend(Box::pin(self.drop_databases(&record)).await?);
        }
        done.extend(Box::pin(self.leave_shared(&record, false)).await?);
        if record.unsettled.is_some() {
            self.update_record(&record.project, |record| record.settle(false)).await?;
        }
        Ok(ChangeReport { task: record.task, project: record.project.to_string(), done })
    }

    /// Asks before named volumes and databases of the environment are removed.
    async fn consent_to_lost_data(&self, record: &EnvironmentRecord) -> Result<(), Error> {
        let observed = self.observe_project(record).await?;
        let own = observed.volumes.iter().filter(|volume| record.owns(&volume.labels));
        let mut losses: Vec<String> =
            own.map(|volume| format!("remove volume `{}` and its data", volume.name)).collect();
        // A branch whose volume is not there keeps its data in what it would be mounted from.
        let uppers = observed.uppers.iter().filter(|upper| record.owns(&upper.labels));
        let branches = uppers.filter_map(|upper| upper.labels.get(label::BRANCH));
        let is_missing = |branch: &&String| observed.volumes.iter().all(|volume| volume.name != **branch);
        losses.extend(
            branches.filter(is_missing).map(|branch| format!("remove volume `{branch}` and its data")),
        );
        losses.extend(self.lost_databases(record, &observed)?);
        if losses.is_empty() || (self.options.confirm)(&losses) {
            Ok(())
        } else {
            Err(Error::Declined { losses })
        }
    }

    /// Stops containers.
    pub async fn stop(
        &self,
        task: Option<&str>,
        services: &[String],
        timeout: Option<u64>,
    ) -> Result<ChangeReport, Error> {
        let (record, _lock) = self.hold(task).await?;
        let observed = self.observe_services(&record, services).await?;
        let plan = plan_stop(&observed, &record.repository.id, services, timeout);
        let mut report = self.carry_out(&record, &plan, "stop").await?;
        if services.is_empty() {
            report.done.extend(Box::pin(self.part_from_shared(&record)).await?);
        }
        Ok(report)
    }

    /// Starts stopped containers, and waits until they are ready.
    pub async fn start(&self, task: Option<&str>, services: &[String]) -> Result<ChangeReport, Error> {
        self.start_by("start", task, services, |record, observed| {
            plan_start(observed, &record.repository.id, services)
        })
        .await
    }

    /// Stops containers and starts them again, and waits until they are ready.
    pub async fn restart(
        &self,
        task: Option<&str>,
        services: &[String],
        timeout: Option<u64>,
    ) -> Result<ChangeReport, Error> {
        self.start_by("restart", task, services, |record, observed| {
            plan_restart(observed, &record.repository.id, services, timeout)
        })
        .await
    }

    /// Carries out a plan that starts containers, and waits until they are ready.
    async fn start_by(
        &self,
        command: &'static str,
        task: Option<&str>,
        services: &[String],
        plan: impl Fn(&EnvironmentRecord, &ObservedState) -> Plan,
    ) -> Result<ChangeReport, Error> {
        let (record, _lock) = self.hold(task).await?;
        let mut done = Vec::new();
        if let Ok(environment) = self.environment(&record, &placeholder()).map(Box::new) {
            done = Box::pin(self.rejoin_shared(&record, &environment)).await?;
        }
        let plan = self.plan_starts(&record, services, plan).await?;
        let mut report = self.carry_out(&record, &plan, command).await?;
        report.done.splice(0..0, done);
        Box::pin(self.wait_started(&record, services, &report)).await?;
        Ok(report)
    }

    /// Returns a plan of which no port is taken; a refusal counts only once no earlier start is under way any more.
    async fn plan_starts(
        &self,
        record: &EnvironmentRecord,
        services: &[String],
        plan: impl Fn(&EnvironmentRecord, &ObservedState) -> Plan,
    ) -> Result<Plan, Error> {
        let began = Instant::now();
        // Of an Engine on another machine, the ports of this one say nothing.
        let is_remote = self.docker.is_remote().await?;
        loop {
            let observed = self.observe_services(record, services).await?;
            refuse_none(record, &observed)?;
            let plan = plan(record, &observed);
            let taken = if is_remote { Vec::new() } else { taken_by_strangers(&plan, &observed) };
            if taken.is_empty() {
                return Ok(plan);
            }
            self.await_own_start(taken, &observed, began).await?;
        }
    }

    /// Returns the record of an environment, once no other command works on it.
    pub(crate) async fn hold(&self, task: Option<&str>) -> Result<(EnvironmentRecord, Lock), Error> {
        let record = self.record(task).await?;
        let lock = self.state.lock_project(&record.project, &self.lock()).await?;
        // The command that held the lock may have changed or removed it.
        match self.record(Some(&record.task)).await {
            Ok(record) => Ok((record, lock)),
            Err(error) => {
                self.release(lock)?;
                Err(error)
            }
        }
    }

    /// Observes an environment of which `services` must exist.
    async fn observe_services(
        &self,
        record: &EnvironmentRecord,
        services: &[String],
    ) -> Result<ObservedState, Error> {
        let observed = self.observe_project(record).await?;
        for service in services {
            for container in self.containers_of(record, &observed, service)? {
                if !record.owns(&container.labels) {
                    return Err(Error::SharedService { service: service.clone() });
                }
            }
        }
        Ok(observed)
    }

    /// Returns the containers of a service by their numbers; without one, the error tells whether the service exists at
    /// all.
    pub(crate) fn containers_of<'a>(
        &self,
        record: &EnvironmentRecord,
        observed: &'a ObservedState,
        service: &str,
    ) -> Result<Vec<&'a ObservedContainer>, Error> {
        let own = || {
            let own = observed.containers.iter().filter(|container| record.owns(&container.labels));
            own.chain(joined(observed, &record.repository.id, &record.project))
        };
        let its = own().filter(|container| container.service() == Some(service) && !container.is_one_off());
        let mut containers: Vec<&ObservedContainer> = its.collect();
        if !containers.is_empty() {
            containers.sort_by_key(|container| container.number());
            return Ok(containers);
        }
        let project = record.project.to_string();
        let defined = self.environment(record, &placeholder()).ok();
        let defined = defined.iter().flat_map(|environment| environment.watched().services.keys());
        let mut known: Vec<String> = defined.map(ToString::to_string).collect();
        if known.iter().any(|known| known == service) {
            return Err(Error::NoContainer { project, service: service.to_owned() });
        }
        known.extend(own().filter_map(|container| container.service().map(str::to_owned)));
        known.sort();
        known.dedup();
        Err(Error::UnknownService { project, service: service.to_owned(), known })
    }

    /// Carries out a plan whose steps wait for nothing outside it.
    pub(crate) async fn carry_out(
        &self,
        record: &EnvironmentRecord,
        plan: &Plan,
        command: &'static str,
    ) -> Result<ChangeReport, Error> {
        let result = apply(&self.docker, plan, &Open, &self.options.events).await;
        let unhooked = unhooked(plan, result.as_ref().err().map(|error| error.done.as_slice()));
        self.note_hooked(record, plan, unhooked).await?;
        if let Err(error) = result {
            let told = Told { record, files: None };
            let failures = error
                .failures
                .into_iter()
                .filter_map(|failure| step_failure(failure, &told, &|never| match never {}));
            let error = Error::PartWay {
                command,
                project: record.project.to_string(),
                failures: failures.collect(),
                done: error.done,
            };
            return Err(self.with_containers(error).await);
        }
        Ok(ChangeReport {
            task: record.task.clone(),
            project: record.project.to_string(),
            done: plan.steps.iter().map(|step| step.operation.to_string()).collect(),
        })
    }

    /// Waits for services that were started; a worktree whose files cannot be read says nothing about readiness.
    async fn wait_started(
        &self,
        record: &EnvironmentRecord,
        services: &[String],
        report: &ChangeReport,
    ) -> Result<(), Error> {
        let Ok(environment) = self.environment(record, &placeholder()) else {
            return Ok(());
        };
        let mut project = environment.watched().clone();
        let observed = self.observe_project(record).await?;
        project.services.retain(|name, _| {
            services.is_empty() || services.iter().any(|service| *name == *service.as_str())
        });
        let shared: Vec<&ObservedContainer> =
            joined(&observed, &record.repository.id, &record.project).collect();
        let is_made = |name: &str| {
            observed.containers.iter().chain(shared.iter().copied()).any(|container| container.name == name)
        };
        let mut readiness = Readiness::new(&self.docker, &project, TIMEOUT, &self.options.events);
        readiness.retain(is_made);
        let faults = readiness.wait_all().await.err().unwrap_or_default();
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::PartWay {
            command: "start",
            project: record.project.to_string(),
            failures: faults.iter().map(Failure::of_service).collect(),
            done: report.done.clone(),
        })
    }
}

/// Refuses to start an environment of which there is nothing to start.
fn refuse_none(record: &EnvironmentRecord, observed: &ObservedState) -> Result<(), Error> {
    let own = |container: &ObservedContainer| record.owns(&container.labels) && !container.is_one_off();
    let shared = joined(observed, &record.repository.id, &record.project).next().is_some();
    if shared || observed.containers.iter().any(own) {
        return Ok(());
    }
    Err(Error::NoContainers { project: record.project.to_string() })
}
