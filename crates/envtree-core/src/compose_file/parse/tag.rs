//! What the tag of a node means.

use serde_yaml::granit_parser::Tag;

use crate::compose_file::node::MergeTag;

/// Returns what a merge does with a node of this tag.
pub(super) fn merge_tag(tag: &Tag) -> Option<MergeTag> {
    if names(tag, "!reset") {
        Some(MergeTag::Reset)
    } else if names(tag, "!override") {
        Some(MergeTag::Override)
    } else {
        None
    }
}

/// Returns whether the tag is the bare `!`, which says: not a number, not a boolean.
pub(super) fn is_non_specific(tag: &Tag) -> bool {
    names(tag, "!")
}

/// Returns whether the tag is one of an application: `!reset`, or one that Compose passes over.
pub(super) fn is_local(tag: &Tag) -> bool {
    tag.handle() == "!" && !tag.suffix().is_empty()
}

/// Returns whether the tag's full name is `name`.
pub(super) fn names(tag: &Tag, name: &str) -> bool {
    name.strip_prefix(tag.handle()) == Some(tag.suffix())
}
