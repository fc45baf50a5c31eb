//! Archives that are written and read again, whole, cut off, changed, and hostile.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Broken;
use super::entries::{Entries, Next};
use super::frame::{Frame, Packer, Part, Seal, Sum};
use super::read::{Receive, read_archive};
use super::write::{ArchiveWriter, Written};
use envtree_core::archive::entry::{Entry, Kind, padding};
use envtree_core::archive::{ArchiveFault, ArchivedVolume, Contents, FORMAT, Manifest, folder};
use envtree_core::plan::Owner;

mod again;
mod any;

/// A file, folder or link with its content.
type Item = (Entry, Vec<u8>);

fn manifest(volumes: usize) -> Manifest {
    let volume = |number| ArchivedVolume {
        service: format!("db{number}"),
        target: "/data".into(),
        owner: Owner { uid: 999, gid: 999, mode: 0o700 },
        folder: folder(number),
    };
    Manifest {
        format: FORMAT,
        envtree: "0.1.0".into(),
        platform: "linux/amd64".into(),
        exported: 7,
        key: "0123456789abcdef".repeat(4),
        contents: Contents::Base,
        is_seeded: true,
        lineage: None,
        is_raw: false,
        made: 5,
        volumes: (0..volumes).map(volume).collect(),
    }
}

fn entry(path: &str, kind: Kind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        uid: 999,
        gid: 70,
        mode: 0o640,
        seconds: 1_700_000_000,
        xattrs: Vec::new(),
    }
}

fn file(path: &str, content: &[u8]) -> Item {
    (entry(path, Kind::File { size: content.len() as u64 }), content.to_vec())
}

fn made(path: &str, kind: Kind) -> Item {
    (entry(path, kind), Vec::new())
}

/// Returns a volume as the Engine sends it.
fn stream(items: &[Item]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (entry, content) in items {
        stream.extend(entry.headers());
        stream.extend(content);
        stream.resize(stream.len() + padding(entry.size()), 0);
    }
    stream.resize(stream.len() + 1024, 0);
    stream
}

/// Two volumes with everything that a volume may hold.
fn volumes() -> [Vec<Item>; 2] {
    let mut odd = file("0/b/odd", &[7; 700]);
    odd.0.xattrs = vec![(b"user.note".to_vec(), b"a\nb".to_vec())];
    odd.0.uid = 3_000_000;
    let long = format!("0/b/{}", "x".repeat(180));
    [
        vec![
            made("0", Kind::Folder),
            file("0/a", b"hello"),
            made("0/b", Kind::Folder),
            made("0/b/c", Kind::Folder),
            file("0/b/c/large", &[1; 5_000]),
            file("0/b/c/small", b"x"),
            odd,
            file(&long, &[2; 1_500]),
            made("0/link", Kind::HardLink { target: b"0/a".to_vec() }),
            made("0/to", Kind::Symlink { target: b"/etc/passwd".to_vec() }),
        ],
        vec![made("1", Kind::Folder), file("1/dump", b"")],
    ]
}

fn write(limit: u64, volumes: &[Vec<Item>]) -> (Vec<u8>, Written) {
    let mut writer = ArchiveWriter::new(Vec::new(), limit, &manifest(volumes.len())).unwrap();
    for items in volumes {
        assert!(writer.volume(stream(items).as_slice(), &mut |_| ()).unwrap().is_empty());
    }
    writer.finish().unwrap()
}

/// What is received, each chunk as a tar archive of its own.
#[derive(Debug, Default, PartialEq)]
struct Received {
    manifest: Option<Manifest>,
    chunks: Vec<Vec<u8>>,
    whole: usize,
}

impl Receive for Received {
    fn manifest(&mut self, manifest: Manifest, _: Sum) -> Result<(), Broken> {
        self.manifest = Some(manifest);
        Ok(())
    }
    fn begin(&mut self) -> Result<(), Broken> {
        self.chunks.push(Vec::new());
        Ok(())
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.chunks.last_mut().unwrap().extend(bytes);
        Ok(())
    }
    fn content(&mut self, _: u64) {}
    fn end(&mut self, _: Sum) -> Result<(), Broken> {
        self.whole += 1;
        Ok(())
    }
}

