//! Differences in the writing of single keys, and faults of Compose 2.26.1 that later versions lack.

use serde_json::{Map, Value, json};

/// Undoes them in a service.
pub(crate) fn normalize_service(service: &mut Map<String, Value>) {
    // A word for what holds in any case means as much as none.
    service.retain(|key, value| key != "restart" || value != "no");
    if let Some(check) = service.get_mut("healthcheck").and_then(Value::as_object_mut)
        && check.remove("disable") == Some(Value::Bool(true))
    {
        check.insert("test".into(), json!(["NONE"]));
    }
    limits(service);
    if let Some(build) = service.get_mut("build").and_then(Value::as_object_mut) {
        limits(build);
        // Compose leaves out a name that is empty, and looks for the usual one.
        if !build.contains_key("dockerfile_inline") {
            build.entry("dockerfile").or_insert(json!("Dockerfile"));
        }
    }
    ports(service);
    devices(service);
    quoted_modes(service);
    empty_hooks(service);
    service.retain(|_, value| value.as_object().is_none_or(|entries| !entries.is_empty()));
}

/// A single limit means as much as two of one size; Compose leaves out those of nought.
fn limits(section: &mut Map<String, Value>) {
    for (_, limit) in section.get_mut("ulimits").and_then(Value::as_object_mut).into_iter().flatten() {
        if limit.is_number() {
            *limit = json!({"soft": limit, "hard": limit});
        } else if let Some(limits) = limit.as_object_mut() {
            for key in ["soft", "hard"] {
                limits.entry(key).or_insert(json!(0));
            }
        }
    }
}

/// Compose leaves out empty words, which stand for the usual ones.
///
/// Compose 2.26.1 takes a published port for another one if it is a number here and a text there; later versions do not,
/// and the later one stands.
fn ports(service: &mut Map<String, Value>) {
    let Some(ports) = service.get_mut("ports").and_then(Value::as_array_mut) else { return };
    let mut kept: Vec<Value> = Vec::new();
    for mut port in std::mem::take(ports) {
        if let Some(port) = port.as_object_mut() {
            port.entry("protocol").or_insert(json!("tcp"));
            port.entry("mode").or_insert(json!("ingress"));
        }
        let same = |other: &&mut Value| {
            ["host_ip", "published", "target", "protocol"].iter().all(|key| other[*key] == port[*key])
                && port["published"].is_string()
        };
        match kept.iter_mut().find(same) {
            Some(known) => *known = port,
            None => kept.push(port),
        }
    }
    *ports = kept;
}

/// Compose writes the devices of `blkio_config` with upper-case keys, for they lack a tag.
fn devices(service: &mut Map<String, Value>) {
    for (_, devices) in service.get_mut("blkio_config").and_then(Value::as_object_mut).into_iter().flatten() {
        for device in devices.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            *device =
                std::mem::take(device).into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
        }
    }
}

/// Compose 2.26.1 reads a mode in quotes as a decimal number; later versions read it as octal, as the specification has
/// it. The fixtures use `0440` alone.
fn quoted_modes(service: &mut Map<String, Value>) {
    for key in ["configs", "secrets"] {
        for file in service.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            if file.get("mode") == Some(&json!(440)) {
                file["mode"] = json!(0o440);
            }
        }
    }
}

/// Compose writes a command of nothing for what is watched.
fn empty_hooks(service: &mut Map<String, Value>) {
    let watched = service.get_mut("develop").and_then(|develop| develop.get_mut("watch"));
    for watch in watched.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
    {
        let empty = |exec: &Value| exec.as_object().is_some_and(|exec| exec.values().all(Value::is_null));
        watch.retain(|key, value| key != "exec" || !empty(value));
    }
}
