//! What of a project needs files of the person's machine, which an Engine on another machine does not have.

use crate::compose_file::node::{Diagnostic, Place};
use crate::isolate::is_within;

/// What every machine with an Engine has of its own, and a service means when it mounts it.
const OF_EVERY_MACHINE: [&str; 9] = [
    "/dev",
    "/etc/localtime",
    "/etc/timezone",
    "/lib/modules",
    "/proc",
    "/run/docker.sock",
    "/sys",
    "/var/lib/docker",
    "/var/run/docker.sock",
];

/// A path of the host that a service mounts, or that a volume stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    /// The service or the volume, such as ``service `web`: ``.
    pub owner: String,
    /// The absolute path.
    pub path: String,
    /// Where the file says so.
    pub place: Place,
    /// Whether the Engine makes it where it is missing.
    pub is_made: bool,
}

/// Returns whether every machine with an Engine has the path of its own.
pub fn is_of_every_machine(path: &str) -> bool {
    OF_EVERY_MACHINE.iter().any(|folder| is_within(path, folder))
}

/// Returns a complaint for every path that a service cannot be started without, and that `is_there` denies; `advice`
/// returns what the complaint about a path is to say in the end.
pub fn refuse_missing_paths(
    paths: &[HostPath],
    is_there: impl Fn(&str) -> bool,
    advice: impl Fn(&str) -> String,
) -> Vec<Diagnostic> {
    let is_missing = |path: &&HostPath| !path.is_made && !is_there(&path.path);
    let complaint = |path: &HostPath| Diagnostic {
        place: path.place.clone(),
        message: format!(
            "{}cannot mount `{}`: there is no such file or folder{}",
            path.owner,
            path.path,
            advice(&path.path)
        ),
    };
    paths.iter().filter(is_missing).map(complaint).collect()
}

/// Returns where the relative path that leads from the folder `from` to `path` leads from `other`; all are absolute.
///
/// Nothing if `path` lies in `from`, or has no folder in common with it: nobody writes such a path relative to it.
pub fn seen_from(other: &str, from: &str, path: &str) -> Option<String> {
    let parts = |path: &str| -> Option<Vec<String>> {
        let parts = path.strip_prefix('/')?.split('/').filter(|part| !part.is_empty());
        Some(parts.map(str::to_owned).collect())
    };
    let (mut other, from, path) = (parts(other)?, parts(from)?, parts(path)?);
    let common = from.iter().zip(&path).take_while(|(one, two)| one == two).count();
    if common == 0 || common == from.len() {
        return None;
    }
    other.truncate(other.len().saturating_sub(from.len() - common));
    other.extend_from_slice(&path[common..]);
    Some(format!("/{}", other.join("/")))
}

/// Returns a warning for every folder that the Engine makes, empty, because `is_there` denies it.
pub fn warnings_of_made_paths(paths: &[HostPath], is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let is_made =
        |path: &&HostPath| path.is_made && !is_of_every_machine(&path.path) && !is_there(&path.path);
    let warning = |path: &HostPath| {
        format!(
            "{}: {}there is nothing at `{}`, so the Engine makes an empty folder there",
            path.place, path.owner, path.path
        )
    };
    paths.iter().filter(is_made).map(warning).collect()
}

/// Returns a complaint for every path that an Engine on the machine `engine` cannot mount.
///
/// The Engine would make an empty folder of its own there, and the service would run without its files.
pub fn refuse_host_paths(paths: &[HostPath], engine: &str) -> Vec<Diagnostic> {
    let is_local = |path: &&HostPath| !is_of_every_machine(&path.path);
    let complaint = |path: &HostPath| Diagnostic {
        place: path.place.clone(),
        message: format!(
            "{}cannot mount `{}` of this machine, because the Engine runs on `{engine}`; use a named volume, or an Engine on this machine",
            path.owner, path.path
        ),
    };
    paths.iter().filter(is_local).map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_outside_is_seen_from_another_folder() {
        let from = |path: &str| seen_from("/src/mono", "/src/mono.worktrees/fix", path);
        assert_eq!(from("/src/mono.worktrees/libs/a").as_deref(), Some("/src/libs/a"));
        assert_eq!(from("/src/libs").as_deref(), Some("/libs"));
        assert_eq!(from("/src/mono.worktrees").as_deref(), Some("/src"));
        assert_eq!(seen_from("/mono", "/a/b/fix", "/a/libs").as_deref(), Some("/libs"));
        for path in ["/src/mono.worktrees/fix", "/src/mono.worktrees/fix/libs", "/srv/libs", r"C:\libs"] {
            assert_eq!(from(path), None, "{path}");
        }
    }

    #[test]
    fn what_every_machine_has_may_be_mounted_from_anywhere() {
        let path = |path: &str| HostPath {
            owner: "service `web`: ".into(),
            path: path.into(),
            place: Place { file: "compose.yaml".into(), line: 4, column: 7 },
            is_made: true,
        };
        let paths = ["/var/run/docker.sock", "/proc", "/dev/kvm", "/src/shop", "/devices"].map(path);
        let complaints: Vec<String> =
            refuse_host_paths(&paths, "build").iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(complaints.join("\n"), @"
        compose.yaml:4:7: service `web`: cannot mount `/src/shop` of this machine, because the Engine runs on `build`; use a named volume, or an Engine on this machine
        compose.yaml:4:7: service `web`: cannot mount `/devices` of this machine, because the Engine runs on `build`; use a named volume, or an Engine on this machine
        ");
    }
}
