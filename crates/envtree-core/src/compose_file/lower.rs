//! Makes a [`Project`] of a merged tree whose variables are filled in.
//!
//! Every error of the file is found in one go. A key of the Compose specification that envtree does not support is an
//! error where leaving it out would change what runs, and a warning where it would not.

use indexmap::IndexMap;

use super::node::{Diagnostic, Node, Place, Value};
use crate::host_path::HostPath;
use crate::name::{NameError, NetworkName, ProjectName, ServiceName, VolumeName};
use crate::project::{FileObject, Network, Project, Volume};
use crate::service::{MountSource, Service};
use grant::{Kind, lower_objects};
use reports::Reports;
use section::Section;
use unknown::Keys;

mod build;
mod depends_on;
mod deploy;
mod device;
mod environment;
mod grant;
mod health_check;
mod hook;
mod limits;
mod meant;
mod mount;
mod network;
pub(in crate::compose_file) mod path;
mod places;
mod port;
mod quantity;
mod reports;
mod runtime;
mod section;
mod service;
mod shown;
mod unknown;
mod volume;
mod words;

pub use places::Places;
pub use port::parse_short as parse_port;
pub(crate) use quantity::parse_duration;

/// Variables in the order of their file; one without a value takes the caller's.
pub type Variables = Vec<(String, Option<String>)>;

/// An environment file that a service names.
#[derive(Debug)]
pub struct EnvFileRequest<'a> {
    /// Its absolute path.
    pub path: &'a str,
    /// Whether its values stand for themselves, without quotes and variables.
    pub is_raw: bool,
    /// What the files before it say, which comes before everything else.
    pub known: &'a IndexMap<String, String>,
}

/// Reads an environment file: nothing if there is no such file, a message if it cannot be read.
pub type ReadEnvFile<'a> = dyn Fn(&EnvFileRequest<'_>) -> Result<Option<Variables>, String> + 'a;

/// What lowering needs beside the tree.
pub struct LowerOptions<'a> {
    /// The project's name, whatever the file says.
    pub name: ProjectName,
    /// The absolute project directory, against which relative paths are resolved.
    pub working_dir: &'a str,
    /// The person's home directory, for `~/…`.
    pub home: Option<&'a str>,
    /// The active profiles; `*` stands for every one.
    pub profiles: &'a [String],
    /// A service that is wanted in any case: its profiles are active for it, and for what it depends on.
    pub wanted: Option<&'a str>,
    /// Looks up a variable that the file names without a value.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Reads an environment file.
    pub read_env_file: &'a ReadEnvFile<'a>,
    /// Returns the text of the file at an absolute path; nothing if there is no such file.
    pub read_text: &'a dyn Fn(&str) -> Result<Option<String>, String>,
    /// Returns what messages are to say in the end of a file that is not there; empty if there is nothing to say.
    pub missing: &'a dyn Fn(&str) -> String,
}

/// A project, and what was left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The project: the active services, and the networks and volumes that they use.
    pub project: Project,
    /// The services that no active profile enables.
    pub inactive: Vec<String>,
    /// What was left out.
    pub warnings: Vec<Diagnostic>,
    /// What no Engine can run, so that the project can be shown, but not brought up.
    pub refused: Vec<Diagnostic>,
    /// The paths of the host that the active services mount and volumes stand for.
    pub binds: Vec<HostPath>,
}

const KEYS: Keys = Keys {
    read: &["version", "name", "services", "networks", "volumes", "secrets", "configs"],
    // Unless a service asks for a model, which is refused.
    ignored: &["models"],
    refused: &[("include", "the files were not brought together")],
};

/// What services refer to.
struct Scope<'a> {
    options: &'a LowerOptions<'a>,
    /// Every service and its profiles.
    services: IndexMap<&'a str, Vec<String>>,
    /// The services that are active for the sake of the wanted one.
    wanted: Vec<&'a str>,
    networks: Vec<&'a str>,
    volumes: Vec<&'a str>,
    configs: IndexMap<String, FileObject>,
    secrets: IndexMap<String, FileObject>,
}

impl Scope<'_> {
    fn objects(&self, kind: Kind) -> &IndexMap<String, FileObject> {
        match kind {
            Kind::Config => &self.configs,
            Kind::Secret => &self.secrets,
        }
    }

    fn is_active(&self, name: &str) -> bool {
        let profiles = &self.services[name];
        self.wanted.contains(&name) || is_enabled(profiles, self.options.profiles)
    }
}

fn is_enabled(profiles: &[String], active: &[String]) -> bool {
    let is_asked_for = |name: &String| name == "*" || profiles.contains(name);
    // An empty name, such as `${A:-}` leaves, stands for no profile at all.
    let is_unnamed = active.is_empty() && profiles.iter().any(String::is_empty);
    profiles.is_empty() || is_unnamed || active.iter().any(is_asked_for)
}

