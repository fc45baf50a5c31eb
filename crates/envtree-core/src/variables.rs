//! The environment variables of an environment, for the host and for its network.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::database::Account;
use crate::isolate::Identity;
use crate::known_image::{Credentials, KnownImage};
use crate::project::Project;
use crate::service::{Port, Protocol, Service};

/// From where an address is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// From the host: loopback and published ports.
    Host,
    /// From the environment's network: service names and container ports.
    Inside,
}

/// A program on the host that got a reserved port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPort {
    /// The key under `apps:`.
    pub name: String,
    /// The variable that carries the port.
    pub variable: String,
    /// The port that the program uses where it is alone.
    pub target: u16,
    /// The reserved port.
    pub published: u16,
}

/// Returns the variables of an isolated project, services first, in the order of the file.
///
/// A container that is not the first of its service has variables of its own, `WEB_2_PORT` for one. Where two services
/// would give one name, the first in the file has it. A service without containers gives none.
pub fn variables(
    project: &Project,
    identity: &Identity,
    apps: &[AppPort],
    view: View,
) -> IndexMap<String, String> {
    let mut variables = IndexMap::new();
    let mut urls: Vec<(KnownImage, String)> = Vec::new();
    let mut tests: Vec<(KnownImage, String)> = Vec::new();
    let made = || {
        let all = project.services.iter().chain(&project.shared);
        all.filter(|(_, service)| service.replicas() > 0)
    };
    for (name, service) in made() {
        let known = KnownImage::served_by(service);
        let account = project.accounts.get(name);
        let own = service_variables(name, service, known, account, view);
        if let (Some(account), Some(url)) = (account, own.get(&variable_name(name, "TEST_URL"))) {
            tests.push((account.known, url.clone()));
        }
        if let (Some(known), Some(url)) = (known, own.get(&variable_name(name, "URL"))) {
            urls.push((known, url.clone()));
        }
        for (key, value) in own {
            variables.entry(key).or_insert(value);
        }
    }
    for (name, service) in made() {
        for (key, value) in further_variables(name, service, identity, view) {
            variables.entry(key).or_insert(value);
        }
    }
    for (variable, urls, is_candidate) in [
        ("DATABASE_URL", &urls, KnownImage::is_sql as fn(KnownImage) -> bool),
        ("TEST_DATABASE_URL", &tests, KnownImage::is_sql),
        ("REDIS_URL", &urls, |known| known == KnownImage::Redis),
    ] {
        let mut candidates = urls.iter().filter(|(known, _)| is_candidate(*known));
        if let (Some((_, url)), None) = (candidates.next(), candidates.next()) {
            variables.entry(variable.into()).or_insert_with(|| url.clone());
        }
    }
    for app in apps {
        let port = if view == View::Host { app.published } else { app.target };
        variables.entry(app.variable.clone()).or_insert_with(|| port.to_string());
    }
    variables.insert("ENVTREE_TASK".into(), identity.task.clone());
    variables.insert("ENVTREE_ENVIRONMENT".into(), identity.environment.to_string());
    variables.insert("ENVTREE_WORKTREE".into(), identity.worktree.clone());
    variables.insert("COMPOSE_PROJECT_NAME".into(), identity.project.to_string());
    variables
}

/// Returns `<OWNER>_<SUFFIX>` in upper case, with `_` for what a variable's name cannot have.
pub fn variable_name(owner: &str, suffix: &str) -> String {
    let owner: String =
        owner.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let digit_first = owner.starts_with(|first: char| first.is_ascii_digit());
    format!("{}{owner}_{suffix}", if digit_first { "_" } else { "" })
}

fn service_variables(
    name: &str,
    service: &Service,
    known: Option<KnownImage>,
    account: Option<&Account>,
    view: View,
) -> IndexMap<String, String> {
    let Some(mut variables) = address_variables(name, name, service, account, view) else {
        return IndexMap::new();
    };
    if let Some(known) = known {
        let credentials = credentials(known, service, account);
        let parts = [
            ("USER", credentials.user),
            ("PASSWORD", credentials.password),
            ("DATABASE", credentials.database),
        ];
        for (suffix, value) in parts {
            if let Some(value) = value {
                variables.insert(variable_name(name, suffix), value);
            }
        }
    }
    variables
}

