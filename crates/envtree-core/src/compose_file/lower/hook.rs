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
    sections.map(|section| lower_hook(&section, options)).collect()
}

fn lower_hook(section: &Section<'_>, options: &LowerOptions<'_>) -> Hook {
    let command = lower_line(section, "command").unwrap_or_default();
    if command.is_empty() {
        section.refuse_lack("command");
    }
    let mut hook = Hook {
        command,
        user: section.text("user"),
        privileged: section.is_on("privileged"),
        working_dir: section.text("working_dir"),
        ..Hook::default()
    };
    for pair in section.pairs("environment") {
        let Some(value) = pair.value else {
            if (options.lookup)(&pair.key).is_some() {
                let (name, key) = (section.name("environment"), &pair.key);
                let message = format!(
                    "{name} names `{key}` without a value, and as in Compose gets none: `{key}: ${{{key}}}` hands on your own"
                );
                section.warn(&pair.node.place, message);
            }
            hook.unset.push(pair.key);
            continue;
        };
        hook.environment.insert(pair.key, value);
    }
    hook
}

/// Returns what happens while the service's files are worked on.
pub(super) fn lower_develop(service: &Section<'_>, options: &LowerOptions<'_>) -> Option<Develop> {
    let section = service.child("develop", &DEVELOP_KEYS)?;
    let watched = section.sections("watch", &WATCH_KEYS).into_iter();
    Some(Develop { watch: watched.filter_map(|section| watch(&section, options)).collect() })
}

/// Returns an absolute path: as in Compose, one that is absolute already stays as it is written.
fn watched_path(path: String, options: &LowerOptions<'_>) -> String {
    if path.starts_with('/') { path } else { resolved(&path, options).unwrap_or_default() }
}

fn watch(section: &Section<'_>, options: &LowerOptions<'_>) -> Option<Watch> {
    let path = section.required("path");
    if section.node("action").is_none() {
        section.error(section.place, format!("{} is missing", section.name("action")));
    }
    let action = section.word("action", &ACTIONS)?;
    let target = section.text("target");
    if target.is_none() && !matches!(action.as_str(), "rebuild" | "restart") {
        section.lacks("target", &format!(": where `{action}` brings the files"));
    }
    let exec = section.child("exec", &HOOK_KEYS);
    Some(Watch {
        path: path.map(|path| watched_path(path, options))?,
        action,
        target,
        exec: exec.map(|exec| lower_hook(&exec, options)),
        ignore: section.texts("ignore"),
        include: section.texts("include"),
        initial_sync: section.is_on("initial_sync"),
    })
}
