//! Finds the managed block in the text of an env file, and puts another in its place.

use std::ops::Range;

/// The line that begins the block.
pub(super) const BEGIN: &str = "# >>> envtree >>>";
/// The line that ends the block.
pub(super) const END: &str = "# <<< envtree <<<";
const NOTICE: &str = "# Managed by envtree: what stands between these two lines is replaced.";

/// What is wrong with the markers of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkerFault {
    /// The block has no end.
    #[error("`{BEGIN}` without a `{END}` after it")]
    Unclosed,
    /// The block has no beginning.
    #[error("`{END}` without a `{BEGIN}` before it")]
    Unopened,
    /// There are two blocks.
    #[error("a second `{BEGIN}`")]
    Repeated,
}

/// Returns the bytes of the block, or the fault and the number of its line.
///
/// What somebody appended to the line of a marker counts as the line after it: behind the begin it belongs to the block,
/// behind the end it does not.
pub(super) fn locate(text: &str) -> Result<Option<Range<usize>>, (usize, MarkerFault)> {
    let mut begun = None;
    let mut found = None;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let mark = if index == 0 { byte_order_mark(text) } else { 0 };
        let content = &line[mark..];
        if content.starts_with(BEGIN) {
            if begun.is_some() || found.is_some() {
                return Err((number, MarkerFault::Repeated));
            }
            begun = Some((number, offset + mark));
        } else if let Some(rest) = content.strip_prefix(END) {
            let Some((_, start)) = begun.take() else { return Err((number, MarkerFault::Unopened)) };
            let own = if rest.trim().is_empty() { line.len() } else { mark + END.len() };
            found = Some(start..offset + own);
        }
        offset += line.len();
    }
    match begun {
        Some((number, _)) => Err((number, MarkerFault::Unclosed)),
        None => Ok(found),
    }
}

fn byte_order_mark(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

/// Returns `text` with a block of `lines` in the place of `block`, or at the end.
pub(super) fn replace(text: &str, block: Option<Range<usize>>, lines: &str) -> String {
    let block = block.unwrap_or(text.len()..text.len());
    let (before, after) = (&text[..block.start], &text[block.end..]);
    let line_end = line_end_of(before).or_else(|| line_end_of(after)).unwrap_or("\n");
    let body = format!("{BEGIN}\n{NOTICE}\n{lines}{END}").replace('\n', line_end);
    let is_line_open = before.len() > byte_order_mark(before) && !before.ends_with('\n');
    // The block always ends its line, so that what a shell appends to the file does not end up in it.
    format!("{before}{}{body}{line_end}{after}", if is_line_open { line_end } else { "" })
}

fn line_end_of(text: &str) -> Option<&'static str> {
    let end = text.find('\n')?;
    Some(if text[..end].ends_with('\r') { "\r\n" } else { "\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_around_the_block_comes_back() {
        let texts =
            ["", "A=1", "A=1\n", "A=1\r\nB=2\r\n", "A=1\r\nB=2", "\n\nA=1\n\n", "\u{feff}", "\u{feff}A=1\n"];
        for text in texts {
            let once = replace(text, locate(text).unwrap(), "X=1\n");
            let block = locate(&once).unwrap().expect("a block was written");
            let twice = replace(&once, Some(block.clone()), "X=1\n");
            assert_eq!(once, twice, "{text:?}");
            let around = format!("{}{}", &once[..block.start], &once[block.end..]);
            // Only a line that had no end has one now.
            assert_eq!(around.trim_end_matches(['\r', '\n']), text.trim_end_matches(['\r', '\n']));
            assert!(around == text || !text.ends_with('\n'), "{text:?}");
            assert!(once.ends_with('\n'), "{text:?}");
        }
    }

    #[test]
    fn what_was_appended_to_the_end_marker_is_kept_as_a_line_of_its_own() {
        let text = format!("A=1\n{BEGIN}\nold\n{END}Z=2\n");
        let new = replace(&text, locate(&text).unwrap(), "X=1\n");
        assert_eq!(new, format!("A=1\n{BEGIN}\n{NOTICE}\nX=1\n{END}\nZ=2\n"));
    }

    #[test]
    fn what_was_appended_to_the_begin_marker_belongs_to_the_block() {
        let text = format!("A=1\n{BEGIN}Z=2\nold\n{END}\nB=2\n");
        let new = replace(&text, locate(&text).unwrap(), "X=1\n");
        assert_eq!(new, format!("A=1\n{BEGIN}\n{NOTICE}\nX=1\n{END}\nB=2\n"));
    }

    #[test]
    fn a_block_between_foreign_lines_stays_there() {
        let text = format!("A=1\n{BEGIN}\nold\n{END}  \nB=2");
        let new = replace(&text, locate(&text).unwrap(), "X=1\n");
        assert_eq!(new, format!("A=1\n{BEGIN}\n{NOTICE}\nX=1\n{END}\nB=2"));
    }

    #[test]
    fn the_line_ends_of_the_block_are_those_of_the_file() {
        let new = replace("A=1\r\n", None, "X=1\n");
        assert_eq!(new, format!("A=1\r\n{BEGIN}\r\n{NOTICE}\r\nX=1\r\n{END}\r\n"));
    }

    #[test]
    fn faulty_markers_are_named_with_their_line() {
        let fault = |text: String| locate(&text).unwrap_err();
        assert_eq!(fault(format!("A=1\n{BEGIN}\nB=2\n")), (2, MarkerFault::Unclosed));
        assert_eq!(fault(format!("{END}\n")), (1, MarkerFault::Unopened));
        assert_eq!(fault(format!("{BEGIN}\n{BEGIN}\n{END}\n")), (2, MarkerFault::Repeated));
        let two = format!("{BEGIN}\n{END}\n{BEGIN}\n{END}\n");
        assert_eq!(fault(two), (3, MarkerFault::Repeated));
    }
}