impl Received {
    /// Returns the items of each chunk.
    fn items(&self) -> Vec<Vec<Item>> {
        self.chunks.iter().map(|chunk| items(chunk)).collect()
    }
}

fn items(chunk: &[u8]) -> Vec<Item> {
    let mut entries = Entries::new(chunk);
    let mut items = Vec::new();
    while let Next::Entry(entry) = entries.next().unwrap() {
        items.push((entry, entries.text(u64::MAX).unwrap()));
    }
    items
}

fn read(archive: &[u8]) -> (Received, Result<(), Broken>) {
    let mut received = Received::default();
    let outcome = read_archive(archive, &mut received);
    (received, outcome)
}

fn fault(archive: &[u8]) -> Option<ArchiveFault> {
    match read(archive).1 {
        Err(Broken::Fault(fault)) => Some(fault),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    }
}

/// Returns the items of a volume as the archive calls them.
fn renamed(items: &[Item]) -> Vec<Item> {
    let below = |path: &[u8]| [b"volumes/", path].concat();
    let mut items = items.to_vec();
    for (entry, _) in &mut items {
        entry.path = below(&entry.path);
        if let Kind::HardLink { target } = &mut entry.kind {
            *target = below(target);
        }
    }
    items
}

#[test]
fn what_was_written_is_read_whatever_the_chunks() {
    for limit in [1, 3_000, 4_000, 1 << 20] {
        let (archive, written) = write(limit, &volumes());
        assert_eq!(written.size, archive.len() as u64);
        let (received, outcome) = read(&archive);
        outcome.unwrap();
        assert_eq!((received.whole, received.chunks.len()), (written.chunks, written.chunks));
        assert_eq!(received.manifest, Some(manifest(2)));
        let wanted: Vec<Item> = volumes().iter().flat_map(|items| renamed(items)).collect();
        let mut found: Vec<Item> = Vec::new();
        for chunk in received.items() {
            // The folders that were open come again; all else once.
            found.extend(chunk.into_iter().filter(|item| !found.contains(item)).collect::<Vec<_>>());
        }
        assert_eq!(found, wanted, "{limit}");
    }
    assert_eq!(write(1 << 20, &volumes()).1.chunks, 2);
    assert_eq!(write(1, &volumes()).1.chunks, 12);
}

#[test]
fn a_chunk_begins_with_the_folders_that_it_changes() {
    let (received, _) = read(&write(6_000, &volumes()).0);
    let chunk =
        received.items().into_iter().find(|items| items.iter().any(|(e, _)| e.path.ends_with(b"large")));
    let folders: Vec<String> = chunk.unwrap().iter().map(|(entry, _)| entry.shown()).take(3).collect();
    assert_eq!(folders, ["volumes/0", "volumes/0/b", "volumes/0/b/c"]);
}

