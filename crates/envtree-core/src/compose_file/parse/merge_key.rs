//! Keys that mean the same entry: `<<`, doubles, and `!reset` beside a value.

use indexmap::IndexMap;

use crate::compose_file::node::{Diagnostic, Entry, MergeTag, Node, Place, Value};

/// Adds what `<<` names to `entries`; keys that are written out win, and an earlier mapping wins over a later one.
pub(super) fn merge_into(
    entries: &mut IndexMap<String, Entry>,
    key_place: &Place,
    node: Node,
) -> Result<(), Diagnostic> {
    let sources = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    for source in sources {
        let Value::Map(inherited) = source.value else {
            return Err(Diagnostic {
                place: key_place.clone(),
                message: format!("`<<` takes a mapping or a list of mappings, not {}", source.kind()),
            });
        };
        for (key, entry) in inherited {
            match entries.get_mut(&key) {
                Some(own) => *own = reset_twin(own, &entry).unwrap_or_else(|| own.clone()),
                None => {
                    entries.insert(key, entry);
                }
            }
        }
    }
    Ok(())
}

/// Returns what two entries of one key mean where one of them says `!reset`: the other one, which earlier files do not
/// add to. `!reset` means those files alone, not the mapping that it stands in.
pub(super) fn reset_twin(one: &Entry, other: &Entry) -> Option<Entry> {
    let is_reset = |entry: &Entry| entry.node.tag == Some(MergeTag::Reset);
    let kept = match (is_reset(one), is_reset(other)) {
        (true, _) => other,
        (false, true) => one,
        (false, false) => return None,
    };
    let mut kept = kept.clone();
    kept.node.tag = kept.node.tag.or(Some(MergeTag::Override));
    Some(kept)
}

pub(super) fn duplicate(place: Place, key: &str, first: &Place) -> Diagnostic {
    let message = if key == "<<" {
        format!("`<<` is already in line {}; name both in one list: `<<: [*a, *b]`", first.line)
    } else {
        format!("the key `{key}` is already in line {} of this mapping", first.line)
    };
    Diagnostic { place, message }
}
