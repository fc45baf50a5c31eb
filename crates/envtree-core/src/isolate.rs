//! Makes a project one environment's own: its names, host ports, subnets and labels.
//!
//! After [`isolate`] nothing of the project can collide with another environment. What the file declares `external` is
//! used as it is; nothing outside the worktree is rewritten.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::config_hash::{network_hash, service_hash, volume_hash};
use crate::host_path::is_of_every_machine;
use crate::known_image::KnownImage;
use crate::label;
use crate::name::{EnvironmentId, NetworkName, ProjectName, ServiceName, VolumeName};
use crate::port::{PortKey, are_published, wanted_by_container};
use crate::project::{Network, Project, Volume};
use crate::service::{AsWritten, Device, Hook, MountSource, Service};
use crate::subnet::Subnet;
use address::AddressMap;

mod address;
mod image;
mod mention;
mod replica;
mod shared_name;

pub use image::own_images;

/// The option by which a file fixes the name of a bridge on the host.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Who an environment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id of the repository on this machine.
    pub repository: String,
    /// The name of the repository.
    pub repository_name: String,
    /// The common git directory.
    pub common_dir: String,
    /// The environment's id.
    pub environment: EnvironmentId,
    /// The task as it was typed.
    pub task: String,
    /// The absolute path of the worktree.
    pub worktree: String,
    /// The name of the Compose project.
    pub project: ProjectName,
    /// The Compose files, for Compose's label.
    pub config_files: Vec<String>,
    /// The version of envtree.
    pub version: String,
}

/// What was reserved for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignments {
    /// A host port for every published port.
    pub ports: IndexMap<PortKey, u16>,
    /// A subnet for every network that is not external.
    pub subnets: IndexMap<NetworkName, Subnet>,
    /// The environment's variables with in-network values, for the services that may use them.
    pub inside: IndexMap<String, String>,
}

/// A project that collides with nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolated {
    /// The environment's project.
    pub project: Project,
    /// What isolation could not do, or had to leave out.
    pub warnings: Vec<String>,
}

/// Returns whether envtree makes `network` out of its own pool: a bridge that is not external, and whose addresses the
/// Engine itself hands out.
pub fn needs_subnet(network: &Network) -> bool {
    let is = |name: Option<&String>, usual| name.is_none_or(|name| name == usual);
    !network.external && is(network.driver.as_ref(), "bridge") && is(network.ipam_driver.as_ref(), "default")
}

/// Returns `project` as the environment `identity` has it.
///
/// `assignments` holds a port for every key of [`crate::port::wanted_by_services`], and a subnet for every network that
/// [`needs_subnet`].
pub fn isolate(project: &Project, identity: &Identity, assignments: &Assignments) -> Isolated {
    let mut warnings = Vec::new();
    let mut isolated = project.clone();
    isolated.name = identity.project.clone();
    image::isolate_images(&mut isolated, identity, &mut warnings);
    let none = IndexMap::new();
    let ports_of = |name: &ServiceName| {
        if are_published(project, &project.services[name]) { &assignments.ports } else { &none }
    };
    for (name, service) in &mut isolated.services {
        isolate_names(name, service, identity);
        isolate_ports(name, service, 1, ports_of(name));
        warnings.extend(warning_of_internal_ports(name, service, project));
        warn_of_host(name, service, &mut warnings);
        warnings.extend(replica::warning_of_hardware(name, service));
        warn_of_shared_mounts(name, service, identity, &mut warnings);
        read_as_meant(service);
        // What a project of an environment holds is active.
        service.profiles.clear();
    }
    for service in isolated.shared.values_mut() {
        add_fixed_name(service);
    }
    shared_name::isolate_shared_names(&mut isolated, identity, &mut warnings);
    let mut maps = Vec::new();
    for (key, network) in &mut isolated.networks {
        warnings.extend(drop_bridge_name(key, network));
        warnings.extend(warning_of_kept_subnet(key, network));
        if let (true, Some(own)) = (needs_subnet(network), assignments.subnets.get(key)) {
            let name = identity.project.object(key);
            let mut map = AddressMap::new(key, network, *own, &name);
            warnings.extend(map.warnings_of_subnets(network));
            map.move_addresses(&mut isolated.services, &mut warnings);
            map.move_addresses(&mut isolated.shared, &mut warnings);
            map.move_pools(network, &mut warnings);
            maps.push(map);
        }
        isolate_network(key, network, identity);
    }
    mention::move_mentions(isolated.services.iter_mut(), &maps, &mut warnings);
    for (key, volume) in &mut isolated.volumes {
        warnings.extend(warning_of_shared_device(key, volume, identity));
        isolate_volume(key, volume, identity);
    }
    for (name, service) in &mut isolated.services {
        let added = add_variables(service, &assignments.inside);
        let hash = |service: &Service| service_hash(&counted(service, &isolated.shared), &added);
        label_service(name, service, identity, hash(service));
        service.further = replica::further(name, service, identity, ports_of(name), &hash);
        label_dependencies(service, &isolated.shared);
    }
    Isolated { project: isolated, warnings }
}

