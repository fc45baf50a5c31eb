//! Turns a [`NewContainer`] into the body of the Engine's create call. Pure: equal input gives an equal body.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType,
    MountVolumeOptions, NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
    RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum,
};
use envtree_core::plan::NewContainer;
use envtree_core::service::{
    Attachment, HealthCheck, HealthTest, Mount, MountSource, Port, RestartPolicy, RuntimeOptions, Service,
};
use envtree_core::{anonymous, label};
use indexmap::IndexMap;

use crate::error::DockerError;
use crate::version::ApiVersion;

/// Returns the body of the create call for an Engine that speaks `api`.
pub(crate) fn create_body(
    container: &NewContainer,
    api: ApiVersion,
) -> Result<ContainerCreateBody, DockerError> {
    let definition = &container.definition;
    let runtime = &definition.runtime;
    Ok(ContainerCreateBody {
        image: Some(definition.image.clone()),
        hostname: definition.hostname.clone(),
        user: definition.user.clone(),
        working_dir: definition.working_dir.clone(),
        cmd: definition.command.clone(),
        entrypoint: definition.entrypoint.clone(),
        env: list(definition.environment.iter().map(|(name, value)| format!("{name}={value}"))),
        exposed_ports: exposed_ports(definition),
        labels: map(&definition.labels),
        healthcheck: definition.health_check.as_ref().map(|check| health_check(check, api)),
        tty: flag(runtime.tty),
        open_stdin: flag(runtime.stdin_open),
        stop_signal: runtime.stop_signal.clone(),
        stop_timeout: runtime.stop_grace_period.map(whole_seconds),
        networking_config: networking(container),
        host_config: Some(HostConfig {
            network_mode: Some(match &container.network {
                Some((network, _)) => network.clone(),
                None => "none".to_owned(),
            }),
            port_bindings: port_bindings(&definition.ports),
            restart_policy: Some(restart_policy(definition.restart)),
            ..mounts(container, api, host_config(runtime))?
        }),
        ..ContainerCreateBody::default()
    })
}

/// Returns how a container joins a network: under the name of its service, if that is given, and the aliases.
pub(crate) fn endpoint_settings(
    network: &str,
    service: Option<&str>,
    attachment: &Attachment,
) -> EndpointSettings {
    let mut aliases: Vec<String> = service.map(str::to_owned).into_iter().collect();
    for alias in &attachment.aliases {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    // The Engine's own networks resolve no names, and a container with an alias there does not start.
    if ["bridge", "host", "none"].contains(&network) {
        aliases.clear();
    }
    let has_address = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    EndpointSettings {
        aliases: list(aliases),
        ipam_config: has_address.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

fn networking(container: &NewContainer) -> Option<NetworkingConfig> {
    let (network, attachment) = container.network.as_ref()?;
    let settings = endpoint_settings(network, Some(&container.service), attachment);
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network.clone(), settings)])) })
}

fn host_config(runtime: &RuntimeOptions) -> HostConfig {
    HostConfig {
        init: runtime.init,
        privileged: flag(runtime.privileged),
        readonly_rootfs: flag(runtime.read_only),
        cap_add: list(runtime.cap_add.iter().cloned()),
        cap_drop: list(runtime.cap_drop.iter().cloned()),
        security_opt: list(runtime.security_opt.iter().cloned()),
        group_add: list(runtime.group_add.iter().cloned()),
        extra_hosts: list(runtime.extra_hosts.iter().cloned()),
        dns: list(runtime.dns.iter().cloned()),
        dns_search: list(runtime.dns_search.iter().cloned()),
        sysctls: map(&runtime.sysctls),
        ulimits: list(runtime.ulimits.iter().map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })),
        shm_size: runtime.shm_size,
        memory: runtime.mem_limit,
        ..HostConfig::default()
    }
}

