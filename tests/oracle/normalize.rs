//! What two models of the same meaning may differ in; nothing else is forgiven.
//!
//! Each function undoes one difference, and says why it is one of writing alone.

use serde_json::{Map, Value};

use crate::writing::normalize_service;

/// Brings the model of `docker compose config` into the form that is compared.
pub(crate) fn normalize_compose(mut model: Value) -> Value {
    single_dollars(&mut model);
    normalize(model)
}

/// Brings the model of `envtree config --raw` into the form that is compared.
pub(crate) fn normalize_envtree(model: Value) -> Value {
    normalize(model)
}

fn normalize(mut model: Value) -> Value {
    implied_names(&mut model);
    idle_dependencies(&mut model);
    given_name(&mut model);
    extensions(&mut model, 0);
    each_service(&mut model, normalize_service);
    absent_values(&mut model);
    each_service(&mut model, durations);
    each_service(&mut model, hosts);
    each_service(&mut model, final_slashes);
    model
}

/// Compose doubles dollar signs, so that its answer can be read again; the model of envtree is no Compose file.
fn single_dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("$$", "$"),
        Value::Array(items) => items.iter_mut().for_each(single_dollars),
        Value::Object(entries) => {
            let doubled = std::mem::take(entries);
            for (key, mut value) in doubled {
                single_dollars(&mut value);
                entries.insert(key.replace("$$", "$"), value);
            }
        }
        _ => {}
    }
}

/// Compose is told the name that envtree chose.
fn given_name(model: &mut Value) {
    if let Some(model) = model.as_object_mut() {
        model.shift_remove("name");
    }
}

/// A dependency that is not required means nothing while no profile enables its service; envtree drops it.
fn idle_dependencies(model: &mut Value) {
    let active: Vec<String> = entries(model, "services").map(|(name, _)| name.clone()).collect();
    each_service(model, |service| {
        if let Some(dependencies) = service.get_mut("depends_on").and_then(Value::as_object_mut) {
            dependencies.retain(|name, how| how["required"] != false || active.contains(name));
        }
    });
}

/// Keys that begin with `x-` are for others; Compose hands them on, envtree has nobody to hand them to.
///
/// At the depth of the names of services and the like they are names.
fn extensions(value: &mut Value, depth: usize) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| depth == 1 || !key.starts_with("x-"));
            entries.values_mut().for_each(|value| extensions(value, depth + 1));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| extensions(item, depth + 1)),
        _ => {}
    }
}

/// What the file does not name is called after project and key; a model that is written by hand leaves that out.
fn implied_names(model: &mut Value) {
    let project = model["name"].as_str().unwrap_or_default().to_owned();
    for section in ["networks", "volumes", "configs", "secrets"] {
        for (key, entry) in entries(model, section) {
            let Some(entry) = entry.as_object_mut() else { continue };
            if entry.get("name").and_then(Value::as_str) == Some(&format!("{project}_{key}")) {
                entry.remove("name");
            }
        }
    }
}

/// Nothing, `{}` and `[]` all say that a key is not set; `command` and `entrypoint` alone mean something by `[]`.
///
/// The entries of mappings of names stay, whatever they hold.
fn absent_values(model: &mut Value) {
    for section in ["networks", "volumes", "configs", "secrets"] {
        for (_, entry) in entries(model, section) {
            drop_absent(entry);
            if entry.is_null() {
                *entry = Value::Object(Map::new());
            }
        }
    }
    each_service(model, |service| {
        service.retain(|key, value| {
            if matches!(key.as_str(), "command" | "entrypoint") {
                return !value.is_null();
            }
            let names = matches!(key.as_str(), "networks" | "environment" | "labels" | "depends_on");
            match value.as_object_mut().filter(|_| names) {
                Some(entries) => entries.values_mut().for_each(|value| {
                    drop_absent(value);
                    if key == "networks" && value.is_null() {
                        *value = Value::Object(Map::new());
                    }
                }),
                None => drop_absent(value),
            }
            !is_absent(value)
        });
    });
    if let Some(model) = model.as_object_mut() {
        model.retain(|_, value| !is_absent(value));
    }
}

fn drop_absent(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.retain(|_, value| {
            drop_absent(value);
            !is_absent(value)
        }),
        Value::Array(items) => items.iter_mut().for_each(drop_absent),
        _ => {}
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// A slash at the end of a folder means nothing; Compose keeps it where the path is absolute.
fn final_slashes(service: &mut Map<String, Value>) {
    for mount in service.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(source)) = mount.get_mut("source").filter(|source| *source != "/") {
            source.truncate(source.trim_end_matches('/').len());
        }
    }
}

/// Compose sorts hosts by name; only the order of one host's addresses means something.
fn hosts(service: &mut Map<String, Value>) {
    let host = |line: &Value| line.as_str().and_then(|line| line.split('=').next()).map(str::to_owned);
    if let Some(lines) = service.get_mut("extra_hosts").and_then(Value::as_array_mut) {
        lines.sort_by_key(host);
    }
}

/// `1m30s` and `90s` are the same time.
fn durations(service: &mut Map<String, Value>) {
    service.get_mut("stop_grace_period").map(nanoseconds);
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        service.get_mut("healthcheck").and_then(|check| check.get_mut(key)).map(nanoseconds);
    }
}

fn nanoseconds(value: &mut Value) {
    let Some(text) = value.as_str() else { return };
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let unit = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| end + length);
        let factor = match &rest[end..unit] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            // It is no time, and compared as it stands.
            _ => return,
        };
        let Ok(number) = rest[..end].parse::<f64>() else { return };
        total += number * factor;
        rest = &rest[unit..];
    }
    *value = Value::String(format!("{total} ns"));
}

fn each_service(model: &mut Value, change: impl Fn(&mut Map<String, Value>)) {
    for (_, service) in entries(model, "services") {
        service.as_object_mut().map(&change);
    }
}

fn entries<'a>(model: &'a mut Value, section: &str) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    model.get_mut(section).and_then(Value::as_object_mut).into_iter().flatten()
}
