//! Says what is wrong with a YAML text in the words of someone who edits the file.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

/// Returns the line, from 1, in which a merge conflict begins that git left in `text`.
pub(super) fn conflict(text: &str) -> Option<usize> {
    let line = text.lines().position(|line| line.starts_with("<<<<<<< "))?;
    text.contains("\n>>>>>>> ").then_some(line + 1)
}

/// Returns what is wrong, as one line that shows no value.
pub(super) fn explain(error: &ScanError) -> String {
    let text = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "a tab stands where YAML takes only spaces",
        ErrorKind::UnclosedQuotedScalar => "this quote is not closed",
        ErrorKind::InvalidQuotedScalarIndent => {
            "a quote of the lines above is not closed, or its text goes on without indentation"
        }
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let code = u32::from(*character);
            return format!(
                "a control character cannot stand in YAML; in double quotes, `\\u{code:04X}` writes it"
            );
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let character = character.escape_debug();
            return format!("a text that begins with `{character}` needs quotes");
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return format!("this `{open}` is not closed");
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return format!("a `{open}` is closed by `{close}`");
        }
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry => {
            "a key or `- ` of the lines above is expected here; is the indentation right?"
        }
        ErrorKind::MappingValueNotAllowed => {
            "a `:` cannot stand here; a text that contains `: ` needs quotes, a nested mapping its own line"
        }
        ErrorKind::InvalidColonPlacement => {
            "a `:` cannot stand here; is a bracket or a quote of the lines above not closed?"
        }
        ErrorKind::MissingAnchorOrAliasName => "a text that begins with `*` or `&` needs quotes",
        ErrorKind::UnknownQuotedScalarEscape => {
            "double quotes do not know this escape; `\\\\` writes a backslash, and single quotes know no escapes"
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "a `:` is expected after this key",
        ErrorKind::RecursionLimitExceeded => "nested too deeply",
        kind => return fragment(&kind.to_string()),
    };
    text.to_owned()
}

/// Returns a message of the parser as one lower-case line without a full stop.
fn fragment(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.trim_end_matches('.');
    match line.split_at_checked(1) {
        Some((first, rest)) if !rest.starts_with(char::is_uppercase) => {
            format!("{}{rest}", first.to_lowercase())
        }
        _ => line.to_owned(),
    }
}
