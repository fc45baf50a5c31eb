//! Branches of volumes: which volumes hold data, what a branch lies on, and what it is made of.
//!
//! A branch is a volume that the Engine's local driver mounts as an overlay: layers that never change below, and above
//! them a plain volume, the upper one, that takes the changes. Where the Engine mounts no overlays, the upper volume
//! begins with a copy of the layer, and the branch is a mount of that copy alone. A container that never runs, the
//! keeper, mounts the upper volume and the layers, so that no clean-up finds them unused.

pub mod base;
pub mod copy;
pub mod key;
mod layer;
pub mod lineage;
pub mod prune;
pub mod seed;
pub mod view;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::anonymous::{Holder, volume_labels, volume_name};
use crate::compose_file::node::{Diagnostic, Place};
use crate::known_image::KnownImage;
use crate::label;
use crate::name::{ServiceName, VolumeName};
use crate::nearest::nearest;
use crate::observed::{ObservedImage, ObservedVolume};
use crate::plan::{NewCopy, NewDirectory, NewKeeper, Owner};
use crate::project::{Project, Volume};
use crate::service::{Mount, MountSource, Service};
pub use layer::Layer;

/// The folder of an upper volume that takes the changes.
const UPPER: &str = "u";
/// The folder of an upper volume in which the kernel prepares them.
const WORK: &str = "w";
/// Where a keeper mounts what it keeps, a folder for each branch: a server may be given those of several keepers.
const KEPT: &str = "/.envtree";

/// What the names end in of volumes that take the changes of branches, and of the containers that keep and fill these.
const UPPER_SUFFIX: &str = ".upper";
const KEEPER_SUFFIX: &str = ".keeper";
const COPY_SUFFIX: &str = ".copy";

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