/// Gives the container its environment's name; a name that the file fixes lives on as an alias.
fn isolate_names(name: &ServiceName, service: &mut Service, identity: &Identity) {
    add_fixed_name(service);
    service.container_name = Some(container_name(identity, name, 1));
}

/// Reads as it is meant what Compose's model takes at its word: permissions as a path, and nothing as a port, a device
/// or an option.
fn read_as_meant(service: &mut Service) {
    let devices = std::mem::take(&mut service.runtime.devices);
    let named = devices.into_iter().filter(|device| !device.source.is_empty());
    service.runtime.devices = named.map(Device::meant).collect();
    service.runtime.security_opt.retain(|option| !option.is_empty());
    service.expose.retain(|port| !port.is_empty());
    for port in &mut service.ports {
        port.as_written = AsWritten::default();
    }
    service.as_written = AsWritten::default();
}

/// Lets a name that the file fixes be an alias.
fn add_fixed_name(service: &mut Service) {
    if let Some(fixed) = service.container_name.take() {
        for attachment in service.networks.values_mut() {
            if !attachment.aliases.contains(&fixed) {
                attachment.aliases.push(fixed.clone());
            }
        }
    }
}

/// Returns Compose's name of a container.
fn container_name(identity: &Identity, service: &str, number: u32) -> String {
    format!("{}-{service}-{number}", identity.project)
}

fn isolate_ports(name: &ServiceName, service: &mut Service, number: u32, assigned: &IndexMap<PortKey, u16>) {
    let keys = wanted_by_container(name, service, number);
    let mut held: Vec<String> = Vec::new();
    for (port, key) in service.ports.iter_mut().zip(keys) {
        port.published = assigned.get(&key).copied();
        port.published_last = None;
        port.host_ip.get_or_insert_with(|| "127.0.0.1".into());
        held.extend(port.published.map(|published| format!("{key}={published}")));
    }
    if !held.is_empty() {
        service.labels.insert(label::PORTS.into(), held.join(","));
    }
}

/// Says that nobody reaches the ports of a service from outside its networks.
fn warning_of_internal_ports(name: &ServiceName, service: &Service, project: &Project) -> Option<String> {
    (!service.ports.is_empty() && !are_published(project, service)).then(|| {
        format!(
            "service `{name}`: the Engine publishes none of its ports, because all its networks are `internal`"
        )
    })
}

/// Says what of the host every environment shares, because the service asks for the host's own.
fn warn_of_host(name: &ServiceName, service: &Service, warnings: &mut Vec<String>) {
    if service.network_mode.as_deref() == Some("host") {
        warnings.push(format!(
            "service `{name}` uses the host's own network: two environments cannot listen on the same port there"
        ));
    }
}

fn warn_of_shared_mounts(
    name: &ServiceName,
    service: &Service,
    identity: &Identity,
    warnings: &mut Vec<String>,
) {
    for mount in &service.mounts {
        let MountSource::Bind { path, .. } = &mount.source else { continue };
        let outcome = match mount.read_only {
            false => "every environment that mounts it shares it",
            true if is_of_every_machine(path) => continue,
            true => "every environment reads the same",
        };
        if !is_within(path, &identity.worktree) {
            warnings.push(format!(
                "service `{name}` mounts `{path}`, which lies outside the worktree: {outcome}"
            ));
        }
    }
}

