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

    /// Returns the containers beyond the project whose namespaces or volumes it uses, each behind the key that names it.
    pub fn joined_containers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let modes =
            [("network_mode", &self.network_mode), ("ipc", &self.runtime.ipc), ("pid", &self.runtime.pid)];
        let joined = modes
            .into_iter()
            .filter_map(|(key, mode)| Some((key, mode.as_deref()?.strip_prefix("container:")?)));
        let from = self.volumes_from.iter().filter_map(|from| from.strip_prefix("container:"));
        joined.chain(from.map(|from| ("volumes_from", from.split(':').next().unwrap_or(from))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_beyond_the_project_are_named_with_their_keys() {
        let text = |text: &str| Some(text.to_owned());
        let mut service = Service { network_mode: text("container:vpn"), ..Service::default() };
        service.runtime.ipc = text("service:db");
        service.runtime.pid = text("container:tools");
        service.volumes_from = ["container:store:ro", "db:ro"].map(str::to_owned).to_vec();
        let joined: Vec<_> = service.joined_containers().collect();
        assert_eq!(joined, [("network_mode", "vpn"), ("pid", "tools"), ("volumes_from", "store")]);
    }
}
