//! An archive that another thread reads, in pieces for the Engine.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use envtree_core::archive::Manifest;
use tokio::sync::{mpsc, oneshot};

use super::Broken;
use super::export::Teller;
use super::frame::Sum;
use super::read::{Receive, read_archive};
use crate::event::{Events, Way};

/// The bytes that are handed on at once.
const PIECE: usize = 256 * 1024;
/// How many pieces wait to be put.
const WAITING: usize = 8;

/// What comes out of an archive that another thread reads.
pub(super) enum Piece {
    /// A chunk, which is a tar archive of its own.
    Chunk(mpsc::Receiver<Bytes>),
    /// The chunk was as it should be, or one that is in already.
    Sealed(Sum),
    /// All of the archive was as it should be; so many bytes of files were in it.
    End(u64),
}

/// How many chunks are in already, and what they are of.
struct Skip {
    chunks: u64,
    name: String,
}

/// An archive that another thread reads.
pub(super) struct Incoming {
    pieces: mpsc::Receiver<Result<Piece, Broken>>,
    skip: Option<oneshot::Sender<Skip>>,
}

impl Incoming {
    /// Begins to read; returns what the archive says of itself, and what tells it from others.
    pub(super) async fn begin(
        reader: Box<dyn Read + Send>,
        events: &Events,
    ) -> Result<(Self, Manifest, Sum), Broken> {
        let (sender, pieces) = mpsc::channel(1);
        let (head, manifest) = oneshot::channel();
        let (skip, told) = oneshot::channel();
        let events = events.clone();
        tokio::task::spawn_blocking(move || {
            let mut handing = Handing {
                sender: sender.clone(),
                head: Some(head),
                told: Some(told),
                skip: 0,
                chunk: None,
                buffer: BytesMut::new(),
                bytes: 0,
                teller: Teller::new(&events, Way::Import, ""),
                events,
            };
            let read = read_archive(reader, &mut handing);
            let head = handing.head.take();
            let bytes = handing.bytes;
            // The chunk that is being put ends before its failure is told.
            drop(handing);
            match (head, read) {
                (Some(head), Err(broken)) => drop(head.send(Err(broken))),
                (_, read) => drop(sender.blocking_send(read.map(|()| Piece::End(bytes)))),
            }
        });
        let (manifest, archive) = manifest.await.map_err(|_| Broken::Gone)??;
        Ok((Self { pieces, skip: Some(skip) }, manifest, archive))
    }

    /// Has the rest read; the first chunks are looked at alone.
    pub(super) fn skip(&mut self, chunks: u64, name: &str) {
        if let Some(skip) = self.skip.take() {
            drop(skip.send(Skip { chunks, name: name.to_owned() }));
        }
    }

    pub(super) async fn next(&mut self) -> Result<Piece, Broken> {
        self.pieces.recv().await.ok_or(Broken::Gone)?
    }
}

/// Hands on what is read.
struct Handing {
    sender: mpsc::Sender<Result<Piece, Broken>>,
    head: Option<oneshot::Sender<Result<(Manifest, Sum), Broken>>>,
    told: Option<oneshot::Receiver<Skip>>,
    skip: u64,
    chunk: Option<mpsc::Sender<Bytes>>,
    buffer: BytesMut,
    bytes: u64,
    teller: Teller,
    events: Events,
}

impl Handing {
    fn hand_on(&mut self) -> Result<(), Broken> {
        let piece = self.buffer.split().freeze();
        match &self.chunk {
            Some(chunk) => chunk.blocking_send(piece).map_err(|_| Broken::Gone),
            None => Ok(()),
        }
    }
}

impl Receive for Handing {
    fn manifest(&mut self, manifest: Manifest, identity: Sum) -> Result<(), Broken> {
        if let Some(head) = self.head.take() {
            head.send(Ok((manifest, identity))).map_err(|_| Broken::Gone)?;
        }
        let told = self.told.take().ok_or(Broken::Gone)?;
        let Skip { chunks, name } = told.blocking_recv().map_err(|_| Broken::Gone)?;
        self.skip = chunks;
        self.teller = Teller::new(&self.events, Way::Import, &name);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Broken> {
        if self.skip > 0 {
            return Ok(());
        }
        let (sender, pieces) = mpsc::channel(WAITING);
        self.chunk = Some(sender);
        self.sender.blocking_send(Ok(Piece::Chunk(pieces))).map_err(|_| Broken::Gone)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.chunk.is_some() {
            self.buffer.extend_from_slice(bytes);
        }
        if self.buffer.len() >= PIECE { self.hand_on() } else { Ok(()) }
    }

    fn content(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.teller.tell(self.bytes);
    }

    fn end(&mut self, sum: Sum) -> Result<(), Broken> {
        self.hand_on()?;
        self.chunk = None;
        self.skip = self.skip.saturating_sub(1);
        self.sender.blocking_send(Ok(Piece::Sealed(sum))).map_err(|_| Broken::Gone)
    }
}