/// Returns whether the absolute `path` is `folder` or lies below it.
pub fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Leaves out the name of a bridge, which only one network of the host can have.
fn drop_bridge_name(key: &NetworkName, network: &mut Network) -> Option<String> {
    if network.external {
        return None;
    }
    let name = network.driver_opts.shift_remove(BRIDGE_NAME)?;
    Some(format!(
        "network `{key}`: the name `{name}` of its bridge is left out, for no two environments can have it"
    ))
}

/// A volume of the environment's own may still be a window on a folder or a server that others see too.
fn warning_of_shared_device(key: &VolumeName, volume: &Volume, identity: &Identity) -> Option<String> {
    let option = |name: &str| volume.driver_opts.get(name).map(String::as_str);
    let device = option("device").filter(|_| !volume.external && option("type") != Some("tmpfs"))?;
    (!is_within(device, &identity.worktree)).then(|| {
        format!("volume `{key}` keeps its data at `{device}`: every environment that names it shares it")
    })
}

/// The Engine knows nothing of the addresses of other drivers, and so they stay as they are.
fn warning_of_kept_subnet(key: &NetworkName, network: &Network) -> Option<String> {
    let fixed = network.ipam.iter().find_map(|pool| pool.subnet.as_ref())?;
    let driver = network.driver.as_deref().filter(|_| !network.external && !needs_subnet(network))?;
    Some(format!(
        "network `{key}` of driver `{driver}` keeps its subnet {fixed}, which a second environment cannot have"
    ))
}

fn isolate_network(key: &NetworkName, network: &mut Network, identity: &Identity) {
    if network.external {
        network.name.get_or_insert_with(|| key.to_string());
        return;
    }
    network.name = Some(identity.project.object(key));
    let hash = network_hash(network);
    network.labels.insert(label::COMPOSE_NETWORK.into(), key.to_string());
    label_object(&mut network.labels, identity, hash);
}

fn isolate_volume(key: &VolumeName, volume: &mut Volume, identity: &Identity) {
    if volume.external {
        volume.name.get_or_insert_with(|| key.to_string());
        return;
    }
    volume.name = Some(identity.project.object(key));
    let hash = volume_hash(volume);
    volume.labels.insert(label::COMPOSE_VOLUME.into(), key.to_string());
    label_object(&mut volume.labels, identity, hash);
}

/// Adds the environment's variables to a service that may use them, and returns the names of those added.
///
/// A known server gets none: it would read `POSTGRES_USER` and its like as settings. What the file sets stays.
fn add_variables(service: &mut Service, inside: &IndexMap<String, String>) -> Vec<String> {
    if KnownImage::served_by(service).is_some() {
        return Vec::new();
    }
    let missing: Vec<(&String, &String)> =
        inside.iter().filter(|(name, _)| !service.environment.contains_key(*name)).collect();
    let added = missing.iter().map(|(name, _)| (*name).clone()).collect();
    service.environment.extend(missing.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    added
}

fn label_service(name: &ServiceName, service: &mut Service, identity: &Identity, hash: String) {
    let own = [
        (label::COMPOSE_SERVICE, name.to_string()),
        (label::COMPOSE_CONTAINER_NUMBER, "1".into()),
        (label::COMPOSE_ONEOFF, "False".into()),
        (label::COMPOSE_CONFIG_HASH, hash.clone()),
        (label::COMPOSE_WORKING_DIR, identity.worktree.clone()),
        (label::COMPOSE_CONFIG_FILES, identity.config_files.join(",")),
    ];
    for (key, hooks) in [(label::POST_START, &service.post_start), (label::PRE_STOP, &service.pre_stop)] {
        service.labels.extend(Hook::label(hooks).map(|hooks| (key.to_owned(), hooks)));
    }
    service.labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    label_object(&mut service.labels, identity, hash);
}

/// Returns a service as it counts for its hash: a link to a shared container is none to the environment's own.
fn counted<'a>(service: &'a Service, shared: &IndexMap<ServiceName, Service>) -> Cow<'a, Service> {
    let is_shared = |link: &str| shared.contains_key(link.split(':').next().unwrap_or(link));
    if !service.links.iter().any(|link| is_shared(link)) {
        return Cow::Borrowed(service);
    }
    let mut counted = service.clone();
    let (shared, own) = counted.links.into_iter().partition::<Vec<_>, _>(|link| is_shared(link));
    counted.links = own;
    counted.external_links.extend(shared);
    Cow::Owned(counted)
}

