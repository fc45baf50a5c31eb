//! Settings of a container that the Engine takes as they are.

use std::time::Duration;

use super::LowerOptions;
use super::device::{lower_devices, lower_gpus};
use super::limits::{lower_extra_hosts, lower_limits, lower_ulimits};
use super::mount::lower_tmpfs;
use super::path::resolved;
use super::quantity::{DURATION, parse_signed_duration};
use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::Value;
use crate::service::{Logging, RuntimeOptions};

const LOGGING_KEYS: Keys = Keys { read: &["driver", "options"], ignored: &[], refused: &[] };
const HARDWARE_ADDRESS: &str = "an address such as `02:42:ac:11:00:02`";

/// Returns the settings of the service.
pub(super) fn lower_runtime(service: &Section<'_>, options: &LowerOptions<'_>) -> RuntimeOptions {
    let grace = lower_grace(service);
    RuntimeOptions {
        init: service.boolean("init"),
        tty: service.is_on("tty"),
        stdin_open: service.is_on("stdin_open"),
        privileged: service.is_on("privileged"),
        read_only: service.is_on("read_only"),
        cap_add: service.texts("cap_add"),
        cap_drop: service.texts("cap_drop"),
        security_opt: lower_security(service),
        seccomp: read_seccomp(service, options),
        group_add: service.texts("group_add"),
        extra_hosts: lower_extra_hosts(service),
        dns: service.texts("dns").into_iter().filter(|address| !address.is_empty()).collect(),
        dns_search: service.texts("dns_search"),
        dns_opt: service.texts("dns_opt"),
        domainname: service.text("domainname"),
        tmpfs: lower_tmpfs(service),
        sysctls: service.labels("sysctls"),
        ulimits: lower_ulimits(service),
        stop_signal: service.text("stop_signal"),
        stop_grace_period: grace.1,
        stop_grace_is_negative: grace.0,
        shm_size: service.bytes("shm_size").filter(|bytes| *bytes != 0),
        annotations: service.labels("annotations"),
        cgroup: service.word("cgroup", &["host", "private"]),
        cgroup_parent: service.text("cgroup_parent"),
        devices: lower_devices(service),
        device_cgroup_rules: service.texts("device_cgroup_rules"),
        gpus: lower_gpus(service),
        ipc: service.text("ipc"),
        pid: service.text("pid"),
        uts: service.text("uts"),
        userns_mode: service.text("userns_mode"),
        isolation: service.text("isolation"),
        logging: service
            .child("logging", &LOGGING_KEYS)
            .map(|section| Logging { driver: section.text("driver"), options: section.labels("options") }),
        mac_address: lower_mac_address(service),
        runtime: service.text("runtime"),
        storage_opt: service.labels("storage_opt"),
        limits: lower_limits(service),
    }
}

/// Returns whether the time that the service may take to stop is negative, and the time without its sign.
fn lower_grace(service: &Section<'_>) -> (bool, Option<Duration>) {
    let grace = service.parsed("stop_grace_period", DURATION, parse_signed_duration);
    grace.map_or((false, None), |(is_negative, time)| (is_negative, Some(time)))
}

/// Returns a hardware address; a text that is none is refused, and shown all the same.
pub(super) fn lower_mac_address(section: &Section<'_>) -> Option<String> {
    section.fit_or_shown("mac_address", HARDWARE_ADDRESS, |text| {
        let mut parts = text.split([':', '-']);
        let is_byte = |part: &str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
        parts.clone().count() == 6 && parts.all(is_byte)
    })
}

/// Returns security options: `no-new-privileges`, or a name and a value.
fn lower_security(service: &Section<'_>) -> Vec<String> {
    let expected = "`no-new-privileges` or `name=value`";
    let items = service.items("security_opt").iter();
    items
        .filter_map(|item| {
            let text = service.parsed_node("security_opt", item, expected, |text| Some(text.to_owned()))?;
            if !matches!(text.as_str(), "" | "no-new-privileges") && !text.contains(['=', ':']) {
                service.warn(
                    &item.place,
                    format!("`security_opt`: `{text}` is neither {expected}; the Engine will not start the service"),
                );
            }
            Some(text)
        })
        .collect()
}

/// Returns the profile of seccomp that `security_opt` names by its path.
///
/// What cannot be read is warned about: the file is needed by no command that makes no container.
fn read_seccomp(service: &Section<'_>, options: &LowerOptions<'_>) -> Option<String> {
    // What is no list is reported where all options are read.
    let Value::List(items) = &service.node("security_opt")?.value else { return None };
    let named = items.iter().find_map(|item| {
        let text = scalar(item)?;
        let path = text.strip_prefix("seccomp").and_then(|rest| rest.strip_prefix(['=', ':']))?;
        (!matches!(path, "unconfined" | "builtin")).then(|| (item, path.to_owned()))
    });
    let (item, path) = named?;
    let absolute = resolved(&path, options)?;
    let fault = match (options.read_text)(&absolute) {
        Ok(Some(text)) => match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(profile) => return Some(profile.to_string()),
            Err(error) => format!("`{absolute}` is no profile of seccomp in JSON: {error}"),
        },
        Ok(None) => format!("there is no file `{absolute}`"),
        Err(cause) => cause,
    };
    service.warn(&item.place, format!("`security_opt`: {fault}; the Engine will not start the service"));
    None
}
