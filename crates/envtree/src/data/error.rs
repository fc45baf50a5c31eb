//! Why data is not there as it should be.

use std::path::PathBuf;

use envtree_core::archive::ArchiveFault;

use crate::repository::RepositoryError;

/// Why data is not there as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// What the seed depends on could not be read.
    #[error("cannot read `{path}`, on which the data depends")]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// The answer of the system.
        source: std::io::Error,
    },
    /// A server was not stopped as it should have been: what it left may be torn.
    #[error("service `{service}` ended with status {code} when it was stopped: its data is not used")]
    NotStopped {
        /// The service.
        service: String,
        /// Its exit status.
        code: i64,
    },
    /// The Engine does not mount branches.
    #[error("this Engine does not branch volumes: {reason}")]
    NoBranches {
        /// What it says.
        reason: String,
    },
    /// There is nothing to go back to.
    #[error("no volume of environment `{project}` is a branch of seeded data")]
    NoneBranched {
        /// The Compose project.
        project: String,
        /// The task.
        task: String,
    },
    /// What would be replaced has no changes that could be thrown away.
    #[error("volume `{volume}` is no branch of any data")]
    NotBranched {
        /// The volume.
        volume: String,
    },
    /// A command would begin with an empty volume.
    #[error("the data of service `{service}` is not there yet")]
    NotSeeded {
        /// The service.
        service: String,
    },
    /// Nothing says how data is to be made.
    #[error("`envtree.yaml` has no `data.seed`, and its servers are not prepared without one")]
    NoSeed,
    /// Nobody accepted the commands of the seed.
    #[error("`data.seed` does not run: its commands are not trusted yet")]
    SeedUntrusted,
    /// There is nothing to make.
    #[error("no service keeps data in a volume that can branch")]
    NoServers,
    /// Real data would leave the machine.
    #[error("`{name}` is real data of which nobody verified that it is harmless")]
    Raw {
        /// The snapshot.
        name: String,
    },
    /// Nothing says what harmless data is.
    #[error("`envtree.yaml` has no `data.verify`, which says that real data is harmless")]
    NoVerification,
    /// A dump fills databases that nothing makes harmless.
    #[error("the dump has made database `{}`: only `{database}` is made harmless and verified", .others.join("`, `"))]
    OtherDatabases {
        /// Those that it has made.
        others: Vec<String>,
        /// The service's own.
        database: String,
    },
    /// Nobody accepted what is to be done to real data.
    #[error("`{key}` does not run: it is not trusted yet")]
    Untrusted {
        /// Its key.
        key: String,
    },
    /// No server reads what is given.
    #[error("{} reads {what}", .service.as_ref().map_or_else(|| "no server of this project".to_owned(), |service| format!("service `{service}` is no server that")))]
    NoReader {
        /// What it is.
        what: String,
        /// The service that was asked for.
        service: Option<String>,
    },
    /// Several servers read what is given.
    #[error("services {} can read it", .servers.join(", "))]
    SeveralReaders {
        /// The services.
        servers: Vec<String>,
    },
    /// A dump cannot be read.
    #[error("cannot read `{path}`")]
    DumpRead {
        /// The file or folder.
        path: PathBuf,
        /// The answer of the system.
        source: std::io::Error,
    },
    /// A folder holds no dump.
    #[error("`{path}` is no folder of `pg_dump` or `mongodump`")]
    NoDump {
        /// The folder.
        path: PathBuf,
    },
    /// A server's own tool failed.
    #[error("`{tool}` in service `{service}` exited with status {code}")]
    ToolFailed {
        /// The service.
        service: String,
        /// The tool.
        tool: String,
        /// Its exit status.
        code: i64,
        /// The last lines that it wrote.
        lines: Vec<String>,
    },
    /// Patterns name no file.
    #[error("`{key}` names no file of the worktree: `{}`", .patterns.join("`, `"))]
    NoFiles {
        /// The key.
        key: String,
        /// The patterns.
        patterns: Vec<String>,
    },
    /// The verification has something to report of the data.
    #[error("`data.verify` has something to report: the data is not used")]
    NotHarmless {
        /// What it reports.
        lines: Vec<String>,
    },
    /// A server did not become ready while data that no seed fills was prepared.
    #[error("{reason}")]
    NotReady {
        /// The service.
        service: String,
        /// The service, and what is wrong with it.
        reason: String,
    },
    /// A container of a base is gone.
    #[error("container `{container}`, in which the data is made, is gone")]
    Gone {
        /// The container.
        container: String,
    },
    /// No base or snapshot is called that.
    #[error("this repository has no base or snapshot `{name}`")]
    UnknownBase {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Neither a task nor a base or snapshot is called that.
    #[error("this repository has no task, snapshot or base `{name}`")]
    UnknownSource {
        /// What was asked for.
        name: String,
        /// The bases and snapshots there are.
        known: Vec<String>,
    },
    /// An environment would begin with what it has.
    #[error("the environment of `{task}` cannot begin with its own data")]
    OwnData {
        /// The task.
        task: String,
    },
    /// A dry run would need a snapshot to tell what comes next.
    #[error("`--data-from {task}` takes a snapshot of it, which a dry run does not")]
    SnapshotWanted {
        /// The task.
        task: String,
    },
    /// Data is there that was to begin with something.
    #[error("volume `{volume}` is there already: it cannot begin with `{base}`")]
    AlreadyThere {
        /// The volume.
        volume: String,
        /// The base or snapshot.
        base: String,
    },
    /// No service has an image to copy data with.
    #[error("no service has an image whose `cp` could copy the data of service `{service}`")]
    NoCopier {
        /// The service.
        service: String,
    },
    /// No snapshot was taken at a revision or before it.
    #[error("no snapshot was taken at `{revision}` or at a commit before it")]
    NoneBefore {
        /// The revision.
        revision: String,
    },
    /// A branch was begun and not finished: nothing is in it yet, or its volume was removed.
    #[error("volume `{volume}` is a branch that is not mounted from anything now")]
    Unfinished {
        /// The volume.
        volume: String,
    },
    /// Nothing has changed since the last snapshot, which the data is still to begin with.
    #[error("the data of `{task}` is that of `{name}`: nothing has begun on it since")]
    Unchanged {
        /// The task.
        task: String,
        /// The snapshot or base.
        name: String,
    },
    /// What an archive holds is there under another name.
    #[error("what the archive holds is here already, as `{name}`")]
    ImportedBefore {
        /// The snapshot.
        name: String,
    },
    /// An archive would take the place of other data.
    #[error("archive `{path}` has the key of `{name}`, which is other data")]
    KeyTaken {
        /// The file, or what it came from.
        path: String,
        /// The base or snapshot.
        name: String,
    },
    /// An archive cannot be put there.
    #[error("`{path}` is not a file")]
    NoFile {
        /// What is there.
        path: String,
    },
    /// A snapshot of that name is there.
    #[error("this repository has a snapshot `{name}`")]
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// A name that would be hard to type, or to tell from a base's.
    #[error("`{name}` cannot be the name of a snapshot")]
    SnapshotName {
        /// The name.
        name: String,
    },
    /// What an environment's data was to begin on is gone.
    #[error("the data that the environment begins with is gone: there is no snapshot or base `{name}`")]
    GroundGone {
        /// The beginning of its key.
        name: String,
    },
    /// An archive is not one that can be used.
    #[error("cannot use archive `{path}`")]
    Archive {
        /// The file, or what it came from.
        path: String,
        /// What is wrong with it.
        source: ArchiveFault,
    },
    /// An archive could not be read.
    #[error("cannot read archive `{path}`")]
    ArchiveRead {
        /// The file, or what it came from.
        path: String,
        /// The answer of the system.
        source: std::io::Error,
    },
    /// An archive could not be written.
    #[error("cannot write archive `{path}`")]
    ArchiveWrite {
        /// The file, or where it was to go.
        path: String,
        /// The answer of the system.
        source: std::io::Error,
    },
    /// A file is there that an archive would replace.
    #[error("`{path}` is there already")]
    ArchiveExists {
        /// The file.
        path: String,
    },
    /// Another process writes the same archive.
    #[error("another command writes `{path}` at this moment")]
    ArchiveBusy {
        /// The file.
        path: String,
    },
    /// A name was chosen for what has none but its key.
    #[error("archive `{path}` holds a base, which has no name but its key")]
    BaseNamed {
        /// The file, or what it came from.
        path: String,
    },
    /// What was imported is not what was exported.
    #[error("volume `{volume}` is not as the archive has it: it belongs to {found}")]
    NotAsArchived {
        /// The volume.
        volume: String,
        /// Whose its folder is, such as `999:999 with mode 700`.
        found: String,
    },
    /// Branches or snapshots lie on the base or snapshot.
    #[error("`{name}` is in use")]
    BaseInUse {
        /// The base or snapshot.
        name: String,
        /// What lies on it, such as `volume shop-x_db`.
        users: Vec<String>,
    },
}

impl From<RepositoryError> for DataError {
    fn from(error: RepositoryError) -> Self {
        Self::Input { path: PathBuf::from("data.inputs"), source: std::io::Error::other(error) }
    }
}