/// Returns the exposed ports: those of `expose` and the target of each published one.
fn exposed_ports(definition: &Service) -> Option<Vec<String>> {
    let mut ports: Vec<String> = definition.ports.iter().map(target).collect();
    for port in &definition.expose {
        ports.push(if port.contains('/') { port.clone() } else { format!("{port}/tcp") });
    }
    ports.sort();
    ports.dedup();
    list(ports)
}

fn port_bindings(ports: &[Port]) -> Option<PortMap> {
    let mut bindings = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: port.host_ip.clone(),
            // Without a number the Engine picks one, and picks another after each restart.
            host_port: port.published.map(|published| published.to_string()),
        };
        bindings.entry(target(port)).or_default().get_or_insert_default().push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

fn target(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol.as_str())
}

fn restart_policy(policy: RestartPolicy) -> EngineRestartPolicy {
    let (name, retries) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::OnFailure(retries) => (RestartPolicyNameEnum::ON_FAILURE, retries.map(i64::from)),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    EngineRestartPolicy { name: Some(name), maximum_retry_count: retries }
}

/// What is absent stays the image's: the Engine fills it in, field by field.
fn health_check(check: &HealthCheck, api: ApiVersion) -> HealthConfig {
    HealthConfig {
        test: check.test.as_ref().map(|test| match test {
            HealthTest::None => vec!["NONE".to_owned()],
            HealthTest::Cmd(command) => {
                let mut test = vec!["CMD".to_owned()];
                test.extend(command.iter().cloned());
                test
            }
            HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        }),
        interval: check.interval.map(nanoseconds),
        timeout: check.timeout.map(nanoseconds),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanoseconds),
        start_interval: check.start_interval.filter(|_| api.has_start_interval()).map(nanoseconds),
    }
}

/// Adds the mounts of the definition, and the inherited and the image's volumes that none of them covers, to `config`.
fn mounts(
    container: &NewContainer,
    api: ApiVersion,
    mut config: HostConfig,
) -> Result<HostConfig, DockerError> {
    let mut inherited = container.inherited_volumes.clone();
    let mut mounts = Vec::new();
    let mut binds = Vec::new();
    for mount in &container.definition.mounts {
        let anonymous = inherited.shift_remove(&mount.target);
        match &mount.source {
            MountSource::Volume { volume, nocopy } => {
                mounts.push(match (volume, anonymous) {
                    (Some(key), _) => volume_mount(mount, Some(volume_name(container, key)?), *nocopy, None),
                    (None, inherited @ Some(_)) => volume_mount(mount, inherited, *nocopy, None),
                    (None, None) => unnamed_mount(container, mount, *nocopy),
                });
            }
            MountSource::Bind { path, create_host_path, propagation } => {
                match bind_line(mount, path, propagation.as_deref()) {
                    // Of the two ways to ask for a bind mount, only this older one makes a missing folder on every
                    // Engine; it cannot express a path with a colon.
                    Some(line) if *create_host_path && api < ApiVersion::CREATE_MOUNTPOINT => {
                        binds.push(line);
                    }
                    _ => mounts.push(bind_mount(mount, path, *create_host_path, propagation.as_deref())),
                }
            }
            MountSource::Tmpfs { size, mode } => mounts.push(tmpfs_mount(mount, *size, *mode)),
        }
    }
    mounts.extend(inherited.into_iter().map(|(target, name)| EngineMount {
        target: Some(target),
        source: Some(name),
        typ: Some(MountType::VOLUME),
        ..EngineMount::default()
    }));
    for target in &container.image_volumes {
        if !mounts.iter().any(|mount| mount.target.as_ref() == Some(target)) && !binds_cover(&binds, target) {
            let mount = Mount {
                target: target.clone(),
                read_only: false,
                source: MountSource::Volume { volume: None, nocopy: false },
            };
            mounts.push(unnamed_mount(container, &mount, false));
        }
    }
    config.mounts = list(mounts);
    config.binds = list(binds);
    Ok(config)
}

fn volume_name(container: &NewContainer, key: &str) -> Result<String, DockerError> {
    container.volume_names.get(key).cloned().ok_or_else(|| DockerError::VolumeUnnamed {
        container: container.name.clone(),
        volume: key.to_owned(),
    })
}

