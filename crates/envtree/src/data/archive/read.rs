//! Reads archives: every chunk is compared with its seal, and every entry looked at, before anybody relies on it.

use std::io::{BufRead, BufReader, Read};

use envtree_core::archive::entry::{Entry, padding};
use envtree_core::archive::folders::Folders;
use envtree_core::archive::{ArchiveFault, DIGESTS, Digests, MANIFEST, Manifest, VolumeDigest, folder};
use sha2::{Digest, Sha256};

use super::Broken;
use super::entries::{Entries, Next};
use super::frame::{Frame, Part, Seal, Sum, begins_well, broken};
use crate::state::hexadecimal;

/// The most bytes of the first and the last entry.
const LONGEST_TEXT: u64 = 16 * 1024 * 1024;
/// The bytes of content that are read at once.
const PIECE: usize = 128 * 1024;

/// Who is given what an archive holds.
pub(super) trait Receive {
    /// Takes what the archive says of itself; `identity` tells it from every other archive.
    fn manifest(&mut self, manifest: Manifest, identity: Sum) -> Result<(), Broken>;
    /// Takes the beginning of a chunk: from here to its end comes a tar archive of its own.
    fn begin(&mut self) -> Result<(), Broken>;
    /// Takes more of the chunk. None of it is known to be right before its end.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken>;
    /// Hears that so many bytes of files came with it.
    fn content(&mut self, bytes: u64);
    /// Takes the end of a chunk that is as it was written.
    fn end(&mut self, sum: Sum) -> Result<(), Broken>;
}

/// Reads an archive to its end.
pub(super) fn read_archive(reader: impl Read, receiver: &mut impl Receive) -> Result<(), Broken> {
    let mut reading = Reading {
        reader: BufReader::with_capacity(PIECE, reader),
        buffer: vec![0; PIECE],
        volumes: Vec::new(),
        found: Digests::default(),
        current: None,
    };
    let count = reading.manifest(receiver)?;
    reading.volumes = (0..count).map(folder).collect();
    while !reading.chunk(receiver)? {}
    Ok(())
}

struct Reading<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The folders of the volumes.
    volumes: Vec<String>,
    /// What the volumes came to that are complete.
    found: Digests,
    current: Option<Volume>,
}

/// A volume that is being read.
struct Volume {
    folders: Folders,
    chain: Sha256,
    bytes: u64,
    entries: u64,
}

impl<R: BufRead> Reading<R> {
    /// Reads the first chunk, and returns how many volumes follow.
    fn manifest(&mut self, receiver: &mut impl Receive) -> Result<usize, Broken> {
        if !begins_well(&mut self.reader)? {
            return Err(ArchiveFault::Foreign.into());
        }
        let mut entries = Entries::new(Frame::open(&mut self.reader)?);
        let text = match entries.next().map_err(told)? {
            Next::Entry(entry) if entry.path == MANIFEST.as_bytes() => {
                entries.text(LONGEST_TEXT).map_err(told)?
            }
            _ => return Err(ArchiveFault::Foreign.into()),
        };
        let Next::End = entries.next().map_err(told)? else {
            return Err(ArchiveFault::Altered.into());
        };
        let seal = entries.into_inner().close()?;
        if seal.part != Part::Manifest {
            return Err(ArchiveFault::Altered.into());
        }
        let manifest = Manifest::parse(&text)?;
        let count = manifest.volumes.len();
        receiver.manifest(manifest, seal.plain.sum)?;
        Ok(count)
    }

    /// Reads the next chunk; returns whether it was the last.
    fn chunk(&mut self, receiver: &mut impl Receive) -> Result<bool, Broken> {
        let mut entries = Entries::new(Frame::open(&mut self.reader)?);
        let first = match entries.next().map_err(told) {
            Ok(Next::Entry(first)) => first,
            other => {
                let altered = Err(ArchiveFault::Altered.into());
                return sealed(entries, other.and(altered)).map(|(is_last, _)| is_last);
            }
        };
        if first.path == DIGESTS.as_bytes() {
            let text = last_text(&mut entries);
            let (text, seal) = sealed(entries, text)?;
            self.end(&text, &seal)?;
            return Ok(true);
        }
        let next = self.found.volumes.len() + usize::from(self.current.is_some());
        let finished = self.volumes.get(next).filter(|root| root.as_bytes() == first.path).and_then(|root| {
            let volume = Volume { folders: Folders::new(root), chain: Sha256::new(), bytes: 0, entries: 0 };
            self.current.replace(volume)
        });
        self.found.volumes.extend(finished.map(Volume::digest));
        let Some(volume) = &mut self.current else {
            let reason = "does not lie in a volume";
            let outside = ArchiveFault::Entry { path: first.shown(), reason };
            return sealed(entries, Err(outside.into())).map(|(is_last, _)| is_last);
        };
        let outcome = volume.take_all(first, &mut entries, &mut self.buffer, receiver);
        let ((), seal) = sealed(entries, outcome)?;
        if seal.part != Part::Volume {
            return Err(ArchiveFault::Altered.into());
        }
        volume.chain.update(seal.plain.sum);
        receiver.end(seal.plain.sum)?;
        Ok(false)
    }

