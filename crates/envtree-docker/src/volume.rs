//! Volumes: create, remove, list, and how large they are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bollard::models::{Volume as EngineVolume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use envtree_core::label;
use envtree_core::observed::ObservedVolume;
use envtree_core::project::Volume;
use futures::TryStreamExt;
use indexmap::IndexMap;
use serde_json::Value;

use crate::container::body::map;
use crate::container::done_if_gone;
use crate::engine::Docker;
use crate::error::DockerError;
use crate::failure::EngineFailure;
use crate::observe::sorted;
use crate::version::ApiVersion;

impl Docker {
    /// Makes a volume. One of the same name is done if it belongs to the same environment.
    pub async fn create_volume(&self, key: &str, volume: &Volume) -> Result<(), DockerError> {
        let name = volume.name.as_deref().unwrap_or(key);
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: volume.driver.clone(),
            driver_opts: map(&volume.driver_opts),
            labels: map(&volume.labels),
            ..VolumeCreateRequest::default()
        };
        let created = self.send_create_volume(request).await?;
        // Asked for a name that exists, the Engine answers 201 with the volume that is there, whosever it is.
        match stranger(volume, &observed_volume(created)) {
            Some(owner) => Err(DockerError::VolumeAlreadyExists { volume: name.to_owned(), owner }),
            None => Ok(()),
        }
    }

    pub(crate) async fn send_create_volume(
        &self,
        request: VolumeCreateRequest,
    ) -> Result<EngineVolume, DockerError> {
        let volume = request.name.clone().unwrap_or_default();
        let created = self.client().await?.create_volume(request).await;
        created.map_err(|error| DockerError::CreateVolume { volume, source: error.into() })
    }

    /// Removes a volume and its data; one that is gone is done.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let client = self.client().await?;
        let removed = client.remove_volume(name, None::<RemoveVolumeOptions>).await;
        done_if_gone(removed).map_err(|source| {
            let volume = name.to_owned();
            if source.is(409) && source.says(&["in use", "is being used"]) {
                DockerError::VolumeInUse { volume, source }
            } else {
                DockerError::RemoveVolume { volume, source }
            }
        })
    }

    /// Removes a volume unless a container mounts it.
    pub async fn remove_unused_volume(&self, name: &str) -> Result<(), DockerError> {
        match self.remove_volume(name).await {
            Err(DockerError::VolumeInUse { .. }) => Ok(()),
            result => result,
        }
    }

    /// Returns the volume of that name, if there is one.
    pub async fn inspect_volume(&self, name: &str) -> Result<Option<ObservedVolume>, DockerError> {
        let client = self.client().await?;
        match client.inspect_volume(name).await.map_err(EngineFailure::from) {
            Ok(volume) => Ok(Some(observed_volume(volume))),
            Err(failure) if failure.is(404) => Ok(None),
            Err(source) => Err(DockerError::InspectVolume { volume: name.to_owned(), source }),
        }
    }

    /// Returns which of `names` are volumes of the local driver without a label or a byte of data.
    ///
    /// An Engine that is killed while it makes a volume leaves such a one: it writes the labels last.
    pub async fn blank_volumes(&self, names: &BTreeSet<String>) -> Result<Vec<String>, DockerError> {
        let mut blank = Vec::new();
        for name in names {
            let volume = self.inspect_volume(name).await?;
            blank.extend(volume.filter(|volume| volume.driver == "local" && volume.labels.is_empty()));
        }
        if blank.is_empty() {
            return Ok(Vec::new());
        }
        let sizes = self.volume_sizes().await?;
        let is_empty = |volume: &ObservedVolume| sizes.get(&volume.name) == Some(&0);
        Ok(blank.into_iter().filter(is_empty).map(|volume| volume.name).collect())
    }

    /// Returns the volumes that `options` lets pass.
    pub(crate) async fn list_volumes(
        &self,
        options: ListVolumesOptions,
    ) -> Result<Vec<ObservedVolume>, DockerError> {
        let client = self.client().await?;
        let answer = client
            .list_volumes(Some(options))
            .await
            .map_err(|error| DockerError::ListVolumes(error.into()))?;
        let volumes = answer.volumes.unwrap_or_default();
        Ok(volumes.into_iter().map(observed_volume).collect())
    }

    /// Returns whether the Engine tells when a volume was made, and not when its folder was last changed.
    pub async fn tells_age(&self) -> Result<bool, DockerError> {
        let facts = self.facts().await?;
        Ok(facts.is_podman() || facts.api >= ApiVersion::VOLUME_AGE)
    }

    /// Returns the bytes that each local volume takes up. The Engine walks all of them, so this can take seconds.
    pub async fn volume_sizes(&self) -> Result<IndexMap<String, u64>, DockerError> {
        let began = Instant::now();
        loop {
            match self.measured_volumes().await {
                // Up to 20.10, the Engine measures for one caller at a time, and refuses everybody else. Podman gives up
                // where a container goes while it measures.
                Err(DockerError::VolumeSizes(failure))
                    if failure.says(&["already running", "no such container"])
                        && began.elapsed() < MEASURING =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                measured => return measured,
            }
        }
    }

    async fn measured_volumes(&self) -> Result<IndexMap<String, u64>, DockerError> {
        let failure = |message: String| DockerError::VolumeSizes(EngineFailure { status: None, message });
        // bollard reads only the answer of API 1.52. Its call for the export of a container returns raw bytes, so that
        // call is sent to the path of the disk usage instead.
        let client = self.client().await?.clone().with_request_modifier(|mut call| {
            let path = call.uri().to_string().replace(EXPORT_PATH, USAGE_PATH);
            *call.uri_mut() = path.parse().expect("one valid path replaces another");
            call
        });
        let chunks: Vec<_> = client
            .export_container("volumes")
            .try_collect()
            .await
            .map_err(|error| DockerError::VolumeSizes(error.into()))?;
        let answer: Value =
            serde_json::from_slice(&chunks.concat()).map_err(|error| failure(error.to_string()))?;
        Ok(sizes(&answer))
    }
}

