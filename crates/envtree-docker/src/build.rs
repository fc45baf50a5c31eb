//! Builds images: with the Engine's BuildKit, or with its classic builder where it has none.

mod agents;
mod arguments;
mod buildkit;
mod classic;
mod context;
mod credentials;
mod error;
mod files;
mod location;
pub(crate) mod pattern;
mod secrets;
mod session;
mod solve;
mod trace;
mod wire;

use std::path::{Path, PathBuf};

use envtree_core::build::{ImageBuild, is_folder, is_remote};
use envtree_core::engine::{BuildProgress, Progress};
use indexmap::IndexMap;

pub use error::BuildError;

use crate::engine::Docker;
use crate::error::DockerError;
use crate::failure::EngineFailure;
use buildkit::Outcome;
use solve::{Surroundings, dockerfile_of};
use wire::WireError;

impl Docker {
    /// Builds an image; `progress` hears of its steps.
    pub async fn build_image(
        &self,
        build: &ImageBuild,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(), DockerError> {
        check_files(build)?;
        let surroundings = self.surroundings(build).await?;
        if !self.classic_builder {
            let address = self.address().await?;
            match buildkit::build(self, address, build, &surroundings, progress).await? {
                Outcome::Built => return Ok(()),
                Outcome::NoBuildKit => {
                    let engine = self.words().await;
                    let remark = format!("{engine} has no BuildKit; its classic builder is used");
                    progress(Progress::Build(BuildProgress::Remark(remark)));
                }
            }
        }
        classic::build(self, build, &surroundings, progress).await
    }

    /// Returns whether the Engine lends its BuildKit; nothing is built.
    pub async fn has_buildkit(&self) -> Result<bool, DockerError> {
        match wire::upgrade(self.address().await?, "/grpc", &[]).await {
            Ok(_) => Ok(true),
            Err(WireError::Refused(_)) => Ok(false),
            Err(error) => Err(DockerError::Info(EngineFailure { status: None, message: error.to_string() })),
        }
    }

    /// Returns what the Engine calls itself, with its version.
    async fn words(&self) -> String {
        match self.facts().await {
            Ok(facts) => format!("{} {}", facts.name, facts.version),
            Err(_) => "the Engine".to_owned(),
        }
    }

    async fn surroundings(&self, build: &ImageBuild) -> Result<Surroundings, DockerError> {
        let definition = &build.definition;
        let asks_for_store = !definition.cache_to.is_empty()
            || !definition.cache_from.is_empty()
            || definition.provenance.is_some()
            || definition.sbom.is_some();
        let names_gateway = definition.extra_hosts.iter().any(|line| line.ends_with(":host-gateway"));
        Ok(Surroundings {
            proxies: self.proxies().await,
            containerd_store: asks_for_store && self.has_containerd_store().await?,
            host_gateway: if names_gateway { self.bridge_gateway().await? } else { None },
        })
    }

    /// Returns the build arguments for the proxies that the user's Docker configuration names.
    async fn proxies(&self) -> IndexMap<String, String> {
        let Some(path) = self.endpoint.config_dir.as_ref().map(|folder| folder.join("config.json")) else {
            return IndexMap::new();
        };
        let text = tokio::fs::read(path).await.unwrap_or_default();
        proxies_of(&serde_json::from_slice(&text).unwrap_or_default())
    }

    async fn has_containerd_store(&self) -> Result<bool, DockerError> {
        let info = self.client().await?.info().await.map_err(|error| DockerError::Info(error.into()))?;
        let status = info.driver_status.unwrap_or_default();
        Ok(status.iter().flatten().any(|text| text.starts_with("io.containerd.snapshotter")))
    }
}

/// Returns both spellings of every proxy of the default entry.
fn proxies_of(config: &serde_json::Value) -> IndexMap<String, String> {
    const NAMES: [(&str, &str); 5] = [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ];
    let default = &config["proxies"]["default"];
    let set = NAMES.iter().filter_map(|(key, name)| Some((*name, default[*key].as_str()?)));
    set.flat_map(|(name, value)| [name.to_owned(), name.to_lowercase()].map(|name| (name, value.to_owned())))
        .collect()
}

/// Refuses what is not there, in words of its own: the builder's name its own places.
fn check_files(build: &ImageBuild) -> Result<(), BuildError> {
    let definition = &build.definition;
    let image = || build.name().to_owned();
    let folders = definition.additional_contexts.values().filter(|context| is_folder(context));
    let context = Some(&definition.context).filter(|context| !is_remote(context));
    for folder in context.into_iter().chain(folders) {
        if !Path::new(folder).is_dir() {
            return Err(BuildError::ContextMissing { image: image(), path: PathBuf::from(folder) });
        }
    }
    let dockerfile = dockerfile_of(definition);
    let is_wanted = context.is_some() && definition.dockerfile_inline.is_none();
    if is_wanted && !dockerfile.is_file() {
        return Err(BuildError::DockerfileMissing { image: image(), path: dockerfile });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn proxies_have_both_spellings() {
        let config = json!({"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b"}}});
        let proxies = proxies_of(&config);
        assert_eq!(proxies["HTTP_PROXY"], "http://p:1");
        assert_eq!(proxies["no_proxy"], "a,b");
        assert_eq!(proxies.len(), 4);
        assert!(proxies_of(&json!(null)).is_empty());
    }
}
