//! JSON documents with a version, changed by one process at a time and rebuilt when they are broken.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::file::{self, FileError};
use super::lock::{Lock, LockOptions};
use super::{StateDirectory, StateError};

/// A document of the state directory.
pub(crate) trait Document:
    Serialize + DeserializeOwned + Default + Clone + PartialEq + Send + 'static
{
    /// The name of its file.
    const FILE: &'static str;
    /// The version that this program writes, and the newest that it reads.
    const VERSION: u64;
}

/// Something that the person should hear about, although the work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A file could not be understood; it was kept under another name, and the work goes on without its content.
    SetAside {
        /// The file.
        path: PathBuf,
        /// Where it is now; `None` if another process was busy with it and will set it aside.
        kept_as: Option<PathBuf>,
        /// Why it could not be understood.
        damage: Damage,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::SetAside { path, kept_as, damage } = self;
        write!(formatter, "`{}` could not be understood ({damage})", path.display())?;
        match kept_as {
            Some(kept_as) => write!(formatter, "; it was kept as `{}`", kept_as.display()),
            None => formatter.write_str("; another process is busy with it"),
        }
    }
}

/// Why a document could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is truncated, or another program's.
    #[error("not a document of envtree: {0}")]
    Foreign(String),
    /// A newer envtree wrote it.
    #[error("version {found}, and this envtree reads {known}")]
    Newer {
        /// The version of the file.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
}

/// A value read from the state directory, and what was noticed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The value.
    pub value: T,
    /// What the person should hear about.
    pub notices: Vec<Notice>,
}

#[derive(Deserialize)]
struct Head {
    version: u64,
}

/// The version taken away, so that a document which keeps unknown keys does not keep it as one of them.
#[derive(Deserialize)]
struct Body<D> {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(flatten)]
    content: D,
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    version: u64,
    #[serde(flatten)]
    content: &'a D,
}

/// Reads the document without a lock: what it returns was true at one instant.
///
/// A broken file is set aside only if the lock is free at once.
pub(crate) fn load<D: Document>(directory: &StateDirectory) -> Result<Loaded<D>, StateError> {
    let path = directory.path().join(D::FILE);
    let damage = match parse::<D>(&path)? {
        Ok(value) => {
            return Ok(Loaded { value, notices: Vec::new() });
        }
        Err(damage) => damage,
    };
    let lock = if directory.is_left_alone { None } else { directory.try_lock_state()? };
    match lock {
        // The file is read again: the former holder may have rebuilt it.
        Some(_lock) => load_or_set_aside(&path),
        None => Ok(Loaded {
            value: D::default(),
            notices: vec![Notice::SetAside { path, kept_as: None, damage }],
        }),
    }
}

/// Reads the document without a lock, or returns why it cannot be understood; the file stays as it is.
pub(crate) fn peek<D: Document>(directory: &StateDirectory) -> Result<Result<D, Damage>, StateError> {
    Ok(parse(&directory.path().join(D::FILE))?)
}

/// Applies `change` to the document while no other process can, and stores the outcome unless it is an error.
///
/// The lock is released only after the new content is on the disk, even if the returned future is dropped before.
pub(crate) async fn update<D: Document, T, E: From<StateError>>(
    directory: &StateDirectory,
    options: &LockOptions<'_>,
    change: impl FnOnce(&mut D) -> Result<T, E>,
) -> Result<Loaded<T>, E> {
    let lock = directory.lock_state(options).await.map_err(StateError::from)?;
    let path = directory.path().join(D::FILE);
    let place = path.clone();
    let (loaded, lock) = in_background(move || (load_or_set_aside::<D>(&place), lock)).await;
    let Loaded { value: before, notices } = loaded?;
    let mut after = before.clone();
    let value = change(&mut after)?;
    if after != before {
        in_background(move || store(&path, &after, lock)).await?;
    }
    Ok(Loaded { value, notices })
}

fn load_or_set_aside<D: Document>(path: &Path) -> Result<Loaded<D>, StateError> {
    match parse(path)? {
        Ok(value) => Ok(Loaded { value, notices: Vec::new() }),
        Err(damage) => {
            let kept_as = Some(file::set_aside(path, Timestamp::now())?);
            let path = path.to_owned();
            Ok(Loaded { value: D::default(), notices: vec![Notice::SetAside { path, kept_as, damage }] })
        }
    }
}

fn parse<D: Document>(path: &Path) -> Result<Result<D, Damage>, FileError> {
    Ok(match file::read(path)? {
        None => Ok(D::default()),
        Some(content) => parse_content(&content),
    })
}

fn parse_content<D: Document>(content: &[u8]) -> Result<D, Damage> {
    let foreign = |error: serde_json::Error| Damage::Foreign(error.to_string());
    let head: Head = serde_json::from_slice(content).map_err(foreign)?;
    match head.version {
        0 => Err(Damage::Foreign("version 0".to_owned())),
        found if found > D::VERSION => Err(Damage::Newer { found, known: D::VERSION }),
        _ => serde_json::from_slice::<Body<D>>(content).map(|body| body.content).map_err(foreign),
    }
}

fn store<D: Document>(path: &Path, content: &D, lock: Lock) -> Result<(), StateError> {
    let envelope = Envelope { version: D::VERSION, content };
    let mut text = serde_json::to_vec_pretty(&envelope)
        .map_err(|source| StateError::Encode { path: path.to_owned(), source })?;
    text.push(b'\n');
    file::replace(path, &text)?;
    drop(lock);
    Ok(())
}

/// Runs `work` where it may wait for the disk: flushing a file can take seconds beside a large checkout.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
