//! One entry of `services`.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::Scope;
use super::build::lower_build;
use super::depends_on::lower_dependencies;
use super::deploy::{lower_deploy, lower_scale};
use super::environment::{lower_environment, lower_labels};
use super::grant::{Kind, lower_grants};
use super::health_check::lower_health_check;
use super::hook::{lower_develop, lower_hooks};
use super::mount::lower_mounts;
use super::network::lower_attachments;
use super::port::{lower_expose, lower_ports};
use super::quantity::parse_duration;
use super::reports::Reports;
use super::runtime::lower_runtime;
use super::section::Section;
use super::unknown::Keys;
use super::words::split_words;
use crate::compose_file::node::{Node, Value};
use crate::service::{AsWritten, PullPolicy, RestartPolicy, Service};

const KEYS: Keys = Keys {
    read: &[
        "annotations",
        "attach",
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "command",
        "configs",
        "container_name",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpus",
        "cpuset",
        "credential_spec",
        "depends_on",
        "deploy",
        "develop",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "external_links",
        "extra_hosts",
        "gpus",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "isolation",
        "label_file",
        "labels",
        "links",
        "logging",
        "mac_address",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "network_mode",
        "networks",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "post_start",
        "pre_stop",
        "privileged",
        "profiles",
        "pull_policy",
        "pull_refresh_after",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "userns_mode",
        "uts",
        "volumes",
        "volumes_from",
        "working_dir",
    ],
    ignored: &[],
    refused: &[
        ("extends", "the service was not merged with the one that it extends"),
        ("models", "only Docker Model Runner runs models"),
        (
            "pre_start",
            "let a service of its own do it, with `depends_on` and `service_completed_successfully`",
        ),
        ("provider", "envtree runs containers only"),
        ("use_api_socket", "mount the socket of the Engine under `volumes` instead"),
    ],
};
const CREDENTIAL_KEYS: Keys = Keys { read: &["config", "file", "registry"], ignored: &[], refused: &[] };
/// What only an Engine on Windows does.
const WINDOWS: [&str; 3] = ["cpu_count", "cpu_percent", "credential_spec"];

/// Returns the service that `node` describes.
pub(super) fn lower_service(
    name: &str,
    node: &Node,
    scope: &Scope<'_>,
    reports: &Reports,
) -> Option<Service> {
    let section = Section::new(node, format!("service `{name}`: "), &KEYS, reports)?;
    let (environment, unset) = lower_environment(&section, scope.options);
    let mut service = Service {
        image: lower_image(&section),
        build: lower_build(&section, scope),
        command: lower_line(&section, "command"),
        entrypoint: lower_line(&section, "entrypoint"),
        environment,
        given: IndexMap::new(),
        unset,
        ports: lower_ports(&section),
        expose: lower_expose(&section),
        mounts: lower_mounts(&section, scope),
        volumes_from: section.texts("volumes_from"),
        configs: lower_grants(&section, Kind::Config, scope),
        secrets: lower_grants(&section, Kind::Secret, scope),
        networks: lower_attachments(&section, scope),
        network_mode: section.text("network_mode"),
        links: section.texts("links"),
        external_links: section.texts("external_links"),
        health_check: lower_health_check(&section),
        depends_on: lower_dependencies(&section, scope),
        restart: lower_restart(&section),
        labels: lower_labels(&section, scope.options),
        user: section.text("user"),
        working_dir: section.text("working_dir"),
        container_name: section.text("container_name"),
        hostname: section.text("hostname"),
        pull_policy: lower_pull_policy(&section),
        platform: section.text("platform"),
        profiles: lower_profiles(&section),
        scale: lower_scale(&section),
        further: Arc::default(),
        deploy: lower_deploy(&section),
        develop: lower_develop(&section, scope.options),
        attach: section.boolean("attach"),
        credential_spec: lower_credentials(&section),
        post_start: lower_hooks(&section, "post_start", scope.options),
        pre_stop: lower_hooks(&section, "pre_stop", scope.options),
        runtime: lower_runtime(&section, scope.options),
        as_written: AsWritten::default(),
    };
    service.as_written = section.shown();
    check_agreement(&section, &service);
    fill_replicas(&mut service);
    check_name(&section, &service);
    Some(service)
}

/// Returns what only Windows heeds, with a warning about it and its like.
fn lower_credentials(section: &Section<'_>) -> IndexMap<String, String> {
    for key in WINDOWS {
        if let (Some(entry), Some(_)) = (section.entries().get(key), section.node(key)) {
            section
                .warn(&entry.key_place, format!("`{key}` has no effect: only an Engine on Windows knows it"));
        }
    }
    section.child("credential_spec", &CREDENTIAL_KEYS);
    if section.node("credential_spec").is_some() {
        let mut credentials = section.labels("credential_spec");
        credentials.retain(|_, value| !value.is_empty());
        credentials
    } else {
        IndexMap::new()
    }
}

/// Reports a name that several containers would have.
fn check_name(section: &Section<'_>, service: &Service) {
    let key = if service.scale.is_some() { "scale" } else { "deploy.replicas" };
    let name = section.entries().get("container_name").filter(|_| service.container_name.is_some());
    if let (Some(entry), 2..) = (name, service.replicas()) {
        section.error(
            &entry.key_place,
            format!(
                "`container_name` and `{key}: {}` exclude each other: no two containers have one name",
                service.replicas()
            ),
        );
    }
}

