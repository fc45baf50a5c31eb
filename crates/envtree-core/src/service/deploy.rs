//! The `deploy` section of a service: how many containers, and what they may use.
//!
//! What only a swarm does is kept, so that it can be written again, and has no effect.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use super::{AsWritten, DeviceRequest};
use crate::decimal::Decimal;

/// How a service is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Deploy {
    /// `replicated` or `global`; swarm's.
    pub mode: Option<String>,
    /// `vip` or `dnsrr`; swarm's.
    pub endpoint_mode: Option<String>,
    /// How many containers.
    pub replicas: Option<u32>,
    /// Labels of a swarm's service.
    pub labels: IndexMap<String, String>,
    /// How a swarm updates.
    pub update_config: Option<UpdateConfig>,
    /// How a swarm takes an update back.
    pub rollback_config: Option<UpdateConfig>,
    /// What a container may use.
    pub resources: Resources,
    /// What the Engine does when a container exits; it stands above `restart`.
    pub restart_policy: Option<DeployRestart>,
    /// Where a swarm runs containers.
    pub placement: Placement,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// How a swarm replaces containers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UpdateConfig {
    /// How many at once.
    pub parallelism: Option<u64>,
    /// The time between two groups.
    pub delay: Option<Duration>,
    /// What happens after a failure.
    pub failure_action: Option<String>,
    /// How long a container is watched for failure.
    pub monitor: Option<Duration>,
    /// The share of failures that is put up with.
    pub max_failure_ratio: Option<Decimal>,
    /// `start-first` or `stop-first`.
    pub order: Option<String>,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// Limits and reservations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resources {
    /// What a container may use at most.
    pub limits: Option<ResourceLimits>,
    /// What a container is promised.
    pub reservations: Option<Reservations>,
}

/// What a container may use at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ResourceLimits {
    /// Processors.
    pub cpus: Option<Decimal>,
    /// Memory in bytes.
    pub memory: Option<i64>,
    /// Processes.
    pub pids: Option<i64>,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// What a container is promised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reservations {
    /// Processors; swarm's.
    pub cpus: Option<Decimal>,
    /// Memory in bytes.
    pub memory: Option<i64>,
    /// Devices that a driver of the Engine hands out.
    pub devices: Vec<DeviceRequest>,
    /// Kinds of resources, and how much of each; swarm's.
    pub generic_resources: Vec<(String, i64)>,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// What the Engine does when a container exits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeployRestart {
    /// `none`, `on-failure` or `any`.
    pub condition: Option<String>,
    /// The time between two starts; swarm's.
    pub delay: Option<Duration>,
    /// How often it is tried.
    pub max_attempts: Option<u32>,
    /// How long a container must run to count as started; swarm's.
    pub window: Option<Duration>,
    /// What of it the Engine is not given as it is written.
    #[serde(skip)]
    pub as_written: AsWritten,
}

/// Where a swarm runs containers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Placement {
    /// Conditions on nodes.
    pub constraints: Vec<String>,
    /// Labels of nodes over which containers are spread.
    pub preferences: Vec<String>,
    /// The most containers of a node.
    pub max_replicas_per_node: Option<u64>,
}
