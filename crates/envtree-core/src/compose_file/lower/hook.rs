//! `post_start`, `pre_stop` and `develop`.

use super::LowerOptions;
use super::path::resolved;
use super::section::Section;
use super::service::lower_line;
use super::unknown::Keys;
use crate::service::{Develop, Hook, Watch};

const HOOK_KEYS: Keys = Keys {
    read: &["command", "user", "privileged", "working_dir", "environment"],
    ignored: &[],
    refused: &[],
};
const DEVELOP_KEYS: Keys = Keys { read: &["watch"], ignored: &[], refused: &[] };
const WATCH_KEYS: Keys = Keys {
    read: &["path", "action", "target", "exec", "ignore", "include", "initial_sync"],
    ignored: &[],
    refused: &[],
};
const ACTIONS: [&str; 5] = ["rebuild", "sync", "restart", "sync+restart", "sync+exec"];

/// Returns the commands that a list of the service names.
pub(super) fn lower_hooks(service: &Section<'_>, key: &str, options: &LowerOptions<'_>) -> Vec<Hook> {
    let sections = service.sections(key, &HOOK_KEYS).into_iter();
    sections.filter_map(|section| lower_hook(&section, options)).collect()
}

fn lower_hook(section: &Section<'_>, options: &LowerOptions<'_>) -> Option<Hook> {
    let command = lower_line(section, "command").filter(|words| !words.is_empty());
    if command.is_none() {
        let name = section.name("command");
        section.error(section.place, format!("{name} is missing"));
    }
    let mut hook = Hook {
        command: command?,
        user: section.text("user"),
        privileged: section.is_on("privileged"),
        working_dir: section.text("working_dir"),
        ..Hook::default()
    };
    for pair in section.pairs("environment") {
        match pair.value.or_else(|| (options.lookup)(&pair.key)) {
            Some(value) => drop(hook.environment.insert(pair.key, value)),
            None => hook.unset.push(pair.key),
        }
    }
    Some(hook)
}

/// Returns what happens while the service's files are worked on.
pub(super) fn lower_develop(service: &Section<'_>, options: &LowerOptions<'_>) -> Option<Develop> {
    let section = service.child("develop", &DEVELOP_KEYS)?;
    let watched = section.sections("watch", &WATCH_KEYS).into_iter();
    Some(Develop { watch: watched.filter_map(|section| watch(&section, options)).collect() })
}

fn watch(section: &Section<'_>, options: &LowerOptions<'_>) -> Option<Watch> {
    let path = section.required("path");
    if section.node("action").is_none() {
        section.error(section.place, format!("{} is missing", section.name("action")));
    }
    let action = section.word("action", &ACTIONS)?;
    let target = section.text("target");
    if target.is_none() && !matches!(action.as_str(), "rebuild" | "restart") {
        let name = section.name("target");
        section.error(section.place, format!("{name} is missing: where `{action}` brings the files"));
    }
    let exec = section.child("exec", &HOOK_KEYS);
    Some(Watch {
        path: resolved(&path?, options).unwrap_or_default(),
        action,
        target,
        exec: exec.and_then(|exec| lower_hook(&exec, options)),
        ignore: section.texts("ignore"),
        include: section.texts("include"),
        initial_sync: section.is_on("initial_sync"),
    })
}
