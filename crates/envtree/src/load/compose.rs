//! Finds the Compose files of a worktree, merges them and makes a project of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use envtree_core::compose_file::dotenv::parse_dotenv;
use envtree_core::compose_file::interpolate::interpolate;
use envtree_core::compose_file::lower::{LowerOptions, Lowered, lower};
use envtree_core::compose_file::merge::{finish, merge};
use envtree_core::compose_file::node::{Diagnostic, Node};
use envtree_core::compose_file::parse::parse;
use envtree_core::host_path::HostPath;
use envtree_core::name::ProjectName;
use envtree_core::project::Project;
use envtree_core::settings::{EnvFile, Settings};
use indexmap::IndexMap;

use super::filled::Filled;
use super::{Files, LoadError};
use crate::env_file::outside_block;
use crate::template;

/// The names of a Compose file, the preferred one first (Compose specification, section "Compose file").
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The names of its override, looked for in the same order.
const OVERRIDE_FILES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What decides which project a worktree has.
pub(crate) struct ComposeRequest<'a> {
    /// The worktree's files.
    pub(crate) files: &'a Files,
    /// The worktree's settings.
    pub(crate) settings: &'a Settings,
    /// Compose files named on the command line, absolute; none means those of the environment or the settings.
    pub(crate) named: &'a [PathBuf],
    /// Profiles named on the command line.
    pub(crate) profiles: &'a [String],
    /// The variables of the process.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Variables that win over all others: the environment's identity and its secret.
    pub(crate) own: &'a IndexMap<String, String>,
    /// The name of the environment's project.
    pub(crate) name: ProjectName,
}

/// What a worktree wants to run.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The project before isolation.
    pub(crate) project: Project,
    /// The services that no active profile enables.
    pub(crate) inactive: Vec<String>,
    /// The files that it was read from; empty for a template.
    pub(crate) compose_files: Vec<PathBuf>,
    /// The variables of `.env`, for further interpolation.
    pub(crate) dotenv: IndexMap<String, String>,
    /// The paths of the host that services mount.
    pub(crate) binds: Vec<HostPath>,
    /// What was noticed, `path:line:column: message` where it has a place.
    pub(crate) warnings: Vec<String>,
}

/// Reads the Compose files of a worktree, or the template of a worktree without any.
pub(crate) fn load_compose(request: &ComposeRequest<'_>) -> Result<Wanted, LoadError> {
    // As with Compose, the `.env` where one stands may name the files, and that beside the first file adds to it.
    let top = request.files.top();
    let mut dotenv = if request.named.is_empty() { load_dotenv(request, top)? } else { IndexMap::new() };
    let named = named_files(request, &dotenv);
    let project_dir = project_directory(request, named.as_ref());
    if !request.named.is_empty() || project_dir != top {
        for (name, value) in load_dotenv(request, &project_dir)? {
            dotenv.entry(name).or_insert(value);
        }
    }
    let lookup = |name: &str| lookup(request, &dotenv, name);
    let sources = match named {
        Some(named) => read_named(request, &named)?,
        None => discover(request)?,
    };
    let filled = Filled::default();
    let fill = |name: &str| lookup(name).inspect(|value| filled.note(name, value));
    let mut warnings = request.settings.warnings.clone();
    let mut merged: Option<Node> = None;
    for source in &sources {
        let mut node = parse(&source.display, &source.text)?;
        warnings.extend(interpolate(&mut node, &fill)?);
        merged = Some(match merged.take() {
            Some(base) => merge(base, node),
            None => node,
        });
    }
    let node = finish(merged.expect("there is a template where there is no file"));
    let mut lowered = lower_project(request, &node, &project_dir, &lookup).map_err(|mut error| {
        if let LoadError::Invalid(errors) = &mut error {
            filled.hide(errors);
        }
        error
    })?;
    filled.hide(&mut lowered.warnings);
    warnings.extend(lowered.warnings);
    Ok(Wanted {
        project: lowered.project,
        inactive: lowered.inactive,
        binds: lowered.binds,
        compose_files: sources.into_iter().filter_map(|source| source.path).collect(),
        dotenv,
        warnings: distinct(&warnings),
    })
}

