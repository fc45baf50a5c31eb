//! Writes a project as a Compose file that Compose itself accepts.
//!
//! Every setting stands in its long form, and `$` is doubled so that Compose fills nothing in. Profiles are left out:
//! what a project holds is active. Equal projects give equal text.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::name::{NetworkName, VolumeName};
use crate::project::{IpamPool, Network, Project, Volume};
use crate::service::{
    Attachment, Dependency, HealthCheck, HealthTest, Mount, MountSource, Port, PullPolicy, RestartPolicy,
    RuntimeOptions, Service,
};

mod emit;

/// Returns `project` as YAML.
pub fn render(project: &Project) -> String {
    emit::emit(&model(project))
}

/// Returns `project` as [`render`] writes it, but for dollar signs, which stand as they are.
pub fn model(project: &Project) -> Value {
    let mut file = Settings::default();
    file.set("name", project.name.as_str());
    file.mapping("services", &project.services, service);
    file.mapping("networks", &project.networks, network);
    file.mapping("volumes", &project.volumes, volume);
    file.into()
}

/// A mapping under construction; what is absent, empty or off is not written.
#[derive(Default)]
struct Settings(Map<String, Value>);

impl Settings {
    /// Sets `key` in any case.
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn some<T: Into<Value>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn on(&mut self, key: &str, value: bool) {
        if value {
            self.set(key, true);
        }
    }

    fn list<T: Clone + Into<Value>>(&mut self, key: &str, items: &[T]) {
        if !items.is_empty() {
            self.set(key, items.to_vec());
        }
    }

    fn mapping<K: ToString, V>(&mut self, key: &str, entries: &IndexMap<K, V>, value: impl Fn(&V) -> Value) {
        let entries: Map<_, _> = entries.iter().map(|(key, entry)| (key.to_string(), value(entry))).collect();
        if !entries.is_empty() {
            self.set(key, entries);
        }
    }
}

impl From<Settings> for Value {
    fn from(settings: Settings) -> Self {
        Self::Object(settings.0)
    }
}

#[expect(clippy::ptr_arg, reason = "`Settings::mapping` hands its entries on as they are")]
fn text(value: &String) -> Value {
    Value::String(value.clone())
}

fn service(service: &Service) -> Value {
    let mut settings = Settings::default();
    settings.set("image", service.image.clone());
    settings.some("platform", service.platform.clone());
    settings.some("pull_policy", service.pull_policy.map(pull_policy));
    settings.some("container_name", service.container_name.clone());
    settings.some("hostname", service.hostname.clone());
    settings.some("entrypoint", service.entrypoint.clone());
    settings.some("command", service.command.clone());
    settings.some("user", service.user.clone());
    settings.some("working_dir", service.working_dir.clone());
    settings.mapping("environment", &service.environment, text);
    settings.list("ports", &service.ports.iter().map(port).collect::<Vec<_>>());
    settings.list("expose", &service.expose);
    settings.list("volumes", &service.mounts.iter().map(mount).collect::<Vec<_>>());
    settings.set("networks", attachments(&service.networks));
    settings.some("healthcheck", service.health_check.as_ref().map(health_check));
    settings.mapping("depends_on", &service.depends_on, dependency);
    settings.some("restart", restart(service.restart));
    settings.mapping("labels", &service.labels, text);
    runtime(&service.runtime, &mut settings);
    settings.into()
}

fn runtime(runtime: &RuntimeOptions, settings: &mut Settings) {
    settings.some("init", runtime.init);
    settings.on("tty", runtime.tty);
    settings.on("stdin_open", runtime.stdin_open);
    settings.on("privileged", runtime.privileged);
    settings.on("read_only", runtime.read_only);
    settings.list("cap_add", &runtime.cap_add);
    settings.list("cap_drop", &runtime.cap_drop);
    settings.list("security_opt", &runtime.security_opt);
    settings.list("group_add", &runtime.group_add);
    let hosts: Vec<String> = runtime.extra_hosts.iter().map(|line| line.replacen(':', "=", 1)).collect();
    settings.list("extra_hosts", &hosts);
    settings.list("dns", &runtime.dns);
    settings.list("dns_search", &runtime.dns_search);
    settings.mapping("sysctls", &runtime.sysctls, text);
    settings.mapping("ulimits", &runtime.ulimits, |limit| json!({"soft": limit.soft, "hard": limit.hard}));
    settings.some("stop_signal", runtime.stop_signal.clone());
    settings.some("stop_grace_period", runtime.stop_grace_period.map(duration));
    settings.some("shm_size", runtime.shm_size.map(|bytes| bytes.to_string()));
    settings.some("mem_limit", runtime.mem_limit.map(|bytes| bytes.to_string()));
}

fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "always",
        PullPolicy::Missing => "missing",
        PullPolicy::Never => "never",
        PullPolicy::Build => "build",
    }
}

