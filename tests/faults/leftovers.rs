//! Looks for whatever environments may leave behind: Engine objects, reservations, files, worktrees, processes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::Sandbox;
use crate::engine::get;

/// What the state directory keeps once no environment is left: itself, who may change it, and what people decided.
const KEPT: [&str; 4] = ["environments.json", "state.lock", "secrets", "trust.json"];

/// Returns everything that is left of the sandbox's environments, a line each; empty once all of them are removed.
pub(crate) fn leftovers(sandbox: &Sandbox) -> Vec<String> {
    let mut left = engine_objects(sandbox);
    left.extend(worktrees(sandbox));
    left.extend(state(&state_directory(sandbox)));
    left.extend(processes(sandbox));
    left
}

/// Returns the folder that holds the sandbox's repository, its home and its worktrees.
pub(crate) fn root(sandbox: &Sandbox) -> PathBuf {
    sandbox.repository().parent().unwrap().to_owned()
}

/// Returns the folder where envtree keeps its state.
pub(crate) fn state_directory(sandbox: &Sandbox) -> PathBuf {
    root(sandbox).join("home/state/envtree")
}

fn worktrees_folder(sandbox: &Sandbox) -> PathBuf {
    let repository = sandbox.repository();
    repository.with_file_name(format!("{}.worktrees", repository.file_name().unwrap().to_str().unwrap()))
}

/// Returns the Engine's objects that bear the sandbox's name, by kind and name.
pub(crate) fn engine_objects(sandbox: &Sandbox) -> Vec<String> {
    let repository = sandbox.repository();
    let name = repository.file_name().unwrap().to_str().unwrap();
    let label = format!("{}={name}", envtree_core::label::REPOSITORY_NAME);
    let filters = format!("filters={{%22label%22:[%22{label}%22]}}");
    let listed = |kind: &str, objects: &Value| {
        let objects = objects.as_array().into_iter().flatten();
        let name = |object: &Value| {
            object["Names"][0]
                .as_str()
                .or(object["Name"].as_str())
                .or(object["Id"].as_str())
                .unwrap()
                .to_owned()
        };
        let mut names: Vec<String> =
            objects.map(|object| format!("{kind} {}", name(object).trim_start_matches('/'))).collect();
        names.sort();
        names
    };
    [
        listed("container", &get(&format!("/containers/json?all=1&{filters}"))),
        listed("network", &get(&format!("/networks?{filters}"))),
        listed("volume", &get(&format!("/volumes?{filters}"))["Volumes"]),
        listed("image", &get(&format!("/images/json?{filters}"))),
    ]
    .concat()
}

/// Returns what git and the file system know of linked worktrees and their branches.
fn worktrees(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.git(&["worktree", "list", "--porcelain"]);
    let linked = listed.lines().filter(|line| line.starts_with("worktree ")).skip(1).map(str::to_owned);
    let branches = sandbox.git(&["for-each-ref", "--format=branch %(refname:short)", "refs/heads"]);
    let branches = branches.lines().filter(|branch| *branch != "branch main").map(str::to_owned);
    let below = |folder: &Path, what: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| format!("{what} {}", entry.path().display())).collect::<Vec<_>>()
    };
    let folders = below(&worktrees_folder(sandbox), "folder");
    let entries = below(&sandbox.repository().join(".git/worktrees"), "entry");
    linked.chain(branches).chain(folders).chain(entries).collect()
}

/// Returns the records of environments, and the files that belong to one.
fn state(directory: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name == "locks" {
            left.extend(
                fs::read_dir(entry.path())
                    .unwrap()
                    .map(|lock| format!("lock {:?}", lock.unwrap().file_name())),
            );
        } else if !KEPT.contains(&name.as_str()) {
            left.push(format!("state file {name}"));
        }
    }
    if let Ok(text) = fs::read_to_string(directory.join("environments.json")) {
        let state: Value = serde_json::from_str(&text).expect("the state is JSON");
        let records = state["environments"].as_array().expect("the state lists environments");
        left.extend(records.iter().map(|record| format!("record of {}", record["project"])));
    }
    left
}

/// Returns the processes that have the sandbox's home, which all that it starts inherits.
pub(crate) fn processes(sandbox: &Sandbox) -> Vec<String> {
    let home = format!("HOME={}", root(sandbox).join("home").display());
    let has_home =
        |environment: &[u8]| environment.split(|byte| *byte == 0).any(|entry| entry == home.as_bytes());
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        has_home(&environment)
            .then(|| format!("process {}", String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    processes.collect()
}
