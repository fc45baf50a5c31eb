//! Archives of data: what an archive says of itself, and what it may hold.
//!
//! An archive is a tar stream: first [`MANIFEST`], then the entries of each volume below a folder of its own, in the order
//! of a walk, and last [`DIGESTS`], without which it is cut off. Its data is put on a machine as root, so an entry that
//! could land outside of its volume is refused, however it came about.

pub mod entry;
pub mod folders;
pub mod header;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::branch::Layer;
use crate::branch::base::{Base, BaseVolume, Snapshot, project_name, volume_key_of};
use crate::branch::lineage::Lineage;
use crate::name::ServiceName;
use crate::plan::Owner;

/// The name of the first entry.
pub const MANIFEST: &str = "envtree-data.json";
/// The name of the last entry.
pub const DIGESTS: &str = "envtree-digests.json";
/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// The folder in which the volumes lie, each called by its number.
pub const VOLUMES: &str = "volumes";

/// How many digits a key has.
const KEY: usize = 64;

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of envtree that wrote it.
    pub envtree: String,
    /// The platform whose servers wrote the data, such as `linux/amd64`.
    pub platform: String,
    /// Seconds since 1970 when the export began.
    pub exported: i64,
    /// The key of the base or snapshot.
    pub key: String,
    /// What it holds.
    #[serde(flatten)]
    pub contents: Contents,
    /// Whether a seed ran in it.
    pub is_seeded: bool,
    /// What an incremental seed that goes on from it wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Whether it is real data that nothing made harmless, or that nobody verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_raw: bool,
    /// Seconds since 1970 when the base or snapshot was complete.
    pub made: i64,
    /// Its volumes.
    pub volumes: Vec<ArchivedVolume>,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Contents {
    /// A base.
    Base,
    /// A snapshot.
    Snapshot(Snapshot),
}

/// A volume in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedVolume {
    /// The service whose data it holds.
    pub service: String,
    /// Where the service mounts it.
    pub target: String,
    /// Whose its folder is, and its mode.
    pub owner: Owner,
    /// Its folder in the archive.
    pub folder: String,
}

/// What the end of an archive says of all that came before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Digests {
    /// A digest for each volume, in the order of the manifest.
    pub volumes: Vec<VolumeDigest>,
}

/// What a volume came to in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDigest {
    /// The SHA-256 of the SHA-256s of what its chunks hold, 64 hexadecimal digits.
    pub sha256: String,
    /// The bytes of its files.
    pub bytes: u64,
    /// Its files, folders and links, its own folder among them.
    pub entries: u64,
}

/// Why an archive is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// Another program wrote it.
    #[error("it is no archive of `envtree data export`")]
    Foreign,
    /// A newer envtree wrote it.
    #[error("its format has version {found}, and this envtree reads {FORMAT}")]
    Format {
        /// The version.
        found: u64,
    },
    /// What it says of itself cannot be so.
    #[error("its `{MANIFEST}` is not right: {reason}")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// The data is that of servers of another platform.
    #[error("its data is of `{found}`, and this Engine runs `{wanted}`")]
    Platform {
        /// The platform of the archive.
        found: String,
        /// The platform of the Engine.
        wanted: String,
    },
    /// Its end is missing.
    #[error("it is cut off: its end is missing")]
    Truncated,
    /// It is not as it was written.
    #[error("it is damaged: a digest does not match what it is of")]
    Altered,
    /// An entry could land where it does not belong.
    #[error("its entry `{path}` {reason}")]
    Entry {
        /// The entry.
        path: String,
        /// What is wrong with it, such as `is a device`.
        reason: &'static str,
    },
}

impl Manifest {
    /// Reads what an archive says of itself; none of it is believed before [`Self::check`].
    pub fn parse(text: &[u8]) -> Result<Self, ArchiveFault> {
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_slice(text).map_err(|_| ArchiveFault::Foreign)?;
        if head.format != u64::from(FORMAT) {
            return Err(ArchiveFault::Format { found: head.format });
        }
        serde_json::from_slice(text).map_err(|error| ArchiveFault::Manifest { reason: error.to_string() })
    }

