//! What the state keeps about one environment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use envtree_core::adopt::{AdoptedAnonymous, AdoptedVolumes};
use envtree_core::label;
use envtree_core::name::{EnvironmentId, ProjectName};
use envtree_core::port::{Owner, PortKey};
use envtree_core::service::Protocol;
use envtree_core::subnet::Subnet;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The repository of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRecord {
    /// Tells repositories apart, whatever they are called: the same for every worktree, and safe as a file name.
    pub id: String,
    /// Begins the project names of its environments; no other repository has it.
    pub name: String,
    /// The directory that all its worktrees share.
    pub common_dir: PathBuf,
}

/// One environment: what it is, what it reserves, and how far it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentRecord {
    /// The repository that it belongs to.
    pub repository: RepositoryRecord,
    /// The name that the person typed.
    pub task: String,
    /// The real branch; `None` while its worktree is on a detached head.
    #[serde(default)]
    pub branch: Option<String>,
    /// Tells the environments of the repository apart.
    pub id: EnvironmentId,
    /// The name of its Compose project.
    pub project: ProjectName,
    /// The absolute path of its worktree.
    pub worktree: PathBuf,
    /// Whether envtree made the worktree, and may therefore remove it.
    #[serde(default)]
    pub worktree_made_by_envtree: bool,
    /// Whether envtree made the branch, and may therefore delete it.
    #[serde(default)]
    pub branch_made_by_envtree: bool,
    /// When the environment was first asked for.
    pub created: Timestamp,
    /// The file with a block of variables that envtree manages.
    #[serde(default)]
    pub env_file: Option<PathBuf>,
    /// The services that it was last brought up with.
    #[serde(default)]
    pub services: Vec<String>,
    /// How many containers services were last brought up with, where that was not what the files say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scale: BTreeMap<String, u32>,
    /// The host ports that are its own.
    #[serde(default)]
    pub ports: Vec<PortReservation>,
    /// The subnets that are its own.
    #[serde(default)]
    pub subnets: Vec<SubnetReservation>,
    /// The volumes that Docker Compose made and the environment took over.
    #[serde(default, skip_serializing_if = "AdoptedVolumes::is_empty")]
    pub adopted: AdoptedVolumes,
    /// The anonymous volumes that the environment took over.
    #[serde(default, skip_serializing_if = "AdoptedAnonymous::is_empty")]
    pub adopted_anonymous: AdoptedAnonymous,
    /// The shared servers on which it has databases, and the schemes of their URLs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, String>,
    /// What the Engine was asked for by a command that did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// The key of the base or snapshot that its data begins on, where it is not what a new environment begins on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_from: Option<String>,
    /// Branches that are to be thrown away before anything else is done: whoever was to do it was cut off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub condemned: BTreeSet<String>,
    /// Containers that were started and whose `post_start` hooks have not all run since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unhooked: BTreeSet<String>,
    /// What went wrong last; `None` after a success.
    #[serde(default)]
    pub last_failure: Option<Failure>,
    /// The hooks that succeeded in this worktree, by name.
    #[serde(default)]
    pub hooks_done: BTreeMap<String, HookDone>,
    /// The hooks that failed last, by name.
    #[serde(default)]
    pub hooks_failed: Vec<String>,
    /// What a newer program of the same version wrote, kept as it is.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl EnvironmentRecord {
    /// Notes that a command has ended, and whether the Engine may still be at work for it.
    pub(crate) fn settle(&mut self, is_cut_off: bool) {
        self.unsettled = self.unsettled.take().filter(|_| is_cut_off);
    }
}

/// What the Engine was asked for without a word of how it ended.
///
/// The Engine goes on with it, so what is wanted may appear at any moment. If it was killed itself, it may have left
/// something half-made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The Engine's names of the volumes that it was asked to make.
    #[serde(default)]
    pub volumes: BTreeSet<String>,
}

