//! Puts Compose files together with all that they include and extend: what is left for one file to say.
//!
//! A file is interpolated, then its services are extended, then what it includes is added, and then it is merged over
//! the files before it. Each document of a file counts as a file. Included files are projects of their own: they have
//! their own variables, and their relative paths count from their own folder.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use indexmap::IndexMap;

use super::interpolate::{Unset, interpolate};
use super::merge::{Tags, canonical, finish, merge, refuse_doubles};
use super::node::{Diagnostic, Entry, Node, Place, Value};
use super::parse::parse_documents;
use crate::nearest::nearest;
use path::joined;

mod extend;
mod include;
mod path;
mod rebase;

/// How many files a project may be made of, each counted as often as it is read.
const FILES_LIMIT: usize = 1000;
/// How many bytes all included and extended files of a project may have together.
const SIZE_LIMIT: usize = 16 * 1024 * 1024;
/// How many values all services may have together that extend others.
const EXTENDED_LIMIT: usize = 300_000;

/// Looks up a variable.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads files for a project that is put together; the messages say why a file cannot be read.
pub trait Files {
    /// Returns the text of the file at an absolute path; nothing if there is no such file.
    fn text(&self, path: &str) -> Result<Option<String>, String>;

    /// Returns the variables of the `.env` file at an absolute path; nothing if there is no such file.
    fn variables(&self, path: &str, lookup: &Lookup<'_>) -> Result<Option<IndexMap<String, String>>, String>;

    /// Returns whether there is a folder at an absolute path.
    fn is_folder(&self, path: &str) -> Result<bool, String>;

    /// Returns a path as messages show it.
    fn display(&self, path: &str) -> String;

    /// Notes that the value of a variable of [`Files::variables`] was filled in.
    fn filled(&self, name: &str, value: &str);

    /// Returns what messages are to say in the end of a variable that is not set; empty if there is nothing to say.
    fn unset(&self, _name: &str) -> String {
        String::new()
    }

    /// Returns what messages are to say in the end of a file that is not there; empty if there is nothing to say.
    fn missing(&self, _path: &str) -> String {
        String::new()
    }
}

/// A Compose file, read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its absolute path; empty for a text that lies nowhere.
    pub path: String,
    /// The file as messages show it.
    pub display: String,
    /// What it holds.
    pub text: String,
}

/// A tree without includes, extended services and merge tags, and what was noticed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The tree.
    pub node: Node,
    /// What was noticed, variables that are not set among it.
    pub warnings: Vec<Diagnostic>,
    /// The variables that are not set, by the texts that name them.
    pub unset: Unset,
}

/// Returns the merged tree of `sources`, whose relative paths stay as they are: they count from `directory`.
pub fn assemble(
    sources: &[Source],
    directory: &str,
    lookup: &Lookup<'_>,
    files: &dyn Files,
) -> Result<Assembled, Diagnostic> {
    let run = Run {
        files,
        warnings: RefCell::default(),
        unset: RefCell::default(),
        count: Cell::new(0),
        size: Cell::new(0),
        extended: Cell::new(0),
    };
    let scope = Scope { run: &run, directory, base: directory, lookup, extended: RefCell::default() };
    let loaded = scope.load(sources, &mut Vec::new()).map_err(|mut error| {
        // It may repeat a name or a path of a file.
        error.message = error.message.replace(char::is_control, " ");
        run.unset.borrow().explain(std::slice::from_mut(&mut error));
        error
    })?;
    let node = loaded.ok_or_else(|| Diagnostic {
        place: Place {
            file: sources.first().map_or("", |source| &source.display).into(),
            line: 1,
            column: 1,
        },
        message: "the Compose file is empty; `services` is expected".to_owned(),
    })?;
    Ok(Assembled { node, warnings: run.warnings.take(), unset: run.unset.take() })
}

/// What all files of one run share.
struct Run<'a> {
    files: &'a dyn Files,
    warnings: RefCell<Vec<Diagnostic>>,
    unset: RefCell<Unset>,
    /// How many files were read.
    count: Cell<usize>,
    /// How many bytes they have.
    size: Cell<usize>,
    /// How many values services have that extend others.
    extended: Cell<usize>,
}

