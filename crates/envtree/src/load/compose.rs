//! Finds the Compose files of a worktree, puts them together and makes a project of them.

mod find;
mod reader;
mod variables;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use envtree_core::compose_file::assemble::{Assembled, Files as _, Source, assemble};
use envtree_core::compose_file::lower::{LowerOptions, Lowered, Places, lower};
use envtree_core::compose_file::node::{Diagnostic, Place};
use envtree_core::given::{Unread, read_given};
use envtree_core::host_path::HostPath;
use envtree_core::name::ProjectName;
use envtree_core::project::Project;
use envtree_core::settings::{EnvFile, Settings};
use indexmap::IndexMap;

use self::find::{Found, find, named_files, project_directory};
use self::reader::Reader;
use self::variables::{add_variables, load_variables};
use super::{Files, Input, LoadError};

/// What decides which project a worktree has.
pub(crate) struct ComposeRequest<'a> {
    /// The worktree's files.
    pub(crate) files: &'a Files,
    /// The worktree's settings.
    pub(crate) settings: &'a Settings,
    /// The folder of the worktree in which the person stands, or its like; the top where they stand elsewhere.
    pub(crate) here: &'a Path,
    /// Compose files named on the command line, absolute, or `-`; none means those of the environment or the settings.
    pub(crate) named: &'a [PathBuf],
    /// What `-` stands for.
    pub(crate) input: &'a Input,
    /// Profiles named on the command line.
    pub(crate) profiles: &'a [String],
    /// The variables of the process.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Variables that win over all others: the environment's identity and its secret.
    pub(crate) own: &'a IndexMap<String, String>,
    /// The name of the environment's project.
    pub(crate) name: ProjectName,
    /// The command that is run, if it is for one.
    pub(crate) one_off: Option<&'a OneOffFile>,
}

/// What a command changes in the definition of its service.
#[derive(Debug, Clone)]
pub(crate) struct OneOffFile {
    /// The service; its profiles are active for it and for what it depends on.
    pub(crate) service: String,
    /// A Compose file that is merged last.
    pub(crate) text: String,
    /// What each line of it comes from, such as an option as it was typed; empty for a line that can hold no mistake.
    pub(crate) origins: Vec<String>,
}

impl OneOffFile {
    /// The name of the text among the sources.
    const DISPLAY: &str = "the command line";

    /// Makes a place in the text, which nobody wrote, one of what it comes from.
    fn name_origin(&self, place: &mut Place) {
        if &*place.file == Self::DISPLAY {
            let origin = self.origins.get((place.line as usize).saturating_sub(1));
            let origin = origin.filter(|origin| !origin.is_empty()).map_or(Self::DISPLAY, String::as_str);
            *place = Place::of_whole(origin);
        }
    }
}

/// What a worktree wants to run.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The project before isolation.
    pub(crate) project: Project,
    /// The services that no active profile enables.
    pub(crate) inactive: Vec<String>,
    /// The Compose files that it was read from, `-` for the standard input; empty for a template.
    pub(crate) compose_files: Vec<PathBuf>,
    /// The variables of `.env` and its like, for further interpolation.
    pub(crate) dotenv: IndexMap<String, String>,
    /// The paths of the host that services mount.
    pub(crate) binds: Vec<HostPath>,
    /// Where the files say what.
    pub(crate) places: Places,
    /// What was noticed, `path:line:column: message` where it has a place.
    pub(crate) warnings: Vec<String>,
    /// What no Engine can run: the project can be shown, and nothing else be done with it.
    pub(crate) refused: Vec<Diagnostic>,
}