/// A host port that belongs to an environment until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReservation {
    /// The service, or the program on the host, that it is for.
    #[serde(flatten, with = "OwnerForm")]
    pub owner: Owner,
    /// The number of the service's container, from 1; 1 for a program on the host.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub replica: u32,
    /// The port that the program listens on.
    pub target: u16,
    /// TCP or UDP.
    #[serde(deserialize_with = "protocol")]
    pub protocol: Protocol,
    /// The position among reservations of one owner with the same target and protocol, from 0.
    pub index: u16,
    /// The host address that it is published on.
    pub address: IpAddr,
    /// The port on the host.
    pub published: u16,
}

impl PortReservation {
    /// Returns whether both are for the same port of the same owner, wherever on the host.
    pub(crate) fn is_for_the_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// A subnet that belongs to an environment until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetReservation {
    /// The key under `networks:`.
    pub network: String,
    /// The subnet.
    #[serde(serialize_with = "write_subnet", deserialize_with = "read_subnet")]
    pub subnet: Subnet,
}

/// How the last attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it happened.
    pub at: Timestamp,
    /// What was attempted: `up`, `post_create`.
    pub what: String,
    /// The error, without secrets.
    pub message: String,
}

/// A hook that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookDone {
    /// When it ended.
    pub at: Timestamp,
    /// The SHA-256 of its text, in hexadecimal.
    pub sha256: String,
}

/// The serialized form of [`Owner`]: a key `service` or a key `app`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Owner", rename_all = "lowercase")]
enum OwnerForm {
    Service(String),
    App(String),
}

impl EnvironmentRecord {
    /// Returns the record of an environment of which nothing is made or reserved yet.
    pub fn new(repository: RepositoryRecord, task: &str, id: EnvironmentId, project: ProjectName) -> Self {
        Self {
            repository,
            task: task.to_owned(),
            branch: None,
            id,
            project,
            worktree: PathBuf::new(),
            worktree_made_by_envtree: false,
            branch_made_by_envtree: false,
            created: Timestamp::now(),
            env_file: None,
            services: Vec::new(),
            scale: BTreeMap::new(),
            ports: Vec::new(),
            subnets: Vec::new(),
            adopted: AdoptedVolumes::new(),
            adopted_anonymous: AdoptedAnonymous::new(),
            databases: BTreeMap::new(),
            unsettled: None,
            unhooked: BTreeSet::new(),
            data_from: None,
            condemned: BTreeSet::new(),
            last_failure: None,
            hooks_done: BTreeMap::new(),
            hooks_failed: Vec::new(),
            unknown: Map::new(),
        }
    }

    /// Returns whether an object with these labels belongs to the environment.
    pub fn owns(&self, labels: &IndexMap<String, String>) -> bool {
        labels.get(label::REPOSITORY) == Some(&self.repository.id) && self.names(labels)
    }

    /// Returns whether an object with these labels belongs to a project of the environment's name, whoever made it.
    pub fn names(&self, labels: &IndexMap<String, String>) -> bool {
        labels.get(label::COMPOSE_PROJECT).is_some_and(|name| self.project == *name.as_str())
    }

    /// Returns whether the hook succeeded once in this worktree; one that failed is to be run again.
    pub fn is_hook_done(&self, hook: &str) -> bool {
        self.hooks_done.contains_key(hook)
    }

    /// Notes that the worktree was made anew, so that what runs once in a worktree runs again.
    pub fn forget_hooks(&mut self) {
        self.hooks_done.clear();
    }

    /// Takes over what `earlier` reserves, and what that is reserved for.
    pub(crate) fn reserve_as(&mut self, earlier: &Self) {
        self.services.clone_from(&earlier.services);
        self.scale.clone_from(&earlier.scale);
        self.ports.clone_from(&earlier.ports);
        self.subnets.clone_from(&earlier.subnets);
        self.adopted.clone_from(&earlier.adopted);
        self.adopted_anonymous.clone_from(&earlier.adopted_anonymous);
    }

    /// Returns the host ports by what they are for.
    pub fn held_ports(&self) -> IndexMap<PortKey, u16> {
        self.ports.iter().map(|reservation| (reservation.key(), reservation.published)).collect()
    }

