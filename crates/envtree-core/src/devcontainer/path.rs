//! Absolute paths as texts.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_path_names_every_folder_once() {
        for (path, clean) in [("/", "/"), ("/a//b/", "/a/b"), ("/a/./../b", "/b"), ("/..", "/")] {
            assert_eq!(cleaned(path).as_deref(), Some(clean), "{path}");
        }
        assert_eq!(cleaned("a"), None);
    }

    #[test]
    fn the_last_part_of_a_path_is_its_name() {
        assert_eq!(base_name("/src/shop/", false), "shop");
        assert_eq!(base_name("/", false), "");
        assert_eq!(base_name(r"C:\src\shop", true), "shop");
        assert_eq!(base_name(r"C:\src\shop", false), r"C:\src\shop");
    }
}
