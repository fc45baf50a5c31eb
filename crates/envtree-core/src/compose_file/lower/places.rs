//! Where files say what only the Engine finds out to be wrong.

use indexmap::IndexMap;

use crate::compose_file::node::{Entry, Node, Place, Value};

/// The sections whose entries services use.
const SECTIONS: [&str; 4] = ["networks", "volumes", "configs", "secrets"];

/// The places of what a merged tree says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    services: IndexMap<String, ServicePlaces>,
    /// The entries of the other sections, by section and name.
    declared: IndexMap<(&'static str, String), EntryPlaces>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ServicePlaces {
    name: Place,
    keys: IndexMap<String, Place>,
    networks: IndexMap<String, EntryPlaces>,
    /// The mounts that are written as mappings, by their target.
    mounts: IndexMap<String, Place>,
    variables: IndexMap<String, Place>,
}

impl Places {
    /// Returns the places in a merged tree.
    pub fn of(tree: &Node) -> Self {
        let services = entries(tree.entry("services"));
        let declared = SECTIONS.into_iter().flat_map(|section| {
            let entries = entries(tree.entry(section));
            entries.map(move |(name, entry)| ((section, name.clone()), EntryPlaces::of(entry)))
        });
        Self {
            services: services.map(|(name, entry)| (name.clone(), of_service(entry))).collect(),
            declared: declared.collect(),
        }
    }

    /// Returns where a service is defined, the last file first.
    pub fn service(&self, service: &str) -> Option<&Place> {
        Some(&self.services.get(service)?.name)
    }

    /// Returns where a key of a service stands.
    pub fn key(&self, service: &str, key: &str) -> Option<&Place> {
        self.services.get(service)?.keys.get(key)
    }

    /// Returns where a service says `key` of a network that it joins, else where it names the network.
    pub fn attachment(&self, service: &str, network: &str, key: &str) -> Option<&Place> {
        Some(self.services.get(service)?.networks.get(network)?.key(&[key]))
    }

    /// Returns where the entry `name` of `section`, such as `networks`, says one of `keys`, else where it is declared.
    pub fn declared(&self, section: &'static str, name: &str, keys: &[&str]) -> Option<&Place> {
        Some(self.declared.get(&(section, name.to_owned()))?.key(keys))
    }

    /// Returns where a service sets a variable: where it names the files of variables, if it does not do so itself.
    pub fn variable(&self, service: &str, name: &str) -> Option<&Place> {
        self.services.get(service)?.variables.get(name).or_else(|| self.key(service, "env_file"))
    }

    /// Returns where a service names what is mounted at `target`, as far as that is known.
    pub fn mount(&self, service: &str, target: &str) -> Option<&Place> {
        self.services.get(service)?.mounts.get(target).or_else(|| self.key(service, "volumes"))
    }
}

/// The place of an entry, and of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EntryPlaces {
    name: Place,
    keys: IndexMap<String, Place>,
}

impl EntryPlaces {
    fn of(entry: &Entry) -> Self {
        Self { name: entry.key_place.clone(), keys: keys(entry) }
    }

    fn key(&self, keys: &[&str]) -> &Place {
        keys.iter().find_map(|key| self.keys.get(*key)).unwrap_or(&self.name)
    }
}

fn keys(entry: &Entry) -> IndexMap<String, Place> {
    entries(Some(entry)).map(|(key, entry)| (key.clone(), entry.key_place.clone())).collect()
}

fn of_service(service: &Entry) -> ServicePlaces {
    let networks = entries(service.node.entry("networks"));
    let mounts = match service.node.entry("volumes").map(|entry| &entry.node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let target = |mount: &Node| match &mount.entry("target")?.node.value {
        Value::Text(target) => Some((target.clone(), mount.place.clone())),
        _ => None,
    };
    ServicePlaces {
        name: service.key_place.clone(),
        keys: keys(service),
        networks: networks.map(|(name, entry)| (name.clone(), EntryPlaces::of(entry))).collect(),
        mounts: mounts.iter().filter_map(target).collect(),
        variables: variables(service.node.entry("environment")),
    }
}

fn variables(environment: Option<&Entry>) -> IndexMap<String, Place> {
    let Some(environment) = environment else {
        return IndexMap::new();
    };
    if let Value::List(items) = &environment.node.value {
        let named = items.iter().filter_map(|item| match &item.value {
            Value::Text(pair) => Some((pair.split('=').next()?.to_owned(), item.place.clone())),
            _ => None,
        });
        return named.collect();
    }
    entries(Some(environment)).map(|(name, entry)| (name.clone(), entry.key_place.clone())).collect()
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
        assert_eq!(shown(places.service("web")).as_deref(), Some("c.yaml:2:3"));
        assert_eq!(shown(places.key("web", "build")).as_deref(), Some("c.yaml:3:5"));
        assert_eq!(shown(places.mount("web", "/b")).as_deref(), Some("c.yaml:6:9"));
        assert_eq!(shown(places.mount("web", "/a")).as_deref(), Some("c.yaml:4:5"));
        assert_eq!((places.key("web", "image"), places.key("db", "build")), (None, None));
    }

    #[test]
    fn variables_are_found_where_they_are_set() {
        let text = "services:\n  web:\n    environment: [A=1,\n      B]\n  db:\n    env_file: x\n    environment:\n      C: 1\n";
        let places = Places::of(&parse("c.yaml", text).unwrap());
        let shown = |place: Option<&Place>| place.map(ToString::to_string);
        assert_eq!(shown(places.variable("web", "B")).as_deref(), Some("c.yaml:4:7"));
        assert_eq!(shown(places.variable("db", "C")).as_deref(), Some("c.yaml:8:7"));
        assert_eq!(shown(places.variable("db", "D")).as_deref(), Some("c.yaml:6:5"));
        assert_eq!(places.variable("web", "C"), None);
    }

    #[test]
    fn networks_and_declared_entries_are_found() {
        let text = "services:\n  web:\n    networks: { back: { ipv4_address: a }, front: }\nsecrets:\n  key: { environment: A }\n";
        let places = Places::of(&parse("c.yaml", text).unwrap());
        let shown = |place: Option<&Place>| place.map(ToString::to_string).unwrap_or_default();
        assert_eq!(shown(places.attachment("web", "back", "ipv4_address")), "c.yaml:3:25");
        assert_eq!(shown(places.attachment("web", "front", "ipv4_address")), "c.yaml:3:44");
        assert_eq!(shown(places.declared("secrets", "key", &["file", "environment"])), "c.yaml:5:10");
        assert_eq!(shown(places.declared("secrets", "key", &["external"])), "c.yaml:5:3");
        assert_eq!(shown(places.declared("volumes", "key", &[])), "");
    }
}
