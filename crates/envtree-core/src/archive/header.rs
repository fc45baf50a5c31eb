//! The blocks of a tar archive that say what follows them, and the records of `pax` that amend them.

use super::ArchiveFault;
use super::entry::{Entry, Kind};

/// The size of the blocks that an archive is made of.
pub const BLOCK: usize = 512;
/// The most bytes of records that an entry may have: paths and attributes are shorter.
pub const LONGEST_RECORDS: u64 = 1024 * 1024;

/// The kind of a header whose content is records that amend the next one.
pub const RECORDS: u8 = b'x';
pub(super) const FILE: u8 = b'0';
pub(super) const HARD_LINK: u8 = b'1';
pub(super) const SYMLINK: u8 = b'2';
pub(super) const FOLDER: u8 = b'5';

/// What the key of a record begins with that holds an extended attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
/// The largest number in a field of eleven octal digits.
pub(super) const LARGEST: u64 = 0o77_777_777_777;
/// The largest number in a field of seven octal digits.
pub(super) const LARGEST_ID: u64 = 0o7_777_777;

/// Extended attributes that a file of a server may have. Others steer the kernel, such as those of overlays.
const ATTRIBUTES: [&[u8]; 3] =
    [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];

/// What the fields of a header say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) seconds: i64,
}

/// Records that amend a header: keys and values.
pub type Records = Vec<(Vec<u8>, Vec<u8>)>;

impl Header {
    /// The most bytes of a path that the fields hold.
    pub(super) const LONGEST: usize = 100;

    /// Reads a block; nothing if it is the zeros that end an archive.
    pub fn parse(block: &[u8; BLOCK]) -> Result<Option<Self>, ArchiveFault> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let number = |at: usize, length: usize| number(&block[at..at + length]).ok_or(ArchiveFault::Foreign);
        if number(148, 8)? != u64::from(sum(block)) {
            return Err(ArchiveFault::Foreign);
        }
        let text = |at: usize, length: usize| {
            let field = &block[at..at + length];
            field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        };
        let (mut path, prefix) = (text(0, Self::LONGEST), text(345, 155));
        if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            path = [&prefix, &b"/"[..], &path].concat();
        }
        Ok(Some(Self {
            path,
            link: text(157, Self::LONGEST),
            // Archives from before POSIX have a zero for a file.
            kind: if block[156] == 0 { FILE } else { block[156] },
            mode: u32::try_from(number(100, 8)? & 0o7777).unwrap_or_default(),
            uid: number(108, 8)?,
            gid: number(116, 8)?,
            size: number(124, 12)?,
            seconds: i64::try_from(number(136, 12)?).unwrap_or_default(),
        }))
    }

    /// Returns how long the records are that follow this header, if they do.
    pub fn records(&self) -> Option<u64> {
        (self.kind == RECORDS).then_some(self.size)
    }

    /// Returns the block; what does not fit is cut off, and told by a record.
    pub(super) fn block(&self) -> [u8; BLOCK] {
        let mut block = [0_u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.path[..self.path.len().min(Self::LONGEST)]);
        put(100, format!("{:07o}", self.mode & 0o7777).as_bytes());
        put(108, format!("{:07o}", within(self.uid, LARGEST_ID)).as_bytes());
        put(116, format!("{:07o}", within(self.gid, LARGEST_ID)).as_bytes());
        put(124, format!("{:011o}", within(self.size, LARGEST)).as_bytes());
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        put(136, format!("{:011o}", within(seconds, LARGEST)).as_bytes());
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(Self::LONGEST)]);
        put(257, b"ustar\x0000");
        let sum = sum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// Returns the entry of this header, amended by the records that came before it.
    ///
    /// Nothing of what an archive of data holds is a device, a socket or a pipe, and no path leads upwards.
    pub fn entry(mut self, records: Records) -> Result<Entry, ArchiveFault> {
        let mut xattrs = Vec::new();
        for (key, value) in records {
            match key.as_slice() {
                b"path" => self.path = value,
                b"linkpath" => self.link = value,
                b"uid" => self.uid = decimal(&value)?,
                b"gid" => self.gid = decimal(&value)?,
                b"size" => self.size = decimal(&value)?,
                b"mtime" => self.seconds = seconds(&value)?,
                key if key.starts_with(b"GNU.sparse.") => return Err(self.refused("has holes")),
                key => match key.strip_prefix(XATTR) {
                    Some(name) if name.starts_with(b"user.") || ATTRIBUTES.contains(&name) => {
                        xattrs.push((name.to_vec(), value));
                    }
                    Some(_) => return Err(self.refused("has an attribute that steers the kernel")),
                    None => {}
                },
            }
        }
        let refused = |reason| Err(self.refused(reason));
        let (Ok(uid), Ok(gid)) = (u32::try_from(self.uid), u32::try_from(self.gid)) else {
            return refused("belongs to nobody that there can be");
        };
        let mut path = self.path.clone();
        let kind = match self.kind {
            FILE => Kind::File { size: self.size },
            FOLDER => {
                path.truncate(path.len() - usize::from(path.ends_with(b"/")));
                Kind::Folder
            }
            SYMLINK if self.link.is_empty() || self.link.contains(&0) => return refused("leads nowhere"),
            SYMLINK => Kind::Symlink { target: self.link.clone() },
            HARD_LINK if !is_plain(&self.link) => return refused("is a link to what lies outside"),
            HARD_LINK => Kind::HardLink { target: self.link.clone() },
            b'3' | b'4' => return refused("is a device"),
            b'6' => return refused("is a pipe"),
            _ => return refused("is neither file, folder nor link"),
        };
        if !is_plain(&path) {
            return refused("does not lie in a volume");
        }
        if self.size != 0 && self.kind != FILE {
            return refused("has content, and is no file");
        }
        Ok(Entry { path, kind, uid, gid, mode: self.mode, seconds: self.seconds, xattrs })
    }

    /// Returns whether it is of a kind that no archive of data holds, though a volume may: a device or a pipe.
    pub fn is_special(&self) -> bool {
        matches!(self.kind, b'3' | b'4' | b'6')
    }

    /// Returns the path for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    fn refused(&self, reason: &'static str) -> ArchiveFault {
        ArchiveFault::Entry { path: self.shown(), reason }
    }
}

