//! Puts together how an environment is, out of its record, the Engine, its files and git.

use std::path::Path;

use envtree_core::branch::base::{Base, short};
use envtree_core::branch::{Ground, upper_of};
use envtree_core::database::Account;
use envtree_core::known_image::{Credentials, KnownImage};
use envtree_core::label;
use envtree_core::observed::{ContainerState, Health, ObservedContainer, ObservedState};
use envtree_core::port::Owner;
use envtree_core::service::{Protocol, Service};

use crate::environment::Environment;
use crate::hooks::HookKey;
use crate::readiness::{is_job, may_end};
use crate::repository::Repository;
use crate::state::record::{EnvironmentRecord, PortReservation};
use crate::status::{
    AppStatus, BranchKind, EnvironmentState, EnvironmentStatus, FailureStatus, GitStatus, HookOutcome,
    HookStatus, PortStatus, ServiceStatus, VolumeBranch, VolumeStatus,
};
use crate::trust::TrustStore;

/// What was looked at.
pub(crate) struct Look<'a> {
    /// The environment as its files define it, if they can be read.
    pub(crate) environment: Option<&'a Environment>,
    /// What the Engine has; absent if it does not answer.
    pub(crate) observed: Option<&'a ObservedState>,
    /// What git says of the worktree.
    pub(crate) git: Option<GitStatus>,
    /// The accepted commands.
    pub(crate) trusted: Option<&'a TrustStore>,
}

/// Returns how the environment of `record` is.
pub(crate) fn environment_status(record: &EnvironmentRecord, look: &Look<'_>) -> EnvironmentStatus {
    let services = services(record, look);
    let apps = record.ports.iter().filter_map(|reservation| match &reservation.owner {
        Owner::App(name) => Some(AppStatus { name: name.clone(), port: reservation.published }),
        Owner::Service(_) => None,
    });
    EnvironmentStatus {
        repository: record.repository.name.clone(),
        common_dir: record.repository.common_dir.clone(),
        task: record.task.clone(),
        id: record.id.to_string(),
        project: record.project.to_string(),
        branch: look.git.as_ref().map_or_else(|| record.branch.clone(), |git| git.branch.clone()),
        worktree: record.worktree.clone(),
        is_main: record.repository.common_dir.parent() == Some(&record.worktree),
        state: state(record, look, &services),
        services,
        apps: apps.collect(),
        volumes: volumes(record, look),
        env_file: record.env_file.clone(),
        hooks: hooks(record, look),
        last_failure: record.last_failure.as_ref().map(|failure| FailureStatus {
            at: failure.at,
            command: failure.what.clone(),
            message: failure.message.clone(),
        }),
        created: record.created,
        git: look.git.clone(),
    }
}

fn state(record: &EnvironmentRecord, look: &Look<'_>, services: &[ServiceStatus]) -> EnvironmentState {
    if !record.worktree.is_dir() {
        return EnvironmentState::Prunable;
    }
    if look.observed.is_none() {
        return EnvironmentState::Unknown;
    }
    let made: Vec<&ServiceStatus> = services.iter().filter(|service| !service.container.is_empty()).collect();
    let is_running =
        |service: &&ServiceStatus| matches!(service.state.as_str(), "running" | "restarting" | "paused");
    let wanted: Vec<&ServiceStatus> = services.iter().filter(|service| service.is_active).collect();
    let is_starting = |service: &ServiceStatus| service.health.as_deref() == Some("starting");
    if made.is_empty() {
        EnvironmentState::Down
    } else if services.iter().any(|service| service.ready) && wanted.iter().all(|service| service.ready) {
        match record.last_failure {
            None => EnvironmentState::Ready,
            Some(_) => EnvironmentState::Degraded,
        }
    } else if !made.iter().any(is_running) {
        EnvironmentState::Stopped
    } else if wanted.iter().all(|service| service.ready || is_starting(service)) {
        EnvironmentState::Starting
    } else {
        EnvironmentState::Degraded
    }
}

