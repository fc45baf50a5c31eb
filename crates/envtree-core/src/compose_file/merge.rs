//! Merges one Compose file over another (Compose specification, section "Merge").
//!
//! Mappings are merged and sequences appended, but for the exceptions that `rule` lists. Short and long forms may meet: a list
//! of `KEY=value` is made a mapping first, a single text a list. A mapping or a list cannot be merged with anything else.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::node::{Diagnostic, Entry, Node, Value};
use super::scalar::without_fraction;
pub use canonical::canonical;
pub use doubles::refuse_doubles;
use pools::merge_pools;
pub use tags::Tags;
use unique::unique;

mod canonical;
mod doubles;
mod pools;
mod tags;
mod unique;

/// Returns `base` with `over` merged over it. Neither tags of `over` nor doubles remain.
pub fn merge(mut base: Node, mut over: Node) -> Result<Node, Diagnostic> {
    Tags::take(&mut over).clear(&mut base);
    let merged = merge_at(base, over, &mut Vec::new())?;
    Ok(unique(merged, &mut Vec::new()))
}

/// Returns the service `base` with the service `name` that extends it merged over it; neither has tags.
pub fn extend(base: Node, name: &str, over: Node) -> Result<Node, Diagnostic> {
    merge_at(base, over, &mut vec!["services".to_owned(), name.to_owned()])
}

/// Returns a tree without tags and doubles.
///
/// A single file goes through this alone.
pub fn finish(mut node: Node) -> Node {
    Tags::take(&mut node);
    unique(node, &mut Vec::new())
}

/// How two values at a path become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Mappings merge, lists are appended, anything else is replaced.
    Deep,
    /// The later value stands alone.
    Replace,
    /// A mapping or a list of `KEY=value`; the later value of a key stands.
    KeyValues,
    /// A mapping, or a list of its keys.
    Names,
    /// Like [`Rule::Names`], where a bare name means a started, required service.
    Dependencies,
    /// A text or a list of texts.
    Texts,
    /// A mapping of host to address, or a list of both.
    Hosts,
    /// Options merge only if the driver is the same.
    Logging,
    /// A text is the context.
    Build,
    /// Address pools, told apart by their subnet.
    Pools,
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => Rule::Replace,
        // What belongs to others is not looked into, wherever it stands.
        [_, .., key] if key.starts_with("x-") => Rule::Replace,
        [key] if key.starts_with("x-") => Rule::Replace,
        ["services", _, "environment" | "labels" | "annotations" | "sysctls"]
        | ["services", _, "build", "args" | "labels" | "additional_contexts"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"] => Rule::KeyValues,
        ["services", _, "networks" | "models"] => Rule::Names,
        ["services", _, "depends_on"] => Rule::Dependencies,
        ["services", _, "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "tmpfs"] => {
            Rule::Texts
        }
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => Rule::Hosts,
        ["services", _, "logging"] => Rule::Logging,
        ["services", _, "build"] => Rule::Build,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        _ => Rule::Deep,
    }
}

