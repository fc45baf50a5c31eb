//! What Podman's version of Docker's API leaves out, and how a container gets it nevertheless.

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};

use crate::failure::EngineFailure;

/// What Docker gives a container between its stop signal and the kill, in seconds.
const STOP_TIMEOUT: i64 = 10;

/// Writes out what Docker does by itself where the body says nothing.
pub(crate) fn complete(body: &mut ContainerCreateBody) {
    // Podman takes nothing for nought: a server would be killed before it has written its data.
    body.stop_timeout.get_or_insert(STOP_TIMEOUT);
}

/// Returns the volumes to be made before the container: on the way, Podman would make them without their labels.
pub(crate) fn labelled_volumes(body: &ContainerCreateBody) -> Vec<VolumeCreateRequest> {
    let mounts = body.host_config.iter().filter_map(|config| config.mounts.as_ref()).flatten();
    let labelled = mounts.filter_map(|mount| {
        let labels = mount.volume_options.as_ref()?.labels.clone()?;
        Some(VolumeCreateRequest {
            name: Some(mount.source.clone()?),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        })
    });
    labelled.collect()
}

/// Returns whether an answer holds the state between the end of a container's process and that of the container, or
/// tells of an image while another one is being removed.
///
/// Docker has no word for the first, and so its client cannot read the answer. Podman looks for the second in what is gone.
pub(crate) fn is_passing(failure: &EngineFailure) -> bool {
    failure.says(&["unknown variant `stopped`", "failed to convert ImageData to ImageInspect"])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::{HostConfig, Mount, MountVolumeOptions};

    use super::*;

    #[test]
    fn a_stop_that_has_time_keeps_it_and_another_gets_some() {
        let stop_timeout = |stop_timeout| {
            let mut body = ContainerCreateBody { stop_timeout, ..ContainerCreateBody::default() };
            complete(&mut body);
            body.stop_timeout
        };
        assert_eq!(stop_timeout(None), Some(10));
        assert_eq!(stop_timeout(Some(0)), Some(0));
    }

    #[test]
    fn volumes_with_labels_are_made_and_others_are_not() {
        let labels = HashMap::from([("key".to_owned(), "value".to_owned())]);
        let volume = |name: &str, labels: Option<&HashMap<_, _>>| Mount {
            source: Some(name.to_owned()),
            volume_options: Some(MountVolumeOptions {
                labels: labels.cloned(),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        };
        let mounts = vec![volume("named", None), Mount::default(), volume("unnamed", Some(&labels))];
        let host_config = Some(HostConfig { mounts: Some(mounts), ..HostConfig::default() });
        let body = ContainerCreateBody { host_config, ..ContainerCreateBody::default() };
        let made = labelled_volumes(&body);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].name.as_deref(), Some("unnamed"));
        assert_eq!(made[0].labels.as_ref(), Some(&labels));
    }
}
