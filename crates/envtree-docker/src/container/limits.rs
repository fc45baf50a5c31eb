//! What a container may use, as the Engine takes it.

use bollard::models::{HostConfig, ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice};
use envtree_core::decimal::Decimal;
use envtree_core::service::{Blkio, Deploy, DeviceRate, Limits, Service};

use super::body::{flag, list};
use super::options::device_request;

/// Adds the limits of the definition to `config`; those of `deploy` stand above the others.
pub(super) fn limits(definition: &Service, config: HostConfig) -> HostConfig {
    let limits = &definition.runtime.limits;
    let ulimits = definition.runtime.ulimits.iter();
    let config = HostConfig {
        cpu_count: limits.cpu_count,
        cpu_percent: limits.cpu_percent.map(Decimal::hundredths),
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpu_shares: limits.cpu_shares,
        nano_cpus: limits.cpus.map(Decimal::billionths),
        cpuset_cpus: limits.cpuset.clone(),
        memory: limits.mem_limit,
        memory_reservation: limits.mem_reservation,
        memory_swap: limits.memswap_limit,
        memory_swappiness: limits.mem_swappiness,
        oom_kill_disable: flag(limits.oom_kill_disable),
        oom_score_adj: limits.oom_score_adj,
        pids_limit: limits.pids_limit,
        ulimits: list(ulimits.map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })),
        ..blkio(limits, config)
    };
    match &definition.deploy {
        Some(deploy) => deployed(deploy, config),
        None => config,
    }
}

fn blkio(limits: &Limits, config: HostConfig) -> HostConfig {
    let Some(Blkio { weight, weight_device, .. }) = &limits.blkio_config else {
        return config;
    };
    let rates = |devices: fn(&Blkio) -> &Vec<DeviceRate>| {
        let devices = limits.blkio_config.iter().flat_map(devices);
        list(
            devices.map(|device| ThrottleDevice { path: Some(device.path.clone()), rate: Some(device.rate) }),
        )
    };
    HostConfig {
        blkio_weight: *weight,
        blkio_weight_device: list(weight_device.iter().map(|device| ResourcesBlkioWeightDevice {
            path: Some(device.path.clone()),
            weight: Some(device.weight.into()),
        })),
        blkio_device_read_bps: rates(|blkio| &blkio.device_read_bps),
        blkio_device_read_iops: rates(|blkio| &blkio.device_read_iops),
        blkio_device_write_bps: rates(|blkio| &blkio.device_write_bps),
        blkio_device_write_iops: rates(|blkio| &blkio.device_write_iops),
        ..config
    }
}

fn deployed(deploy: &Deploy, mut config: HostConfig) -> HostConfig {
    if let Some(limits) = &deploy.resources.limits {
        config.memory = limits.memory.filter(|bytes| *bytes != 0).or(config.memory);
        config.nano_cpus =
            limits.cpus.map(Decimal::billionths).filter(|cpus| *cpus != 0).or(config.nano_cpus);
        config.pids_limit = limits.pids.filter(|pids| *pids > 0).or(config.pids_limit);
    }
    if let Some(reservations) = &deploy.resources.reservations {
        let memory = reservations.memory.filter(|bytes| *bytes != 0);
        config.memory_reservation = memory.or(config.memory_reservation);
        let mut requests = config.device_requests.unwrap_or_default();
        requests.extend(reservations.devices.iter().map(device_request));
        config.device_requests = list(requests);
    }
    config
}