    /// Compares all that was read with what the end says of it; nothing may follow.
    fn end(&mut self, text: &[u8], seal: &Seal) -> Result<(), Broken> {
        self.found.volumes.extend(self.current.take().map(Volume::digest));
        let wanted: Option<Digests> = serde_json::from_slice(text).ok();
        let is_whole = self.found.volumes.len() == self.volumes.len();
        let is_end = self.reader.fill_buf().map_err(Broken::Read)?.is_empty();
        if seal.part == Part::Digests && wanted.as_ref() == Some(&self.found) && is_whole && is_end {
            Ok(())
        } else {
            Err(ArchiveFault::Altered.into())
        }
    }
}

impl Volume {
    /// Hands a chunk on as an archive of its own.
    fn take_all<R: BufRead>(
        &mut self,
        first: Entry,
        entries: &mut Entries<Frame<R>>,
        buffer: &mut [u8],
        receiver: &mut impl Receive,
    ) -> Result<(), Broken> {
        receiver.begin()?;
        // What changes in a folder changes its time: those that are open are told again, and set in the end.
        for open in self.folders.open() {
            receiver.bytes(&open.headers())?;
        }
        let mut next = Some(first);
        while let Some(entry) = next {
            self.take(&entry, entries, buffer, receiver)?;
            next = match entries.next().map_err(told)? {
                Next::Entry(entry) => Some(entry),
                Next::End => None,
                Next::Special(path) => {
                    return Err(ArchiveFault::Entry { path, reason: "is a device or a pipe" }.into());
                }
                Next::Zeros => return Err(ArchiveFault::Altered.into()),
            };
        }
        receiver.bytes(&[0; 1024])
    }

    /// Hands an entry on with its content.
    fn take<R: BufRead>(
        &mut self,
        entry: &Entry,
        entries: &mut Entries<Frame<R>>,
        buffer: &mut [u8],
        receiver: &mut impl Receive,
    ) -> Result<(), Broken> {
        self.folders.admit(entry)?;
        self.entries += 1;
        receiver.bytes(&entry.headers())?;
        loop {
            let length = entries.content(buffer).map_err(told)?;
            if length == 0 {
                break;
            }
            self.bytes += length as u64;
            receiver.bytes(&buffer[..length])?;
            receiver.content(length as u64);
        }
        receiver.bytes(&[0; 512][..padding(entry.size())])
    }

    fn digest(self) -> VolumeDigest {
        let Self { chain, bytes, entries, .. } = self;
        VolumeDigest { sha256: hexadecimal(&chain.finalize()), bytes, entries }
    }
}

/// Reads the last file and the zeros behind it.
fn last_text<R: BufRead>(entries: &mut Entries<Frame<R>>) -> Result<Vec<u8>, Broken> {
    let text = entries.text(LONGEST_TEXT).map_err(told)?;
    for _ in 0..2 {
        let Next::Zeros = entries.next().map_err(told)? else {
            return Err(ArchiveFault::Altered.into());
        };
    }
    match entries.next().map_err(told)? {
        Next::End => Ok(text),
        _ => Err(ArchiveFault::Altered.into()),
    }
}

/// Returns what was read of a chunk, and its seal. What is wrong with a chunk that is not as it was written comes of that.
fn sealed<R: BufRead, T>(
    entries: Entries<Frame<R>>,
    outcome: Result<T, Broken>,
) -> Result<(T, Seal), Broken> {
    match outcome {
        Ok(read) => Ok((read, entries.into_inner().close()?)),
        Err(Broken::Fault(fault)) => {
            entries.into_inner().close()?;
            Err(fault.into())
        }
        Err(other) => Err(other),
    }
}

/// Returns what a failure to read an entry means: what the frame says of it comes first.
fn told(error: Broken) -> Broken {
    match error {
        Broken::Read(error) => broken(error),
        other => other,
    }
}
