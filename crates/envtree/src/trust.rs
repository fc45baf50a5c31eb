//! Remembers which commands of a repository the user has accepted.
//!
//! A repository's hooks and seeds are other people's commands, so they run only if exactly their text was accepted, for
//! that repository, key and file. The store lies outside every repository, and nothing inside an environment reaches
//! it. One that others could have written counts as damaged: it is set aside, and nothing is trusted.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const VERSION: u32 = 1;

/// The commands of one key of one file, named by the digest of their exact text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandText {
    /// The id of the repository.
    pub repository: String,
    /// Where the commands stand in the file, such as `hooks.post_create`.
    pub key: String,
    /// The file, relative to the worktree.
    pub path: String,
    /// The SHA-256 of the commands, in hexadecimal digits.
    pub sha256: String,
}

impl CommandText {
    /// Names `commands`, which stand at `key` of the file `path`. Two lists share a digest only if they are equal.
    pub fn new(repository: &str, key: &str, path: &str, commands: &[String]) -> Self {
        let mut hasher = Sha256::new();
        for command in commands {
            // With their lengths, `["a", "b"]` and `["ab"]` differ.
            hasher.update((command.len() as u64).to_be_bytes());
            hasher.update(command);
        }
        let halves = hasher.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let sha256 = halves.filter_map(|half| char::from_digit(half.into(), 16)).collect();
        Self { repository: repository.into(), key: key.into(), path: path.into(), sha256 }
    }
}

/// Why the accepted commands cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A directory, a pipe or a symlink stands where the store is expected.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The place.
        path: PathBuf,
    },
    /// A later envtree wrote the store.
    #[error("`{path}` has version {version}, and this envtree knows {VERSION}")]
    Version {
        /// The store.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The file system refused to read, or to take others' access away.
    #[error("cannot read the accepted commands in `{path}`")]
    Read {
        /// The store.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
    /// The file system refused to write, or to set a damaged store aside.
    #[error("cannot write the accepted commands to `{path}`")]
    Write {
        /// The store.
        path: PathBuf,
        /// The answer of the file system.
        source: io::Error,
    },
}

/// A damaged store that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it stood.
    pub path: PathBuf,
    /// Where it is now.
    pub aside: PathBuf,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, aside, fault } = self;
        let (path, aside) = (path.display(), aside.display());
        write!(
            formatter,
            "`{path}` was damaged ({fault}) and is now `{aside}`; no command is trusted until accepted anew"
        )
    }
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    accepted: BTreeSet<CommandText>,
}

/// The commands that the user accepted.
#[derive(Debug, Clone)]
pub struct TrustStore {
    path: PathBuf,
    accepted: BTreeSet<CommandText>,
}

impl TrustStore {
    /// Reads the store at `path`; where there is none, nothing is trusted.
    ///
    /// A damaged store is renamed to `<name>.damaged-<time>`, and the notice says so. The caller holds the lock that
    /// guards `path` until the last [`accept`](Self::accept).
    pub fn load(path: &Path) -> Result<(Self, Option<SetAside>), TrustError> {
        let read_error = |source| TrustError::Read { path: path.to_owned(), source };
        let mut store = Self { path: path.to_owned(), accepted: BTreeSet::new() };
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((store, None)),
            Err(error) => return Err(read_error(error)),
        };
        if !metadata.is_file() {
            return Err(TrustError::NotAFile { path: path.to_owned() });
        }
        let mode = metadata.permissions().mode();
        if mode & 0o022 != 0 {
            return Ok((store, Some(set_aside(path, "others could write to it".into())?)));
        }
        if mode & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(read_error)?;
        }
        let content = fs::read(path).map_err(read_error)?;
        match parse(&content) {
            Ok(Document { version: VERSION, accepted }) => {
                store.accepted = accepted;
                Ok((store, None))
            }
            Ok(Document { version, .. }) => Err(TrustError::Version { path: path.to_owned(), version }),
            Err(error) => Ok((store, Some(set_aside(path, error.to_string())?))),
        }
    }

    /// Returns whether exactly this text was accepted.
    pub fn is_trusted(&self, text: &CommandText) -> bool {
        self.accepted.contains(text)
    }

    /// Trusts `texts` from now on, and keeps that; after an error, nothing more is trusted than before.
    ///
    /// Texts accepted earlier stay trusted, so that two branches with different hooks do not ask by turns.
    pub fn accept(&mut self, texts: &[CommandText]) -> Result<(), TrustError> {
        let mut accepted = self.accepted.clone();
        accepted.extend(texts.iter().cloned());
        let document = Document { version: VERSION, accepted };
        replace(&self.path, &document)
            .map_err(|source| TrustError::Write { path: self.path.clone(), source })?;
        self.accepted = document.accepted;
        Ok(())
    }
}

fn parse(content: &[u8]) -> serde_json::Result<Document> {
    let Header { version } = serde_json::from_slice(content)?;
    if version > VERSION {
        return Ok(Document { version, accepted: BTreeSet::new() });
    }
    serde_json::from_slice(content)
}

