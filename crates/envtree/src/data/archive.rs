//! Archives of bases and snapshots: a tar stream in chunks, each a zstd frame of its own with a seal behind it.
//!
//! A chunk is a run of whole entries of one volume. What a seal says of its chunk is looked at when it is read, so that a
//! command which was cut off goes on behind the last chunk that is whole.

mod entries;
mod export;
mod frame;
mod handing;
mod import;
mod part;
mod read;
mod unfinished;
mod write;

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use envtree_core::archive::ArchiveFault;
use tokio::sync::mpsc;

use super::DataError;

pub use export::{ArchiveTarget, ExportOptions, ExportedData};
pub use import::{ArchiveSource, ImportedData};
pub(crate) use unfinished::UnfinishedImport;

/// How many bytes of an archive's content make a chunk, unless a single file is larger.
pub const CHUNK: u64 = 64 * 1024 * 1024;

/// How often it is told how far an archive has come.
const TOLD: Duration = Duration::from_millis(200);

/// Why an archive was not read or written to its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// It is not as it should be.
    #[error(transparent)]
    Fault(#[from] ArchiveFault),
    /// It could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It could not be written.
    #[error("cannot write it")]
    Write(#[source] io::Error),
    /// What was kept of an earlier attempt is of other data, from this chunk on.
    #[error("chunk {0} is of other data")]
    Differs(usize),
    /// Nobody wants the rest any more.
    #[error("nobody wants the rest")]
    Gone,
}

impl Broken {
    /// Returns what went wrong with the archive that people know as `path`.
    fn of(self, path: &str) -> DataError {
        let path = path.to_owned();
        match self {
            Self::Fault(source) => DataError::Archive { path, source },
            Self::Read(source) => DataError::ArchiveRead { path, source },
            Self::Write(source) => DataError::ArchiveWrite { path, source },
            Self::Differs(_) => DataError::Archive { path, source: ArchiveFault::Altered },
            Self::Gone => DataError::ArchiveRead { path, source: io::ErrorKind::Interrupted.into() },
        }
    }
}

/// The bytes that arrive in a channel, read by a thread that may wait for them.
struct Arriving {
    pieces: mpsc::Receiver<bytes::Bytes>,
    piece: bytes::Bytes,
}

impl Arriving {
    fn new(pieces: mpsc::Receiver<bytes::Bytes>) -> Self {
        Self { pieces, piece: bytes::Bytes::new() }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// Returns the path of what is written until an archive is whole.
fn part_of(path: &std::path::Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
