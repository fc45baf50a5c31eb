//! How the Engine is set up, as it tells itself.

use std::path::PathBuf;

use bollard::models::SystemInfo;
use envtree_core::observed::ObservedNetwork;

use crate::engine::Docker;
use crate::error::DockerError;

/// How the Engine is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineSetup {
    /// What keeps the layers of its images: `overlay2`, `vfs`, …; empty if it does not tell.
    pub storage_driver: String,
    /// Where its data is, on the machine on which it runs.
    pub root: Option<PathBuf>,
    /// Its clock (RFC 3339), if it tells.
    pub time: Option<String>,
    /// Whether it runs without root.
    pub is_rootless: bool,
}

impl Docker {
    /// Returns how the Engine is set up.
    pub async fn setup(&self) -> Result<EngineSetup, DockerError> {
        let info = self.client().await?.info().await.map_err(|error| DockerError::Info(error.into()))?;
        Ok(setup(info))
    }

    /// Returns all networks of the Engine, whoever made them.
    pub async fn networks(&self) -> Result<Vec<ObservedNetwork>, DockerError> {
        self.list_networks(None).await
    }
}

fn setup(info: SystemInfo) -> EngineSetup {
    EngineSetup {
        storage_driver: info.driver.unwrap_or_default(),
        root: info.docker_root_dir.filter(|root| !root.is_empty()).map(PathBuf::from),
        time: info.system_time,
        is_rootless: info.security_options.iter().flatten().any(|option| option.contains("name=rootless")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_engine_without_root_says_so() {
        let told = |options: &[&str]| {
            let info = json!({
                "Driver": "overlay2", "DockerRootDir": "/var/lib/docker",
                "SystemTime": "2026-11-23T03:45:19.5Z", "SecurityOptions": options,
            });
            setup(serde_json::from_value(info).unwrap())
        };
        assert!(told(&["name=seccomp,profile=default", "name=rootless"]).is_rootless);
        assert_eq!(
            told(&["name=seccomp,profile=default"]),
            EngineSetup {
                storage_driver: "overlay2".to_owned(),
                root: Some("/var/lib/docker".into()),
                time: Some("2026-11-23T03:45:19.5Z".to_owned()),
                is_rootless: false,
            }
        );
        assert_eq!(setup(SystemInfo::default()), EngineSetup::default());
    }
}
