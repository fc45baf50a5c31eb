//! Writes archives: whole entries into chunks, which are the same for the same data.

use std::collections::VecDeque;
use std::io::{Read, Write};

use envtree_core::archive::entry::{Entry, Kind, padding};
use envtree_core::archive::{ArchiveFault, DIGESTS, Digests, MANIFEST, Manifest, VOLUMES, VolumeDigest};
use sha2::{Digest, Sha256};

use super::Broken;
use super::entries::{Entries, Next};
use super::frame::{Packer, Part, Seal, Tallying};
use crate::state::hexadecimal;

/// The bytes of content that are written at once.
const PIECE: usize = 128 * 1024;

/// An archive that is being written.
pub(super) struct ArchiveWriter<W> {
    output: W,
    /// How many bytes make a chunk.
    limit: u64,
    /// The chunks that an earlier attempt wrote and that are still to be compared.
    kept: VecDeque<Seal>,
    chunk: Option<Chunk>,
    digests: Digests,
    written: Written,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    /// The bytes of the archive.
    pub(super) size: u64,
    /// The bytes of the files.
    pub(super) bytes: u64,
    /// The chunks of volumes.
    pub(super) chunks: usize,
    /// Those of them that were there.
    pub(super) kept: usize,
}

enum Chunk {
    Writing(Box<Packer>),
    /// It is there already: what would be written is looked at alone.
    Kept(Tallying),
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive.
    pub(super) fn new(output: W, limit: u64, manifest: &Manifest) -> Result<Self, Broken> {
        let mut writer = Self::going_on(output, limit, Vec::new(), 0);
        let text = serde_json::to_vec_pretty(manifest).expect("a manifest has text keys");
        writer.written.size += writer.write_text(MANIFEST, &text, &[], Part::Manifest)?;
        Ok(writer)
    }

    /// Goes on behind the manifest and the chunks that are there, which are `size` bytes.
    pub(super) fn going_on(output: W, limit: u64, kept: Vec<Seal>, size: u64) -> Self {
        let written = Written { size, ..Written::default() };
        Self { output, limit, kept: kept.into(), chunk: None, digests: Digests::default(), written }
    }

    /// Writes a volume out of a tar stream in which it lies in a folder that has its number. `tell` is told how many bytes
    /// came so far. Returns what was left out, which is neither file, folder nor link.
    pub(super) fn volume(
        &mut self,
        stream: impl Read,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Vec<String>, Broken> {
        let before = self.written.bytes;
        let mut entries = Entries::new(stream);
        let (mut count, mut chain) = (0, Sha256::new());
        let (mut buffer, mut left_out) = (vec![0; PIECE], Vec::new());
        loop {
            let entry = match entries.next()? {
                Next::Entry(entry) => below_volumes(entry),
                Next::Special(path) => {
                    left_out.push(path);
                    continue;
                }
                Next::Zeros => break,
                Next::End => return Err(ArchiveFault::Truncated.into()),
            };
            let headers = entry.headers();
            let size = entry.size();
            self.make_room(headers.len() as u64 + size + padding(size) as u64, &mut chain)?;
            self.put(&headers)?;
            loop {
                let length = entries.content(&mut buffer)?;
                if length == 0 {
                    break;
                }
                self.put(&buffer[..length])?;
                self.written.bytes += length as u64;
                tell(self.written.bytes);
            }
            self.put(&[0; 512][..padding(size)])?;
            count += 1;
        }
        self.end_chunk(&mut chain)?;
        self.digests.volumes.push(VolumeDigest {
            sha256: hexadecimal(&chain.finalize()),
            bytes: self.written.bytes - before,
            entries: count,
        });
        Ok(left_out)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<(W, Written), Broken> {
        if !self.kept.is_empty() {
            return Err(Broken::Differs(self.written.chunks));
        }
        let text = serde_json::to_vec_pretty(&self.digests).expect("digests have text keys");
        self.written.size += self.write_text(DIGESTS, &text, &[0; 1024], Part::Digests)?;
        self.output.flush().map_err(Broken::Write)?;
        Ok((self.output, self.written))
    }

    /// Writes a chunk with one small file, and what follows it.
    fn write_text(&mut self, name: &str, text: &[u8], rest: &[u8], part: Part) -> Result<u64, Broken> {
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            kind: Kind::File { size: text.len() as u64 },
            uid: 0,
            gid: 0,
            mode: 0o644,
            seconds: 0,
            xattrs: Vec::new(),
        };
        let mut packer = Packer::new().map_err(Broken::Write)?;
        for bytes in [&entry.headers(), text, &[0; 512][..padding(entry.size())], rest] {
            packer.write(bytes, &mut self.output).map_err(Broken::Write)?;
        }
        Ok(packer.seal(part, &mut self.output).map_err(Broken::Write)?.length())
    }

    /// Begins another chunk unless `size` more bytes fit into this one.
    fn make_room(&mut self, size: u64, chain: &mut Sha256) -> Result<(), Broken> {
        let bytes = match &self.chunk {
            Some(Chunk::Writing(packer)) => packer.bytes(),
            Some(Chunk::Kept(tallying)) => tallying.bytes(),
            None => 0,
        };
        if bytes > 0 && bytes + size > self.limit {
            self.end_chunk(chain)?;
        }
        if self.chunk.is_none() {
            self.chunk = Some(if self.kept.is_empty() {
                Chunk::Writing(Box::new(Packer::new().map_err(Broken::Write)?))
            } else {
                Chunk::Kept(Tallying::default())
            });
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.chunk {
            Some(Chunk::Writing(packer)) => {
                packer.write(bytes, &mut self.output).map_err(Broken::Write)?;
            }
            Some(Chunk::Kept(tallying)) => tallying.add(bytes),
            None => {}
        }
        Ok(())
    }

    fn end_chunk(&mut self, chain: &mut Sha256) -> Result<(), Broken> {
        let plain = match self.chunk.take() {
            None => return Ok(()),
            Some(Chunk::Writing(packer)) => {
                let seal = packer.seal(Part::Volume, &mut self.output).map_err(Broken::Write)?;
                self.written.size += seal.length();
                seal.plain
            }
            Some(Chunk::Kept(tallying)) => {
                let plain = tallying.tally();
                if self.kept.pop_front().is_none_or(|seal| seal.plain != plain) {
                    return Err(Broken::Differs(self.written.chunks));
                }
                self.written.kept += 1;
                plain
            }
        };
        chain.update(plain.sum);
        self.written.chunks += 1;
        Ok(())
    }
}

/// Returns an entry of a volume's folder as it is called in an archive.
fn below_volumes(mut entry: Entry) -> Entry {
    let below = |path: &[u8]| [VOLUMES.as_bytes(), b"/", path].concat();
    entry.path = below(&entry.path);
    if let Kind::HardLink { target } = &mut entry.kind {
        *target = below(target);
    }
    entry
}
