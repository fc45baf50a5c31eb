//! What a worktree lacks because git ignores it in the main worktree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envtree_core::compose_file::dotenv::parse_dotenv;
use envtree_core::host_path::seen_from;

use super::Files;

/// A file of variables that the main worktree alone has.
#[derive(Debug)]
pub(super) struct MainVariables {
    /// The file, relative to the top.
    path: String,
    /// The variables that it sets.
    names: BTreeSet<String>,
    remedy: &'static str,
}

impl MainVariables {
    /// Returns the variables of the main worktree's file that is the like of the absolute `path`, where nothing is.
    pub(super) fn like(files: &Files, path: &Path) -> Option<Self> {
        let inside = inside_main(files, path)?;
        let main = files.repository().main_worktree()?.join(inside);
        let (text, _) = files.read_variables(&main).ok()??;
        let parsed = parse_dotenv("", &text, &|_| None).ok()?;
        let set = parsed.into_iter().filter(|(_, value)| value.is_some());
        Some(Self {
            path: inside.display().to_string(),
            names: set.map(|(name, _)| name).collect(),
            remedy: remedy(files),
        })
    }

    /// Returns the end of a message about a variable that is not set; nothing if it is not set here either.
    pub(super) fn advice(&self, name: &str) -> Option<String> {
        let Self { path, remedy, .. } = self;
        self.names
            .contains(name)
            .then(|| format!("; `{path}` of the main worktree sets it, which git ignores: {remedy}"))
    }
}

/// Returns the end of a message about a file that is not at the absolute `path`: empty, unless git ignores such a file
/// in the main worktree.
pub(crate) fn advice_on_file(files: &Files, path: &Path) -> String {
    if inside_main(files, path).is_some() {
        return format!("; the main worktree has it, and git ignores it: {}", remedy(files));
    }
    beside_main(files, path).map_or_else(String::new, |beside| {
        format!(
            "; seen from the main worktree it is `{}`, which exists: write that path or a variable that holds it, or let `worktrees: ../{{repository}}-{{id}}` of `envtree.yaml` make worktrees beside the main one",
            beside.display()
        )
    })
}

/// Returns what the main worktree sees at the same relative path as another worktree sees the absolute `path`, which
/// lies outside of it and where nothing is.
pub(crate) fn beside_main(files: &Files, path: &Path) -> Option<PathBuf> {
    let main = files.repository().main_worktree().filter(|main| *main != files.top())?;
    let beside = PathBuf::from(seen_from(main.to_str()?, files.top().to_str()?, path.to_str()?)?);
    (!path.exists() && beside != path && beside.exists()).then_some(beside)
}

fn remedy(files: &Files) -> &'static str {
    match files {
        Files::Present { .. } => {
            "copy it from there, or name it in `.worktreeinclude`, which brings it into new worktrees"
        }
        Files::Commit { .. } => "name it in `.worktreeinclude`, which brings it into new worktrees",
    }
}

/// Returns the path relative to the top, if the main worktree has a file there that is no matter of git, and the files
/// are those of another worktree.
fn inside_main<'a>(files: &Files, path: &'a Path) -> Option<&'a Path> {
    let inside = path.strip_prefix(files.top()).ok()?;
    let repository = files.repository();
    let main = repository.main_worktree().filter(|main| *main != files.top())?;
    let is_there = main.join(inside).exists();
    let is_ignored = || repository.is_ignored(main, inside).unwrap_or(false);
    let is_tracked = || repository.is_tracked(main, inside).unwrap_or(true);
    (is_there && is_ignored() && !is_tracked()).then_some(inside)
}
