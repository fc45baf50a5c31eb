//! `include`: projects of other files, added to the one that names them.

use std::cell::RefCell;

use indexmap::IndexMap;

use super::path::{folder, joined};
use super::rebase::{name_contexts, rebase};
use super::{Lookup, Scope, section};
use crate::compose_file::lower::path::cleaned;
use crate::compose_file::node::{Diagnostic, Entry, Node, Place, Value};

/// What an included project adds.
const SECTIONS: [&str; 5] = ["services", "volumes", "networks", "secrets", "configs"];
/// The keys of the long form.
const KEYS: [&str; 3] = ["path", "project_directory", "env_file"];
/// What Compose rewrites in an included service, so that it differs from the same text in the file that includes it.
const REWRITTEN: [&str; 9] =
    ["build", "configs", "depends_on", "devices", "env_file", "networks", "ports", "secrets", "volumes"];

/// How many files may include each other in a row.
const CHAIN_LIMIT: usize = 50;

/// An entry of `include`.
#[derive(Default)]
struct Inclusion<'a> {
    paths: Vec<(&'a Place, &'a str)>,
    directory: Option<(&'a Place, &'a str)>,
    env_files: Vec<(&'a Place, &'a str)>,
}

impl Scope<'_> {
    /// Adds what `document` includes; `including` are the files that led here, the last one that of the document.
    pub(super) fn include(&self, document: &mut Node, including: &mut Vec<String>) -> Result<(), Diagnostic> {
        let Value::Map(entries) = &mut document.value else { return Ok(()) };
        let Some(Entry { node, .. }) = entries.shift_remove("include") else { return Ok(()) };
        let items = match &node.value {
            Value::Null => return Ok(()),
            Value::List(items) => items,
            _ => {
                let message = format!("`include` must be a list of files, not {}", node.kind());
                return Err(node.diagnostic(message));
            }
        };
        let mut imported = IndexMap::new();
        for item in items {
            let inclusion = read(item)?;
            self.warn_of_keys(item, "`include", &KEYS);
            if inclusion.paths.is_empty() {
                let message = "`include.path` is missing, so nothing is included";
                self.run.warnings.borrow_mut().push(item.diagnostic(message));
                continue;
            }
            let project = self.included(&inclusion, including)?;
            import(project, document, &mut imported, &item.place)?;
        }
        Ok(())
    }

    /// Returns an included project, whose paths are absolute.
    fn included(&self, inclusion: &Inclusion<'_>, including: &mut Vec<String>) -> Result<Node, Diagnostic> {
        let mut sources = Vec::new();
        for (place, path) in &inclusion.paths {
            if including.len() > CHAIN_LIMIT {
                let message = format!("more than {CHAIN_LIMIT} files include each other");
                return Err(Diagnostic { place: (*place).clone(), message });
            }
            let path = self.located(path, place)?;
            if sources.is_empty() && including.contains(&path) {
                return Err(circle(self, including, &path, place));
            }
            sources.push(self.run.source(&path, place, "`include`")?);
        }
        let (directory, base) = match inclusion.directory {
            // As in Compose, `~` is a folder like any other to Compose files, and the home to what services mount.
            Some((_, directory)) if directory.starts_with('~') => {
                let base = format!("~/{}", directory[1..].trim_start_matches('/'));
                (cleaned(&format!("{}/{directory}", self.directory)), base)
            }
            Some((place, directory)) => {
                let directory = joined(self.directory, directory);
                let base = self.project_base(&directory, place)?;
                (directory, base)
            }
            None => {
                let directory = folder(&sources[0].path);
                (directory.to_owned(), self.base_in(directory))
            }
        };
        let variables = self.variables(inclusion, &directory)?;
        let lookup = |name: &str| {
            (self.lookup)(name).or_else(|| {
                let value = variables.get(name)?;
                self.run.files.filled(name, value);
                Some(value.clone())
            })
        };
        let scope = Scope {
            run: self.run,
            directory: &directory,
            base: &base,
            lookup: &lookup,
            extended: RefCell::default(),
        };
        let Some(mut project) = scope.load(&sources, including)? else {
            return Ok(Node { place: inclusion.paths[0].0.clone(), tag: None, value: Value::Null });
        };
        fill_environment(&mut project, &lookup);
        name_contexts(&mut project);
        rebase(&mut project, &base)?;
        Ok(project)
    }

    /// Returns the folder from which relative paths of an included project's services count.
    ///
    /// As in Compose, that is the one above where there is no folder.
    fn project_base(&self, directory: &str, place: &Place) -> Result<String, Diagnostic> {
        let at_place = |message: String| Diagnostic { place: place.clone(), message };
        if self.run.files.is_folder(directory).map_err(at_place)? {
            return Ok(directory.to_owned());
        }
        let above = folder(directory);
        let display = |path: &str| self.run.files.display(path);
        let message = format!(
            "there is no folder `{}` for `include.project_directory`; relative paths count from `{}`",
            display(directory),
            display(above)
        );
        self.run.warnings.borrow_mut().push(at_place(message));
        Ok(above.to_owned())
    }

    /// Returns the variables that an included project has beside those of the one that includes it.
    fn variables(
        &self,
        inclusion: &Inclusion<'_>,
        directory: &str,
    ) -> Result<IndexMap<String, String>, Diagnostic> {
        let mut variables: IndexMap<String, String> = IndexMap::new();
        let read = |path: &str, place: &Place, known: &IndexMap<String, String>| {
            let lookup = |name: &str| (self.lookup)(name).or_else(|| known.get(name).cloned());
            let read = self.run.files.variables(path, &lookup);
            read.map_err(|message| Diagnostic { place: place.clone(), message })
        };
        if inclusion.env_files.is_empty() {
            let place = inclusion.paths[0].0;
            return Ok(read(&joined(directory, ".env"), place, &variables)?.unwrap_or_default());
        }
        for (place, path) in &inclusion.env_files {
            let path = joined(self.directory, path);
            let Some(more) = read(&path, place, &variables)? else {
                let message = format!("`include.env_file`: {}", self.run.missing(&path));
                return Err(Diagnostic { place: (*place).clone(), message });
            };
            variables.extend(more);
        }
        Ok(variables)
    }
}

