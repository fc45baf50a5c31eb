//! Reads files out of a commit, before any checkout of it exists.

use std::collections::VecDeque;
use std::path::{Component, Path};

use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;

use super::{CommitId, Repository, RepositoryError};

/// As many as Linux follows.
const MOST_SYMLINKS: usize = 40;

/// What a name in a directory of a commit stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeEntryKind {
    /// A file, executable or not.
    File,
    /// A directory.
    Directory,
    /// A symlink, not followed.
    Symlink,
    /// The commit of a submodule.
    Submodule,
}

/// One name in a directory of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The last part of the path.
    pub name: String,
    /// What it is.
    pub kind: TreeEntryKind,
}

impl Repository {
    /// Returns the content of the file at `path` (relative to the top) in `commit`; none when there is no such
    /// file, or it is a directory or submodule.
    ///
    /// Symlinks are followed inside the commit; one that leads out of it is an error, because what it means is
    /// known only once a checkout exists. The bytes are as committed: filters and line endings are not applied.
    pub fn read_file(&self, commit: CommitId, path: &Path) -> Result<Option<Vec<u8>>, RepositoryError> {
        let local = self.local();
        let Some((object, kind)) = self.find_in_commit(&local, commit, path)? else {
            return Ok(None);
        };
        if !matches!(kind, EntryKind::Blob | EntryKind::BlobExecutable) {
            return Ok(None);
        }
        self.fetch_if_promised(&local, object)?;
        let mut object = local.find_object(object).map_err(|source| self.unreadable("files", source))?;
        Ok(Some(std::mem::take(&mut object.data)))
    }

    /// Lists the directory at `path` (relative to the top, empty for the top itself) in `commit`, by name; none
    /// when there is no such directory.
    pub fn list_directory(
        &self,
        commit: CommitId,
        path: &Path,
    ) -> Result<Option<Vec<TreeEntry>>, RepositoryError> {
        let local = self.local();
        let Some((object, EntryKind::Tree)) = self.find_in_commit(&local, commit, path)? else {
            return Ok(None);
        };
        self.fetch_if_promised(&local, object)?;
        let tree = local.find_tree(object).map_err(|source| self.unreadable("directories", source))?;
        let mut entries = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(|source| self.unreadable("directories", source))?;
            let kind = match entry.kind() {
                EntryKind::Tree => TreeEntryKind::Directory,
                EntryKind::Blob | EntryKind::BlobExecutable => TreeEntryKind::File,
                EntryKind::Link => TreeEntryKind::Symlink,
                EntryKind::Commit => TreeEntryKind::Submodule,
            };
            entries.push(TreeEntry { name: entry.filename().to_string(), kind });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Some(entries))
    }

    /// Walks down from the top of `commit`, following symlinks as a file system would.
    fn find_in_commit(
        &self,
        local: &gix::Repository,
        commit: CommitId,
        path: &Path,
    ) -> Result<Option<(gix::ObjectId, EntryKind)>, RepositoryError> {
        let top = local
            .find_commit(commit.0)
            .and_then(|commit| commit.tree_id().map(gix::Id::detach))
            .map_err(|source| self.unreadable("commit", source))?;
        let symlink = |at: &[(String, gix::ObjectId)], name: &str| {
            let names: Vec<&str> = at.iter().map(|(name, _)| name.as_str()).chain([name]).collect();
            RepositoryError::Symlink { path: names.join("/"), commit: commit.short() }
        };
        let outside = || RepositoryError::OutsideWorktree { path: path.to_owned() };
        let mut pending = steps(path).ok_or_else(outside)?;
        let mut directories: Vec<(String, gix::ObjectId)> = Vec::new();
        let mut followed: Option<(Vec<(String, gix::ObjectId)>, String)> = None;
        let mut symlinks = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                if directories.pop().is_none() {
                    return Err(followed.map_or_else(outside, |(at, name)| symlink(&at, &name)));
                }
                continue;
            }
            let directory = directories.last().map_or(top, |(_, id)| *id);
            self.fetch_if_promised(local, directory)?;
            let tree = local.find_tree(directory).map_err(|source| self.unreadable("directories", source))?;
            let Some(entry) = tree.find_entry(name.as_bytes()) else {
                return Ok(None);
            };
            match (entry.kind(), pending.is_empty()) {
                (EntryKind::Tree, _) => directories.push((name, entry.object_id())),
                (EntryKind::Link, _) => {
                    self.fetch_if_promised(local, entry.object_id())?;
                    let target = entry.object().map_err(|source| self.unreadable("files", source))?;
                    symlinks += 1;
                    let further = steps(Path::new(&*target.data.to_str_lossy()));
                    let Some(mut further) = further.filter(|_| symlinks <= MOST_SYMLINKS) else {
                        return Err(symlink(&directories, &name));
                    };
                    followed = Some((directories.clone(), name));
                    further.append(&mut pending);
                    pending = further;
                }
                (kind, true) => return Ok(Some((entry.object_id(), kind))),
                (_, false) => return Ok(None),
            }
        }
        Ok(Some((directories.last().map_or(top, |(_, id)| *id), EntryKind::Tree)))
    }
}

