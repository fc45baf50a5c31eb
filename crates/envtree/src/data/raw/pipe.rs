//! What flows into the tools of a server, and out of them.

use std::collections::VecDeque;
use std::fs::File;
use std::future::ready;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envtree_core::archive::entry::{Entry, Kind, padding};
use envtree_core::dump::{Dump, Tool, asker, databases, writer};
use envtree_docker::Docker;
use envtree_docker::exec::{ExecOptions, ExecSession};
use envtree_docker::output::OutputStream;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Server;
use super::source::paths_in;
use crate::data::DataError;
use crate::error::Error;

/// How many bytes are read at once, and how many such pieces wait.
const PIECE: usize = 256 * 1024;
const WAITING: usize = 8;

/// How long a server may take until it answers its own client, and how often that is tried.
const ANSWERING: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);

/// How many last lines of a tool's words are kept.
const LAST_LINES: usize = 20;

/// The way into a server and out of it.
#[derive(Clone)]
pub(super) struct Pipe<'a> {
    pub(super) docker: &'a Docker,
    /// The container of the server, which runs.
    pub(super) container: String,
    /// Where the container has a dump that is a folder.
    pub(super) folder: String,
    pub(super) server: &'a Server,
}

/// How many empty bytes end a tar archive.
const END: u64 = 1024;

/// Pieces of a dump.
type Pieces = BoxStream<'static, Result<Bytes, Error>>;

