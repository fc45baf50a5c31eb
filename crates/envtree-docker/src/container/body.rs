//! Turns a [`NewContainer`] into the body of the Engine's create call. Pure: equal input gives an equal body.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, PortBinding, PortMap,
    RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum,
};
use envtree_core::one_off::Ended;
use envtree_core::plan::NewContainer;
use envtree_core::service::{HealthCheck, HealthTest, Port, RestartPolicy, Service};
use indexmap::IndexMap;

use crate::container::endpoint::networking;
use crate::container::limits::limits;
use crate::container::mount::mounts;
use crate::container::options::host_config;
use crate::error::DockerError;
use crate::version::ApiVersion;

/// Returns the body of the create call for an Engine that speaks `api`.
pub(crate) fn create_body(
    container: &NewContainer,
    api: ApiVersion,
) -> Result<ContainerCreateBody, DockerError> {
    let definition = &container.definition;
    let runtime = &definition.runtime;
    let ended = Ended::of_labels(&definition.labels);
    Ok(ContainerCreateBody {
        image: Some(definition.image.clone()),
        hostname: definition.hostname.clone(),
        domainname: runtime.domainname.clone(),
        user: definition.user.clone(),
        working_dir: definition.working_dir.clone(),
        cmd: definition.command.clone(),
        entrypoint: definition.entrypoint.clone(),
        env: list(environment(definition)),
        exposed_ports: exposed_ports(definition),
        labels: map(&definition.labels),
        healthcheck: definition.health_check.as_ref().map(|check| health_check(check, api)),
        tty: flag(runtime.tty),
        open_stdin: flag(runtime.stdin_open),
        // The end of the person's input is that of the command's, for one that somebody is attached to.
        attach_stdin: flag(runtime.stdin_open && ended.is_some()),
        stdin_once: flag(runtime.stdin_open && ended.is_some()),
        stop_signal: runtime.stop_signal.clone(),
        stop_timeout: runtime.stop_grace_period.map(|time| match whole_seconds(time) {
            seconds if runtime.stop_grace_is_negative => -seconds.max(1),
            seconds => seconds,
        }),
        networking_config: networking(container, api)?,
        host_config: Some(HostConfig {
            network_mode: Some(network_mode(container)),
            links: list(definition.links.iter().cloned()),
            volumes_from: list(definition.volumes_from.iter().cloned()),
            port_bindings: port_bindings(&definition.ports),
            restart_policy: Some(restart_policy(definition)),
            auto_remove: flag(ended == Some(Ended::RemovedByEngine)),
            ..mounts(container, api, limits(definition, host_config(&container.service, runtime, api)?))?
        }),
        ..ContainerCreateBody::default()
    })
}

fn network_mode(container: &NewContainer) -> String {
    match (&container.definition.network_mode, &container.network) {
        (Some(mode), _) => mode.clone(),
        (None, Some((network, _))) => network.clone(),
        (None, None) => "none".to_owned(),
    }
}

/// Returns variables as `NAME=value`; a name alone takes the image's variable away.
fn environment(definition: &Service) -> impl Iterator<Item = String> {
    let set = definition.environment.iter().map(|(name, value)| format!("{name}={value}"));
    set.chain(definition.unset.iter().cloned())
}

/// Returns the exposed ports: those of `expose` and the target of each published one.
fn exposed_ports(definition: &Service) -> Option<Vec<String>> {
    let mut ports: Vec<String> = definition.ports.iter().map(target).collect();
    ports.extend(definition.expose.iter().flat_map(|port| spread(port)));
    ports.sort();
    ports.dedup();
    list(ports)
}

/// Returns each port of `first[-last][/protocol]` as the Engine writes it.
fn spread(exposed: &str) -> Vec<String> {
    let (range, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => {
            (first..=last).map(|port| format!("{port}/{}", protocol.to_lowercase())).collect()
        }
        _ => Vec::new(),
    }
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

/// Returns the policy of `deploy`, if it has one, and else that of `restart`.
fn restart_policy(definition: &Service) -> EngineRestartPolicy {
    let deployed = definition.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    let policy = match deployed.map(|policy| (policy.condition.as_deref(), policy.max_attempts)) {
        None => definition.restart,
        Some((Some("none" | "no"), _)) => RestartPolicy::No,
        Some((Some("on-failure"), attempts)) => RestartPolicy::OnFailure(attempts),
        Some((Some("unless-stopped"), _)) => RestartPolicy::UnlessStopped,
        Some(_) => RestartPolicy::Always,
    };
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
            HealthTest::Other(words) => words.clone(),
        }),
        interval: check.interval.map(nanoseconds),
        timeout: check.timeout.map(nanoseconds),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanoseconds),
        start_interval: check.start_interval.filter(|_| api.has_start_interval()).map(nanoseconds),
    }
}

/// Returns nothing for `false`, which is the Engine's own choice for every switch here.
pub(crate) fn flag(value: bool) -> Option<bool> {
    value.then_some(true)
}

pub(crate) fn list<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
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
    use envtree_core::label;
    use envtree_core::name::{ServiceName, VolumeName};
    use envtree_core::service::{Attachment, Mount, MountSource};

    use super::*;
    use crate::container::endpoint::endpoint_settings;

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
                mounts: vec![Mount::new("/data", source)],
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
        MountSource::volume(Some(VolumeName::new(key).unwrap()))
    }

    fn folder() -> MountSource {
        MountSource::bind("/src")
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
    fn a_folder_without_what_lies_below_is_mounted_so_on_every_engine() {
        let mut mount = folder();
        if let MountSource::Bind { options, .. } = &mut mount {
            options.recursive = Some("disabled".into());
        }
        for api in [OLD, NEW] {
            let body = body(mount.clone(), api);
            assert!(body.contains("\"NonRecursive\": true") && !body.contains("\"Binds\""), "{body}");
        }
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
        let mut container = container(MountSource::volume(None));
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
