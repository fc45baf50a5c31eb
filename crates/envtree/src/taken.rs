//! Names who holds a host port that an environment needs: before a start, and after one that the Engine refused.

use std::path::Path;
use std::time::{Duration, Instant};

use envtree_core::observed::{ContainerState, ObservedContainer, ObservedState};
use envtree_core::plan::{Operation, Plan};
use envtree_core::port::Owner;
use envtree_core::service::Protocol;
use envtree_docker::Docker;

use crate::error::{Error, Failure, TakenPort};
use crate::port_probe;
use crate::rebuild::ports_of;
use crate::session::Session;
use crate::state::record::{EnvironmentRecord, PortReservation};

/// How long a container that the Engine is starting may take to run.
pub(crate) const SETTLING: Duration = Duration::from_secs(3);
/// How long it may take where the Engine's own process holds its ports already.
const STARTING: Duration = Duration::from_secs(10);
/// The process by which Docker publishes a port.
const DOCKERS_OWN: &str = "docker-proxy";

/// Returns a reservation whose port somebody else has, with the process that holds it.
pub(crate) fn describe(reservation: &PortReservation) -> TakenPort {
    let (Owner::Service(service) | Owner::App(service)) = &reservation.owner;
    taken(reservation.published, reservation.protocol, service)
}

/// Returns the port of an app if a program holds it that does not work in the worktree.
pub(crate) fn strangers_port(reservation: &PortReservation, worktree: &Path) -> Option<TakenPort> {
    if port_probe::is_free(reservation.published, reservation.protocol) {
        return None;
    }
    let taken = describe(reservation);
    taken.holder.as_ref().is_some_and(|holder| !holder.works_in(worktree)).then_some(taken)
}

/// Returns a warning for every port of an app that a program elsewhere holds.
pub(crate) fn warnings_of_apps(record: &EnvironmentRecord) -> Vec<String> {
    let apps = record.ports.iter().filter(|reservation| matches!(reservation.owner, Owner::App(_)));
    let taken = apps.filter_map(|reservation| strangers_port(reservation, &record.worktree));
    let warning = |taken: TakenPort| {
        let holder = taken.held_by().unwrap_or_else(|| "another process".to_owned());
        format!(
            "port {}, reserved for app `{}`, is taken by {holder}; `envtree up --reassign-ports` picks another",
            taken.port, taken.service
        )
    };
    taken.map(warning).collect()
}

fn taken(port: u16, protocol: Protocol, service: &str) -> TakenPort {
    let holder = port_probe::holder(port, protocol);
    let user = if holder.is_none() { port_probe::user(port, protocol) } else { None };
    let (service, suspects) = (service.to_owned(), Vec::new());
    TakenPort { port, protocol, service, holder, container: None, user, suspects }
}

/// Returns the port that the Engine could not publish for `container`; `port` is the number it gave, if it gave one.
pub(crate) fn refused_port(
    record: &EnvironmentRecord,
    container: &str,
    port: Option<u16>,
) -> Option<TakenPort> {
    let (service, number) = container.strip_prefix(&format!("{}-", record.project))?.rsplit_once('-')?;
    let number: u32 = number.parse().ok()?;
    let is_its = |reservation: &&PortReservation| {
        reservation.owner == Owner::Service(service.to_owned()) && reservation.replica == number
    };
    let mut own = record.ports.iter().filter(is_its);
    let Some(port) = port else {
        return own.find(|held| !port_probe::is_free(held.published, held.protocol)).map(describe);
    };
    // A container made before its ports moved publishes one that is reserved no more.
    let found = own.find(|held| held.published == port).map(describe);
    Some(found.unwrap_or_else(|| taken(port, Protocol::Tcp, service)))
}