fn lower_project(
    request: &ComposeRequest<'_>,
    node: &Node,
    project_dir: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Lowered, LoadError> {
    // An error of the file system is kept aside: the pure part knows only texts.
    let failed: RefCell<Option<LoadError>> = RefCell::new(None);
    let read_env_file = |path: &str| {
        let path = normal(Path::new(path));
        let read = request.files.read(&path).and_then(|text| {
            let parsed = text.map(|text| {
                parse_dotenv(&request.files.display(&path), outside_block(&text).as_ref(), lookup)
            });
            Ok(parsed.transpose()?)
        });
        read.map_err(|error| {
            let message = error.to_string();
            failed.borrow_mut().get_or_insert(error);
            message
        })
    };
    let working_dir = project_dir.to_string_lossy();
    let profiles = profiles(request, lookup);
    let options = LowerOptions {
        name: request.name.clone(),
        working_dir: &working_dir,
        home: request.environment.get("HOME").map(String::as_str),
        profiles: &profiles,
        lookup,
        read_env_file: &read_env_file,
    };
    let lowered = lower(node, &options);
    if let Some(error) = failed.take() {
        return Err(error);
    }
    lowered.map_err(LoadError::Invalid)
}

fn profiles(request: &ComposeRequest<'_>, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let listed = lookup("COMPOSE_PROFILES").unwrap_or_default();
    let listed = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let mut profiles: Vec<String> = request.profiles.to_vec();
    profiles.extend(request.settings.compose.profiles.iter().cloned());
    profiles.extend(listed);
    profiles
}

/// Returns a variable for interpolation: the environment's own, the process's, then that of `.env`.
fn lookup(request: &ComposeRequest<'_>, dotenv: &IndexMap<String, String>, name: &str) -> Option<String> {
    request.own.get(name).or_else(|| request.environment.get(name)).or_else(|| dotenv.get(name)).cloned()
}

/// One Compose file, read.
struct Source {
    display: String,
    /// Absent for a template.
    path: Option<PathBuf>,
    text: String,
}

/// The Compose files that somebody names, and who.
struct Named {
    paths: Vec<PathBuf>,
    by: String,
}

/// Returns the files of `--file`, `COMPOSE_FILE` (the process's, else that of `.env`), or `compose.files`, in this order.
fn named_files(request: &ComposeRequest<'_>, dotenv: &IndexMap<String, String>) -> Option<Named> {
    if !request.named.is_empty() {
        return Some(Named { paths: request.named.to_vec(), by: "--file".into() });
    }
    let top = request.files.top();
    let variable = |name: &str| {
        let value = request.environment.get(name).or_else(|| dotenv.get(name));
        value.map(String::as_str).filter(|value| !value.is_empty())
    };
    if let Some(list) = variable("COMPOSE_FILE") {
        let separator = variable("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        let paths = list.split(separator).filter(|path| !path.is_empty()).map(|path| normal(&top.join(path)));
        return Some(Named { paths: paths.collect(), by: "COMPOSE_FILE".into() });
    }
    let files = &request.settings.compose.files;
    (!files.is_empty()).then(|| Named {
        paths: files.iter().map(|path| normal(&top.join(path))).collect(),
        by: format!("`compose.files` in {}", super::SETTINGS_FILE),
    })
}

/// Returns the folder against which relative paths are resolved: that of the first file, else the worktree's top.
fn project_directory(request: &ComposeRequest<'_>, named: Option<&Named>) -> PathBuf {
    let first = named.and_then(|named| named.paths.first()?.parent());
    first.unwrap_or(request.files.top()).to_owned()
}

fn read_named(request: &ComposeRequest<'_>, named: &Named) -> Result<Vec<Source>, LoadError> {
    let read = |path: &PathBuf| {
        read_source(request, path)?
            .ok_or_else(|| LoadError::Missing { path: path.clone(), named_by: named.by.clone() })
    };
    named.paths.iter().map(read).collect()
}

/// Returns the Compose file at the worktree's top and its override, else the template.
fn discover(request: &ComposeRequest<'_>) -> Result<Vec<Source>, LoadError> {
    let Some(base) = first_of(request, &COMPOSE_FILES)? else {
        return Ok(vec![template(request.settings)?]);
    };
    let mut sources = vec![base];
    sources.extend(first_of(request, &OVERRIDE_FILES)?);
    Ok(sources)
}

fn first_of(request: &ComposeRequest<'_>, names: &[&str]) -> Result<Option<Source>, LoadError> {
    for name in names {
        if let Some(source) = read_source(request, &request.files.top().join(name))? {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

fn read_source(request: &ComposeRequest<'_>, path: &Path) -> Result<Option<Source>, LoadError> {
    let text = request.files.read(path)?;
    Ok(text.map(|text| Source { display: request.files.display(path), path: Some(path.to_owned()), text }))
}

fn template(settings: &Settings) -> Result<Source, LoadError> {
    let name = settings.compose.template.as_deref().unwrap_or(template::DEFAULT);
    let template = template::find(name).map_err(|fault| {
        let place = settings.compose.template_place.as_ref().map(ToString::to_string);
        LoadError::Template { place: place.unwrap_or_else(|| super::SETTINGS_FILE.into()), fault }
    })?;
    Ok(Source {
        display: format!("template `{}`", template.name),
        path: None,
        text: template.text.to_owned(),
    })
}

/// Reads `.env` of the project directory, without the block that envtree manages: its values are results.
fn load_dotenv(
    request: &ComposeRequest<'_>,
    project_dir: &Path,
) -> Result<IndexMap<String, String>, LoadError> {
    let path = project_dir.join(".env");
    let Some(text) = request.files.read(&path)? else {
        return Ok(IndexMap::new());
    };
    let process = |name: &str| request.own.get(name).or_else(|| request.environment.get(name)).cloned();
    let parsed = parse_dotenv(&request.files.display(&path), outside_block(&text).as_ref(), &process)?;
    let inherited = |(name, value): (String, Option<String>)| {
        let value = value.or_else(|| process(&name))?;
        Some((name, value))
    };
    Ok(parsed.into_iter().filter_map(inherited).collect())
}

/// Returns the env file that the settings name, absolute; none where none is to be written.
pub(crate) fn env_file(settings: &Settings, top: &Path) -> Option<PathBuf> {
    match &settings.env.file {
        EnvFile::Default => Some(top.join(".env.local")),
        EnvFile::Path(path, _) => Some(normal(&top.join(path))),
        EnvFile::Off => None,
    }
}

/// Returns `path` without `.` and `..`, by its text alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn distinct(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in diagnostics.iter().map(ToString::to_string) {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