fn binds_cover(binds: &[String], target: &str) -> bool {
    binds.iter().any(|bind| bind.split(':').nth(1) == Some(target))
}

/// Mounts a volume that nothing names: one with a name and labels of its own, which the Engine makes on the way.
///
/// Outside a project it has neither.
fn unnamed_mount(container: &NewContainer, mount: &Mount, nocopy: bool) -> EngineMount {
    let labels = &container.definition.labels;
    let project = labels.get(label::COMPOSE_PROJECT);
    let name = project.map(|project| anonymous::volume_name(project, &container.service, &mount.target));
    let labels = project.map(|_| anonymous::volume_labels(labels, &container.service, &mount.target));
    volume_mount(mount, name, nocopy, labels.as_ref().and_then(map))
}

fn volume_mount(
    mount: &Mount,
    source: Option<String>,
    nocopy: bool,
    labels: Option<HashMap<String, String>>,
) -> EngineMount {
    EngineMount {
        source,
        volume_options: (nocopy || labels.is_some()).then(|| MountVolumeOptions {
            no_copy: flag(nocopy),
            labels,
            ..MountVolumeOptions::default()
        }),
        ..plain_mount(mount, MountType::VOLUME)
    }
}

fn bind_mount(mount: &Mount, path: &str, create: bool, propagation: Option<&str>) -> EngineMount {
    let propagation = propagation.and_then(|word| word.parse::<MountBindOptionsPropagationEnum>().ok());
    EngineMount {
        source: Some(path.to_owned()),
        bind_options: (create || propagation.is_some()).then(|| MountBindOptions {
            propagation,
            create_mountpoint: flag(create),
            ..MountBindOptions::default()
        }),
        ..plain_mount(mount, MountType::BIND)
    }
}

/// Returns `path:target:options`, or nothing if a colon in a path would be read as a separator.
fn bind_line(mount: &Mount, path: &str, propagation: Option<&str>) -> Option<String> {
    if path.contains(':') || mount.target.contains(':') {
        return None;
    }
    let access = if mount.read_only { "ro" } else { "rw" };
    let propagation = propagation.map(|word| format!(",{word}")).unwrap_or_default();
    Some(format!("{path}:{}:{access}{propagation}", mount.target))
}

fn tmpfs_mount(mount: &Mount, size: Option<i64>, mode: Option<u32>) -> EngineMount {
    EngineMount {
        tmpfs_options: (size.is_some() || mode.is_some()).then(|| MountTmpfsOptions {
            size_bytes: size,
            mode: mode.map(i64::from),
            ..MountTmpfsOptions::default()
        }),
        ..plain_mount(mount, MountType::TMPFS)
    }
}

fn plain_mount(mount: &Mount, kind: MountType) -> EngineMount {
    EngineMount {
        target: Some(mount.target.clone()),
        typ: Some(kind),
        read_only: flag(mount.read_only),
        ..EngineMount::default()
    }
}

/// Returns nothing for `false`, which is the Engine's own choice for every switch here.
fn flag(value: bool) -> Option<bool> {
    value.then_some(true)
}

fn list<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}

