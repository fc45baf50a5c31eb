//! Relative paths of a file that another one includes or extends, made absolute.

use indexmap::IndexMap;

use super::path::joined;
use super::section;
use crate::compose_file::node::{Diagnostic, Entry, Node, Value};

/// What a build context begins with that lies elsewhere.
const REMOTE: [&str; 4] = ["github.com/", "git@", "docker-image:", "service:"];

/// Makes the relative paths of a tree absolute: they count from `base`.
pub(super) fn rebase(node: &mut Node, base: &str) -> Result<(), Diagnostic> {
    for entry in section(node, "services").into_iter().flat_map(IndexMap::values_mut) {
        rebase_service(&mut entry.node, base)?;
    }
    for key in ["configs", "secrets"] {
        for entry in section(node, key).into_iter().flat_map(IndexMap::values_mut) {
            with(&mut entry.node, "file", |file| absolute(file, base));
        }
    }
    for entry in section(node, "volumes").into_iter().flat_map(IndexMap::values_mut) {
        rebase_volume(&mut entry.node, base);
    }
    Ok(())
}

/// Names the folder of the project as the context of every build that names none.
pub(super) fn name_contexts(node: &mut Node) {
    for entry in section(node, "services").into_iter().flat_map(IndexMap::values_mut) {
        with(&mut entry.node, "build", |build| {
            let place = build.place.clone();
            let Value::Map(entries) = &mut build.value else { return };
            let folder = Node { place: place.clone(), tag: None, value: Value::Text(".".to_owned()) };
            entries.entry("context".to_owned()).or_insert(Entry { key_place: place, node: folder });
        });
    }
}

fn rebase_service(service: &mut Node, base: &str) -> Result<(), Diagnostic> {
    with(service, "build", |build| rebase_build(build, base));
    for key in ["env_file", "label_file"] {
        with(service, key, |files| {
            each(files, |file| match file.value {
                Value::Map(_) => with(file, "path", |path| absolute(path, base)),
                _ => absolute(file, base),
            });
        });
    }
    with(service, "extends", |extends| with(extends, "file", |file| absolute(file, base)));
    with(service, "develop", |develop| {
        with(develop, "watch", |rules| each(rules, |rule| with(rule, "path", |path| absolute(path, base))));
    });
    let mut fault = None;
    with(service, "volumes", |mounts| {
        each(mounts, |mount| fault = fault.take().or(rebase_mount(mount, base).err()));
    });
    fault.map_or(Ok(()), Err)
}

fn rebase_build(build: &mut Node, base: &str) {
    match &mut build.value {
        Value::Text(_) => context(build, base),
        Value::Map(_) => {
            with(build, "context", |node| context(node, base));
            with(build, "ssh", |keys| {
                let Value::Map(entries) = &mut keys.value else { return };
                for entry in entries.values_mut() {
                    if let Value::Text(path) = &mut entry.node.value {
                        *path = joined(base, path);
                    }
                }
            });
            with(build, "additional_contexts", |contexts| match &mut contexts.value {
                Value::Map(entries) => {
                    entries.values_mut().for_each(|entry| context(&mut entry.node, base));
                }
                _ => each(contexts, |item| {
                    let Value::Text(text) = &mut item.value else { return };
                    if let Some((name, path)) = text.split_once('=') {
                        *text = format!("{name}={}", context_path(path, base));
                    }
                }),
            });
        }
        _ => {}
    }
}

fn context(node: &mut Node, base: &str) {
    if let Value::Text(text) = &mut node.value {
        *text = context_path(text, base);
    }
}

fn context_path(path: &str, base: &str) -> String {
    let is_remote = path.contains("://") || REMOTE.iter().any(|start| path.starts_with(start));
    if is_remote || path.is_empty() { path.to_owned() } else { joined(base, path) }
}

/// Makes the source of a bind mount absolute.
fn rebase_mount(mount: &mut Node, base: &str) -> Result<(), Diagnostic> {
    if let Value::Map(_) = mount.value {
        let is_bind = mount.entry("type").is_some_and(|kind| kind.node.value == Value::Text("bind".into()));
        if is_bind {
            with(mount, "source", |source| absolute(source, base));
        }
        return Ok(());
    }
    let Value::Text(text) = &mut mount.value else { return Ok(()) };
    // A source that does not begin like a path is the name of a volume.
    if text.starts_with('.')
        && let Some((source, rest)) = text.split_once(':')
    {
        let source = joined(base, source);
        if source.contains(':') {
            let message =
                format!("the short form cannot name `{source}`, which holds a `:`; use `type: bind`");
            return Err(mount.diagnostic(message));
        }
        *text = format!("{source}:{rest}");
    }
    Ok(())
}

/// Makes the folder absolute for which a volume of the local driver stands.
fn rebase_volume(volume: &mut Node, base: &str) {
    let says = |node: Option<&Entry>, text: &str| {
        node.is_some_and(|entry| entry.node.value == Value::Text(text.to_owned()))
    };
    let is_bind = says(volume.entry("driver"), "local")
        && volume.entry("driver_opts").is_some_and(|options| says(options.node.entry("o"), "bind"));
    if is_bind {
        with(volume, "driver_opts", |options| with(options, "device", |device| absolute(device, base)));
    }
}

fn absolute(node: &mut Node, base: &str) {
    if let Value::Text(text) = &mut node.value
        && !text.is_empty()
    {
        *text = joined(base, text);
    }
}

/// Changes the value of `key`, if this is a mapping that has it.
fn with(node: &mut Node, key: &str, change: impl FnOnce(&mut Node)) {
    if let Value::Map(entries) = &mut node.value
        && let Some(entry) = entries.get_mut(key)
    {
        change(&mut entry.node);
    }
}

/// Changes each item of a list; anything else counts as the only item of one.
fn each(node: &mut Node, mut change: impl FnMut(&mut Node)) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(change),
        _ => change(node),
    }
}