    /// Refuses what this Engine cannot use or what nobody exports. The name of a snapshot is the caller's to look at.
    pub fn check(&self, platform: &str) -> Result<(), ArchiveFault> {
        let wrong = |reason: &str| Err(ArchiveFault::Manifest { reason: reason.to_owned() });
        if self.key.len() != KEY || !self.key.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return wrong("the key is none");
        }
        if self.volumes.is_empty() {
            return wrong("it has no volumes");
        }
        let mut keys = BTreeSet::new();
        for (number, volume) in self.volumes.iter().enumerate() {
            let is_target = volume.target.starts_with('/') && !volume.target.contains(char::is_control);
            if ServiceName::new(volume.service.as_str()).is_err() || !is_target {
                return wrong("a volume is mounted nowhere");
            }
            if volume.folder != folder(number) {
                return wrong("the folders of the volumes are not in their order");
            }
            if !keys.insert(volume_key_of(&volume.service, &volume.target)) {
                return wrong("two volumes are the same");
            }
        }
        if self.platform != platform {
            let (found, wanted) = (self.platform.clone(), platform.to_owned());
            return Err(ArchiveFault::Platform { found, wanted });
        }
        Ok(())
    }

    /// Returns whether both say the same of what they hold, whenever it was written.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        Self { exported: 0, ..self.clone() } == Self { exported: 0, ..other.clone() }
    }

    /// Returns the base or snapshot that the archive becomes in a repository, each volume a layer of its own. Where the
    /// volumes lie, only the Engine tells.
    pub fn base(&self, repository: &str) -> Base {
        let name = project_name(repository, &self.key);
        let volume = |volume: &ArchivedVolume| {
            let key = volume_key_of(&volume.service, &volume.target);
            BaseVolume {
                service: volume.service.clone(),
                target: volume.target.clone(),
                layer: Layer::of_volume(&name.object(&key), ""),
                below: Vec::new(),
                on: None,
                owner: volume.owner,
            }
        };
        Base {
            key: self.key.clone(),
            repository: repository.to_owned(),
            is_seeded: self.is_seeded,
            made: self.made,
            volumes: self.volumes.iter().map(volume).collect(),
            others: Vec::new(),
            snapshot: match &self.contents {
                Contents::Base => None,
                Contents::Snapshot(snapshot) => Some(snapshot.clone()),
            },
            lineage: self.lineage.clone(),
            copy_of: None,
            is_raw: self.is_raw,
        }
    }

    /// Returns what an archive of `base` says of itself.
    pub fn of_base(base: &Base, platform: String, envtree: &str, exported: i64) -> Self {
        let volumes = base.volumes.iter().enumerate().map(|(number, volume)| ArchivedVolume {
            service: volume.service.clone(),
            target: volume.target.clone(),
            owner: volume.owner,
            folder: folder(number),
        });
        Self {
            format: FORMAT,
            envtree: envtree.to_owned(),
            platform,
            exported,
            key: base.key.clone(),
            contents: base.snapshot.clone().map_or(Contents::Base, Contents::Snapshot),
            is_seeded: base.is_seeded,
            lineage: base.lineage.clone(),
            is_raw: base.is_raw,
            made: base.made,
            volumes: volumes.collect(),
        }
    }
}

/// Returns the folder of the volume of that number.
pub fn folder(number: usize) -> String {
    format!("{VOLUMES}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let volume = |number, service: &str, target: &str| ArchivedVolume {
            service: service.into(),
            target: target.into(),
            owner: Owner { uid: 999, gid: 999, mode: 0o700 },
            folder: folder(number),
        };
        Manifest {
            format: FORMAT,
            envtree: "0.1.0".into(),
            platform: "linux/amd64".into(),
            exported: 7,
            key: "0123456789abcdef".repeat(4),
            contents: Contents::Snapshot(Snapshot {
                name: "a-1".into(),
                task: "a".into(),
                branch: None,
                commit: Some("01".into()),
            }),
            is_seeded: true,
            lineage: None,
            is_raw: false,
            made: 5,
            volumes: vec![volume(0, "db", "/var/lib/data"), volume(1, "cache", "/data")],
        }
    }

    fn refused(change: impl FnOnce(&mut Manifest)) -> String {
        let mut manifest = manifest();
        change(&mut manifest);
        manifest.check("linux/amd64").unwrap_err().to_string()
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let text = serde_json::to_string(&manifest()).unwrap();
        assert!(text.contains(r#""kind":"snapshot","name":"a-1""#), "{text}");
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest()));
        let base = Manifest { contents: Contents::Base, ..manifest() };
        assert_eq!(Manifest::parse(serde_json::to_string(&base).unwrap().as_bytes()), Ok(base));
    }

    #[test]
    fn what_was_exported_comes_back_under_the_names_of_the_repository() {
        let base = manifest().base("shop");
        assert_eq!(base.snapshot.as_ref().unwrap().name, "a-1");
        assert_eq!(base.volumes[1].layer.volume, "shop_base-0123456789ab_cache_data");
        assert_eq!(Manifest::of_base(&base, "linux/amd64".into(), "0.1.0", 7), manifest());
    }

    #[test]
    fn what_no_export_writes_is_refused() {
        assert_eq!(Manifest::parse(b"{}"), Err(ArchiveFault::Foreign));
        assert_eq!(Manifest::parse(b"{\"format\": 2}"), Err(ArchiveFault::Format { found: 2 }));
        assert!(matches!(Manifest::parse(b"{\"format\": 1}"), Err(ArchiveFault::Manifest { .. })));
        assert_eq!(manifest().check("linux/amd64"), Ok(()));
        let told = [
            refused(|manifest| manifest.key = "../x".into()),
            refused(|manifest| manifest.volumes.clear()),
            refused(|manifest| manifest.volumes[0].service = "../x".into()),
            refused(|manifest| manifest.volumes[0].target = "x".into()),
            refused(|manifest| manifest.volumes[1].folder = "volumes/0".into()),
            refused(|manifest| {
                manifest.volumes[1].service = "db".into();
                manifest.volumes[1].target = "/var/lib-data".into();
            }),
            refused(|manifest| manifest.platform = "linux/arm64".into()),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        its `envtree-data.json` is not right: the key is none
        its `envtree-data.json` is not right: it has no volumes
        its `envtree-data.json` is not right: a volume is mounted nowhere
        its `envtree-data.json` is not right: a volume is mounted nowhere
        its `envtree-data.json` is not right: the folders of the volumes are not in their order
        its `envtree-data.json` is not right: two volumes are the same
        its data is of `linux/arm64`, and this Engine runs `linux/amd64`
        ");
    }

    #[test]
    fn another_time_of_export_makes_no_difference() {
        assert!(manifest().is_of_the_same(&Manifest { exported: 8, ..manifest() }));
        assert!(!manifest().is_of_the_same(&Manifest { made: 8, ..manifest() }));
    }
}
