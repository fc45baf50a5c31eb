//! Services that run once for all environments of a repository, and what each environment keeps to itself.
//!
//! The shared services make a project of their own, with its own names, ports and volumes. An environment's project
//! holds what is left, and in [`Project::shared`] how the shared containers join its networks.

use indexmap::IndexMap;

use crate::compose_file::node::Diagnostic;
use crate::isolate::is_within;
use crate::label;
use crate::name::{ProjectName, ServiceName};
use crate::nearest::nearest;
use crate::observed::{ObservedContainer, ObservedState};
use crate::project::Project;
use crate::service::{MountSource, Service};
use crate::settings::{Isolation, Sharing};

/// What the project of the shared services is called after the repository; no task has an id with a `_`.
const SUFFIX: &str = "_shared";

/// Returns the name of the project that holds what the environments of a repository share.
pub fn shared_project(repository_name: &str) -> Option<ProjectName> {
    ProjectName::new(format!("{repository_name}{SUFFIX}")).ok()
}

/// Returns whether a project holds what the environments of a repository share.
pub fn is_shared_project(project: &str) -> bool {
    project.ends_with(SUFFIX)
}

/// A project in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// What each environment has for itself.
    pub own: Project,
    /// What the environments share.
    pub common: Project,
    /// What the person should know.
    pub warnings: Vec<String>,
}

/// Parts a project as the settings say; `inactive` are the services that no profile enables.
///
/// A shared service must not depend on what only one environment has: that would change with every `up`, and go with
/// the environment.
pub fn part(
    project: &Project,
    sharing: &IndexMap<String, Sharing>,
    inactive: &[String],
    worktree: &str,
) -> Result<Parts, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut own = project.clone();
    for (name, how) in sharing {
        let complain = |message| Diagnostic { place: how.place.clone(), message };
        match project.services.get(name.as_str()) {
            Some(service) => {
                let judge = Judge { project, sharing, name, worktree };
                faults.extend(judge.faults(service, how.isolation).into_iter().map(complain));
            }
            None if inactive.contains(name) => {}
            None => faults.push(complain(unknown(name, project, inactive))),
        }
        if let Some((key, service)) = own.services.shift_remove_entry(name.as_str()) {
            own.shared.insert(key, service);
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let common = common(project, &own.shared);
    for service in own.shared.values_mut() {
        // The containers are on external networks for themselves.
        service.networks.retain(|key, _| project.networks.get(key).is_none_or(|network| !network.external));
        service.profiles.clear();
    }
    let warnings = twofold_volumes(&own);
    own.volumes.retain(|key, _| own.services.values().any(|service| mounts(service, key)));
    own.networks.retain(|key, _| {
        own.services.values().chain(own.shared.values()).any(|service| service.networks.contains_key(key))
    });
    Ok(Parts { own, common, warnings })
}

/// Returns the shared services as a project of their own.
fn common(project: &Project, shared: &IndexMap<ServiceName, Service>) -> Project {
    let mut common = Project { services: shared.clone(), ..project.clone() };
    let Project { services, networks, volumes, .. } = &mut common;
    for service in services.values_mut() {
        service.depends_on.retain(|on, _| shared.contains_key(on));
    }
    networks.retain(|key, _| services.values().any(|service| service.networks.contains_key(key)));
    volumes.retain(|key, _| services.values().any(|service| mounts(service, key)));
    common
}

fn mounts(service: &Service, volume: &str) -> bool {
    service.mounts.iter().any(
        |mount| matches!(&mount.source, MountSource::Volume { volume: Some(key), .. } if *key == *volume),
    )
}

fn twofold_volumes(own: &Project) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, _) in own.volumes.iter().filter(|(_, volume)| !volume.external) {
        let shared = own.shared.iter().find(|(_, service)| mounts(service, key));
        let user = own.services.iter().find(|(_, service)| mounts(service, key));
        if let (Some((shared, _)), Some((user, _))) = (shared, user) {
            warnings.push(format!(
                "volume `{key}` is mounted by `{shared}`, which is shared, and by `{user}`, which is not: `{user}` gets a volume of the environment's own"
            ));
        }
    }
    warnings
}

fn unknown(name: &str, project: &Project, inactive: &[String]) -> String {
    let known = project.services.keys().map(ServiceName::as_str).chain(inactive.iter().map(String::as_str));
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are `{}`", known.collect::<Vec<_>>().join("`, `")),
    };
    format!("no service is called `{}`; {hint}", name.escape_debug())
}

/// Finds out why a service cannot be shared.
struct Judge<'a> {
    project: &'a Project,
    sharing: &'a IndexMap<String, Sharing>,
    name: &'a str,
    worktree: &'a str,
}

