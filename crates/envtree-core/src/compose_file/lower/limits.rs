//! What a container may use of its machine: `cpus`, `mem_limit`, `blkio_config` and their like.

use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::service::{Blkio, DeviceRate, DeviceWeight, Limits, Ulimit};
use indexmap::IndexMap;

const BLKIO_KEYS: Keys = Keys {
    read: &[
        "weight",
        "weight_device",
        "device_read_bps",
        "device_read_iops",
        "device_write_bps",
        "device_write_iops",
    ],
    ignored: &[],
    refused: &[],
};
const WEIGHT_KEYS: Keys = Keys { read: &["path", "weight"], ignored: &[], refused: &[] };
const RATE_KEYS: Keys = Keys { read: &["path", "rate"], ignored: &[], refused: &[] };
const ULIMIT_KEYS: Keys = Keys { read: &["soft", "hard"], ignored: &[], refused: &[] };
const WEIGHT: &str = "a weight from 10 to 1000";
const WEIGHT_BITS: u32 = u16::BITS;

/// Returns the limits of the service. As with Compose, nought is no limit.
pub(super) fn lower_limits(service: &Section<'_>) -> Limits {
    let integer = |key| service.integer(key).filter(|number| *number != 0);
    let cut = |key| service.cut_integer(key).filter(|number| *number != 0);
    let decimal = |key| service.decimal_or_shown(key).filter(|number| number.billionths() != 0);
    let bytes = |key| service.bytes(key).filter(|bytes| *bytes != 0);
    Limits {
        blkio_config: service.child("blkio_config", &BLKIO_KEYS).map(|section| blkio(&section)),
        cpu_count: integer("cpu_count"),
        cpu_percent: decimal("cpu_percent"),
        cpu_period: cut("cpu_period"),
        cpu_quota: cut("cpu_quota"),
        cpu_rt_period: cut("cpu_rt_period"),
        cpu_rt_runtime: cut("cpu_rt_runtime"),
        cpu_shares: cut("cpu_shares"),
        cpus: decimal("cpus"),
        cpuset: service.text("cpuset"),
        mem_limit: bytes("mem_limit"),
        mem_reservation: bytes("mem_reservation"),
        memswap_limit: bytes("memswap_limit"),
        mem_swappiness: bytes("mem_swappiness"),
        oom_kill_disable: service.is_on("oom_kill_disable"),
        oom_score_adj: integer("oom_score_adj"),
        pids_limit: cut("pids_limit"),
    }
}

fn blkio(section: &Section<'_>) -> Blkio {
    let weights = section.sections("weight_device", &WEIGHT_KEYS).into_iter();
    Blkio {
        weight: section.bits_or_shown("weight", WEIGHT, WEIGHT_BITS).filter(|weight| *weight != 0),
        weight_device: weights
            .filter_map(|device| {
                let path = device.required_or_empty("path")?;
                device.node("weight")?;
                let weight = device.bits_or_shown("weight", WEIGHT, WEIGHT_BITS).unwrap_or_default();
                Some(DeviceWeight { path, weight, as_written: device.shown() })
            })
            .collect(),
        device_read_bps: rates(section, "device_read_bps"),
        device_read_iops: rates(section, "device_read_iops"),
        device_write_bps: rates(section, "device_write_bps"),
        device_write_iops: rates(section, "device_write_iops"),
        as_written: section.shown(),
    }
}

fn rates(section: &Section<'_>, key: &str) -> Vec<DeviceRate> {
    let devices = section.sections(key, &RATE_KEYS).into_iter();
    devices
        .filter_map(|device| {
            let (path, rate) = (device.required_or_empty("path"), device.bytes("rate"));
            Some(DeviceRate { path: path?, rate: rate? })
        })
        .collect()
}

/// Returns the limits of processes.
pub(super) fn lower_ulimits(section: &Section<'_>) -> IndexMap<String, Ulimit> {
    let mut limits = IndexMap::new();
    let Some(node) = section.node("ulimits") else {
        return limits;
    };
    let Value::Map(entries) = &node.value else {
        section.unfit("ulimits", node, "a mapping");
        return limits;
    };
    for (name, entry) in entries {
        limits.extend(ulimit(section, name, &entry.node).map(|limit| (name.clone(), limit)));
    }
    limits
}

fn ulimit(section: &Section<'_>, name: &str, node: &Node) -> Option<Ulimit> {
    let key = format!("ulimits.{name}");
    let expected = "a whole number, or a mapping of `soft` and `hard`";
    if !matches!(node.value, Value::Map(_)) {
        let limit = section.parsed_node(&key, node, expected, |text| text.parse::<i64>().ok())?;
        return Some(Ulimit { soft: limit, hard: limit });
    }
    let inner = section.within(&key, node, &ULIMIT_KEYS)?;
    let limit = |key| {
        if inner.node(key).is_none() {
            inner.error(inner.place, format!("{} is missing", inner.name(key)));
        }
        inner.integer(key)
    };
    let (soft, hard) = (limit("soft"), limit("hard"));
    Some(Ulimit { soft: soft?, hard: hard? })
}

/// Returns lines of `host:address`; the file may write `=` for the colon, brackets around the address, or a mapping.
pub(super) fn lower_extra_hosts(section: &Section<'_>) -> Vec<String> {
    let Some(node) = section.node("extra_hosts") else {
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
                        None => section.unfit("extra_hosts", address, "an address"),
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
                    None => section.unfit("extra_hosts", item, expected),
                }
            }
        }
        _ => section.unfit("extra_hosts", node, expected),
    }
    lines
}
