//! Images that were built for an environment: which there are, and their removal.

use std::time::Duration;

use bollard::models::ImageSummary;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use envtree_core::observed::BuiltImage;

use crate::container::done_if_gone;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;
use crate::observe::{Filter, sorted};

/// How often the images are asked for where one of them goes while Podman looks at it, which it takes for a failure.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

impl Docker {
    /// Returns the images that pass `filter`, those without a name included.
    pub(crate) async fn list_images(&self, filter: &Filter) -> Result<Vec<BuiltImage>, DockerError> {
        let options = ListImagesOptionsBuilder::new().filters(filter).build();
        let mut attempts = ATTEMPTS;
        let images = loop {
            attempts -= 1;
            match self.client().await?.list_images(Some(options.clone())).await.map_err(EngineFailure::from) {
                Err(failure) if attempts > 0 && failure.says(&["image not known"]) => {
                    tokio::time::sleep(PAUSE).await;
                }
                images => break images.map_err(ImageError::ListImages)?,
            }
        };
        let mut images: Vec<_> = images.into_iter().map(built_image).collect();
        images.sort_by(|a, b| (&a.names, &a.id).cmp(&(&b.names, &b.id)));
        Ok(images)
    }

    /// Removes an image and all its names; one that a container uses is an error.
    pub async fn remove_image(&self, id: &str, name: &str) -> Result<(), DockerError> {
        // Only by force does the Engine remove an image that has several names.
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        let removed = self.client().await?.remove_image(id, Some(options), None).await;
        done_if_gone(removed.map(|_| ()))
            .map_err(|source| ImageError::RemoveImage { image: name.to_owned(), source }.into())
    }
}

fn built_image(summary: ImageSummary) -> BuiltImage {
    // An image that lost its name is listed as `<none>:<none>`.
    let names = summary.repo_tags.into_iter().filter(|name| !name.starts_with("<none>"));
    BuiltImage { id: summary.id, names: names.collect(), labels: sorted(summary.labels) }
}
