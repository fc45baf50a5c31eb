//! Deletes a folder as far as possible, and says what is left.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::WorktreeError;

/// What could not be deleted.
#[derive(Debug)]
pub(super) struct Left {
    first: PathBuf,
    count: usize,
    source: io::Error,
}

impl Left {
    pub(super) fn into_io(self) -> io::Error {
        self.source
    }

    pub(super) fn into_error(self) -> WorktreeError {
        WorktreeError::Undeletable { first: self.first, left: self.count, source: self.source }
    }
}

/// Deletes `path` and everything below it; symlinks are deleted and not followed, other file systems that are
/// mounted below it are left alone. What does not exist is deleted.
pub(super) fn delete_all(path: &Path) -> Result<(), Left> {
    let mut deletion = Deletion { left: None };
    match path.symlink_metadata() {
        Ok(metadata) => deletion.delete(path, &metadata, device(&metadata)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => deletion.leave(path, source),
    }
    deletion.left.map_or(Ok(()), Err)
}

/// Deletes a checkout, the link to its repository last, so that it stays recognisable until it is empty.
pub(super) fn delete_checkout(path: &Path) -> Result<(), Left> {
    let mut deletion = Deletion { left: None };
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let file_system = device(&metadata);
            if deletion.delete_content(path, &metadata, file_system, Some(".git")) {
                deletion.delete(path, &metadata, file_system);
            }
        }
        Ok(_) => deletion.leave(path, io::ErrorKind::NotADirectory.into()),
        Err(source) => deletion.leave(path, source),
    }
    deletion.left.map_or(Ok(()), Err)
}

struct Deletion {
    left: Option<Left>,
}

impl Deletion {
    fn delete(&mut self, path: &Path, metadata: &Metadata, file_system: u64) {
        let deleted = if metadata.is_dir() {
            if device(metadata) != file_system {
                let mounted =
                    io::Error::new(io::ErrorKind::ResourceBusy, "another file system is mounted there");
                return self.leave(path, mounted);
            }
            if !self.delete_content(path, metadata, file_system, None) {
                return;
            }
            std::fs::remove_dir(path)
        } else {
            std::fs::remove_file(path)
        };
        match deleted {
            Err(source) if source.kind() != io::ErrorKind::NotFound => self.leave(path, source),
            _ => {}
        }
    }

    /// Returns whether nothing but `spared` is left in the directory.
    fn delete_content(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        file_system: u64,
        spared: Option<&str>,
    ) -> bool {
        // Build tools make read-only directories, whose owner may change that.
        make_writable(path, metadata);
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(source) => {
                self.leave(path, source);
                return false;
            }
        };
        let before = self.count();
        for entry in entries {
            if let (Ok(entry), Some(spared)) = (&entry, spared)
                && entry.file_name() == spared
            {
                continue;
            }
            match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
                Ok((path, metadata)) => self.delete(&path, &metadata, file_system),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => self.leave(path, source),
            }
        }
        self.count() == before
    }

    fn count(&self) -> usize {
        self.left.as_ref().map_or(0, |left| left.count)
    }

    fn leave(&mut self, path: &Path, source: io::Error) {
        match &mut self.left {
            Some(left) => left.count += 1,
            None => {
                self.left = Some(Left { first: path.to_owned(), count: 1, source });
            }
        }
    }
}

#[cfg(unix)]
fn device(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
fn device(_: &Metadata) -> u64 {
    0
}

#[cfg(unix)]
fn make_writable(path: &Path, metadata: &Metadata) {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode();
    if mode & 0o700 != 0o700 {
        // A directory of somebody else stays as it is, and deleting in it reports why.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o700));
    }
}

#[cfg(not(unix))]
fn make_writable(_: &Path, _: &Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/file"), "").unwrap();
        std::fs::write(folder.path().join("a/file"), "").unwrap();
        folder
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_deleted_and_read_only_folders_emptied() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, kept) = (folder(), folder());
        symlink(kept.path(), folder.path().join("a/link")).unwrap();
        std::fs::set_permissions(folder.path().join("a/b"), PermissionsExt::from_mode(0o555)).unwrap();
        delete_all(&folder.path().join("a")).unwrap();
        assert!(!folder.path().join("a").exists());
        assert!(kept.path().join("a/b/file").exists());
        delete_all(&folder.path().join("a")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn another_file_system_is_left_alone_and_named() {
        let folder = folder();
        let path = folder.path().join("a");
        let metadata = path.symlink_metadata().unwrap();
        let mut deletion = Deletion { left: None };
        let parent_device = device(&metadata) + 1;
        deletion.delete(&path, &metadata, parent_device);
        let error = deletion.left.unwrap().into_error();
        assert_eq!(error.to_string(), format!("cannot delete `{}`", path.display()));
        assert!(path.join("b/file").exists());
    }

    #[test]
    fn the_link_of_a_checkout_goes_last() {
        let folder = folder();
        let path = folder.path().join("a");
        std::fs::write(path.join(".git"), "").unwrap();
        let metadata = path.symlink_metadata().unwrap();
        let mut deletion = Deletion { left: None };
        assert!(deletion.delete_content(&path, &metadata, device(&metadata), Some(".git")));
        assert!(path.join(".git").exists() && !path.join("file").exists());
        delete_checkout(&path).unwrap();
        assert!(!path.exists());
    }
}
