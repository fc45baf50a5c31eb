//! Writes a project as a Compose file that Compose itself accepts, in the words that `docker compose config` has for it.
//!
//! Every setting stands in its long form, and `$` is doubled so that Compose fills nothing in. Equal projects give equal
//! text.

use indexmap::IndexMap;
use serde_json::Value;

use crate::project::{FileObject, Project};
use crate::service::{
    Dependency, Develop, Grant, HealthCheck, HealthTest, Hook, Port, PullPolicy, RestartPolicy, Service,
};
pub(super) use settings::duration;
use settings::{Settings, text};

mod build;
mod deploy;
mod emit;
mod mount;
mod network;
mod runtime;
mod settings;

/// Returns `project` as YAML.
pub fn render(project: &Project) -> String {
    emit::emit(&model(project))
}

/// Returns `project` as [`render`] writes it, but for dollar signs, which stand as they are.
pub fn model(project: &Project) -> Value {
    let own_name = |key: &str| project.name.object(key);
    let mut file = Settings::default();
    file.set("name", project.name.as_str());
    file.mapping("services", &project.services, service);
    file.named("networks", &project.networks, |key, network| network::network(network, key, &own_name(key)));
    file.named("volumes", &project.volumes, |key, volume| network::volume(volume, key, &own_name(key)));
    file.named("configs", &project.configs, |key, object| file_object(object, key, &own_name(key)));
    file.named("secrets", &project.secrets, |key, object| file_object(object, key, &own_name(key)));
    file.into()
}

fn service(service: &Service) -> Value {
    let mut settings = Settings::default();
    settings.some("image", Some(&service.image).filter(|image| !image.is_empty()).cloned());
    settings.some("build", service.build.as_ref().map(build::build));
    settings.some("platform", service.platform.clone());
    settings.some("pull_policy", service.pull_policy.map(pull_policy));
    settings.list("profiles", &service.profiles);
    settings.some("scale", service.scale);
    // Several containers are named by their numbers.
    let are_several = service.replicas() > 1;
    settings.some("container_name", service.container_name.clone().filter(|_| !are_several));
    settings.some("hostname", service.hostname.clone());
    settings.some("entrypoint", service.entrypoint.clone());
    settings.some("command", service.command.clone());
    settings.some("user", service.user.clone());
    settings.some("working_dir", service.working_dir.clone());
    settings.some("environment", environment(&service.environment, &service.unset));
    let ports = service.ports.iter().enumerate();
    let further = |index| service.further.iter().filter_map(move |replica| replica.published[index]);
    settings.list("ports", &ports.map(|(index, entry)| port(entry, further(index))).collect::<Vec<_>>());
    settings.list("expose", &service.expose);
    settings.list("volumes", &service.mounts.iter().map(mount::mount).collect::<Vec<_>>());
    settings.list("volumes_from", &service.volumes_from);
    settings.list("configs", &grants(&service.configs, None));
    settings.list("secrets", &grants(&service.secrets, Some("/run/secrets/")));
    settings.some("network_mode", service.network_mode.clone());
    settings.mapping("networks", &service.networks, network::attachment);
    settings.list("links", &service.links);
    settings.list("external_links", &service.external_links);
    settings.some("healthcheck", service.health_check.as_ref().map(health_check));
    settings.mapping("depends_on", &service.depends_on, dependency);
    settings.some("restart", restart(service.restart));
    settings.mapping("labels", &service.labels, text);
    runtime::runtime(&service.runtime, &mut settings);
    settings.mapping("credential_spec", &service.credential_spec, text);
    settings.some("deploy", service.deploy.as_ref().map(deploy::deploy));
    settings.some("develop", service.develop.as_ref().map(develop));
    settings.some("attach", service.attach);
    settings.list("post_start", &service.post_start.iter().map(hook).collect::<Vec<_>>());
    settings.list("pre_stop", &service.pre_stop.iter().map(hook).collect::<Vec<_>>());
    settings.as_written(&service.as_written);
    settings.into()
}

/// Writes variables; one without a value takes the caller's.
fn environment(set: &IndexMap<String, String>, unset: &[String]) -> Option<Settings> {
    let mut settings = Settings::default();
    for (name, value) in set {
        settings.set(name, value.clone());
    }
    for name in unset {
        settings.set(name, Value::Null);
    }
    (!settings.is_empty()).then_some(settings)
}