/// Adds the label of the dependencies within the project; other programs look for each of them in it.
fn label_dependencies(service: &mut Service, shared: &IndexMap<ServiceName, Service>) {
    let own = service.depends_on.iter().filter(|(on, _)| !shared.contains_key(*on));
    let own = own.map(|(on, how)| format!("{on}:{}:{}", how.condition.as_str(), how.restart));
    let depends_on = own.collect::<Vec<_>>().join(",");
    service.labels.insert(label::COMPOSE_DEPENDS_ON.into(), depends_on);
}

fn label_object(labels: &mut IndexMap<String, String>, identity: &Identity, hash: String) {
    label_owner(labels, identity);
    labels.insert(label::CONFIG_HASH.into(), hash);
}

/// Adds the labels that say whose an object is.
fn label_owner(labels: &mut IndexMap<String, String>, identity: &Identity) {
    let own = [
        (label::COMPOSE_PROJECT, identity.project.to_string()),
        (label::REPOSITORY, identity.repository.clone()),
        (label::REPOSITORY_NAME, identity.repository_name.clone()),
        (label::COMMON_DIR, identity.common_dir.clone()),
        (label::ENVIRONMENT, identity.environment.to_string()),
        (label::TASK, identity.task.clone()),
        (label::WORKTREE, identity.worktree.clone()),
        (label::VERSION, identity.version.clone()),
    ];
    labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::project::IpamPool;
    use crate::service::{Attachment, Mount, Port};
    use crate::variables::{View, variables};

    pub(crate) fn identity() -> Identity {
        Identity {
            repository: "0a1b2c3d".into(),
            repository_name: "shop".into(),
            common_dir: "/shop/.git".into(),
            environment: EnvironmentId::new("fix-login").unwrap(),
            task: "fix login".into(),
            worktree: "/w/fix-login".into(),
            project: ProjectName::new("shop-fix-login").unwrap(),
            config_files: vec!["compose.yaml".into()],
            version: "0.1.0".into(),
        }
    }

    /// A service on the default network that publishes one port.
    pub(crate) fn service(image: &str, target: u16) -> Service {
        Service {
            image: image.into(),
            ports: vec![Port::new(target)],
            networks: IndexMap::from([(NetworkName::new("default").unwrap(), Attachment::default())]),
            ..Service::default()
        }
    }

    /// The template's project before isolation.
    pub(crate) fn raw_postgres_redis() -> Project {
        let mut postgres = service("postgres:17", 5432);
        postgres.environment = IndexMap::from([
            ("POSTGRES_USER".into(), "app".into()),
            ("POSTGRES_PASSWORD".into(), "secret".into()),
        ]);
        postgres.mounts.push(Mount::new(
            "/var/lib/postgresql/data",
            MountSource::volume(Some(VolumeName::new("data").unwrap())),
        ));
        Project {
            services: IndexMap::from([
                (ServiceName::new("postgres").unwrap(), postgres),
                (ServiceName::new("redis").unwrap(), service("redis:8", 6379)),
            ]),
            networks: IndexMap::from([(NetworkName::new("default").unwrap(), Network::default())]),
            volumes: IndexMap::from([(VolumeName::new("data").unwrap(), Volume::default())]),
            ..Project::new(ProjectName::new("shop").unwrap())
        }
    }

    /// Ports from 20000 and subnets from 10.214.0.0/26, in order.
    pub(crate) fn assignments(project: &Project) -> Assignments {
        let ports = crate::port::wanted_by_services(project).into_iter().zip(20000..).collect();
        let subnets = project
            .networks
            .keys()
            .zip(0u8..)
            .map(|(key, n)| (key.clone(), Subnet::new(Ipv4Addr::new(10, 214, n, 0), 26).unwrap()))
            .collect();
        Assignments { ports, subnets, inside: IndexMap::new() }
    }

    pub(crate) fn postgres_redis() -> Project {
        let raw = raw_postgres_redis();
        isolate(&raw, &identity(), &assignments(&raw)).project
    }

    #[test]
    fn names_ports_and_subnets_are_the_environments_own() {
        let project = postgres_redis();
        assert_eq!(project.services["redis"].container_name.as_deref(), Some("shop-fix-login-redis-1"));
        assert_eq!(project.services["redis"].ports[0].published, Some(20001));
        assert_eq!(project.services["redis"].ports[0].host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(project.networks["default"].name.as_deref(), Some("shop-fix-login_default"));
        assert_eq!(project.networks["default"].ipam[0].subnet.as_deref(), Some("10.214.0.0/26"));
        assert_eq!(project.volumes["data"].name.as_deref(), Some("shop-fix-login_data"));
    }

    #[test]
    fn a_fixed_container_name_becomes_an_alias() {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].container_name = Some("cache".into());
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        assert_eq!(project.services["redis"].container_name.as_deref(), Some("shop-fix-login-redis-1"));
        assert_eq!(project.services["redis"].networks["default"].aliases, ["cache"]);
    }

    #[test]
    fn an_address_that_the_file_names_is_kept() {
        let mut raw = raw_postgres_redis();
        raw.services["redis"].ports[0].host_ip = Some("0.0.0.0".into());
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        assert_eq!(project.services["redis"].ports[0].host_ip.as_deref(), Some("0.0.0.0"));
    }

    #[test]
    fn ports_behind_internal_networks_alone_are_not_published() {
        let mut raw = raw_postgres_redis();
        let back = NetworkName::new("back").unwrap();
        raw.networks.insert(back.clone(), Network { internal: true, ..Network::default() });
        raw.services["postgres"].networks.insert(back.clone(), Attachment::default());
        raw.services["redis"].networks = IndexMap::from([(back, Attachment::default())]);
        raw.services["redis"].set_replicas(2);
        // Held from before the network was internal.
        let mut assignments = assignments(&raw);
        assert_eq!(assignments.ports.len(), 1);
        assignments.ports.extend(
            wanted_by_container(&ServiceName::new("redis").unwrap(), &raw.services["redis"], 2)
                .into_iter()
                .zip([20007]),
        );
        let Isolated { project, warnings } = isolate(&raw, &identity(), &assignments);
        assert_eq!(project.services["postgres"].ports[0].published, Some(20000));
        let redis = project.services["redis"].containers();
        assert_eq!(
            redis.map(|(_, container)| container.ports[0].published).collect::<Vec<_>>(),
            [None, None]
        );
        assert_eq!(
            warnings,
            [
                "service `redis`: the Engine publishes none of its ports, because all its networks are `internal`"
            ]
        );
    }

    #[test]
    fn external_objects_keep_their_names_and_get_no_label() {
        let mut raw = raw_postgres_redis();
        raw.networks["default"].external = true;
        raw.volumes["data"] = Volume { external: true, name: Some("real".into()), ..Volume::default() };
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        assert_eq!(project.networks["default"].name.as_deref(), Some("default"));
        assert_eq!(project.volumes["data"].name.as_deref(), Some("real"));
        assert!(project.networks["default"].labels.is_empty() && project.volumes["data"].labels.is_empty());
    }

    #[test]
    fn a_static_address_moves_into_the_own_subnet() {
        let mut raw = raw_postgres_redis();
        raw.networks["default"].ipam =
            vec![IpamPool { subnet: Some("172.28.0.0/16".into()), ..IpamPool::default() }];
        raw.services["redis"].networks["default"].ipv4_address = Some("172.28.0.7".into());
        raw.services["postgres"].networks["default"].ipv4_address = Some("172.28.9.7".into());
        raw.services["postgres"].environment.insert("CACHE".into(), "redis://172.28.0.7:6379".into());
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        let address = |name: &str| isolated.project.services[name].networks["default"].ipv4_address.clone();
        assert_eq!(address("redis").as_deref(), Some("10.214.0.7"));
        assert!(address("postgres").is_some_and(|address| address.starts_with("10.214.0.")));
        assert_eq!(isolated.project.services["postgres"].environment["CACHE"], "redis://10.214.0.7:6379");
        assert_eq!(isolated.warnings.len(), 2);
        let replaced =
            "network `default` has subnet 10.214.0.0/26 instead of 172.28.0.0/16; addresses in it move along";
        assert!(isolated.warnings.iter().any(|warning| warning == replaced), "{:?}", isolated.warnings);
    }

    #[test]
    fn what_stands_at_its_word_is_read_as_it_is_meant() {
        let mut raw = raw_postgres_redis();
        let device = |target: &str| Device {
            source: "/dev/fuse".into(),
            target: target.into(),
            permissions: "rwm".into(),
        };
        let redis = &mut raw.services["redis"];
        redis.runtime.devices = ["rw", "/dev/rw", ""].map(device).to_vec();
        redis.runtime.devices.push(Device { source: String::new(), ..device("") });
        redis.runtime.security_opt = vec![String::new(), "label=disable".into()];
        redis.expose = vec![String::new(), "80".into()];
        redis.as_written.set("restart", "on-failure:+3");
        redis.ports[0].as_written.set("published", "+80");
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        let redis = &isolated.project.services["redis"];
        let read = Device { permissions: "rw".into(), ..device("/dev/fuse") };
        assert_eq!(redis.runtime.devices, [read, device("/dev/rw"), device("/dev/fuse")]);
        assert_eq!(redis.runtime.security_opt, ["label=disable"]);
        assert_eq!(redis.expose, ["80"]);
        assert_eq!([&redis.as_written, &redis.ports[0].as_written], [&AsWritten::default(); 2]);
    }

    #[test]
    fn a_mount_from_outside_the_worktree_is_pointed_out() {
        let mut raw = raw_postgres_redis();
        let mounts = [
            ("/w/fix-login/src", false),
            ("/w/fix-login2", false),
            ("/etc/localtime", true),
            ("/var/run/docker.sock", false),
            ("/etc/ssl", true),
        ];
        for (path, read_only) in mounts {
            let mount = Mount { read_only, ..Mount::new(path, MountSource::bind(path)) };
            raw.services["redis"].mounts.push(mount);
        }
        let warnings = isolate(&raw, &identity(), &assignments(&raw)).warnings;
        insta::assert_snapshot!(warnings.join("\n"), @"
        service `redis` mounts `/w/fix-login2`, which lies outside the worktree: every environment that mounts it shares it
        service `redis` mounts `/var/run/docker.sock`, which lies outside the worktree: every environment that mounts it shares it
        service `redis` mounts `/etc/ssl`, which lies outside the worktree: every environment reads the same
        ");
    }

    #[test]
    fn the_name_of_a_bridge_is_left_out() {
        let mut raw = raw_postgres_redis();
        raw.networks["default"].driver_opts =
            IndexMap::from([(BRIDGE_NAME.into(), "br-shop".into()), ("a".into(), "b".into())]);
        let isolated = isolate(&raw, &identity(), &assignments(&raw));
        assert_eq!(isolated.project.networks["default"].driver_opts.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(
            isolated.warnings,
            [
                "network `default`: the name `br-shop` of its bridge is left out, for no two environments can have it"
            ]
        );
    }

    #[test]
    fn a_volume_on_a_folder_outside_the_worktree_is_pointed_out() {
        let warnings = |device: &str, kind: &str| {
            let mut raw = raw_postgres_redis();
            let options = [("type", kind), ("o", "bind"), ("device", device)];
            raw.volumes["data"].driver_opts =
                options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            isolate(&raw, &identity(), &assignments(&raw)).warnings
        };
        assert_eq!(
            warnings("/srv/data", "none"),
            ["volume `data` keeps its data at `/srv/data`: every environment that names it shares it"]
        );
        assert_eq!(warnings(":/export", "nfs").len(), 1);
        assert!(warnings("/w/fix-login/data", "none").is_empty());
        assert!(warnings("tmpfs", "tmpfs").is_empty());
    }

    #[test]
    fn a_data_service_gets_no_variables_and_another_gets_those_that_it_lacks() {
        let mut raw = raw_postgres_redis();
        let mut web = service("shop-web", 80);
        web.environment.insert("DATABASE_URL".into(), "mine".into());
        raw.services.insert(ServiceName::new("web").unwrap(), web);
        let mut assignments = assignments(&raw);
        assignments.inside = variables(&raw, &identity(), &[], View::Inside);
        let project = isolate(&raw, &identity(), &assignments).project;
        assert_eq!(project.services["postgres"].environment.len(), 2);
        let web = &project.services["web"].environment;
        assert_eq!(web["DATABASE_URL"], "mine");
        assert_eq!(web["REDIS_URL"], "redis://redis:6379");
    }
}
