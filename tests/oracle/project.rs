//! A folder with a Compose project, and how the programs are to be run in it.
//!
//! Beside the project's own files, a fixture may hold
//! - `args`: words for both programs: `-f FILE`, `--profile NAME`, `-C FOLDER` (the folder to stand in);
//! - `env`: variables of the process, `NAME=value` a line;
//! - `refusal`: what envtree says where both refuse;
//! - `expected.json`: the model, where Compose 2.26.1 is older than what the fixture is about; a key `why` says so.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::Sandbox;

/// The names of Compose files by which a project is known; a fixture with `args` may have others.
const NAMES: [&str; 5] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "args"];

/// A project and how it is read.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its folder, below the one that was searched.
    pub(crate) name: String,
    path: PathBuf,
    /// The Compose files that are named.
    pub(crate) files: Vec<String>,
    /// The profiles that are named.
    pub(crate) profiles: Vec<String>,
    /// The folder to stand in, below the project's.
    pub(crate) directory: String,
    /// The variables of the process.
    pub(crate) variables: Vec<(String, String)>,
    /// What envtree says where both programs refuse.
    pub(crate) refusal: Option<String>,
    /// The model, where Compose cannot tell.
    pub(crate) expected: Option<Value>,
}

impl Project {
    fn read(root: &Path, path: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(path.join(name)).ok();
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let mut project = Self {
            name: if name.is_empty() { root.display().to_string() } else { name },
            path: path.to_owned(),
            files: Vec::new(),
            profiles: Vec::new(),
            directory: String::new(),
            variables: Vec::new(),
            refusal: text("refusal"),
            expected: text("expected.json").map(|text| expected(&text)),
        };
        project.take_arguments(&text("args").unwrap_or_default());
        let variables = text("env").unwrap_or_default();
        let pairs = variables.lines().filter_map(|line| line.split_once('='));
        project.variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        project
    }

    fn take_arguments(&mut self, text: &str) {
        let mut words = text.split_whitespace().map(str::to_owned);
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{}: `{word}` has no value", self.name));
            match word.as_str() {
                "-f" => self.files.push(value),
                "--profile" => self.profiles.push(value),
                "-C" => self.directory = value,
                _ => panic!("{}: `{word}` is unknown", self.name),
            }
        }
    }

    /// Returns a repository that holds the project's files.
    pub(crate) fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        copy(&self.path, &sandbox.repository());
        sandbox
    }
}

fn expected(text: &str) -> Value {
    let mut model: Value = serde_json::from_str(text).expect("`expected.json` is JSON");
    let why = model.as_object_mut().and_then(|model| model.remove("why"));
    assert!(why.is_some_and(|why| why.is_string()), "`expected.json` says why it is there");
    model
}

/// Returns the projects in `folder` and below, in the order of their names; what lies in a project belongs to it.
pub(crate) fn projects(folder: &Path) -> Vec<Project> {
    let mut projects = Vec::new();
    find(folder, folder, &mut projects);
    projects.sort_by(|one, other| one.name.cmp(&other.name));
    projects
}

fn find(root: &Path, folder: &Path, projects: &mut Vec<Project>) {
    if NAMES.iter().any(|name| folder.join(name).is_file()) {
        projects.push(Project::read(root, folder));
        return;
    }
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(root, &path, projects);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        // A link may point to nowhere, and is part of the project all the same.
        if from.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