fn read(item: &Node) -> Result<Inclusion<'_>, Diagnostic> {
    let entries = match &item.value {
        Value::Text(path) => {
            return Ok(Inclusion { paths: vec![(&item.place, path)], ..Inclusion::default() });
        }
        Value::Map(entries) => entries,
        Value::Null => return Ok(Inclusion::default()),
        _ => {
            let message = format!("`include` lists paths, or mappings with `path`, not {}", item.kind());
            return Err(item.diagnostic(message));
        }
    };
    let mut inclusion = Inclusion::default();
    for (key, entry) in entries {
        match key.as_str() {
            "path" => inclusion.paths = texts(key, &entry.node)?,
            "env_file" => inclusion.env_files = texts(key, &entry.node)?,
            "project_directory" => {
                let named = texts(key, &entry.node)?.first().copied();
                inclusion.directory = named.filter(|(_, directory)| !directory.is_empty());
            }
            _ => {}
        }
    }
    Ok(inclusion)
}

fn texts<'a>(key: &str, node: &'a Node) -> Result<Vec<(&'a Place, &'a str)>, Diagnostic> {
    let items = match &node.value {
        Value::Null => return Ok(Vec::new()),
        Value::List(items) if key != "project_directory" => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let text = |item: &'a Node| match &item.value {
        Value::Text(text) => Ok((&item.place, text.as_str())),
        _ => Err(item.diagnostic(format!("`include.{key}` must be a path, not {}", item.kind()))),
    };
    items.iter().map(text).collect()
}

fn circle(scope: &Scope<'_>, including: &[String], path: &str, place: &Place) -> Diagnostic {
    let start = including.iter().position(|known| known == path).unwrap_or_default();
    let again = path.to_owned();
    let names = including[start..].iter().chain([&again]).map(|path| scope.run.files.display(path));
    let names: Vec<String> = names.collect();
    let message = format!("files include each other in a circle: {}", names.join(" → "));
    Diagnostic { place: place.clone(), message }
}

/// Gives variables without value in lists the values that they have in the included project.
fn fill_environment(project: &mut Node, lookup: &Lookup<'_>) {
    for entry in section(project, "services").into_iter().flat_map(IndexMap::values_mut) {
        let Some(environment) = environment(&mut entry.node) else { continue };
        for item in environment {
            let Value::Text(name) = &mut item.value else { continue };
            if let Some(value) = lookup(name) {
                *name = format!("{name}={value}");
            }
        }
    }
}

fn environment(service: &mut Node) -> Option<&mut Vec<Node>> {
    let Value::Map(entries) = &mut service.value else { return None };
    match &mut entries.get_mut("environment")?.node.value {
        Value::List(items) => Some(items),
        _ => None,
    }
}

/// Adds the resources of an included project; `imported` are those of the ones before it, by section and name.
fn import(
    mut project: Node,
    document: &mut Node,
    imported: &mut IndexMap<(&'static str, String), ()>,
    place: &Place,
) -> Result<(), Diagnostic> {
    for key in SECTIONS {
        let Some(resources) = section(&mut project, key).map(std::mem::take) else { continue };
        let Value::Map(entries) = &mut document.value else { continue };
        let empty = Node { place: place.clone(), tag: None, value: Value::Map(IndexMap::new()) };
        let own = entries
            .entry(key.to_owned())
            .or_insert_with(|| Entry { key_place: place.clone(), node: empty.clone() });
        if own.node.value == Value::Null {
            own.node = empty;
        }
        let Value::Map(own) = &mut own.node.value else { continue };
        for (name, entry) in resources {
            let id = (key, name.clone());
            if let Some(known) = own.get(&name) {
                let is_alike = imported.contains_key(&id) || !is_rewritten(&known.node);
                if is_alike && known.node.says_the_same(&entry.node) {
                    continue;
                }
                let (file, line) = (&entry.key_place.file, entry.key_place.line);
                let kind = key.trim_end_matches('s');
                let message =
                    format!("{kind} `{name}` is already in line {line} of {file}, which is included");
                return Err(Diagnostic { place: known.key_place.clone(), message });
            }
            imported.insert(id, ());
            own.insert(name, entry);
        }
    }
    Ok(())
}

fn is_rewritten(node: &Node) -> bool {
    REWRITTEN.iter().any(|key| node.entry(key).is_some())
}
