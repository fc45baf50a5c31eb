//! The files of a worktree, whether it is there or still to be checked out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use envtree_core::compose_file::node::Diagnostic;

use super::LoadError;
use super::encoding::{decode, decode_with_gaps};
use crate::include;
use crate::repository::{CommitId, Repository};

/// How many bytes a file may have that is read whole.
pub(super) const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// Where the files of a worktree come from.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// The worktree is there.
    Present {
        /// The repository.
        repository: Box<Repository>,
        /// Its top.
        top: PathBuf,
        /// The directory that the person stands in: paths below it are shown relative to it.
        directory: PathBuf,
    },
    /// The worktree will be a checkout of `commit`, with what `.worktreeinclude` brings.
    Commit {
        /// The repository.
        repository: Box<Repository>,
        /// The commit.
        commit: CommitId,
        /// The commit as people know it, such as `origin/main`.
        name: String,
        /// The top of the worktree to be.
        top: PathBuf,
    },
}

impl Files {
    /// Returns the top of the worktree.
    pub(crate) fn top(&self) -> &Path {
        match self {
            Self::Present { top, .. } | Self::Commit { top, .. } => top,
        }
    }

    /// Returns the repository.
    pub(super) fn repository(&self) -> &Repository {
        match self {
            Self::Present { repository, .. } | Self::Commit { repository, .. } => repository,
        }
    }

    /// Returns the text of the file at the absolute `path`, as the worktree has it or will have it; none if there is no
    /// such file. What lies outside the worktree is read where it is.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<String>, LoadError> {
        let bytes = self.bytes(path)?;
        Ok(bytes.map(|bytes| decode(&self.display(path), bytes)).transpose()?)
    }

    /// Returns whether the worktree has, or will have, a file at the absolute `path`.
    pub(super) fn has(&self, path: &Path) -> Result<bool, LoadError> {
        Ok(self.bytes(path)?.is_some())
    }

    /// Returns the text of a file of variables, and where it is no text if it is not text throughout.
    ///
    /// As in Compose, such bytes are replaced: most of them stand in comments.
    pub(super) fn read_variables(
        &self,
        path: &Path,
    ) -> Result<Option<(String, Option<Diagnostic>)>, LoadError> {
        let bytes = self.bytes(path)?;
        Ok(bytes.map(|bytes| decode_with_gaps(&self.display(path), bytes)))
    }

    /// Returns whether the worktree has, or will have, a folder at the absolute `path`.
    pub(crate) fn is_folder(&self, path: &Path) -> Result<bool, LoadError> {
        match (self, path.strip_prefix(self.top())) {
            (Self::Commit { repository, commit, .. }, Ok(inside)) => {
                Ok(repository.list_directory(*commit, inside)?.is_some())
            }
            _ => Ok(path.is_dir()),
        }
    }

    /// Returns whether there is, or can be, anything at the absolute `path`. What a worktree to be has of submodules and
    /// of included folders shows only when it is there.
    pub(crate) fn may_have(&self, path: &Path) -> bool {
        let (Self::Commit { repository, commit, top, .. }, Ok(inside)) =
            (self, path.strip_prefix(self.top()))
        else {
            return path.exists();
        };
        let is_known = |read: Result<bool, LoadError>| read.unwrap_or(true);
        let main = repository.main_worktree();
        let is_folder_of_main = main.is_some_and(|main| main.join(inside).is_dir());
        is_known(self.is_folder(path))
            || is_known(self.bytes(path).map(|bytes| bytes.is_some()))
            || is_folder_of_main && main.is_some_and(|main| main.join(include::INCLUDE_FILE).is_file())
            || is_known(
                repository
                    .read_file(*commit, Path::new(".gitmodules"))
                    .map(|read| read.is_some())
                    .map_err(Into::into),
            )
            || top.join(inside).exists()
    }

    /// Says that there is no file at the absolute `path`, which `named_by` names.
    pub(super) fn missing(&self, path: &Path, named_by: String) -> LoadError {
        missing(self.is_folder(path).unwrap_or(false), path.to_owned(), named_by)
    }

    /// Returns the text of the file at the absolute `path`; none if there is nothing, an error if there is a folder.
    pub(super) fn read_file(&self, path: &Path) -> Result<Option<String>, String> {
        let read = self.read(path).map_err(|error| error.to_string())?;
        self.none_but_no_folder(path, read)
    }

    /// Returns what was read; an error if that is nothing, because there is a folder at `path`.
    pub(super) fn none_but_no_folder<T>(&self, path: &Path, read: Option<T>) -> Result<Option<T>, String> {
        match self.is_folder(path) {
            Ok(true) if read.is_none() => {
                Err(format!("`{}` is a folder; a file is expected", self.display(path)))
            }
            _ => Ok(read),
        }
    }

    fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
        let Ok(inside) = path.strip_prefix(self.top()) else {
            return read_bytes(path);
        };
        let (repository, commit) = match self {
            Self::Commit { repository, commit, .. } => (repository, commit),
            // A sparse checkout leaves files out.
            Self::Present { repository, top, .. } => {
                let found = read_bytes(path)?;
                return if found.is_some() { Ok(found) } else { Ok(repository.read_left_out(top, inside)?) };
            }
        };
        match repository.read_file(*commit, inside)? {
            Some(bytes) => Ok(Some(bytes)),
            None => match repository.main_worktree() {
                Some(main) if include::is_included(repository, main, inside)? => {
                    read_bytes(&main.join(inside))
                }
                _ => Ok(None),
            },
        }
    }

    /// Returns `path` as messages show it: relative where the person stands, else in git's notation of a file in a
    /// commit, `origin/main:compose.yaml`, else absolute.
    pub(crate) fn display(&self, path: &Path) -> String {
        match self {
            Self::Present { directory, .. } => {
                path.strip_prefix(directory).unwrap_or(path).display().to_string()
            }
            Self::Commit { name, top, .. } => match path.strip_prefix(top) {
                Ok(inside) => format!("{name}:{}", inside.display()),
                Err(_) => path.display().to_string(),
            },
        }
    }
}

