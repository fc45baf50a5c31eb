//! What `up` refuses before it makes anything, once the Engine has said what it is.

use std::path::Path;

use envtree_core::compose_file::node::Diagnostic;
use envtree_core::host_path::{HostPath, is_of_every_machine, refuse_missing_paths, warnings_of_made_paths};
use envtree_core::isolate::is_within;
use envtree_core::observed::ContainerState;
use envtree_core::project::Project;
use envtree_core::service::Service;
use envtree_core::unstartable::unstartable;
use envtree_docker::DockerError;
use envtree_docker::container::demands;
use envtree_docker::version::EngineFacts;

use crate::converge::place_of_wish;
use crate::environment::{Definition, Environment};
use crate::error::Error;
use crate::hooks::HookKey;
use crate::load::{Files, LoadError, Wanted, advice_on_file, beside_main, env_file};
use crate::session::Session;

impl Session {
    /// Refuses to use namespaces and volumes of containers that the Engine does not have.
    pub(super) async fn refuse_unjoinable(&self, environment: &Environment) -> Result<(), Error> {
        if let Some(shared) = &environment.shared {
            let environment = &shared.environment;
            self.refuse_unjoinable_of(&environment.isolated.project, &environment.definition.wanted).await?;
        }
        self.refuse_unjoinable_of(&environment.isolated.project, &environment.definition.wanted).await
    }

    /// Refuses to use what the Engine does not have, as `project`, which is isolated from `wanted`, does.
    ///
    /// A service whose containers all run goes on without.
    pub(crate) async fn refuse_unjoinable_of(&self, project: &Project, wanted: &Wanted) -> Result<(), Error> {
        let mut refused = Vec::new();
        let own: Vec<&str> = project.services.values().flat_map(Service::container_names).collect();
        for (name, service) in &project.services {
            for (key, container) in service.joined_containers() {
                let Some(place) = wanted.places.key(name, key) else { continue };
                if own.contains(&container)
                    || self.state_of(container).await?.is_some()
                    || self.runs(service).await?
                {
                    continue;
                }
                let message =
                    format!("service `{name}`: {}", no_such_container(key, container, &wanted.project));
                refused.push(Diagnostic { place: place.clone(), message });
            }
        }
        Ok(LoadError::unless_empty(refused)?)
    }

