//! Absolute paths as texts.

use crate::isolate::is_within;

/// Returns an absolute path without empty parts, `.` and `..`, and nothing if it is not absolute.
pub(super) fn cleaned(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Returns the last part of a path, which is empty for `/`; on Windows a backslash parts too.
pub(super) fn base_name(path: &str, is_windows: bool) -> &str {
    let is_separator = |character: char| character == '/' || (is_windows && character == '\\');
    let trimmed = path.trim_end_matches(is_separator);
    trimmed.rsplit(is_separator).next().unwrap_or_default()
}

/// Returns whether `path` is `folder` or lies in it; both are clean.
pub(super) fn lies_in(path: &str, folder: &str) -> bool {
    folder == "/" || is_within(path, folder)
}

/// Returns `path` from the root of the file system on where it is relative to `folder`.
pub(super) fn joined(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') { cleaned(path) } else { cleaned(&format!("{folder}/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_path_names_every_folder_once() {
        for (path, clean) in [("/", "/"), ("/a//b/", "/a/b"), ("/a/./../b", "/b"), ("/..", "/")] {
            assert_eq!(cleaned(path).as_deref(), Some(clean), "{path}");
        }
        assert_eq!(cleaned("a"), None);
        assert_eq!(joined("/a/b", "../c").as_deref(), Some("/a/c"));
        assert_eq!(joined("/a/b", "/c").as_deref(), Some("/c"));
    }

    #[test]
    fn the_last_part_of_a_path_is_its_name() {
        assert_eq!(base_name("/src/shop/", false), "shop");
        assert_eq!(base_name("/", false), "");
        assert_eq!(base_name(r"C:\src\shop", true), "shop");
        assert_eq!(base_name(r"C:\src\shop", false), r"C:\src\shop");
    }

    #[test]
    fn everything_lies_in_the_root() {
        assert!(lies_in("/a", "/") && lies_in("/a/b", "/a") && lies_in("/a", "/a"));
        assert!(!lies_in("/ab", "/a"));
    }
}
