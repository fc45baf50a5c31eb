//! Names for the volumes that neither the Compose file nor the image gives one.
//!
//! The Engine would name such a volume by chance, and nothing would find it again once its container is gone. Under a
//! name of its own its data survives `down`, and `rm` removes it.

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use crate::config_hash::hex;
use crate::label;

/// Labels of a container that its unnamed volumes bear too.
const SHARED: [&str; 8] = [
    label::COMPOSE_PROJECT,
    label::REPOSITORY,
    label::REPOSITORY_NAME,
    label::COMMON_DIR,
    label::ENVIRONMENT,
    label::TASK,
    label::WORKTREE,
    label::VERSION,
];

/// The container of a service that an unnamed volume belongs to, whichever the Engine makes for it in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The service.
    pub service: &'a str,
    /// The number of the container, from 1.
    pub number: u32,
}

impl Holder<'_> {
    /// Returns `service`, or `service` and the number after `separator` for a container that is not the first.
    fn name(self, separator: char) -> String {
        let Self { service, number } = self;
        if number == 1 { service.to_owned() } else { format!("{service}{separator}{number}") }
    }

    /// Returns `service:target`, or `service/number:target` for a container that is not the first.
    pub fn key(self, target: &str) -> String {
        // No service has a slash in its name.
        format!("{}:{target}", self.name('/'))
    }
}

/// Returns whether the Engine itself named the volume, by chance: 64 hexadecimal digits.
pub fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the name of the volume at `target` of a container: the same for every container of that number.
///
/// The digits at the end keep it apart from the volumes that the file names, and from those of service `web-2`.
pub fn volume_name(project: &str, holder: Holder<'_>, target: &str) -> String {
    let digest = hex(&Sha256::digest(holder.key(target)));
    let words: Vec<&str> =
        target.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{project}_{}_{}_{}", holder.name('-'), words.join("-"), &digest[..8])
}

/// Returns the labels of the volume at `target` of a container that bears `labels`.
pub fn volume_labels(
    labels: &IndexMap<String, String>,
    holder: Holder<'_>,
    target: &str,
) -> IndexMap<String, String> {
    let shared = SHARED.into_iter().filter_map(|key| Some((key.to_owned(), labels.get(key)?.clone())));
    let mut own: IndexMap<String, String> = shared.collect();
    own.insert(label::ANONYMOUS.to_owned(), format!("{}:{target}", holder.name('-')));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_for_every_container_of_a_number() {
        let of = |service, number| Holder { service, number };
        let name = volume_name("shop-fix", of("redis", 1), "/data");
        assert_eq!(name, volume_name("shop-fix", of("redis", 1), "/data"));
        assert!(name.starts_with("shop-fix_redis_data_"), "{name}");
        assert_ne!(name, volume_name("shop-fix", of("redis", 1), "/data/"));
        assert!(volume_name("x", of("db", 1), "/var/lib/pg").starts_with("x_db_var-lib-pg_"));
        let second = volume_name("shop-fix", of("redis", 2), "/data");
        assert!(second.starts_with("shop-fix_redis-2_data_"), "{second}");
        assert_ne!(second, volume_name("shop-fix", of("redis-2", 1), "/data"));
    }

    #[test]
    fn labels_say_whose_it_is_and_nothing_of_the_container() {
        let container = [(label::REPOSITORY, "0a1b"), (label::COMPOSE_SERVICE, "redis")];
        let container = container.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let labels = |number| volume_labels(&container, Holder { service: "redis", number }, "/data");
        assert_eq!(labels(1).len(), 2);
        assert_eq!(labels(1)[label::ANONYMOUS], "redis:/data");
        assert_eq!(labels(2)[label::ANONYMOUS], "redis-2:/data");
    }
}
