//! What a service takes from other services and from the host.

use super::{MountSource, Origin, Service};

impl Service {
    /// Returns the services whose namespaces it uses, which end with their containers.
    pub fn joined_namespaces(&self) -> impl Iterator<Item = &str> {
        [&self.network_mode, &self.runtime.ipc, &self.runtime.pid]
            .into_iter()
            .filter_map(|mode| mode.as_deref()?.strip_prefix("service:"))
    }

    /// Returns the services whose namespaces or volumes it uses.
    pub fn joined_services(&self) -> impl Iterator<Item = &str> {
        let from = self.volumes_from.iter().filter(|from| !from.starts_with("container:"));
        self.joined_namespaces().chain(from.filter_map(|from| from.split(':').next()))
    }

    /// Returns the paths of the host that are mounted into its containers, configs and secrets included.
    pub fn host_paths(&self) -> impl Iterator<Item = &str> {
        let mounted = self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Bind { path, .. } => Some(path.as_str()),
            _ => None,
        });
        let given = self.configs.iter().chain(&self.secrets).filter_map(|grant| match &grant.origin {
            Origin::File(path) => Some(path.as_str()),
            _ => None,
        });
        mounted.chain(given)
    }
}
