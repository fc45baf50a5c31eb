//! Seeds that run in the container of a service.

use indexmap::IndexMap;

use super::base::in_base;
use crate::compose_file::node::{Diagnostic, Place};
use crate::dump::remote::GATEWAY;
use crate::name::{ProjectName, ServiceName};
use crate::nearest::nearest;
use crate::one_off::{Ended, OneOff, one_off_project};
use crate::project::Project;
use crate::service::Service;

/// What tells the containers of a seed, and of a tool that reads a server elsewhere, from others of their service.
const SEED: &str = "seed";
const READER: &str = "reader";

/// What the container runs while the commands run beside it.
const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done";

/// Returns what is wrong with the service that `data.seed` names, in a project as the file has it; `inactive` are the
/// services that no profile enables: a seed may run in them.
pub fn refuse_unknown_service(
    (name, place): &(String, Place),
    project: &Project,
    inactive: &[String],
) -> Option<Diagnostic> {
    let services =
        project.services.keys().map(ServiceName::as_str).chain(inactive.iter().map(String::as_str));
    let message = if services.clone().any(|service| service == name) {
        return None;
    } else if project.shared.contains_key(name.as_str()) {
        format!("service `{name}` is shared by environments: a seed cannot run in it")
    } else {
        let hint = nearest(name, services).map(|near| format!("; did you mean `{near}`?"));
        format!("the Compose project has no service `{name}`{}", hint.unwrap_or_default())
    };
    Some(Diagnostic { place: place.clone(), message })
}

/// Returns the project in which the container of a seed is made, and how: the service `name` of `isolated` beside the
/// servers of `base`, on their network. All of it bears `labels`.
///
/// The container runs nothing but an idle shell. It publishes no ports, and starts nothing that the service depends on.
pub fn seed_project(
    isolated: &Project,
    base: &Project,
    name: &ServiceName,
    labels: &IndexMap<String, String>,
) -> (Project, OneOff) {
    let one_off = idle(&base.name, name, SEED);
    let mut project =
        Project { name: base.name.clone(), networks: base.networks.clone(), ..isolated.clone() };
    if let Some(service) = project.services.get_mut(name) {
        *service = in_base(service, name, labels);
        be_idle(service);
    }
    (one_off_project(&project, &one_off), one_off)
}

/// Returns the project in which the container is made whose tools read a server elsewhere, and how: the server `name` of
/// `base`, without its data, on the network of the host or where it reaches the host by [`GATEWAY`].
pub fn reader_project(base: &Project, name: &ServiceName, is_on_host: bool) -> (Project, OneOff) {
    let one_off = idle(&base.name, name, READER);
    let mut project = base.clone();
    if let Some(service) = project.services.get_mut(name) {
        be_idle(service);
        service.container_name = None;
        service.mounts.clear();
        service.ports.clear();
        if is_on_host {
            service.networks.clear();
            service.network_mode = Some("host".to_owned());
        } else {
            service.runtime.extra_hosts.push(format!("{GATEWAY}:host-gateway"));
        }
    }
    (one_off_project(&project, &one_off), one_off)
}

/// Returns how a container of a service is made that is there for what runs in it.
fn idle(project: &ProjectName, name: &ServiceName, slug: &str) -> OneOff {
    OneOff {
        service: name.clone(),
        container: format!("{project}-{name}-{slug}"),
        slug: slug.to_owned(),
        ended: Ended::Removed,
        tty: false,
        interactive: false,
        service_ports: false,
        publish: Vec::new(),
        use_aliases: false,
        dependencies: true,
    }
}

fn be_idle(service: &mut Service) {
    service.entrypoint = Some(vec!["sh".to_owned(), "-c".to_owned()]);
    service.command = Some(vec![IDLE.to_owned()]);
    service.runtime.init = Some(true);
    service.health_check = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis, service};
    use crate::label;
    use crate::name::ProjectName;

    fn refused(name: &str) -> Option<String> {
        let place = Place { file: "envtree.yaml".into(), line: 3, column: 5 };
        let project = raw_postgres_redis();
        let refused = refuse_unknown_service(&(name.to_owned(), place), &project, &["tools".to_owned()]);
        refused.map(|refused| refused.to_string())
    }

    #[test]
    fn the_service_of_a_seed_is_one_of_the_file() {
        assert_eq!(refused("redis"), None);
        assert_eq!(refused("tools"), None);
        let message =
            "envtree.yaml:3:5: the Compose project has no service `posgres`; did you mean `postgres`?";
        assert_eq!(refused("posgres").as_deref(), Some(message));
    }

    #[test]
    fn the_container_of_a_seed_is_part_of_the_base_alone() {
        let mut raw = raw_postgres_redis();
        let name = ServiceName::new("app").unwrap();
        raw.services.insert(name.clone(), service("app:1", 80));
        let isolated = isolate(&raw, &identity(), &assignments(&raw)).project;
        let base = Project::new(ProjectName::new("shop_base-0123456789ab").unwrap());
        let labels = IndexMap::from([(label::BASE.to_owned(), "key".to_owned())]);
        let (project, one_off) = seed_project(&isolated, &base, &name, &labels);
        let made = &project.services[&name];
        assert_eq!(project.services.len(), 1);
        assert_eq!(made.container_name.as_deref(), Some("shop_base-0123456789ab-app-seed"));
        assert_eq!(made.container_name.as_deref(), Some(&*one_off.container));
        assert!(made.ports.is_empty() && made.depends_on.is_empty());
        assert_eq!(made.labels[label::BASE], "key");
        assert!(!made.labels.contains_key(label::ENVIRONMENT), "{:?}", made.labels);
    }

    #[test]
    fn what_reads_a_server_elsewhere_has_none_of_the_data() {
        let mut base = Project::new(ProjectName::new("shop_base-0123456789ab").unwrap());
        let name = ServiceName::new("db").unwrap();
        let mut server = service("postgres:17", 5432);
        server.mounts.push(crate::service::Mount::new("/data", crate::service::MountSource::volume(None)));
        base.services.insert(name.clone(), server);
        for is_on_host in [true, false] {
            let (project, one_off) = reader_project(&base, &name, is_on_host);
            let made = &project.services[&name];
            assert_eq!(made.container_name.as_deref(), Some(&*one_off.container));
            assert!(made.mounts.is_empty() && made.ports.is_empty());
            assert_eq!(made.network_mode.is_some(), is_on_host);
            assert_eq!(made.runtime.extra_hosts.is_empty(), is_on_host);
        }
    }
}
