//! `deploy` and `scale`.

use super::device::lower_requests;
use super::section::Section;
use super::shown::WHOLE;
use super::unknown::{Keys, hint};
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
const MODES: [&str; 4] = ["replicated", "global", "replicated-job", "global-job"];
const CONDITIONS: [&str; 6] = ["none", "on-failure", "any", "no", "always", "unless-stopped"];
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
const SMALL_COUNT: &str = "a whole number from 0 to 4294967295";

/// Returns how many containers `scale` asks for.
pub(super) fn lower_scale(service: &Section<'_>) -> Option<u32> {
    service.number_or_shown("scale", SMALL_COUNT)
}

/// Returns how the service is deployed. What only a swarm does is kept, with a warning.
pub(super) fn lower_deploy(service: &Section<'_>) -> Option<Deploy> {
    let section = service.child("deploy", &KEYS)?;
    for key in SWARM {
        warn_of_swarm(&section, key);
    }
    warn_of_mode(&section);
    let update = |key| section.child(key, &UPDATE_KEYS).map(|section| update_config(&section));
    Some(Deploy {
        mode: section.text("mode"),
        endpoint_mode: section.text("endpoint_mode"),
        replicas: section.number_or_shown("replicas", SMALL_COUNT),
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
        as_written: section.shown(),
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
        delay: section.duration_or_shown("delay").filter(|delay| !delay.is_zero()),
        failure_action: section.text("failure_action"),
        monitor: section.duration_or_shown("monitor").filter(|monitor| !monitor.is_zero()),
        max_failure_ratio: section
            .decimal_or_shown("max_failure_ratio")
            .filter(|ratio| ratio.billionths() != 0),
        order: section.word("order", &["start-first", "stop-first"]),
        as_written: section.shown(),
    }
}

/// Returns what the service may use. As with Compose, nought is no limit.
fn resources(section: &Section<'_>) -> Resources {
    let limits = section.child("limits", &LIMITS_KEYS);
    let reservations = section.child("reservations", &RESERVATIONS_KEYS);
    Resources {
        limits: limits.map(|limits| ResourceLimits {
            cpus: limits.decimal_or_shown("cpus").filter(|cpus| cpus.billionths() != 0),
            memory: limits.bytes("memory").filter(|bytes| *bytes != 0),
            pids: limits.integer("pids").filter(|pids| *pids != 0),
            as_written: limits.shown(),
        }),
        reservations: reservations.map(|section| {
            for key in ["cpus", "generic_resources"] {
                warn_of_swarm(&section, key);
            }
            Reservations {
                cpus: section.decimal_or_shown("cpus").filter(|cpus| cpus.billionths() != 0),
                memory: section.bytes("memory").filter(|bytes| *bytes != 0),
                devices: lower_requests(&section, "devices"),
                generic_resources: generic_resources(&section),
                as_written: section.shown(),
            }
        }),
    }
}

fn generic_resources(section: &Section<'_>) -> Vec<(String, i64)> {
    let items = section.sections("generic_resources", &GENERIC_KEYS).into_iter();
    items
        .filter_map(|item| {
            let spec = item.child("discrete_resource_spec", &DISCRETE_KEYS)?;
            Some((spec.text("kind").unwrap_or_default(), spec.cut_integer("value").unwrap_or_default()))
        })
        .collect()
}

fn restart(section: &Section<'_>) -> DeployRestart {
    for key in ["delay", "window"] {
        warn_of_swarm(section, key);
    }
    DeployRestart {
        condition: condition(section),
        delay: section.duration_or_shown("delay"),
        max_attempts: section.count_or_shown(
            "max_attempts",
            section.integer("max_attempts"),
            SMALL_COUNT,
            WHOLE,
        ),
        window: section.duration_or_shown("window"),
        as_written: section.shown(),
    }
}

/// Returns when the Engine starts a container again; what it does not know is refused, and shown all the same.
fn condition(section: &Section<'_>) -> Option<String> {
    let condition = section.text("condition")?;
    if let (Some(node), false) = (section.node("condition"), CONDITIONS.contains(&condition.as_str())) {
        let expected = format!("one of `{}`", CONDITIONS.join("`, `"));
        let message = format!("{} must be {expected}, not `{condition}`", section.name("condition"));
        section.refuse(&node.place, message + &hint(&condition, CONDITIONS.into_iter()));
    }
    Some(condition)
}

/// Says that a mode has no effect, for only a swarm has others than `replicated`.
fn warn_of_mode(section: &Section<'_>) {
    let (Some(mode), Some(node)) = (section.text("mode"), section.node("mode")) else { return };
    let name = section.name("mode");
    let message = match mode.as_str() {
        "replicated" => return,
        mode if MODES.contains(&mode) => format!("{name} has no effect: only a swarm knows `{mode}`"),
        mode => {
            let hint = hint(mode, MODES.into_iter());
            format!("{name} has no effect: `{mode}` is none of `{}`{hint}", MODES.join("`, `"))
        }
    };
    section.warn(&node.place, message);
}

fn placement(section: &Section<'_>) -> Placement {
    let preferences = section.sections("preferences", &PREFERENCE_KEYS).into_iter();
    Placement {
        constraints: section.texts("constraints"),
        preferences: preferences.map(|preference| preference.text("spread").unwrap_or_default()).collect(),
        max_replicas_per_node: section.number("max_replicas_per_node", COUNT).filter(|number| *number != 0),
    }
}