/// Lets `deploy` have what `scale` says, as Compose does.
fn fill_replicas(service: &mut Service) {
    if let Some(deploy) = &mut service.deploy {
        if let (None, Some(scale)) = (deploy.as_written.value("replicas"), service.as_written.value("scale"))
        {
            deploy.as_written.set("replicas", scale.clone());
        }
        deploy.replicas = deploy.replicas.or(service.scale);
    }
}

/// Reports what is said twice, in two ways.
fn check_agreement(section: &Section<'_>, service: &Service) {
    let Some(deploy) = &service.deploy else {
        return;
    };
    let limits = &service.runtime.limits;
    let limited = deploy.resources.limits.clone();
    let reserved = deploy.resources.reservations.clone();
    let differ = |key: &str, other: &str, differs: bool| {
        if let (Some(entry), true) = (section.entries().get(key), differs) {
            section.error(&entry.key_place, format!("`{key}` and `deploy.{other}` say different things"));
        }
    };
    let (scale, replicas) = (service.as_written.value("scale"), deploy.as_written.value("replicas"));
    let differs = (service.scale, scale) != (deploy.replicas, replicas);
    differ("scale", "replicas", (deploy.replicas.is_some() || replicas.is_some()) && differs);
    if let Some(limited) = limited {
        differ("cpus", "resources.limits.cpus", limits.cpus.is_some() && limits.cpus != limited.cpus);
        let memory = limits.mem_limit;
        differ("mem_limit", "resources.limits.memory", memory.is_some() && memory != limited.memory);
        let pids = limits.pids_limit;
        differ("pids_limit", "resources.limits.pids", pids.is_some() && pids != limited.pids);
    }
    if let Some(reserved) = reserved {
        let memory = limits.mem_reservation;
        let differs = memory.is_some() && memory != reserved.memory;
        differ("mem_reservation", "resources.reservations.memory", differs);
    }
}

fn lower_image(section: &Section<'_>) -> String {
    let image = section.text("image");
    if image.is_none() && section.node("build").is_none() && section.node("provider").is_none() {
        match section.node("image") {
            Some(node) => section.error(&node.place, "`image` is empty, and there is no `build`"),
            None => section.error(section.place, "`image` and `build` are missing: one of them is needed"),
        }
    }
    image.unwrap_or_default()
}

/// Returns a command: a list as it is, a text split into words.
pub(super) fn lower_line(section: &Section<'_>, key: &str) -> Option<Vec<String>> {
    let node = section.node(key)?;
    if let Value::List(_) = node.value {
        return Some(section.texts(key));
    }
    let expected = "a list, or a text whose quotes are closed and whose parentheses are quoted";
    let split = section.parsed_node(key, node, expected, split_words)?;
    if let Some(operator) = split.cut_at {
        section.warn(
            &node.place,
            format!(
                "{} ends at the first `{operator}`, for no shell reads it; write `sh -c '…'` for one that does",
                section.name(key)
            ),
        );
    }
    Some(split.words)
}

fn lower_restart(section: &Section<'_>) -> RestartPolicy {
    let expected = "`no`, `always`, `unless-stopped` or `on-failure[:number]`";
    let policy = section.parsed_or_shown("restart", expected, |text| match text {
        // YAML readers of old take a bare `no` for a boolean.
        "no" | "false" | "" => Some(RestartPolicy::No),
        "always" => Some(RestartPolicy::Always),
        "unless-stopped" => Some(RestartPolicy::UnlessStopped),
        "on-failure" => Some(RestartPolicy::OnFailure(None)),
        _ => {
            let number = text.strip_prefix("on-failure:")?;
            Some(RestartPolicy::OnFailure(Some(number.parse().ok()?)))
        }
    });
    if let (Some(RestartPolicy::OnFailure(Some(number))), Some(text)) = (policy, section.text("restart")) {
        section.show_written("restart", text, &format!("on-failure:{number}"));
    }
    policy.unwrap_or_default()
}

fn lower_pull_policy(section: &Section<'_>) -> Option<PullPolicy> {
    const DAY: u64 = 24 * 60 * 60;
    let expected =
        "`always`, `missing`, `never`, `build`, `daily`, `weekly` or `every_<time>` such as `every_12h`";
    let after = section.duration("pull_refresh_after");
    section.parsed_text("pull_policy", expected, |text| {
        Some(match text {
            "always" => PullPolicy::Always,
            "missing" | "if_not_present" => PullPolicy::Missing,
            "never" => PullPolicy::Never,
            "build" => PullPolicy::Build,
            "daily" => PullPolicy::Every(Duration::from_secs(DAY)),
            "weekly" => PullPolicy::Every(Duration::from_secs(7 * DAY)),
            "refresh" => after.map_or(PullPolicy::Missing, PullPolicy::Every),
            _ => PullPolicy::Every(parse_duration(text.strip_prefix("every_")?)?),
        })
    })
}
/// Returns the profiles; as in Compose, a single one stands in a list too.
fn lower_profiles(section: &Section<'_>) -> Vec<String> {
    let texts = section.items("profiles").iter().filter_map(|item| {
        section.parsed_node("profiles", item, "a list of texts", |text| Some(text.to_owned()))
    });
    texts.collect()
}
