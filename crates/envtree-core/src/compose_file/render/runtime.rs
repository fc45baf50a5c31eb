//! Settings that the Engine takes as they are.

use serde_json::{Value, json};

use super::settings::{Settings, bytes, duration, text};
use crate::service::{
    Blkio, Device, DeviceRate, DeviceRequest, DeviceWeight, Limits, RuntimeOptions, Ulimit,
};

pub(super) fn runtime(runtime: &RuntimeOptions, settings: &mut Settings) {
    settings.some("init", runtime.init);
    settings.on("tty", runtime.tty);
    settings.on("stdin_open", runtime.stdin_open);
    settings.on("privileged", runtime.privileged);
    settings.on("read_only", runtime.read_only);
    settings.list("cap_add", &runtime.cap_add);
    settings.list("cap_drop", &runtime.cap_drop);
    settings.list("security_opt", &runtime.security_opt);
    settings.list("group_add", &runtime.group_add);
    settings.list("extra_hosts", &hosts(&runtime.extra_hosts));
    settings.list("dns", &runtime.dns);
    settings.list("dns_search", &runtime.dns_search);
    settings.list("dns_opt", &runtime.dns_opt);
    settings.some("domainname", runtime.domainname.clone());
    settings.list("tmpfs", &runtime.tmpfs);
    settings.mapping("sysctls", &runtime.sysctls, text);
    settings.mapping("ulimits", &runtime.ulimits, ulimit);
    settings.some("stop_signal", runtime.stop_signal.clone());
    let sign = if runtime.stop_grace_is_negative { "-" } else { "" };
    settings
        .some("stop_grace_period", runtime.stop_grace_period.map(|time| format!("{sign}{}", duration(time))));
    settings.some("shm_size", runtime.shm_size.map(bytes));
    settings.mapping("annotations", &runtime.annotations, text);
    settings.some("cgroup", runtime.cgroup.clone());
    settings.some("cgroup_parent", runtime.cgroup_parent.clone());
    settings.list("devices", &runtime.devices.iter().map(device).collect::<Vec<_>>());
    settings.list("device_cgroup_rules", &runtime.device_cgroup_rules);
    settings.list("gpus", &requests(&runtime.gpus));
    settings.some("ipc", runtime.ipc.clone());
    settings.some("pid", runtime.pid.clone());
    settings.some("uts", runtime.uts.clone());
    settings.some("userns_mode", runtime.userns_mode.clone());
    settings.some("isolation", runtime.isolation.clone());
    settings.some(
        "logging",
        runtime.logging.as_ref().map(|logging| {
            let mut settings = Settings::default();
            settings.some("driver", logging.driver.clone());
            settings.mapping("options", &logging.options, text);
            settings
        }),
    );
    settings.some("mac_address", runtime.mac_address.clone());
    settings.some("runtime", runtime.runtime.clone());
    settings.mapping("storage_opt", &runtime.storage_opt, text);
    limits(&runtime.limits, settings);
}

/// Writes lines of `host=address`, as Compose sorts them.
pub(super) fn hosts(lines: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| line.replacen(':', "=", 1)).collect();
    lines.sort();
    lines
}

pub(super) fn ulimit(limit: &Ulimit) -> Value {
    json!({"soft": limit.soft, "hard": limit.hard})
}

fn device(device: &Device) -> Value {
    let mut settings = Settings::default();
    let filled = |path: &str| Some(path).filter(|path| !path.is_empty()).map(str::to_owned);
    settings.some("source", filled(&device.source));
    settings.some("target", filled(&device.target));
    settings.some("permissions", Some(&device.permissions).filter(|allowed| !allowed.is_empty()).cloned());
    settings.into()
}

pub(super) fn requests(requests: &[DeviceRequest]) -> Vec<Value> {
    let request = |request: &DeviceRequest| {
        let mut settings = Settings::default();
        settings.list("capabilities", &request.capabilities);
        settings.some("driver", request.driver.clone());
        settings.some("count", request.count);
        settings.list("device_ids", &request.device_ids);
        settings.mapping("options", &request.options, text);
        settings.into()
    };
    requests.iter().map(request).collect()
}

fn limits(limits: &Limits, settings: &mut Settings) {
    settings.some("blkio_config", limits.blkio_config.as_ref().map(blkio));
    settings.some("cpu_count", limits.cpu_count);
    settings.some("cpu_percent", limits.cpu_percent.map(|percent| json!(percent)));
    settings.some("cpu_period", limits.cpu_period);
    settings.some("cpu_quota", limits.cpu_quota);
    settings.some("cpu_rt_period", limits.cpu_rt_period);
    settings.some("cpu_rt_runtime", limits.cpu_rt_runtime);
    settings.some("cpu_shares", limits.cpu_shares);
    settings.some("cpus", limits.cpus.map(|cpus| json!(cpus)));
    settings.some("cpuset", limits.cpuset.clone());
    settings.some("mem_limit", limits.mem_limit.map(bytes));
    settings.some("mem_reservation", limits.mem_reservation.map(bytes));
    settings.some("memswap_limit", limits.memswap_limit.map(bytes));
    settings.some("mem_swappiness", limits.mem_swappiness.map(bytes));
    settings.on("oom_kill_disable", limits.oom_kill_disable);
    settings.some("oom_score_adj", limits.oom_score_adj);
    settings.some("pids_limit", limits.pids_limit);
}

fn blkio(blkio: &Blkio) -> Settings {
    let mut settings = Settings::default();
    let weights = blkio.weight_device.iter().map(weight).collect::<Vec<_>>();
    settings.some("weight", blkio.weight);
    settings.list("weight_device", &weights);
    settings.list("device_read_bps", &rates(&blkio.device_read_bps));
    settings.list("device_read_iops", &rates(&blkio.device_read_iops));
    settings.list("device_write_bps", &rates(&blkio.device_write_bps));
    settings.list("device_write_iops", &rates(&blkio.device_write_iops));
    settings.as_written(&blkio.as_written);
    settings
}

fn weight(device: &DeviceWeight) -> Value {
    let mut settings = Settings::default();
    settings.set("path", device.path.clone());
    settings.set("weight", device.weight);
    settings.as_written(&device.as_written);
    settings.into()
}

fn rates(devices: &[DeviceRate]) -> Vec<Value> {
    devices.iter().map(|device| json!({"path": device.path, "rate": bytes(device.rate)})).collect()
}
