//! Waits until services are ready: their own health check passes, or they answer on their port.
//!
//! A service with a health check is ready when that passes. Where the Engine would wait a whole interval before the
//! first check, envtree runs the check's command itself; of Postgres and Redis it first asks for an answer, which is
//! quicker and takes no processor time from the start of the server. Any other service is ready when it answers:
//! Postgres and Redis in their protocols, HTTP where the file says `app_protocol: http`, else TCP. It is asked at its
//! first published port, and once it has run for ten seconds, at the others too: the first may be that of a debugger. A
//! service that publishes nothing and runs no known server is ready when it has run for [`STEADY`], or has ended well
//! where nothing starts it again; and so is one whose process only keeps it running, such as `sleep infinity`. Ports on
//! another machine are not asked.

mod fault;
mod idle;
mod probe;
mod unasked;
mod watched;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::{Event, Events};
use crate::ready::Probe;
use crate::ready::backoff::Backoff;
use envtree_core::compose_file::lower::Places;
use envtree_core::known_image::KnownImage;
use envtree_core::name::ServiceName;
use envtree_core::observed::{ContainerState, Health};
use envtree_core::plan::Await;
use envtree_core::project::Project;
use envtree_core::service::{Condition, HealthCheck, HealthTest, RestartPolicy, Service};
use envtree_docker::container::ContainerDetail;
use envtree_docker::engine::Docker;
use envtree_docker::exec::ExecStatus;

pub(crate) use fault::{Fault, NotReady};
use fault::{detail, engine_fault, exit_fault};
use watched::Watched;
pub(crate) use watched::spoken_name;

/// How long a service that nothing can probe must have run.
pub(crate) const STEADY: Duration = Duration::from_millis(300);

/// How long one run of a health check's command may take, if it does not say so itself (the Engine's default).
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a health check is put off while its server does not answer where it is asked.
const PUT_OFF: Duration = Duration::from_secs(1);

/// The longest interval at which the Engine runs a check soon enough by itself while the server does not answer.
const SOON: Duration = Duration::from_secs(5);

/// How many last lines of a failed service are shown.
const LOG_LINES: usize = 10;

/// Watches the services of one environment.
pub(crate) struct Readiness<'a> {
    docker: &'a Docker,
    project: &'a Project,
    timeout: Duration,
    events: &'a Events,
    services: BTreeMap<ServiceName, Vec<Watched<'a>>>,
    began: Instant,
    /// Where the files say what.
    places: Option<&'a Places>,
}

impl<'a> Readiness<'a> {
    /// Watches the services of an isolated project; each may take `timeout` from when it is first waited for.
    pub(crate) fn new(
        docker: &'a Docker,
        project: &'a Project,
        timeout: Duration,
        events: &'a Events,
    ) -> Self {
        let watched = |(name, service): (&ServiceName, &'a Service)| {
            (name.clone(), Watched::of(name, service).collect())
        };
        let services = project.services.iter().map(watched).collect();
        Self { docker, project, timeout, events, services, began: Instant::now(), places: None }
    }

    /// Names places of files in warnings.
    pub(crate) fn with_places(self, places: &'a Places) -> Self {
        Self { places: Some(places), ..self }
    }

    /// Watches only the containers whose names `is_watched` accepts.
    pub(crate) fn retain(&mut self, is_watched: impl Fn(&str) -> bool) {
        for containers in self.services.values_mut() {
            containers.retain(|watched| is_watched(watched.container()));
        }
    }

    /// Waits for a condition of `depends_on`.
    pub(crate) async fn wait(&self, condition: &Await) -> Result<(), NotReady> {
        let Await::Service { service, condition, required } = condition else {
            return Ok(());
        };
        let result = match condition {
            Condition::ServiceStarted => Ok(()),
            Condition::ServiceHealthy => {
                let result = self.wait_for(service, false).await;
                if result.is_ok() {
                    self.warn_if_unasked(service).await;
                }
                result
            }
            Condition::ServiceCompletedSuccessfully => self.wait_for(service, true).await,
        };
        match result {
            Err(fault) if !required => {
                self.events
                    .emit(Event::Warning(format!("{fault}; it is not required, so its dependents start")));
                Ok(())
            }
            result => result,
        }
    }