impl Pipe<'_> {
    /// Has the server read a file.
    pub(super) async fn read_file(
        &self,
        path: PathBuf,
        dump: Dump,
        reader: Box<dyn Read + Send>,
    ) -> Result<(), Error> {
        let tool = self.reader(dump)?;
        let failed = move |source| DataError::DumpRead { path: path.clone(), source }.into();
        let pieces = pieces_of(reader).map(move |piece| piece.map_err(&failed));
        self.feed(&tool, pieces.boxed()).await.map(|_| ())
    }

    /// Has the server read a folder.
    pub(super) async fn read_folder(&self, path: &Path, dump: Dump) -> Result<(), Error> {
        let tool = self.reader(dump)?;
        self.put(path).await?;
        self.feed(&tool, stream::empty().boxed()).await.map(|_| ())
    }

    /// Has the server read statements, and returns the lines that it answers.
    pub(super) async fn state(&self, tool: &Tool, text: String) -> Result<Vec<String>, Error> {
        let text = Ok(Bytes::from(text));
        self.feed(tool, stream::iter([text]).boxed()).await
    }

    /// Returns the databases of the server, in their order; none of one that takes no queries.
    pub(super) async fn databases(&self) -> Result<Vec<String>, Error> {
        let Server { known, login, .. } = self.server;
        match (databases(*known), asker(*known, login)) {
            (Some(query), Some(tool)) => self.state(&tool, query.to_owned()).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the databases of the server as soon as it answers: nothing tells on every Engine that it does.
    pub(super) async fn first_databases(&self) -> Result<Vec<String>, Error> {
        let deadline = Instant::now() + ANSWERING;
        loop {
            match self.databases().await {
                Err(Error::Data(DataError::ToolFailed { .. })) if Instant::now() < deadline => {
                    sleep(PAUSE).await;
                }
                databases => return databases,
            }
        }
    }

    /// Has another server of the same kind read all that this one holds.
    pub(super) async fn copy(&self, other: &Pipe<'_>) -> Result<(), Error> {
        let Server { known, login, .. } = self.server;
        let tool = writer(*known, login).ok_or_else(|| self.no_reader())?;
        self.write(&tool, other).await
    }

    /// Has another server read what a tool writes here.
    pub(super) async fn write(&self, tool: &Tool, other: &Pipe<'_>) -> Result<(), Error> {
        let reader = other.reader(Dump::of(self.server.known).ok_or_else(|| self.no_reader())?)?;
        let session = self.docker.exec_session(&self.container, &options(tool, false)).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let writing = async {
            let said = drain(session, Some(sender)).await?;
            self.refuse_failed(tool, said)
        };
        let (written, read) = tokio::join!(writing, other.feed(&reader, arriving(receiver)));
        // Whoever reads half a dump fails too. Whoever writes one is heard to the end, whatever its reader does.
        written?;
        read.map(|_| ())
    }

    fn reader(&self, dump: Dump) -> Result<Tool, DataError> {
        let Server { known, login, .. } = self.server;
        dump.reader(*known, login, &self.folder).ok_or_else(|| self.no_reader())
    }

    fn no_reader(&self) -> DataError {
        DataError::NoReader { what: "a dump".to_owned(), service: Some(self.server.service.to_string()) }
    }

    /// Runs a tool with these pieces as its input; returns the lines that it wrote.
    async fn feed(&self, tool: &Tool, mut pieces: Pieces) -> Result<Vec<String>, Error> {
        let mut session = self.docker.exec_session(&self.container, &options(tool, true)).await?;
        let input = session.input.take();
        let write = async {
            let Some(mut input) = input else { return Ok(()) };
            while let Some(piece) = pieces.next().await {
                // A tool that does not read to the end says why on its own.
                if input.write_all(&piece?).await.is_err() {
                    break;
                }
            }
            let _ = input.shutdown().await;
            Ok::<_, Error>(())
        };
        let (written, said) = tokio::join!(write, drain(session, None));
        let lines = self.refuse_failed(tool, said?);
        written?;
        lines
    }

    /// Puts a folder into the container.
    async fn put(&self, folder: &Path) -> Result<(), Error> {
        let failed = |source| DataError::DumpRead { path: folder.to_owned(), source };
        let archive = FolderArchive::new(folder, &self.folder).map_err(failed)?;
        let broken = Arc::new(Mutex::new(None));
        let note = Arc::clone(&broken);
        let pieces = pieces_of(Box::new(archive)).filter_map(move |piece| {
            let piece =
                piece.map_err(|error| *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(error));
            ready(piece.ok())
        });
        let put = self.docker.put_archive(&self.container, pieces).await;
        // What is wrong with the folder says more than what the Engine makes of half of it.
        match broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(failed(error).into()),
            None => Ok(put?),
        }
    }

    fn refuse_failed(&self, tool: &Tool, said: Said) -> Result<Vec<String>, Error> {
        let Said { code, lines, errors } = said;
        if code == 0 {
            return Ok(lines);
        }
        let service = self.server.service.to_string();
        let tool =
            tool.command.iter().find(|word| !["sh", "-c"].contains(&word.as_str()) && !word.contains(' '));
        let lines = if errors.is_empty() { lines } else { errors };
        Err(DataError::ToolFailed { service, tool: tool.cloned().unwrap_or_default(), code, lines }.into())
    }
}

/// How a tool ended, and the last lines that it wrote.
struct Said {
    code: i64,
    lines: Vec<String>,
    errors: Vec<String>,
}

/// Reads what a tool writes until it has ended; its standard output goes to `sender`, if there is one.
async fn drain(
    mut session: ExecSession,
    sender: Option<mpsc::Sender<Result<Bytes, Error>>>,
) -> Result<Said, Error> {
    let (mut lines, mut errors) = (Lines::default(), Lines::default());
    while let Some(piece) = session.output.next().await {
        match (piece, &sender) {
            // Whoever read it is gone; the tool still ends.
            (Ok((OutputStream::Stdout, piece)), Some(sender)) => {
                let _ = sender.send(Ok(piece)).await;
            }
            (Ok((OutputStream::Stdout, piece)), None) => lines.take(&piece),
            (Ok((OutputStream::Stderr, piece)), _) => errors.take(&piece),
            (Err(error), _) => return Err(error.into()),
        }
    }
    let code = session.control.exit_code().await?;
    Ok(Said { code, lines: lines.finish(), errors: errors.finish() })
}

