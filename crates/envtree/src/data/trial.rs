//! A branch that is made to find out whether the Engine mounts one.

use envtree_core::branch::base::BaseVolume;
use envtree_core::branch::{Branch, Ground, Layer};
use envtree_core::engine::Engine;
use envtree_core::label;
use envtree_core::name::{ProjectName, VolumeName};
use envtree_core::plan::{NewKeeper, Operation, Owner};
use envtree_core::project::Volume;
use envtree_docker::DockerError;
use indexmap::IndexMap;

use super::DataError;
use crate::error::Error;
use crate::session::Session;

/// The key of the volume that is made.
pub(super) const TRIAL: &str = "trial";

impl Session {
    /// Makes a branch of a base in the making, and looks into it: not every Engine mounts one.
    pub(super) async fn try_branch(
        &self,
        base: &ProjectName,
        labels: &IndexMap<String, String>,
        volumes: &[BaseVolume],
    ) -> Result<(), Error> {
        let Some(volume) = volumes.first() else {
            return Ok(());
        };
        let docker = &self.docker;
        let key = VolumeName::new(TRIAL).expect("it is a key");
        let branch = Branch {
            volume: Volume { name: Some(base.object(TRIAL)), labels: labels.clone(), ..Volume::default() },
            key: key.clone(),
            ground: Ground::on_layer(key_of(labels), volume.layer.clone(), volume.owner, Vec::new()),
        };
        let Some(definition) = branch.definition() else {
            return Err(DataError::NoBranches { reason: place(volume) }.into());
        };
        let keeper = branch.keeper();
        let container = keeper.name.clone();
        let look = NewKeeper {
            name: format!("{}.look", branch.name()),
            volumes: IndexMap::from([("/branch".to_owned(), branch.name().to_owned())]),
            labels: keeper.labels.clone(),
        };
        let name = look.name.clone();
        let operations = [
            Operation::CreateVolume { key: key.clone(), volume: branch.upper() },
            Operation::CreateKeeper(Box::new(keeper)),
            Operation::PutDirectories { container, directories: branch.directories() },
            Operation::CreateVolume { key, volume: definition },
            Operation::CreateKeeper(Box::new(look)),
        ];
        for operation in &operations {
            docker.perform(operation, &|_| {}).await?;
        }
        // Not every Engine mounts what it reads of a container that does not run.
        let seen = match docker.mount_kept(&name).await {
            Ok(()) => docker.owner_at(&name, "/branch").await,
            Err(error) => Err(error),
        };
        let reason = match seen {
            Ok(owner) if owner == volume.owner => None,
            Ok(Owner { uid, gid, mode }) => Some(format!(
                "a branch of `{}` belongs to {uid}:{gid} with mode {mode:o}",
                volume.layer.volume
            )),
            // Any other failure says nothing of branches.
            Err(DockerError::NotMounted { source, .. }) => Some(fault(&source.to_string())),
            Err(error) => return Err(error.into()),
        };
        for keeper in [name, branch.keeper().name] {
            docker.remove_container(&keeper, false).await?;
        }
        let upper = branch.upper().name.unwrap_or_default();
        for volume in [branch.name(), &upper] {
            docker.remove_volume(volume).await?;
        }
        match reason {
            Some(reason) => Err(DataError::NoBranches { reason }.into()),
            None => Ok(()),
        }
    }
}

fn key_of(labels: &IndexMap<String, String>) -> &str {
    labels.get(label::BASE).map_or("", String::as_str)
}

fn place(volume: &BaseVolume) -> String {
    let Layer { volume, mountpoint, .. } = &volume.layer;
    if mountpoint.is_empty() {
        format!("it does not tell where volume `{volume}` lies")
    } else {
        format!("the options of a mount cannot name `{mountpoint}`")
    }
}

/// Returns what is wrong out of the words of a failed mount, which name paths and ids before it.
fn fault(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    let fault = line.rsplit(": ").next().unwrap_or(line);
    fault.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_without_what_failed() {
        let podman = "mounting volume x for container 5e2a: mount: /var/lib/x/_data: special device overlay does not exist.\n  dmesg(1) may have more";
        let docker = "error while mounting volume '/v/x': failed to mount local volume: mount overlay:/v/x, flags: 0x0: invalid argument";
        assert_eq!(fault(podman), "special device overlay does not exist");
        assert_eq!((fault(docker), fault("odd")), ("invalid argument".into(), "odd".into()));
    }
}
