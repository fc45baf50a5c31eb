//! What was written before is not written again.

use super::super::Broken;
use super::super::part;
use super::super::write::{ArchiveWriter, Written};
use super::{Item, manifest, stream, volumes, write};

/// Goes on with what a file holds, and returns its bytes in the end; what is of other data is given up.
fn gone_on(directory: &tempfile::TempDir, begun: &[u8], volumes: &[Vec<Item>]) -> (Vec<u8>, Written) {
    let path = directory.path().join("x.part");
    std::fs::write(&path, begun).unwrap();
    let file = part::open(&path).unwrap();
    assert!(part::open(&path).is_err());
    let mut most = usize::MAX;
    loop {
        let kept = part::kept(&file, &manifest(volumes.len())).unwrap();
        let mut writer = match kept {
            Some(mut kept) => {
                kept.chunks.truncate(most);
                part::cut(&file, kept.length()).unwrap();
                let length = kept.length();
                ArchiveWriter::going_on(&file, 3_000, kept.chunks, length)
            }
            None => ArchiveWriter::new(&file, 3_000, &manifest(volumes.len())).unwrap(),
        };
        let written = volumes
            .iter()
            .try_for_each(|items| writer.volume(stream(items).as_slice(), &mut |_| ()).map(drop));
        match written.and_then(|()| writer.finish()) {
            Ok((_, written)) => return (std::fs::read(&path).unwrap(), written),
            Err(Broken::Differs(chunk)) => most = chunk,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn an_export_goes_on_behind_the_last_whole_chunk() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, whole) = write(3_000, &volumes());
    assert!(whole.chunks >= 4, "{whole:?}");
    for cut in (0..archive.len()).step_by(37).chain([archive.len()]) {
        let (again, written) = gone_on(&directory, &archive[..cut], &volumes());
        assert_eq!(again, archive, "{cut}");
        assert_eq!((written.size, written.bytes, written.chunks), (whole.size, whole.bytes, whole.chunks));
    }
    assert_eq!(gone_on(&directory, &archive, &volumes()).1.kept, whole.chunks);
    // A chunk that the disk lost, and one of other data.
    let mut lost = archive.clone();
    let middle = lost.len() / 2;
    lost[middle..].fill(0);
    let (again, written) = gone_on(&directory, &lost, &volumes());
    assert_eq!((again, written.kept > 0), (archive.clone(), true));
    let mut other = volumes();
    other[0].pop();
    let (again, written) = gone_on(&directory, &archive, &other);
    assert_eq!(again, write(3_000, &other).0);
    assert!(written.kept > 0 && written.kept < whole.chunks, "{written:?}");
    assert_eq!(gone_on(&directory, b"something else", &volumes()).0, archive);
}
