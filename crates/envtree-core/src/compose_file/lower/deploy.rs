//! `deploy` and `scale`.

use super::device::lower_requests;
use super::section::Section;
use super::unknown::Keys;
use crate::service::{
    Deploy, DeployRestart, Placement, Reservations, ResourceLimits, Resources, UpdateConfig,
};

const KEYS: Keys = Keys {
    read: &[
        "mode",
        "endpoint_mode",
        "replicas",
        "labels",
        "update_config",
        "rollback_config",
        "resources",
        "restart_policy",
        "placement",
    ],
    ignored: &[],
    refused: &[],
};
/// What only a swarm does.
const SWARM: [&str; 5] = ["endpoint_mode", "labels", "update_config", "rollback_config", "placement"];
const UPDATE_KEYS: Keys = Keys {
    read: &["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"],
    ignored: &[],
    refused: &[],
};
const RESOURCES_KEYS: Keys = Keys { read: &["limits", "reservations"], ignored: &[], refused: &[] };
const LIMITS_KEYS: Keys = Keys { read: &["cpus", "memory", "pids"], ignored: &[], refused: &[] };
const RESERVATIONS_KEYS: Keys =
    Keys { read: &["cpus", "memory", "devices", "generic_resources"], ignored: &[], refused: &[] };
const GENERIC_KEYS: Keys = Keys { read: &["discrete_resource_spec"], ignored: &[], refused: &[] };
const DISCRETE_KEYS: Keys = Keys { read: &["kind", "value"], ignored: &[], refused: &[] };
const RESTART_KEYS: Keys =
    Keys { read: &["condition", "delay", "max_attempts", "window"], ignored: &[], refused: &[] };
const PLACEMENT_KEYS: Keys =
    Keys { read: &["constraints", "preferences", "max_replicas_per_node"], ignored: &[], refused: &[] };
const PREFERENCE_KEYS: Keys = Keys { read: &["spread"], ignored: &[], refused: &[] };
const COUNT: &str = "a whole number from 0";

/// Returns how many containers `scale` asks for.
pub(super) fn lower_scale(service: &Section<'_>) -> Option<u32> {
    service.number("scale", COUNT)
}

/// Returns how the service is deployed. What only a swarm does is kept, with a warning.
pub(super) fn lower_deploy(service: &Section<'_>) -> Option<Deploy> {
    let section = service.child("deploy", &KEYS)?;
    for key in SWARM {
        warn_of_swarm(&section, key);
    }
    let update = |key| section.child(key, &UPDATE_KEYS).map(|section| update_config(&section));
    Some(Deploy {
        mode: section.text("mode"),
        endpoint_mode: section.text("endpoint_mode"),
        replicas: section.number("replicas", COUNT),
        labels: section.labels("labels"),
        update_config: update("update_config"),
        rollback_config: update("rollback_config"),
        resources: section
            .child("resources", &RESOURCES_KEYS)
            .map(|section| resources(&section))
            .unwrap_or_default(),
        restart_policy: section.child("restart_policy", &RESTART_KEYS).map(|section| restart(&section)),
        placement: section
            .child("placement", &PLACEMENT_KEYS)
            .map(|section| placement(&section))
            .unwrap_or_default(),
    })
}

fn warn_of_swarm(section: &Section<'_>, key: &str) {
    if let (Some(entry), Some(_)) = (section.entries().get(key), section.node(key)) {
        let name = section.name(key);
        section.warn(&entry.key_place, format!("{name} has no effect: only a swarm knows it"));
    }
}

fn update_config(section: &Section<'_>) -> UpdateConfig {
    UpdateConfig {
        parallelism: section.number("parallelism", COUNT),
        delay: section.duration("delay").filter(|delay| !delay.is_zero()),
        failure_action: section.text("failure_action"),
        monitor: section.duration("monitor").filter(|monitor| !monitor.is_zero()),
        max_failure_ratio: section.decimal("max_failure_ratio").filter(|ratio| ratio.billionths() != 0),
        order: section.word("order", &["start-first", "stop-first"]),
    }
}

/// Returns what the service may use. As with Compose, nought is no limit.
fn resources(section: &Section<'_>) -> Resources {
    let limits = section.child("limits", &LIMITS_KEYS);
    let reservations = section.child("reservations", &RESERVATIONS_KEYS);
    Resources {
        limits: limits.map(|limits| ResourceLimits {
            cpus: limits.decimal("cpus").filter(|cpus| cpus.billionths() != 0),
            memory: limits.bytes("memory").filter(|bytes| *bytes != 0),
            pids: limits.integer("pids").filter(|pids| *pids != 0),
        }),
        reservations: reservations.map(|section| {
            for key in ["cpus", "generic_resources"] {
                warn_of_swarm(&section, key);
            }
            Reservations {
                cpus: section.decimal("cpus").filter(|cpus| cpus.billionths() != 0),
                memory: section.bytes("memory").filter(|bytes| *bytes != 0),
                devices: lower_requests(&section, "devices"),
                generic_resources: generic_resources(&section),
            }
        }),
    }
}

fn generic_resources(section: &Section<'_>) -> Vec<(String, i64)> {
    let items = section.sections("generic_resources", &GENERIC_KEYS).into_iter();
    items
        .filter_map(|item| {
            let spec = item.child("discrete_resource_spec", &DISCRETE_KEYS)?;
            Some((spec.text("kind")?, spec.integer("value")?))
        })
        .collect()
}

fn restart(section: &Section<'_>) -> DeployRestart {
    for key in ["delay", "window"] {
        warn_of_swarm(section, key);
    }
    DeployRestart {
        condition: section
            .word("condition", &["none", "on-failure", "any", "no", "always", "unless-stopped"]),
        delay: section.duration("delay"),
        max_attempts: section.number("max_attempts", COUNT),
        window: section.duration("window"),
    }
}

fn placement(section: &Section<'_>) -> Placement {
    let preferences = section.sections("preferences", &PREFERENCE_KEYS).into_iter();
    Placement {
        constraints: section.texts("constraints"),
        preferences: preferences.filter_map(|preference| preference.text("spread")).collect(),
        max_replicas_per_node: section.number("max_replicas_per_node", COUNT),
    }
}
