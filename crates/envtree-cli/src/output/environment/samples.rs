//! An environment with something of everything, for tests.

use envtree::status::{
    AppStatus, BranchKind, EnvironmentState, EnvironmentStatus, FailureStatus, GitStatus, HookOutcome,
    HookStatus, PortStatus, ServiceStatus, VolumeBranch, VolumeStatus,
};
use jiff::Timestamp;

/// Returns the environment.
pub(crate) fn environment() -> EnvironmentStatus {
    EnvironmentStatus {
        repository: "shop".to_owned(),
        common_dir: "/home/shop/.git".into(),
        task: "feature/login".to_owned(),
        id: "feature-login".to_owned(),
        project: "shop-feature-login".to_owned(),
        branch: Some("feature/login".to_owned()),
        worktree: "/home/shop.worktrees/feature-login".into(),
        is_main: false,
        state: EnvironmentState::Ready,
        services: vec![
            service("db", "postgres:17", port(5432, 20_000, "postgres://app@127.0.0.1:20000/app")),
            service("redis", "redis:8", port(6379, 20_001, "redis://127.0.0.1:20001")),
        ],
        apps: vec![AppStatus { name: "web".to_owned(), port: 20_002 }],
        volumes: vec![volume("db-data", Some(branch())), volume("uploads", None)],
        env_file: Some("/home/shop.worktrees/feature-login/.env.local".into()),
        hooks: vec![HookStatus { hook: "post_create".to_owned(), outcome: HookOutcome::SkippedUntrusted }],
        last_failure: Some(FailureStatus {
            at: Timestamp::UNIX_EPOCH,
            command: "up".to_owned(),
            message: "port 20000 is taken".to_owned(),
        }),
        created: Timestamp::UNIX_EPOCH,
        git: Some(GitStatus { changed: 2, untracked: 1, ahead: 3, ..GitStatus::default() }),
    }
}

fn volume(key: &str, branch: Option<VolumeBranch>) -> VolumeStatus {
    VolumeStatus {
        name: format!("shop-feature-login_{key}"),
        key: Some(key.to_owned()),
        size: branch.is_none().then_some(48_200_000),
        branch,
    }
}

fn branch() -> VolumeBranch {
    VolumeBranch {
        on: "3f9a2c81d0b7".to_owned(),
        kind: BranchKind::Copy { reason: "`data.mode` is `copy`".to_owned() },
        own: Some(1_400_000),
        logical_at_most: Some(49_400_000),
    }
}

fn service(name: &str, image: &str, port: PortStatus) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        number: 1,
        container: format!("shop-feature-login-{name}-1"),
        image: image.to_owned(),
        state: "running".to_owned(),
        health: Some("healthy".to_owned()),
        exit_code: None,
        ready: true,
        shared: false,
        is_active: true,
        ports: vec![port],
    }
}

fn port(target: u16, published: u16, url: &str) -> PortStatus {
    PortStatus {
        target,
        protocol: "tcp".to_owned(),
        address: "127.0.0.1".to_owned(),
        published,
        url: url.to_owned(),
    }
}
