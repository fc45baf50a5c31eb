//! What a container takes from elsewhere: namespaces and volumes of other containers, names for them, and files.

use super::service::{Fate, Fates};
use super::{Draft, ReconcileError};
use crate::name::ServiceName;
use crate::plan::NewFile;
use crate::project::Project;
use crate::service::{Grant, Origin, Service};

/// The mode of a file that says nothing of its own.
const MODE: u32 = 0o444;

/// Returns why a service's container must be made again after those that it uses, if it must.
pub(super) fn fate_of_joined(service: &Service, fates: &Fates<'_>) -> Option<&'static str> {
    let moved = |name: &str| fate(fates, name).is_some_and(Fate::makes_container);
    service.joined_services().any(moved).then_some("a container that it uses is made again")
}

/// Returns whether a namespace that the service uses ends, because its container starts anew.
pub(super) fn namespace_ended(service: &Service, fates: &Fates<'_>) -> bool {
    service
        .joined_namespaces()
        .any(|name| matches!(fate(fates, name), Some(Fate::Start(_) | Fate::Restart(_))))
}

/// Returns what becomes of the container that others use of a service: the first one.
fn fate(fates: &Fates<'_>, name: &str) -> Option<Fate> {
    Some(fates.get(name)?.first()?.fate)
}

/// Returns the names of the containers that use the container of `name`.
pub(super) fn users(draft: &Draft<'_>, name: &ServiceName) -> Vec<String> {
    let services = draft.desired.services.values();
    let users = services.filter(|service| service.joined_services().any(|used| used == name.as_str()));
    users.flat_map(Service::container_names).map(str::to_owned).collect()
}

/// Returns the definition of a service in which containers stand for the services that it names.
pub(crate) fn resolved(project: &Project, service: &Service) -> Service {
    let container = |name: &str| container(project, name);
    let mode = |mode: &Option<String>| {
        mode.as_ref().map(|mode| match mode.strip_prefix("service:") {
            Some(name) => format!("container:{}", container(name)),
            None => mode.clone(),
        })
    };
    let mut resolved = service.clone();
    resolved.network_mode = mode(&service.network_mode);
    resolved.runtime.ipc = mode(&service.runtime.ipc);
    resolved.runtime.pid = mode(&service.runtime.pid);
    resolved.volumes_from = service.volumes_from.iter().map(|from| volumes_from(from, container)).collect();
    resolved.links = links(project, service);
    resolved.external_links.clear();
    resolved
}

/// Returns the container that others use of a service: the first one.
pub(super) fn container(project: &Project, service: &str) -> String {
    let found = project.services.get(service).or_else(|| project.shared.get(service));
    let named = found.and_then(|service| service.container_name.clone());
    named.unwrap_or_else(|| service.to_owned())
}

/// Returns `container[:mode]`.
fn volumes_from(from: &str, container: impl Fn(&str) -> String) -> String {
    if let Some(elsewhere) = from.strip_prefix("container:") {
        return elsewhere.to_owned();
    }
    match from.split_once(':') {
        Some((name, mode)) => format!("{}:{mode}", container(name)),
        None => container(from),
    }
}

/// Returns links as `container:alias`, under all the names that Compose gives one.
///
/// A link to a shared service leads to its container, which is on the environment's networks too.
pub(crate) fn links(project: &Project, service: &Service) -> Vec<String> {
    let mut links = Vec::new();
    for link in &service.links {
        let (name, alias) = link.split_once(':').unwrap_or((link, link));
        let linked = project.services.get(name).or_else(|| project.shared.get(name));
        for (number, target) in linked.into_iter().flat_map(Service::containers) {
            let target = target.container_name.as_deref().unwrap_or(name);
            let numbered = format!("{name}-{number}");
            for alias in [alias, &numbered, &format!("{}-{numbered}", project.name)] {
                links.push(format!("{target}:{alias}"));
            }
        }
    }
    for link in &service.external_links {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        links.push(format!("{target}:{alias}"));
    }
    links
}

/// Returns the files that are put into a new container: configs and secrets that are no files of the host.
pub(super) fn files(service: &Service) -> Vec<NewFile> {
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(0);
    grants(service)
        .filter_map(|grant| match &grant.origin {
            Origin::Text(text) => Some(NewFile {
                path: grant.path.clone(),
                text: text.clone(),
                uid: number(&grant.uid),
                gid: number(&grant.gid),
                mode: grant.mode.unwrap_or(MODE),
            }),
            _ => None,
        })
        .collect()
}

pub(super) fn has_texts(service: &Service) -> bool {
    grants(service).any(|grant| matches!(grant.origin, Origin::Text(_)))
}

fn grants(service: &Service) -> impl Iterator<Item = &Grant> {
    service.configs.iter().chain(&service.secrets)
}

/// Returns an error if a file that the service is given has no content, or cannot be put anywhere.
pub(super) fn check_files(name: &ServiceName, service: &Service) -> Result<(), ReconcileError> {
    let configs = service.configs.iter().map(|grant| ("config", grant));
    for (kind, grant) in configs.chain(service.secrets.iter().map(|grant| ("secret", grant))) {
        let reason = match &grant.origin {
            Origin::Unavailable(reason) => reason.clone(),
            Origin::Text(_) if service.runtime.read_only => {
                "the container is `read_only`, and only a `file` can be brought into it".to_owned()
            }
            _ => continue,
        };
        return Err(ReconcileError::FileUnavailable {
            service: name.clone(),
            kind,
            source_name: grant.source.clone(),
            reason,
        });
    }
    Ok(())
}
