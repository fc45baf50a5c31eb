//! What a base depends on, read from the environment, its files and the Engine.

use std::collections::BTreeMap;
use std::path::Path;

use envtree_core::branch::DataVolume;
use envtree_core::branch::key::{Ingredients, SeedIngredients, ServerIngredients, definition_hash};
use envtree_core::observed::ObservedState;
use envtree_core::service::{MountSource, Origin, Service};

use super::DataError;
use super::inputs::{digest, inputs};
use crate::environment::Environment;
use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;

impl Session {
    /// Returns what the base of `volumes` depends on. The files of the worktree are there.
    pub(super) async fn ingredients(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        observed: &ObservedState,
        volumes: &[DataVolume],
    ) -> Result<Ingredients, Error> {
        let mut servers = BTreeMap::new();
        for volume in volumes {
            let service = &environment.isolated.project.services[&volume.service];
            let image = observed.images.get(&service.image).map(|image| image.id.clone()).unwrap_or_default();
            let definition = definition_hash(service);
            let server = ServerIngredients { image, definition, files: files(service)? };
            servers.insert(volume.service.to_string(), server);
        }
        let settings = &environment.definition.settings.data;
        let commands = settings.seed.iter().flat_map(|seed| &seed.commands).cloned().collect();
        let inputs = inputs(&self.repository, &record.worktree, &settings.inputs)?;
        let platform = self.docker.facts().await?.platform();
        Ok(Ingredients { platform, servers, seed: Some(SeedIngredients { commands, inputs }) })
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
