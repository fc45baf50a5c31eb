//! What a base depends on, read from the environment, its files and the Engine.

use std::collections::BTreeMap;
use std::path::Path;

use envtree_core::branch::DataVolume;
use envtree_core::branch::key::{Ingredients, SeedIngredients, ServerIngredients, definition_hash};
use envtree_core::observed::ObservedState;
use envtree_core::service::{MountSource, Origin, Service};

use super::inputs::digest;
use super::{DataError, undirected};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;

impl Session {
    /// Returns what the base of `volumes` depends on, where `seed` runs in it. The files of the worktree are there.
    pub(super) async fn ingredients(
        &self,
        environment: &Environment,
        observed: &ObservedState,
        volumes: &[DataVolume],
        seed: Option<SeedIngredients>,
    ) -> Result<Ingredients, Error> {
        let project = undirected(environment);
        let mut servers = BTreeMap::new();
        for volume in volumes {
            let service = &project.services[&volume.service];
            let image = observed.images.get(&service.image).map(|image| image.id.clone()).unwrap_or_default();
            let definition = definition_hash(service);
            let of_server = volumes.iter().filter(|other| other.service == volume.service);
            let data = of_server.map(|data| data.target.clone()).collect();
            let server = ServerIngredients { image, definition, data, files: files(service)? };
            servers.insert(volume.service.to_string(), server);
        }
        Ok(Ingredients { platform: self.docker.facts().await?.platform(), servers, seed })
    }
}

/// Returns the digests of the files that a service is given, by target.
fn files(service: &Service) -> Result<BTreeMap<String, String>, DataError> {
    let mut files = BTreeMap::new();
    for mount in &service.mounts {
        if let MountSource::Bind { path, .. } = &mount.source
            && let Some(digest) = digest(Path::new(path))?
        {
            files.insert(mount.target.clone(), digest);
        }
    }
    // A text is in the definition.
    for grant in service.configs.iter().chain(&service.secrets) {
        if let Origin::File(path) = &grant.origin
            && let Some(digest) = digest(Path::new(path))?
        {
            files.insert(grant.path.clone(), digest);
        }
    }
    Ok(files)
}
