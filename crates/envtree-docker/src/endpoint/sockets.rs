//! Where Engines usually listen on a machine on which nothing selects one.

use std::path::{Path, PathBuf};

use super::Endpoint;

/// Returns the usual sockets, in the order in which they are tried.
///
/// An Engine for the whole machine comes first, then the person's own: Docker without root, Docker Desktop, `OrbStack`,
/// Colima, Rancher Desktop, and Podman last, since it only speaks like Docker.
pub(super) fn usual_sockets(endpoint: &Endpoint) -> Vec<PathBuf> {
    let below = |dir: &Option<PathBuf>, path: &str| dir.as_ref().map(|dir| dir.join(path));
    let (home, runtime) = (&endpoint.home, &endpoint.runtime_dir);
    let mut sockets = vec![Some(PathBuf::from("/var/run/docker.sock"))];
    sockets.extend([
        below(runtime, "docker.sock"),
        below(home, ".docker/run/docker.sock"),
        below(home, ".docker/desktop/docker.sock"),
        below(home, ".orbstack/run/docker.sock"),
    ]);
    sockets.extend(colima(endpoint).into_iter().map(Some));
    sockets.extend([
        below(home, ".rd/docker.sock"),
        below(runtime, "podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
        below(home, ".local/share/containers/podman/machine/podman.sock"),
        below(&endpoint.temporary_dir, "podman/podman-machine-default-api.sock"),
    ]);
    sockets.into_iter().flatten().collect()
}

/// Returns the sockets of Colima's profiles: the one named `default` first, others as their folders are there.
fn colima(endpoint: &Endpoint) -> Vec<PathBuf> {
    let classic = endpoint.home.as_ref().map(|home| home.join(".colima"));
    let config = endpoint.config_home.clone().or(endpoint.home.as_ref().map(|home| home.join(".config")));
    let folders = match &endpoint.colima_home {
        Some(folder) => vec![folder.clone()],
        None => classic.into_iter().chain(config.map(|config| config.join("colima"))).collect(),
    };
    folders.iter().flat_map(|folder| profiles(folder)).collect()
}

fn profiles(folder: &Path) -> Vec<PathBuf> {
    let first = folder.join("default");
    let mut others: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    others.retain(|profile| *profile != first && profile.join("docker.sock").exists());
    others.sort();
    std::iter::once(first).chain(others).map(|profile| profile.join("docker.sock")).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn usual_sockets_come_in_their_order_with_every_profile_of_colima() {
        let home = tempfile::tempdir().unwrap();
        for profile in ["work", "default", "_lima"] {
            std::fs::create_dir_all(home.path().join(".colima").join(profile)).unwrap();
        }
        std::fs::write(home.path().join(".colima/work/docker.sock"), "").unwrap();
        let endpoint = Endpoint {
            runtime_dir: Some("/run/user/7".into()),
            home: Some(home.path().to_owned()),
            temporary_dir: Some("/tmpdir".into()),
            ..Endpoint::default()
        };
        let shown =
            usual_sockets(&endpoint).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let shown = shown.join("\n").replace(home.path().to_str().unwrap(), "~");
        insta::assert_snapshot!(shown, @"
        /var/run/docker.sock
        /run/user/7/docker.sock
        ~/.docker/run/docker.sock
        ~/.docker/desktop/docker.sock
        ~/.orbstack/run/docker.sock
        ~/.colima/default/docker.sock
        ~/.colima/work/docker.sock
        ~/.config/colima/default/docker.sock
        ~/.rd/docker.sock
        /run/user/7/podman/podman.sock
        /run/podman/podman.sock
        ~/.local/share/containers/podman/machine/podman.sock
        /tmpdir/podman/podman-machine-default-api.sock
        ");
    }

    #[test]
    fn colima_is_where_its_variable_says() {
        let endpoint = Endpoint {
            home: Some("/home/me".into()),
            colima_home: Some("/elsewhere".into()),
            ..Endpoint::default()
        };
        assert_eq!(colima(&endpoint), [PathBuf::from("/elsewhere/default/docker.sock")]);
    }
}
