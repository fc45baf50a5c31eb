//! One entry of `services`.

use super::Scope;
use super::depends_on::lower_dependencies;
use super::environment::{lower_environment, lower_labels};
use super::health_check::lower_health_check;
use super::mount::lower_mounts;
use super::network::lower_attachments;
use super::port::{lower_expose, lower_ports};
use super::runtime::lower_runtime;
use super::section::{Reports, Section, scalar};
use super::unknown::Keys;
use super::words::split_words;
use crate::compose_file::node::{Node, Value};
use crate::service::{PullPolicy, RestartPolicy, Service};

const KEYS: Keys = Keys {
    read: &[
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "container_name",
        "depends_on",
        "deploy",
        "dns",
        "dns_search",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extra_hosts",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "label_file",
        "labels",
        "links",
        "mem_limit",
        "networks",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "scale",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "volumes",
        "working_dir",
    ],
    ignored: &[
        "annotations",
        "attach",
        "blkio_config",
        "cgroup_parent",
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
        "develop",
        "dns_opt",
        "domainname",
        "isolation",
        "logging",
        "mac_address",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "oom_kill_disable",
        "oom_score_adj",
        "pids_limit",
        "pull_refresh_after",
        "storage_opt",
    ],
    refused: &[
        "cgroup",
        "configs",
        "device_cgroup_rules",
        "devices",
        "extends",
        "external_links",
        "gpus",
        "ipc",
        "models",
        "network_mode",
        "pid",
        "post_start",
        "pre_start",
        "pre_stop",
        "provider",
        "runtime",
        "secrets",
        "use_api_socket",
        "userns_mode",
        "uts",
        "volumes_from",
    ],
};
const DEPLOY_KEYS: Keys = Keys {
    read: &["replicas", "resources"],
    ignored: &[
        "endpoint_mode",
        "labels",
        "mode",
        "placement",
        "restart_policy",
        "rollback_config",
        "update_config",
    ],
    refused: &[],
};
const RESOURCES_KEYS: Keys = Keys { read: &["reservations"], ignored: &["limits"], refused: &[] };
const RESERVATIONS_KEYS: Keys =
    Keys { read: &[], ignored: &["cpus", "memory", "generic_resources"], refused: &["devices"] };

/// Returns the service that `node` describes.
pub(super) fn lower_service(
    name: &str,
    node: &Node,
    scope: &Scope<'_>,
    reports: &Reports,
) -> Option<Service> {
    let section = Section::new(node, format!("service `{name}`: "), &KEYS, reports)?;
    check_single(&section);
    Some(Service {
        image: lower_image(&section),
        build: None,
        command: lower_line(&section, "command"),
        entrypoint: lower_line(&section, "entrypoint"),
        environment: lower_environment(&section, scope.options),
        ports: lower_ports(&section),
        expose: lower_expose(&section),
        mounts: lower_mounts(&section, scope),
        networks: lower_attachments(&section, scope),
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
        profiles: section.texts("profiles"),
        runtime: lower_runtime(&section),
    })
}

/// Reports what asks for more than one container, or for devices.
fn check_single(section: &Section<'_>) {
    let single = |section: &Section<'_>, key: &str| {
        let expected = "`1`: another number of containers is not supported yet";
        section.parsed(key, expected, |text| (text == "1").then_some(()));
    };
    single(section, "scale");
    let Some(deploy) = section.child("deploy", &DEPLOY_KEYS) else {
        return;
    };
    single(&deploy, "replicas");
    if let Some(resources) = deploy.child("resources", &RESOURCES_KEYS) {
        resources.child("reservations", &RESERVATIONS_KEYS);
    }
}

fn lower_image(section: &Section<'_>) -> String {
    let image = section.text("image").filter(|image| !image.is_empty());
    match (&image, section.entries().get("build")) {
        (Some(image), Some(build)) => section.warn(
            &build.key_place,
            format!("`build` is not supported yet; the image `{image}` is used as it is"),
        ),
        (None, Some(build)) => {
            let message = "`build` is not supported yet; name an `image`";
            section.error(&build.key_place, message);
        }
        (None, None) if section.node("provider").is_none() => {
            section.error(section.place, "`image` is missing");
        }
        _ => {}
    }
    image.unwrap_or_default()
}

/// Returns a command: a list as it is, a text split into words.
fn lower_line(section: &Section<'_>, key: &str) -> Option<Vec<String>> {
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
    let policy = section.parsed("restart", expected, |text| match text {
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
    policy.unwrap_or_default()
}

fn lower_pull_policy(section: &Section<'_>) -> Option<PullPolicy> {
    let node = section.node("pull_policy")?;
    match scalar(node).as_deref() {
        Some("always") => Some(PullPolicy::Always),
        Some("missing" | "if_not_present") => Some(PullPolicy::Missing),
        Some("never") => Some(PullPolicy::Never),
        Some(other)
            if matches!(other, "build" | "refresh" | "daily" | "weekly") || other.starts_with("every_") =>
        {
            section.warn(&node.place, format!("`pull_policy: {other}` is not supported yet and is ignored"));
            None
        }
        _ => {
            section.unfit("pull_policy", node, "`always`, `missing`, `if_not_present` or `never`");
            None
        }
    }
}
