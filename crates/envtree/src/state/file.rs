//! Private files of the state directory: replaced whole, readable by their owner alone, never reached by a symlink.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// What went wrong with one file of the state directory.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A symlink stands where a file is expected; whoever placed it may want another file overwritten.
    #[error("`{path}` is a symlink, and envtree follows none in its state directory")]
    Symlink {
        /// The place of the symlink.
        path: PathBuf,
    },
    /// A directory, a pipe or a device stands where a file is expected.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The place of the thing.
        path: PathBuf,
    },
    /// The file system refused to open or read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
    /// The file system refused to write, to flush or to rename.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }
}

/// Opens the regular file at `path`; `None` if there is nothing.
///
/// The file that was opened is compared with what stands at `path` itself, so that neither a symlink nor a swap between
/// the two looks leads anywhere else.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Option<File>, FileError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::read(path)(error)),
    };
    if metadata.is_symlink() {
        return Err(FileError::Symlink { path: path.to_owned() });
    }
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::read(path)(error)),
    };
    match fs::symlink_metadata(path) {
        Ok(now) if now.is_symlink() => Err(FileError::Symlink { path: path.to_owned() }),
        _ => Ok(Some(file)),
    }
}

/// Returns whether `file` is what stands at `path`, and not a file that was removed or replaced since.
pub(crate) fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(there.dev() == own.dev() && there.ino() == own.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the content of the regular file at `path`; `None` if there is nothing.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let Some(mut file) = open(path, OpenOptions::new().read(true))? else {
        return Ok(None);
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(FileError::read(path))?;
    Ok(Some(content))
}

/// Replaces the file at `path` by one with `content`, which survives a power failure once this returns.
///
/// The caller holds the lock that guards `path`: the new content is first written beside it under a fixed name, so that
/// a killed process leaves one file at most, which the next call takes over.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(FileError::Symlink { path: path.to_owned() });
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    write_and_rename(&beside, path, content).map_err(FileError::write(path))
}

fn write_and_rename(beside: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_directory_of(path)
}

/// Creates a file that its owner alone can read; an error if anything, a dangling symlink included, stands there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes renames and removals in the directory of `path` survive a power failure.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Creates the directory `path`, and those above it, for the owner alone; a symlink is refused, wherever it leads.
pub(crate) fn create_private_directory(path: &Path) -> Result<(), FileError> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(FileError::Symlink { path: path.to_owned() });
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::write(path))
}

/// Renames the file at `path` to `<name>.broken-<timestamp>` and returns the new place.
///
/// The caller holds the lock that guards `path`.
pub(crate) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, FileError> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (1u32..=u32::MAX)
        .map(|attempt| match attempt {
            1 => format!("{name}.broken-{stamp}"),
            more => format!("{name}.broken-{stamp}-{more}"),
        })
        .map(|name| path.with_file_name(name))
        .find(|candidate| fs::symlink_metadata(candidate).is_err())
        .expect("one of four thousand million names is free");
    fs::rename(path, &free).and_then(|()| sync_directory_of(path)).map_err(FileError::write(path))?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_replaced_file_belongs_to_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(directory.path().join("a.json.new"), "half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_is_neither_read_nor_replaced_nor_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        fs::write(&target, "precious").unwrap();
        let path = directory.path().join("a.json");
        symlink(&target, &path).unwrap();
        assert!(matches!(read(&path), Err(FileError::Symlink { .. })));
        assert!(matches!(replace(&path, b"x"), Err(FileError::Symlink { .. })));

        let other = directory.path().join("b.json");
        symlink(&target, directory.path().join("b.json.new")).unwrap();
        replace(&other, b"x").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn a_symlink_is_no_private_directory() {
        let directory = tempfile::tempdir().unwrap();
        for target in [directory.path(), Path::new("missing")] {
            let path = directory.path().join("link");
            symlink(target, &path).unwrap();
            assert!(matches!(create_private_directory(&path), Err(FileError::Symlink { .. })));
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(read(directory.path()), Err(FileError::NotAFile { .. })));
        assert!(read(&directory.path().join("missing")).unwrap().is_none());
    }

    #[test]
    fn files_set_aside_in_one_second_do_not_overwrite_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let now: Timestamp = "2026-11-21T06:40:00Z".parse().unwrap();
        fs::write(&path, "1").unwrap();
        let first = set_aside(&path, now).unwrap();
        fs::write(&path, "2").unwrap();
        let second = set_aside(&path, now).unwrap();
        assert_eq!(first, directory.path().join("a.json.broken-20261121T064000Z"));
        assert_eq!(fs::read_to_string(first).unwrap(), "1");
        assert_eq!(fs::read_to_string(second).unwrap(), "2");
    }
}