/// How long an Engine may be busy measuring for others, and how often it is asked meanwhile.
const MEASURING: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(50);

const EXPORT_PATH: &str = "/containers/volumes/export";
/// The type spares newer Engines the images; they list each volume only on `verbose`.
const USAGE_PATH: &str = "/system/df?type=volume&verbose=true";

/// Reads the sizes out of the disk usage, in the form before API 1.52 or the one since.
fn sizes(answer: &Value) -> IndexMap<String, u64> {
    let volumes = match &answer["Volumes"] {
        Value::Array(volumes) => volumes,
        _ => match &answer["VolumeUsage"]["Items"] {
            Value::Array(volumes) => volumes,
            _ => return IndexMap::new(),
        },
    };
    volumes
        .iter()
        .filter_map(|volume| {
            let name = volume["Name"].as_str()?;
            // -1 stands for a size that the driver does not tell.
            let size = volume["UsageData"]["Size"].as_u64()?;
            Some((name.to_owned(), size))
        })
        .collect()
}

/// Returns whose `existing` is, in words, if it is not of the environment that `wanted` is made for.
fn stranger(wanted: &Volume, existing: &ObservedVolume) -> Option<String> {
    let differs =
        |key: &str| wanted.labels.contains_key(key) && wanted.labels.get(key) != existing.labels.get(key);
    if !differs(label::REPOSITORY) && !differs(label::ENVIRONMENT) {
        return None;
    }
    Some(match existing.labels.get(label::TASK).or(existing.labels.get(label::ENVIRONMENT)) {
        Some(task) => format!("environment `{task}` of another worktree"),
        None => match existing.labels.get(label::COMPOSE_PROJECT) {
            Some(project) => format!("Compose project `{project}`"),
            None => "something else".to_owned(),
        },
    })
}

fn observed_volume(volume: EngineVolume) -> ObservedVolume {
    ObservedVolume {
        name: volume.name,
        driver: volume.driver,
        created: volume.created_at.map(|time| time.unix_timestamp().to_string()).unwrap_or_default(),
        mountpoint: volume.mountpoint,
        labels: sorted(volume.labels),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_from_both_forms_of_the_answer() {
        let volumes = json!([
            {"Name": "shop-db", "UsageData": {"RefCount": 1, "Size": 4096}},
            {"Name": "remote", "UsageData": {"RefCount": 0, "Size": -1}},
            {"Name": "unknown", "UsageData": null},
        ]);
        let expected = IndexMap::from([("shop-db".to_owned(), 4096)]);
        assert_eq!(sizes(&json!({"Volumes": volumes})), expected);
        assert_eq!(sizes(&json!({"VolumeUsage": {"Items": volumes}})), expected);
        assert!(sizes(&json!({"Volumes": null})).is_empty());
    }

    #[test]
    fn the_owner_of_a_volume_is_named() {
        let owned = |labels: &[(&str, &str)]| ObservedVolume {
            name: "shop-db".to_owned(),
            driver: "local".to_owned(),
            created: String::new(),
            mountpoint: String::new(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let wanted = Volume {
            labels: owned(&[(label::REPOSITORY, "r1"), (label::ENVIRONMENT, "login")]).labels,
            ..Volume::default()
        };
        let own = owned(&[(label::REPOSITORY, "r1"), (label::ENVIRONMENT, "login")]);
        assert_eq!(stranger(&wanted, &own), None);
        let sibling = owned(&[(label::REPOSITORY, "r1"), (label::ENVIRONMENT, "cart")]);
        assert_eq!(stranger(&wanted, &sibling).unwrap(), "environment `cart` of another worktree");
        let compose = owned(&[(label::COMPOSE_PROJECT, "shop")]);
        assert_eq!(stranger(&wanted, &compose).unwrap(), "Compose project `shop`");
        assert_eq!(stranger(&wanted, &owned(&[])).unwrap(), "something else");
    }
}
