//! Where files say what only the Engine finds out to be wrong.

use indexmap::IndexMap;

use crate::compose_file::node::{Entry, Node, Place, Value};

/// The places of what the services of a merged tree say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(IndexMap<String, ServicePlaces>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ServicePlaces {
    keys: IndexMap<String, Place>,
    /// The mounts that are written as mappings, by their target.
    mounts: IndexMap<String, Place>,
}

impl Places {
    /// Returns the places in a merged tree.
    pub fn of(tree: &Node) -> Self {
        let services = entries(tree.entry("services"));
        Self(services.map(|(name, entry)| (name.clone(), of_service(entry))).collect())
    }

    /// Returns where a key of a service stands.
    pub fn key(&self, service: &str, key: &str) -> Option<&Place> {
        self.0.get(service)?.keys.get(key)
    }

    /// Returns where a service names what is mounted at `target`, as far as that is known.
    pub fn mount(&self, service: &str, target: &str) -> Option<&Place> {
        self.0.get(service)?.mounts.get(target).or_else(|| self.key(service, "volumes"))
    }
}

fn of_service(service: &Entry) -> ServicePlaces {
    let keys = entries(Some(service)).map(|(key, entry)| (key.clone(), entry.key_place.clone()));
    let mounts = match service.node.entry("volumes").map(|entry| &entry.node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let target = |mount: &Node| match &mount.entry("target")?.node.value {
        Value::Text(target) => Some((target.clone(), mount.place.clone())),
        _ => None,
    };
    ServicePlaces { keys: keys.collect(), mounts: mounts.iter().filter_map(target).collect() }
}

fn entries(entry: Option<&Entry>) -> impl Iterator<Item = (&String, &Entry)> {
    let entries = match entry.map(|entry| &entry.node.value) {
        Some(Value::Map(entries)) => Some(entries),
        _ => None,
    };
    entries.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose_file::parse::parse;

    #[test]
    fn keys_and_mounts_are_found() {
        let text = "services:\n  web:\n    build: .\n    volumes:\n      - a:/a\n      - {type: image, target: /b}\n";
        let places = Places::of(&parse("c.yaml", text).unwrap());
        let shown = |place: Option<&Place>| place.map(ToString::to_string);
        assert_eq!(shown(places.key("web", "build")).as_deref(), Some("c.yaml:3:5"));
        assert_eq!(shown(places.mount("web", "/b")).as_deref(), Some("c.yaml:6:9"));
        assert_eq!(shown(places.mount("web", "/a")).as_deref(), Some("c.yaml:4:5"));
        assert_eq!((places.key("web", "image"), places.key("db", "build")), (None, None));
    }
}
