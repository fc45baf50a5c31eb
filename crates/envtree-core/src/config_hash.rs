//! The hash of a definition: equal hashes mean that what the Engine has is what is wanted.
//!
//! What does not change the Engine object does not count: pull policy, how the image is built, profiles, dependencies,
//! what is done while files are worked on, what only a swarm does, Compose's and envtree's own labels (versions,
//! paths), and the variables that envtree adds to a container, which would otherwise recreate every container when one
//! service is added. They take effect when the container is next made.
//! Nor does the order of a mapping count. Absent and empty settings leave no trace, so that a later version with more
//! settings computes the same hash.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::project::{Network, Volume};
use crate::service::{Deploy, Service};

/// Returns the hash of an isolated service, of whose variables `added` are envtree's own.
pub fn service_hash(service: &Service, added: &[String]) -> String {
    let mut counted = service.clone();
    counted.pull_policy = None;
    counted.build = None;
    counted.profiles.clear();
    counted.depends_on.clear();
    counted.develop = None;
    counted.attach = None;
    counted.scale = None;
    counted.deploy = counted.deploy.as_ref().and_then(effective);
    // A project of many services adds many variables to each of them.
    let added: BTreeSet<&str> = added.iter().map(String::as_str).collect();
    counted.environment.retain(|name, _| !added.contains(name.as_str()));
    counted.labels.retain(|key, _| !is_own_label(key));
    hash(&counted)
}

/// Returns what of a deployment a container shows; nothing if that is all swarm's.
fn effective(deploy: &Deploy) -> Option<Deploy> {
    let counted = Deploy {
        resources: deploy.resources.clone(),
        restart_policy: deploy.restart_policy.clone(),
        ..Deploy::default()
    };
    (counted != Deploy::default()).then_some(counted)
}

/// Returns the hash of an isolated network.
pub fn network_hash(network: &Network) -> String {
    let mut counted = network.clone();
    counted.labels.retain(|key, _| !is_own_label(key));
    hash(&counted)
}

/// Returns the hash of an isolated volume.
pub fn volume_hash(volume: &Volume) -> String {
    let mut counted = volume.clone();
    counted.labels.retain(|key, _| !is_own_label(key));
    hash(&counted)
}

/// Returns whether a label is Compose's or envtree's own.
pub(crate) fn is_own_label(key: &str) -> bool {
    key.starts_with("com.docker.compose.") || key.starts_with("dev.envtree.")
}

fn hash(definition: &impl Serialize) -> String {
    let mut value = serde_json::to_value(definition).expect("definitions have text keys");
    normalise(&mut value);
    hex(&Sha256::digest(value.to_string()))
}

/// Writes bytes as lower-case hexadecimal digits, two each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// Sorts mappings and drops what is absent or empty.
fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, mut value) in entries {
                if key == "networks" {
                    normalise_networks(&mut value);
                } else {
                    normalise(&mut value);
                }
                if !is_blank(&key, &value) {
                    map.insert(key, value);
                }
            }
        }
        _ => {}
    }
}

/// Normalises the networks of a service, each of which counts even where nothing is said of how it is joined.
fn normalise_networks(networks: &mut Value) {
    if let Value::Object(networks) = networks {
        networks.values_mut().for_each(normalise);
        networks.sort_keys();
    }
}

fn is_blank(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        // An empty command or entrypoint clears the image's own; an absent one keeps it.
        Value::Array(items) => items.is_empty() && key != "command" && key != "entrypoint",
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    fn service() -> Service {
        Service {
            image: "postgres:17".into(),
            environment: IndexMap::from([("A".into(), "1".into()), ("B".into(), "2".into())]),
            ..Service::default()
        }
    }

    #[test]
    fn order_and_own_additions_do_not_count() {
        let mut other = service();
        other.environment = IndexMap::from([
            ("B".into(), "2".into()),
            ("ENVTREE_TASK".into(), "x".into()),
            ("A".into(), "1".into()),
        ]);
        other.labels.insert("dev.envtree.version".into(), "9".into());
        other.profiles.push("dev".into());
        assert_eq!(service_hash(&service(), &[]), service_hash(&other, &["ENVTREE_TASK".into()]));
    }

    #[test]
    fn an_empty_command_differs_from_none() {
        let mut cleared = service();
        cleared.command = Some(Vec::new());
        assert_ne!(service_hash(&service(), &[]), service_hash(&cleared, &[]));
    }

    #[test]
    fn a_network_that_is_joined_plainly_counts() {
        use crate::{name::NetworkName, service::Attachment};
        let on = |keys: &[&str]| {
            let plain = |key: &&str| (NetworkName::new(*key).unwrap(), Attachment::default());
            Service { networks: keys.iter().map(plain).collect(), ..service() }
        };
        assert_ne!(service_hash(&on(&[]), &[]), service_hash(&on(&["back"]), &[]));
        assert_ne!(service_hash(&on(&["back"]), &[]), service_hash(&on(&["back", "front"]), &[]));
        assert_eq!(service_hash(&on(&["front", "back"]), &[]), service_hash(&on(&["back", "front"]), &[]));
    }

    #[test]
    fn a_changed_variable_and_a_changed_label_count() {
        let mut other = service();
        other.environment.insert("A".into(), "3".into());
        assert_ne!(service_hash(&service(), &[]), service_hash(&other, &[]));
        let mut labelled = service();
        labelled.labels.insert("traefik.enable".into(), "true".into());
        assert_ne!(service_hash(&service(), &[]), service_hash(&labelled, &[]));
    }
}