fn services(record: &EnvironmentRecord, look: &Look<'_>) -> Vec<ServiceStatus> {
    let containers = look.observed.map(|observed| observed.containers.as_slice()).unwrap_or_default();
    let own = containers.iter().filter(|container| record.owns(&container.labels) && !container.is_one_off());
    let mut services: Vec<ServiceStatus> = own
        .filter_map(|container| {
            service_status((container.service()?, container.number()), Some(container), None, record, look)
        })
        .collect();
    let defined = look.environment.map(|environment| &environment.isolated.project.services);
    for (name, service) in defined.into_iter().flatten() {
        for (number, _) in service.containers() {
            if !services.iter().any(|made| *name == *made.name.as_str() && made.number == number) {
                services.extend(service_status((name, number), None, None, record, look));
            }
        }
    }
    services.extend(shared_services(look));
    services.sort_by(|one, other| (&one.name, one.number).cmp(&(&other.name, other.number)));
    services
}

/// Returns the services that the environment shares; one whose container is on none of its networks is missing here.
fn shared_services(look: &Look<'_>) -> Vec<ServiceStatus> {
    let (Some(environment), Some(observed)) = (look.environment, look.observed) else {
        return Vec::new();
    };
    let Some(shared) = &environment.shared else {
        return Vec::new();
    };
    let project = &environment.isolated.project;
    let networks: Vec<&String> =
        project.networks.values().filter_map(|network| network.name.as_ref()).collect();
    let joined = |service: &Service| {
        let mut containers = observed.containers.iter().chain(&observed.shared);
        containers.find(|container| {
            Some(&container.name) == service.container_name.as_ref()
                && networks.iter().any(|name| container.networks.contains_key(*name))
        })
    };
    let look = &Look { environment: Some(&shared.environment), observed: None, git: None, trusted: None };
    let statuses = project.shared.iter().filter_map(|(name, service)| {
        let account = project.accounts.get(name);
        let status = service_status((name, 1), joined(service), account, &shared.record, look)?;
        Some(ServiceStatus { shared: true, ..status })
    });
    statuses.collect()
}

fn service_status(
    (name, number): (&str, u32),
    container: Option<&ObservedContainer>,
    account: Option<&Account>,
    record: &EnvironmentRecord,
    look: &Look<'_>,
) -> Option<ServiceStatus> {
    let defined = look.environment.and_then(|environment| environment.isolated.project.services.get(name));
    let image =
        container.map(|container| container.image.clone()).or_else(|| Some(defined?.image.clone()))?;
    let held = record.ports.iter().filter(|reservation| {
        reservation.owner == Owner::Service(name.to_owned()) && reservation.replica == number
    });
    let is_a_job = look.environment.is_some_and(|environment| is_job(&environment.isolated.project, name));
    Some(ServiceStatus {
        name: name.to_owned(),
        number,
        container: container.map(|container| container.name.clone()).unwrap_or_default(),
        state: container.map_or("missing", |container| state_word(container.state)).to_owned(),
        health: container.and_then(|container| container.health).map(|health| health_word(health).to_owned()),
        exit_code: container.and_then(ObservedContainer::exit_code),
        ready: container.is_some_and(|container| is_ready(container, defined, is_a_job)),
        shared: false,
        is_active: look.environment.is_none() || defined.is_some(),
        ports: held.map(|reservation| port_status(reservation, &image, defined, account)).collect(),
        image,
    })
}

/// Returns whether a service does what it is for, as far as the Engine tells.
fn is_ready(container: &ObservedContainer, defined: Option<&Service>, is_job: bool) -> bool {
    match container.state {
        ContainerState::Running => matches!(container.health, None | Some(Health::Healthy)),
        // A job is ready when it is done.
        ContainerState::Exited => {
            (is_job || defined.is_some_and(may_end)) && container.exit_code() == Some(0)
        }
        _ => false,
    }
}

