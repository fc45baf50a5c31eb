//! A chunk of an archive: a zstd frame, and behind it a seal, which is a frame that every other program skips.

use std::io::{self, BufRead, Read, Write};

use envtree_core::archive::ArchiveFault;
use sha2::{Digest, Sha256};
use zstd::stream::{read::Decoder, write::Encoder};

use super::Broken;

/// What a frame begins with that programs skip.
const SKIPPED: [u8; 4] = 0x184D_2A5E_u32.to_le_bytes();
/// What a frame of data begins with.
const FRAME: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// What a seal begins with.
const TAG: &[u8; 7] = b"envtree";
/// The bytes of a seal, with those that programs skip it by.
pub(super) const SEAL: usize = 8 + TAG.len() + 1 + 2 * (8 + 32);
/// Fast, and not much larger than what takes several times as long.
const LEVEL: i32 = 3;
/// The binary logarithm of the memory that a frame may ask its reader for.
const WINDOW: u32 = 24;

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// What a chunk is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Manifest = b'm' as isize,
    Volume = b'v' as isize,
    Digests = b'd' as isize,
}

/// What stands behind a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) part: Part,
    /// The frame as it is written: its bytes and their digest.
    pub(super) packed: Tally,
    /// What it holds: its bytes and their digest.
    pub(super) plain: Tally,
}

/// So many bytes, and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) sum: Sum,
}

/// A tally that goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallying {
    bytes: u64,
    digest: Sha256,
}

impl Tallying {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn tally(self) -> Tally {
        Tally { bytes: self.bytes, sum: self.digest.finalize().into() }
    }
}

impl Seal {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SKIPPED.to_vec();
        let length = u32::try_from(SEAL - 8).expect("a seal is short");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(TAG);
        bytes.push(self.part as u8);
        for tally in [&self.packed, &self.plain] {
            bytes.extend_from_slice(&tally.bytes.to_le_bytes());
            bytes.extend_from_slice(&tally.sum);
        }
        bytes
    }

    /// Returns the bytes of the chunk in the archive, those of the seal among them.
    pub(super) fn length(&self) -> u64 {
        self.packed.bytes + SEAL as u64
    }
}

/// A chunk that is being written.
pub(super) struct Packer {
    encoder: Encoder<'static, Vec<u8>>,
    plain: Tallying,
    packed: Tallying,
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let encoder = Encoder::new(Vec::new(), LEVEL)?;
        Ok(Self { encoder, plain: Tallying::default(), packed: Tallying::default() })
    }

    /// Returns the bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.plain.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8], output: &mut impl Write) -> io::Result<()> {
        self.plain.add(bytes);
        self.encoder.write_all(bytes)?;
        let packed = self.encoder.get_mut();
        self.packed.add(packed);
        output.write_all(packed)?;
        packed.clear();
        Ok(())
    }

    /// Ends the chunk, and returns what stands behind it.
    pub(super) fn seal(mut self, part: Part, output: &mut impl Write) -> io::Result<Seal> {
        let rest = self.encoder.finish()?;
        self.packed.add(&rest);
        output.write_all(&rest)?;
        let seal = Seal { part, packed: self.packed.tally(), plain: self.plain.tally() };
        output.write_all(&seal.to_bytes())?;
        Ok(seal)
    }
}

/// A chunk that is being read.
pub(super) struct Frame<R: BufRead> {
    decoder: Decoder<'static, Watched<R>>,
    plain: Tallying,
}

impl<R: BufRead> Frame<R> {
    /// Begins to read a chunk; the end of the stream is told by an archive's missing end.
    pub(super) fn open(mut reader: R) -> Result<Self, Broken> {
        if reader.fill_buf().map_err(Broken::Read)?.is_empty() {
            return Err(ArchiveFault::Truncated.into());
        }
        let reader = Watched { reader, packed: Tallying::default(), has_failed: false };
        let mut decoder = Decoder::with_buffer(reader).map_err(Broken::Read)?.single_frame();
        decoder.window_log_max(WINDOW).map_err(Broken::Read)?;
        Ok(Self { decoder, plain: Tallying::default() })
    }

    /// Reads what is left of the chunk, and the seal; refuses a chunk that is not what the seal says.
    pub(super) fn close(mut self) -> Result<Seal, Broken> {
        let mut rest = vec![0; 64 * 1024];
        while self.read(&mut rest).map_err(broken)? > 0 {}
        let Watched { mut reader, packed, .. } = self.decoder.finish();
        let mut found = vec![0; SEAL];
        reader.read_exact(&mut found).map_err(broken)?;
        let part = match found[8 + TAG.len()] {
            b'm' => Part::Manifest,
            b'v' => Part::Volume,
            b'd' => Part::Digests,
            _ => return Err(ArchiveFault::Altered.into()),
        };
        let seal = Seal { part, packed: packed.tally(), plain: self.plain.tally() };
        if seal.to_bytes() == found { Ok(seal) } else { Err(ArchiveFault::Altered.into()) }
    }
}

impl<R: BufRead> Read for Frame<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(buffer) {
            Ok(length) => {
                self.plain.add(&buffer[..length]);
                Ok(length)
            }
            Err(error) if self.decoder.get_ref().has_failed => Err(error),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(io::Error::other(ArchiveFault::Truncated))
            }
            Err(_) => Err(io::Error::other(ArchiveFault::Altered)),
        }
    }
}

/// Returns what a failed read of a chunk means.
pub(super) fn broken(error: io::Error) -> Broken {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ArchiveFault::Truncated.into();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ArchiveFault>()) {
        Some(fault) => fault.clone().into(),
        None => Broken::Read(error),
    }
}

/// Returns whether a stream begins as an archive does.
pub(super) fn begins_well(reader: &mut impl BufRead) -> Result<bool, Broken> {
    let begin = reader.fill_buf().map_err(Broken::Read)?;
    Ok(begin.starts_with(&FRAME[..begin.len().clamp(1, FRAME.len())]))
}

/// What a decoder reads, and only that.
struct Watched<R> {
    reader: R,
    packed: Tallying,
    has_failed: bool,
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.has_failed = true;
        let buffered = self.reader.fill_buf()?;
        self.has_failed = false;
        Ok(buffered)
    }

    fn consume(&mut self, length: usize) {
        // What is buffered needs no reading.
        if let Ok(buffered) = self.reader.fill_buf() {
            self.packed.add(&buffered[..length]);
        }
        self.reader.consume(length);
    }
}
