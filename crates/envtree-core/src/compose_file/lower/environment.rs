//! `environment`, `env_file`, `labels` and `label_file`.

use indexmap::IndexMap;

use super::path::resolved;
use super::section::{Section, is_empty_text};
use super::unknown::Keys;
use super::{EnvFileRequest, LowerOptions, Variables};
use crate::compose_file::node::{Node, Value};

const ENV_FILE_KEYS: Keys = Keys { read: &["path", "required", "format"], ignored: &[], refused: &[] };

/// What is said of a line such as `=value`.
const NAMELESS: &str = "`environment`: a variable without a name; the Engine will not start the service";

/// Returns the variables of the service: those of its files, and over them its own.
///
/// A variable without a value takes the caller's. Where the caller has none, its name is among the second ones.
pub(super) fn lower_environment(
    service: &Section<'_>,
    options: &LowerOptions<'_>,
) -> (IndexMap<String, String>, Vec<String>) {
    let mut variables: IndexMap<String, Option<String>> = IndexMap::new();
    let mut set = |name: String, value: Option<String>| {
        let value = value.or_else(|| (options.lookup)(&name));
        variables.insert(name, value);
    };
    for (name, value) in env_files(service, options) {
        // In a file, the name alone of a variable that the caller has not says nothing.
        if value.is_some() || (options.lookup)(&name).is_some() {
            set(name, value);
        }
    }
    let is_list = matches!(service.node("environment").map(|node| &node.value), Some(Value::List(_)));
    for pair in service.pairs("environment") {
        // As in Compose, a list may leave the name out.
        if pair.key.is_empty() && !is_list {
            service.error(&pair.node.place, "`environment`: a variable without a name");
            continue;
        }
        if pair.key.is_empty() && pair.value.is_some() {
            service.warn(&pair.node.place, NAMELESS);
        }
        set(pair.key, pair.value);
    }
    let unset = variables.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.clone()).collect();
    let set = variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    (set, unset)
}

/// Returns the variables of the environment files, in their order.
fn env_files(service: &Section<'_>, options: &LowerOptions<'_>) -> Variables {
    let mut variables = Variables::new();
    let mut known = IndexMap::new();
    for item in service.item_or_items("env_file") {
        let file = env_file(service, item, &known, options).unwrap_or_default();
        known.extend(file.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
        variables.extend(file);
    }
    variables
}

fn env_file(
    service: &Section<'_>,
    item: &Node,
    known: &IndexMap<String, String>,
    options: &LowerOptions<'_>,
) -> Option<Variables> {
    if !matches!(item.value, Value::Map(_)) {
        let path = service
            .parsed_node("env_file", item, "a path or a list of paths", |text| Some(text.to_owned()))?;
        let request = EnvFileRequest { path: &path, is_raw: false, known };
        return read(service, ("env_file", item), &request, true, options);
    }
    let section = service.within("env_file", item, &ENV_FILE_KEYS)?;
    let required = section.boolean("required").unwrap_or(true);
    let format = section.parsed("format", "`raw`", |text| match text {
        "" => Some(false),
        "raw" => Some(true),
        _ => None,
    });
    let Some(path) = section.text("path") else {
        // Such as `${EXTRA:-}` leaves: no file has this name.
        if required || !section.node("path").is_some_and(is_empty_text) {
            section.lacks("path", "");
        }
        return None;
    };
    let request = EnvFileRequest { path: &path, is_raw: format.unwrap_or(false), known };
    read(service, ("env_file", item), &request, required, options)
}

fn read(
    service: &Section<'_>,
    (key, item): (&str, &Node),
    request: &EnvFileRequest<'_>,
    required: bool,
    options: &LowerOptions<'_>,
) -> Option<Variables> {
    let Some(absolute) = resolved(request.path, options) else {
        let path = request.path;
        service.error(&item.place, format!("`{key}`: `{path}` needs a home directory, and there is none"));
        return None;
    };
    match (options.read_env_file)(&EnvFileRequest { path: &absolute, ..*request }) {
        Ok(Some(variables)) => return Some(variables),
        Ok(None) if required => {
            let known = (options.missing)(&absolute);
            service.error(&item.place, format!("`{key}`: there is no file `{absolute}`{known}"));
        }
        Ok(None) => {}
        Err(cause) => service.error(&item.place, format!("`{key}`: {cause}")),
    }
    None
}

/// Returns the labels of the service: those of its files, and over them its own.
pub(super) fn lower_labels(service: &Section<'_>, options: &LowerOptions<'_>) -> IndexMap<String, String> {
    let mut labels: IndexMap<String, String> = IndexMap::new();
    for item in service.item_or_items("label_file") {
        let path = service
            .parsed_node("label_file", item, "a path or a list of paths", |text| Some(text.to_owned()));
        let read = path.and_then(|path| {
            let request = EnvFileRequest { path: &path, is_raw: false, known: &labels };
            read(service, ("label_file", item), &request, true, options)
        });
        for (name, value) in read.unwrap_or_default() {
            // A name alone means the label of an earlier file, if there is one.
            if let Some(value) = value {
                labels.insert(name, value);
            }
        }
    }
    labels.extend(service.labels("labels"));
    labels
}