/// Returns the variables of the containers after the first.
fn further_variables(
    name: &str,
    service: &Service,
    identity: &Identity,
    view: View,
) -> IndexMap<String, String> {
    let mut variables = IndexMap::new();
    for number in 2..=service.replicas() {
        let own = format!("{name}-{number}");
        // Before isolation all containers are alike, and that is enough inside.
        let container = service.containers().find(|(its, _)| *its == number);
        let definition = container.map_or(Cow::Borrowed(service), |(_, definition)| definition);
        // The service's name leads to any of its containers, a container's name to that one.
        let inside = format!("{}-{own}", identity.project);
        variables.extend(address_variables(&own, &inside, &definition, None, view).into_iter().flatten());
    }
    variables
}

/// Returns the variables of where a container is reached; `inside` is its name on the network.
fn address_variables(
    name: &str,
    inside: &str,
    service: &Service,
    account: Option<&Account>,
    view: View,
) -> Option<IndexMap<String, String>> {
    let known = KnownImage::served_by(service);
    let (host, port) = main_address(inside, service, known, view)?;
    let mut variables = IndexMap::new();
    variables.insert(variable_name(name, "HOST"), host.clone());
    variables.insert(variable_name(name, "PORT"), port.to_string());
    if service.ports.len() > 1 {
        for entry in &service.ports {
            let suffix = match entry.protocol {
                Protocol::Tcp => format!("PORT_{}", entry.target),
                other => format!("PORT_{}_{}", entry.target, other.as_str().to_uppercase()),
            };
            if let Some(port) = port_of(entry, view) {
                variables.entry(variable_name(name, &suffix)).or_insert_with(|| port.to_string());
            }
        }
    }
    if let Some(known) = known {
        let url = known.url(&host, port, &credentials(known, service, account));
        variables.insert(variable_name(name, "URL"), url);
        if let Some(account) = account {
            let url = known.url(&host, port, &account.test_credentials());
            variables.insert(variable_name(name, "TEST_URL"), url);
            variables.insert(variable_name(name, "TEST_DATABASE"), account.test_database.clone());
        }
    }
    Some(variables)
}

/// Returns what a server is reached with: the account that the environment has on it, else what the service names.
fn credentials(known: KnownImage, service: &Service, account: Option<&Account>) -> Credentials {
    if let Some(account) = account {
        return account.credentials();
    }
    let command: Vec<String> = service.entrypoint.iter().chain(&service.command).flatten().cloned().collect();
    known.credentials(&service.settings(), &command)
}

/// Returns the host and port at which a service is reached first of all.
///
/// That is the port of the image's protocol, else the first TCP port, else the first one. From inside, a service that
/// publishes nothing is reached too, if its image is known.
fn main_address(
    name: &str,
    service: &Service,
    known: Option<KnownImage>,
    view: View,
) -> Option<(String, u16)> {
    let main = service
        .ports
        .iter()
        .find(|port| known.is_some_and(|known| known.port() == port.target))
        .or_else(|| service.ports.iter().find(|port| port.protocol == Protocol::Tcp))
        .or_else(|| service.ports.first());
    match (main, view) {
        (Some(port), View::Host) => Some((reachable_host(port), port_of(port, view)?)),
        (Some(port), View::Inside) => Some((name.to_owned(), port.target)),
        (None, View::Inside) => known.map(|known| (name.to_owned(), known.port())),
        (None, View::Host) => None,
    }
}

fn port_of(port: &Port, view: View) -> Option<u16> {
    match view {
        View::Host => port.published,
        View::Inside => Some(port.target),
    }
}

