//! `depends_on`, what else makes a service depend on another, and the order that follows.

use indexmap::IndexMap;

use super::Scope;
use super::reports::Reports;
use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Place, Value};
use crate::name::ServiceName;
use crate::service::{Condition, Dependency, Service};

const KEYS: Keys = Keys { read: &["condition", "required", "restart"], ignored: &[], refused: &[] };

/// Returns the services that must come first. Those that no active profile enables and nobody requires are left out.
pub(super) fn lower_dependencies(
    service: &Section<'_>,
    scope: &Scope<'_>,
) -> IndexMap<ServiceName, Dependency> {
    let mut dependencies = IndexMap::new();
    let mut add = |named: &Named<'_>, how: Dependency| {
        let name = named.service;
        if is_present(service, scope, named, how.required)
            && let Ok(name) = ServiceName::new(name)
        {
            dependencies.entry(name).or_insert(how);
        }
    };
    match service.node("depends_on").map(|node| (&node.value, node)) {
        Some((Value::Map(entries), _)) => {
            for (name, entry) in entries {
                if let Some(how) = long_dependency(service, name, &entry.node) {
                    add(&Named { key: "depends_on", place: &entry.key_place, service: name }, how);
                }
            }
        }
        Some((Value::List(items), _)) => {
            for item in items {
                if let Value::Text(name) = &item.value {
                    add(&Named { key: "depends_on", place: &item.place, service: name }, started(false));
                } else {
                    service.unfit("depends_on", item, "a list of services");
                }
            }
        }
        Some((_, node)) => service.unfit("depends_on", node, "a list or a mapping of services"),
        None => {}
    }
    for reference in references(service) {
        let Reference { key, service, node, restart } = &reference;
        add(&Named { key, place: &node.place, service }, started(*restart));
    }
    dependencies
}

/// Returns the names of the services that the service of a tree depends on; what is wrong is reported when it is read.
pub(super) fn needed(service: &Node) -> Vec<String> {
    let reports = Reports::default();
    let Some(section) = Section::new(service, String::new(), &KEYS, &reports) else {
        return Vec::new();
    };
    let mut needed: Vec<String> = match section.node("depends_on").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.keys().cloned().collect(),
        Some(Value::List(items)) => items.iter().filter_map(scalar).collect(),
        _ => Vec::new(),
    };
    needed.extend(references(&section).into_iter().map(|reference| reference.service));
    needed
}

/// The name of a service, and where it stands.
struct Named<'a> {
    key: &'a str,
    place: &'a Place,
    service: &'a str,
}

/// A service that another one refers to, and so depends on.
struct Reference<'a> {
    key: String,
    service: String,
    node: &'a Node,
    /// Whether the other one is of no use once this one was made again.
    restart: bool,
}

/// Returns the services whose names, namespaces and volumes the service uses.
fn references<'a>(service: &Section<'a>) -> Vec<Reference<'a>> {
    let mut references = Vec::new();
    let mut refer = |key: String, name: &str, node: &'a Node, restart: bool| {
        references.push(Reference { key, service: name.to_owned(), node, restart });
    };
    for (index, item) in service.items("links").iter().enumerate() {
        match scalar(item) {
            Some(link) => {
                refer(format!("links[{index}]"), link.split(':').next().unwrap_or_default(), item, true);
            }
            None => service.unfit("links", item, "a list of `service[:alias]`"),
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.node(key) else { continue };
        if let Some(name) = scalar(node).as_deref().and_then(|mode| mode.strip_prefix("service:")) {
            refer(key.to_owned(), name, node, true);
        }
    }
    for (index, item) in service.items("volumes_from").iter().enumerate() {
        match scalar(item) {
            Some(from) if from.starts_with("container:") => {}
            Some(from) => {
                let key = format!("volumes_from[{index}]");
                refer(key, from.split(':').next().unwrap_or_default(), item, false);
            }
            None => service.unfit("volumes_from", item, "a list of `service[:mode]`"),
        }
    }
    references
}

fn started(restart: bool) -> Dependency {
    Dependency { condition: Condition::ServiceStarted, required: true, restart }
}

fn long_dependency(service: &Section<'_>, name: &str, node: &Node) -> Option<Dependency> {
    let section = service.within(&format!("depends_on.{name}"), node, &KEYS)?;
    let conditions =
        [Condition::ServiceStarted, Condition::ServiceHealthy, Condition::ServiceCompletedSuccessfully];
    let expected = "`service_started`, `service_healthy` or `service_completed_successfully`";
    if section.node("condition").is_none() {
        let key = section.name("condition");
        section.error(section.place, format!("{key} is missing: {expected}"));
        return None;
    }
    Some(Dependency {
        condition: section.parsed("condition", expected, |text| {
            conditions.into_iter().find(|condition| condition.as_str() == text)
        })?,
        required: section.boolean("required").unwrap_or(true),
        restart: section.is_on("restart"),
    })
}

/// Returns whether the named service runs; says so if it must and does not.
fn is_present(service: &Section<'_>, scope: &Scope<'_>, named: &Named<'_>, required: bool) -> bool {
    let Named { key, place, service: name } = *named;
    let Some(profiles) = scope.services.get(name) else {
        service.undeclared(key, place, ("service", name), scope.services.keys().copied());
        return false;
    };
    let active = scope.is_active(name);
    if !active && required {
        let profiles = profiles.join("`, `");
        service.error(
            place,
            format!("`{key}`: service `{name}` is required, but its profile is not active: `{profiles}`"),
        );
    }
    active
}

/// Reports each dependency that leads back to where it came from.
pub(super) fn report_cycles(
    services: &IndexMap<ServiceName, Service>,
    places: &IndexMap<ServiceName, Place>,
    reports: &Reports,
) {
    let mut done = Vec::new();
    for name in services.keys() {
        if let Some(cycle) = cycle_from(name, services, &mut Vec::new(), &mut done) {
            let place = cycle.first().and_then(|first| places.get(*first));
            let names: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
            if let Some(place) = place {
                let message = format!("services wait for each other: {}", names.join(" → "));
                reports.error(place, message);
            }
        }
    }
}

/// Returns the first cycle that can be reached from `name`: its first service, and at the end that one again.
fn cycle_from<'a>(
    name: &'a ServiceName,
    services: &'a IndexMap<ServiceName, Service>,
    way: &mut Vec<&'a ServiceName>,
    done: &mut Vec<&'a ServiceName>,
) -> Option<Vec<&'a ServiceName>> {
    if let Some(start) = way.iter().position(|passed| *passed == name) {
        let mut cycle = way[start..].to_vec();
        cycle.push(name);
        done.extend(way.iter());
        return Some(cycle);
    }
    if done.contains(&name) {
        return None;
    }
    way.push(name);
    let next = services.get(name).into_iter().flat_map(|service| service.depends_on.keys());
    let found = next.into_iter().find_map(|dependency| cycle_from(dependency, services, way, done));
    way.pop();
    done.push(name);
    found
}