/// Returns the text of a file without a byte order mark; none if there is no such file.
pub(super) fn read_file(path: &Path) -> Result<Option<String>, LoadError> {
    let bytes = read_bytes(path)?;
    Ok(bytes.map(|bytes| decode(&path.display().to_string(), bytes)).transpose()?)
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    match bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A folder `.env` is a virtual environment of Python, and of no interest.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(LoadError::Read { path: path.to_owned(), source }),
    }
}

/// Says that a file is too large to be read whole.
pub(super) fn too_large() -> std::io::Error {
    let message = format!("it has more than {} MiB", SIZE_LIMIT / 1024 / 1024);
    std::io::Error::new(ErrorKind::FileTooLarge, message)
}

/// Says that there is no file at `path`, which `named_by` names.
pub(super) fn missing(is_folder: bool, path: PathBuf, named_by: String) -> LoadError {
    if is_folder { LoadError::Folder { path, named_by } } else { LoadError::Missing { path, named_by } }
}

/// Reads a file; a pipe or a socket, which may never come to its end, is refused unless the system keeps it for those
/// who name it: `/dev/stdin`, or what a shell makes of `<(…)`.
fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.len() > SIZE_LIMIT {
        return Err(too_large());
    }
    let kind = metadata.file_type();
    let is_of_the_system = path.starts_with("/dev") || path.starts_with("/proc");
    if kind.is_file() || kind.is_dir() || is_of_the_system {
        return std::fs::read(path);
    }
    Err(std::io::Error::new(
        ErrorKind::InvalidInput,
        "it is neither a file nor a folder, but a pipe, a socket or a device",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::test_repository::TestRepository;

    fn present(shop: &TestRepository) -> Files {
        Files::Present {
            repository: Box::new(shop.open()),
            top: shop.path.clone(),
            directory: shop.path.join("src"),
        }
    }

    fn commit(shop: &TestRepository) -> Files {
        let repository = shop.open();
        let commit = repository.resolve_commit("main").unwrap();
        Files::Commit {
            repository: Box::new(repository),
            commit,
            name: "origin/main".into(),
            top: shop.beside("new"),
        }
    }

    #[test]
    fn a_pipe_is_refused_rather_than_waited_for() {
        let shop = TestRepository::new();
        let pipe = shop.path.join(".env");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = present(&shop).read(&pipe).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it is neither a file nor a folder, but a pipe, a socket or a device");
    }

    #[test]
    fn a_commit_and_a_worktree_have_the_same_files() {
        let shop = TestRepository::new();
        shop.write("a/compose.yaml", "\u{feff}services: {}\n");
        std::os::unix::fs::symlink("a/compose.yaml", shop.path.join("compose.yaml")).unwrap();
        shop.commit("Compose");
        for files in [present(&shop), commit(&shop)] {
            let read = |path: &str| files.read(&files.top().join(path)).unwrap();
            assert_eq!(read("compose.yaml").as_deref(), Some("services: {}\n"));
            assert_eq!((read("a"), read("b"), read("readme.md/x")), (None, None, None));
            let is_folder = |path: &str| files.is_folder(&files.top().join(path)).unwrap();
            assert!(is_folder("a") && is_folder("") && !is_folder("b") && !is_folder("compose.yaml"));
        }
    }

    #[test]
    fn a_worktree_to_be_has_what_is_committed_and_what_will_be_brought() {
        let shop = TestRepository::new();
        shop.write(".gitignore", ".env*\n");
        shop.write(".worktreeinclude", ".env\n");
        shop.commit("Ignore");
        shop.write("readme.md", "changed\n");
        shop.write(".env", "A=1\n");
        shop.write(".env.local", "B=1\n");
        let files = commit(&shop);
        let read = |path: &Path| files.read(path).unwrap();
        assert_eq!(read(&shop.beside("new/readme.md")).as_deref(), Some("shop\n"));
        assert_eq!(read(&shop.beside("new/.env")).as_deref(), Some("A=1\n"));
        assert_eq!(read(&shop.beside("new/.env.local")), None);
        assert_eq!(read(&shop.path.join("readme.md")).as_deref(), Some("changed\n"));
    }

    #[test]
    fn a_path_is_shown_as_the_person_would_write_it() {
        let shop = TestRepository::new();
        let files = present(&shop);
        assert_eq!(files.display(&shop.path.join("src/x.yaml")), "x.yaml");
        let outside = shop.path.join("x.yaml");
        assert_eq!(files.display(&outside), outside.display().to_string());
        assert_eq!(commit(&shop).display(&shop.beside("new/a/x.yaml")), "origin/main:a/x.yaml");
    }

    #[test]
    fn what_is_no_text_is_an_error_with_its_place() {
        let shop = TestRepository::new();
        shop.write("src/x", "");
        std::fs::write(shop.path.join("src/x"), b"a: b\n\xc3\xa4: fianc\xe9\n").unwrap();
        shop.commit("Latin");
        for (files, shown) in [(present(&shop), "x"), (commit(&shop), "origin/main:src/x")] {
            let error = files.read(&files.top().join("src/x")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{shown}:2:9: the byte 0xe9 is not UTF-8")), "{error}");
            let (text, gap) = files.read_variables(&files.top().join("src/x")).unwrap().unwrap();
            assert_eq!((text.as_str(), gap.unwrap().place.column), ("a: b\nä: fianc\u{fffd}\n", 9));
        }
    }
}
