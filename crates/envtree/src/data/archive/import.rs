//! Imports a base or snapshot: chunks are put into fresh volumes by way of a container that never runs.
//!
//! The marker comes last, once every digest was compared: without it, nothing begins on what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envtree_core::archive::{ArchiveFault, folder};
use envtree_core::branch::base::{Base, BaseVolume, project_name, short};
use envtree_core::label;
use envtree_core::name::ProjectName;
use envtree_core::plan::{NewKeeper, Owner};
use envtree_core::project::Volume;
use futures::stream;
use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::Broken;
use super::frame::Sum;
use super::handing::{Incoming, Piece};
use super::unfinished::{UnfinishedImport, chained};
use crate::data::snapshot::{names, refuse_unfit};
use crate::data::{DataError, complete, owner};
use crate::error::Error;
use crate::event::{Event, Way};
use crate::session::Session;
use crate::state::hexadecimal;
use crate::state::identity::{self, bases_name};
use crate::state::record::RepositoryRecord;

/// What an archive is read from.
pub struct ArchiveSource {
    /// What it is called for people.
    pub shown: String,
    /// What it is.
    pub reader: Box<dyn Read + Send>,
    /// Whether it comes over a connection, which may be cut: then what came is kept for another attempt.
    pub is_stream: bool,
}

impl ArchiveSource {
    /// Opens a file.
    pub fn open(path: PathBuf) -> Result<Self, DataError> {
        let shown = path.display().to_string();
        match std::fs::File::open(path) {
            Ok(file) => Ok(Self { shown, reader: Box::new(file), is_stream: false }),
            Err(source) => Err(DataError::ArchiveRead { path: shown, source }),
        }
    }
}

impl fmt::Debug for ArchiveSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ArchiveSource").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Data that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedData {
    /// What the base or snapshot is called.
    pub name: String,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// Whether it was there already, and nothing was changed.
    pub was_there: bool,
    /// The bytes of the files; absent if it was there.
    pub bytes: Option<u64>,
    /// The chunks that the archive consists of, as far as it was read.
    pub chunks: u64,
    /// Those of them that an import which was cut off had put.
    pub kept: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Session {
    /// Makes the base or snapshot of an archive, in this repository; a snapshot is called `name`, if one is given.
    ///
    /// What an import put that was cut off is not put again.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::Archive`] if it is not as [`Self::export_data`] wrote it or its data is of another platform,
    /// and with [`DataError::SnapshotExists`] if another snapshot has the name.
    pub async fn import_data(
        &self,
        source: ArchiveSource,
        name: Option<&str>,
    ) -> Result<ImportedData, Error> {
        self.connect().await?;
        let started = Instant::now();
        let ArchiveSource { shown, reader, is_stream } = source;
        let repository = identity::repository(&self.read_state()?, self.repository.common_dir());
        let (mut arriving, manifest, archive) =
            Incoming::begin(reader, &self.options.events).await.map_err(|broken| broken.of(&shown))?;
        let platform = self.docker.facts().await?.platform();
        manifest.check(&platform).map_err(|fault| Broken::from(fault).of(&shown))?;
        let mut base = manifest.base(&bases_name(&repository.common_dir));
        match (&mut base.snapshot, name) {
            (Some(snapshot), name) => {
                snapshot.name = name.unwrap_or(&snapshot.name).to_owned();
                refuse_unfit(&snapshot.name)?;
            }
            (None, Some(_)) => return Err(DataError::BaseNamed { path: shown }.into()),
            (None, None) => {}
        }
        let project = project_name(&base.repository, &base.key);
        let lock = self.state.lock_project(&project, &self.patiently()).await?;
        let volumes = self.docker.volumes_of_bases(&repository.id).await?;
        if let Some(there) = complete(&volumes).into_iter().find(|there| there.key == base.key) {
            self.forget_import(&repository.id, &base.key).await?;
            self.release(lock)?;
            if name.is_some_and(|name| name != there.name()) {
                return Err(DataError::ImportedBefore { name: there.name().to_owned() }.into());
            }
            return Ok(ImportedData::of(&there, started));
        }
        // Names have the first digits of keys alone.
        let mut markers = volumes.iter().filter_map(Base::of_marker);
        let same = markers.find(|other| other.key != base.key && short(&other.key) == short(&base.key));
        if let Some(other) = same {
            return Err(DataError::KeyTaken { path: shown, name: other.name().to_owned() }.into());
        }
        let labels = owner(&repository).labels(&base.key);
        let import = UnfinishedImport {
            repository: repository.id.clone(),
            base,
            archive: hexadecimal(&archive),
            created: BTreeMap::new(),
            chunks: 0,
            chain: String::new(),
        };
        let importing = Importing { session: self, repository, project, labels, shown, is_stream, import };
        let imported = Box::pin(importing.run(&mut arriving, started)).await?;
        self.release(lock)?;
        Ok(imported)
    }
}

