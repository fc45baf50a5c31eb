//! The key of a base: equal keys mean that the same would be made again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config_hash::{hex, service_hash};
use crate::service::{MountSource, Origin, RestartPolicy, Service};

/// Counts up when bases are laid out in another way.
const LAYOUT: u32 = 2;

/// All that a base depends on. Names, folders and ports of an environment are none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ingredients {
    /// The Engine's operating system and processor architecture, such as `linux/arm64`.
    pub platform: String,
    /// The servers, by service.
    pub servers: BTreeMap<String, ServerIngredients>,
    /// The seed, if one runs.
    pub seed: Option<SeedIngredients>,
}

/// What a server's data depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerIngredients {
    /// The id of the image, which is a digest of its content.
    pub image: String,
    /// What [`definition_hash`] returns of the service.
    pub definition: String,
    /// Where it mounts the volumes in which it keeps data.
    pub data: BTreeSet<String>,
    /// The digests of the files that it is given, by target: configs, secrets, and what is mounted from the host.
    pub files: BTreeMap<String, String>,
}

/// What a seed's outcome depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeedIngredients {
    /// The commands.
    pub commands: Vec<String>,
    /// The digests of the files that it reads, by path in the worktree.
    pub inputs: BTreeMap<String, String>,
    /// The service in whose container it runs, if it does not run on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<SeedService>,
}

/// What the outcome of a seed depends on in the service that it runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeedService {
    /// The name of the service.
    pub name: String,
    /// The id of its image; absent for one that is built, of which what `inputs` names counts.
    pub image: Option<String>,
    /// What [`definition_hash`] returns of it.
    pub definition: String,
}

impl Ingredients {
    /// Returns the key, 64 hexadecimal digits.
    pub fn key(&self) -> String {
        let text = serde_json::to_string(&(LAYOUT, self)).expect("ingredients have text keys");
        hex(&Sha256::digest(text))
    }
}

/// Returns the hash of what a service's definition does to its data.
///
/// Names, networks, ports, labels, health checks, restarts and dependencies do nothing to it, nor does where a file of the
/// host lies: its content counts by itself.
pub fn definition_hash(service: &Service) -> String {
    let mut counted = service.clone();
    counted.container_name = None;
    counted.image.clear();
    counted.networks.clear();
    counted.network_mode = None;
    counted.ports.clear();
    counted.labels.clear();
    counted.health_check = None;
    counted.restart = RestartPolicy::No;
    for mount in &mut counted.mounts {
        if let MountSource::Bind { path, .. } = &mut mount.source {
            path.clear();
        }
    }
    for grant in counted.configs.iter_mut().chain(&mut counted.secrets) {
        if let Origin::File(path) = &mut grant.origin {
            path.clear();
        }
    }
    service_hash(&counted, &[])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::Mount;

    fn server() -> impl Strategy<Value = ServerIngredients> {
        let files = prop::collection::btree_map("/[a-c]{1,2}", "[0-9a-f]{2}", 0..3);
        let data = prop::collection::btree_set("/[a-c]{1,2}", 0..3);
        ("[a-f]{2}", "[a-f]{2}", data, files).prop_map(|(image, definition, data, files)| ServerIngredients {
            image,
            definition,
            data,
            files,
        })
    }

    fn seed_service() -> impl Strategy<Value = SeedService> {
        ("[ab]", prop::option::of("[a-f]{2}"), "[a-f]{2}").prop_map(|(name, image, definition)| SeedService {
            name,
            image,
            definition,
        })
    }

    fn ingredients() -> impl Strategy<Value = Ingredients> {
        let seed = prop::option::of(
            (
                prop::collection::vec("[a-c ]{0,3}", 0..3),
                prop::collection::btree_map("[a-c/]{1,3}", "[0-9a-f]{2}", 0..3),
                prop::option::of(seed_service()),
            )
                .prop_map(|(commands, inputs, service)| SeedIngredients {
                    commands,
                    inputs,
                    service,
                }),
        );
        ("linux/(amd64|arm64)", prop::collection::btree_map("[ab]", server(), 0..3), seed)
            .prop_map(|(platform, servers, seed)| Ingredients { platform, servers, seed })
    }

    proptest! {
        #[test]
        fn keys_are_equal_when_and_only_when_all_ingredients_are(a in ingredients(), b in ingredients()) {
            prop_assert_eq!(a.key() == b.key(), a == b);
            prop_assert_eq!(a.key(), a.clone().key());
        }
    }

    fn service() -> Service {
        let mount = |path: &str| Mount {
            read_only: true,
            ..Mount::new("/docker-entrypoint-initdb.d", MountSource::bind(path))
        };
        Service { image: "postgres:17".into(), mounts: vec![mount("/w/init")], ..Service::default() }
    }

    #[test]
    fn what_belongs_to_an_environment_does_not_count() {
        let mut moved = service();
        moved.container_name = Some("shop-x-db-1".into());
        moved.labels.insert("a".into(), "b".into());
        moved.mounts[0].source = MountSource::bind("/elsewhere/init");
        moved.ports = crate::compose_file::lower::parse_port("5432").unwrap();
        moved.restart = RestartPolicy::Always;
        assert_eq!(definition_hash(&moved), definition_hash(&service()));
    }

    #[test]
    fn what_the_server_is_told_counts() {
        let told = |change: fn(&mut Service)| {
            let mut other = service();
            change(&mut other);
            definition_hash(&other)
        };
        let changes: [fn(&mut Service); 4] = [
            |service| {
                service.environment.insert("POSTGRES_DB".into(), "x".into());
            },
            |service| service.command = Some(vec!["-c".into(), "fsync=off".into()]),
            |service| service.user = Some("70".into()),
            |service| service.mounts[0].target = "/elsewhere".into(),
        ];
        for change in changes {
            assert_ne!(told(change), definition_hash(&service()));
        }
    }
}
