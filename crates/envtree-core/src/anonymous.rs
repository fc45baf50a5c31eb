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

/// Returns the name of the volume at `target` of a service: the same for every container of it.
///
/// The digits at the end keep it apart from the volumes that the file names.
pub fn volume_name(project: &str, service: &str, target: &str) -> String {
    let digest = hex(&Sha256::digest(format!("{service}:{target}")));
    let words: Vec<&str> =
        target.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{project}_{service}_{}_{}", words.join("-"), &digest[..8])
}

/// Returns the labels of the volume at `target` of a service whose container bears `labels`.
pub fn volume_labels(
    labels: &IndexMap<String, String>,
    service: &str,
    target: &str,
) -> IndexMap<String, String> {
    let shared = SHARED.into_iter().filter_map(|key| Some((key.to_owned(), labels.get(key)?.clone())));
    let mut own: IndexMap<String, String> = shared.collect();
    own.insert(label::ANONYMOUS.to_owned(), format!("{service}:{target}"));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_for_every_container_of_a_service() {
        let name = volume_name("shop-fix", "redis", "/data");
        assert_eq!(name, volume_name("shop-fix", "redis", "/data"));
        assert!(name.starts_with("shop-fix_redis_data_"), "{name}");
        assert_ne!(name, volume_name("shop-fix", "redis", "/data/"));
        assert!(volume_name("x", "db", "/var/lib/pg").starts_with("x_db_var-lib-pg_"));
    }

    #[test]
    fn labels_say_whose_it_is_and_nothing_of_the_container() {
        let container = [(label::REPOSITORY, "0a1b"), (label::COMPOSE_SERVICE, "redis")];
        let container = container.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let labels = volume_labels(&container, "redis", "/data");
        assert_eq!(labels.len(), 2);
        assert_eq!(labels[label::ANONYMOUS], "redis:/data");
    }
}
