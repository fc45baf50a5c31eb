//! Files and folders that are put into a container before its first start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use envtree_core::plan::{NewDirectory, NewFile, Owner};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::engine::Docker;
use crate::error::DockerError;

/// The size of the blocks that an archive is made of.
const BLOCK: usize = 512;
/// How long the Engine may take with an archive: it answers once all of it is put.
const LONGEST: Duration = Duration::from_hours(7 * 24);

impl Docker {
    /// Puts files into a container; folders on the way to them are made. What is there is replaced.
    pub async fn put_files(&self, container: &str, files: &[NewFile]) -> Result<(), DockerError> {
        self.put(container, archive(files.iter().map(Entry::of_file), SystemTime::now())).await
    }

    /// Puts empty folders into a container. One that is there gets the owner and the mode, and keeps what it holds.
    pub async fn put_directories(
        &self,
        container: &str,
        directories: &[NewDirectory],
    ) -> Result<(), DockerError> {
        self.put(container, archive(directories.iter().map(Entry::of_directory), SystemTime::now())).await
    }

    /// Puts a tar archive, which may be of any size, into a container: what it holds lands below `/`. A folder that is
    /// there gets the owner and the mode, and keeps what it holds; what else is there is replaced.
    pub async fn put_archive(
        &self,
        container: &str,
        archive: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<(), DockerError> {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let client = self.client().await?.clone().with_timeout(LONGEST);
        let put = client.upload_to_container(container, Some(options), bollard::body_stream(archive)).await;
        put.map_err(|error| DockerError::PutFiles { container: container.to_owned(), source: error.into() })
    }

    /// Returns a tar archive of the folder `path` of a container, piece by piece, in which all paths begin with the last
    /// name of `path`. What the container mounts is mounted for it.
    pub async fn read_archive(
        &self,
        container: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, DockerError>>, DockerError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let pieces = self.client().await?.download_from_container(container, Some(options));
        let container = container.to_owned();
        Ok(pieces
            .map_err(move |error| DockerError::ReadFiles {
                container: container.clone(),
                source: error.into(),
            })
            .boxed())
    }

    async fn put(&self, container: &str, archive: Vec<u8>) -> Result<(), DockerError> {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let client = self.client().await?;
        let put =
            client.upload_to_container(container, Some(options), bollard::body_full(archive.into())).await;
        put.map_err(|error| DockerError::PutFiles { container: container.to_owned(), source: error.into() })
    }
}

/// What an archive holds.
struct Entry<'a> {
    path: &'a str,
    /// `0` is a file, `5` a folder.
    kind: u8,
    owner: Owner,
    content: &'a [u8],
}

impl<'a> Entry<'a> {
    fn of_file(file: &'a NewFile) -> Self {
        let owner = Owner { uid: file.uid, gid: file.gid, mode: file.mode };
        Self { path: &file.path, kind: b'0', owner, content: file.text.reveal().as_bytes() }
    }

    fn of_directory(directory: &'a NewDirectory) -> Self {
        Self { path: &directory.path, kind: b'5', owner: directory.owner, content: &[] }
    }
}

/// Returns a tar archive of the entries, in the format that POSIX calls `pax`.
fn archive<'a>(entries: impl Iterator<Item = Entry<'a>>, time: SystemTime) -> Vec<u8> {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut archive = Vec::new();
    for Entry { path, kind, owner, content } in entries {
        let path = path.trim_start_matches('/');
        if path.len() > NAME {
            let record = record("path", path);
            let owner = Owner { uid: 0, gid: 0, mode: 0o644 };
            push(&mut archive, &Header { name: "path", kind: b'x', owner, seconds }, record.as_bytes());
        }
        push(&mut archive, &Header { name: truncated(path), kind, owner, seconds }, content);
    }
    // Two empty blocks end an archive.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

/// The longest name that a header holds.
const NAME: usize = 100;

struct Header<'a> {
    name: &'a str,
    kind: u8,
    owner: Owner,
    seconds: u64,
}

fn truncated(path: &str) -> &str {
    let end = (0..=path.len().min(NAME)).rev().find(|end| path.is_char_boundary(*end));
    &path[..end.unwrap_or(0)]
}

/// Returns `length key=value\n`, where the length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

fn push(archive: &mut Vec<u8>, header: &Header<'_>, content: &[u8]) {
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, header.name.as_bytes());
    put(100, format!("{:07o}", header.owner.mode & 0o7777).as_bytes());
    put(108, format!("{:07o}", header.owner.uid.min(0o7_777_777)).as_bytes());
    put(116, format!("{:07o}", header.owner.gid.min(0o7_777_777)).as_bytes());
    put(124, format!("{:011o}", content.len()).as_bytes());
    put(136, format!("{:011o}", header.seconds).as_bytes());
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, &[header.kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&block);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use envtree_core::build::SecretText;

    use super::*;

    fn file(path: &str, text: &str) -> NewFile {
        NewFile { path: path.into(), text: SecretText::new(text), uid: 103, gid: 2_000_000, mode: 0o440 }
    }

    #[test]
    fn tar_lists_what_the_archive_holds() {
        let long = format!("/run/{}/end", "é".repeat(80));
        let files = [file("/etc/app.conf", "hello"), file(&long, &"x".repeat(700)), file("/empty", "")];
        let owner = Owner { uid: 999, gid: 70, mode: 0o700 };
        let directory = NewDirectory { path: "/upper/u".into(), owner };
        let entries = files.iter().map(Entry::of_file).chain([Entry::of_directory(&directory)]);
        let archive = archive(entries, UNIX_EPOCH + Duration::from_hours(24));
        let mut tar = Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--utc", "--quoting-style=literal"])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        let words: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["-r--r-----", "103/2000000", "5", "1970-01-02", "00:00", "etc/app.conf"]);
        assert_eq!(words[1][2], "700");
        assert_eq!(words[1][5], long.trim_start_matches('/'));
        assert_eq!(words[2][5], "empty");
        assert_eq!(words[3][..3], ["drwx------", "999/70", "0"]);
    }
}
