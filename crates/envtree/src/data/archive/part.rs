//! What an export that was cut off left of its archive.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::Path;

use envtree_core::archive::entry::Entry;
use envtree_core::archive::{MANIFEST, Manifest};

use super::Broken;
use super::entries::{Entries, Next};
use super::frame::{Frame, Part, Seal};
use crate::data::DataError;
use crate::state::file::is_current;

/// The manifest and the chunks of volumes that are whole.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) manifest: Manifest,
    pub(super) head: Seal,
    pub(super) chunks: Vec<Seal>,
}

impl Kept {
    /// Returns how many bytes of the file are whole.
    pub(super) fn length(&self) -> u64 {
        self.head.length() + self.chunks.iter().map(Seal::length).sum::<u64>()
    }
}

/// Opens the file of an archive that is not whole yet, for this process alone.
pub(super) fn open(path: &Path) -> Result<File, DataError> {
    let shown = path.display().to_string();
    let failed = |source| DataError::ArchiveWrite { path: shown.clone(), source };
    loop {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(failed)?;
        match file.try_lock() {
            // Whoever held it may have given it its name.
            Ok(()) if is_current(&file, path).map_err(failed)? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::ArchiveBusy { path: shown }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Returns what of the file is whole, and leaves it open behind that; nothing if it is not of the same data.
pub(super) fn kept(file: &File, wanted: &Manifest) -> io::Result<Option<Kept>> {
    let mut start = file;
    start.seek(SeekFrom::Start(0))?;
    let kept = scan(BufReader::new(file)).filter(|kept| kept.manifest.is_of_the_same(wanted));
    cut(file, kept.as_ref().map_or(0, Kept::length))?;
    Ok(kept)
}

/// Cuts the file off, and goes on there.
pub(super) fn cut(mut file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    Ok(())
}

fn scan(mut reader: BufReader<&File>) -> Option<Kept> {
    let mut entries = Entries::new(Frame::open(&mut reader).ok()?);
    let Ok(Next::Entry(Entry { path, .. })) = entries.next() else { return None };
    let text = entries.text(1 << 24).ok().filter(|_| path == MANIFEST.as_bytes())?;
    let head = entries.into_inner().close().ok().filter(|seal| seal.part == Part::Manifest)?;
    let mut kept = Kept { manifest: Manifest::parse(&text).ok()?, head, chunks: Vec::new() };
    let mut chunk = || -> Result<Seal, Broken> { Frame::open(&mut reader)?.close() };
    while let Some(seal) = chunk().ok().filter(|seal| seal.part == Part::Volume) {
        kept.chunks.push(seal);
    }
    Some(kept)
}
