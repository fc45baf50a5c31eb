//! Settings of a container that need no decision: the Engine takes them as they are.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use super::AsWritten;
use crate::decimal::Decimal;

/// Settings of a container that need no decision: the Engine takes them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RuntimeOptions {
    /// Whether an init process reaps children.
    pub init: Option<bool>,
    /// Whether the container gets a pseudo-terminal.
    pub tty: bool,
    /// Whether standard input stays open.
    pub stdin_open: bool,
    /// Whether the container has all privileges.
    pub privileged: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities removed.
    pub cap_drop: Vec<String>,
    /// Security options; a profile of seccomp is named by its path.
    pub security_opt: Vec<String>,
    /// The profile of seccomp that `security_opt` names, as JSON.
    pub seccomp: Option<String>,
    /// Groups that the process joins.
    pub group_add: Vec<String>,
    /// Lines for `/etc/hosts`: `host:address`.
    pub extra_hosts: Vec<String>,
    /// DNS servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// Options of the DNS resolver.
    pub dns_opt: Vec<String>,
    /// The container's own domain name.
    pub domainname: Option<String>,
    /// Memory that is mounted: `path[:options]`.
    pub tmpfs: Vec<String>,
    /// Kernel parameters.
    pub sysctls: IndexMap<String, String>,
    /// Resource limits of processes.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Signal that asks the process to stop.
    pub stop_signal: Option<String>,
    /// How long the process may take to stop before it is killed.
    pub stop_grace_period: Option<Duration>,
    /// Whether a minus stands before that time: the Engine then waits without end.
    pub stop_grace_is_negative: bool,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<i64>,
    /// Notes for the container's runtime.
    pub annotations: IndexMap<String, String>,
    /// The namespace of control groups: `host` or `private`.
    pub cgroup: Option<String>,
    /// The control group that the container's is made in.
    pub cgroup_parent: Option<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Further devices that the container may use, as rules of the kernel.
    pub device_cgroup_rules: Vec<String>,
    /// Graphics processors, and the like.
    pub gpus: Vec<DeviceRequest>,
    /// How processes share memory: `host`, `private`, `shareable`, `service:…`, `container:…`.
    pub ipc: Option<String>,
    /// Which processes are seen: `host`, `service:…`, `container:…`.
    pub pid: Option<String>,
    /// `host` for the host's own names.
    pub uts: Option<String>,
    /// `host` for the host's own users.
    pub userns_mode: Option<String>,
    /// How containers are kept apart, on Windows.
    pub isolation: Option<String>,
    /// Where output goes.
    pub logging: Option<Logging>,
    /// The hardware address on the first network.
    pub mac_address: Option<String>,
    /// The program that runs the container.
    pub runtime: Option<String>,
    /// Options of the storage driver.
    pub storage_opt: IndexMap<String, String>,
    /// What the container may use.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What a container may use of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Reads and writes of devices.
    pub blkio_config: Option<Blkio>,
    /// Processors, on Windows.
    pub cpu_count: Option<i64>,
    /// Share of the processors, on Windows.
    pub cpu_percent: Option<Decimal>,
    /// Period of the scheduler in microseconds.
    pub cpu_period: Option<i64>,
    /// Processor time of each period in microseconds.
    pub cpu_quota: Option<i64>,
    /// Period of the real-time scheduler in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Processor time of each real-time period in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// Weight among the containers.
    pub cpu_shares: Option<i64>,
    /// Processors that the container may use up.
    pub cpus: Option<Decimal>,
    /// Processors that the container may use, such as `0-3`.
    pub cpuset: Option<String>,
    /// Memory limit in bytes.
    pub mem_limit: Option<i64>,
    /// Memory in bytes that the container is pushed back to where memory is scarce.
    pub mem_reservation: Option<i64>,
    /// Memory and swap together in bytes; -1 for no limit.
    pub memswap_limit: Option<i64>,
    /// How willingly memory is swapped, from 0 to 100.
    pub mem_swappiness: Option<i64>,
    /// Whether the container is spared where memory runs out.
    pub oom_kill_disable: bool,
    /// How readily the container is killed where memory runs out, from -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// The most processes; -1 for no limit.
    pub pids_limit: Option<i64>,
}

/// A soft and a hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// The limit that a process may raise to `hard`.
    pub soft: i64,
    /// The limit that holds in any case.
    pub hard: i64,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Logging {
    /// The driver; the Engine's default if absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: IndexMap<String, String>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its path on the host, or the name that a vendor gives it.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// What is allowed: of `r`, `w` and `m`; empty for all.
    pub permissions: String,
}

impl Device {
    /// Returns the device as `docker run` reads it: `/dev/fuse:rwm`, of which Compose makes the path `rwm` in the
    /// container, says what is allowed.
    #[must_use]
    pub fn meant(self) -> Self {
        let is_permissions =
            !self.target.is_empty() && self.target.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
        if self.target.is_empty() {
            Self { target: self.source.clone(), ..self }
        } else if is_permissions {
            Self { target: self.source.clone(), permissions: self.target, ..self }
        } else {
            self
        }
    }

    /// Returns whether the source is a name that a vendor gives: `vendor.com/class=name`.
    pub fn is_of_vendor(&self) -> bool {
        !self.source.starts_with('/') && self.source.contains('/') && self.source.contains('=')
    }
}

/// Devices that a driver of the Engine hands out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeviceRequest {
    /// What they must be able to do, such as `gpu`.
    pub capabilities: Vec<String>,
    /// The driver.
    pub driver: Option<String>,
    /// How many; -1 for all.
    pub count: Option<i64>,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// Options of the driver.
    pub options: IndexMap<String, String>,
}

/// Limits of reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Blkio {
    /// Weight among the containers, from 10 to 1000.
    pub weight: Option<u16>,
    /// Weights for single devices.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes a second that are read.
    pub device_read_bps: Vec<DeviceRate>,
    /// Reads a second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Bytes a second that are written.
    pub device_write_bps: Vec<DeviceRate>,
    /// Writes a second.
    pub device_write_iops: Vec<DeviceRate>,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// A weight for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceWeight {
    /// The device's path.
    pub path: String,
    /// The weight.
    pub weight: u16,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// A rate for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceRate {
    /// The device's path.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: i64,
}
