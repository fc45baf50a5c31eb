//! Real data: a dump is read by a server's own tool, made harmless, and verified; only then does anything begin on it.
//!
//! What statements change stays in the files of a server, in dead rows and logs. So what was made harmless is written into
//! fresh volumes, and those that held the raw data go.

mod pipe;
mod source;
mod treat;

use std::time::{Duration, Instant};

use envtree_core::branch::DataVolume;
use envtree_core::branch::base::{Base, Snapshot, base_project, project_name};
use envtree_core::branch::key::Ingredients;
use envtree_core::branch::seed::reader_project;
use envtree_core::config_hash::hex;
use envtree_core::known_image::{Credentials, KnownImage};
use envtree_core::name::ServiceName;
use envtree_core::project::Project;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::grounds::WantedBase;
use super::make::{Making, container};
use super::snapshot::{names, refuse_unfit};
use super::{DataError, owner, undirected, volumes_of};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Way};
use crate::session::Session;
use crate::state::identity::bases_name;
use crate::state::record::EnvironmentRecord;
use pipe::Pipe;
use source::Opened;

pub use source::{DumpSource, LiveServer};
pub(crate) use treat::treatment_texts;

/// How a dump is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpOptions {
    /// Where it comes from.
    pub source: DumpSource,
    /// The server that reads it; absent for the only one that can.
    pub service: Option<String>,
    /// What it is called from then on; absent for the name of the file or the database.
    pub name: Option<String>,
    /// Whether it is kept though nothing verifies that it is harmless.
    pub unsanitized: bool,
}

/// Real data that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedDump {
    /// What it is called.
    pub name: String,
    /// The service whose data it is.
    pub service: String,
    /// Whether something made it harmless.
    pub is_sanitized: bool,
    /// Whether something verified that.
    pub is_verified: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// A server that reads a dump.
pub(super) struct Server {
    service: ServiceName,
    known: KnownImage,
    login: Credentials,
}

impl Session {
    /// Reads a dump into a server on fresh volumes, makes it harmless and verifies it as `envtree.yaml` says, and keeps the
    /// outcome like a snapshot.
    ///
    /// # Errors
    ///
    /// Fails with [`DataError::NoVerification`] where nothing says what harmless is and nobody wants the data as it is, with
    /// [`DataError::Untrusted`] where nobody accepted what is to be done to the data, with [`DataError::NoReader`] where
    /// no server of the project reads such a dump, with [`DataError::OtherDatabases`] where it fills more than the
    /// database of the service, and with [`DataError::NotHarmless`] where the verification has something to report.
    /// Nothing of the data is left then.
    pub async fn import_dump(
        &self,
        task: Option<&str>,
        options: &DumpOptions,
    ) -> Result<ImportedDump, Error> {
        self.connect().await?;
        let started = Instant::now();
        let (record, environment) = self.environment_ahead(task).await?;
        let settings = &environment.definition.settings.data;
        if settings.verify.is_none() && !options.unsanitized {
            return Err(DataError::NoVerification.into());
        }
        self.refuse_untrusted_treatment(&record, &environment)?;
        let name = options.name.clone().unwrap_or_else(|| options.source.name());
        refuse_unfit(&name)?;
        let opened = options.source.open()?;
        let observed = self.observe_with_images(&record, &environment).await?;
        let volumes = volumes_of(&environment, &observed);
        let server = server(&environment, &volumes, (options.service.as_deref(), &opened))?;
        let volumes: Vec<DataVolume> =
            volumes.into_iter().filter(|volume| volume.service == server.service).collect();
        let import =
            Import { session: self, record: &record, environment: &environment, server, volumes, name };
        let keys = import.keys();
        let projects =
            keys.each_ref().map(|key| project_name(&bases_name(&record.repository.common_dir), key));
        let mut locks = Vec::new();
        for project in &projects {
            locks.push(self.state.lock_project(project, &self.lock()).await?);
        }
        self.note_unmade(&record.repository.id, &projects).await?;
        let service = import.server.service.to_string();
        let (name, services) = (import.name.clone(), vec![service.clone()]);
        self.emit(Event::MovingData { way: Way::Import, name: name.clone(), services });
        let imported = Box::pin(import.run(&keys, opened)).await;
        for lock in locks {
            self.release(lock)?;
        }
        // What is complete stays.
        let removed = self.remove_unmade().await;
        imported?;
        removed?;
        let elapsed = started.elapsed();
        self.emit(Event::MovedData { way: Way::Import, name: name.clone(), elapsed });
        let (is_sanitized, is_verified) = (settings.sanitize.is_some(), settings.verify.is_some());
        Ok(ImportedDump { name, service, is_sanitized, is_verified, elapsed })
    }
}

