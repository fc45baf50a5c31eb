//! An entry of an archive, and how it is written: as `ustar` has it, with records of `pax` for what does not fit.

use super::header::{BLOCK, FILE, FOLDER, HARD_LINK, Header, LARGEST, LARGEST_ID, RECORDS, SYMLINK, XATTR};

/// A file, folder or link of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies in the archive, without a `/` at either end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The permission bits, those above `0o777` included.
    pub mode: u32,
    /// Seconds since 1970 when it was last changed.
    pub seconds: i64,
    /// Its extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File {
        /// Its bytes, which follow.
        size: u64,
    },
    /// A folder.
    Folder,
    /// A symlink.
    Symlink {
        /// What it says, which may lead anywhere.
        target: Vec<u8>,
    },
    /// Another name of a file that came before.
    HardLink {
        /// Where that lies in the archive.
        target: Vec<u8>,
    },
}

impl Entry {
    /// Returns the bytes of content that follow the entry's headers, without the padding.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Returns the path for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Returns the headers of the entry. Its content follows, and [`padding`].
    pub fn headers(&self) -> Vec<u8> {
        let (kind, link): (u8, &[u8]) = match &self.kind {
            Kind::File { .. } => (FILE, &[]),
            Kind::Folder => (FOLDER, &[]),
            Kind::Symlink { target } => (SYMLINK, target),
            Kind::HardLink { target } => (HARD_LINK, target),
        };
        let mut path = self.path.clone();
        if kind == FOLDER {
            path.push(b'/');
        }
        let header = Header {
            path,
            link: link.to_vec(),
            kind,
            mode: self.mode,
            uid: self.uid.into(),
            gid: self.gid.into(),
            size: self.size(),
            seconds: self.seconds,
        };
        let mut records = records(&header);
        for (name, value) in &self.xattrs {
            push_record(&mut records, &[XATTR, name].concat(), value);
        }
        let mut headers = Vec::new();
        if !records.is_empty() {
            let size = records.len() as u64;
            let of_records = Header {
                path: b"PaxHeaders".to_vec(),
                kind: RECORDS,
                size,
                mode: 0o644,
                ..Header::default()
            };
            headers.extend_from_slice(&of_records.block());
            headers.extend_from_slice(&records);
            headers.resize(headers.len() + padding(size), 0);
        }
        headers.extend_from_slice(&header.block());
        headers
    }
}

/// Returns how many zeros follow content of `size` bytes.
pub fn padding(size: u64) -> usize {
    // What is left is less than a block.
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or(0)
}

/// Returns the records for what the fields of a header are too short for.
fn records(header: &Header) -> Vec<u8> {
    let mut records = Vec::new();
    for (key, value) in [("path", &header.path), ("linkpath", &header.link)] {
        if value.len() > Header::LONGEST {
            push_record(&mut records, key.as_bytes(), value);
        }
    }
    for (key, number, largest) in
        [("uid", header.uid, LARGEST_ID), ("gid", header.gid, LARGEST_ID), ("size", header.size, LARGEST)]
    {
        if number > largest {
            push_record(&mut records, key.as_bytes(), number.to_string().as_bytes());
        }
    }
    if u64::try_from(header.seconds).map_or(true, |seconds| seconds > LARGEST) {
        push_record(&mut records, b"mtime", header.seconds.to_string().as_bytes());
    }
    records
}

/// Adds `length key=value\n`, where the length counts its own digits.
fn push_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}