/// Returns the volumes in which an isolated service keeps data: those of a known server, and those with the keys `chosen`.
///
/// What the file says of where a volume lies, by a driver, its options or `external`, is not to be changed. Nor can two
/// containers of a service run on one branch each. Bind mounts are no volumes.
pub fn data_volumes(
    project: &Project,
    name: &ServiceName,
    service: &Service,
    image: Option<&ObservedImage>,
    chosen: &IndexMap<String, Place>,
) -> Vec<DataVolume> {
    if service.replicas() != 1 {
        return Vec::new();
    }
    let known = KnownImage::run_by(service);
    let holds_data = |target: &str| {
        let own = service.environment.get("PGDATA").filter(|_| known == Some(KnownImage::Postgres));
        let within = |directory: &str| crate::isolate::is_within(target, directory);
        known.is_some_and(|known| known.data_directories().iter().any(|directory| within(directory)))
            || own.is_some_and(|directory| crate::isolate::is_within(directory, target))
    };
    let is_chosen = |mount: &Mount| chosen_by(mount, chosen).is_some();
    let anonymous = |target: &str| {
        let holder = Holder { service: name, number: 1 };
        let definition = Volume {
            name: Some(volume_name(&project.name, holder, target)),
            labels: volume_labels(&service.labels, holder, target),
            ..Volume::default()
        };
        DataVolume { service: name.clone(), target: target.to_owned(), key: None, definition }
    };
    let is_data = |mount: &&Mount| !mount.read_only && (is_chosen(mount) || holds_data(&mount.target));
    let mounts = service.mounts.iter().filter(is_data);
    let mut volumes: Vec<DataVolume> = mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { options, .. } if options.subpath.is_some() => None,
            MountSource::Volume { volume: None, .. } => Some(anonymous(&mount.target)),
            MountSource::Volume { volume: Some(key), .. } => {
                let plain = |volume: &&Volume| is_plain(volume) && !is_in_the_way(project, volume);
                let definition = project.volumes.get(key).filter(plain)?.clone();
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

/// Returns whether another volume of the project is called as one that takes the changes of `volume` would be.
fn is_in_the_way(project: &Project, volume: &Volume) -> bool {
    let others = project.volumes.values().filter_map(|other| other.name.as_deref());
    let name = volume.name.as_deref().unwrap_or_default();
    let mut rests = others.filter_map(|other| other.strip_prefix(name)?.strip_suffix(UPPER_SUFFIX));
    rests.any(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns whether a service keeps data in one of the volumes with the keys `chosen`.
pub fn keeps_chosen(service: &Service, chosen: &IndexMap<String, Place>) -> bool {
    service.mounts.iter().any(|mount| !mount.read_only && chosen_by(mount, chosen).is_some())
}

fn chosen_by<'a>(mount: &'a Mount, chosen: &IndexMap<String, Place>) -> Option<&'a VolumeName> {
    match &mount.source {
        MountSource::Volume { volume: Some(key), .. } => {
            Some(key).filter(|key| chosen.contains_key(key.as_str()))
        }
        _ => None,
    }
}

/// Returns what is wrong with the volumes that `data.volumes` names, in a project as the file has it; `inactive` are the
/// services that no profile enables, whose volumes are none of the project.
pub fn refuse_unbranchable(
    chosen: &IndexMap<String, Place>,
    project: &Project,
    inactive: &[String],
) -> Vec<Diagnostic> {
    let mut refused = Vec::new();
    for (key, place) in chosen {
        let message = match project.volumes.get(key.as_str()) {
            Some(volume) if is_plain(volume) => continue,
            Some(volume) if volume.external => {
                format!("volume `{key}` is external: only volumes that envtree makes can branch")
            }
            Some(_) => format!(
                "volume `{key}` has a driver or options of its own: only plain volumes of the local driver can branch"
            ),
            None if !inactive.is_empty() => continue,
            None => {
                let known = project.volumes.keys().map(VolumeName::as_str);
                let hint = match nearest(key, known) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => {
                        "it is the key under `volumes` of the Compose file, mounted by a service".to_owned()
                    }
                };
                format!("the Compose project has no volume `{key}`; {hint}")
            }
        };
        refused.push(Diagnostic { place: place.clone(), message });
    }
    refused
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
    /// The layers under it, the nearest first: what a snapshot's own layer changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Layer>,
    /// How many volumes have taken the changes of the branch before, and are layers by now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// Whose the folder of the data is, and its mode.
    pub owner: Owner,
    /// The other volumes of the base: none of them may go as long as one of them is in use.
    pub others: Vec<String>,
    /// Why the branch begins with a copy of the layer, as a lower-case fragment; absent where it is an overlay above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<String>,
}

impl Ground {
    /// Returns the ground of the first branch of its name on one layer.
    pub fn on_layer(base: &str, layer: Layer, owner: Owner, others: Vec<String>) -> Self {
        let base = base.to_owned();
        Self { base, layer, below: Vec::new(), generation: 0, owner, others, copied: None }
    }

    /// Returns the layers that what the branch has changed is to be read above, the nearest first: a copy needs none.
    pub fn needed(&self) -> Vec<Layer> {
        if self.copied.is_some() { Vec::new() } else { self.layers().cloned().collect() }
    }

    /// Returns the volumes that the keeper of `branch` mounts, by target.
    fn kept(&self, branch: &str) -> IndexMap<String, String> {
        let mut volumes: Vec<&String> = Vec::new();
        for volume in self.layers().map(|layer| &layer.volume).chain(&self.others) {
            if !volumes.contains(&volume) {
                volumes.push(volume);
            }
        }
        let below = volumes.into_iter().enumerate();
        let below = below.map(|(number, volume)| (format!("{KEPT}/{branch}/{number}"), volume.clone()));
        [(kept_upper(branch), upper_name(branch, self.generation))].into_iter().chain(below).collect()
    }

    /// Returns the layers, the uppermost first.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.layer].into_iter().chain(&self.below)
    }

    /// Returns what a branch lies on whose upper volume this is.
    pub fn of_upper(upper: &ObservedVolume) -> Option<Self> {
        serde_json::from_str(upper.labels.get(label::GROUND)?).ok()
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
        let name = upper_name(self.name(), self.ground.generation);
        Volume { name: Some(name), labels, ..Volume::default() }
    }

    /// Returns the container that keeps the branch from being pruned.
    pub fn keeper(&self) -> NewKeeper {
        NewKeeper {
            name: keeper_name(self.name()),
            volumes: self.ground.kept(self.name()),
            labels: self.labels(),
        }
    }

    /// Returns what fills the upper volume before the branch is mounted, with the `sh` and `cp` of `image`; nothing for
    /// an overlay, which needs no filling.
    pub fn copy(&self, image: &str) -> Option<NewCopy> {
        self.ground.copied.as_ref()?;
        let upper = upper_name(self.name(), self.ground.generation);
        Some(NewCopy::new(&self.ground.layer, &upper, image, &self.labels()))
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
        let upper = self.ground.layer.beside(&upper_name(self.name(), self.ground.generation))?;
        let mut volume = self.volume.clone();
        volume.labels.insert(label::BASE.into(), self.ground.base.clone());
        if self.ground.copied.is_some() {
            volume.driver_opts = bound(&format!("{upper}/{UPPER}"));
            return self.ground.below.is_empty().then_some(volume);
        }
        let layers: Vec<String> = self.ground.layers().map(Layer::path).collect();
        // The kernel reads `,` as the end of an option, and `:` as that of a layer.
        if layers.iter().chain([&upper]).any(|path| path.contains([',', ':', '\\'])) {
            return None;
        }
        let options = [
            ("type", "overlay".to_owned()),
            ("device", "overlay".to_owned()),
            ("o", format!("lowerdir={},upperdir={upper}/{UPPER},workdir={upper}/{WORK}", layers.join(":"))),
        ];
        volume.driver_opts = options.map(|(key, value)| (key.to_owned(), value)).into();
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

/// Returns the options by which the local driver mounts a folder of the Engine's machine.
fn bound(folder: &str) -> IndexMap<String, String> {
    let options = [("type", "none"), ("o", "bind"), ("device", folder)];
    options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
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

/// Returns the name of the volume that takes the changes of the branch `volume`, after `generation` others.
pub fn upper_name(volume: &str, generation: u32) -> String {
    match generation {
        0 => format!("{volume}{UPPER_SUFFIX}"),
        later => format!("{volume}.{later}{UPPER_SUFFIX}"),
    }
}

/// Returns the volume that takes the changes of the branch `volume` now.
pub fn upper_of<'a>(uppers: &'a [ObservedVolume], volume: &str) -> Option<&'a ObservedVolume> {
    let own =
        uppers.iter().filter(|upper| upper.labels.get(label::BRANCH).is_some_and(|name| name == volume));
    own.max_by_key(|upper| Ground::of_upper(upper).map_or(0, |ground| ground.generation))
}

/// Returns which generation of upper volumes comes next for the branch `volume`; `frozen` are those that are layers, or
/// were: the record of a snapshot that is being dropped still names them.
pub fn next_generation(frozen: &[String], volume: &str) -> u32 {
    let most = u32::try_from(frozen.len()).unwrap_or(u32::MAX);
    (0..=most).find(|generation| !frozen.contains(&upper_name(volume, *generation))).unwrap_or(most)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Returns the name of the container that keeps the branch `volume` from being pruned.
pub fn keeper_name(volume: &str) -> String {
    format!("{volume}{KEEPER_SUFFIX}")
}

/// Returns whether an object of that name is part of a branch, and nothing by itself.
pub fn is_part(name: &str) -> bool {
    name.ends_with(UPPER_SUFFIX) || is_keeper(name) || name.ends_with(COPY_SUFFIX)
}

/// Returns whether a container of that name keeps a branch or a snapshot, and does nothing else.
pub fn is_keeper(name: &str) -> bool {
    name.ends_with(KEEPER_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::isolate;
    use crate::isolate::tests::{assignments, identity, raw_postgres_redis};

    fn found(change: impl FnOnce(&mut Project)) -> Vec<(String, String)> {
        found_among(&[], change)
    }

    fn found_among(chosen: &[&str], change: impl FnOnce(&mut Project)) -> Vec<(String, String)> {
        let place = Place { file: "envtree.yaml".into(), line: 1, column: 1 };
        let chosen = chosen.iter().map(|key| ((*key).to_owned(), place.clone())).collect();
        let mut raw = raw_postgres_redis();
        change(&mut raw);
        let project = isolate(&raw, &identity(), &assignments(&raw)).project;
        let image = ObservedImage { volumes: vec!["/data".into()], ..ObservedImage::default() };
        let services = project.services.iter();
        let volumes =
            services.flat_map(|(name, service)| data_volumes(&project, name, service, Some(&image), &chosen));
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
        let beside = |project: &mut Project| {
            project.volumes.insert(VolumeName::new("data.upper").unwrap(), Volume::default());
        };
        assert_eq!(of_postgres(beside), 0);
        let nfs = |project: &mut Project| {
            project.volumes[0].driver_opts.insert("type".into(), "nfs".into());
        };
        assert_eq!(of_postgres(nfs), 0);
    }

    fn branch() -> Branch {
        let labels = [(label::COMPOSE_VOLUME, "db"), (label::REPOSITORY, "r")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let layer = layer("shop_base-abc_db", "");
        let owner = Owner { uid: 999, gid: 999, mode: 0o700 };
        Branch {
            volume: Volume { name: Some("shop-x_db".into()), labels, ..Volume::default() },
            key: VolumeName::new("db").unwrap(),
            ground: Ground::on_layer("abc", layer, owner, vec!["shop_base-abc".into()]),
        }
    }

    fn layer(volume: &str, folder: &str) -> Layer {
        let mountpoint = format!("/var/lib/docker/volumes/{volume}/_data");
        Layer { volume: volume.into(), mountpoint, folder: folder.into() }
    }

    fn observed(volume: Volume) -> ObservedVolume {
        ObservedVolume {
            name: volume.name.unwrap(),
            driver: "local".into(),
            created: String::new(),
            mountpoint: String::new(),
            labels: volume.labels,
        }
    }

    #[test]
    fn a_branch_of_a_snapshot_lies_on_all_of_its_layers() {
        let mut again = branch();
        again.ground.below = vec![again.ground.layer.clone()];
        again.ground.layer = layer("shop-x_db.upper", UPPER);
        again.ground.generation = 1;
        assert_eq!(
            again.definition().unwrap().driver_opts["o"],
            "lowerdir=/var/lib/docker/volumes/shop-x_db.upper/_data/u:/var/lib/docker/volumes/shop_base-abc_db/_data,\
             upperdir=/var/lib/docker/volumes/shop-x_db.1.upper/_data/u,\
             workdir=/var/lib/docker/volumes/shop-x_db.1.upper/_data/w"
        );
        let keeper = again.keeper();
        let kept: Vec<&String> = keeper.volumes.values().collect();
        assert_eq!(kept, ["shop-x_db.1.upper", "shop-x_db.upper", "shop_base-abc_db", "shop_base-abc"]);
        let frozen = ["shop-x_db.upper".to_owned()];
        assert_eq!((next_generation(&frozen, "shop-x_db"), next_generation(&[], "shop-x_db")), (1, 0));
    }

    #[test]
    fn a_volume_that_is_chosen_holds_data_of_whatever_service() {
        let unknown = |project: &mut Project| postgres(project).image = "example/search".into();
        let of_postgres =
            |names: Vec<(String, String)>| names.iter().any(|(service, _)| service == "postgres");
        assert!(!of_postgres(found(unknown)));
        assert!(of_postgres(found_among(&["data"], unknown)));
        assert!(!of_postgres(found_among(&["data"], |project| {
            unknown(project);
            postgres(project).mounts.iter_mut().for_each(|mount| mount.read_only = true);
        })));
    }

    #[test]
    fn a_volume_that_cannot_branch_is_refused_with_its_place() {
        let mut project = raw_postgres_redis();
        let volume = |key: &str| VolumeName::new(key).unwrap();
        project.volumes.insert(volume("theirs"), Volume { external: true, ..Volume::default() });
        let nfs = Volume { driver: Some("nfs".into()), ..Volume::default() };
        project.volumes.insert(volume("far"), nfs);
        let place = Place { file: "envtree.yaml".into(), line: 3, column: 5 };
        let chosen = ["data", "theirs", "far", "dta", "nothing"].map(|key| (key.to_owned(), place.clone()));
        let chosen = IndexMap::from(chosen);
        let refused = refuse_unbranchable(&chosen, &project, &[]);
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        envtree.yaml:3:5: volume `theirs` is external: only volumes that envtree makes can branch
        envtree.yaml:3:5: volume `far` has a driver or options of its own: only plain volumes of the local driver can branch
        envtree.yaml:3:5: the Compose project has no volume `dta`; did you mean `data`?
        envtree.yaml:3:5: the Compose project has no volume `nothing`; it is the key under `volumes` of the Compose file, mounted by a service
        ");
        assert_eq!(refuse_unbranchable(&chosen, &project, &["search".into()]).len(), 2);
    }

    #[test]
    fn an_upper_volume_tells_all_of_its_branch() {
        let upper = observed(branch().upper());
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
    fn a_copy_is_filled_beside_its_base_and_mounted_alone() {
        let mut copied = branch();
        assert_eq!((copied.copy("postgres:17"), copied.ground.needed().len()), (None, 1));
        copied.ground.copied = Some("it was asked for".into());
        let volume = copied.definition().unwrap();
        let expected =
            [("type", "none"), ("o", "bind"), ("device", "/var/lib/docker/volumes/shop-x_db.upper/_data/u")];
        assert_eq!(
            volume.driver_opts,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        );
        let copy = copied.copy("postgres:17").unwrap();
        assert_eq!((&*copy.from, &*copy.to, &*copy.folder), ("shop_base-abc_db", "shop-x_db.upper", ""));
        assert_eq!(copy.labels[label::BRANCH], "shop-x_db");
        assert_eq!(copied.keeper(), branch().keeper());
        assert!(copied.ground.needed().is_empty());
        assert_eq!(Ground::of_upper(&observed(copied.upper())), Some(copied.ground.clone()));
        // What lies on several layers has no single folder to be copied from.
        copied.ground.below = vec![copied.ground.layer.clone()];
        assert_eq!(copied.definition(), None);
    }

    #[test]
    fn a_ground_that_knew_of_no_copies_is_an_overlay() {
        let text = serde_json::to_string(&branch().ground).unwrap();
        assert!(!text.contains("copied"));
        assert_eq!(serde_json::from_str::<Ground>(&text).unwrap().copied, None);
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
