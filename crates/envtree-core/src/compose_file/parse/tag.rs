//! What the tag of a node means.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_yaml::granit_parser::Tag;

use crate::compose_file::node::{MergeTag, Value};
use crate::compose_file::scalar::{integer, plain_value};
use crate::compose_file::timestamp::time_text;

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

/// Returns what a scalar with a tag of YAML's own, such as `!!str`, is; nothing if the tag means nothing here.
///
/// The message of an error says which value is expected.
pub(super) fn tagged_value(text: &str, tag: &Tag, is_compose: bool) -> Result<Option<Value>, String> {
    let unfit = |wanted: &str| format!("this is no value for `!!{wanted}`");
    let value = match (tag.core_suffix(), plain_value(text)) {
        (Some("str"), _) => Value::Text(text.to_owned()),
        (Some("int"), Value::Number(text)) if is_compose && is_fraction(&text) => return Err(unfit("int")),
        (Some("float"), Value::Number(text)) => {
            Value::Number(integer(&text).filter(|_| is_compose).map_or(text, |whole| format!("{whole}.0")))
        }
        (Some("null"), value @ Value::Null)
        | (Some("bool"), value @ Value::Bool(_))
        | (Some("int"), value @ Value::Number(_)) => value,
        (Some(wanted), _) => return Err(unfit(wanted)),
        (None, _) if !is_compose => return Ok(None),
        (None, _) if names(tag, "tag:yaml.org,2002:timestamp") => {
            Value::Text(time_text(text).ok_or_else(|| unfit("timestamp"))?)
        }
        (None, _) if names(tag, "tag:yaml.org,2002:binary") => {
            Value::Text(binary(text).ok_or_else(|| unfit("binary"))?)
        }
        (None, _) => Value::Text(text.to_owned()),
    };
    Ok(Some(value))
}

fn is_fraction(number: &str) -> bool {
    integer(number).is_none() && number.contains(['.', 'e', 'E'])
}

/// Returns the text that Base64 stands for; what is no UTF-8 is replaced.
fn binary(text: &str) -> Option<String> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let text = text.replace(['\n', '\r'], "");
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(text).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
