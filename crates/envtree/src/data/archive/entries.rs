//! The entries of a tar stream, one after the other.

use std::io::{self, Read};

use envtree_core::archive::ArchiveFault;
use envtree_core::archive::entry::{Entry, padding};
use envtree_core::archive::header::{BLOCK, Header, LONGEST_RECORDS, Records, parse_records};

use super::Broken;

/// What comes next in a tar stream.
pub(super) enum Next {
    /// An entry, whose content is read before the next one.
    Entry(Entry),
    /// What is neither file, folder nor link, by its path; only where such things are looked over.
    Special(String),
    /// The zeros that end an archive.
    Zeros,
    /// The end of the stream.
    End,
}

/// The entries of a tar stream.
pub(super) struct Entries<R> {
    reader: R,
    /// What is left of the content of the last entry.
    left: u64,
    /// The zeros behind it.
    padding: usize,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0 }
    }

    pub(super) fn into_inner(self) -> R {
        self.reader
    }

    /// Returns what comes next; the content of the last entry has been read.
    pub(super) fn next(&mut self) -> Result<Next, Broken> {
        let mut records = Records::new();
        let mut zeros = [0; BLOCK];
        self.reader.read_exact(&mut zeros[..self.padding]).map_err(cut_off)?;
        self.padding = 0;
        loop {
            let Some(block) = self.block()? else {
                return if records.is_empty() { Ok(Next::End) } else { Err(ArchiveFault::Truncated.into()) };
            };
            let Some(header) = Header::parse(&block)? else {
                return if records.is_empty() { Ok(Next::Zeros) } else { Err(ArchiveFault::Foreign.into()) };
            };
            if header.is_special() {
                return Ok(Next::Special(header.shown()));
            }
            if let Some(size) = header.records() {
                records.extend(self.records(size)?);
                continue;
            }
            let entry = header.entry(records)?;
            self.left = entry.size();
            self.padding = padding(self.left);
            return Ok(Next::Entry(entry));
        }
    }

    /// Reads more of the content of the last entry into `buffer`; nothing once it is read.
    pub(super) fn content(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.reader.read(&mut buffer[..wanted]).map_err(Broken::Read)?;
        if length == 0 {
            return Err(ArchiveFault::Truncated.into());
        }
        self.left -= length as u64;
        Ok(length)
    }

    /// Reads the content of the last entry, of at most `longest` bytes.
    pub(super) fn text(&mut self, longest: u64) -> Result<Vec<u8>, Broken> {
        if self.left > longest {
            return Err(ArchiveFault::Foreign.into());
        }
        let mut text = vec![0; usize::try_from(self.left).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < text.len() {
            filled += self.content(&mut text[filled..])?;
        }
        Ok(text)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Broken> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut block[filled..]).map_err(Broken::Read)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(ArchiveFault::Truncated.into()),
                length => filled += length,
            }
        }
        Ok(Some(block))
    }

    fn records(&mut self, size: u64) -> Result<Records, Broken> {
        if size > LONGEST_RECORDS {
            return Err(ArchiveFault::Foreign.into());
        }
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut text = vec![0; length + padding(size)];
        self.reader.read_exact(&mut text).map_err(cut_off)?;
        Ok(parse_records(&text[..length])?)
    }
}

fn cut_off(error: io::Error) -> Broken {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveFault::Truncated.into(),
        _ => Broken::Read(error),
    }
}
