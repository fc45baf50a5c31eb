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
}

/// Returns a complaint for every path that an Engine on the machine `engine` cannot mount.
///
/// The Engine would make an empty folder of its own there, and the service would run without its files.
pub fn refuse_host_paths(paths: &[HostPath], engine: &str) -> Vec<Diagnostic> {
    let is_local = |path: &&HostPath| !OF_EVERY_MACHINE.iter().any(|folder| is_within(&path.path, folder));
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
    fn what_every_machine_has_may_be_mounted_from_anywhere() {
        let path = |path: &str| HostPath {
            owner: "service `web`: ".into(),
            path: path.into(),
            place: Place { file: "compose.yaml".into(), line: 4, column: 7 },
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
