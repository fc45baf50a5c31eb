//! Finds the dev container configurations of a repository, in the specification's order.

use crate::nearest::nearest;

/// The places of a configuration without a name, in their order.
const UNNAMED: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];
const FOLDER: &str = ".devcontainer/";
const FILE: &str = "/devcontainer.json";

/// A configuration of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Its path, relative to the top of the worktree.
    pub path: String,
    /// The folder below `.devcontainer` that it is called after; nothing for the repository's own.
    pub name: Option<String>,
}

/// No configuration can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// There is none of this name.
    #[error("there is no dev container `{name}`{}", told(.known, .near.as_deref()))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
        /// The name that was most likely meant.
        near: Option<String>,
    },
    /// There are several, all of them with names, and none was asked for.
    #[error("there are several dev containers, and none without a name: {}", listed(.names))]
    Ambiguous {
        /// Their names.
        names: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn told(known: &[String], near: Option<&str>) -> String {
    match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", listed(known)),
    }
}

/// Returns the configurations among the paths of files that exist, relative to the top of the worktree.
///
/// Those without a name come first, as the specification orders them, then the others by their names.
pub fn locate<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<Location> {
    let mut found: Vec<(usize, Location)> = paths.into_iter().filter_map(location).collect();
    found.sort_by(|(rank, one), (other_rank, other)| (rank, &one.path).cmp(&(other_rank, &other.path)));
    found.dedup();
    found.into_iter().map(|(_, location)| location).collect()
}

fn location(path: &str) -> Option<(usize, Location)> {
    let path = path.trim_start_matches("./");
    if let Some(rank) = UNNAMED.iter().position(|known| *known == path) {
        return Some((rank, Location { path: path.to_owned(), name: None }));
    }
    let name = path.strip_prefix(FOLDER)?.strip_suffix(FILE)?;
    let is_folder = !name.is_empty() && !name.contains('/');
    is_folder.then(|| (UNNAMED.len(), Location { path: path.to_owned(), name: Some(name.to_owned()) }))
}

/// Returns the configuration that is meant, of those that [`locate`] found; nothing if there is none at all.
///
/// Without a name it is the first one without a name, or else the only one. A name may also be a path.
pub fn choose<'a>(found: &'a [Location], name: Option<&str>) -> Result<Option<&'a Location>, LocateError> {
    let names = || found.iter().filter_map(|location| location.name.clone()).collect::<Vec<_>>();
    if let Some(name) = name {
        let path = name.trim_start_matches("./");
        let is_meant = |location: &&Location| location.name.as_deref() == Some(name) || location.path == path;
        return found.iter().find(is_meant).map(Some).ok_or_else(|| {
            let known = names();
            let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            LocateError::Unknown { name: name.to_owned(), known, near }
        });
    }
    match found {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        [first, ..] if first.name.is_none() => Ok(Some(first)),
        _ => Err(LocateError::Ambiguous { names: names() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 9] = [
        ".devcontainer/python/devcontainer.json",
        ".devcontainer.json",
        ".devcontainer/go/devcontainer.json",
        "README.md",
        ".devcontainer/devcontainer.json",
        ".devcontainer/go/sub/devcontainer.json",
        ".devcontainer/go/.devcontainer.json",
        "sub/.devcontainer/devcontainer.json",
        "./.devcontainer/go/devcontainer.json",
    ];

    #[test]
    fn every_place_is_found_in_the_order_of_the_specification() {
        let paths: Vec<String> = locate(PATHS).into_iter().map(|location| location.path).collect();
        assert_eq!(
            paths,
            [
                ".devcontainer/devcontainer.json",
                ".devcontainer.json",
                ".devcontainer/go/devcontainer.json",
                ".devcontainer/python/devcontainer.json"
            ]
        );
    }

    fn chosen(paths: &[&str], name: Option<&str>) -> Result<Option<String>, String> {
        let found = locate(paths.iter().copied());
        let chosen = choose(&found, name).map_err(|error| error.to_string())?;
        Ok(chosen.map(|location| location.path.clone()))
    }

    #[test]
    fn without_a_name_the_first_one_without_a_name_is_meant() {
        assert_eq!(chosen(&PATHS, None), Ok(Some(PATHS[4].to_owned())));
        assert_eq!(chosen(&PATHS[..2], None), Ok(Some(PATHS[1].to_owned())));
        assert_eq!(chosen(&PATHS[..1], None), Ok(Some(PATHS[0].to_owned())));
        assert_eq!(chosen(&["README.md"], None), Ok(None));
        let fault = "there are several dev containers, and none without a name: `go`, `python`";
        assert_eq!(chosen(&[PATHS[0], PATHS[2]], None), Err(fault.to_owned()));
    }

    #[test]
    fn a_name_or_a_path_chooses_one() {
        assert_eq!(chosen(&PATHS, Some("go")), Ok(Some(PATHS[2].to_owned())));
        assert_eq!(chosen(&PATHS, Some("./.devcontainer.json")), Ok(Some(PATHS[1].to_owned())));
        let unknown = |paths, name| chosen(paths, Some(name)).unwrap_err();
        assert_eq!(unknown(&PATHS, "pythons"), "there is no dev container `pythons`; did you mean `python`?");
        assert_eq!(unknown(&PATHS, "zig"), "there is no dev container `zig`; there are `go`, `python`");
        assert_eq!(unknown(&PATHS[1..2], "zig"), "there is no dev container `zig`");
    }
}
