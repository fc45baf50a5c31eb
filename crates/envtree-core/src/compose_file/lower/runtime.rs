//! Settings of a container that the Engine takes as they are.

use indexmap::IndexMap;

use super::health_check::DURATION;
use super::quantity::{parse_bytes, parse_duration};
use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::service::{RuntimeOptions, Ulimit};

const ULIMIT_KEYS: Keys = Keys { read: &["soft", "hard"], ignored: &[], refused: &[] };

/// Returns the settings of the service.
pub(super) fn lower_runtime(service: &Section<'_>) -> RuntimeOptions {
    let bytes = |key| service.parsed(key, "a size such as `64m`", parse_bytes);
    RuntimeOptions {
        init: service.boolean("init"),
        tty: service.is_on("tty"),
        stdin_open: service.is_on("stdin_open"),
        privileged: service.is_on("privileged"),
        read_only: service.is_on("read_only"),
        cap_add: service.texts("cap_add"),
        cap_drop: service.texts("cap_drop"),
        security_opt: service.texts("security_opt"),
        group_add: service.texts("group_add"),
        extra_hosts: extra_hosts(service),
        dns: service.texts("dns"),
        dns_search: service.texts("dns_search"),
        sysctls: service.labels("sysctls"),
        ulimits: ulimits(service),
        stop_signal: service.text("stop_signal"),
        stop_grace_period: service.parsed("stop_grace_period", DURATION, parse_duration),
        shm_size: bytes("shm_size"),
        mem_limit: bytes("mem_limit"),
    }
}

fn ulimits(service: &Section<'_>) -> IndexMap<String, Ulimit> {
    let mut limits = IndexMap::new();
    let Some(node) = service.node("ulimits") else {
        return limits;
    };
    let Value::Map(entries) = &node.value else {
        service.unfit("ulimits", node, "a mapping");
        return limits;
    };
    for (name, entry) in entries {
        limits.extend(ulimit(service, name, &entry.node).map(|limit| (name.clone(), limit)));
    }
    limits
}

fn ulimit(service: &Section<'_>, name: &str, node: &Node) -> Option<Ulimit> {
    let key = format!("ulimits.{name}");
    let expected = "a whole number, or a mapping of `soft` and `hard`";
    let number = |text: &str| text.parse::<i64>().ok();
    if !matches!(node.value, Value::Map(_)) {
        let limit = service.parsed_node(&key, node, expected, number)?;
        return Some(Ulimit { soft: limit, hard: limit });
    }
    let section = service.within(&key, node, &ULIMIT_KEYS)?;
    let limit = |key| {
        if section.node(key).is_none() {
            section.error(section.place, format!("{} is missing", section.name(key)));
        }
        section.parsed(key, "a whole number", number)
    };
    let (soft, hard) = (limit("soft"), limit("hard"));
    Some(Ulimit { soft: soft?, hard: hard? })
}

/// Returns lines of `host:address`; the file may write `=` for the colon, brackets around the address, or a mapping.
fn extra_hosts(service: &Section<'_>) -> Vec<String> {
    let Some(node) = service.node("extra_hosts") else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut add = |host: &str, addresses: &str| {
        for address in addresses.split(',') {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
            lines.push(format!("{host}:{bare}"));
        }
    };
    let expected = "a list of `host=address`, or a mapping";
    match &node.value {
        Value::Map(entries) => {
            for (host, entry) in entries {
                let addresses = match &entry.node.value {
                    Value::List(items) => items.iter().collect(),
                    _ => vec![&entry.node],
                };
                for address in addresses {
                    match scalar(address) {
                        Some(text) => add(host, &text),
                        None => service.unfit("extra_hosts", address, "an address"),
                    }
                }
            }
        }
        Value::List(items) => {
            for item in items {
                let text = scalar(item);
                let split =
                    text.as_deref().and_then(|text| text.split_once('=').or_else(|| text.split_once(':')));
                match split {
                    Some((host, addresses)) => add(host, addresses),
                    None => service.unfit("extra_hosts", item, expected),
                }
            }
        }
        _ => service.unfit("extra_hosts", node, expected),
    }
    lines
}
