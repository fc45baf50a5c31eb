//! Paths as text: joined and cleaned without a look at any file system.

use super::LowerOptions;

/// Returns `path` as an absolute path of the host, or nothing if it begins with `~` and there is no home.
pub(super) fn resolved(path: &str, options: &LowerOptions<'_>) -> Option<String> {
    let absolute = if path == "~" || path.starts_with("~/") {
        format!("{}/{}", options.home?, &path[1..])
    } else if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", options.working_dir)
    };
    Some(cleaned(&absolute))
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
    fn a_path_is_cleaned() {
        assert_eq!(cleaned("/a//b/./c/../d/"), "/a/b/d");
        assert_eq!(cleaned("/../.."), "/");
    }
}
