//! Copies of layers: a container reads one volume and fills another, and is gone in the end.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use envtree_core::plan::NewCopy;
use futures::TryStreamExt;

use crate::container::body::map;
use crate::container::create_error;
use crate::engine::Docker;
use crate::error::DockerError;
use crate::output::OutputStream;

impl Docker {
    /// Copies a layer into a volume, both of which are there. A copy that is there stays as it is; one that was cut off is
    /// thrown away first.
    pub async fn copy_layer(&self, copy: &NewCopy) -> Result<(), DockerError> {
        // What was left by a command that was killed may be at it still.
        self.remove_container(&copy.container, true).await?;
        for volume in [&copy.from, &copy.to] {
            // Asked to mount a volume that is missing, the Engine makes an empty one.
            if self.inspect_volume(volume).await?.is_none() {
                let reason = format!("there is no volume `{volume}`");
                return Err(DockerError::NotCopied { volume: copy.from.clone(), reason });
            }
        }
        self.create_copier(copy).await?;
        let copied = self.run_copier(copy).await;
        let removed = self.remove_container(&copy.container, true).await;
        copied.and(removed)
    }

    async fn create_copier(&self, copy: &NewCopy) -> Result<(), DockerError> {
        let mounts = copy.targets().map(|(target, volume)| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.to_owned()),
            target: Some(target.to_owned()),
            read_only: Some(volume == copy.from),
            // Nothing of the image goes into the volume.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..Mount::default()
        });
        let body = ContainerCreateBody {
            image: Some(copy.image.clone()),
            user: Some("0:0".to_owned()),
            working_dir: Some("/".to_owned()),
            entrypoint: Some(copy.command()),
            cmd: Some(Vec::new()),
            // The first process of a container heeds no other that it does not expect.
            stop_signal: Some("SIGKILL".to_owned()),
            labels: map(&copy.labels),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(mounts.into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&copy.container).build();
        let created = self.client().await?.create_container(Some(options), body).await;
        created.map(|_| ()).map_err(|error| create_error(&copy.container, &copy.image, None, error.into()))
    }

    async fn run_copier(&self, copy: &NewCopy) -> Result<(), DockerError> {
        let mut attached = self.start_attached(&copy.container, false).await?;
        let mut said = Vec::new();
        while let Some((stream, piece)) = attached.output.try_next().await? {
            if stream == OutputStream::Stderr {
                said.extend_from_slice(&piece);
            }
        }
        match attached.control.exit_code().await? {
            0 => Ok(()),
            code => {
                let said = String::from_utf8_lossy(&said);
                let reason = said.lines().last().map_or_else(|| format!("status {code}"), str::to_owned);
                Err(DockerError::NotCopied { volume: copy.from.clone(), reason })
            }
        }
    }
}