fn options(tool: &Tool, stdin: bool) -> ExecOptions {
    ExecOptions { cmd: tool.command.clone(), env: tool.environment.clone(), stdin, ..ExecOptions::default() }
}

/// The files of a folder as a tar archive.
struct FolderArchive {
    folder: PathBuf,
    /// Where they land.
    target: String,
    paths: std::vec::IntoIter<String>,
    now: Box<dyn Read + Send>,
    is_whole: bool,
}

impl FolderArchive {
    fn new(folder: &Path, target: &str) -> io::Result<Self> {
        let paths = paths_in(folder)?.into_iter();
        let (folder, target) = (folder.to_owned(), target.trim_start_matches('/').to_owned());
        Ok(Self { folder, target, paths, now: Box::new(io::empty()), is_whole: false })
    }

    fn file(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = File::open(self.folder.join(path))?;
        let size = file.metadata()?.len();
        let entry = Entry {
            path: format!("{}/{path}", self.target).into_bytes(),
            kind: Kind::File { size },
            uid: 0,
            gid: 0,
            mode: 0o644,
            seconds: 0,
            xattrs: Vec::new(),
        };
        let padding = io::repeat(0).take(padding(size) as u64);
        Ok(Box::new(Cursor::new(entry.headers()).chain(file.take(size)).chain(padding)))
    }
}

impl Read for FolderArchive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.now.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.now = match self.paths.next() {
                Some(path) => self.file(&path)?,
                None if self.is_whole => return Ok(0),
                None => {
                    self.is_whole = true;
                    Box::new(io::repeat(0).take(END))
                }
            };
        }
    }
}

/// Reads a file on a thread that may wait for it.
fn pieces_of(mut reader: Box<dyn Read + Send>) -> BoxStream<'static, io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::from(piece).slice(..length)),
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    arriving(receiver)
}

fn arriving<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> BoxStream<'static, T> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

/// The last lines of a text that arrives in pieces.
#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    rest: Vec<u8>,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) {
        for byte in piece {
            if *byte == b'\n' {
                self.end();
            } else if self.rest.len() < PIECE {
                self.rest.push(*byte);
            }
        }
    }

    fn end(&mut self) {
        self.lines.push_back(String::from_utf8_lossy(&self.rest).into_owned());
        self.rest.clear();
        if self.lines.len() > LAST_LINES {
            self.lines.pop_front();
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.rest.is_empty() {
            self.end();
        }
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole_however_they_arrive() {
        let mut lines = Lines::default();
        for number in 0..LAST_LINES + 5 {
            lines.take(b"line");
            lines.take(format!(" {number}\n").as_bytes());
        }
        lines.take(b"end");
        let lines = lines.finish();
        assert_eq!(
            (lines.len(), lines[0].as_str(), lines[LAST_LINES - 1].as_str()),
            (LAST_LINES, "line 6", "end")
        );
    }

    #[test]
    fn a_folder_is_an_archive_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("a"), "one").unwrap();
        std::fs::write(folder.path().join("b/c"), vec![7; 512]).unwrap();
        let mut bytes = Vec::new();
        FolderArchive::new(folder.path(), "/tmp/dump").unwrap().read_to_end(&mut bytes).unwrap();
        // Two headers, a block each, and the end.
        assert_eq!(bytes.len(), 512 * 4 + 1024);
        assert!(bytes.starts_with(b"tmp/dump/a\0") && bytes[512..].starts_with(b"one\0"));
        assert!(bytes[1024..].starts_with(b"tmp/dump/b/c\0") && bytes[1536..2048] == [7; 512]);
    }

    #[tokio::test]
    async fn a_file_arrives_in_pieces_in_its_order() {
        let text: Vec<u8> = (0..PIECE * 3 + 7).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut pieces = pieces_of(Box::new(io::Cursor::new(text.clone())));
        let mut read = Vec::new();
        while let Some(piece) = pieces.next().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(read, text);
    }
}
