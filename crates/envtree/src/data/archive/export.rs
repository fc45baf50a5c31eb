//! Exports a base or snapshot: the Engine reads its volumes, as a container has them that never runs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envtree_core::archive::{Manifest, VOLUMES, folder};
use envtree_core::branch::base::{Base, export_project, project_name};
use envtree_core::branch::view::View;
use envtree_core::label;
use envtree_core::name::ProjectName;
use envtree_core::plan::NewKeeper;
use envtree_docker::DockerError;
use futures::StreamExt;
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::write::{ArchiveWriter, Written};
use super::{Arriving, Broken, CHUNK, TOLD, part, part_of};
use crate::data::{DataError, owner};
use crate::error::Error;
use crate::event::{Event, Events, Way};
use crate::session::Session;
use crate::state::file::sync_directory_of;
use crate::state::identity::{self, repository_id};

/// How many pieces of the Engine's answer wait to be written.
const WAITING: usize = 16;

/// Where an archive goes.
pub enum ArchiveTarget {
    /// Into a file, which is there once all of it is.
    File(PathBuf),
    /// Somewhere where it cannot be gone on with.
    Stream(Box<dyn Write + Send>),
}

impl std::fmt::Debug for ArchiveTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.fmt(formatter),
            Self::Stream(_) => formatter.write_str("Stream"),
        }
    }
}

/// How data is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// Whether a file that is there is replaced.
    pub force: bool,
    /// Whether real data goes out that nothing made harmless, or that nobody verified.
    pub unsanitized: bool,
    /// How many bytes make a chunk, which an interruption loses at most, unless a single file is larger.
    pub chunk: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { force: false, unsanitized: false, chunk: CHUNK }
    }
}

/// Data that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedData {
    /// What the base or snapshot is called.
    pub name: String,
    /// The file; absent where it went elsewhere.
    pub path: Option<PathBuf>,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// The bytes of the files.
    pub bytes: u64,
    /// The bytes of the archive.
    pub size: u64,
    /// The chunks that it consists of.
    pub chunks: usize,
    /// Those of them that an export which was cut off had written.
    pub kept: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Session {
    /// Writes the data of a base or snapshot into an archive, from which [`Self::import_data`] makes it again.
    ///
    /// A file is written under the name that it has with `.part` behind it, and what is whole of that is gone on with.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::UnknownBase`] if nothing is called so, with [`DataError::Raw`] if it is real data that nobody
    /// wants to go out as it is, and with [`DataError::ArchiveExists`] if the file is there and nobody wants it replaced.
    pub async fn export_data(
        &self,
        name: &str,
        target: ArchiveTarget,
        options: ExportOptions,
    ) -> Result<ExportedData, Error> {
        self.connect().await?;
        let started = Instant::now();
        let id = repository_id(self.repository.common_dir());
        let base = self.base_called(&id, name).await?;
        if base.is_raw && !options.unsanitized {
            return Err(DataError::Raw { name: base.name().to_owned() }.into());
        }
        let target = match target {
            ArchiveTarget::File(path) => ArchiveTarget::File(writable(path, options.force)?),
            stream @ ArchiveTarget::Stream(_) => stream,
        };
        // As long as it is held, nobody drops the base.
        let name = project_name(&base.repository, &base.key);
        let held = self.state.share_project(&name, &self.patiently()).await?;
        let base = self.base_called(&id, base.name()).await?;
        self.note_use(&base.repository, &base.key).await?;
        let project = export_project(&base.repository, &base.key);
        let lock = self.state.lock_project(&project, &self.patiently()).await?;
        // What an export left that was killed.
        self.remove_base(&id, &project, true).await?;
        let services = base.services();
        self.emit(Event::MovingData {
            way: Way::Export,
            name: base.name().to_owned(),
            services: services.clone(),
        });
        let exporting = Exporting { session: self, base: &base, project: &project, options };
        let outcome = Box::pin(exporting.run(target)).await;
        let removed = self.remove_base(&id, &project, true).await;
        drop(held);
        self.release(lock)?;
        let (path, written) = outcome?;
        removed?;
        let (name, elapsed) = (base.name().to_owned(), started.elapsed());
        self.emit(Event::MovedData { way: Way::Export, name: name.clone(), elapsed });
        let Written { size, bytes, chunks, kept } = written;
        Ok(ExportedData { name, path, services, bytes, size, chunks, kept, elapsed })
    }
}

/// Returns where the file is that an export writes: links are followed, and nothing but a file is replaced.
fn writable(path: PathBuf, force: bool) -> Result<PathBuf, DataError> {
    let shown = || path.display().to_string();
    match path.metadata() {
        Err(_) => Ok(path),
        Ok(metadata) if !metadata.is_file() => Err(DataError::NoFile { path: shown() }),
        Ok(_) if !force => Err(DataError::ArchiveExists { path: shown() }),
        Ok(_) => path.canonicalize().map_err(|source| DataError::ArchiveWrite { path: shown(), source }),
    }
}

/// An export that goes on.
struct Exporting<'a> {
    session: &'a Session,
    base: &'a Base,
    project: &'a ProjectName,
    options: ExportOptions,
}

