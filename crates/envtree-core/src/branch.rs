//! Branches of volumes: which volumes hold data, what a branch lies on, and what it is made of.
//!
//! A branch is a volume that the Engine's local driver mounts as an overlay: layers that never change below, and above
//! them a plain volume, the upper one, that takes the changes. A container that never runs, the keeper, mounts the upper
//! volume and the layers, so that no clean-up finds them unused.

pub mod base;
pub mod key;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::anonymous::{Holder, volume_labels, volume_name};
use crate::known_image::KnownImage;
use crate::label;
use crate::name::{ServiceName, VolumeName};
use crate::observed::{ObservedImage, ObservedVolume};
use crate::plan::{NewDirectory, NewKeeper, Owner};
use crate::project::{Project, Volume};
use crate::service::{MountSource, Service};

/// The folder of an upper volume that takes the changes.
const UPPER: &str = "u";
/// The folder of an upper volume in which the kernel prepares them.
const WORK: &str = "w";
/// Where a keeper mounts what it keeps, a folder for each branch: a server may be given those of several keepers.
const KEPT: &str = "/.envtree";

/// Labels of a volume that describe it alone, and none of what belongs to it.
const OF_VOLUME: [&str; 2] = [label::COMPOSE_VOLUME, label::CONFIG_HASH];

/// A volume in which a known server keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataVolume {
    /// The service.
    pub service: ServiceName,
    /// Where the service mounts it.
    pub target: String,
    /// Its key in the file; absent for one that has no name there.
    pub key: Option<VolumeName>,
    /// The definition of a plain one: its name and labels are complete.
    pub definition: Volume,
}

impl DataVolume {
    /// Returns the Engine's name.
    pub fn name(&self) -> &str {
        self.definition.name.as_deref().unwrap_or_default()
    }
}

/// Returns the volumes in which the known server of an isolated service keeps its data.
///
/// What the file says of where a volume lies, by a driver, its options or `external`, is not to be changed. Nor can two
/// containers of a service run on one branch each. Bind mounts are no volumes.
pub fn data_volumes(
    project: &Project,
    name: &ServiceName,
    service: &Service,
    image: Option<&ObservedImage>,
) -> Vec<DataVolume> {
    let Some(known) = KnownImage::run_by(service).filter(|_| service.replicas() == 1) else {
        return Vec::new();
    };
    let holds_data = |target: &str| {
        let own = service.environment.get("PGDATA").filter(|_| known == KnownImage::Postgres);
        let within = |directory: &str| crate::isolate::is_within(target, directory);
        known.data_directories().iter().any(|directory| within(directory))
            || own.is_some_and(|directory| crate::isolate::is_within(directory, target))
    };
    let anonymous = |target: &str| {
        let holder = Holder { service: name, number: 1 };
        let definition = Volume {
            name: Some(volume_name(&project.name, holder, target)),
            labels: volume_labels(&service.labels, holder, target),
            ..Volume::default()
        };
        DataVolume { service: name.clone(), target: target.to_owned(), key: None, definition }
    };
    let mounts = service.mounts.iter().filter(|mount| !mount.read_only && holds_data(&mount.target));
    let mut volumes: Vec<DataVolume> = mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { options, .. } if options.subpath.is_some() => None,
            MountSource::Volume { volume: None, .. } => Some(anonymous(&mount.target)),
            MountSource::Volume { volume: Some(key), .. } => {
                let definition = project.volumes.get(key).filter(|volume| is_plain(volume))?.clone();
                let (service, target) = (name.clone(), mount.target.clone());
                Some(DataVolume { service, target, key: Some(key.clone()), definition })
            }
            _ => None,
        })
        .collect();
    let is_mounted = |target: &str| {
        let tmpfs = service.runtime.tmpfs.iter().filter_map(|line| line.split(':').next());
        service.mounts.iter().any(|mount| mount.target == target) || tmpfs.clone().any(|path| path == target)
    };
    let of_image = image.into_iter().flat_map(|image| &image.volumes);
    let of_image = of_image.filter(|target| holds_data(target) && !is_mounted(target));
    volumes.extend(of_image.map(|target| anonymous(target)));
    volumes
}

/// Returns whether the Engine's local driver keeps a volume where and as it likes.
fn is_plain(volume: &Volume) -> bool {
    !volume.external
        && volume.driver.as_deref().is_none_or(|driver| driver == "local")
        && volume.driver_opts.is_empty()
}

/// What a branch lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The key of the base.
    pub base: String,
    /// The layer that the base has for this volume.
    pub layer: Layer,
    /// Whose the folder of the data is, and its mode.
    pub owner: Owner,
    /// The other volumes of the base: none of them may go as long as one of them is in use.
    pub others: Vec<String>,
}