impl ImportedData {
    /// Returns what is told of one that is there already.
    fn of(base: &Base, started: Instant) -> Self {
        Self {
            name: base.name().to_owned(),
            services: base.services(),
            was_there: true,
            bytes: None,
            chunks: 0,
            kept: 0,
            elapsed: started.elapsed(),
        }
    }
}

/// An import that goes on.
struct Importing<'a> {
    session: &'a Session,
    repository: RepositoryRecord,
    project: ProjectName,
    labels: IndexMap<String, String>,
    shown: String,
    is_stream: bool,
    import: UnfinishedImport,
}

impl Importing<'_> {
    async fn run(mut self, arriving: &mut Incoming, started: Instant) -> Result<ImportedData, Error> {
        let session = self.session;
        self.refuse_taken().await?;
        let (name, services) = (self.import.base.name().to_owned(), self.import.base.services());
        session.emit(Event::MovingData { way: Way::Import, name: name.clone(), services: services.clone() });
        Box::pin(self.prepare()).await?;
        let kept = self.import.chunks;
        let (chunks, bytes) = match Box::pin(self.put(arriving)).await {
            Ok(counts) => counts,
            Err(Error::Data(error @ DataError::Archive { .. })) if !self.may_go_on(&error) => {
                self.give_up().await?;
                return Err(error.into());
            }
            // It goes on from there.
            Err(error) => return Err(error),
        };
        self.compare_owners().await?;
        self.complete().await?;
        let elapsed = started.elapsed();
        session.emit(Event::MovedData { way: Way::Import, name: name.clone(), elapsed });
        Ok(ImportedData { name, services, was_there: false, bytes: Some(bytes), chunks, kept, elapsed })
    }

    /// Returns whether the rest may come another time: a connection was cut.
    fn may_go_on(&self, error: &DataError) -> bool {
        let is_cut_off = matches!(error, DataError::Archive { source: ArchiveFault::Truncated, .. });
        is_cut_off && self.is_stream && self.import.chunks > 0
    }

    async fn refuse_taken(&self) -> Result<(), Error> {
        if let Some(snapshot) = &self.import.base.snapshot
            && self.session.snapshot_names(&self.repository.id).await?.contains(&snapshot.name)
        {
            return Err(DataError::SnapshotExists { name: snapshot.name.clone() }.into());
        }
        Ok(())
    }

    /// Returns the container by which chunks are put.
    fn container(&self) -> String {
        format!("{}.import", self.project)
    }

    /// Makes volumes and container, unless those are there that an earlier import of the same archive made.
    async fn prepare(&mut self) -> Result<(), Error> {
        let session = self.session;
        let unfinished = session.unfinished_imports(&self.repository.id)?;
        let earlier = unfinished.into_iter().find(|other| {
            other.base.key == self.import.base.key
                && other.base.repository == self.import.base.repository
                && other.archive == self.import.archive
        });
        if let Some(earlier) = earlier
            && !earlier.created.is_empty()
            && earlier.created == self.created().await?
        {
            let snapshot = self.import.base.snapshot.take();
            self.import = earlier;
            self.import.base.snapshot = snapshot;
            // The container may be gone, or half-made.
            session.remove_base(&self.repository.id, &self.project, false).await?;
            return self.make_container().await;
        }
        // From now on, nobody takes what is made for what a killed command left.
        session.note_import(self.import.clone()).await?;
        session.remove_base(&self.repository.id, &self.project, true).await?;
        for volume in &self.import.base.volumes {
            let name = &volume.layer.volume;
            let volume =
                Volume { name: Some(name.clone()), labels: self.labels.clone(), ..Volume::default() };
            session.docker.create_volume(name, &volume).await?;
        }
        self.make_container().await?;
        self.locate().await?;
        // What begins on it is a copy where the Engine mounts no branch of it.
        let tried = session.try_branch(&self.project, &self.labels, &self.as_they_are().await?).await;
        if let Err(error) = session.note_overlays(tried).await {
            self.give_up().await?;
            return Err(error);
        }
        self.import.created = self.created().await?;
        session.note_import(self.import.clone()).await
    }

    async fn make_container(&self) -> Result<(), Error> {
        let volumes = self.import.base.volumes.iter().enumerate();
        let volumes =
            volumes.map(|(number, volume)| (format!("/{}", folder(number)), volume.layer.volume.clone()));
        let keeper =
            NewKeeper { name: self.container(), volumes: volumes.collect(), labels: self.labels.clone() };
        Ok(self.session.docker.create_keeper(&keeper).await?)
    }

    /// Notes where the volumes lie.
    async fn locate(&mut self) -> Result<(), Error> {
        for volume in &mut self.import.base.volumes {
            if let Some(found) = self.session.docker.inspect_volume(&volume.layer.volume).await? {
                volume.layer.mountpoint = found.mountpoint;
            }
        }
        Ok(())
    }

    /// Returns the first volume with the owner that it has as long as it is empty.
    async fn as_they_are(&self) -> Result<Vec<BaseVolume>, Error> {
        let mut volumes: Vec<_> = self.import.base.volumes.iter().take(1).cloned().collect();
        for volume in &mut volumes {
            volume.owner =
                self.session.docker.owner_at(&self.container(), &format!("/{}", folder(0))).await?;
        }
        Ok(volumes)
    }

    /// Returns when the Engine made the volumes that are there and belong to the base; where it does not tell, that they
    /// are there is all.
    async fn created(&self) -> Result<BTreeMap<String, String>, Error> {
        let docker = &self.session.docker;
        let tells = docker.tells_age().await?;
        let mut created = BTreeMap::new();
        for volume in &self.import.base.volumes {
            let found = docker.inspect_volume(&volume.layer.volume).await?;
            let is_own = |(key, value): (&String, &String)| {
                *key == label::VERSION || self.labels.get(key) == Some(value)
            };
            if let Some(found) =
                found.filter(|found| !found.labels.is_empty() && found.labels.iter().all(is_own))
            {
                created.insert(found.name, if tells { found.created } else { String::new() });
            }
        }
        Ok(created)
    }

    /// Puts the chunks that are not in yet; returns how many there are, and the bytes of their files.
    async fn put(&mut self, arriving: &mut Incoming) -> Result<(u64, u64), Error> {
        let session = self.session;
        let kept = self.import.chunks;
        arriving.skip(kept, self.import.base.name());
        let (mut chain, mut read) = (String::new(), 0);
        loop {
            let sum = match arriving.next().await.map_err(|broken| broken.of(&self.shown))? {
                Piece::Chunk(pieces) => self.put_chunk(pieces, arriving).await?,
                Piece::Sealed(sum) => sum,
                Piece::End(bytes) => return Ok((read, bytes)),
            };
            chain = chained(&chain, &sum);
            read += 1;
            if read == kept && chain != self.import.chain {
                // Other chunks are in than this archive has, though it calls itself the same.
                return Err(Broken::Differs(0).of(&self.shown).into());
            }
            if read > kept {
                self.import.chunks = read;
                self.import.chain.clone_from(&chain);
                session.note_import(self.import.clone()).await?;
            }
        }
    }

    /// Puts a chunk; returns its digest once it was compared.
    async fn put_chunk(&self, pieces: mpsc::Receiver<Bytes>, arriving: &mut Incoming) -> Result<Sum, Error> {
        let pieces = stream::unfold(pieces, |mut pieces| async move {
            let piece = pieces.recv().await?;
            Some((piece, pieces))
        });
        let put = self.session.docker.put_archive(&self.container(), pieces).await;
        // What is wrong with the archive says more than what the Engine makes of it.
        match (arriving.next().await, put) {
            (Ok(_) | Err(Broken::Gone), Err(error)) => Err(error.into()),
            (Err(broken), _) => Err(broken.of(&self.shown).into()),
            (Ok(Piece::Sealed(sum)), Ok(())) => Ok(sum),
            (Ok(_), Ok(())) => Err(Broken::Gone.of(&self.shown).into()),
        }
    }

    /// Refuses volumes whose folders do not belong to whom the archive says.
    async fn compare_owners(&self) -> Result<(), Error> {
        for (number, volume) in self.import.base.volumes.iter().enumerate() {
            let path = format!("/{}", folder(number));
            let found = self.session.docker.owner_at(&self.container(), &path).await?;
            if found != volume.owner {
                self.give_up().await?;
                let Owner { uid, gid, mode } = found;
                let found = format!("{uid}:{gid} with mode {mode:o}");
                return Err(DataError::NotAsArchived { volume: volume.layer.volume.clone(), found }.into());
            }
        }
        Ok(())
    }

    /// Makes the marker, and for a snapshot what keeps it.
    async fn complete(&self) -> Result<(), Error> {
        let (session, base) = (self.session, &self.import.base);
        session.remove_base(&self.repository.id, &self.project, false).await?;
        let names = session.state.lock_project(&names(&self.repository), &session.patiently()).await?;
        self.refuse_taken().await?;
        session.docker.create_volume("marker", &base.marker(&self.labels)).await?;
        if base.snapshot.is_some() {
            session.docker.create_keeper(&base.keeper(&self.labels)).await?;
        }
        session.release(names)?;
        session.forget_import(&self.repository.id, &base.key).await
    }

    /// Removes all that was made.
    async fn give_up(&self) -> Result<(), Error> {
        self.session.remove_base(&self.repository.id, &self.project, true).await?;
        self.session.forget_import(&self.repository.id, &self.import.base.key).await
    }
}