/// Reads records of the form `length key=value\n`, where the length counts its own digits.
pub fn parse_records(mut text: &[u8]) -> Result<Records, ArchiveFault> {
    let mut records = Records::new();
    while !text.is_empty() {
        let record = record(text).ok_or(ArchiveFault::Foreign)?;
        let (length, key, value) = record;
        records.push((key.to_vec(), value.to_vec()));
        text = &text[length..];
    }
    Ok(records)
}

fn record(text: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
    let body = text.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((length, &body[..equals], &body[equals + 1..]))
}

/// Returns whether a path is relative and leads downwards alone.
fn is_plain(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    !path.contains(&0) && path.split(|byte| *byte == b'/').all(is_name)
}

fn within(number: u64, largest: u64) -> u64 {
    if number > largest { 0 } else { number }
}

/// Returns the sum of a block's bytes, with blanks in the place of the sum itself.
fn sum(block: &[u8; BLOCK]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum()
}

/// Reads a field of octal digits, or of a binary number, which the first bit tells.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = [&[field[0] & 0x7f], &field[1..]].concat();
        return bytes.iter().try_fold(0_u64, |all, byte| Some(all.checked_mul(256)? + u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c: char| c == '\0' || c == ' ');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn decimal(text: &[u8]) -> Result<u64, ArchiveFault> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(ArchiveFault::Foreign)
}