    /// Waits until every container of every service is ready, all side by side; returns every failure.
    pub(crate) async fn wait_all(&self) -> Result<(), Vec<NotReady>> {
        let waits = self.services.iter().flat_map(|(name, containers)| {
            let ends = is_job(self.project, name);
            containers.iter().map(move |watched| self.wait_container(watched, ends))
        });
        let failures: Vec<NotReady> =
            futures::future::join_all(waits).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Waits until all containers of a service are ready, or have ended well if `ends`.
    pub(crate) async fn wait_for(&self, name: &ServiceName, ends: bool) -> Result<(), NotReady> {
        let containers = self.services.get(name).into_iter().flatten();
        let waits = containers.map(|watched| self.wait_container(watched, ends));
        futures::future::try_join_all(waits).await.map(drop)
    }

    async fn wait_container(&self, watched: &Watched<'_>, ends: bool) -> Result<(), NotReady> {
        if ends {
            return self.wait_completed(watched).await;
        }
        watched.ready.get_or_init(|| self.watch(watched)).await.clone()
    }

    async fn watch(&self, watched: &Watched<'_>) -> Result<(), NotReady> {
        let service = &*watched.definition;
        let started = Instant::now();
        self.events.emit(Event::AwaitingService { service: watched.name.clone() });
        let (mut backoff, mut short_backoff) = (Backoff::new(), Backoff::short());
        let mut checked = started;
        loop {
            let checked_before = checked;
            let fault = match self.look(service, &mut checked).await {
                Ok(Probe::Ready) => {
                    let elapsed = started.elapsed();
                    self.events.emit(Event::ServiceReady { service: watched.name.clone(), elapsed });
                    return Ok(());
                }
                Ok(Probe::NotYet(reason)) if started.elapsed() >= self.timeout => {
                    Fault::TimedOut { timeout: self.timeout, reason }
                }
                Ok(Probe::NotYet(_)) => {
                    // A look is cheap unless it ran a check or had to watch a connection.
                    let is_cheap = answers(service) && checked == checked_before;
                    let pause = if is_cheap { short_backoff.next_delay() } else { backoff.next_delay() };
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Err(fault) => fault,
            };
            return Err(self.not_ready(watched, fault).await);
        }
    }

    /// Looks once at a service; `checked` is when its health check was last run, or the beginning.
    async fn look(&self, service: &Service, checked: &mut Instant) -> Result<Probe, Fault> {
        let container = container_of(service);
        let detail = self.docker.inspect_container(container).await.map_err(|error| engine_fault(&error))?;
        match detail.state {
            ContainerState::Running => {}
            ContainerState::Exited if detail.exit_code == 0 && may_end(service) => return Ok(Probe::Ready),
            ContainerState::Exited | ContainerState::Dead => return Err(exit_fault(&detail)),
            // The Engine goes on trying where the restart policy says so, and so does this.
            ContainerState::Restarting => {
                return Ok(Probe::NotYet(format!("it keeps exiting with status {}", detail.exit_code)));
            }
            other => {
                return Ok(Probe::NotYet(format!("its container is {other:?}").to_lowercase()));
            }
        }
        match (&detail.health_test, detail.health) {
            (Some(HealthTest::Cmd(_) | HealthTest::Shell(_) | HealthTest::Other(_)), health) => {
                match health_so_far(&detail, health)? {
                    Some(probe) => Ok(probe),
                    None => self.check_health(service, &detail, checked).await,
                }
            }
            (Some(HealthTest::None), _) => Ok(steady(&detail)),
            (None, _) => Ok(self.probe(service, &detail).await),
        }
    }

    /// Runs a health check that the Engine has not run yet, or leaves it to the Engine where that begins soon.
    async fn check_health(
        &self,
        service: &Service,
        detail: &ContainerDetail,
        checked: &mut Instant,
    ) -> Result<Probe, Fault> {
        let check = service.health_check.as_ref();
        let has_start_interval = check.is_some_and(|check| check.start_interval.is_some());
        if has_start_interval {
            let facts = self.docker.facts().await.map_err(|error| engine_fault(&error))?;
            if facts.api.has_start_interval() {
                return Ok(Probe::NotYet("its health check has not passed yet".into()));
            }
        }
        let Some(command) = &detail.health_command else {
            return Ok(Probe::Ready);
        };
        // What the host cannot reach may be ready all the same, so the check is not put off for ever.
        if answers(service)
            && checked.elapsed() < put_off(check)
            && let not_yet @ Probe::NotYet(_) = self.probe(service, detail).await
        {
            return Ok(not_yet);
        }
        *checked = Instant::now();
        let timeout = check.and_then(|check| check.timeout).unwrap_or(CHECK_TIMEOUT);
        // A check that cannot be run now may run later: the container can be between two states.
        let checked = self.docker.exec_status(container_of(service), command, timeout).await;
        Ok(match checked {
            Ok(ExecStatus { code: 0, .. }) => Probe::Ready,
            Ok(ExecStatus { code, output }) => Probe::NotYet(format!(
                "its health check exited with status {code}{}",
                self::detail(Some(output.trim()))
            )),
            Err(error) => Probe::NotYet(format!("its health check could not be run: {error}")),
        })
    }

    async fn wait_completed(&self, watched: &Watched<'_>) -> Result<(), NotReady> {
        let container = watched.container();
        let code = match self.docker.wait_container(container).await {
            Ok(0) => return Ok(()),
            Ok(code) => code,
            Err(error) => return Err(self.not_ready(watched, engine_fault(&error)).await),
        };
        let fault = match self.docker.inspect_container(container).await {
            Ok(detail) => exit_fault(&detail),
            Err(_) => Fault::Exited { code, out_of_memory: false, engine: None },
        };
        Err(self.not_ready(watched, fault).await)
    }

    async fn not_ready(&self, watched: &Watched<'_>, fault: Fault) -> NotReady {
        let log = self.docker.last_lines(watched.container(), LOG_LINES).await.unwrap_or_default();
        let silent = match fault {
            Fault::TimedOut { .. } => self.silent_port(&watched.definition).await,
            _ => None,
        };
        NotReady { service: watched.name.clone(), fault, log, silent }
    }
}

/// Returns what the Engine's own health checks came to, if they came to anything.
fn health_so_far(detail: &ContainerDetail, health: Option<Health>) -> Result<Option<Probe>, Fault> {
    match health {
        Some(Health::Healthy) => Ok(Some(Probe::Ready)),
        Some(Health::Unhealthy) => Err(Fault::Unhealthy { output: detail.last_health_output.clone() }),
        _ => Ok(None),
    }
}

/// Returns how long a check, which costs a process in the container, is put off while its server does not answer.
fn put_off(check: Option<&HealthCheck>) -> Duration {
    let is_soon = check.and_then(|check| check.interval).is_some_and(|interval| interval <= SOON);
    if is_soon { Duration::MAX } else { PUT_OFF }
}

/// Returns whether a service's own protocol tells whether it is ready.
fn answers(service: &Service) -> bool {
    matches!(KnownImage::run_by(service), Some(KnownImage::Postgres | KnownImage::Redis))
}

fn container_of(service: &Service) -> &str {
    service.container_name.as_deref().unwrap_or_default()
}

/// Returns whether another service waits until this one is done, as for a migration: whatever its image, it may end.
pub(crate) fn is_job(project: &Project, name: &str) -> bool {
    let dependencies = project.services.values().flat_map(|service| &service.depends_on);
    let mut own = dependencies.filter(|(on, _)| **on == *name);
    own.any(|(_, how)| how.condition == Condition::ServiceCompletedSuccessfully)
}

/// Returns whether a service may have done its work by ending: it serves nothing, and nothing restarts it.
pub(crate) fn may_end(service: &Service) -> bool {
    service.ports.is_empty()
        && KnownImage::run_by(service).is_none()
        && matches!(service.restart, RestartPolicy::No | RestartPolicy::OnFailure(_))
}

/// Returns whether a container that nothing can probe has run long enough.
fn steady(detail: &ContainerDetail) -> Probe {
    // A clock of the Engine that runs ahead of this one must not keep a service waiting.
    if age(detail).unwrap_or(STEADY) >= STEADY {
        Probe::Ready
    } else {
        Probe::NotYet(match detail.restart_count {
            0 => "it has only just started".into(),
            1 => "it exited once, and the Engine has only just started it again".into(),
            count => format!("it keeps exiting, and the Engine has started it again {count} times"),
        })
    }
}

fn age(detail: &ContainerDetail) -> Option<Duration> {
    let started: jiff::Timestamp = detail.started_at.as_deref()?.parse().ok()?;
    Duration::try_from(jiff::Timestamp::now().duration_since(started)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_may_end_whatever_its_image_and_a_server_may_not() {
        let service = |command: &str| Service {
            image: "postgres:17".into(),
            command: Some(vec![command.into()]),
            ..Service::default()
        };
        assert!(may_end(&service("psql")) && !answers(&service("psql")));
        assert!(!may_end(&service("postgres")) && answers(&service("postgres")));
        assert!(!may_end(&Service { restart: RestartPolicy::Always, ..service("psql") }));
    }

    #[test]
    fn a_check_that_the_engine_runs_soon_is_left_to_it() {
        let every =
            |seconds| HealthCheck { interval: Some(Duration::from_secs(seconds)), ..HealthCheck::default() };
        assert_eq!(put_off(Some(&every(1))), Duration::MAX);
        assert_eq!(put_off(Some(&every(30))), PUT_OFF);
        assert_eq!(put_off(Some(&HealthCheck::default())), PUT_OFF);
        assert_eq!(put_off(None), PUT_OFF);
    }
}
