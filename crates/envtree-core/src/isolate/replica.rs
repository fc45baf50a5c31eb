//! The containers of a service after the first: each has a name, host ports and a hash of its own.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Identity, container_name, isolate_ports};
use crate::label;
use crate::name::ServiceName;
use crate::port::PortKey;
use crate::service::{Replica, Service};

/// Labels that tell one container of a service from another.
const OWN: [&str; 4] =
    [label::COMPOSE_CONTAINER_NUMBER, label::COMPOSE_CONFIG_HASH, label::PORTS, label::CONFIG_HASH];

/// Returns the containers after the first of a service whose first one is isolated and labelled; `hash` is that of a
/// definition.
pub(super) fn further(
    name: &ServiceName,
    service: &Service,
    identity: &Identity,
    assigned: &IndexMap<PortKey, u16>,
    hash: &dyn Fn(&Service) -> String,
) -> Arc<[Replica]> {
    let replica = |number| {
        let mut own = service.clone();
        own.container_name = Some(container_name(identity, name, number));
        isolate_ports(name, &mut own, number, assigned);
        let hash = hash(&own);
        own.labels.insert(label::COMPOSE_CONTAINER_NUMBER.into(), number.to_string());
        own.labels.insert(label::COMPOSE_CONFIG_HASH.into(), hash.clone());
        own.labels.insert(label::CONFIG_HASH.into(), hash);
        Replica {
            container_name: own.container_name.unwrap_or_default(),
            published: own.ports.iter().map(|port| port.published).collect(),
            labels: OWN.iter().filter_map(|key| own.labels.swap_remove_entry(*key)).collect(),
        }
    };
    (2..=service.replicas()).map(replica).collect()
}

/// Says that containers share what only one can have, where the Engine lets them.
pub(super) fn warning_of_hardware(name: &ServiceName, service: &Service) -> Option<String> {
    let joined = service.networks.values().filter_map(|attachment| attachment.mac_address.as_ref());
    let address = joined.chain(&service.runtime.mac_address).next().filter(|_| service.replicas() > 1)?;
    Some(format!(
        "service `{name}` gives its {} containers one hardware address, {address}: what is meant for one may reach another",
        service.replicas()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::isolate;
    use super::super::tests::{assignments, identity, raw_postgres_redis};
    use super::*;
    use crate::compose_file::render::model;
    use crate::project::Project;

    fn isolated(count: u32) -> Project {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].set_replicas(count);
        isolate(&raw, &identity(), &assignments(&raw)).project
    }

    fn facts(project: &Project) -> String {
        let fact = |(number, service): (u32, std::borrow::Cow<'_, Service>)| {
            let label = |key: &str| service.labels[key].clone();
            let name = service.container_name.clone().unwrap_or_default();
            assert_eq!(label(label::COMPOSE_CONTAINER_NUMBER), number.to_string());
            format!("{name} {:?} {}\n", service.ports[0].published, label(label::PORTS))
        };
        project.services["redis"].containers().map(fact).collect()
    }

    #[test]
    fn each_container_has_a_name_a_number_and_a_port_of_its_own() {
        insta::assert_snapshot!(facts(&isolated(3)), @"
        shop-fix-login-redis-1 Some(20001) 6379/tcp/0=20001
        shop-fix-login-redis-2 Some(20002) 6379/tcp/0=20002
        shop-fix-login-redis-3 Some(20003) 6379/tcp/0=20003
        ");
        assert_eq!(facts(&isolated(0)), "");
    }

    #[test]
    fn a_file_tells_of_every_host_port() {
        let mut project = isolated(3);
        let ports = |project: &Project| model(project)["services"]["redis"]["ports"][0].clone();
        assert_eq!(ports(&project)["published"], "20001-20003");
        assert_eq!(ports(&project)["x-envtree-published"], json!(["20001", "20002", "20003"]));
        assert!(model(&project)["services"]["redis"]["container_name"].is_null());
        // Compose knows no ports that are not in a row.
        project.services["redis"].ports[0].published = Some(20009);
        assert_eq!(ports(&project)["published"], "20009");
        assert_eq!(ports(&project)["x-envtree-published"], json!(["20009", "20002", "20003"]));
        assert!(ports(&isolated(1))["x-envtree-published"].is_null());
    }

    #[test]
    fn the_hash_of_a_container_does_not_depend_on_how_many_there_are() {
        let hashes = |count| -> Vec<String> {
            let project = isolated(count);
            let containers = project.services["redis"].containers();
            containers.map(|(_, service)| service.labels[label::CONFIG_HASH].clone()).collect()
        };
        let three = hashes(3);
        assert_eq!(hashes(1), three[..1]);
        assert_eq!(hashes(2), three[..2]);
    }

    #[test]
    fn containers_that_share_a_hardware_address_are_pointed_out() {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].runtime.mac_address = Some("02:42:ac:11:00:02".into());
        let warnings = |raw: &Project| isolate(raw, &identity(), &assignments(raw)).warnings;
        assert!(warnings(&raw).is_empty());
        raw.services["redis"].set_replicas(2);
        assert_eq!(
            warnings(&raw),
            [
                "service `redis` gives its 2 containers one hardware address, 02:42:ac:11:00:02: what is meant for one may reach another"
            ]
        );
    }
}