/// Returns the address to dial for a published port: loopback where it listens on all addresses.
pub fn reachable_host(port: &Port) -> String {
    match port.host_ip.as_deref() {
        None | Some("" | "0.0.0.0") => "127.0.0.1".into(),
        Some("::") => "[::1]".into(),
        Some(address) if address.contains(':') => format!("[{address}]"),
        Some(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, postgres_redis, raw_postgres_redis};

    fn text(variables: &IndexMap<String, String>) -> String {
        let lines: Vec<String> = variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.join("\n")
    }

    #[test]
    fn the_host_sees_published_ports() {
        let project = postgres_redis();
        let apps = [AppPort { name: "web".into(), variable: "PORT".into(), target: 3000, published: 20002 }];
        insta::assert_snapshot!(text(&variables(&project, &identity(), &apps, View::Host)), @"
        POSTGRES_HOST=127.0.0.1
        POSTGRES_PORT=20000
        POSTGRES_URL=postgres://app:secret@127.0.0.1:20000/app
        POSTGRES_USER=app
        POSTGRES_PASSWORD=secret
        POSTGRES_DATABASE=app
        REDIS_HOST=127.0.0.1
        REDIS_PORT=20001
        REDIS_URL=redis://127.0.0.1:20001
        DATABASE_URL=postgres://app:secret@127.0.0.1:20000/app
        PORT=20002
        ENVTREE_TASK=fix login
        ENVTREE_ENVIRONMENT=fix-login
        ENVTREE_WORKTREE=/w/fix-login
        COMPOSE_PROJECT_NAME=shop-fix-login
        ");
    }

    #[test]
    fn the_network_sees_service_names() {
        let variables = variables(&postgres_redis(), &identity(), &[], View::Inside);
        assert_eq!(variables["DATABASE_URL"], "postgres://app:secret@postgres:5432/app");
        assert_eq!(variables["REDIS_URL"], "redis://redis:6379");
    }

    #[test]
    fn each_further_container_is_reached_by_variables_of_its_own() {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].set_replicas(2);
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let of = |project, view| {
            let mut variables = variables(project, &identity(), &[], view);
            variables.retain(|name, _| name.starts_with("REDIS_"));
            text(&variables)
        };
        insta::assert_snapshot!(of(&project, View::Host), @"
        REDIS_HOST=127.0.0.1
        REDIS_PORT=20001
        REDIS_URL=redis://127.0.0.1:20001
        REDIS_2_HOST=127.0.0.1
        REDIS_2_PORT=20002
        REDIS_2_URL=redis://127.0.0.1:20002
        ");
        insta::assert_snapshot!(of(&raw, View::Inside), @"
        REDIS_HOST=redis
        REDIS_PORT=6379
        REDIS_URL=redis://redis:6379
        REDIS_2_HOST=shop-fix-login-redis-2
        REDIS_2_PORT=6379
        REDIS_2_URL=redis://shop-fix-login-redis-2:6379
        ");
    }

    #[test]
    fn a_service_without_containers_has_no_variables() {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].set_replicas(0);
        for view in [View::Host, View::Inside] {
            let project = isolate(&raw, &identity(), &assignments(&raw)).project;
            let names = variables(&project, &identity(), &[], view);
            assert!(!names.keys().any(|name| name.starts_with("REDIS_")), "{names:?}");
        }
    }

    #[test]
    fn two_databases_leave_database_url_unset() {
        let mut project = postgres_redis();
        let second = project.services["postgres"].clone();
        project.services.insert(crate::name::ServiceName::new("reports").unwrap(), second);
        let variables = variables(&project, &identity(), &[], View::Host);
        assert!(!variables.contains_key("DATABASE_URL"));
        assert!(variables.contains_key("REPORTS_URL"));
    }

    #[test]
    fn a_job_on_a_known_image_leaves_database_url_to_the_server() {
        let mut raw = raw_postgres_redis();
        let mut job = raw.services["postgres"].clone();
        job.ports.clear();
        job.command = Some(["psql", "-f", "/schema.sql"].map(str::to_owned).to_vec());
        raw.services.insert(crate::name::ServiceName::new("migrate").unwrap(), job);
        let inside = variables(&raw, &identity(), &[], View::Inside);
        assert_eq!(inside["DATABASE_URL"], "postgres://app:secret@postgres:5432/app");
        assert!(!inside.keys().any(|name| name.starts_with("MIGRATE_")), "{inside:?}");
        let mut assignments = assignments(&raw);
        assignments.inside = inside;
        let project = isolate(&raw, &identity(), &assignments).project;
        assert!(project.services["migrate"].environment.contains_key("DATABASE_URL"));
        assert!(!project.services["postgres"].environment.contains_key("DATABASE_URL"));
    }

    #[test]
    fn a_variable_name_is_valid_whatever_the_service_is_called() {
        assert_eq!(variable_name("my-db.2", "PORT"), "MY_DB_2_PORT");
        assert_eq!(variable_name("2fa", "HOST"), "_2FA_HOST");
    }
}