impl Run<'_> {
    /// Reads a file that the key `subject` names at `place`.
    fn source(&self, path: &str, place: &Place, subject: &str) -> Result<Source, Diagnostic> {
        let error =
            |message: String| Diagnostic { place: place.clone(), message: format!("{subject}: {message}") };
        self.count.set(self.count.get() + 1);
        if self.count.get() > FILES_LIMIT {
            return Err(error(format!("the project is made of more than {FILES_LIMIT} files")));
        }
        let display = self.files.display(path);
        match self.files.text(path).map_err(error)? {
            None => Err(error(self.missing(path))),
            Some(text) => {
                self.size.set(self.size.get().saturating_add(text.len()));
                if self.size.get() > SIZE_LIMIT {
                    let limit = SIZE_LIMIT / 1024 / 1024;
                    return Err(error(format!("the files up to here have more than {limit} MiB")));
                }
                Ok(Source { path: path.to_owned(), display, text })
            }
        }
    }

    /// Says that there is no file at an absolute path.
    fn missing(&self, path: &str) -> String {
        let display = self.files.display(path);
        match self.files.is_folder(path) {
            Ok(true) => format!("`{display}` is a folder; a file is expected"),
            _ => format!("there is no file `{display}`{}", self.files.missing(path)),
        }
    }

    /// Counts the values of a service that extends another.
    fn count_extended(&self, service: &Node) -> Result<(), Diagnostic> {
        self.extended.set(self.extended.get().saturating_add(service.size()));
        if self.extended.get() <= EXTENDED_LIMIT {
            return Ok(());
        }
        Err(service.diagnostic(format!("services that extend others have more than {EXTENDED_LIMIT} values")))
    }
}

/// What the files of one project share: the main one, or one that is included.
struct Scope<'a> {
    run: &'a Run<'a>,
    /// The absolute folder in which relative paths of Compose files are looked up.
    directory: &'a str,
    /// The folder from which relative paths of services count: the same one, unless that is written with `~`.
    base: &'a str,
    lookup: &'a Lookup<'a>,
    /// The services of files that others extend, by absolute path.
    extended: RefCell<BTreeMap<String, Rc<extend::Base>>>,
}

impl Scope<'_> {
    /// Returns the merged tree of `sources`, none if they are all empty; `including` are the files that led here.
    fn load(&self, sources: &[Source], including: &mut Vec<String>) -> Result<Option<Node>, Diagnostic> {
        let mut merged: Option<Node> = None;
        for source in sources {
            for mut document in self.documents(source)? {
                let tags = Rc::new(Tags::take(&mut document));
                self.extend_services(&mut document, source, &tags)?;
                including.push(source.path.clone());
                self.include(&mut document, including)?;
                including.pop();
                if let Some(base) = &mut merged {
                    tags.clear(base);
                }
                let document = over(merged, document)?;
                refuse_doubles(&document)?;
                merged = Some(document);
            }
        }
        Ok(merged)
    }

    /// Says which keys of a mapping mean nothing; as in Compose, they are passed over.
    ///
    /// `name` is that of the mapping as messages begin with it, such as `` `include``.
    fn warn_of_keys(&self, node: &Node, name: &str, known: &[&str]) {
        let Value::Map(entries) = &node.value else { return };
        let is_known = |key: &str| known.contains(&key) || key.starts_with("x-");
        for (key, entry) in entries.iter().filter(|(key, _)| !is_known(key)) {
            let hint = nearest(key, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            let message = format!("{name}.{key}` is not known and has no effect{}", hint.unwrap_or_default());
            self.run.warnings.borrow_mut().push(Diagnostic { place: entry.key_place.clone(), message });
        }
    }

    /// Returns the absolute path of a file that `place` names.
    fn located(&self, path: &str, place: &Place) -> Result<String, Diagnostic> {
        if path.contains("://") || path.starts_with("git@") {
            let message = format!("`{path}` lies elsewhere; only files of this machine are read");
            return Err(Diagnostic { place: place.clone(), message });
        }
        Ok(joined(self.directory, path))
    }

    /// Returns the folder from which relative paths of services count in a file of an absolute folder.
    fn base_in(&self, folder: &str) -> String {
        match folder.strip_prefix(self.directory) {
            Some(within) if within.is_empty() || within.starts_with('/') => format!("{}{within}", self.base),
            _ => folder.to_owned(),
        }
    }

    /// Returns the documents of a file with their variables filled in.
    fn documents(&self, source: &Source) -> Result<Vec<Node>, Diagnostic> {
        let mut documents = parse_documents(&source.display, &source.text)?;
        for document in &mut documents {
            if !matches!(document.value, Value::Map(_)) {
                let message = format!("a Compose file must be a mapping, not {}", document.kind());
                return Err(document.diagnostic(message));
            }
            let known = |name: &str| self.run.files.unset(name);
            let unset = interpolate(document, &source.text, self.lookup, &known)?;
            self.run.warnings.borrow_mut().extend(unset.warnings());
            self.run.unset.borrow_mut().extend(unset);
        }
        Ok(documents)
    }
}

/// Returns what files up to here come to, of which `document` is the last; its tags are taken off.
fn over(merged: Option<Node>, document: Node) -> Result<Node, Diagnostic> {
    let mut merged = match merged {
        None => finish(document),
        Some(base) => merge(base, document)?,
    };
    canonical(&mut merged);
    Ok(merged)
}

/// Returns the entries of the mapping at `key`, if it is one.
fn section<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut IndexMap<String, Entry>> {
    let Value::Map(entries) = &mut node.value else { return None };
    match &mut entries.get_mut(key)?.node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