/// Reads a time; parts of a second are left out, as Engines do.
fn seconds(text: &[u8]) -> Result<i64, ArchiveFault> {
    let text = std::str::from_utf8(text).map_err(|_| ArchiveFault::Foreign)?;
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().map_err(|_| ArchiveFault::Foreign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::entry::padding;
    use super::*;

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-z]{1,3}(/[a-z.]{2,9}x){0,3}".prop_map(String::into_bytes),
            "[a-zé]{40,60}(/[a-z\n=]{40,60}x){1,3}".prop_map(String::into_bytes),
            prop::collection::vec(128..=255_u8, 1..120),
        ]
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let number = || prop_oneof![0..3_u32, any::<u32>()];
        let size = prop_oneof![0..2_000_u64, LARGEST - 1..LARGEST + 3];
        let kind = prop_oneof![
            size.prop_map(|size| Kind::File { size }),
            Just(Kind::Folder),
            name().prop_map(|target| Kind::Symlink { target }),
            name().prop_map(|target| Kind::HardLink { target }),
        ];
        let seconds = prop_oneof![0..3_i64, -5_000_000_000..0_i64, 8_589_934_590..8_589_934_594_i64];
        let xattr =
            ("user\\.[a-z]{1,9}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..40));
        let xattrs = prop::collection::vec(xattr, 0..3);
        (name(), kind, number(), number(), 0..0o10_000_u32, seconds, xattrs).prop_map(
            |(path, kind, uid, gid, mode, seconds, xattrs)| Entry {
                path,
                kind,
                uid,
                gid,
                mode,
                seconds,
                xattrs,
            },
        )
    }

    /// Reads the headers of one entry.
    fn read(mut headers: &[u8]) -> Result<Entry, ArchiveFault> {
        let mut records = Records::new();
        loop {
            let (block, rest) = headers.split_first_chunk::<BLOCK>().ok_or(ArchiveFault::Truncated)?;
            let header = Header::parse(block)?.ok_or(ArchiveFault::Truncated)?;
            let Some(size) = header.records() else {
                assert!(rest.is_empty());
                return header.entry(records);
            };
            let length = usize::try_from(size).unwrap();
            records = parse_records(&rest[..length])?;
            headers = &rest[length + padding(size)..];
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in entry()) {
            prop_assert_eq!(read(&entry.headers()), Ok(entry));
        }

        #[test]
        fn whatever_the_records_are_nothing_panics(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_records(&text);
        }

        #[test]
        fn a_header_that_was_changed_is_another_entry_or_refused(entry in entry(), at in 0..148_usize, bit in 0..8) {
            let mut block = [0; BLOCK];
            let headers = entry.headers();
            block.copy_from_slice(&headers[headers.len() - BLOCK..]);
            block[at] ^= 1_u8 << bit;
            prop_assert_eq!(Header::parse(&block), Err(ArchiveFault::Foreign));
        }
    }

    fn refused(change: impl FnOnce(&mut Header), records: &[(&str, &str)]) -> String {
        let mut header = Header { path: b"volumes/0/a".to_vec(), kind: FILE, ..Header::default() };
        change(&mut header);
        let bytes = |text: &str| text.as_bytes().to_vec();
        let records = records.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        header.entry(records).unwrap_err().to_string()
    }

    #[test]
    fn what_could_land_elsewhere_is_refused() {
        let told = [
            refused(|header| header.path = b"/etc/passwd".to_vec(), &[]),
            refused(|header| header.path = b"volumes/0/../1".to_vec(), &[]),
            refused(|header| header.path = b"volumes/0//a".to_vec(), &[]),
            refused(|_| (), &[("path", "volumes/../../etc/passwd")]),
            refused(|header| (header.kind, header.link) = (HARD_LINK, b"/etc/passwd".to_vec()), &[]),
            refused(|header| header.kind = SYMLINK, &[]),
            refused(|header| header.kind = b'3', &[]),
            refused(|header| header.kind = b'6', &[]),
            refused(|header| header.kind = b'S', &[]),
            refused(|header| header.kind = b'L', &[]),
            refused(|header| (header.kind, header.size) = (FOLDER, 1), &[]),
            refused(|_| (), &[("GNU.sparse.major", "1")]),
            refused(|_| (), &[("SCHILY.xattr.trusted.overlay.redirect", "/x")]),
            refused(|_| (), &[("uid", "4294967296")]),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        its entry `/etc/passwd` does not lie in a volume
        its entry `volumes/0/../1` does not lie in a volume
        its entry `volumes/0//a` does not lie in a volume
        its entry `volumes/../../etc/passwd` does not lie in a volume
        its entry `volumes/0/a` is a link to what lies outside
        its entry `volumes/0/a` leads nowhere
        its entry `volumes/0/a` is a device
        its entry `volumes/0/a` is a pipe
        its entry `volumes/0/a` is neither file, folder nor link
        its entry `volumes/0/a` is neither file, folder nor link
        its entry `volumes/0/a` has content, and is no file
        its entry `volumes/0/a` has holes
        its entry `volumes/0/a` has an attribute that steers the kernel
        its entry `volumes/0/a` belongs to nobody that there can be
        ");
    }
}
