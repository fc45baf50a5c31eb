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
    }
}
