//! Which bases an incremental seed can go on from: those that it made when its inputs were the beginning of what they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key::{Ingredients, SeedIngredients};
use crate::config_hash::hex;

/// What a base was made of, as far as later bases want to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The digest of all that it depends on but the inputs of its seed.
    rest: String,
    /// The inputs, by the folder that they lie in.
    folders: BTreeMap<String, Inputs>,
}

/// The inputs in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inputs {
    /// How many files there are.
    files: usize,
    /// The digest of their names and contents, in order.
    digest: String,
}

impl Lineage {
    /// Returns the lineage of what a seed makes of `ingredients`; nothing without a seed.
    pub fn of(ingredients: &Ingredients) -> Option<Self> {
        let seed = ingredients.seed.as_ref()?;
        let folders = folders(seed);
        let folders = folders.into_iter().map(|(folder, files)| (folder.to_owned(), inputs(&files)));
        Some(Self { rest: rest(ingredients), folders: folders.collect() })
    }

    /// Returns how many inputs there were.
    pub fn files(&self) -> usize {
        self.folders.values().map(|inputs| inputs.files).sum()
    }

    /// Returns whether `later` is the same but for inputs that were added: in each folder after those that were there, by
    /// their names, in which numbers count as numbers.
    pub fn is_continued_by(&self, later: &Ingredients) -> bool {
        let Some(seed) = &later.seed else {
            return false;
        };
        let folders = folders(seed);
        let is_beginning = |(folder, before): (&String, &Inputs)| {
            let now = folders.get(folder.as_str()).and_then(|files| files.get(..before.files));
            now.is_some_and(|files| inputs(files) == *before)
        };
        self.rest == rest(later) && self.folders.iter().all(is_beginning)
    }
}

fn rest(ingredients: &Ingredients) -> String {
    let seed = ingredients.seed.clone().map(|seed| SeedIngredients { inputs: BTreeMap::new(), ..seed });
    Ingredients { seed, ..ingredients.clone() }.key()
}

/// Returns the names and digests of the inputs in each folder, in the order of their names.
fn folders(seed: &SeedIngredients) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, digest) in &seed.inputs {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folders.entry(folder).or_default().push((name, digest));
    }
    for files in folders.values_mut() {
        files.sort_by_cached_key(|(name, _)| (parts(name), (*name).to_owned()));
    }
    folders
}

fn inputs(files: &[(&str, &str)]) -> Inputs {
    let text = serde_json::to_string(files).expect("names and digests are texts");
    Inputs { files: files.len(), digest: hex(&Sha256::digest(text)) }
}

/// A part of a name: digits, by what they count, or a text without any.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number { length: usize, digits: String },
    Text(String),
}

/// Returns the parts by which names are ordered: `V9` stands before `V10`.
fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digits).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(if is_digits {
            let digits = part.trim_start_matches('0').to_owned();
            Part::Number { length: digits.len(), digits }
        } else {
            Part::Text(part.to_owned())
        });
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made_of(inputs: &[(&str, &str)]) -> Ingredients {
        let inputs = inputs.iter().map(|(path, digest)| ((*path).to_owned(), (*digest).to_owned())).collect();
        let seed = SeedIngredients { commands: vec!["migrate".into()], inputs, service: None };
        Ingredients { platform: "linux/amd64".into(), servers: BTreeMap::new(), seed: Some(seed) }
    }

    fn continues(before: &[(&str, &str)], after: &[(&str, &str)]) -> bool {
        Lineage::of(&made_of(before)).unwrap().is_continued_by(&made_of(after))
    }

    const BEFORE: [(&str, &str); 3] = [("m/V1.sql", "a"), ("m/V9.sql", "b"), ("s/all.sql", "c")];

    #[test]
    fn what_comes_after_all_of_its_folder_continues() {
        let with = |more: &[(&str, &str)]| continues(&BEFORE, &[&BEFORE[..], more].concat());
        assert!(with(&[]));
        assert!(with(&[("m/V10.sql", "d")]));
        assert!(with(&[("m/V10.sql", "d"), ("n/V1.sql", "e"), ("s/more.sql", "f")]));
    }

    #[test]
    fn what_changes_what_was_read_does_not_continue() {
        let with = |more: &[(&str, &str)]| continues(&BEFORE, &[&BEFORE[..], more].concat());
        assert!(!with(&[("m/V2.sql", "d")]));
        assert!(!with(&[("m/V1.sql", "z")]));
        assert!(!continues(&BEFORE, &BEFORE[1..]));
        assert!(!continues(&BEFORE, &BEFORE[..1]));
        let mut other = made_of(&BEFORE);
        other.platform = "linux/arm64".into();
        assert!(!Lineage::of(&made_of(&BEFORE)).unwrap().is_continued_by(&other));
        other = made_of(&BEFORE);
        other.seed.as_mut().unwrap().commands.push("more".into());
        assert!(!Lineage::of(&made_of(&BEFORE)).unwrap().is_continued_by(&other));
    }

    #[test]
    fn numbers_are_ordered_by_what_they_count() {
        let mut names = ["V10__b.sql", "V9__a.sql", "V010__b.sql", "V2.1", "V2", "a", "20260102", "3"];
        names.sort_by_cached_key(|name| parts(name));
        assert_eq!(names, ["3", "20260102", "V2", "V2.1", "V9__a.sql", "V10__b.sql", "V010__b.sql", "a"]);
    }

    proptest! {
        #[test]
        fn all_that_was_read_stays_what_it_was_where_a_base_continues(
            before in prop::collection::btree_map("[ab]/[0-9]{1,2}", "[xy]", 0..5),
            after in prop::collection::btree_map("[ab]/[0-9]{1,2}", "[xy]", 0..8),
        ) {
            let of = |inputs: &BTreeMap<String, String>| {
                let mut ingredients = made_of(&[]);
                ingredients.seed.as_mut().unwrap().inputs = inputs.clone();
                ingredients
            };
            let lineage = Lineage::of(&of(&before)).unwrap();
            prop_assert!(lineage.is_continued_by(&of(&before)));
            prop_assert_eq!(lineage.files(), before.len());
            if lineage.is_continued_by(&of(&after)) {
                prop_assert!(before.iter().all(|(path, digest)| after.get(path) == Some(digest)));
            }
        }
    }
}