/// Returns the server that is to read a dump: the one of that name, or the only one that can.
fn server(
    environment: &Environment,
    volumes: &[DataVolume],
    (asked, opened): (Option<&str>, &Opened),
) -> Result<Server, DataError> {
    let services = &environment.isolated.project.services;
    let mut servers = Vec::new();
    for (name, service) in services {
        let holds_data = volumes.iter().any(|volume| volume.service == *name);
        if let Some(known) = KnownImage::run_by(service).filter(|_| holds_data) {
            let login =
                known.administrator(&service.settings(), service.command.as_deref().unwrap_or_default());
            servers.push(Server { service: name.clone(), known, login });
        }
    }
    let reads = |server: &Server| opened.is_read_by(server.known, &server.login);
    let mut fitting: Vec<Server> = servers
        .into_iter()
        .filter(|server| asked.map_or_else(|| reads(server), |name| server.service == *name))
        .collect();
    match (fitting.pop(), fitting.is_empty()) {
        (Some(server), true) if reads(&server) => Ok(server),
        (Some(server), false) => {
            fitting.push(server);
            let servers = fitting.iter().map(|server| server.service.to_string()).collect();
            Err(DataError::SeveralReaders { servers })
        }
        _ => Err(DataError::NoReader { what: opened.what(), service: asked.map(str::to_owned) }),
    }
}

/// An import of real data.
struct Import<'a> {
    session: &'a Session,
    record: &'a EnvironmentRecord,
    environment: &'a Environment,
    server: Server,
    volumes: Vec<DataVolume>,
    name: String,
}

