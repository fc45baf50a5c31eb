//! Keeps one secret for each repository, of which the passwords of its environments are made.
//!
//! A secret is made once and never replaced: data that was written under a password of it would be lost. So a damaged
//! one is an error, for the user to restore or to remove.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::state::{FileError, create_private_directory};

/// Letters and digits alone: a secret survives every shell, URL and configuration file unquoted.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const LENGTH: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The id would lead out of the directory of secrets.
    #[error("`{}` cannot name a secret", .repository_id.escape_debug())]
    Name {
        /// The refused id.
        repository_id: String,
    },
    /// A directory, a pipe or a symlink stands where the secret is expected.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The place.
        path: PathBuf,
    },
    /// The directory of secrets cannot be used.
    #[error(transparent)]
    Directory(#[from] FileError),
    /// The file holds something else, or nothing.
    #[error("`{path}` does not hold a secret of {LENGTH} letters and digits")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused to read, or to take others' access away.
    #[error("cannot read the secret `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
    /// The file system refused to write.
    #[error("cannot write the secret `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("cannot make a secret: {cause}")]
    Random {
        /// The answer of the system.
        cause: String,
    },
}

/// Returns the secret of a repository, kept in `secrets/<repository_id>` of `directory`; makes it if there is none.
///
/// It is 32 letters and digits, readable by the owner alone: access that others have is taken away. Processes that ask
/// at the same time get the same secret.
pub fn load_or_create_secret(directory: &Path, repository_id: &str) -> Result<String, SecretError> {
    let secrets = directory.join("secrets");
    let path = place(&secrets, repository_id)?;
    if let Some(secret) = load(&path)? {
        return Ok(secret);
    }
    let secret = random_secret()?;
    create_private_directory(&secrets)?;
    match write_new(&secrets, &path, &secret) {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            load(&path)?.ok_or(SecretError::Damaged { path })
        }
        Err(source) => Err(SecretError::Write { path, source }),
    }
}

/// Returns the secret of a repository if there is one; makes none.
pub fn load_secret(directory: &Path, repository_id: &str) -> Result<Option<String>, SecretError> {
    load(&place(&directory.join("secrets"), repository_id)?)
}

/// Removes a secret that nothing was written under any more.
pub fn remove_secret(directory: &Path, repository_id: &str) -> Result<(), SecretError> {
    let path = place(&directory.join("secrets"), repository_id)?;
    match fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(SecretError::Write { path, source }),
        _ => Ok(()),
    }
}

fn place(secrets: &Path, repository_id: &str) -> Result<PathBuf, SecretError> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if repository_id.is_empty() || repository_id.starts_with('.') || !repository_id.chars().all(is_plain) {
        return Err(SecretError::Name { repository_id: repository_id.to_owned() });
    }
    // Whoever placed a symlink may read what is written behind it.
    if fs::symlink_metadata(secrets).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(FileError::Symlink { path: secrets.to_owned() }.into());
    }
    Ok(secrets.join(repository_id))
}

fn load(path: &Path) -> Result<Option<String>, SecretError> {
    let read_error = |source| SecretError::Read { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    };
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { path: path.to_owned() });
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(read_error)?;
    }
    let content = fs::read(path).map_err(read_error)?;
    let secret = String::from_utf8(content).unwrap_or_default();
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    if secret.len() != LENGTH || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(SecretError::Damaged { path: path.to_owned() });
    }
    Ok(Some(secret.to_owned()))
}

/// Writes the whole secret beside its place and gives it its name, unless something has that name already.
fn write_new(secrets: &Path, path: &Path, secret: &str) -> io::Result<()> {
    if fs::metadata(secrets)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(secrets, Permissions::from_mode(0o700))?;
    }
    // For its owner alone from the start.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(secrets)?;
    file.write_all(secret.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    fs::File::open(secrets)?.sync_all()
}

fn random_secret() -> Result<String, SecretError> {
    let mut secret = String::with_capacity(LENGTH);
    while secret.len() < LENGTH {
        let mut bytes = [0; 2 * LENGTH];
        getrandom::fill(&mut bytes).map_err(|error| SecretError::Random { cause: error.to_string() })?;
        // Four times 62 is 248: the bytes above would make some characters likelier than others.
        let characters =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[usize::from(byte % 62)]);
        secret.extend(characters.take(LENGTH - secret.len()).map(char::from));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = load_or_create_secret(directory.path(), "shop-1a2b").unwrap();
        assert_eq!(first.len(), 32);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(load_or_create_secret(directory.path(), "shop-1a2b").unwrap(), first);
        assert_ne!(load_or_create_secret(directory.path(), "other").unwrap(), first);
    }

    #[test]
    fn the_owner_alone_can_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        load_or_create_secret(&directory, "shop").unwrap();
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join("secrets")), 0o700);
        assert_eq!(mode(&directory.join("secrets/shop")), 0o600);
        assert_eq!(fs::read_dir(directory.join("secrets")).unwrap().count(), 1);
    }

    #[test]
    fn access_that_others_have_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let secrets = directory.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        fs::set_permissions(&secrets, Permissions::from_mode(0o755)).unwrap();
        let secret = load_or_create_secret(directory.path(), "shop").unwrap();
        assert_eq!(mode(&secrets), 0o700);
        let path = secrets.join("shop");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load_or_create_secret(directory.path(), "shop").unwrap(), secret);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn those_who_ask_at_the_same_time_get_the_same_secret() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let barrier = Barrier::new(8);
            let ask = || {
                barrier.wait();
                load_or_create_secret(directory.path(), &format!("shop{round}")).unwrap()
            };
            let secrets: BTreeSet<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(secrets.len(), 1);
        }
        assert_eq!(fs::read_dir(directory.path().join("secrets")).unwrap().count(), 20);
    }

    #[test]
    fn a_damaged_secret_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets/shop");
        load_or_create_secret(directory.path(), "shop").unwrap();
        for content in ["", "short", "twenty-seven letters and a dash."] {
            fs::write(&path, content).unwrap();
            let error = load_or_create_secret(directory.path(), "shop").unwrap_err();
            assert!(matches!(error, SecretError::Damaged { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_symlink_or_a_directory_is_not_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        load_or_create_secret(directory.path(), "real").unwrap();
        let secrets = directory.path().join("secrets");
        std::os::unix::fs::symlink(secrets.join("real"), secrets.join("link")).unwrap();
        fs::create_dir(secrets.join("folder")).unwrap();
        for id in ["link", "folder"] {
            let error = load_or_create_secret(directory.path(), id).unwrap_err();
            assert!(matches!(error, SecretError::NotAFile { .. }), "{error}");
        }
    }

    #[test]
    fn a_symlinked_directory_of_secrets_is_neither_read_nor_written() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("shop"), "a".repeat(LENGTH)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, directory.path().join("secrets")).unwrap();
        for id in ["shop", "other"] {
            for refused in
                [load_or_create_secret(directory.path(), id).map(Some), load_secret(directory.path(), id)]
            {
                assert!(
                    matches!(refused, Err(SecretError::Directory(FileError::Symlink { .. }))),
                    "{refused:?}"
                );
            }
        }
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 1);
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        for id in ["", ".", "..", "../x", "a/b", ".new-x", "a\0b"] {
            let error = load_or_create_secret(directory.path(), id).unwrap_err();
            assert!(matches!(error, SecretError::Name { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
