//! Properties of all archives.

use envtree_core::archive::entry::Kind;
use proptest::prelude::*;

use super::{Item, entry, made, read, renamed, volumes, write};

/// A small volume, in the order of a walk.
fn tree() -> impl Strategy<Value = Vec<Item>> {
    let content = prop::collection::vec(any::<u8>(), 0..2_000);
    let leaf = prop_oneof![
        3 => content.prop_map(|content| (Kind::File { size: content.len() as u64 }, content)),
        1 => "[a-z/.]{1,120}".prop_map(|target| (Kind::Symlink { target: target.into() }, Vec::new())),
    ];
    let names = prop::collection::btree_map(
        "[a-zé]{1,60}",
        prop::collection::btree_map("[a-z]{1,60}", leaf, 0..4),
        0..4,
    );
    names.prop_map(|folders| {
        let mut items = vec![made("0", Kind::Folder)];
        for (name, leaves) in folders {
            items.push(made(&format!("0/{name}"), Kind::Folder));
            for (leaf, (kind, content)) in leaves {
                items.push((entry(&format!("0/{name}/{leaf}"), kind), content));
            }
        }
        items
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_volume_comes_back(items in tree(), limit in 1..6_000_u64) {
        let (received, outcome) = read(&write(limit, std::slice::from_ref(&items)).0);
        prop_assert!(outcome.is_ok());
        let mut found: Vec<Item> = Vec::new();
        for item in received.items().concat() {
            if !found.contains(&item) {
                found.push(item);
            }
        }
        prop_assert_eq!(found, renamed(&items));
    }

    #[test]
    fn whatever_is_read_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (archive, _) = write(1, &volumes());
        prop_assert!(read(&[&archive[..archive.len() / 2], &bytes].concat()).1.is_err());
        prop_assert!(read(&bytes).1.is_err());
    }
}
