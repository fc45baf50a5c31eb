//! Finds the Compose files of a worktree as Compose does.

use std::path::{Path, PathBuf};

use envtree_core::compose_file::assemble::Source;
use envtree_core::settings::Settings;
use indexmap::IndexMap;

use super::{ComposeRequest, normal};
use crate::load::{LoadError, SETTINGS_FILE, is_input};
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

/// The Compose files that somebody names, and who.
pub(super) struct Named {
    /// Their paths, absolute but for `-`.
    pub(super) paths: Vec<PathBuf>,
    by: String,
}

/// Returns the files of `--file`, `COMPOSE_FILE` (the process's, else that of `.env`), or `compose.files`, in this order.
pub(super) fn named_files(request: &ComposeRequest<'_>, dotenv: &IndexMap<String, String>) -> Option<Named> {
    if !request.named.is_empty() {
        return Some(Named { paths: request.named.to_vec(), by: "--file".into() });
    }
    let top = request.files.top();
    let variable = |name: &str| {
        let value = request.environment.get(name).or_else(|| dotenv.get(name));
        value.map(String::as_str).filter(|value| !value.is_empty())
    };
    if let Some(list) = variable("COMPOSE_FILE") {
        let separator = variable("COMPOSE_PATH_SEPARATOR").unwrap_or(if cfg!(windows) { ";" } else { ":" });
        let listed = list.split(separator).filter(|path| !path.is_empty()).map(Path::new);
        let paths = listed.map(|path| if is_input(path) { path.to_owned() } else { normal(&top.join(path)) });
        return Some(Named { paths: paths.collect(), by: "COMPOSE_FILE".into() });
    }
    let files = &request.settings.compose.files;
    (!files.is_empty()).then(|| Named {
        paths: files.iter().map(|path| normal(&top.join(path))).collect(),
        by: format!("`compose.files` in {SETTINGS_FILE}"),
    })
}

/// Files that a project is read from.
#[derive(Default)]
pub(super) struct Found {
    /// The files, the first one's folder being the project's.
    pub(super) sources: Vec<Source>,
    /// What was passed over.
    pub(super) warnings: Vec<String>,
}

/// Returns the named files, else those that are found, else the template.
pub(super) fn find(request: &ComposeRequest<'_>, named: Option<&Named>) -> Result<Found, LoadError> {
    let Some(named) = named else {
        return discover(request);
    };
    let read = |path: &PathBuf| {
        if is_input(path) {
            let (text, display) = request.input.text()?;
            return Ok(Source { path: String::new(), display, text });
        }
        read_source(request, path)?.ok_or_else(|| request.files.missing(path, named.by.clone()))
    };
    let sources = named.paths.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Found { sources, warnings: Vec::new() })
}

/// Returns the folder against which relative paths are resolved: that of the first file.
///
/// The standard input counts from where the person stands, the template from the worktree's top.
pub(super) fn project_directory(
    request: &ComposeRequest<'_>,
    are_named: bool,
    sources: &[Source],
) -> PathBuf {
    let first = sources.iter().find(|source| !source.path.is_empty());
    let folder = first.and_then(|source| Path::new(&source.path).parent());
    let elsewhere = if are_named { request.here } else { request.files.top() };
    folder.unwrap_or(elsewhere).to_owned()
}

/// Returns the Compose file and its override, else the template.
///
/// Those at the worktree's top come first: an environment is that of a worktree, wherever in it the person stands.
/// Where the top has none, they are looked for upwards from where the person stands, as Compose does. What lies above
/// the top is not part of the worktree, and its relative paths would lead to the same files from every worktree.
fn discover(request: &ComposeRequest<'_>) -> Result<Found, LoadError> {
    let top = request.files.top();
    let above = request.here.ancestors().take_while(|folder| folder.starts_with(top) && *folder != top);
    for folder in std::iter::once(top).chain(above) {
        let mut found = Found::default();
        found.add_first(request, folder, &COMPOSE_FILES)?;
        if !found.sources.is_empty() {
            found.add_first(request, folder, &OVERRIDE_FILES)?;
            return Ok(found);
        }
    }
    Ok(Found { sources: vec![template(request.settings)?], warnings: Vec::new() })
}

impl Found {
    /// Adds the first of `names` that `folder` has, and a warning if it has others.
    fn add_first(
        &mut self,
        request: &ComposeRequest<'_>,
        folder: &Path,
        names: &[&str],
    ) -> Result<(), LoadError> {
        let mut names = names.iter();
        let Some(first) =
            names.by_ref().find_map(|name| read_source(request, &folder.join(name)).transpose())
        else {
            return Ok(());
        };
        let first = first?;
        let mut others = Vec::new();
        for path in names.map(|name| folder.join(name)) {
            if request.files.has(&path)? {
                others.push(format!("`{}`", request.files.display(&path)));
            }
        }
        if !others.is_empty() {
            let stand = if others.len() == 1 { "stands" } else { "stand" };
            let (used, others) = (&first.display, others.join(", "));
            self.warnings.push(format!("`{used}` is used, and not {others}, which {stand} beside it"));
        }
        self.sources.push(first);
        Ok(())
    }
}

fn read_source(request: &ComposeRequest<'_>, path: &Path) -> Result<Option<Source>, LoadError> {
    let text = request.files.read(path)?;
    let path_text = path.to_string_lossy().into_owned();
    Ok(text.map(|text| Source { display: request.files.display(path), path: path_text, text }))
}

fn template(settings: &Settings) -> Result<Source, LoadError> {
    let name = settings.compose.template.as_deref().unwrap_or(template::DEFAULT);
    let template = template::find(name).map_err(|fault| {
        let place = settings.compose.template_place.as_ref().map(ToString::to_string);
        LoadError::Template { place: place.unwrap_or_else(|| SETTINGS_FILE.into()), fault }
    })?;
    Ok(Source {
        display: format!("template `{}`", template.name),
        path: String::new(),
        text: template.text.to_owned(),
    })
}