impl Judge<'_> {
    fn faults(&self, service: &Service, isolation: Isolation) -> Vec<String> {
        let mut faults = Vec::new();
        let reasons = [
            self.of_number(service),
            self.of_dependencies(service),
            self.of_namespaces(service),
            self.of_files(service),
        ];
        faults.extend(reasons.into_iter().flatten());
        faults.extend(self.of_users());
        if isolation == Isolation::Database
            && !crate::known_image::KnownImage::of(service)
                .is_some_and(crate::known_image::KnownImage::is_sql)
        {
            faults.push(format!(
                "service `{}` runs `{}`, which envtree does not know as Postgres, MySQL or MariaDB: it cannot give each environment a database of its own",
                self.name, service.image
            ));
        }
        faults
    }

    fn of_number(&self, service: &Service) -> Option<String> {
        let count = service.replicas();
        let message = format!(
            "service `{}` cannot be shared, because it has {count} containers, and one that is shared has one: leave out `scale` and `deploy.replicas`",
            self.name
        );
        (count != 1).then_some(message)
    }

    fn of_dependencies(&self, service: &Service) -> Option<String> {
        let on = service.depends_on.keys().find(|on| {
            self.project.services.contains_key(on.as_str()) && !self.sharing.contains_key(on.as_str())
        })?;
        Some(format!(
            "service `{}` cannot be shared, because it depends on `{on}`, which each environment has for itself; share `{on}` too",
            self.name
        ))
    }

    fn of_namespaces(&self, service: &Service) -> Option<String> {
        if let Some(mode) = &service.network_mode {
            return Some(format!(
                "service `{}` cannot be shared, because with `network_mode: {mode}` it joins no network of an environment",
                self.name
            ));
        }
        let on = service.joined_services().find(|on| !self.sharing.contains_key(*on))?;
        Some(format!(
            "service `{}` cannot be shared, because it uses the container of `{on}`, which each environment has for itself; share `{on}` too",
            self.name
        ))
    }

    fn of_files(&self, service: &Service) -> Option<String> {
        let path = service.host_paths().find(|path| is_within(path, self.worktree))?;
        let inside = path[self.worktree.len()..].trim_start_matches('/');
        Some(format!(
            "service `{}` cannot be shared, because it mounts `./{inside}` of the worktree, which is one environment's and goes with it; use a volume, a config with `content`, or an image that holds the files",
            self.name
        ))
    }

    /// A container cannot use namespaces or volumes of a container that may be made again by another environment.
    fn of_users(&self) -> Option<String> {
        let mut services = self.project.services.iter();
        let (user, _) = services.find(|(name, service)| {
            !self.sharing.contains_key(name.as_str())
                && service.joined_services().any(|used| used == self.name)
        })?;
        Some(format!(
            "service `{}` cannot be shared, because `{user}` uses its container, which another environment may make again at any time",
            self.name
        ))
    }
}

/// Gives the shared services of an isolated project the names and ports that they have in the isolated project of what
/// is shared.
pub fn join(own: &mut Project, common: &Project) {
    for (name, service) in &mut own.shared {
        if let Some(shared) = common.services.get(name) {
            let networks = std::mem::take(&mut service.networks);
            *service = Service { networks, ..shared.clone() };
        }
    }
}

/// Returns the shared containers that are on a network of the environment's project.
pub fn joined<'a>(
    observed: &'a ObservedState,
    repository: &str,
    project: &str,
) -> impl Iterator<Item = &'a ObservedContainer> {
    let is_own = |labels: &IndexMap<String, String>| {
        labels.get(label::REPOSITORY).is_some_and(|id| id == repository)
            && labels.get(label::COMPOSE_PROJECT).is_some_and(|name| name == project)
    };
    let own = observed.networks.iter().filter(move |network| is_own(&network.labels));
    let own: Vec<&str> = own.map(|network| network.name.as_str()).collect();
    observed
        .shared
        .iter()
        .filter(move |container| container.networks.keys().any(|name| own.contains(&name.as_str())))
}

/// Returns the services of the shared project that no environment uses, nor a service that one uses.
///
/// `observed` is what the Engine has of the shared project. A network of another project that a container is on is an
/// environment's.
pub fn unused(observed: &ObservedState, project: &str) -> Vec<String> {
    let of_environment = |name: &String| {
        observed.networks.iter().any(|network| {
            network.name == *name
                && network.labels.get(label::COMPOSE_PROJECT).is_some_and(|other| other != project)
                && network.labels.contains_key(label::REPOSITORY)
        })
    };
    let containers: Vec<&ObservedContainer> = observed
        .containers
        .iter()
        .filter(|container| container.labels.get(label::COMPOSE_PROJECT).is_some_and(|name| name == project))
        .collect();
    let mut used: Vec<&str> = containers
        .iter()
        .filter(|container| container.networks.keys().any(of_environment))
        .filter_map(|container| container.service())
        .collect();
    let mut next = 0;
    while let Some(service) = used.get(next).copied() {
        next += 1;
        let own = containers.iter().filter(|container| container.service() == Some(service));
        for on in own.flat_map(|container| crate::teardown::dependencies(container)) {
            let known =
                containers.iter().filter_map(|container| container.service()).find(|name| *name == on);
            used.extend(known.filter(|name| !used.contains(name)));
        }
    }
    let services = containers.iter().filter_map(|container| container.service());
    services.filter(|name| !used.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
