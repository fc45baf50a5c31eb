//! `!reset` and `!override`: what a file takes away from those before it.

use indexmap::IndexMap;

use crate::compose_file::node::{Entry, MergeTag, Node, Value};

/// The tagged values of a file; what is tagged within a tagged value does not matter.
#[derive(Debug, Default)]
pub struct Tags {
    is_tagged: bool,
    within: IndexMap<String, Tags>,
}

impl Tags {
    /// Takes the tags off `node`: what `!reset` marks is gone, what `!override` marks stands as it is.
    pub fn take(node: &mut Node) -> Self {
        let tags = Self::of(node);
        let place = node.place.clone();
        let tagged = std::mem::replace(node, Node { place, tag: None, value: Value::Null });
        if let Some(untagged) = without_tags(tagged) {
            *node = untagged;
        }
        tags
    }

    /// Returns the tags within the value of `key`.
    pub fn within(&self, key: &str) -> Option<&Self> {
        self.within.get(key)
    }

    /// Removes what stands in `node` where this file has a tagged value.
    ///
    /// As in Compose, nothing within a list is found.
    pub fn clear(&self, node: &mut Node) {
        let Value::Map(entries) = &mut node.value else { return };
        for (key, tags) in &self.within {
            if tags.is_tagged {
                entries.shift_remove(key);
            } else if let Some(entry) = entries.get_mut(key) {
                tags.clear(&mut entry.node);
            }
        }
    }

    fn of(node: &Node) -> Self {
        let mut tags = Self { is_tagged: node.tag.is_some(), within: IndexMap::new() };
        if let (Value::Map(entries), false) = (&node.value, tags.is_tagged) {
            let within = entries.iter().map(|(key, entry)| (key, Self::of(&entry.node)));
            let within = within.filter(|(_, tags)| tags.is_tagged || !tags.within.is_empty());
            tags.within = within.map(|(key, tags)| (key.clone(), tags)).collect();
        }
        tags
    }
}

fn without_tags(node: Node) -> Option<Node> {
    if node.tag == Some(MergeTag::Reset) {
        return None;
    }
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().filter_map(without_tags).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .filter_map(|(key, entry)| {
                    let node = without_tags(entry.node)?;
                    Some((key, Entry { node, ..entry }))
                })
                .collect(),
        ),
        value => value,
    };
    Some(Node { place: node.place, tag: None, value })
}