impl Exporting<'_> {
    async fn run(&self, target: ArchiveTarget) -> Result<(Option<PathBuf>, Written), Error> {
        let container = self.mount().await?;
        let platform = self.session.docker.facts().await?.platform();
        let now = Timestamp::now().as_second();
        let manifest = Manifest::of_base(self.base, platform, env!("CARGO_PKG_VERSION"), now);
        match target {
            ArchiveTarget::File(path) => {
                let written = self.write_file(&container, &path, &manifest).await?;
                Ok((Some(path), written))
            }
            ArchiveTarget::Stream(output) => {
                let shown = "standard output";
                let limit = self.options.chunk;
                let writer = ArchiveWriter::new(BufWriter::new(output), limit, &manifest);
                let writer = writer.map_err(|broken| broken.of(shown))?;
                let (_, written) =
                    self.write(writer, &container).await?.map_err(|broken| broken.of(shown))?;
                Ok((None, written))
            }
        }
    }

    /// Makes the container in which the volumes are mounted, each as a whole, and returns its name.
    async fn mount(&self) -> Result<String, Error> {
        let docker = &self.session.docker;
        let record = identity::repository(&self.session.read_state()?, self.session.repository.common_dir());
        let mut labels = owner(&record).labels(&self.base.key);
        labels.insert(label::COMPOSE_PROJECT.into(), self.project.to_string());
        let mut volumes = IndexMap::new();
        for (number, volume) in self.base.volumes.iter().enumerate() {
            let name = self.project.object(&number.to_string());
            let Some(view) = View::of(volume, &name, &labels) else {
                let reason = format!("the options of a mount cannot name the layers of `{}`", volume.target);
                return Err(DataError::NoBranches { reason }.into());
            };
            if let View::Merged(merged) = &view {
                docker.create_volume(&name, merged).await?;
            }
            volumes.insert(format!("/{}", folder(number)), view.name().to_owned());
        }
        let name = format!("{}.read", self.project);
        docker.create_keeper(&NewKeeper { name: name.clone(), volumes, labels }).await?;
        Ok(name)
    }

    /// Writes the file, behind what of it is whole, and gives it its name in the end.
    async fn write_file(&self, container: &str, path: &Path, manifest: &Manifest) -> Result<Written, Error> {
        let shown = path.display().to_string();
        let failed = |source| DataError::ArchiveWrite { path: shown.clone(), source };
        let place = part_of(path);
        let file = Arc::new(part::open(&place)?);
        let mut most = usize::MAX;
        let written = loop {
            let writer = self.writer(Arc::clone(&file), manifest, most).await.map_err(|b| b.of(&shown))?;
            match self.write(writer, container).await? {
                Ok((_, written)) => break written,
                // It is of other data from there on: what came before is right all the same.
                Err(Broken::Differs(chunk)) => most = chunk,
                Err(broken) => return Err(broken.of(&shown).into()),
            }
        };
        file.sync_all().map_err(failed)?;
        std::fs::rename(&place, path).map_err(failed)?;
        sync_directory_of(&std::path::absolute(path).map_err(failed)?).map_err(failed)?;
        Ok(written)
    }

    /// Returns what goes on behind at most `most` chunks of the file.
    async fn writer(
        &self,
        file: Arc<File>,
        manifest: &Manifest,
        most: usize,
    ) -> Result<ArchiveWriter<BufWriter<Shared>>, Broken> {
        let (manifest, limit) = (manifest.clone(), self.options.chunk);
        let made = spawn_blocking(move || {
            let mut kept = part::kept(&file, &manifest).map_err(Broken::Read)?;
            if let Some(kept) = &mut kept {
                kept.chunks.truncate(most);
                part::cut(&file, kept.length()).map_err(Broken::Write)?;
            }
            let output = BufWriter::new(Shared(file));
            Ok(match kept {
                Some(kept) => {
                    let length = kept.length();
                    ArchiveWriter::going_on(output, limit, kept.chunks, length)
                }
                None => ArchiveWriter::new(output, limit, &manifest)?,
            })
        });
        made.await.expect("it does not panic")
    }

    /// Writes all volumes and the end; the Engine's failures are the outer ones.
    async fn write<W: Write + Send + 'static>(
        &self,
        mut writer: ArchiveWriter<W>,
        container: &str,
    ) -> Result<Result<(W, Written), Broken>, Error> {
        for (number, volume) in self.base.volumes.iter().enumerate() {
            let path = format!("/{VOLUMES}/{number}");
            let mut pieces = self.session.docker.read_archive(container, &path).await?;
            let (sender, receiver) = mpsc::channel(WAITING);
            let mut teller = Teller::new(&self.session.options.events, Way::Export, self.base.name());
            let writing = spawn_blocking(move || {
                let left_out = writer.volume(Arriving::new(receiver), &mut |bytes| teller.tell(bytes));
                (left_out, writer)
            });
            let mut failure: Option<DockerError> = None;
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(piece) => {
                        if sender.send(piece).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            drop(sender);
            let (left_out, back) = writing.await.expect("it does not panic");
            writer = back;
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            match left_out {
                Ok(left_out) => self.warn_of(&volume.service, &left_out),
                Err(broken) => return Ok(Err(broken)),
            }
        }
        let finished = spawn_blocking(move || writer.finish());
        Ok(finished.await.expect("it does not panic"))
    }

    fn warn_of(&self, service: &str, left_out: &[String]) {
        for path in left_out {
            self.session.warn(format!(
                "`{path}` of service `{service}` is neither file, folder nor link: the archive does not hold it"
            ));
        }
    }
}

/// Tells how far an archive has come, not too often.
pub(super) struct Teller {
    events: Events,
    way: Way,
    name: String,
    last: Instant,
}

impl Teller {
    pub(super) fn new(events: &Events, way: Way, name: &str) -> Self {
        Self { events: events.clone(), way, name: name.to_owned(), last: Instant::now() }
    }

    pub(super) fn tell(&mut self, bytes: u64) {
        if self.last.elapsed() >= TOLD {
            self.last = Instant::now();
            let (way, name) = (self.way, self.name.clone());
            self.events.emit(Event::MovedSoFar { way, name, bytes });
        }
    }
}

/// A file that stays locked as long as somebody has it.
struct Shared(Arc<File>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        (&*self.0).flush()
    }
}
