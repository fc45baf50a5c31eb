//! Containers that never run: what they mount is in use, and what is put into them lands in volumes.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ImportImageOptionsBuilder,
};
use envtree_core::plan::{NewKeeper, Owner};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::container::body::map;
use crate::container::create_error;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;

/// An image with nothing in it: it is made on the spot, and no registry is asked for it.
const IMAGE: &str = "localhost/envtree-keeper:1";

/// The digest of an archive without files, which is 1024 zero bytes.
const EMPTY_LAYER: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl Docker {
    /// Makes a container that never runs.
    pub async fn create_keeper(&self, keeper: &NewKeeper) -> Result<(), DockerError> {
        match self.send_create_keeper(keeper).await {
            Err(DockerError::Image(ImageError::ImageMissing { .. })) => {
                self.load_keeper_image().await?;
                self.send_create_keeper(keeper).await
            }
            result => result,
        }
    }

    async fn send_create_keeper(&self, keeper: &NewKeeper) -> Result<(), DockerError> {
        let volumes = keeper.volumes.iter().map(|(target, volume)| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.clone()),
            target: Some(target.clone()),
            // Nothing of the image, not even the owner of the folder, goes into the volume.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..Mount::default()
        });
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec!["never".to_owned()]),
            labels: map(&keeper.labels),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(volumes.collect()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&keeper.name).build();
        let created = self.client().await?.create_container(Some(options), body).await;
        created.map(|_| ()).map_err(|error| create_error(&keeper.name, IMAGE, None, error.into()))
    }

    async fn load_keeper_image(&self) -> Result<(), DockerError> {
        let facts = self.facts().await?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let client = self.client().await?;
        let answers = client.import_image(options, bollard::body_full(image(&facts.arch).into()), None);
        let loaded = answers.try_for_each(|_| async { Ok(()) }).await;
        loaded.map_err(|error| ImageError::LoadImage { image: IMAGE.into(), source: error.into() }.into())
    }

    /// Has the Engine mount the volumes of a container that never runs. Its command is not there, so nothing more happens.
    ///
    /// # Errors
    ///
    /// Fails with [`DockerError::NotMounted`] where it mounts one of them not.
    pub async fn mount_kept(&self, keeper: &str) -> Result<(), DockerError> {
        match self.start_container(keeper).await {
            // Podman's words, and Docker's.
            Err(DockerError::StartContainer { container, source })
                if source.says(&["mounting volume", "mount local volume"]) =>
            {
                Err(DockerError::NotMounted { container, source })
            }
            Ok(()) | Err(DockerError::StartContainer { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns whose a folder in a container is, and its mode. What the container mounts is mounted for it.
    pub async fn owner_at(&self, container: &str, path: &str) -> Result<Owner, DockerError> {
        let failure = |source: EngineFailure| {
            let container = container.to_owned();
            if source.says(&["mount"]) {
                DockerError::NotMounted { container, source }
            } else {
                DockerError::ReadFiles { container, source }
            }
        };
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let client = self.client().await?;
        let mut answer = Box::pin(client.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        // The folder itself comes first; what it holds is not read.
        while archive.len() < HEADER {
            match answer.next().await {
                Some(chunk) => archive.extend_from_slice(&chunk.map_err(|error| failure(error.into()))?),
                None => break,
            }
        }
        owner(&archive).ok_or_else(|| {
            failure(EngineFailure { status: None, message: "the answer is no archive".to_owned() })
        })
    }
}

/// The size of an entry's header.
const HEADER: usize = 512;

/// Reads whose the first entry of an archive is.
fn owner(archive: &[u8]) -> Option<Owner> {
    let entry = tar::Header::from_byte_slice(archive.get(..HEADER)?);
    let number = |value: std::io::Result<u64>| u32::try_from(value.ok()?).ok();
    let (uid, gid) = (number(entry.uid())?, number(entry.gid())?);
    Some(Owner { uid, gid, mode: entry.mode().ok()? & 0o7777 })
}

/// Returns the image, in the form in which Engines load images.
fn image(architecture: &str) -> Vec<u8> {
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Labels": { "dev.envtree.image": "keeper" } },
        "rootfs": { "type": "layers", "diff_ids": [EMPTY_LAYER] },
        "history": [{ "created_by": "envtree" }],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    let files = [
        ("layer.tar", vec![0; 1024]),
        ("config.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ];
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, &content[..]).expect("memory can be written");
    }
    archive.into_inner().expect("memory can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_that_of_the_first_entry() {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, uid) in [("data/", 999), ("data/PG_VERSION", 0)] {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_uid(uid);
            header.set_gid(70);
            header.set_mode(0o40_750);
            header.set_size(0);
            archive.append_data(&mut header, name, &[][..]).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        assert_eq!(owner(&archive), Some(Owner { uid: 999, gid: 70, mode: 0o750 }));
        assert_eq!(owner(&archive[..100]), None);
    }
}
