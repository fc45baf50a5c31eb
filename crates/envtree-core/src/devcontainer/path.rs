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
}