pub(crate) fn map(entries: &IndexMap<String, String>) -> Option<HashMap<String, String>> {
    (!entries.is_empty()).then(|| entries.clone().into_iter().collect())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns the seconds of a duration, rounded up: a grace period must not become none.
fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use envtree_core::name::{ServiceName, VolumeName};

    use super::*;

    const OLD: ApiVersion = ApiVersion::MINIMUM;
    const NEW: ApiVersion = ApiVersion::new(1, 48);

    fn container(source: MountSource) -> NewContainer {
        let data = VolumeName::new("data").unwrap();
        NewContainer {
            name: "shop-db-1".to_owned(),
            service: ServiceName::new("db").unwrap(),
            definition: Service {
                image: "postgres:17".to_owned(),
                environment: [("POSTGRES_DB".to_owned(), "shop".to_owned())].into(),
                expose: vec!["9000".to_owned()],
                health_check: Some(HealthCheck {
                    test: Some(HealthTest::Shell("pg_isready".to_owned())),
                    start_interval: Some(Duration::from_secs(1)),
                    ..HealthCheck::default()
                }),
                mounts: vec![Mount { target: "/data".to_owned(), read_only: false, source }],
                ..Service::default()
            },
            volume_names: [(data, "shop-data".to_owned())].into(),
            network: Some(("shop-default".to_owned(), Attachment::default())),
            inherited_volumes: [("/cache".to_owned(), "a".repeat(64))].into(),
            image_volumes: Vec::new(),
        }
    }

    fn body(source: MountSource, api: ApiVersion) -> String {
        let body = create_body(&container(source), api).unwrap();
        serde_json::to_string_pretty(&body).unwrap()
    }

    fn volume(key: &str) -> MountSource {
        MountSource::Volume { volume: Some(VolumeName::new(key).unwrap()), nocopy: false }
    }

    fn folder() -> MountSource {
        MountSource::Bind { path: "/src".to_owned(), create_host_path: true, propagation: None }
    }

    #[test]
    fn a_definition_becomes_the_body_of_one_request() {
        insta::assert_snapshot!(body(volume("data"), NEW), @r#"
        {
          "ExposedPorts": {
            "9000/tcp": {}
          },
          "Env": [
            "POSTGRES_DB=shop"
          ],
          "Healthcheck": {
            "Test": [
              "CMD-SHELL",
              "pg_isready"
            ],
            "StartInterval": 1000000000
          },
          "Image": "postgres:17",
          "HostConfig": {
            "NetworkMode": "shop-default",
            "RestartPolicy": {
              "Name": "no"
            },
            "Mounts": [
              {
                "Target": "/data",
                "Source": "shop-data",
                "Type": "volume"
              },
              {
                "Target": "/cache",
                "Source": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "Type": "volume"
              }
            ]
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "shop-default": {
                "Aliases": [
                  "db"
                ]
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn a_folder_is_made_in_the_way_that_the_engine_knows() {
        let old = body(folder(), OLD);
        assert!(old.contains("\"/src:/data:rw\""), "{old}");
        assert!(!old.contains("StartInterval"), "{old}");
        let new = body(folder(), NEW);
        assert!(new.contains("\"CreateMountpoint\": true"), "{new}");
        assert!(!new.contains("\"Binds\""), "{new}");
    }

    #[test]
    fn a_volume_without_a_name_is_an_error() {
        let error = create_body(&container(volume("other")), NEW).unwrap_err();
        insta::assert_snapshot!(error, @"container `shop-db-1` mounts volume `other`, which has no name on the Engine");
    }

    #[test]
    fn the_networks_of_the_engine_get_no_aliases() {
        let joins = |network| endpoint_settings(network, Some("db"), &Attachment::default()).aliases;
        assert_eq!(joins("shop-default"), Some(vec!["db".to_owned()]));
        assert_eq!(joins("bridge"), None);
    }

    #[test]
    fn what_nothing_names_gets_a_name_and_labels_of_its_own() {
        let mut container = container(MountSource::Volume { volume: None, nocopy: false });
        container.definition.labels.insert(label::COMPOSE_PROJECT.into(), "shop-fix".into());
        container.inherited_volumes.clear();
        let target = container.definition.mounts[0].target.clone();
        container.image_volumes = vec![target.clone(), "/image".to_owned()];
        let body = create_body(&container, NEW).unwrap();
        let mounts = body.host_config.unwrap().mounts.unwrap();
        let targets: Vec<_> = mounts.iter().map(|mount| mount.target.clone().unwrap()).collect();
        assert_eq!(targets, [target, "/image".to_owned()]);
        for mount in mounts {
            assert!(mount.source.unwrap().starts_with("shop-fix_"));
            let labels = mount.volume_options.unwrap().labels.unwrap();
            assert_eq!(labels[label::COMPOSE_PROJECT], "shop-fix");
        }
    }
}