/// Splits a relative path into names and `..`; none for an absolute one.
fn steps(path: &Path) -> Option<VecDeque<String>> {
    let mut steps = VecDeque::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => steps.push_back("..".to_owned()),
            Component::Normal(name) => steps.push_back(name.to_string_lossy().into_owned()),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::TestRepository;
    use super::*;

    fn read(repository: &Repository, path: &str) -> Option<String> {
        let head = repository.resolve_commit("HEAD").unwrap();
        repository.read_file(head, Path::new(path)).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn files_are_read_from_a_commit_and_not_from_the_disk() {
        let shop = TestRepository::new();
        shop.write("käse/compose file.yaml", "services: {}\n");
        shop.commit("Add");
        shop.write("käse/compose file.yaml", "changed\n");
        let repository = shop.open();
        assert_eq!(read(&repository, "käse/compose file.yaml").as_deref(), Some("services: {}\n"));
        assert_eq!(read(&repository, "./käse/../readme.md").as_deref(), Some("shop\n"));
        assert_eq!(read(&repository, "missing.yaml"), None);
        assert_eq!(read(&repository, "käse"), None);
        assert_eq!(read(&repository, "readme.md/x"), None);
    }

    #[test]
    fn a_directory_is_listed_by_name() {
        let shop = TestRepository::new();
        shop.write("deploy/db/init.sql", "");
        shop.write("deploy/compose.yaml", "");
        shop.commit("Add");
        let repository = shop.open();
        let head = repository.resolve_commit("HEAD").unwrap();
        let entries = repository.list_directory(head, Path::new("deploy")).unwrap().unwrap();
        let entries: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        assert_eq!(entries, [("compose.yaml", TreeEntryKind::File), ("db", TreeEntryKind::Directory)]);
        assert_eq!(repository.list_directory(head, Path::new("")).unwrap().unwrap().len(), 2);
        assert_eq!(repository.list_directory(head, Path::new("missing")).unwrap(), None);
        assert_eq!(repository.list_directory(head, Path::new("readme.md")).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_followed_inside_the_commit_only() {
        use std::os::unix::fs::symlink;
        let shop = TestRepository::new();
        shop.write("deploy/dev/compose.yaml", "name: dev\n");
        symlink("deploy/current/compose.yaml", shop.path.join("compose.yaml")).unwrap();
        symlink("dev", shop.path.join("deploy/current")).unwrap();
        symlink("../readme.md", shop.path.join("deploy/readme.md")).unwrap();
        symlink("/etc/passwd", shop.path.join("absolute")).unwrap();
        symlink("../../outside", shop.path.join("deploy/outside")).unwrap();
        symlink("circle", shop.path.join("circle")).unwrap();
        shop.commit("Link");
        let repository = shop.open();
        assert_eq!(read(&repository, "compose.yaml").as_deref(), Some("name: dev\n"));
        assert_eq!(read(&repository, "deploy/readme.md").as_deref(), Some("shop\n"));
        let head = repository.resolve_commit("HEAD").unwrap();
        for path in ["absolute", "deploy/outside", "circle"] {
            let error = repository.read_file(head, Path::new(path)).unwrap_err();
            assert!(matches!(&error, RepositoryError::Symlink { path: at, .. } if at == path), "{error:?}");
        }
        let error = repository.read_file(head, Path::new("../x")).unwrap_err();
        assert!(matches!(error, RepositoryError::OutsideWorktree { .. }), "{error:?}");
    }
}
