//! Where a dump comes from.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use envtree_core::dump::remote::RemoteServer;
use envtree_core::dump::{Compression, Dump, HEAD};
use envtree_core::known_image::{Credentials, KnownImage};

use crate::data::DataError;

/// Where a dump comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpSource {
    /// A file, or a folder of a tool that writes one.
    Path(PathBuf),
    /// A server that runs, which a tool of this project's server reads.
    Server(LiveServer),
}

/// A server that runs, with the password if its URL has none.
#[derive(Clone, PartialEq, Eq)]
pub struct LiveServer {
    /// Where it is.
    pub remote: RemoteServer,
    /// Its password where the URL has none.
    pub password: Option<String>,
}

impl fmt::Debug for LiveServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.fmt(formatter)
    }
}

/// A dump that can be read.
pub(super) enum Opened {
    /// A file, as it is once nothing compresses it.
    File { path: PathBuf, dump: Dump, reader: Box<dyn Read + Send> },
    /// A folder.
    Folder { path: PathBuf, dump: Dump },
    /// What a server writes.
    Server(LiveServer),
}

impl DumpSource {
    /// Returns what it is called where nobody says otherwise: the file, without what its name ends in, or the database.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Path(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.split('.').next().unwrap_or_default().to_owned()
            }
            Self::Server(server) => server.remote.name(),
        }
    }

    /// Opens it, and finds out what it is.
    pub(super) fn open(&self) -> Result<Opened, DataError> {
        let path = match self {
            Self::Path(path) => path,
            Self::Server(server) => return Ok(Opened::Server(server.clone())),
        };
        let failed = |source| DataError::DumpRead { path: path.clone(), source };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            let paths = paths_in(path).map_err(failed)?;
            let dump = Dump::of_folder(paths.iter().map(String::as_str));
            return match dump {
                Some(dump) => Ok(Opened::Folder { path: path.clone(), dump }),
                None => Err(DataError::NoDump { path: path.clone() }),
            };
        }
        let mut file = File::open(path).map_err(failed)?;
        let compression = Compression::of(&head(&mut file).map_err(failed)?);
        file.rewind().map_err(failed)?;
        let first = decompressed(file.try_clone().map_err(failed)?, compression)
            .and_then(|mut plain| head(&mut plain));
        let dump = Dump::of_file(&first.map_err(failed)?);
        file.rewind().map_err(failed)?;
        let reader = decompressed(file, compression).map_err(failed)?;
        Ok(Opened::File { path: path.clone(), dump, reader })
    }
}

impl Opened {
    /// Returns what people call it.
    pub(super) fn what(&self) -> String {
        match self {
            Self::File { dump, .. } | Self::Folder { dump, .. } => dump.as_str().to_owned(),
            Self::Server(server) => format!("`{}`", server.remote),
        }
    }

    /// Returns whether a server reads it.
    pub(super) fn is_read_by(&self, known: KnownImage, login: &Credentials) -> bool {
        match self {
            Self::File { dump, .. } | Self::Folder { dump, .. } => dump.reader(known, login, "").is_some(),
            Self::Server(server) => server.remote.is_read_by(known),
        }
    }
}

fn head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn decompressed(file: File, compression: Compression) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::new(file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
    })
}

/// Returns the paths of the files in a folder, and in the folders in it.
pub(super) fn paths_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(folder.join(&inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            match entry.file_type()? {
                kind if kind.is_dir() => open.push(path),
                kind if kind.is_file() => paths.push(path.to_string_lossy().into_owned()),
                _ => {}
            }
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn opened(path: &Path) -> (Dump, String) {
        let Opened::File { dump, mut reader, .. } = DumpSource::Path(path.to_owned()).open().unwrap() else {
            panic!("a file")
        };
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (dump, text)
    }

    #[test]
    fn a_compressed_dump_is_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.sql"), "SELECT 1;").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"PGDMPxyz").unwrap();
        fs::write(path("b.dump.gz"), gzip.finish().unwrap()).unwrap();
        fs::write(path("c.sql.zst"), zstd::encode_all(&b"SELECT 2;"[..], 0).unwrap()).unwrap();
        assert_eq!(opened(&path("a.sql")), (Dump::Statements, "SELECT 1;".into()));
        assert_eq!(opened(&path("b.dump.gz")), (Dump::PostgresArchive, "PGDMPxyz".into()));
        assert_eq!(opened(&path("c.sql.zst")), (Dump::Statements, "SELECT 2;".into()));
        assert_eq!(DumpSource::Path(path("c.sql.zst")).name(), "c");
    }

    #[test]
    fn a_folder_is_a_dump_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let source = DumpSource::Path(folder.path().to_owned());
        assert!(matches!(source.open(), Err(DataError::NoDump { .. })));
        fs::create_dir(folder.path().join("shop")).unwrap();
        fs::write(folder.path().join("shop/users.bson"), "").unwrap();
        assert!(matches!(source.open(), Ok(Opened::Folder { dump: Dump::MongoFolder, .. })));
        assert_eq!(paths_in(folder.path()).unwrap(), ["shop/users.bson"]);
        let missing = DumpSource::Path(folder.path().join("none"));
        assert!(matches!(missing.open(), Err(DataError::DumpRead { .. })));
    }
}
