//! Reads the files that Compose files name, for the part of the program that knows only texts.

use std::cell::RefCell;
use std::path::Path;

use envtree_core::compose_file::assemble::{self, Lookup};
use envtree_core::compose_file::dotenv::{Dotenv, parse_raw, read_dotenv};
use envtree_core::compose_file::lower::{EnvFileRequest, Variables};
use envtree_core::compose_file::node::Diagnostic;
use indexmap::IndexMap;

use super::normal;
use crate::env_file::outside_block;
use crate::load::filled::Filled;
use crate::load::main_worktree::{MainVariables, advice_on_file};
use crate::load::{Files, LoadError};

/// The worktree's files, what went wrong with them, and what variables put into them.
pub(super) struct Reader<'a> {
    files: &'a Files,
    filled: Filled,
    /// The first error of the file system, or of a file that is no text.
    failed: RefCell<Option<LoadError>>,
    /// Where files of variables hold what is no text, and what nobody has set.
    gaps: RefCell<Vec<Diagnostic>>,
    /// The variables of files that only the main worktree has.
    elsewhere: RefCell<Vec<MainVariables>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self {
            files,
            filled: Filled::default(),
            failed: RefCell::default(),
            gaps: RefCell::default(),
            elsewhere: RefCell::default(),
        }
    }

    /// Notes that a variable has this value, which messages do not repeat.
    pub(super) fn note(&self, name: &str, value: &str) {
        self.filled.note(name, value);
    }

    /// Puts the names of variables where messages quote their values.
    pub(super) fn hide(&self, diagnostics: &mut [Diagnostic]) {
        self.filled.hide(diagnostics);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// Returns why loading failed: the file that could not be read, else `diagnostics`.
    pub(super) fn failure(&self, mut diagnostics: Vec<Diagnostic>) -> LoadError {
        self.failed.take().unwrap_or_else(|| {
            self.hide(&mut diagnostics);
            LoadError::Invalid(diagnostics)
        })
    }

    /// Returns what was noticed while files of variables were read.
    pub(super) fn take_warnings(&self) -> Vec<Diagnostic> {
        self.gaps.take()
    }

    /// Returns the text of a file of variables, without the block that envtree manages: its values are results.
    pub(super) fn variables_text(&self, path: &Path) -> Result<Option<String>, LoadError> {
        let Some((text, gap)) = self.files.read_variables(path)? else {
            self.elsewhere.borrow_mut().extend(MainVariables::like(self.files, path));
            return Ok(None);
        };
        let is_comment = |gap: &Diagnostic| {
            let line = text.lines().nth(gap.place.line as usize - 1);
            line.is_some_and(|line| line.trim_start().starts_with('#'))
        };
        let gap = gap.filter(|gap| !is_comment(gap)).map(|gap| {
            let message = format!("{}; here, \u{fffd} stands in for it", gap.message);
            Diagnostic { message, ..gap }
        });
        self.gaps.borrow_mut().extend(gap);
        Ok(Some(outside_block(&text).into_owned()))
    }

    /// Reads a file under `env_file`.
    pub(super) fn env_file(
        &self,
        request: &EnvFileRequest<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Variables>, String> {
        let known = |name: &str| request.known.get(name).cloned().or_else(|| lookup(name));
        let read = self.read(request.path, |file, text| {
            if request.is_raw {
                return parse_raw(file, text);
            }
            let Dotenv { variables, unset, nameless } = read_dotenv(file, text, &known)?;
            let nameless = nameless.map(|said| {
                let message = format!("{}; the Engine will not start the service", said.message);
                Diagnostic { message, ..said }
            });
            self.gaps.borrow_mut().extend(unset.into_iter().chain(nameless));
            Ok(variables)
        })?;
        self.files.none_but_no_folder(Path::new(request.path), read)
    }

    /// Returns the variables of a file; notes those that it names and nobody has set.
    pub(super) fn dotenv(
        &self,
        file: &str,
        text: &str,
        lookup: &Lookup<'_>,
    ) -> Result<Variables, Diagnostic> {
        let Dotenv { variables, unset, nameless } = read_dotenv(file, text, lookup)?;
        self.gaps.borrow_mut().extend(unset);
        nameless.map_or(Ok(variables), Err)
    }

    /// Reads a file of variables.
    fn read(
        &self,
        path: &str,
        parse: impl FnOnce(&str, &str) -> Result<Variables, Diagnostic>,
    ) -> Result<Option<Variables>, String> {
        let path = normal(Path::new(path));
        let parsed = self.variables_text(&path).and_then(|text| {
            let parsed = text.map(|text| parse(&self.files.display(&path), &text));
            Ok(parsed.transpose()?)
        });
        self.kept(parsed)
    }

    /// Keeps an error aside, and returns what it says.
    fn kept<T>(&self, result: Result<T, LoadError>) -> Result<T, String> {
        result.map_err(|error| {
            let message = error.to_string();
            self.failed.borrow_mut().get_or_insert(error);
            message
        })
    }
}

impl assemble::Files for Reader<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        self.kept(self.files.read(Path::new(path)))
    }

    fn variables(&self, path: &str, lookup: &Lookup<'_>) -> Result<Option<IndexMap<String, String>>, String> {
        let read = self.read(path, |file, text| self.dotenv(file, text, lookup))?;
        let inherited = |(name, value): (String, Option<String>)| {
            let value = value.or_else(|| lookup(&name))?;
            Some((name, value))
        };
        Ok(read.map(|read| read.into_iter().filter_map(inherited).collect()))
    }

    fn is_folder(&self, path: &str) -> Result<bool, String> {
        self.kept(self.files.is_folder(Path::new(path)))
    }

    fn display(&self, path: &str) -> String {
        self.files.display(Path::new(path))
    }

    fn filled(&self, name: &str, value: &str) {
        self.note(name, value);
    }

    fn unset(&self, name: &str) -> String {
        self.elsewhere.borrow().iter().find_map(|file| file.advice(name)).unwrap_or_default()
    }

    fn missing(&self, path: &str) -> String {
        advice_on_file(self.files, &normal(Path::new(path)))
    }
}