/// Returns the ports of containers that `plan` starts and that somebody else listens on.
pub(crate) fn taken_by_strangers(plan: &Plan, observed: &ObservedState) -> Vec<TakenPort> {
    let is_started = |container: &&ObservedContainer| {
        !container.is_active()
            && plan.steps.iter().any(|step| {
                matches!(&step.operation, Operation::StartContainer { container: name, .. } if *name == container.name)
            })
    };
    let started = observed.containers.iter().filter(is_started);
    // A container publishes what it was made with, whatever is reserved by now.
    let ports = started.flat_map(|container| ports_of(&container.labels));
    ports
        .filter(|port| !port_probe::is_free(port.published, port.protocol))
        .map(|port| describe(&port))
        .collect()
}

/// Returns for how long ports that are taken may be held by a container of `observed` that the Engine is just starting.
///
/// It holds its ports before it runs, and until then the Engine tells of it what it told before: made, or stopped. What
/// the list shows to publish the port is no such container, unless it has come to run since.
fn patience(observed: &ObservedState, taken: &[TakenPort]) -> Duration {
    let is_own = |name: &String| observed.containers.iter().any(|container| container.name == *name);
    let is_still = |container: &ObservedContainer| {
        matches!(container.state, ContainerState::Created | ContainerState::Exited)
    };
    let is_foreign = |port: &TakenPort| port.container.as_ref().is_some_and(|name| !is_own(name));
    if taken.iter().any(is_foreign) || !observed.containers.iter().any(is_still) {
        return Duration::ZERO;
    }
    let is_engines = |port: &TakenPort| port.holder.as_ref().is_some_and(|holder| holder.name == DOCKERS_OWN);
    if taken.iter().all(is_engines) { STARTING } else { SETTLING }
}

impl Session {
    /// Adds the containers behind the processes: one that publishes a port leaves it to the Engine's own process.
    ///
    /// Of an Engine on another machine, the processes of this one say nothing.
    pub(crate) async fn with_containers(&self, error: Error) -> Error {
        match error {
            Error::PortsTaken(mut taken) => {
                for port in &mut taken {
                    self.name_container(port).await;
                }
                Error::PortsTaken(taken)
            }
            Error::PartWay { command, project, mut failures, done } => {
                for Failure { taken, .. } in &mut failures {
                    if let Some(port) = taken {
                        self.name_container(port).await;
                    }
                }
                Error::PartWay { command, project, failures, done }
            }
            other => other,
        }
    }

    /// Waits a moment where what an interrupted command asked for may hold the ports; `began` is when they were first looked at.
    ///
    /// # Errors
    ///
    /// [`Error::PortsTaken`] where they are somebody else's, or that was long enough ago.
    pub(crate) async fn await_own_start(
        &self,
        mut taken: Vec<TakenPort>,
        observed: &ObservedState,
        began: Instant,
    ) -> Result<(), Error> {
        for port in &mut taken {
            self.name_container(port).await;
        }
        if began.elapsed() >= patience(observed, &taken) {
            return Err(Error::PortsTaken(taken));
        }
        tokio::time::sleep(SETTLING / 10).await;
        Ok(())
    }

    async fn name_container(&self, taken: &mut TakenPort) {
        name_container(&self.docker, taken).await;
    }
}

/// Names the container behind a port. An Engine that cannot be asked leaves the process alone to be named.
pub(crate) async fn name_container(docker: &Docker, taken: &mut TakenPort) {
    if docker.is_remote().await.unwrap_or(false) {
        (taken.holder, taken.user) = (None, None);
    }
    taken.container = docker.container_publishing(taken.port, taken.protocol).await.ok().flatten();
    let inside = taken.holder.as_ref().and_then(|holder| holder.container.as_ref());
    if let (None, Some(id)) = (&taken.container, inside) {
        taken.container = docker.inspect_container(id).await.ok().map(|detail| detail.name);
    }
    if taken.user.is_some() && taken.container.is_none() {
        taken.suspects = docker.containers_on_host_network().await.unwrap_or_default();
    }
}