impl Import<'_> {
    /// Returns the keys of what holds the raw data, and of what is kept.
    fn keys(&self) -> [String; 2] {
        let now = Timestamp::now().as_nanosecond();
        ["raw", "kept"]
            .map(|which| hex(&Sha256::digest(format!("{which} {} {} {now}", self.record.project, self.name))))
    }

    async fn run(&self, keys: &[String; 2], opened: Opened) -> Result<(), Error> {
        self.refuse_taken().await?;
        let [raw, kept] = keys;
        let settings = &self.environment.definition.settings.data;
        let wanted = self.wanted(if settings.sanitize.is_some() { raw } else { kept });
        let first = self.making(&wanted);
        let running = first.start().await?;
        self.read(&first, &running, opened).await?;
        let Some(sanitize) = &settings.sanitize else {
            self.verify(&first, &running).await?;
            return Box::pin(self.keep(&first, &running)).await;
        };
        self.treat(&first, &running, sanitize).await?;
        self.verify(&first, &running).await?;
        let wanted = self.wanted(kept);
        let second = self.making(&wanted);
        let clean = second.start().await?;
        let other = self.pipe(&second, &clean);
        other.first_databases().await?;
        self.pipe(&first, &running).copy(&other).await?;
        self.session.remove_base(&self.record.repository.id, &first.name, true).await?;
        // What the copying brought is what is kept.
        self.verify(&second, &clean).await?;
        Box::pin(self.keep(&second, &clean)).await
    }

    /// Has the server read the dump.
    async fn read(&self, making: &Making<'_>, project: &Project, opened: Opened) -> Result<(), Error> {
        let pipe = self.pipe(making, project);
        let before = pipe.first_databases().await?;
        match opened {
            Opened::File { path, dump, reader } => pipe.read_file(path, dump, reader).await?,
            Opened::Folder { path, dump } => pipe.read_folder(&path, dump).await?,
            Opened::Server(server) => self.read_server(&pipe, making, &server).await?,
        }
        let mut others = pipe.databases().await?;
        others.retain(|database| !before.contains(database));
        let settings = &self.environment.definition.settings.data;
        let is_treated = settings.sanitize.is_some() || settings.verify.is_some();
        if others.is_empty() || !is_treated {
            return Ok(());
        }
        let database = self.server.login.database.clone().unwrap_or_default();
        Err(DataError::OtherDatabases { others, database }.into())
    }

    /// Has a container that reaches the server elsewhere write what that one holds.
    async fn read_server(
        &self,
        pipe: &Pipe<'_>,
        making: &Making<'_>,
        LiveServer { remote, password }: &LiveServer,
    ) -> Result<(), Error> {
        let docker = &self.session.docker;
        // Where the Engine runs on this machine, a container can share its network.
        let is_on_host = remote.is_loopback() && docker.facts().await?.is_local;
        let reached = if is_on_host { remote.clone() } else { remote.from_container() };
        let Server { service, known, .. } = &self.server;
        let container = making.start_idle(reader_project(&making.project, service, is_on_host)).await?;
        let tool = reached.writer(*known, password.as_deref()).expect("the server reads it");
        let reader = Pipe { container: container.clone(), ..pipe.clone() };
        reader.write(&tool, pipe).await?;
        Ok(docker.remove_container(&container, true).await?)
    }

    async fn refuse_taken(&self) -> Result<(), Error> {
        if self.session.snapshot_names(&self.record.repository.id).await?.contains(&self.name) {
            return Err(DataError::SnapshotExists { name: self.name.clone() }.into());
        }
        Ok(())
    }

    fn wanted(&self, key: &str) -> WantedBase {
        WantedBase {
            key: key.to_owned(),
            all: self.volumes.clone(),
            missing: Vec::new(),
            is_seeded: true,
            is_incremental: false,
            ingredients: Ingredients::default(),
            beside: None,
        }
    }

    fn making<'a>(&'a self, wanted: &'a WantedBase) -> Making<'a> {
        let Self { session, record, environment, .. } = *self;
        let owner = owner(&record.repository);
        let name = project_name(&owner.bases, &wanted.key);
        let project = base_project(&undirected(environment), &wanted.all, &owner, &wanted.key);
        let labels = owner.labels(&wanted.key);
        Making { session, record, environment, wanted, name, project, labels }
    }

    fn pipe<'a>(&'a self, making: &Making<'_>, project: &Project) -> Pipe<'a> {
        Pipe {
            docker: &self.session.docker,
            container: container(project, &self.server.service).to_owned(),
            folder: format!("/tmp/{}", making.name),
            server: &self.server,
        }
    }

    /// Stops the server, and makes a snapshot of what it holds.
    async fn keep(&self, making: &Making<'_>, project: &Project) -> Result<(), Error> {
        let Self { session, record, .. } = self;
        let mut volumes = Vec::new();
        for data in &self.volumes {
            volumes.push(making.volume(data, container(project, &data.service)).await?);
        }
        making.try_branch(&volumes).await?;
        making.stop(project).await?;
        let worktree = session.worktree_of(record)?;
        let (branch, commit) = worktree.map(|worktree| (worktree.branch, worktree.head)).unwrap_or_default();
        let commit = commit.map(|commit| commit.to_string());
        let settings = &self.environment.definition.settings.data;
        let base = Base {
            key: making.wanted.key.clone(),
            repository: bases_name(&record.repository.common_dir),
            is_seeded: true,
            made: Timestamp::now().as_second(),
            volumes,
            others: Vec::new(),
            snapshot: Some(Snapshot { name: self.name.clone(), task: record.task.clone(), branch, commit }),
            lineage: None,
            copy_of: None,
            is_raw: settings.verify.is_none(),
        };
        let names = session.state.lock_project(&names(&record.repository), &session.patiently()).await?;
        self.refuse_taken().await?;
        session.docker.create_volume("marker", &base.marker(&making.labels)).await?;
        session.docker.create_keeper(&base.keeper(&making.labels)).await?;
        session.release(names)
    }
}
