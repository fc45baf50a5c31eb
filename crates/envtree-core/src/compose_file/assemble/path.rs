//! Paths as text, as Compose joins them.

use crate::compose_file::lower::path::{cleaned, is_of_windows};

/// Returns `path` joined to the folder `base`, which is absolute or one of the home, without `.` and `..`; absolute
/// paths and those of the home stay as they are.
pub(super) fn joined(base: &str, path: &str) -> String {
    if path.starts_with(['/', '~']) || is_of_windows(path) {
        return path.to_owned();
    }
    let path = cleaned(&format!("/{base}/{path}"));
    if base.starts_with('~') { path[1..].to_owned() } else { path }
}

/// Returns the folder of an absolute path.
pub(super) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_joined_and_cleaned() {
        assert_eq!(joined("/a/b", "./c/../d"), "/a/b/d");
        assert_eq!(joined("/a", "../../x"), "/x");
        assert_eq!(joined("/a", "/x/"), "/x/");
        assert_eq!(joined("/a", "~/x"), "~/x");
        assert_eq!(joined("~/q", "./x/../y"), "~/q/y");
        assert_eq!(joined("/a", r"C:\x"), r"C:\x");
        assert_eq!((folder("/a/b"), folder("/a")), ("/a", "/"));
    }
}