/// Returns the wanted service, and those that it depends on as far as its own profiles enable them.
fn wanted<'a>(
    declared: &[(&'a str, &'a Node)],
    services: &IndexMap<&'a str, Vec<String>>,
    wanted: Option<&str>,
) -> Vec<&'a str> {
    let Some((name, profiles)) = wanted.and_then(|name| services.get_key_value(name)) else {
        return Vec::new();
    };
    let mut found = vec![*name];
    let mut next = 0;
    while let Some(name) = found.get(next).copied() {
        next += 1;
        let node = declared.iter().find(|(other, _)| *other == name).map(|(_, node)| *node);
        for needed in node.map(depends_on::needed).unwrap_or_default() {
            if let Some((needed, own)) = services.get_key_value(needed.as_str())
                && is_enabled(own, profiles)
                && !found.contains(needed)
            {
                found.push(*needed);
            }
        }
    }
    found
}

/// Returns the project that the tree describes, or every error that it has.
pub fn lower(node: &Node, options: &LowerOptions<'_>) -> Result<Lowered, Vec<Diagnostic>> {
    if let Some(error) = unknown::version_1(node, &KEYS) {
        return Err(vec![error]);
    }
    let reports = Reports::default();
    let lowered =
        Section::new(node, String::new(), &KEYS, &reports).map(|root| lower_root(&root, options, &reports));
    let binds = reports.binds.take();
    let (mut errors, refused) = (reports.errors.take(), reports.refused.take());
    match lowered {
        Some((project, inactive)) if errors.is_empty() => {
            let (warnings, refused) = (in_order(reports.warnings.take()), in_order(refused));
            Ok(Lowered { project, inactive, warnings, refused, binds })
        }
        _ => {
            errors.extend(refused);
            Err(in_order(errors))
        }
    }
}

/// Returns complaints in the order of the files' lines.
fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|a, b| {
        let (a, b) = (&a.place, &b.place);
        (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column))
    });
    diagnostics
}

fn lower_root(root: &Section<'_>, options: &LowerOptions<'_>, reports: &Reports) -> (Project, Vec<String>) {
    let declared = declared(root, "services");
    match root.node("services") {
        Some(node) if !matches!(node.value, Value::Map(_)) => {}
        node if declared.is_empty() => {
            let place = node.map_or(root.place, |node| &node.place);
            root.warn(place, "`services` is empty");
        }
        _ => {}
    }
    let services = declared.iter().map(|(name, node)| (*name, profiles(node))).collect();
    let scope = Scope {
        options,
        wanted: wanted(&declared, &services, options.wanted),
        services,
        networks: names(root, "networks"),
        volumes: names(root, "volumes"),
        configs: lower_objects(Kind::Config, self::declared(root, "configs"), options, reports),
        secrets: lower_objects(Kind::Secret, self::declared(root, "secrets"), options, reports),
    };
    let services = lower_services(&declared, &scope, reports);
    let (networks, volumes) = (lower_networks(root, reports), lower_volumes(root, options, reports));
    let networks = used_networks(networks, &services);
    refuse_nameless(&networks, root, reports);
    let project = Project {
        name: options.name.clone(),
        networks,
        volumes: used_volumes(volumes, &services),
        configs: used_objects(&scope.configs, &services, Kind::Config),
        secrets: used_objects(&scope.secrets, &services, Kind::Secret),
        services,
        shared: IndexMap::new(),
        accounts: IndexMap::new(),
        bases: IndexMap::new(),
    };
    if let Some(entry) = root.node("name") {
        root.warn(
            &entry.place,
            "`name` is not used: the project of an environment is called after repository and task",
        );
    }
    let inactive = scope.services.keys().filter(|name| !scope.is_active(name));
    let inactive = inactive.map(|name| (*name).to_owned()).collect();
    (project, inactive)
}

/// Returns the profiles of a service; what is wrong with them is reported when the service is read.
fn profiles(service: &Node) -> Vec<String> {
    match service.entry("profiles").map(|entry| &entry.node.value) {
        Some(Value::List(items)) => items.iter().filter_map(section::scalar).collect(),
        _ => Vec::new(),
    }
}

/// Returns the entries of a mapping of names.
fn declared<'a>(root: &Section<'a>, key: &str) -> Vec<(&'a str, &'a Node)> {
    match root.node(key).map(|node| (&node.value, node)) {
        None => Vec::new(),
        Some((Value::Map(entries), _)) => {
            let entries = entries.iter();
            entries.map(|(name, entry)| (name.as_str(), &entry.node)).collect()
        }
        Some((_, node)) => {
            root.unfit(key, node, "a mapping");
            Vec::new()
        }
    }
}