#[test]
fn tar_and_zstd_list_it() {
    let (archive, _) = write(2_000, &volumes());
    let mut zstd =
        Command::new("zstd").args(["-dc"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = zstd.stdin.take().unwrap();
    let sent = std::thread::spawn(move || input.write_all(&archive).unwrap());
    let listed = Command::new("tar").args(["-tf", "-"]).stdin(zstd.stdout.take().unwrap()).output().unwrap();
    sent.join().unwrap();
    assert!(zstd.wait().unwrap().success() && listed.status.success());
    let names = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(names[..4], ["envtree-data.json", "volumes/0/", "volumes/0/a", "volumes/0/b/"]);
    assert_eq!((names.len(), names[13]), (14, "envtree-digests.json"));
}

#[test]
fn a_byte_that_is_changed_anywhere_is_noticed() {
    let (archive, _) = write(
        1 << 20,
        &volumes()[1..]
            .iter()
            .map(|items| {
                let mut items = items.clone();
                for (entry, _) in &mut items {
                    entry.path[0] = b'0';
                }
                items
            })
            .collect::<Vec<_>>(),
    );
    assert_eq!(fault(&archive), None);
    for at in 0..archive.len() {
        for bit in [0, 3, 4, 7] {
            let mut changed = archive.clone();
            changed[at] ^= 1 << bit;
            let (received, outcome) = read(&changed);
            assert!(outcome.is_err(), "byte {at}, bit {bit}");
            assert!(received.whole <= 1);
        }
    }
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_noticed() {
    let (archive, written) = write(3_000, &volumes());
    let mut ends = vec![0];
    let mut reader = archive.as_slice();
    while !reader.is_empty() {
        Frame::open(&mut reader).unwrap().close().unwrap();
        ends.push(archive.len() - reader.len());
    }
    assert_eq!(ends.len(), written.chunks + 3);
    assert_eq!(ends.pop(), Some(archive.len()));
    for end in ends {
        for cut in [end, end + 1, end + 30] {
            let (_, outcome) = read(&archive[..cut]);
            let is_noticed =
                matches!(outcome, Err(Broken::Fault(ArchiveFault::Truncated | ArchiveFault::Foreign)));
            assert!(is_noticed, "{cut}: {outcome:?}");
        }
        if end > 0 {
            assert_eq!(fault(&archive[..end]), Some(ArchiveFault::Truncated));
        }
    }
    assert_eq!(fault(&[&archive[..], b"x"].concat()), Some(ArchiveFault::Altered));
}

/// Returns an archive whose only chunk of data holds these items, with seals that are right.
fn forged(items: &[Item]) -> Vec<u8> {
    let mut archive = ArchiveWriter::new(Vec::new(), 1 << 20, &manifest(1)).unwrap().finish().unwrap().0;
    let mut reader = archive.as_slice();
    let head = Frame::open(&mut reader).unwrap().close().unwrap().length();
    archive.truncate(usize::try_from(head).unwrap());
    let mut packer = Packer::new().unwrap();
    let content = stream(items);
    packer.write(&content[..content.len() - 1024], &mut archive).unwrap();
    packer.seal(Part::Volume, &mut archive).unwrap();
    archive
}

#[test]
fn an_entry_that_could_land_elsewhere_is_refused_before_its_chunk_is_whole() {
    let root = made("volumes/0", Kind::Folder);
    let hostile = [
        file("/etc/passwd", b"x"),
        file("volumes/0/../../etc/passwd", b"x"),
        file("volumes/1/a", b"x"),
        file("volumes/0/b/a", b"x"),
        made("volumes/0/a", Kind::HardLink { target: b"etc/passwd".to_vec() }),
    ];
    for item in hostile {
        let (received, outcome) = read(&forged(&[root.clone(), item.clone()]));
        assert!(matches!(outcome, Err(Broken::Fault(ArchiveFault::Entry { .. }))), "{item:?}: {outcome:?}");
        assert_eq!(received.whole, 0);
    }
    // The chunk itself is right; what is missing is the end.
    assert_eq!(fault(&forged(&[root])), Some(ArchiveFault::Truncated));
    assert_eq!(fault(b"PK\x03\x04 is no archive of data"), Some(ArchiveFault::Foreign));
    assert_eq!(fault(&zstd::encode_all(&b"nor is this"[..], 0).unwrap()), Some(ArchiveFault::Truncated));
}

#[test]
fn what_is_no_file_is_left_out_and_told() {
    let mut sent = stream(&volumes()[1]);
    let mut pipe = stream(&[made("1/pipe", Kind::Folder)]);
    pipe.truncate(512);
    pipe[156] = b'6';
    pipe[148..156].fill(b' ');
    let sum: u32 = pipe.iter().map(|byte| u32::from(*byte)).sum();
    pipe[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    sent.splice(512..512, pipe);
    let mut writer = ArchiveWriter::new(Vec::new(), 1 << 20, &manifest(1)).unwrap();
    assert_eq!(writer.volume(sent.as_slice(), &mut |_| ()).unwrap(), ["1/pipe/"]);
    // A stream without its end is no volume.
    let cut = stream(&volumes()[0]);
    let outcome = writer.volume(&cut[..cut.len() - 1024], &mut |_| ());
    assert!(matches!(outcome, Err(Broken::Fault(ArchiveFault::Truncated))));
}

#[test]
fn a_seal_tells_how_long_its_chunk_is() {
    let mut bytes = Vec::new();
    let mut packer = Packer::new().unwrap();
    packer.write(b"hello", &mut bytes).unwrap();
    let seal: Seal = packer.seal(Part::Volume, &mut bytes).unwrap();
    assert_eq!(seal.length(), bytes.len() as u64);
    let mut reader = bytes.as_slice();
    assert_eq!(Frame::open(&mut reader).unwrap().close().unwrap(), seal);
}
