//! Reads what a repository wants: `envtree.yaml`, the Compose files, and the files that these name.
//!
//! A worktree that is still to be made is read out of the commit that it will check out, so that everything is known,
//! and can be started, while the checkout runs.

mod compose;
mod encoding;
mod files;
mod filled;
mod input;
mod main_worktree;

use std::path::PathBuf;

use envtree_core::compose_file::node::Diagnostic;
use envtree_core::settings::machine::{MachineSettings, parse_machine_settings};
use envtree_core::settings::{Settings, parse_settings};

pub(crate) use compose::{ComposeRequest, OneOffFile, Wanted, env_file, load_compose, normal};
pub(crate) use encoding::not_utf8;
pub(crate) use files::Files;
pub use input::Input;
pub(crate) use input::is_input;
pub(crate) use main_worktree::{advice_on_file, beside_main};

use crate::include::IncludeError;
use crate::repository::RepositoryError;
use crate::template::UnknownTemplate;

/// The name of the settings file at the top of a worktree.
pub const SETTINGS_FILE: &str = "envtree.yaml";

/// Why what a repository wants cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Files say what they may not say; at least one.
    #[error("{}", lines(.0))]
    Invalid(Vec<Diagnostic>),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The answer of the file system.
        source: std::io::Error,
    },
    /// A file that something names does not exist.
    #[error("{named_by} names `{path}`, where there is no file")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What names it, such as `--file`.
        named_by: String,
    },
    /// Something names a folder as if it were a file.
    #[error("{named_by} names `{path}`, which is a folder; a file is expected")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What names it, such as `--file`.
        named_by: String,
    },
    /// `compose.template` names none.
    #[error("{place}: {fault}")]
    Template {
        /// What names it.
        place: String,
        /// Which.
        fault: UnknownTemplate,
    },
    /// The files that a new worktree will be given cannot be told.
    #[error(transparent)]
    Include(#[from] IncludeError),
    /// A commit cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl LoadError {
    /// Returns an error of all that is refused, if anything is.
    pub(crate) fn unless_empty(refused: Vec<Diagnostic>) -> Result<(), Self> {
        if refused.is_empty() { Ok(()) } else { Err(Self::Invalid(refused)) }
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl From<Diagnostic> for LoadError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Invalid(vec![diagnostic])
    }
}

/// Reads `envtree.yaml` at the top of a worktree; without one, everything has its default.
pub(crate) fn load_settings(files: &Files) -> Result<Settings, LoadError> {
    let path = files.top().join(SETTINGS_FILE);
    match files.read(&path)? {
        Some(text) => Ok(parse_settings(&files.display(&path), &text)?),
        None => Ok(Settings::default()),
    }
}

/// Reads the machine's own configuration; without one, everything has its default.
///
/// A file that the person names must exist.
pub(crate) fn load_machine_settings(
    path: Option<PathBuf>,
    named: bool,
) -> Result<MachineSettings, LoadError> {
    let Some(path) = path else {
        return Ok(MachineSettings::default());
    };
    match files::read_file(&path)? {
        Some(text) => Ok(parse_machine_settings(&path.display().to_string(), &text)?),
        None if named => Err(files::missing(path.is_dir(), path, "ENVTREE_CONFIG".into())),
        None => Ok(MachineSettings::default()),
    }
}