fn restart(policy: RestartPolicy) -> Option<String> {
    match policy {
        RestartPolicy::No => None,
        RestartPolicy::Always => Some("always".to_owned()),
        RestartPolicy::UnlessStopped => Some("unless-stopped".to_owned()),
        RestartPolicy::OnFailure(None) => Some("on-failure".to_owned()),
        RestartPolicy::OnFailure(Some(number)) => Some(format!("on-failure:{number}")),
    }
}

fn port(port: &Port) -> Value {
    let mut settings = Settings::default();
    settings.some("name", port.name.clone());
    settings.set("target", port.target);
    settings.some("published", port.published.map(|port| port.to_string()));
    settings.some("host_ip", port.host_ip.clone());
    settings.set("protocol", port.protocol.as_str());
    settings.some("app_protocol", port.app_protocol.clone());
    settings.into()
}

fn mount(mount: &Mount) -> Value {
    let mut settings = Settings::default();
    let mut inner = Settings::default();
    let kind = match &mount.source {
        MountSource::Volume { .. } => "volume",
        MountSource::Bind { .. } => "bind",
        MountSource::Tmpfs { .. } => "tmpfs",
    };
    settings.set("type", kind);
    match &mount.source {
        MountSource::Volume { volume, nocopy } => {
            settings.some("source", volume.as_ref().map(VolumeName::as_str));
            inner.on("nocopy", *nocopy);
        }
        MountSource::Bind { path, create_host_path, propagation } => {
            settings.set("source", path.clone());
            inner.set("create_host_path", *create_host_path);
            inner.some("propagation", propagation.clone());
        }
        MountSource::Tmpfs { size, mode } => {
            inner.some("size", *size);
            inner.some("mode", *mode);
        }
    }
    settings.set("target", mount.target.clone());
    settings.on("read_only", mount.read_only);
    if !inner.0.is_empty() {
        settings.set(kind, inner);
    }
    settings.into()
}

/// Writes how a service joins its networks; priorities keep their order, which Compose does not.
fn attachments(networks: &IndexMap<NetworkName, Attachment>) -> Map<String, Value> {
    let priorities = (0..networks.len()).rev();
    networks
        .iter()
        .zip(priorities)
        .map(|((name, attachment), priority)| {
            let mut settings = Settings::default();
            settings.list("aliases", &attachment.aliases);
            settings.some("ipv4_address", attachment.ipv4_address.clone());
            settings.some("ipv6_address", attachment.ipv6_address.clone());
            settings.some("priority", (priority > 0).then_some(priority));
            let value = if settings.0.is_empty() { Value::Null } else { settings.into() };
            (name.to_string(), value)
        })
        .collect()
}

fn health_check(check: &HealthCheck) -> Value {
    let mut settings = Settings::default();
    let test = check.test.as_ref().map(|test| match test {
        HealthTest::None => vec!["NONE".to_owned()],
        HealthTest::Cmd(words) => std::iter::once("CMD").map(str::to_owned).chain(words.clone()).collect(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    });
    settings.some("test", test);
    settings.some("interval", check.interval.map(duration));
    settings.some("timeout", check.timeout.map(duration));
    settings.some("retries", check.retries);
    settings.some("start_period", check.start_period.map(duration));
    settings.some("start_interval", check.start_interval.map(duration));
    settings.into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "`Settings::mapping` hands its entries on as they are")]
fn dependency(how: &Dependency) -> Value {
    let mut settings = Settings::default();
    settings.set("condition", how.condition.as_str());
    settings.set("required", how.required);
    settings.on("restart", how.restart);
    settings.into()
}

/// Writes a time in the largest unit that it is a whole number of.
fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
        .into_iter()
        .find(|(unit, _)| nanoseconds.is_multiple_of(*unit))
        .map_or_else(
            || format!("{nanoseconds}ns"),
            |(unit, suffix)| format!("{}{suffix}", nanoseconds / unit),
        )
}

fn network(network: &Network) -> Value {
    let mut settings = Settings::default();
    settings.some("name", network.name.clone());
    if network.external {
        settings.set("external", true);
        return settings.into();
    }
    settings.some("driver", network.driver.clone());
    settings.mapping("driver_opts", &network.driver_opts, text);
    settings.on("internal", network.internal);
    settings.on("attachable", network.attachable);
    settings.on("enable_ipv6", network.enable_ipv6);
    if !network.ipam.is_empty() {
        let pools: Vec<Value> = network.ipam.iter().map(pool).collect();
        settings.set("ipam", json!({ "config": pools }));
    }
    settings.mapping("labels", &network.labels, text);
    settings.into()
}

fn pool(pool: &IpamPool) -> Value {
    let mut settings = Settings::default();
    settings.some("subnet", pool.subnet.clone());
    settings.some("ip_range", pool.ip_range.clone());
    settings.some("gateway", pool.gateway.clone());
    settings.into()
}