impl Ground {
    /// Returns the volumes that the keeper of `branch` mounts, by target.
    fn kept(&self, branch: &str) -> IndexMap<String, String> {
        let below = [&self.layer.volume].into_iter().chain(&self.others).enumerate();
        let below = below.map(|(number, volume)| (format!("{KEPT}/{branch}/{number}"), volume.clone()));
        [(kept_upper(branch), upper_name(branch))].into_iter().chain(below).collect()
    }

    /// Returns what a branch lies on whose upper volume this is.
    pub fn of_upper(upper: &ObservedVolume) -> Option<Self> {
        serde_json::from_str(upper.labels.get(label::GROUND)?).ok()
    }
}

/// Data that never changes any more, on the Engine's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The volume that holds it.
    pub volume: String,
    /// The volume's folder.
    pub mountpoint: String,
}

impl Layer {
    /// Returns the folder of the volume `name` of the same driver: all of them lie side by side.
    fn beside(&self, name: &str) -> Option<String> {
        let (before, after) = self.mountpoint.rsplit_once(&format!("/{}/", self.volume))?;
        Some(format!("{before}/{name}/{after}"))
    }
}

/// A branch that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The definition of the plain volume that it takes the place of: its name and labels are complete.
    pub volume: Volume,
    /// Its key in the file; its name for one that the file gives none.
    pub key: VolumeName,
    /// What it lies on.
    pub ground: Ground,
}

impl Branch {
    /// Returns the name of the volume.
    pub fn name(&self) -> &str {
        self.volume.name.as_deref().unwrap_or(&self.key)
    }

    /// Returns the volume that takes the changes.
    pub fn upper(&self) -> Volume {
        let mut labels = self.labels();
        let ground = serde_json::to_string(&self.ground).expect("a ground has text keys");
        labels.insert(label::GROUND.into(), ground);
        Volume { name: Some(upper_name(self.name())), labels, ..Volume::default() }
    }

    /// Returns the container that keeps the branch from being pruned.
    pub fn keeper(&self) -> NewKeeper {
        NewKeeper {
            name: keeper_name(self.name()),
            volumes: self.ground.kept(self.name()),
            labels: self.labels(),
        }
    }

    /// Returns the folders of the upper volume, as the keeper has them.
    pub fn directories(&self) -> Vec<NewDirectory> {
        let root = Owner { uid: 0, gid: 0, mode: 0o700 };
        [(UPPER, self.ground.owner), (WORK, root)]
            .map(|(name, owner)| NewDirectory { path: format!("{}/{name}", kept_upper(self.name())), owner })
            .into()
    }

    /// Returns the volume itself: the local driver mounts what its options say. Absent where the Engine does not tell
    /// where volumes lie, or where the place cannot be written as an option.
    pub fn definition(&self) -> Option<Volume> {
        let layer = &self.ground.layer;
        let upper = layer.beside(&upper_name(self.name()))?;
        // The kernel reads `,` as the end of an option, and `:` as that of a layer.
        if upper.contains([',', ':', '\\']) {
            return None;
        }
        let options = [
            ("type", "overlay".to_owned()),
            ("device", "overlay".to_owned()),
            ("o", format!("lowerdir={},upperdir={upper}/{UPPER},workdir={upper}/{WORK}", layer.mountpoint)),
        ];
        let mut volume = self.volume.clone();
        volume.driver_opts = options.map(|(key, value)| (key.to_owned(), value)).into();
        volume.labels.insert(label::BASE.into(), self.ground.base.clone());
        Some(volume)
    }

    fn labels(&self) -> IndexMap<String, String> {
        let mut labels = self.volume.labels.clone();
        labels.retain(|key, _| !OF_VOLUME.contains(&key.as_str()));
        labels.insert(label::BRANCH.into(), self.name().to_owned());
        labels.insert(label::BASE.into(), self.ground.base.clone());
        labels
    }
}

/// Returns the container that keeps a branch from being pruned, from the volume that takes its changes.
pub fn keeper_of(upper: &ObservedVolume) -> Option<NewKeeper> {
    let branch = upper.labels.get(label::BRANCH)?;
    let ground = Ground::of_upper(upper)?;
    let mut labels = upper.labels.clone();
    labels.shift_remove(label::GROUND);
    Some(NewKeeper { name: keeper_name(branch), volumes: ground.kept(branch), labels })
}

/// Returns where the keeper of a branch mounts its upper volume.
fn kept_upper(branch: &str) -> String {
    format!("{KEPT}/{branch}/upper")
}

