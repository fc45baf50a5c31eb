//! The order of the entries of a volume: that of a walk, each below a folder that came before and is still open.
//!
//! So no entry lies below a symlink, whatever the archive says, and the folders that a cut goes through are known.

use super::ArchiveFault;
use super::entry::{Entry, Kind};

/// The folders of a volume in which the next entry may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    root: Vec<u8>,
    open: Vec<Entry>,
}

impl Folders {
    /// Begins with the volume whose folder in the archive is `root`.
    pub fn new(root: &str) -> Self {
        Self { root: root.as_bytes().to_vec(), open: Vec::new() }
    }

    /// Returns the folders that are open, the volume's own first.
    pub fn open(&self) -> &[Entry] {
        &self.open
    }

    /// Returns whether the volume's own folder came.
    pub fn is_begun(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes the next entry; refuses one whose folder is not open, and one that links to another volume.
    pub fn admit(&mut self, entry: &Entry) -> Result<(), ArchiveFault> {
        let refused = |reason| Err(ArchiveFault::Entry { path: entry.shown(), reason });
        if !self.is_begun() {
            if entry.path != self.root {
                return refused("does not lie in its volume");
            }
            if entry.kind != Kind::Folder {
                return refused("is the folder of a volume, and no folder");
            }
            self.open.push(entry.clone());
            return Ok(());
        }
        let end = entry.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let parent = &entry.path[..end];
        let Some(depth) = self.open.iter().rposition(|folder| folder.path == parent) else {
            return refused("does not lie in a folder that came before it");
        };
        if let Kind::HardLink { target } = &entry.kind
            && !target.strip_prefix(self.root.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
        {
            return refused("is a link to what lies outside");
        }
        self.open.truncate(depth + 1);
        if entry.kind == Kind::Folder {
            self.open.push(entry.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        let path = path.as_bytes();
        let (path, kind) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, Kind::Folder),
            None => (path, Kind::File { size: 0 }),
        };
        Entry { path: path.to_vec(), kind, uid: 0, gid: 0, mode: 0, seconds: 0, xattrs: Vec::new() }
    }

    fn link(path: &str, kind: Kind) -> Entry {
        Entry { kind, ..entry(path) }
    }

    fn admit(entries: &[Entry]) -> Result<Vec<String>, String> {
        let mut folders = Folders::new("volumes/0");
        entries.iter().try_for_each(|entry| folders.admit(entry)).map_err(|fault| fault.to_string())?;
        Ok(folders.open().iter().map(Entry::shown).collect())
    }

    #[test]
    fn the_folders_above_the_next_entry_are_known() {
        let walk =
            ["volumes/0/", "volumes/0/a/", "volumes/0/a/b/", "volumes/0/a/b/c", "volumes/0/d/"].map(entry);
        assert_eq!(admit(&walk[..4]).unwrap(), ["volumes/0", "volumes/0/a", "volumes/0/a/b"]);
        assert_eq!(admit(&walk).unwrap(), ["volumes/0", "volumes/0/d"]);
    }

    #[test]
    fn nothing_lies_below_what_is_no_open_folder() {
        let refused = |entries: &[Entry]| admit(entries).unwrap_err();
        let root = entry("volumes/0/");
        let symlink = |path| link(path, Kind::Symlink { target: b"/etc".to_vec() });
        let hard = |target: &str| link("volumes/0/a", Kind::HardLink { target: target.as_bytes().to_vec() });
        let told = [
            refused(&[entry("volumes/0/a")]),
            refused(&[symlink("volumes/0")]),
            refused(&[root.clone(), entry("volumes/1/a")]),
            refused(&[root.clone(), root.clone()]),
            refused(&[root.clone(), symlink("volumes/0/a"), entry("volumes/0/a/passwd")]),
            refused(&[
                root.clone(),
                entry("volumes/0/a/"),
                symlink("volumes/0/a"),
                entry("volumes/0/a/passwd"),
            ]),
            refused(&[root.clone(), hard("volumes/1/a")]),
            refused(&[root, hard("volumes/0")]),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        its entry `volumes/0/a` does not lie in its volume
        its entry `volumes/0` is the folder of a volume, and no folder
        its entry `volumes/1/a` does not lie in a folder that came before it
        its entry `volumes/0` does not lie in a folder that came before it
        its entry `volumes/0/a/passwd` does not lie in a folder that came before it
        its entry `volumes/0/a/passwd` does not lie in a folder that came before it
        its entry `volumes/0/a` is a link to what lies outside
        its entry `volumes/0/a` is a link to what lies outside
        ");
    }
}