fn replace(path: &Path, document: &Document) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // For its owner alone from the start.
    let mut file = tempfile::Builder::new().prefix(".trust-").tempfile_in(directory)?;
    serde_json::to_writer_pretty(&mut file, document)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn set_aside(path: &Path, fault: String) -> Result<SetAside, TrustError> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".damaged-{stamp}"));
    let aside = path.with_file_name(name);
    let write_error = |source| TrustError::Write { path: path.to_owned(), source };
    fs::rename(path, &aside).map_err(write_error)?;
    Ok(SetAside { path: path.to_owned(), aside, fault })
}

/// Text as a person may see it before accepting it: nothing in it acts on the terminal or hides a part of it.
///
/// Control characters, and those that reorder or take no space, become escapes such as `\n` and `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if is_hidden(char) {
                write!(formatter, "{}", char.escape_default())?;
            } else {
                write!(formatter, "{char}")?;
            }
        }
        Ok(())
    }
}

fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, commands: &[&str]) -> CommandText {
        let commands: Vec<_> = commands.iter().map(ToString::to_string).collect();
        CommandText::new("shop-1a2b", key, "envtree.yaml", &commands)
    }

    fn load(path: &Path) -> TrustStore {
        let (store, notice) = TrustStore::load(path).unwrap();
        assert_eq!(notice, None);
        store
    }

    #[test]
    fn what_was_accepted_is_trusted_by_the_next_command() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let (first, second) = (text("hooks.post_up", &["make"]), text("data.seed", &["make seed"]));
        let mut store = load(&path);
        assert!(!store.is_trusted(&first));
        store.accept(std::slice::from_ref(&first)).unwrap();
        load(&path).accept(std::slice::from_ref(&second)).unwrap();
        let store = load(&path);
        assert!(store.is_trusted(&first) && store.is_trusted(&second));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_difference_asks_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let mut store = load(&path);
        let accepted = text("hooks.post_up", &["a", "b"]);
        store.accept(std::slice::from_ref(&accepted)).unwrap();
        assert!(store.is_trusted(&text("hooks.post_up", &["a", "b"])));
        for other in [
            text("hooks.post_up", &["a", "b "]),
            text("hooks.post_up", &["ab"]),
            text("hooks.post_up", &["a"]),
            text("hooks.post_create", &["a", "b"]),
            CommandText { repository: "other".into(), ..accepted.clone() },
            CommandText { path: "sub/envtree.yaml".into(), ..accepted },
        ] {
            assert!(!store.is_trusted(&other), "{other:?}");
        }
    }

    #[test]
    fn the_digest_and_the_file_do_not_change_between_versions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        load(&path).accept(&[text("hooks.post_up", &["npm ci"])]).unwrap();
        insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r#"
        {
          "version": 1,
          "accepted": [
            {
              "repository": "shop-1a2b",
              "key": "hooks.post_up",
              "path": "envtree.yaml",
              "sha256": "f9fe944da043e9f7ffbc8f3e86e023ab9ccfe14655f9cb7542802d9146b3df5a"
            }
          ]
        }
        "#);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_store_is_set_aside_and_trusts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        for content in ["", "{", "[]", "{\"version\": 1}", "{\"version\": 1, \"accepted\": [{}]}"] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let (store, notice) = TrustStore::load(&path).unwrap();
            let notice = notice.unwrap();
            assert!(store.accepted.is_empty() && !path.exists());
            assert_eq!(fs::read_to_string(&notice.aside).unwrap(), content);
            let name = notice.aside.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.starts_with("trust.json.damaged-20"), "{name}");
            assert!(notice.to_string().contains("no command is trusted"), "{notice}");
            fs::remove_file(notice.aside).unwrap();
        }
    }

    #[test]
    fn a_store_that_others_could_write_trusts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let accepted = text("hooks.post_up", &["make"]);
        load(&path).accept(std::slice::from_ref(&accepted)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(load(&path).is_trusted(&accepted));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        let (store, notice) = TrustStore::load(&path).unwrap();
        assert!(!store.is_trusted(&accepted));
        assert_eq!(notice.unwrap().fault, "others could write to it");
    }

    #[test]
    fn the_store_of_a_later_version_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        let content = "{\"version\": 2, \"texts\": {}}";
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = TrustStore::load(&path).unwrap_err();
        assert!(matches!(error, TrustError::Version { version: 2, .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("trust.json");
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(TrustStore::load(&path), Err(TrustError::NotAFile { .. })));
    }

    #[test]
    fn what_cannot_be_kept_is_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = load(&directory.path().join("missing/trust.json"));
        let accepted = text("hooks.post_up", &["make"]);
        assert!(matches!(store.accept(std::slice::from_ref(&accepted)), Err(TrustError::Write { .. })));
        assert!(!store.is_trusted(&accepted));
    }

    #[test]
    fn hidden_characters_are_shown() {
        let text = "echo ü \u{1b}[2K\r\n\trm\u{202e}x\u{200b}\u{9b}\u{7f}";
        assert_eq!(
            Visible(text).to_string(),
            "echo ü \\u{1b}[2K\\r\\n\\trm\\u{202e}x\\u{200b}\\u{9b}\\u{7f}"
        );
    }
}