fn volume(volume: &Volume) -> Value {
    let mut settings = Settings::default();
    settings.some("name", volume.name.clone());
    if volume.external {
        settings.set("external", true);
        return settings.into();
    }
    settings.some("driver", volume.driver.clone());
    settings.mapping("driver_opts", &volume.driver_opts, text);
    settings.mapping("labels", &volume.labels, text);
    settings.into()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::lower::{LowerOptions, lower};
    use super::super::testing::node;
    use super::*;
    use crate::name::ProjectName;

    const EVERYTHING: &str = r#"
services:
  web:
    image: registry.example/web:1@sha256:abc
    command: sh -c 'echo "$HOME"'
    entrypoint: []
    environment: {A: '1', B: "two\nlines", C: 'yes', D: '', E: $pent}
    ports: ['127.0.0.1:8080:80', '[::1]::53/udp']
    expose: ['90']
    volumes: ['data:/data', './src:/src:ro,rslave', /anon]
    tmpfs: /run:size=1m,mode=1777
    networks: {back: null, front: {priority: 1, aliases: [www]}}
    healthcheck: {test: [CMD, curl, -f, x], interval: 1m30s, timeout: 1.5s, retries: 3}
    depends_on: {db: {condition: service_healthy, restart: true}}
    restart: on-failure:3
    labels: {traefik.enable: 'true'}
    user: '1000'
    init: true
    extra_hosts: [v6=::1]
    ulimits: {nofile: {soft: 5, hard: 6}}
    sysctls: {net.core.somaxconn: 1024}
    mem_limit: 64m
    stop_grace_period: 10s
  db: {image: postgres, healthcheck: {disable: true}}
volumes: {data: {driver_opts: {type: nfs}}}
networks:
  front: {external: true, name: real}
  back: {internal: true, ipam: {config: [{subnet: 10.1.0.0/24}]}}
"#;

    fn project(yaml: &str) -> Project {
        let options = LowerOptions {
            name: ProjectName::new("shop").unwrap(),
            working_dir: "/w",
            home: None,
            profiles: &[],
            lookup: &|_| None,
            read_env_file: &|_| Ok(None),
        };
        lower(&node(yaml), &options).unwrap().project
    }

    /// Returns what is written of [`EVERYTHING`] before and after the networks of the service.
    fn halves() -> (String, String) {
        let text = render(&project(EVERYTHING));
        let at = text.find("    networks:").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    }

    #[test]
    fn every_setting_is_written_in_its_long_form() {
        assert_snapshot!(halves().0, @r#"
        name: shop
        services:
          web:
            image: registry.example/web:1@sha256:abc
            entrypoint: []
            command:
              - sh
              - -c
              - "echo \"$$HOME\""
            user: "1000"
            environment:
              A: "1"
              B: "two\nlines"
              C: "yes"
              D: ""
              E: $$pent
            ports:
              - target: 80
                published: "8080"
                host_ip: "127.0.0.1"
                protocol: tcp
              - target: 53
                host_ip: "::1"
                protocol: udp
            expose:
              - "90"
            volumes:
              - type: volume
                source: data
                target: /data
              - type: bind
                source: /w/src
                target: /src
                read_only: true
                bind:
                  create_host_path: true
                  propagation: rslave
              - type: volume
                target: /anon
              - type: tmpfs
                target: /run
                tmpfs:
                  size: 1048576
                  mode: 1023
        "#);
    }

    #[test]
    fn networks_and_volumes_follow_the_services() {
        assert_snapshot!(halves().1, @r#"
            networks:
              front:
                aliases:
                  - www
                priority: 1
              back: null
            healthcheck:
              test:
                - CMD
                - curl
                - -f
                - x
              interval: "90s"
              timeout: "1500ms"
              retries: 3
            depends_on:
              db:
                condition: service_healthy
                required: true
                restart: true
            restart: on-failure:3
            labels:
              traefik.enable: "true"
            init: true
            extra_hosts:
              - v6=::1
            sysctls:
              net.core.somaxconn: "1024"
            ulimits:
              nofile:
                soft: 5
                hard: 6
            stop_grace_period: "10s"
            mem_limit: "67108864"
          db:
            image: postgres
            networks:
              default: null
            healthcheck:
              test:
                - NONE
        networks:
          front:
            name: real
            external: true
          back:
            internal: true
            ipam:
              config:
                - subnet: "10.1.0.0/24"
          default: {}
        volumes:
          data:
            driver_opts:
              type: nfs
        "#);
    }

    #[test]
    fn what_is_written_reads_as_the_same_project() {
        let before = project(EVERYTHING);
        // Compose makes one dollar of two before it lowers.
        let after = project(&render(&before).replace("$$", "$"));
        assert_eq!(before, after);
    }
}