fn merge_at(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Diagnostic> {
    let rule = rule(path);
    if rule == Rule::Replace {
        return Ok(over);
    }
    if matches!(over.value, Value::Null) {
        return Ok(base);
    }
    let (base, over) = (normal(base, rule), normal(over, rule));
    match rule {
        Rule::KeyValues => Ok(lines(later_entries(base, over, path)?)),
        Rule::Hosts => appended_once(base, over, path),
        Rule::Pools => merge_pools(base, over, path),
        Rule::Logging if !same_driver(&base, &over) => Ok(over),
        _ => deep(base, over, path),
    }
}

fn deep(base: Node, over: Node, path: &mut Vec<String>) -> Result<Node, Diagnostic> {
    match (base.value, over.value) {
        (Value::Map(earlier), Value::Map(later)) => {
            let value = Value::Map(merge_entries(earlier, later, path)?);
            Ok(Node { place: base.place, tag: base.tag, value })
        }
        (Value::List(mut items), Value::List(later)) => {
            items.extend(later);
            Ok(Node { place: base.place, tag: base.tag, value: Value::List(items) })
        }
        (earlier @ (Value::Map(_) | Value::List(_)), value) => {
            let (earlier, later) = (Node { value: earlier, ..base }, Node { value, ..over });
            Err(unlike(&earlier, &later, path))
        }
        (_, value) => Ok(Node { value, ..over }),
    }
}

/// Says that a mapping or a list of an earlier file meets something else.
fn unlike(base: &Node, over: &Node, path: &[String]) -> Diagnostic {
    let subject = match path {
        [services, service, key @ ..] if services == "services" && !key.is_empty() => {
            format!("service `{service}`: `{}`", key.join("."))
        }
        _ => format!("`{}`", path.join(".")),
    };
    over.diagnostic(format!(
        "{subject} must be {} as in line {} of {}, not {}",
        base.kind(),
        base.place.line,
        base.place.file,
        over.kind()
    ))
}

fn merge_entries(
    mut base: IndexMap<String, Entry>,
    over: IndexMap<String, Entry>,
    path: &mut Vec<String>,
) -> Result<IndexMap<String, Entry>, Diagnostic> {
    for (key, later) in over {
        let Some(earlier) = base.get_mut(&key) else {
            base.insert(key, later);
            continue;
        };
        let nothing = Node { place: later.node.place.clone(), tag: None, value: Value::Null };
        let before = std::mem::replace(&mut earlier.node, nothing);
        earlier.key_place = later.key_place;
        path.push(key);
        earlier.node = merge_at(before, later.node, path)?;
        path.pop();
    }
    Ok(base)
}

fn later_entries(base: Node, over: Node, path: &[String]) -> Result<Node, Diagnostic> {
    match (base.value, over.value) {
        (Value::Map(mut entries), Value::Map(later)) => {
            entries.extend(later);
            Ok(Node { place: base.place, tag: None, value: Value::Map(entries) })
        }
        (value, later) => Err(unlike(&Node { value, ..base }, &Node { value: later, ..over }, path)),
    }
}

/// Makes a list of `KEY=value` of a mapping, as Compose does with all that it merges: later files find no key in it to
/// reset. A mapping that holds anything but texts stays, and lowering reports it.
fn lines(node: Node) -> Node {
    let Value::Map(entries) = &node.value else { return node };
    let line = |(key, Entry { key_place, node }): (&String, &Entry)| {
        let text = match &node.value {
            Value::Null => key.clone(),
            Value::Bool(value) => format!("{key}={value}"),
            Value::Number(text) => format!("{key}={}", without_fraction(text)),
            Value::Text(text) => format!("{key}={text}"),
            Value::List(_) | Value::Map(_) => return None,
        };
        Some(Node { place: key_place.clone(), tag: None, value: Value::Text(text) })
    };
    match entries.iter().map(line).collect() {
        Some(lines) => Node { value: Value::List(lines), ..node },
        None => node,
    }
}

fn appended_once(base: Node, over: Node, path: &[String]) -> Result<Node, Diagnostic> {
    match (base.value, over.value) {
        (Value::List(mut items), Value::List(later)) => {
            let known: BTreeSet<String> = items.iter().filter_map(unique::scalar).collect();
            items.extend(
                later
                    .into_iter()
                    .filter(|item| unique::scalar(item).is_none_or(|text| !known.contains(&text))),
            );
            Ok(Node { place: base.place, tag: None, value: Value::List(items) })
        }
        (value, later) => Err(unlike(&Node { value, ..base }, &Node { value: later, ..over }, path)),
    }
}

fn same_driver(base: &Node, over: &Node) -> bool {
    match (base.entry("driver"), over.entry("driver")) {
        (Some(base), Some(over)) => base.node.value == over.node.value,
        _ => true,
    }
}

/// Brings a short form into the form that `rule` merges.
fn normal(node: Node, rule: Rule) -> Node {
    let Node { place, tag, value } = node;
    let value = match (rule, value) {
        (Rule::KeyValues, Value::List(items)) => keyed(items, key_and_value),
        (Rule::Names, Value::List(items)) => keyed(items, |text| (text.to_owned(), Value::Null)),
        (Rule::Dependencies, Value::List(items)) => dependencies(items),
        (Rule::Texts, value @ Value::Text(_)) => {
            Value::List(vec![Node { place: place.clone(), tag: None, value }])
        }
        (Rule::Hosts, value) => hosts(value),
        (Rule::Build, value @ Value::Text(_)) => {
            let node = Node { place: place.clone(), tag: None, value };
            Value::Map(IndexMap::from([("context".to_owned(), entry(node))]))
        }
        (_, value) => value,
    };
    Node { place, tag, value }
}

fn entry(node: Node) -> Entry {
    Entry { key_place: node.place.clone(), node }
}

/// Makes a mapping of a list of texts; a list that holds anything else stays, and lowering reports it.
fn keyed(items: Vec<Node>, split: impl Fn(&str) -> (String, Value)) -> Value {
    if !items.iter().all(|item| matches!(item.value, Value::Text(_))) {
        return Value::List(items);
    }
    let mut entries = IndexMap::new();
    for item in items {
        if let Value::Text(text) = &item.value {
            let (key, value) = split(text);
            entries.insert(key, entry(Node { value, ..item }));
        }
    }
    Value::Map(entries)
}

fn key_and_value(text: &str) -> (String, Value) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Value::Text(value.to_owned())),
        None => (text.to_owned(), Value::Null),
    }
}

