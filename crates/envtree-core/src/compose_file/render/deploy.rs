//! `deploy`.

use serde_json::{Value, json};

use super::runtime::requests;
use super::settings::{Settings, bytes, duration, text};
use crate::service::{Deploy, DeployRestart, Placement, Reservations, ResourceLimits, UpdateConfig};

pub(super) fn deploy(deploy: &Deploy) -> Value {
    let mut settings = Settings::default();
    settings.some("mode", deploy.mode.clone());
    settings.some("replicas", deploy.replicas);
    settings.mapping("labels", &deploy.labels, text);
    settings.some("update_config", deploy.update_config.as_ref().map(update));
    settings.some("rollback_config", deploy.rollback_config.as_ref().map(update));
    let mut resources = Settings::default();
    resources.some("limits", deploy.resources.limits.as_ref().map(limits));
    resources.some("reservations", deploy.resources.reservations.as_ref().map(reservations));
    settings.inner("resources", resources);
    settings.some("restart_policy", deploy.restart_policy.as_ref().map(restart));
    settings.inner("placement", placement(&deploy.placement));
    settings.some("endpoint_mode", deploy.endpoint_mode.clone());
    settings.as_written(&deploy.as_written);
    settings.into()
}

fn update(update: &UpdateConfig) -> Settings {
    let mut settings = Settings::default();
    settings.some("parallelism", update.parallelism);
    settings.some("delay", update.delay.map(duration));
    settings.some("failure_action", update.failure_action.clone());
    settings.some("monitor", update.monitor.map(duration));
    settings.some("max_failure_ratio", update.max_failure_ratio.map(|ratio| json!(ratio)));
    settings.some("order", update.order.clone());
    settings.as_written(&update.as_written);
    settings
}

fn limits(limits: &ResourceLimits) -> Settings {
    let mut settings = Settings::default();
    settings.some("cpus", limits.cpus.map(|cpus| json!(cpus)));
    settings.some("memory", limits.memory.map(bytes));
    settings.some("pids", limits.pids);
    settings.as_written(&limits.as_written);
    settings
}

fn reservations(reservations: &Reservations) -> Settings {
    let mut settings = Settings::default();
    let generic = reservations.generic_resources.iter();
    let generic: Vec<Value> = generic
        .map(|(kind, value)| json!({"discrete_resource_spec": {"kind": kind, "value": value}}))
        .collect();
    settings.some("cpus", reservations.cpus.map(|cpus| json!(cpus)));
    settings.some("memory", reservations.memory.map(bytes));
    settings.list("devices", &requests(&reservations.devices));
    settings.list("generic_resources", &generic);
    settings.as_written(&reservations.as_written);
    settings
}

fn restart(restart: &DeployRestart) -> Settings {
    let mut settings = Settings::default();
    settings.some("condition", restart.condition.clone());
    settings.some("delay", restart.delay.map(duration));
    settings.some("max_attempts", restart.max_attempts);
    settings.some("window", restart.window.map(duration));
    settings.as_written(&restart.as_written);
    settings
}

fn placement(placement: &Placement) -> Settings {
    let mut settings = Settings::default();
    let preferences: Vec<Value> = placement.preferences.iter().map(|spread| preference(spread)).collect();
    settings.list("constraints", &placement.constraints);
    settings.list("preferences", &preferences);
    settings.some("max_replicas_per_node", placement.max_replicas_per_node);
    settings
}

/// Writes a preference; one of nothing is an empty mapping.
fn preference(spread: &str) -> Value {
    if spread.is_empty() { json!({}) } else { json!({ "spread": spread }) }
}
