//! Finds the place of a variable in the text of a file.

use std::cell::OnceCell;

use crate::compose_file::node::Place;

/// The text of a file, by lines.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins, once somebody asks.
    starts: OnceCell<Vec<usize>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), starts: OnceCell::new() }
    }

    /// Returns the place of the `$` before which a scalar has `earlier` others, given where the scalar begins: neither
    /// folding nor quotes take a `$` away. Where an escape stands for it, that is the beginning of the scalar.
    pub(super) fn of_dollar(&self, scalar: &Place, earlier: usize) -> Place {
        self.dollar(scalar, earlier).unwrap_or_else(|| scalar.clone())
    }

    fn dollar(&self, scalar: &Place, earlier: usize) -> Option<Place> {
        let starts = self.starts.get_or_init(|| line_starts(self.text));
        let line = usize::try_from(scalar.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(scalar.column).ok()?.checked_sub(1)?;
        let before: usize = self.text[*starts.get(line)?..].chars().take(column).map(char::len_utf8).sum();
        let begin = starts[line] + before;
        let rest = &self.text[begin..];
        let (from, rest) = match rest.chars().next()? {
            // The line of the `|` may end with a comment.
            '|' | '>' => {
                let content = *starts.get(line + 1)?;
                (content, &self.text[content..])
            }
            '"' => (begin, &rest[..=closing_quote(rest)?]),
            _ => (begin, rest),
        };
        let found = from + rest.match_indices('$').nth(earlier)?.0;
        let line = starts.partition_point(|start| *start <= found);
        let column = self.text[starts[line - 1]..found].chars().count() + 1;
        Some(Place {
            file: scalar.file.clone(),
            line: u32::try_from(line).ok()?,
            column: u32::try_from(column).ok()?,
        })
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let ends_a_line = match byte {
            b'\n' => true,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_a_line {
            starts.push(index + 1);
        }
    }
    starts
}

/// Returns where the quote stands that closes the one at the beginning.
fn closing_quote(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(index),
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    None
}