    async fn runs(&self, service: &Service) -> Result<bool, Error> {
        for container in service.container_names() {
            if self.state_of(container).await? != Some(ContainerState::Running) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn state_of(&self, container: &str) -> Result<Option<ContainerState>, Error> {
        match self.docker.inspect_container(container).await {
            Ok(detail) => Ok(Some(detail.state)),
            Err(DockerError::ContainerMissing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns what is wrong with `key`, which names a container that does not exist, and how a service is named there.
fn no_such_container(key: &str, container: &str, project: &Project) -> String {
    let prefix = if key == "volumes_from" { "" } else { "service:" };
    let is_meant = |service: &Service| service.container_name.as_deref() == Some(container);
    let advice = match project.services.iter().find(|(_, service)| is_meant(service)) {
        Some((name, _)) => format!(
            "that of service `{name}` has a name of its own in each environment, so write `{prefix}{name}`"
        ),
        None => format!("make it first, or name a service of the file as `{prefix}NAME`"),
    };
    format!("`{key}`: the Engine has no container `{container}`; {advice}")
}

/// Refuses what the Engine is too old for, and mounts of paths that are not there and that nothing will bring; returns
/// warnings of the empty folders that the Engine makes outside the worktree.
pub(super) fn refuse_unmakeable(
    environment: &Environment,
    files: &Files,
    facts: &EngineFacts,
) -> Result<Vec<String>, Error> {
    let shared = environment.shared.iter().map(|shared| &shared.environment);
    for environment in std::iter::once(environment).chain(shared) {
        refuse_too_old(environment, facts)?;
        refuse_unstartable(&environment.isolated.project, &environment.definition.wanted, facts)?;
    }
    let definition = &environment.definition;
    let is_made_later = has_seed(definition) || HookKey::PostCreate.of(&definition.settings).is_some();
    let is_certain = |path: &HostPath| {
        if is_inside(definition, path) {
            !is_made_later && !is_written(definition, &path.path)
        } else {
            // An Engine elsewhere, or in a machine of its own, has other folders.
            facts.is_local && !is_of_every_machine(&path.path) && !path.is_made
                || !is_made_later && beside_main(files, Path::new(&path.path)).is_some()
        }
    };
    refuse_missing(definition, files, is_certain)?;
    if !facts.is_local || is_made_later {
        return Ok(Vec::new());
    }
    // What lies in the worktree shows in it.
    let is_there = |path: &str| is_within(path, &definition.top) || Path::new(path).exists();
    Ok(warnings_of_made_paths(&definition.wanted.binds, is_there))
}

/// Refuses mounts of paths of the worktree, and of those beside the main worktree alone, that are not there, now that it
/// is checked out and its hook has run.
///
/// A seed, which runs later, may still make them.
pub(crate) fn refuse_missing_in_worktree(definition: &Definition, files: &Files) -> Result<(), Error> {
    if has_seed(definition) {
        return Ok(());
    }
    let is_beside_main = |path: &HostPath| beside_main(files, Path::new(&path.path)).is_some();
    refuse_missing(definition, files, |path| is_inside(definition, path) || is_beside_main(path))
}

fn refuse_missing(
    definition: &Definition,
    files: &Files,
    is_certain: impl Fn(&HostPath) -> bool,
) -> Result<(), Error> {
    let paths = definition.wanted.binds.iter().filter(|path| is_certain(path)).cloned();
    // Nobody wants an empty folder in place of the one beside the main worktree.
    let is_made = |path: &HostPath| path.is_made && beside_main(files, Path::new(&path.path)).is_none();
    let paths: Vec<HostPath> = paths.map(|path| HostPath { is_made: is_made(&path), ..path }).collect();
    let advice = |path: &str| advice_on_file(files, Path::new(path));
    let refused = refuse_missing_paths(&paths, |path| files.may_have(Path::new(path)), advice);
    Ok(LoadError::unless_empty(refused)?)
}

fn has_seed(definition: &Definition) -> bool {
    definition.settings.data.seed.is_some()
}

fn is_inside(definition: &Definition, path: &HostPath) -> bool {
    is_within(&path.path, &definition.top)
}

/// Returns whether `up` itself writes the file.
fn is_written(definition: &Definition, path: &str) -> bool {
    env_file(&definition.settings, Path::new(&definition.top)).is_some_and(|file| file == Path::new(path))
}

/// Refuses what the Engine would refuse when it makes or starts the containers of `project`, isolated from `wanted`.
pub(crate) fn refuse_unstartable(
    project: &Project,
    wanted: &Wanted,
    facts: &EngineFacts,
) -> Result<(), Error> {
    let places = &wanted.places;
    let faults = unstartable(project, &facts.os, facts.is_podman());
    let refused = faults.iter().filter_map(|fault| {
        let place = match &fault.target {
            Some(target) => places.mount(&fault.service, target),
            None => places.key(&fault.service, fault.key),
        };
        Some(Diagnostic { place: place?.clone(), message: fault.to_string() })
    });
    Ok(LoadError::unless_empty(refused.collect())?)
}

fn refuse_too_old(environment: &Environment, facts: &EngineFacts) -> Result<(), Error> {
    let places = &environment.definition.wanted.places;
    let demands = demands(&environment.isolated.project, facts.api);
    let refused: Vec<Diagnostic> = demands
        .iter()
        .filter_map(|demand| {
            let (kind, place) = place_of_wish(places, demand)?;
            Some(Diagnostic { place: place.clone(), message: format!("{kind} {demand}") })
        })
        .collect();
    match demands.into_iter().next() {
        None => Ok(()),
        Some(demand) if refused.is_empty() => Err(DockerError::from(demand).into()),
        Some(_) => Err(LoadError::Invalid(refused).into()),
    }
}

#[cfg(test)]
mod tests {
    use envtree_core::name::{ProjectName, ServiceName};

    use super::*;

    #[test]
    fn who_names_a_container_that_does_not_exist_learns_how_to_name_a_service() {
        let mut project = Project::new(ProjectName::new("shop").unwrap());
        let database = Service { container_name: Some("pg".into()), ..Service::default() };
        project.services.insert(ServiceName::new("db").unwrap(), database);
        let said = [("network_mode", "nope"), ("network_mode", "pg"), ("volumes_from", "pg")]
            .map(|(key, container)| no_such_container(key, container, &project));
        insta::assert_snapshot!(said.join("\n"), @"
        `network_mode`: the Engine has no container `nope`; make it first, or name a service of the file as `service:NAME`
        `network_mode`: the Engine has no container `pg`; that of service `db` has a name of its own in each environment, so write `service:db`
        `volumes_from`: the Engine has no container `pg`; that of service `db` has a name of its own in each environment, so write `db`
        ");
    }
}
