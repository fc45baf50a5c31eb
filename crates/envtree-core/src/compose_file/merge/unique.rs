//! Doubles in the lists of a service: a later item takes the place of an earlier one that means the same.

use indexmap::IndexMap;

use crate::compose_file::lower::path::mount_parts;
use crate::compose_file::node::{Node, Value};
use crate::compose_file::scalar::without_fraction;

/// What makes two items of a list the same.
type Identity = fn(&Node) -> Option<String>;

/// Returns a tree whose lists hold each port, mount or name once.
pub(super) fn unique(node: Node, path: &mut Vec<String>) -> Node {
    let Node { place, tag, value } = node;
    let value = match value {
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, mut entry)| {
                    path.push(key.clone());
                    entry.node = unique(entry.node, path);
                    path.pop();
                    (key, entry)
                })
                .collect(),
        ),
        Value::List(items) => Value::List(match identity(path) {
            Some(identity) => unique_items(items, identity),
            None => items,
        }),
        value => value,
    };
    Node { place, tag, value }
}

fn unique_items(items: Vec<Node>, identity: Identity) -> Vec<Node> {
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut places: IndexMap<String, usize> = IndexMap::new();
    for item in items {
        let key = identity(&item);
        if let Some(place) = key.as_ref().and_then(|key| places.get(key)) {
            kept[*place] = item;
            continue;
        }
        places.extend(key.map(|key| (key, kept.len())));
        kept.push(item);
    }
    kept
}

fn identity(path: &[String]) -> Option<Identity> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Some(match path.as_slice() {
        ["services", _, "ports"] => port,
        ["services", _, "volumes"] => mount,
        ["services", _, "devices"] => device,
        ["services", _, "secrets"] => secret,
        ["services", _, "configs"] => config,
        ["services", _, "env_file"] => env_file,
        ["services", _, "expose"] => scalar,
        [
            "services",
            _,
            "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "links" | "profiles" | "tmpfs",
        ]
        | ["services", _, "networks", _, "aliases" | "link_local_ips"]
        | ["services", _, "build", "tags"] => key,
        _ => return None,
    })
}

/// Returns what stands before `=`, as Compose does even where an item is not meant as `KEY=value`.
fn key(item: &Node) -> Option<String> {
    Some(scalar(item)?.split('=').next().unwrap_or_default().to_owned())
}

/// Returns a text or a number as it is written.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(text) => Some(without_fraction(text).to_owned()),
        _ => None,
    }
}

fn setting(node: &Node, key: &str) -> Option<String> {
    node.entry(key).and_then(|entry| scalar(&entry.node))
}

fn port(item: &Node) -> Option<String> {
    let (address, published, target, protocol) = match scalar(item) {
        Some(text) => {
            let (ports, protocol) = match text.rsplit_once('/') {
                Some((ports, protocol)) => {
                    (ports, Some(protocol.to_lowercase()).filter(|name| !name.is_empty()))
                }
                None => (text.as_str(), None),
            };
            let mut fields = ports.rsplitn(3, ':').map(str::to_owned);
            let target = fields.next()?;
            let published = fields.next().filter(|published| !published.is_empty());
            (fields.next(), published, target, protocol)
        }
        None => (
            setting(item, "host_ip"),
            setting(item, "published"),
            setting(item, "target")?,
            setting(item, "protocol"),
        ),
    };
    Some(format!(
        "{}:{}:{target}/{}",
        address.as_deref().unwrap_or("0.0.0.0"),
        published.unwrap_or_default(),
        protocol.as_deref().unwrap_or("tcp"),
    ))
}

fn mount(item: &Node) -> Option<String> {
    let Some(text) = scalar(item) else {
        return setting(item, "target");
    };
    let parts = mount_parts(&text);
    let target = *parts.get(1).or(parts.first())?;
    let trimmed = target.trim_end_matches('/');
    Some(if trimmed.is_empty() { target } else { trimmed }.to_owned())
}

fn device(item: &Node) -> Option<String> {
    match scalar(item) {
        Some(text) => text.split(':').nth(1).or(text.split(':').next()).map(str::to_owned),
        None => setting(item, "target"),
    }
}

fn secret(item: &Node) -> Option<String> {
    granted(item, "/run/secrets")
}

fn config(item: &Node) -> Option<String> {
    granted(item, "")
}

fn granted(item: &Node, folder: &str) -> Option<String> {
    let named = |source: String| format!("{folder}/{source}");
    match scalar(item) {
        Some(source) => Some(named(source)),
        None => setting(item, "target").or_else(|| setting(item, "source").map(named)),
    }
}

fn env_file(item: &Node) -> Option<String> {
    scalar(item).or_else(|| setting(item, "path"))
}