/// Reads the Compose files of a worktree, or the template of a worktree without any.
pub(crate) fn load_compose(request: &ComposeRequest<'_>) -> Result<Wanted, LoadError> {
    let reader = Reader::new(request.files);
    let mut dotenv = load_variables(request, &reader)?;
    let named = named_files(request, &dotenv);
    let Found { mut sources, warnings: passed_over } = find(request, named.as_ref())?;
    let compose_files = named.as_ref().map_or_else(|| paths(&sources), |named| named.paths.clone());
    let project_dir = project_directory(request, named.is_some(), &sources);
    add_variables(request, &project_dir, named.is_none(), &reader, &mut dotenv)?;
    sources.extend(request.one_off.map(|one_off| Source {
        path: String::new(),
        display: OneOffFile::DISPLAY.into(),
        text: one_off.text.clone(),
    }));
    let lookup = |name: &str| lookup(request, &dotenv, name);
    let fill = |name: &str| lookup(name).inspect(|value| reader.note(name, value));
    let assembled = assemble(&sources, &project_dir.to_string_lossy(), &fill, &reader);
    let assembled =
        named_by_options(request.one_off, assembled).map_err(|error| reader.failure(vec![error]))?;
    let mut lowered = lower_project(request, &assembled, &project_dir, &lookup, &reader)?;
    let Assembled { node, mut warnings, .. } = assembled;
    reader.hide(&mut lowered.warnings);
    reader.hide(&mut lowered.refused);
    warnings.extend(lowered.warnings);
    warnings.extend(reader.take_warnings());
    let platform = lookup("DOCKER_DEFAULT_PLATFORM").filter(|platform| !platform.is_empty());
    for service in lowered.project.services.values_mut().filter(|service| service.platform.is_none()) {
        service.platform.clone_from(&platform);
    }
    let places = Places::of(&node);
    warnings.extend(read_files_of_servers(request, &mut lowered.project, &places));
    Ok(Wanted {
        places,
        project: lowered.project,
        inactive: lowered.inactive,
        binds: lowered.binds,
        refused: lowered.refused,
        compose_files,
        dotenv,
        warnings: passed_over.into_iter().chain(distinct(&warnings)).collect(),
    })
}

/// Reads the files in which known servers have their login; returns warnings of those that cannot be read.
fn read_files_of_servers(
    request: &ComposeRequest<'_>,
    project: &mut Project,
    places: &Places,
) -> Vec<Diagnostic> {
    let read = |path: &str| request.files.read(Path::new(path)).ok().flatten();
    let mut warnings = Vec::new();
    for (name, service) in &mut project.services {
        for Unread { variable, path } in read_given(service, read) {
            let Some(place) = places.variable(name, &variable).or_else(|| places.service(name)) else {
                continue;
            };
            let message = format!(
                "service `{name}`: `{variable}` names `{path}`, which is no secret, config or mounted file that can be read: the service's URL lacks what it says"
            );
            warnings.push(Diagnostic { place: place.clone(), message });
        }
    }
    warnings
}

/// Names the options of a command where its text would be named.
fn named_by_options(
    one_off: Option<&OneOffFile>,
    mut assembled: Result<Assembled, Diagnostic>,
) -> Result<Assembled, Diagnostic> {
    if let Some(file) = one_off {
        match &mut assembled {
            Ok(assembled) => {
                assembled.node.change_places(&|place| file.name_origin(place));
                assembled.warnings.iter_mut().for_each(|warning| file.name_origin(&mut warning.place));
            }
            Err(error) => file.name_origin(&mut error.place),
        }
    }
    assembled
}

fn lower_project(
    request: &ComposeRequest<'_>,
    assembled: &Assembled,
    project_dir: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
    reader: &Reader<'_>,
) -> Result<Lowered, LoadError> {
    let working_dir = project_dir.to_string_lossy();
    let profiles = profiles(request, lookup);
    let options = LowerOptions {
        name: request.name.clone(),
        working_dir: &working_dir,
        home: request.environment.get("HOME").map(String::as_str),
        profiles: &profiles,
        wanted: request.one_off.map(|one_off| one_off.service.as_str()),
        lookup,
        read_env_file: &|request| reader.env_file(request, lookup),
        read_text: &|path| request.files.read_file(Path::new(path)),
        missing: &|path| reader.missing(path),
    };
    match lower(&assembled.node, &options) {
        Ok(mut lowered) if !reader.has_failed() => {
            assembled.unset.explain(&mut lowered.refused);
            Ok(lowered)
        }
        Ok(_) => Err(reader.failure(Vec::new())),
        Err(mut errors) => {
            assembled.unset.explain(&mut errors);
            Err(reader.failure(errors))
        }
    }
}

fn paths(sources: &[Source]) -> Vec<PathBuf> {
    sources
        .iter()
        .filter(|source| !source.path.is_empty())
        .map(|source| PathBuf::from(&source.path))
        .collect()
}

/// Returns the profiles of the option, or else those of `COMPOSE_PROFILES`, and in any case those of the settings.
fn profiles(request: &ComposeRequest<'_>, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let listed = match request.profiles {
        [] => lookup("COMPOSE_PROFILES").unwrap_or_default(),
        _ => String::new(),
    };
    let listed = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let named = request.profiles.iter().chain(&request.settings.compose.profiles).cloned();
    named.chain(listed).collect()
}

/// Returns a variable for interpolation: the environment's own, the process's, then that of `.env`.
fn lookup(request: &ComposeRequest<'_>, dotenv: &IndexMap<String, String>, name: &str) -> Option<String> {
    request.own.get(name).or_else(|| request.environment.get(name)).or_else(|| dotenv.get(name)).cloned()
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