fn port_status(
    reservation: &PortReservation,
    image: &str,
    defined: Option<&Service>,
    account: Option<&Account>,
) -> PortStatus {
    let host = match reservation.address {
        address if address.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
        std::net::IpAddr::V4(address) => address.to_string(),
    };
    let is_tcp = reservation.protocol == Protocol::Tcp;
    let known = KnownImage::recognise(image).filter(|known| is_tcp && known.port() == reservation.target);
    let app_protocol = defined
        .and_then(|service| {
            service
                .ports
                .iter()
                .find(|port| port.target == reservation.target && port.protocol == reservation.protocol)
        })
        .and_then(|port| port.app_protocol.as_deref());
    let url = match known {
        Some(known) => {
            let of_server = || Some(known.credentials(&defined?.settings(), &[]));
            let credentials = account.map(Account::credentials).or_else(of_server).unwrap_or_default();
            // A password is nobody's business in a list.
            known.url(&host, reservation.published, &Credentials { password: None, ..credentials })
        }
        None => match (app_protocol, reservation.target) {
            (Some(protocol @ ("http" | "https")), _) => {
                format!("{protocol}://{host}:{}", reservation.published)
            }
            (None, 80 | 3000 | 8000 | 8080) if is_tcp => format!("http://{host}:{}", reservation.published),
            _ => format!("{host}:{}", reservation.published),
        },
    };
    PortStatus {
        target: reservation.target,
        protocol: reservation.protocol.as_str().to_owned(),
        address: reservation.address.to_string(),
        published: reservation.published,
        url,
    }
}

fn state_word(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
    }
}

fn health_word(health: Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn volumes(record: &EnvironmentRecord, look: &Look<'_>) -> Vec<VolumeStatus> {
    let observed = look.observed.map(|observed| observed.volumes.as_slice()).unwrap_or_default();
    let defined = look.environment.map(|environment| &environment.isolated.project.volumes);
    let is_defined = |key: &&String| defined.is_none_or(|volumes| volumes.contains_key(key.as_str()));
    let mut volumes: Vec<VolumeStatus> = observed
        .iter()
        .filter(|volume| record.owns(&volume.labels))
        .map(|volume| VolumeStatus {
            name: volume.name.clone(),
            key: volume
                .labels
                .get(label::COMPOSE_VOLUME)
                .filter(is_defined)
                .or_else(|| volume.labels.get(label::ANONYMOUS))
                .cloned(),
            size: None,
            branch: look.observed.and_then(|observed| branch(&volume.name, observed)),
        })
        .collect();
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    volumes
}

/// Returns what a volume lies on, if it is a branch. Its sizes are not known.
fn branch(volume: &str, observed: &ObservedState) -> Option<VolumeBranch> {
    let upper = upper_of(&observed.uppers, volume)?;
    let key = upper.labels.get(label::BASE)?;
    let mut bases = observed.volumes.iter().filter_map(Base::of_marker);
    let on = bases.find(|base| base.key == *key).map(|base| base.name().to_owned());
    Some(VolumeBranch {
        on: on.unwrap_or_else(|| short(key).to_owned()),
        kind: BranchKind::of(Ground::of_upper(upper)?.copied),
        own: None,
        logical_at_most: None,
    })
}

fn hooks(record: &EnvironmentRecord, look: &Look<'_>) -> Vec<HookStatus> {
    let Some(environment) = look.environment else {
        return Vec::new();
    };
    let settings = &environment.definition.settings;
    let defined = HookKey::ALL.into_iter().filter_map(|key| Some((key, key.of(settings)?)));
    let statuses = defined.map(|(key, hook)| {
        let text = key.text(&record.repository.id, hook);
        let is_trusted = look.trusted.is_some_and(|trusted| trusted.is_trusted(&text));
        let outcome = match record.hooks_done.get(key.as_str()) {
            _ if record.hooks_failed.iter().any(|failed| failed == key.as_str()) => HookOutcome::Failed,
            Some(_) => HookOutcome::Done,
            None if !is_trusted => HookOutcome::SkippedUntrusted,
            None => HookOutcome::Pending,
        };
        HookStatus { hook: key.as_str().to_owned(), outcome }
    });
    statuses.collect()
}

/// Returns what git says of a worktree; nothing if it is gone or broken, or if its files are yet to be written.
pub(crate) fn git_status(repository: &Repository, worktree: &Path) -> Option<GitStatus> {
    if repository.unfinished_checkout(worktree).is_some() {
        return None;
    }
    let branch = repository.branch_in(worktree).ok()?;
    let status = repository.status(worktree).ok()?;
    let (ahead, behind) = status.upstream.and_then(|upstream| upstream.ahead_behind).unwrap_or_default();
    Some(GitStatus {
        branch,
        changed: status.modified + status.staged,
        untracked: status.untracked,
        conflicted: status.conflicted,
        ahead,
        behind,
    })
}

#[cfg(test)]
mod tests;
