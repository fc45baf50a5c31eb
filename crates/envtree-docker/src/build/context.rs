//! The files of a build context: what lies in a folder, less what is left out.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::pattern::{Covered, Patterns};

/// A file, folder or symbolic link of a context. Sockets, pipes and devices are no part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path below the context, with slashes.
    pub(super) path: String,
    /// What it is.
    pub(super) kind: Kind,
    /// The permission bits, those of set-user-id and its like included.
    pub(super) mode: u32,
    /// When it was changed last.
    pub(super) modified: SystemTime,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        size: u64,
    },
    Folder,
    /// The target as it is written, with slashes.
    Link {
        target: String,
    },
}

/// A part of a context could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}` of the build context", path.display())]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// What of a folder is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Only this, and the folders above it; everything if there is no pattern.
    pub(super) include: Patterns,
    /// Not this.
    pub(super) exclude: Patterns,
}

/// Calls `visit` for every wanted entry of `root`, folders before what lies in them, names in the order of their bytes.
///
/// `visit` returns whether to go on.
pub(super) fn walk(
    root: &Path,
    filter: &Filter,
    visit: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), Unreadable> {
    let mut walk = Walk { filter, visit, pending: Vec::new() };
    walk.folder(root, "", &Covered::default(), &Covered::default()).map(|_| ())
}

struct Walk<'a> {
    filter: &'a Filter,
    visit: &'a mut dyn FnMut(Entry) -> bool,
    /// Folders that are visited once something in them is wanted.
    pending: Vec<Entry>,
}

impl Walk<'_> {
    /// Returns whether to go on.
    fn folder(
        &mut self,
        folder: &Path,
        below: &str,
        included: &Covered,
        excluded: &Covered,
    ) -> Result<bool, Unreadable> {
        let unreadable = |source| Unreadable { path: folder.to_owned(), source };
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let mut entries = entries.map_err(unreadable)?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let source = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(Unreadable { path, source });
            };
            let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
            if !self.entry(&path, &relative, included, excluded)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn entry(
        &mut self,
        path: &Path,
        relative: &str,
        included: &Covered,
        excluded: &Covered,
    ) -> Result<bool, Unreadable> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(source) => return Err(Unreadable { path: path.to_owned(), source }),
        };
        let (is_included, included) = self.filter.include.covers(relative, included);
        let (is_excluded, excluded) = self.filter.exclude.covers(relative, excluded);
        let is_included = is_included || self.filter.include.is_empty();
        let is_wanted = is_included && !is_excluded;
        let is_entered = metadata.is_dir()
            && (is_included || self.filter.include.may_cover_below(relative))
            && (!is_excluded || self.filter.exclude.may_take_back_below(relative));
        if !is_wanted && !is_entered {
            return Ok(true);
        }
        let Some(entry) = describe(path, relative.to_owned(), &metadata)? else {
            return Ok(true);
        };
        let depth = self.pending.len();
        if !is_wanted {
            self.pending.push(entry);
        } else if !self.visit_with_parents(entry) {
            return Ok(false);
        }
        if !is_entered {
            return Ok(true);
        }
        let goes_on = self.folder(path, relative, &included, &excluded);
        self.pending.truncate(depth);
        match goes_on {
            // Nobody asked for what lies in it.
            Err(error)
                if !is_wanted
                    && error.source.kind() == io::ErrorKind::PermissionDenied
                    && error.path == path =>
            {
                Ok(true)
            }
            goes_on => goes_on,
        }
    }

    fn visit_with_parents(&mut self, entry: Entry) -> bool {
        std::mem::take(&mut self.pending).into_iter().all(|parent| (self.visit)(parent))
            && (self.visit)(entry)
    }
}

fn describe(path: &Path, relative: String, metadata: &Metadata) -> Result<Option<Entry>, Unreadable> {
    let kind = if metadata.is_dir() {
        Kind::Folder
    } else if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(|source| Unreadable { path: path.to_owned(), source })?;
        Kind::Link { target: with_slashes(&target) }
    } else if metadata.is_file() {
        Kind::File { size: metadata.len() }
    } else {
        return Ok(None);
    };
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(Entry { path: relative, mode: mode(metadata), kind, modified }))
}