    /// Returns the subnet that the environment holds for `network`.
    pub fn subnet(&self, network: &str) -> Option<Subnet> {
        self.subnets
            .iter()
            .find(|reservation| reservation.network == network)
            .map(|reservation| reservation.subnet)
    }
}

impl PortReservation {
    /// Returns what the port is for.
    pub fn key(&self) -> PortKey {
        PortKey {
            owner: self.owner.clone(),
            replica: self.replica,
            target: self.target,
            protocol: self.protocol,
            index: self.index,
        }
    }
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_first(replica: &u32) -> bool {
    *replica == 1
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
    let text = String::deserialize(deserializer)?;
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.as_str() == text)
        .ok_or_else(|| serde::de::Error::unknown_variant(&text, &["tcp", "udp", "sctp"]))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn write_subnet<S: Serializer>(subnet: &Subnet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(subnet)
}

fn read_subnet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Subnet, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Returns a record for `task` in `shop`, with as little in it as possible.
    pub(crate) fn record(common_dir: &str, name: &str, task: &str, id: &str) -> EnvironmentRecord {
        let repository = RepositoryRecord {
            id: crate::state::identity::repository_id(common_dir.as_ref()),
            name: name.to_owned(),
            common_dir: common_dir.into(),
        };
        let project = ProjectName::new(format!("{name}-{id}")).unwrap();
        EnvironmentRecord {
            branch: Some(task.to_owned()),
            worktree: format!("/worktrees/{name}/{id}").into(),
            worktree_made_by_envtree: true,
            created: "2026-11-21T06:40:00Z".parse().unwrap(),
            ..EnvironmentRecord::new(repository, task, EnvironmentId::new(id).unwrap(), project)
        }
    }

    #[test]
    fn a_record_reads_like_its_documentation() {
        let mut record = record("/src/shop/.git", "shop", "feature/login", "feature-login");
        record.ports.push(PortReservation {
            owner: Owner::Service("db".to_owned()),
            replica: 1,
            target: 5432,
            protocol: Protocol::Tcp,
            index: 0,
            address: Ipv4Addr::LOCALHOST.into(),
            published: 20014,
        });
        record.subnets.push(SubnetReservation {
            network: "default".to_owned(),
            subnet: "10.214.0.64/26".parse().unwrap(),
        });
        insta::assert_json_snapshot!(record, @r#"
        {
          "repository": {
            "id": "3648821cedbf",
            "name": "shop",
            "common_dir": "/src/shop/.git"
          },
          "task": "feature/login",
          "branch": "feature/login",
          "id": "feature-login",
          "project": "shop-feature-login",
          "worktree": "/worktrees/shop/feature-login",
          "worktree_made_by_envtree": true,
          "branch_made_by_envtree": false,
          "created": "2026-11-21T06:40:00Z",
          "env_file": null,
          "services": [],
          "ports": [
            {
              "service": "db",
              "target": 5432,
              "protocol": "tcp",
              "index": 0,
              "address": "127.0.0.1",
              "published": 20014
            }
          ],
          "subnets": [
            {
              "network": "default",
              "subnet": "10.214.0.64/26"
            }
          ],
          "last_failure": null,
          "hooks_done": {},
          "hooks_failed": []
        }
        "#);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<EnvironmentRecord>(&text).unwrap(), record);
    }

    #[test]
    fn a_key_of_a_newer_program_survives() {
        let record = record("/src/shop/.git", "shop", "x", "x");
        let mut value = serde_json::to_value(&record).unwrap();
        value["sharing"] = serde_json::json!({ "with": ["y"] });
        let read: EnvironmentRecord = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
    }

    #[test]
    fn a_failed_hook_is_not_done() {
        let mut record = record("/src/shop/.git", "shop", "x", "x");
        assert!(!record.is_hook_done("post_create"));
        let done = HookDone { at: record.created, sha256: "00".to_owned() };
        record.hooks_done.insert("post_create".to_owned(), done);
        assert!(record.is_hook_done("post_create"));
        record.forget_hooks();
        assert!(!record.is_hook_done("post_create"));
    }
}
