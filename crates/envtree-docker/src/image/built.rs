//! Images that were built for an environment: which there are, and their removal.

use bollard::models::ImageSummary;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use envtree_core::observed::BuiltImage;

use crate::container::done_if_gone;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::observe::{Filter, sorted};

impl Docker {
    /// Returns the images that pass `filter`, those without a name included.
    pub(crate) async fn list_images(&self, filter: &Filter) -> Result<Vec<BuiltImage>, DockerError> {
        let options = ListImagesOptionsBuilder::new().filters(filter).build();
        let images = self.client().await?.list_images(Some(options)).await;
        let images = images.map_err(|error| ImageError::ListImages(error.into()))?;
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