fn pull_policy(policy: PullPolicy) -> String {
    match policy {
        PullPolicy::Always => "always".into(),
        PullPolicy::Missing => "missing".into(),
        PullPolicy::Never => "never".into(),
        PullPolicy::Build => "build".into(),
        PullPolicy::Every(time) => format!("every_{}", duration(time)),
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

/// Writes a port; `further` are the host ports of the containers after the first, which Compose can only say as a range.
fn port(port: &Port, further: impl Iterator<Item = u16>) -> Value {
    let mut settings = Settings::default();
    let all: Vec<u16> = port.published.into_iter().chain(further).collect();
    let is_range = all.windows(2).all(|pair| pair[1].checked_sub(1) == Some(pair[0]));
    let last = all.last().copied().filter(|last| is_range && Some(*last) != port.published);
    let published = port.published.map(|first| match port.published_last.or(last) {
        Some(last) => format!("{first}-{last}"),
        None => first.to_string(),
    });
    let published = published.or_else(|| port.writes_zero.then(|| "0".to_owned()));
    settings.some("name", port.name.clone());
    settings.set("mode", port.mode.as_deref().unwrap_or("ingress"));
    settings.set("target", port.target);
    settings.some("published", published);
    settings.some("host_ip", port.host_ip.clone());
    settings.set("protocol", port.protocol.as_str());
    settings.some("app_protocol", port.app_protocol.clone());
    settings.as_written(&port.as_written);
    if all.len() > 1 {
        settings.list("x-envtree-published", &all.iter().map(u16::to_string).collect::<Vec<_>>());
    }
    settings.into()
}

/// Writes what a service is given; one without a target goes into `folder`, if that is written out.
fn grants(grants: &[Grant], folder: Option<&str>) -> Vec<Value> {
    let write = |grant: &Grant| {
        let mut settings = Settings::default();
        let default = folder.map(|folder| format!("{folder}{}", grant.source));
        settings.set("source", grant.source.clone());
        settings.some("target", grant.target.clone().or(default).filter(|target| !target.is_empty()));
        settings.some("uid", grant.uid.clone());
        settings.some("gid", grant.gid.clone());
        settings.some("mode", grant.mode);
        settings.as_written(&grant.as_written);
        settings.into()
    };
    grants.iter().map(write).collect()
}

fn file_object(object: &FileObject, key: &str, own_name: &str) -> Value {
    let mut settings = Settings::default();
    settings.name(object.name.as_deref(), object.external, key, own_name);
    settings.on("external", object.external);
    settings.some("file", object.file.clone());
    settings.some("environment", object.environment.clone());
    settings.some("content", object.content.clone().filter(|text| !text.is_empty()));
    settings.mapping("labels", &object.labels, text);
    settings.some("driver", object.driver.clone());
    settings.mapping("driver_opts", &object.driver_opts, text);
    settings.some("template_driver", object.template_driver.clone());
    settings.into()
}

fn health_check(check: &HealthCheck) -> Value {
    let mut settings = Settings::default();
    let test = check.test.as_ref().map(|test| match test {
        HealthTest::None => vec!["NONE".to_owned()],
        HealthTest::Cmd(words) => std::iter::once("CMD").map(str::to_owned).chain(words.clone()).collect(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        HealthTest::Other(words) => words.clone(),
    });
    settings.some("test", test);
    settings.some("interval", check.interval.map(duration));
    settings.some("timeout", check.timeout.map(duration));
    settings.some("retries", check.retries);
    settings.some("start_period", check.start_period.map(duration));
    settings.some("start_interval", check.start_interval.map(duration));
    settings.as_written(&check.as_written);
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

fn hook(hook: &Hook) -> Value {
    let mut settings = Settings::default();
    settings.some("command", Some(&hook.command).filter(|words| !words.is_empty()).cloned());
    settings.some("user", hook.user.clone());
    settings.on("privileged", hook.privileged);
    settings.some("working_dir", hook.working_dir.clone());
    settings.some("environment", environment(&hook.environment, &hook.unset));
    settings.into()
}

fn develop(develop: &Develop) -> Value {
    let mut settings = Settings::default();
    let watched = develop.watch.iter().map(|watch| {
        let mut settings = Settings::default();
        settings.set("path", watch.path.clone());
        settings.set("action", watch.action.clone());
        settings.some("target", watch.target.clone());
        settings.some("exec", watch.exec.as_ref().map(hook));
        settings.list("ignore", &watch.ignore);
        settings.list("include", &watch.include);
        settings.on("initial_sync", watch.initial_sync);
        Value::from(settings)
    });
    settings.list("watch", &watched.collect::<Vec<_>>());
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
            wanted: None,
            missing: &|_| String::new(),
            lookup: &|_| None,
            read_env_file: &|_| Ok(None),
            read_text: &|_| Ok(None),
        };
        lower(&node(yaml), &options).unwrap().project
    }

    /// Returns what is written of [`EVERYTHING`]: services, before and from the networks of the first, and the rest.
    fn thirds() -> (String, String, String) {
        let text = render(&project(EVERYTHING));
        let (service, end) = (text.find("    networks:").unwrap(), text.find("\nnetworks:").unwrap());
        (text[..service].to_owned(), text[service..=end].to_owned(), text[end + 1..].to_owned())
    }

    #[test]
    fn every_setting_is_written_in_its_long_form() {
        assert_snapshot!(thirds().0, @r#"
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
              - mode: ingress
                target: 80
                published: "8080"
                host_ip: "127.0.0.1"
                protocol: tcp
              - mode: ingress
                target: 53
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
        "#);
    }

    #[test]
    fn settings_of_every_kind_are_written() {
        assert_snapshot!(thirds().1, @r#"
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
              interval: "1m30s"
              timeout: "1.5s"
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
            tmpfs:
              - "/run:size=1m,mode=1777"
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
        "#);
    }

    #[test]
    fn networks_and_volumes_bear_their_names() {
        assert_snapshot!(thirds().2, @r#"
        networks:
          front:
            name: real
            external: true
          back:
            name: shop_back
            internal: true
            ipam:
              config:
                - subnet: "10.1.0.0/24"
          default:
            name: shop_default
        volumes:
          data:
            name: shop_data
            driver_opts:
              type: nfs
        "#);
    }

    #[test]
    fn what_is_written_reads_as_the_same_project() {
        let before = project(EVERYTHING);
        // Compose makes one dollar of two before it lowers.
        let after = project(&render(&before).replace("$$", "$"));
        // The names of networks and volumes are written out.
        assert_eq!(before.services, after.services);
        assert_eq!(render(&before), render(&after));
    }
}