fn dependencies(items: Vec<Node>) -> Value {
    let mut value = keyed(items, |text| (text.to_owned(), Value::Null));
    if let Value::Map(entries) = &mut value {
        for entry_of_name in entries.values_mut() {
            let at = |value| entry(Node { value, ..entry_of_name.node.clone() });
            let settings = IndexMap::from([
                ("condition".to_owned(), at(Value::Text("service_started".to_owned()))),
                ("required".to_owned(), at(Value::Bool(true))),
            ]);
            entry_of_name.node.value = Value::Map(settings);
        }
    }
    value
}

/// Makes a list of a mapping of hosts; as in Compose, lines of a list stay as they are written.
fn hosts(value: Value) -> Value {
    let line = |host: &str, address: &Node| match &address.value {
        Value::Text(text) => Node { value: Value::Text(format!("{host}={text}")), ..address.clone() },
        _ => address.clone(),
    };
    let items = match value {
        Value::Map(entries) => entries
            .iter()
            .flat_map(|(host, entry)| match &entry.node.value {
                Value::List(addresses) => addresses.iter().map(|address| line(host, address)).collect(),
                _ => vec![line(host, &entry.node)],
            })
            .collect(),
        other => return other,
    };
    Value::List(items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{json, node};
    use super::*;

    fn merged(base: &str, over: &str) -> serde_json::Value {
        let wrap = |settings: &str| node(&format!("{{services: {{web: {{{settings}}}}}}}"));
        json(&merge(wrap(base), wrap(over)).unwrap())["services"]["web"].clone()
    }

    #[test]
    fn mappings_merge_and_sequences_are_appended() {
        assert_eq!(
            merged("image: a, volumes_from: [x], init: true", "image: b, volumes_from: [x, z], tty: true"),
            json!({"image": "b", "volumes_from": ["x", "x", "z"], "init": true, "tty": true})
        );
    }

    #[test]
    fn commands_and_health_tests_are_replaced() {
        assert_eq!(
            merged(
                "command: [a, b], entrypoint: [c], healthcheck: {test: [CMD, d], retries: 3}",
                "command: x, entrypoint: [q], healthcheck: {test: [CMD, z]}",
            ),
            json!({"command": "x", "entrypoint": ["q"], "healthcheck": {"test": ["CMD", "z"], "retries": 3}})
        );
    }

    #[test]
    fn either_form_of_variables_merges_by_name() {
        assert_eq!(
            merged(
                "environment: [A=1, B=2=3, C], labels: {k: v}",
                "environment: {A: 9, C: c, D: null}, labels: [k=w, l]"
            ),
            json!({
                "environment": ["A=9", "B=2=3", "C=c", "D"],
                "labels": ["k=w", "l"],
            })
        );
    }

    #[test]
    fn either_form_of_dependencies_and_networks_merges_by_name() {
        assert_eq!(
            merged(
                "depends_on: [db], networks: [back]",
                "depends_on: {db: {condition: service_healthy}, mq: {condition: service_started}}, networks: {back: {aliases: [w]}}",
            ),
            json!({
                "depends_on": {
                    "db": {"condition": "service_healthy", "required": true},
                    "mq": {"condition": "service_started"},
                },
                "networks": {"back": {"aliases": ["w"]}},
            })
        );
    }

    #[test]
    fn ports_are_unique_by_address_target_published_and_protocol() {
        assert_eq!(
            merged(
                "ports: ['8080:80', '5432', '53:53/udp']",
                "ports: [{target: 80, published: '8080'}, '127.0.0.1:8080:80', '53:53', 5432]",
            ),
            json!({"ports": [{"target": 80, "published": "8080"}, 5432, "53:53/udp", "127.0.0.1:8080:80", "53:53"]})
        );
    }

    #[test]
    fn mounts_are_unique_by_target() {
        assert_eq!(
            merged(
                "volumes: ['data:/data', './a:/a'], secrets: [key], tmpfs: /t",
                "volumes: [{type: bind, source: ./d, target: /data}], secrets: [{source: other, target: /run/secrets/key}], tmpfs: ['/t:size=1m']",
            ),
            json!({
                "volumes": [{"type": "bind", "source": "./d", "target": "/data"}, "./a:/a"],
                "secrets": [{"source": "other", "target": "/run/secrets/key"}],
                "tmpfs": ["/t", "/t:size=1m"],
            })
        );
    }

    #[test]
    fn texts_and_lists_are_appended_without_doubles() {
        assert_eq!(
            merged(
                "env_file: a.env, dns: 1.1.1.1, expose: [80], profiles: [x]",
                "env_file: [{path: b.env}, a.env], dns: [1.1.1.1, 8.8.8.8], expose: ['80', '81'], profiles: [x, z]",
            ),
            json!({
                "env_file": ["a.env", {"path": "b.env"}],
                "dns": ["1.1.1.1", "8.8.8.8"],
                "expose": ["80", "81"],
                "profiles": ["x", "z"],
            })
        );
    }

    #[test]
    fn several_addresses_of_a_host_are_kept() {
        assert_eq!(
            merged("extra_hosts: ['a:10.0.0.1', 'b=10.0.0.2']", "extra_hosts: {a: 10.0.0.3, b: 10.0.0.2}"),
            json!({"extra_hosts": ["a:10.0.0.1", "b=10.0.0.2", "a=10.0.0.3"]})
        );
    }

    #[test]
    fn reset_removes_and_override_replaces() {
        assert_eq!(
            merged(
                "image: a, ports: ['1:1'], healthcheck: {test: x, retries: 2}, expose: [1]",
                "ports: {'!reset': []}, healthcheck: {test: {'!reset': null}}, expose: {'!override': [2]}",
            ),
            json!({"image": "a", "healthcheck": {"retries": 2}, "expose": [2]})
        );
    }

    #[test]
    fn nothing_in_a_list_is_reset() {
        let over = "environment: {A: {'!reset': null}, C: 3}";
        assert_eq!(merged("environment: {A: 1, B: 2}", over), json!({"environment": ["B=2", "C=3"]}));
        assert_eq!(merged("environment: [A=1, B=2]", over), json!({"environment": ["A=1", "B=2", "C=3"]}));
    }

    #[test]
    fn a_tag_within_a_tagged_value_does_not_matter() {
        let mut over =
            node("{a: {'!override': {b: {'!reset': null}, c: {'!override': 1}}}, d: {e: {'!reset': null}}}");
        let mut base = node("{d: {e: 1, f: [2]}}");
        let tags = Tags::take(&mut over);
        tags.clear(&mut base);
        assert_eq!((json(&over), json(&base)), (json!({"a": {"c": 1}, "d": {}}), json!({"d": {"f": [2]}})));
        let mut other = node("{b: 1, c: 2}");
        tags.within("a").unwrap().clear(&mut other);
        assert_eq!(json(&other), json!({"b": 1, "c": 2}));
    }

    #[test]
    fn short_forms_become_long_ones_unless_they_hold_doubles() {
        let mut tree = node(
            "{services: {a: {build: x, depends_on: [b], gpus: all, networks: [m, m]}, b: {build: {ssh: [default, k=./k], additional_contexts: [c=./c]}}}}",
        );
        canonical(&mut tree);
        assert_eq!(
            json(&tree)["services"],
            json!({
                "a": {
                    "build": {"context": "x"},
                    "depends_on": {"b": {"condition": "service_started", "required": true}},
                    "gpus": [{"count": "all"}],
                    "networks": ["m", "m"],
                },
                "b": {"build": {"ssh": {"default": null, "k": "./k"}, "additional_contexts": {"c": "./c"}}},
            })
        );
    }

    #[test]
    fn tags_of_a_single_file_are_resolved() {
        let single = node("{services: {a: {'!reset': {image: x}}, b: {ports: {'!override': [1]}}}}");
        assert_eq!(json(&finish(single)), json!({"services": {"b": {"ports": [1]}}}));
    }

    #[test]
    fn nothing_in_the_later_file_keeps_the_earlier_value() {
        assert_eq!(
            merged("image: a, environment: [A=1]", "image: null, environment: null"),
            json!({"image": "a", "environment": ["A=1"]})
        );
    }

    #[test]
    fn logging_options_of_another_driver_are_dropped() {
        let base = "logging: {driver: json-file, options: {a: '1'}}";
        assert_eq!(merged(base, "logging: {driver: syslog}"), json!({"logging": {"driver": "syslog"}}));
        assert_eq!(
            merged(base, "logging: {options: {b: '2'}}"),
            json!({"logging": {"driver": "json-file", "options": {"a": "1", "b": "2"}}})
        );
    }

    #[test]
    fn address_pools_merge_by_subnet() {
        let of = |pools: &str| node(&format!("{{networks: {{n: {{ipam: {{config: {pools}}}}}}}}}"));
        let merged = merge(
            of("[{subnet: 10.0.0.0/24}]"),
            of("[{subnet: 10.0.0.0/24, gateway: 10.0.0.9}, {subnet: 10.1.0.0/24}]"),
        )
        .unwrap();
        assert_eq!(
            json(&merged)["networks"]["n"]["ipam"]["config"],
            json!([{"subnet": "10.0.0.0/24", "gateway": "10.0.0.9"}, {"subnet": "10.1.0.0/24"}])
        );
    }
}
