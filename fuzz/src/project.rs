//! An input as a project: every file that it includes, extends or reads variables from is the input again.

use envtree_core::compose_file::assemble::{Files, Lookup, Source, assemble};
use envtree_core::compose_file::dotenv::{parse_dotenv, parse_raw};
use envtree_core::compose_file::lower::{LowerOptions, lower};
use envtree_core::compose_file::render::render;
use envtree_core::name::ProjectName;
use indexmap::IndexMap;

struct Everywhere<'a>(&'a str);

impl Files for Everywhere<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        Ok((!path.ends_with('0')).then(|| self.0.to_owned()))
    }

    fn variables(&self, path: &str, lookup: &Lookup<'_>) -> Result<Option<IndexMap<String, String>>, String> {
        let read = parse_dotenv(path, self.0, lookup).unwrap_or_default();
        Ok(Some(read.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()))
    }

    fn is_folder(&self, path: &str) -> Result<bool, String> {
        Ok(!path.ends_with('1'))
    }

    fn display(&self, path: &str) -> String {
        path.to_owned()
    }

    fn filled(&self, _: &str, _: &str) {}
}

/// Loads the input, alone and over itself, and writes it; returns whether it is accepted.
pub(crate) fn load(input: &str) -> bool {
    let lookup = |name: &str| (name.len() % 2 == 1).then(|| "value".to_owned());
    let path = "/w/compose.yaml".to_owned();
    let source = Source { display: path.clone(), path, text: input.to_owned() };
    let files = Everywhere(input);
    let _ = assemble(&[source.clone(), source.clone()], "/w", &lookup, &files);
    let Ok(assembled) = assemble(&[source], "/w", &lookup, &files) else { return false };
    let profiles = ["*".to_owned()];
    let options = LowerOptions {
        name: ProjectName::new("fuzz").expect("it is a name"),
        working_dir: "/w",
        home: Some("/home/me"),
        profiles: &profiles,
        wanted: None,
        missing: &|_| String::new(),
        lookup: &lookup,
        read_env_file: &|request| {
            let parse = if request.is_raw {
                parse_raw(request.path, input)
            } else {
                parse_dotenv(request.path, input, &lookup)
            };
            parse.map(Some).map_err(|error| error.to_string())
        },
        read_text: &|_| Ok(Some(input.to_owned())),
    };
    lower(&assembled.node, &options).map(|lowered| render(&lowered.project)).is_ok()
}
