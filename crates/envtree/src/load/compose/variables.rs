//! The variables of `.env` and of the files that stand in for it.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::reader::Reader;
use super::{ComposeRequest, normal};
use crate::load::LoadError;

/// The variable that names files in place of `.env`, with commas between them.
const ENV_FILES: &str = "COMPOSE_ENV_FILES";
/// The variable that switches `.env` off.
const DISABLED: &str = "COMPOSE_DISABLE_ENV_FILE";

/// Returns the variables that may name Compose files: those of the named files, else of `.env` at the worktree's top.
///
/// With Compose files on the command line or in the process's `COMPOSE_FILE`, the `.env` beside the first of them counts
/// alone.
pub(super) fn load_variables(
    request: &ComposeRequest<'_>,
    reader: &Reader<'_>,
) -> Result<IndexMap<String, String>, LoadError> {
    let top = request.files.top();
    let mut variables = IndexMap::new();
    match env_files(request) {
        Some(paths) => {
            for path in paths {
                let Some(read) = load_file(request, reader, &path, &variables)? else {
                    return Err(request.files.missing(&path, ENV_FILES.into()));
                };
                variables.extend(read);
            }
        }
        None if reads_top(request) && !is_disabled(request) => {
            variables.extend(load_file(request, reader, &top.join(".env"), &variables)?.unwrap_or_default());
        }
        None => {}
    }
    Ok(variables)
}

/// Adds what the `.env` of the project's folder says beyond `variables`. Where nobody named the files, and they were found
/// further down, it counts alone.
pub(super) fn add_variables(
    request: &ComposeRequest<'_>,
    project_dir: &Path,
    is_found: bool,
    reader: &Reader<'_>,
    variables: &mut IndexMap<String, String>,
) -> Result<(), LoadError> {
    let is_top = project_dir == request.files.top();
    if is_top && reads_top(request) || env_files(request).is_some() || is_disabled(request) {
        return Ok(());
    }
    if is_found && !is_top {
        variables.clear();
    }
    let more = load_file(request, reader, &project_dir.join(".env"), &IndexMap::new())?;
    for (name, value) in more.unwrap_or_default() {
        variables.entry(name).or_insert(value);
    }
    Ok(())
}

fn reads_top(request: &ComposeRequest<'_>) -> bool {
    let is_named = request.environment.get("COMPOSE_FILE").is_some_and(|list| !list.is_empty());
    request.named.is_empty() && !is_named
}

fn env_files(request: &ComposeRequest<'_>) -> Option<Vec<PathBuf>> {
    let listed = request.environment.get(ENV_FILES).filter(|listed| !listed.is_empty())?;
    let top = request.files.top();
    Some(listed.split(',').map(|path| normal(&top.join(path.trim()))).collect())
}

fn is_disabled(request: &ComposeRequest<'_>) -> bool {
    let value = request.environment.get(DISABLED).map(String::as_str);
    matches!(value, Some("1" | "t" | "T" | "true" | "True" | "TRUE"))
}

fn load_file(
    request: &ComposeRequest<'_>,
    reader: &Reader<'_>,
    path: &Path,
    known: &IndexMap<String, String>,
) -> Result<Option<IndexMap<String, String>>, LoadError> {
    let Some(text) = reader.variables_text(path)? else {
        return Ok(None);
    };
    let process = |name: &str| {
        let value = request.own.get(name).or_else(|| request.environment.get(name));
        value.or_else(|| known.get(name)).cloned()
    };
    let parsed = reader.dotenv(&request.files.display(path), &text, &process)?;
    let inherited = |(name, value): (String, Option<String>)| {
        let value = value.or_else(|| process(&name))?;
        Some((name, value))
    };
    Ok(Some(parsed.into_iter().filter_map(inherited).collect()))
}