fn with_slashes(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    if cfg!(windows) { text.replace('\\', "/") } else { text }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

/// Windows has no such bits; everything may be run, as Docker has it.
#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0o755
}

/// Returns the patterns that keep `paths` of `root`, which may have wildcards, and what symbolic links among them lead
/// to, however far.
pub(super) fn followed(root: &Path, paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        follow(root, path, &mut found);
    }
    // A path that is the context itself wants everything.
    if found.iter().any(|path| path == ".") { Vec::new() } else { found }
}

fn follow(root: &Path, path: &str, found: &mut Vec<String>) {
    let cleaned = super::pattern::clean(&format!("/{path}"));
    let parts: Vec<&str> = cleaned.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        found.push(".".to_owned());
        return;
    }
    let mut current = String::new();
    for (position, part) in parts.iter().enumerate() {
        let folder = current.clone();
        current = join(&folder, part);
        let is_last = position + 1 == parts.len();
        let targets = link_targets(root, &folder, part);
        if (is_last || !targets.is_empty()) && found.contains(&current) {
            return;
        }
        if is_last || !targets.is_empty() {
            found.push(current.clone());
        }
        let rest = parts[position + 1..].join("/");
        for target in &targets {
            follow(root, &join(target, &rest), found);
        }
        if !targets.is_empty() && !part.contains(['*', '?', '[']) {
            return;
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Returns where the symbolic links that `name` describes in `folder` lead, as paths below the context.
fn link_targets(root: &Path, folder: &str, name: &str) -> Vec<String> {
    let names: Vec<String> = if name.contains(['*', '?', '[']) {
        let Ok(pattern) = Patterns::parse(&[name]) else { return Vec::new() };
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| pattern.covers(name, &Covered::default()).0).collect()
    } else {
        vec![name.to_owned()]
    };
    let targets = names.iter().filter_map(|name| fs::read_link(root.join(folder).join(name)).ok());
    targets
        .map(|target| {
            let target = with_slashes(&target);
            if target.starts_with('/') { target } else { join(folder, &target) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn paths(root: &Path, include: &[&str], exclude: &[&str]) -> Vec<String> {
        let parse = |patterns: &[&str]| Patterns::parse(patterns).unwrap();
        let mut paths = Vec::new();
        walk(root, &Filter { include: parse(include), exclude: parse(exclude) }, &mut |entry| {
            paths.push(entry.path);
            true
        })
        .unwrap();
        paths
    }

    #[test]
    fn entries_come_in_order_and_folders_first() {
        let root = folder(&["a/x", "a.b", "a/c/d", "B"]);
        assert_eq!(paths(root.path(), &[], &[]), ["B", "a", "a/c", "a/c/d", "a/x", "a.b"]);
    }

    #[test]
    fn a_folder_is_left_out_unless_something_in_it_is_wanted() {
        let root = folder(&["src/main.rs", "src/bin/a.rs", "target/x", "README.md"]);
        assert_eq!(paths(root.path(), &[], &["*", "!src/bin"]), ["src", "src/bin", "src/bin/a.rs"]);
        assert_eq!(paths(root.path(), &["src/main.rs"], &[]), ["src", "src/main.rs"]);
        assert_eq!(paths(root.path(), &["**/*.rs"], &["src/bin"]), ["src", "src/main.rs"]);
    }

    #[test]
    fn links_are_kept_and_followed_only_for_what_is_wanted() {
        let root = folder(&["real/file", "other/x"]);
        symlink("real", root.path().join("link")).unwrap();
        symlink("/other", root.path().join("rooted")).unwrap();
        let mut followed = followed(root.path(), &["link/file".into(), "r*d".into()]);
        followed.sort();
        assert_eq!(followed, ["link", "other", "r*d", "real/file"]);
        let wanted: Vec<&str> = followed.iter().map(String::as_str).collect();
        assert_eq!(
            paths(root.path(), &wanted, &[]),
            ["link", "other", "other/x", "real", "real/file", "rooted"]
        );
        assert!(super::followed(root.path(), &["/".into()]).is_empty());
    }

    #[test]
    fn links_in_a_circle_end() {
        let root = folder(&["x"]);
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let mut followed = followed(root.path(), &["a".into()]);
        followed.sort();
        assert_eq!(followed, ["a", "b"]);
    }
}
