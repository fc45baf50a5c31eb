//! What a project asks for that an Engine may be too old for.

use envtree_core::name::ServiceName;
use envtree_core::project::Project;
use envtree_core::service::Service;

use super::{endpoint, mount, options};
use crate::network;
use crate::version::{ApiVersion, TooOld};

/// Returns what the networks and services of a project ask for that an Engine which speaks `api` does not know: all that
/// would be refused on the way.
pub fn demands(project: &Project, api: ApiVersion) -> Vec<TooOld> {
    let networks =
        project.networks.iter().filter_map(|(key, network)| network::check(key, network, api).err());
    networks
        .chain(project.services.iter().flat_map(|(name, service)| of_service(name, service, api)))
        .collect()
}

fn of_service(name: &ServiceName, service: &Service, api: ApiVersion) -> Vec<TooOld> {
    let mut found: Vec<TooOld> = endpoint::check(name, &service.networks, api).err().into_iter().collect();
    found.extend(options::check(name, &service.runtime, api).err());
    found.extend(service.mounts.iter().filter_map(|mount| mount::check(name, mount, api).err()));
    found
}

#[cfg(test)]
mod tests {
    use envtree_core::name::{NetworkName, ProjectName};
    use envtree_core::project::Network;
    use envtree_core::service::{Attachment, Mount, MountSource};
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn all_that_an_engine_is_too_old_for_is_found_at_once() {
        let mut service = Service::default();
        service.runtime.annotations = IndexMap::from([("a".to_owned(), "b".to_owned())]);
        let image = MountSource::Image { image: "busybox".to_owned(), subpath: None };
        service.mounts = vec![Mount::new("/a", MountSource::bind("/b")), Mount::new("/c", image)];
        let key = NetworkName::new("back").unwrap();
        let attachment = Attachment { gw_priority: Some(1), ..Attachment::default() };
        service.networks = IndexMap::from([(key.clone(), attachment)]);
        let network = Network { enable_ipv4: Some(false), ..Network::default() };
        let project = Project {
            networks: IndexMap::from([(key, network)]),
            services: IndexMap::from([(ServiceName::new("web").unwrap(), service)]),
            ..Project::new(ProjectName::new("shop").unwrap())
        };
        let told = |api| {
            let told: Vec<String> = demands(&project, api).iter().map(ToString::to_string).collect();
            told.join("\n")
        };
        insta::assert_snapshot!(told(ApiVersion::MINIMUM), @"
        `back` asks for enable_ipv4 of a network, which needs Engine API 1.47; this Engine speaks 1.41
        `web` asks for gw_priority of a network, which needs Engine API 1.48; this Engine speaks 1.41
        `web` asks for annotations, which needs Engine API 1.43; this Engine speaks 1.41
        `web` asks for mount of an image, which needs Engine API 1.48; this Engine speaks 1.41
        ");
        assert_eq!(told(ApiVersion::INTERFACE_NAME), "");
    }
}
