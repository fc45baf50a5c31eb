//! Turns the bytes of a file into text: UTF-8, or UTF-16 where the file begins with its mark.

use std::string::FromUtf8Error;
use std::sync::Arc;

use envtree_core::compose_file::node::{Diagnostic, Place};

/// What UTF-8 begins with where an editor marks it.
const MARK: char = '\u{feff}';

/// Returns the text of a file without a byte order mark; `file` is named in the error.
pub(super) fn decode(file: &str, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    match decode_with_gaps(file, bytes) {
        (text, None) => Ok(text),
        (_, Some(gap)) => Err(gap),
    }
}

/// Returns the text of a file without a byte order mark, with `\u{fffd}` for what is no text, and where the first of it
/// stands.
pub(super) fn decode_with_gaps(file: &str, bytes: Vec<u8>) -> (String, Option<Diagnostic>) {
    match bytes.get(..2) {
        Some([0xff, 0xfe]) => return utf16(file, &bytes[2..], u16::from_le_bytes),
        Some([0xfe, 0xff]) => return utf16(file, &bytes[2..], u16::from_be_bytes),
        _ => {}
    }
    let (text, gap) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(not_utf8(file, &error))),
    };
    (text.strip_prefix(MARK).map(str::to_owned).unwrap_or(text), gap)
}

/// Says where the bytes of a file are not UTF-8.
pub(crate) fn not_utf8(file: &str, error: &FromUtf8Error) -> Diagnostic {
    let at = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
    let byte = error.as_bytes()[at];
    let message = format!("the byte 0x{byte:02x} is not UTF-8, in which the file must be; save it as UTF-8");
    Diagnostic { place: place(file, &before), message }
}

fn utf16(file: &str, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, Option<Diagnostic>) {
    let units = bytes.chunks(2).map(|pair| match pair {
        [first, second] => unit([*first, *second]),
        // Half a unit at the end is no text, as a surrogate without its other half is none.
        _ => 0xd800,
    });
    let mut gap = None;
    let mut text = String::with_capacity(bytes.len() / 2);
    for letter in char::decode_utf16(units) {
        text.push(letter.unwrap_or_else(|_| {
            gap.get_or_insert_with(|| Diagnostic {
                place: place(file, &text),
                message: "this is not UTF-16, as which the file is marked; save it as UTF-8".into(),
            });
            char::REPLACEMENT_CHARACTER
        }));
    }
    (text, gap)
}

/// Returns the place after the text `before`.
fn place(file: &str, before: &str) -> Place {
    let last = before.rsplit('\n').next().unwrap_or_default();
    let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    Place {
        file: Arc::from(file),
        line: number(before.matches('\n').count()),
        column: number(last.trim_start_matches(MARK).chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_the_encoding() {
        assert_eq!(decode("a", b"\xef\xbb\xbfa: \xc3\xa4".to_vec()).unwrap(), "a: ä");
        assert_eq!(decode("a", b"\xff\xfea\0\xe4\0".to_vec()).unwrap(), "aä");
        assert_eq!(decode("a", b"\xfe\xff\0a\0\xe4".to_vec()).unwrap(), "aä");
    }

    #[test]
    fn what_is_no_text_has_a_place() {
        let said = |bytes: &[u8]| decode("a", bytes.to_vec()).unwrap_err().to_string();
        insta::assert_snapshot!(said(b"\xef\xbb\xbf\xe9"), @"a:1:1: the byte 0xe9 is not UTF-8, in which the file must be; save it as UTF-8");
        insta::assert_snapshot!(said(b"x\n\xc3\xa4 \xc3"), @"a:2:3: the byte 0xc3 is not UTF-8, in which the file must be; save it as UTF-8");
        insta::assert_snapshot!(said(b"\xff\xfea\0\n\0b\0\0\xd8c\0"), @"a:2:2: this is not UTF-16, as which the file is marked; save it as UTF-8");
        insta::assert_snapshot!(said(b"\xff\xfea\0b"), @"a:1:2: this is not UTF-16, as which the file is marked; save it as UTF-8");
    }
}