/// Returns the keys of a mapping of names; what is wrong with it is reported when its entries are read.
fn names<'a>(root: &Section<'a>, key: &str) -> Vec<&'a str> {
    match root.node(key).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn lower_services(
    declared: &[(&str, &Node)],
    scope: &Scope<'_>,
    reports: &Reports,
) -> IndexMap<ServiceName, Service> {
    let (mut services, mut places) = (IndexMap::new(), IndexMap::new());
    for (name, node) in declared {
        if !scope.is_active(name) {
            continue;
        }
        let Some(key) = checked(ServiceName::new(*name), &node.place, reports) else {
            continue;
        };
        if let Some(service) = service::lower_service(name, node, scope, reports) {
            let dependencies = node.entry("depends_on");
            let place = dependencies.map_or(&node.place, |entry| &entry.key_place);
            places.insert(key.clone(), place.clone());
            services.insert(key, service);
        }
    }
    depends_on::report_cycles(&services, &places, reports);
    services
}

fn lower_networks(root: &Section<'_>, reports: &Reports) -> IndexMap<NetworkName, Network> {
    let declared = declared(root, "networks").into_iter();
    declared
        .filter_map(|(name, node)| {
            let key = checked(NetworkName::new(name), &node.place, reports)?;
            Some((key, network::lower_network(name, node, reports)?))
        })
        .collect()
}

fn lower_volumes(
    root: &Section<'_>,
    options: &LowerOptions<'_>,
    reports: &Reports,
) -> IndexMap<VolumeName, Volume> {
    let declared = declared(root, "volumes").into_iter();
    declared
        .filter_map(|(name, node)| {
            let key = checked(VolumeName::new(name), &node.place, reports)?;
            Some((key, volume::lower_volume(name, node, options, reports)?))
        })
        .collect()
}

fn checked<T>(name: Result<T, NameError>, place: &Place, reports: &Reports) -> Option<T> {
    name.map_err(|error| reports.error(place, error.to_string())).ok()
}

/// Returns the networks that a service joins, the implicit `default` among them.
fn used_networks(
    mut networks: IndexMap<NetworkName, Network>,
    services: &IndexMap<ServiceName, Service>,
) -> IndexMap<NetworkName, Network> {
    let is_used = |name: &str| services.values().any(|service| service.networks.contains_key(name));
    networks.retain(|name, _| is_used(name));
    if is_used(network::DEFAULT) && !networks.contains_key(network::DEFAULT) {
        networks.insert(network::default_network(), Network::default());
    }
    networks
}

/// Refuses external networks whose name is empty, such as `${A:-}` leaves it: no Engine has such.
fn refuse_nameless(networks: &IndexMap<NetworkName, Network>, root: &Section<'_>, reports: &Reports) {
    let nameless = networks.iter().filter(|(_, network)| network.name.as_deref() == Some(""));
    for (key, _) in nameless {
        let declared = root.node("networks").and_then(|networks| networks.entry(key.as_str()));
        if let Some(entry) = declared {
            let place = entry.node.entry("name").map_or(&entry.key_place, |name| &name.node.place);
            reports
                .refuse(place, format!("network `{key}`: `name` is empty: name the network that is meant"));
        }
    }
}

/// Returns the volumes that a service mounts.
fn used_volumes(
    mut volumes: IndexMap<VolumeName, Volume>,
    services: &IndexMap<ServiceName, Service>,
) -> IndexMap<VolumeName, Volume> {
    volumes.retain(|name, _| {
        let mut mounts = services.values().flat_map(|service| &service.mounts);
        mounts.any(
            |mount| matches!(&mount.source, MountSource::Volume { volume: Some(used), .. } if used == name),
        )
    });
    volumes
}

/// Returns the configs or secrets that a service, or its build, is given.
fn used_objects(
    objects: &IndexMap<String, FileObject>,
    services: &IndexMap<ServiceName, Service>,
    kind: Kind,
) -> IndexMap<String, FileObject> {
    let given = |service: &Service, name: &str| match kind {
        Kind::Config => service.configs.iter().any(|grant| grant.source == name),
        Kind::Secret => {
            let mut built = service.build.iter().flat_map(|build| &build.secrets);
            service.secrets.iter().any(|grant| grant.source == name)
                || built.any(|secret| secret.source == name)
        }
    };
    let used = objects.iter().filter(|(name, _)| services.values().any(|service| given(service, name)));
    used.map(|(name, object)| (name.clone(), object.clone())).collect()
}

#[cfg(test)]
mod tests;