/// Returns the name of the volume that takes the changes of the branch `volume`.
pub fn upper_name(volume: &str) -> String {
    format!("{volume}.upper")
}

/// Returns the name of the container that keeps the branch `volume` from being pruned.
pub fn keeper_name(volume: &str) -> String {
    format!("{volume}.keeper")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis};

    fn found(change: impl FnOnce(&mut Project)) -> Vec<(String, String)> {
        let mut raw = raw_postgres_redis();
        change(&mut raw);
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let image = ObservedImage { volumes: vec!["/data".into()], ..ObservedImage::default() };
        let services = project.services.iter();
        let volumes =
            services.flat_map(|(name, service)| data_volumes(&project, name, service, Some(&image)));
        volumes.map(|volume| (volume.service.to_string(), volume.name().to_owned())).collect()
    }

    fn postgres(project: &mut Project) -> &mut Service {
        project.services.get_mut("postgres").unwrap()
    }

    #[test]
    fn named_volumes_and_those_of_the_image_hold_data() {
        let names = found(|_| ());
        assert!(names.iter().any(|(service, _)| service == "postgres"), "{names:?}");
        let redis = found(|project| project.services.get_mut("redis").unwrap().mounts.clear());
        let anonymous = redis.iter().find(|(service, _)| service == "redis").unwrap();
        assert!(anonymous.1.contains("_redis_data_"), "{redis:?}");
    }

    #[test]
    fn what_the_file_puts_somewhere_else_is_left_alone() {
        let of_postgres = |change: fn(&mut Project)| {
            found(change).iter().filter(|(service, _)| service == "postgres").count()
        };
        assert_eq!(of_postgres(|_| ()), 1);
        assert_eq!(of_postgres(|project| postgres(project).mounts[0].source = MountSource::bind("/x")), 0);
        assert_eq!(of_postgres(|project| postgres(project).mounts[0].read_only = true), 0);
        assert_eq!(of_postgres(|project| postgres(project).set_replicas(2)), 0);
        assert_eq!(of_postgres(|project| postgres(project).image = "busybox:1".into()), 0);
        assert_eq!(of_postgres(|project| project.volumes[0].external = true), 0);
        let nfs = |project: &mut Project| {
            project.volumes[0].driver_opts.insert("type".into(), "nfs".into());
        };
        assert_eq!(of_postgres(nfs), 0);
    }

    fn branch() -> Branch {
        let labels = [(label::COMPOSE_VOLUME, "db"), (label::REPOSITORY, "r")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let layer = Layer {
            volume: "shop_base-abc_db".into(),
            mountpoint: "/var/lib/docker/volumes/shop_base-abc_db/_data".into(),
        };
        let owner = Owner { uid: 999, gid: 999, mode: 0o700 };
        Branch {
            volume: Volume { name: Some("shop-x_db".into()), labels, ..Volume::default() },
            key: VolumeName::new("db").unwrap(),
            ground: Ground { base: "abc".into(), layer, owner, others: vec!["shop_base-abc".into()] },
        }
    }

    #[test]
    fn an_upper_volume_tells_all_of_its_branch() {
        let Volume { name, labels, .. } = branch().upper();
        let upper = ObservedVolume {
            name: name.unwrap(),
            driver: "local".into(),
            created: String::new(),
            mountpoint: String::new(),
            labels,
        };
        assert_eq!(Ground::of_upper(&upper), Some(branch().ground));
        assert_eq!(keeper_of(&upper), Some(branch().keeper()));
    }

    #[test]
    fn a_branch_is_an_overlay_over_its_base() {
        let volume = branch().definition().unwrap();
        assert_eq!(
            volume.driver_opts["o"],
            "lowerdir=/var/lib/docker/volumes/shop_base-abc_db/_data,\
             upperdir=/var/lib/docker/volumes/shop-x_db.upper/_data/u,\
             workdir=/var/lib/docker/volumes/shop-x_db.upper/_data/w"
        );
        assert_eq!(volume.labels[label::COMPOSE_VOLUME], "db");
        let keeper = branch().keeper();
        assert_eq!((keeper.labels[label::BRANCH].as_str(), keeper.volumes.len()), ("shop-x_db", 3));
        assert!(!keeper.labels.contains_key(label::COMPOSE_VOLUME));
    }

    #[test]
    fn a_place_that_no_option_can_name_makes_no_branch() {
        let mut odd = branch();
        odd.ground.layer.mountpoint = "/srv/a:b/volumes/shop_base-abc_db/_data".into();
        assert_eq!(odd.definition(), None);
        odd.ground.layer.mountpoint = String::new();
        assert_eq!(odd.definition(), None);
    }
}
