//! One environment, as `up`, `ls` and `status` write it.

use envtree::status::{
    AppStatus, EnvironmentStatus, FailureStatus, GitStatus, HookStatus, PortStatus, ServiceStatus,
    VolumeStatus,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::text;

/// One environment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Environment")]
pub(crate) struct EnvironmentOutput {
    /// The repository's name.
    repository: String,
    /// The repository's common git directory.
    common_dir: String,
    /// The task as it was typed.
    task: String,
    /// The environment's id.
    id: String,
    /// The Compose project.
    project: String,
    /// The branch; null for a detached HEAD or a worktree that is gone.
    branch: Option<String>,
    /// The folder of the worktree.
    worktree: String,
    /// Whether that is the repository's main worktree.
    is_main: bool,
    /// `ready`, `starting`, `degraded`, `stopped`, `down`, `prunable` or `unknown`.
    state: String,
    /// The services, by name: an entry for each container.
    services: Vec<ServiceOutput>,
    /// The reserved ports of programs on the host.
    apps: Vec<AppOutput>,
    /// The volumes.
    volumes: Vec<VolumeOutput>,
    /// The file that carries the variables.
    env_file: Option<String>,
    /// The hooks that were run, were skipped or failed.
    hooks: Vec<HookOutput>,
    /// The last failure that nothing has mended since.
    last_failure: Option<FailureOutput>,
    /// When the environment was made (RFC 3339).
    created: String,
    /// What git says of the worktree; null where it was not asked.
    git: Option<GitOutput>,
}

/// One container of a service.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Service")]
struct ServiceOutput {
    /// Its key in the Compose file.
    name: String,
    /// The number of the container among those of the service, from 1.
    number: u32,
    /// The container.
    container: String,
    /// The image.
    image: String,
    /// The container's state in the Engine's word.
    state: String,
    /// Docker's health state; null without a health check.
    health: Option<String>,
    /// The status that the process ended with.
    exit_code: Option<i64>,
    /// Whether it can be used.
    ready: bool,
    /// Whether the other environments of the repository use it too; left out where they do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    /// The published ports.
    ports: Vec<PortOutput>,
}

/// One published port.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Port")]
struct PortOutput {
    /// The container's port.
    target: u16,
    /// `tcp` or `udp`.
    protocol: String,
    /// The host's address.
    address: String,
    /// The host's port.
    published: u16,
    /// Where to reach it, without a password.
    url: String,
}

/// The reserved port of a program on the host.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "App")]
struct AppOutput {
    /// Its key under `apps:`.
    name: String,
    /// The port.
    port: u16,
}

/// One volume.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Volume")]
struct VolumeOutput {
    /// The Engine's name.
    name: String,
    /// The key under `volumes:`; null for one that the project no longer names.
    key: Option<String>,
    /// Its size in bytes; null where it is not known, and for a branch.
    size: Option<u64>,
    /// What it consists of, lies on and holds, if it is a branch; else null.
    branch: Option<VolumeBranchOutput>,
}

/// A volume that is a branch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VolumeBranch")]
struct VolumeBranchOutput {
    /// The base, by the first digits of its key, or the snapshot, by its name.
    on: String,
    /// `overlay` or `copy`.
    mode: &'static str,
    /// Why it is no overlay; null for one.
    reason: Option<String>,
    /// The bytes that it changed, which would be freed with it, of a copy all of them; null where they are not known.
    own: Option<u64>,
    /// The most bytes that can be seen in it: its own and those of all layers below, in each of which a file counts. Null
    /// where it is not known.
    logical_at_most: Option<u64>,
}

/// What became of a hook.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hook")]
struct HookOutput {
    /// Its key.
    hook: String,
    /// `done`, `failed`, `skipped-untrusted` or `pending`.
    outcome: String,
}

/// A kept failure.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
struct FailureOutput {
    /// When it happened (RFC 3339).
    at: String,
    /// The command.
    command: String,
    /// What was wrong.
    message: String,
}

/// What git says of a worktree.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Git")]
struct GitOutput {
    /// Tracked files that differ from HEAD.
    changed: usize,
    /// Files that git neither tracks nor ignores.
    untracked: usize,
    /// Files in conflict.
    conflicted: usize,
    /// Commits that the upstream branch lacks.
    ahead: usize,
    /// Commits that only the upstream branch has.
    behind: usize,
}

impl From<&EnvironmentStatus> for EnvironmentOutput {
    fn from(status: &EnvironmentStatus) -> Self {
        Self {
            repository: status.repository.clone(),
            common_dir: text::path(&status.common_dir),
            task: status.task.clone(),
            id: status.id.clone(),
            project: status.project.clone(),
            branch: status.branch.clone(),
            worktree: text::path(&status.worktree),
            is_main: status.is_main,
            state: status.state.as_str().to_owned(),
            services: status.services.iter().map(ServiceOutput::from).collect(),
            apps: status.apps.iter().map(AppOutput::from).collect(),
            volumes: status.volumes.iter().map(VolumeOutput::from).collect(),
            env_file: status.env_file.as_deref().map(text::path),
            hooks: status.hooks.iter().map(HookOutput::from).collect(),
            last_failure: status.last_failure.as_ref().map(FailureOutput::from),
            created: status.created.to_string(),
            git: status.git.as_ref().map(GitOutput::from),
        }
    }
}

impl From<&ServiceStatus> for ServiceOutput {
    fn from(service: &ServiceStatus) -> Self {
        Self {
            name: service.name.clone(),
            number: service.number,
            container: service.container.clone(),
            image: service.image.clone(),
            state: service.state.clone(),
            health: service.health.clone(),
            exit_code: service.exit_code,
            ready: service.ready,
            shared: service.shared,
            ports: service.ports.iter().map(PortOutput::from).collect(),
        }
    }
}

impl From<&PortStatus> for PortOutput {
    fn from(port: &PortStatus) -> Self {
        Self {
            target: port.target,
            protocol: port.protocol.clone(),
            address: port.address.clone(),
            published: port.published,
            url: port.url.clone(),
        }
    }
}

impl From<&AppStatus> for AppOutput {
    fn from(app: &AppStatus) -> Self {
        Self { name: app.name.clone(), port: app.port }
    }
}

impl From<&VolumeStatus> for VolumeOutput {
    fn from(volume: &VolumeStatus) -> Self {
        let branch = volume.branch.as_ref().map(|branch| VolumeBranchOutput {
            on: branch.on.clone(),
            mode: branch.kind.as_str(),
            reason: branch.kind.reason().map(str::to_owned),
            own: branch.own,
            logical_at_most: branch.logical_at_most,
        });
        Self { name: volume.name.clone(), key: volume.key.clone(), size: volume.size, branch }
    }
}

impl From<&HookStatus> for HookOutput {
    fn from(hook: &HookStatus) -> Self {
        Self { hook: hook.hook.clone(), outcome: hook.outcome.as_str().to_owned() }
    }
}

impl From<&FailureStatus> for FailureOutput {
    fn from(failure: &FailureStatus) -> Self {
        Self {
            at: failure.at.to_string(),
            command: failure.command.clone(),
            message: failure.message.clone(),
        }
    }
}

impl From<&GitStatus> for GitOutput {
    fn from(git: &GitStatus) -> Self {
        Self {
            changed: git.changed,
            untracked: git.untracked,
            conflicted: git.conflicted,
            ahead: git.ahead,
            behind: git.behind,
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;
