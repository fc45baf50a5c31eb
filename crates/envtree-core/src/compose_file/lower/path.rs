//! Paths as text: joined and cleaned without a look at any file system.

use super::LowerOptions;

/// Returns `path` as an absolute path of the host, or nothing if it begins with `~` and there is no home.
pub(super) fn resolved(path: &str, options: &LowerOptions<'_>) -> Option<String> {
    let absolute = if let Some(rest) = path.strip_prefix('~') {
        format!("{}/{rest}", options.home?)
    } else if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", options.working_dir)
    };
    Some(cleaned(&absolute))
}

/// Returns `path` as [`resolved`] does, but one that is absolute on Windows as it is: the Engine may run there.
pub(super) fn resolved_anywhere(path: &str, options: &LowerOptions<'_>) -> Option<String> {
    if is_of_windows(path) { Some(path.to_owned()) } else { resolved(path, options) }
}

/// Returns whether `path` is absolute on Windows: `C:\…`, `\\server\share\…`.
pub(in crate::compose_file) fn is_of_windows(path: &str) -> bool {
    let is_slash = |letter: char| matches!(letter, '/' | '\\');
    if let Some(share) = path.strip_prefix("\\\\") {
        return !share.starts_with(['.', '/', '\\']) && share.split(is_slash).count() > 2;
    }
    let mut letters = path.chars();
    letters.next().is_some_and(|drive| drive.is_ascii_alphabetic())
        && letters.next() == Some(':')
        && letters.next().is_some_and(is_slash)
}

/// Splits the short form of a mount at its colons. As Compose has it, one after a single letter is that of a drive on Windows.
pub(in crate::compose_file) fn mount_parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(':') {
        let part = &text[start..at];
        if part.len() != 1 || !part.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Returns an absolute path without `.`, `..` and doubled or trailing slashes.
pub(in crate::compose_file) fn cleaned(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Returns a relative path without `.`, doubled or trailing slashes, and `..` behind a folder.
pub(super) fn cleaned_relative(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_windows_are_known() {
        for (path, expected) in [
            (r"C:\src", true),
            ("c:/", true),
            (r"\\server\share\x", true),
            (r"\\server\share", false),
            (r"\\.\pipe\docker", false),
            ("c:src", false),
            ("/c:/x", false),
            (r".\src", false),
        ] {
            assert_eq!(is_of_windows(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_is_cleaned() {
        assert_eq!(cleaned("/a//b/./c/../d/"), "/a/b/d");
        assert_eq!(cleaned("/../.."), "/");
        assert_eq!(cleaned_relative("./a//b/../c/"), "a/c");
        assert_eq!((cleaned_relative("../../x"), cleaned_relative("./")), ("../../x".into(), ".".into()));
    }
}
