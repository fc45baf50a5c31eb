//! Settings that the Engine takes as they are.

use std::collections::HashMap;

use bollard::models::{DeviceMapping, DeviceRequest as EngineRequest, HostConfig, HostConfigLogConfig};
use envtree_core::service::{Device, DeviceRequest, RuntimeOptions};

use super::body::{flag, list, map};
use crate::error::DockerError;
use crate::version::{ApiVersion, Asked, TooOld};

/// The security option by which a container sees all of the kernel's files.
const ALL_PATHS: &str = "systempaths=unconfined";

/// Returns an error for what the Engine would drop without a word.
pub(super) fn check(service: &str, runtime: &RuntimeOptions, api: ApiVersion) -> Result<(), TooOld> {
    if runtime.annotations.is_empty() {
        return Ok(());
    }
    ApiVersion::ANNOTATIONS.demand(api, service, "annotations", Asked::Key("annotations"))
}

/// Returns the settings of the host's side of a container.
pub(super) fn host_config(
    service: &str,
    runtime: &RuntimeOptions,
    api: ApiVersion,
) -> Result<HostConfig, DockerError> {
    let sees_all = runtime.security_opt.iter().any(|option| option == ALL_PATHS);
    let (vendor, plain): (Vec<&Device>, Vec<&Device>) =
        runtime.devices.iter().partition(|device| device.is_of_vendor());
    check(service, runtime, api)?;
    Ok(HostConfig {
        init: runtime.init,
        privileged: flag(runtime.privileged),
        readonly_rootfs: flag(runtime.read_only),
        cap_add: list(runtime.cap_add.iter().cloned()),
        cap_drop: list(runtime.cap_drop.iter().cloned()),
        security_opt: list(security(runtime)),
        // An empty list takes the Engine's own away.
        masked_paths: sees_all.then(Vec::new),
        readonly_paths: sees_all.then(Vec::new),
        group_add: list(runtime.group_add.iter().cloned()),
        extra_hosts: list(runtime.extra_hosts.iter().cloned()),
        dns: list(runtime.dns.iter().cloned()),
        dns_search: list(runtime.dns_search.iter().cloned()),
        dns_options: list(runtime.dns_opt.iter().cloned()),
        tmpfs: memory(runtime),
        sysctls: map(&runtime.sysctls),
        shm_size: runtime.shm_size,
        annotations: map(&runtime.annotations),
        cgroupns_mode: runtime.cgroup.as_deref().and_then(|mode| mode.parse().ok()),
        cgroup_parent: runtime.cgroup_parent.clone(),
        devices: list(plain.into_iter().map(mapping)),
        device_cgroup_rules: list(runtime.device_cgroup_rules.iter().cloned()),
        device_requests: list(runtime.gpus.iter().map(gpu).chain(vendor_request(&vendor))),
        ipc_mode: runtime.ipc.clone(),
        pid_mode: runtime.pid.clone(),
        uts_mode: runtime.uts.clone(),
        userns_mode: runtime.userns_mode.clone(),
        isolation: runtime.isolation.as_deref().and_then(|mode| mode.parse().ok()),
        log_config: runtime.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: map(&logging.options),
        }),
        runtime: runtime.runtime.clone(),
        storage_opt: map(&runtime.storage_opt),
        ..HostConfig::default()
    })
}

/// Returns the security options, in which a profile of seccomp stands in full.
fn security(runtime: &RuntimeOptions) -> Vec<String> {
    let options = runtime.security_opt.iter().filter(|option| *option != ALL_PATHS);
    options
        .map(|option| match (&runtime.seccomp, option.strip_prefix("seccomp")) {
            (Some(profile), Some(_)) if !option.ends_with("unconfined") => format!("seccomp={profile}"),
            _ => option.clone(),
        })
        .collect()
}

/// Returns the memory that is mounted: its options by path.
fn memory(runtime: &RuntimeOptions) -> Option<HashMap<String, String>> {
    let asked = runtime.tmpfs.iter().filter(|line| !line.is_empty());
    let mounts = asked.map(|line| {
        let (path, options) = line.split_once(':').unwrap_or((line, ""));
        (path.to_owned(), options.to_owned())
    });
    Some(mounts.collect::<HashMap<_, _>>()).filter(|mounts| !mounts.is_empty())
}

fn mapping(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(match device.permissions.as_str() {
            "" => "rwm".to_owned(),
            allowed => allowed.to_owned(),
        }),
    }
}

/// Returns the request for devices that bear a vendor's name.
fn vendor_request(devices: &[&Device]) -> Option<EngineRequest> {
    (!devices.is_empty()).then(|| EngineRequest {
        driver: Some("cdi".to_owned()),
        device_ids: list(devices.iter().map(|device| device.source.clone())),
        ..EngineRequest::default()
    })
}

/// Returns a request for what `gpus` asks for, which is a graphics processor in any case.
fn gpu(request: &DeviceRequest) -> EngineRequest {
    let mut asked = request.clone();
    if !asked.capabilities.iter().any(|capability| capability == "gpu") {
        asked.capabilities.push("gpu".to_owned());
    }
    device_request(&asked)
}

pub(super) fn device_request(request: &DeviceRequest) -> EngineRequest {
    EngineRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: list(request.device_ids.iter().cloned()),
        capabilities: list((!request.capabilities.is_empty()).then(|| request.capabilities.clone())),
        options: map(&request.options),
    }
}
