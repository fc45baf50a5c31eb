//! `build` of a service.

use indexmap::IndexMap;

use super::grant::{Kind, lower_mode};
use super::limits::{lower_extra_hosts, lower_ulimits};
use super::path::resolved;
use super::section::{Pair, Section, is_empty_text, scalar};
use super::unknown::Keys;
use super::{LowerOptions, Scope};
use crate::build::{Build, BuildSecret, REMOTE, SecretOrigin, SecretText, SshForward, is_folder, is_remote};
use crate::compose_file::node::{Node, Value};
use crate::service::AsWritten;

const KEYS: Keys = Keys {
    read: &[
        "additional_contexts",
        "args",
        "cache_from",
        "cache_to",
        "context",
        "dockerfile",
        "dockerfile_inline",
        "entitlements",
        "extra_hosts",
        "isolation",
        "labels",
        "network",
        "no_cache",
        "no_cache_filter",
        "platforms",
        "privileged",
        "provenance",
        "pull",
        "sbom",
        "secrets",
        "shm_size",
        "ssh",
        "tags",
        "target",
        "ulimits",
    ],
    ignored: &[],
    refused: &[],
};
const SECRET_KEYS: Keys =
    Keys { read: &["source", "target", "uid", "gid", "mode"], ignored: &[], refused: &[] };

const CONTEXT_IS_EMPTY: &str = "`build.context` is empty, so the project's folder is taken";

/// Returns how the service's image is built.
pub(super) fn lower_build(service: &Section<'_>, scope: &Scope<'_>) -> Option<Build> {
    let node = service.node("build")?;
    if let Some(context) = scalar(node) {
        if context.is_empty() {
            service.warn(&node.place, CONTEXT_IS_EMPTY);
        }
        check_context(service, node, &context);
        let resolved = resolved_context(&context, scope.options);
        let written_context = written_context(context, &resolved);
        return Some(Build { context: resolved, written_context, ..Build::default() });
    }
    let section = service.child("build", &KEYS)?;
    let empty = section.node("context").filter(|node| is_empty_text(node));
    if let Some(node) = empty {
        section.warn(&node.place, CONTEXT_IS_EMPTY);
    }
    let written = section.text("context");
    if let (Some(node), Some(written)) = (section.node("context"), &written) {
        check_context(&section, node, written);
    }
    let context = resolved_context(written.as_deref().unwrap_or("."), scope.options);
    let written = written.or_else(|| empty.map(|_| String::new()));
    let build = Build {
        written_context: written.and_then(|written| written_context(written, &context)),
        context,
        dockerfile: section.text("dockerfile"),
        dockerfile_inline: section.text("dockerfile_inline"),
        args: args(&section, scope.options),
        target: section.text("target"),
        labels: section.labels("labels"),
        cache_from: section.texts("cache_from"),
        cache_to: section.texts("cache_to"),
        no_cache: section.is_on("no_cache"),
        no_cache_filter: section.texts("no_cache_filter"),
        pull: section.is_on("pull"),
        additional_contexts: contexts(&section, scope.options),
        network: section.text("network"),
        shm_size: section.bytes("shm_size").filter(|bytes| *bytes != 0),
        extra_hosts: lower_extra_hosts(&section),
        ulimits: lower_ulimits(&section),
        privileged: section.is_on("privileged"),
        entitlements: section.texts("entitlements"),
        isolation: section.text("isolation"),
        platforms: section.texts("platforms"),
        tags: section.texts("tags"),
        secrets: secrets(&section, scope),
        ssh: ssh(&section, scope.options),
        provenance: section.text("provenance"),
        sbom: section.text("sbom"),
    };
    check(service, &section, &build);
    warn_of_isolation(&section);
    Some(build)
}

fn warn_of_isolation(section: &Section<'_>) {
    let isolation = section.text("isolation").filter(|isolation| isolation != "default");
    if let (Some(entry), Some(_)) = (section.entries().get("isolation"), isolation) {
        section.warn(&entry.key_place, "`build.isolation` has no effect: only an Engine on Windows knows it");
    }
}

/// Reports what contradicts itself.
fn check(service: &Section<'_>, section: &Section<'_>, build: &Build) {
    if let (Some(entry), Some(_)) = (section.entries().get("dockerfile_inline"), &build.dockerfile) {
        let message = "`build.dockerfile_inline` cannot stand beside `build.dockerfile`";
        section.error(&entry.key_place, message);
    }
    if let (Some(node), Some(platform)) = (section.node("platforms"), service.text("platform"))
        && !build.platforms.is_empty()
        && !build.platforms.contains(&platform)
    {
        section.error(&node.place, format!("`build.platforms` lacks `{platform}`, the service's `platform`"));
    }
}

/// Returns a context as it is written, where it is shown so: an empty one, and an absolute path that is not clean.
fn written_context(written: String, resolved: &str) -> Option<String> {
    (written.is_empty() || written.starts_with('/') && written != resolved).then_some(written)
}

/// Refuses what is neither a folder nor an address: builders know it as a further context, if at all.
fn check_context(section: &Section<'_>, node: &Node, context: &str) {
    if is_folder(context) || is_remote(context) {
        return;
    }
    let hint = match (context.strip_prefix("git+"), context.strip_prefix("docker-image://")) {
        (Some(address), _) if is_remote(address) => format!("; did you mean `{address}`?"),
        (_, Some(image)) => format!("; `image: {image}` runs an image that is there"),
        _ => String::new(),
    };
    let expected = format!("a folder, or an address that begins with one of `{}`", REMOTE.join("`, `"));
    section.refuse(&node.place, format!("the context of a build must be {expected}, not `{context}`{hint}"));
}

fn resolved_context(context: &str, options: &LowerOptions<'_>) -> String {
    if !is_folder(context) {
        return context.to_owned();
    }
    resolved(context, options).unwrap_or_else(|| context.to_owned())
}

fn contexts(section: &Section<'_>, options: &LowerOptions<'_>) -> IndexMap<String, String> {
    let contexts = section.pairs("additional_contexts").into_iter();
    let resolve = |context: String| {
        // As in Compose, an absolute path stays as it is written.
        let is_relative = is_folder(&context) && !context.starts_with('/');
        if is_relative { resolved_context(&context, options) } else { context }
    };
    let context = |pair: Pair<'_>| {
        let context = pair.value.unwrap_or_default();
        if context.is_empty() {
            let name = section.name("additional_contexts");
            section.refuse(&pair.node.place, format!("{name}: the context `{}` is empty", pair.key));
            return (pair.key, context);
        }
        (pair.key, resolve(context))
    };
    contexts.map(context).collect()
}

fn args(section: &Section<'_>, options: &LowerOptions<'_>) -> IndexMap<String, Option<String>> {
    let pairs = section.pairs("args").into_iter();
    let value = |name: &str, value: Option<String>| value.or_else(|| (options.lookup)(name));
    pairs.map(|pair| (pair.key.clone(), value(&pair.key, pair.value))).collect()
}

fn secrets(section: &Section<'_>, scope: &Scope<'_>) -> Vec<BuildSecret> {
    let items = section.items("secrets").iter().enumerate();
    items
        .filter_map(|(index, item)| {
            let name = format!("secrets[{index}]");
            if let Value::Map(_) = item.value {
                let inner = section.within(&name, item, &SECRET_KEYS)?;
                let source = inner.required("source")?;
                return Some(BuildSecret {
                    origin: origin(&inner, ("source", inner.node("source")?), &source, scope)?,
                    source,
                    target: inner.text("target"),
                    uid: inner.text("uid"),
                    gid: inner.text("gid"),
                    mode: lower_mode(&inner),
                    as_written: inner.shown(),
                });
            }
            let expected = "a name, or a mapping with a `source`";
            let source = section.parsed_node(&name, item, expected, |text| Some(text.to_owned()))?;
            let origin = origin(section, (&name, item), &source, scope)?;
            Some(BuildSecret {
                source,
                target: None,
                uid: None,
                gid: None,
                mode: None,
                origin,
                as_written: AsWritten::default(),
            })
        })
        .collect()
}

fn origin(
    section: &Section<'_>,
    (key, node): (&str, &Node),
    source: &str,
    scope: &Scope<'_>,
) -> Option<SecretOrigin> {
    let objects = scope.objects(Kind::Secret);
    let Some(object) = objects.get(source) else {
        let known = objects.keys().map(String::as_str);
        section.undeclared(key, &node.place, ("secret", source), known);
        return None;
    };
    Some(match (&object.file, &object.environment) {
        (Some(path), _) => SecretOrigin::File(path.clone()),
        (None, Some(variable)) => {
            let value = (scope.options.lookup)(variable).map(SecretText::new);
            SecretOrigin::Variable(variable.clone(), value)
        }
        (None, None) => {
            section.refuse(&node.place, format!("secret `{source}` is `external`, which only a swarm knows"));
            SecretOrigin::Swarm
        }
    })
}

fn ssh(section: &Section<'_>, options: &LowerOptions<'_>) -> Vec<SshForward> {
    let pairs = section.pairs("ssh").into_iter();
    pairs
        .filter_map(|pair| {
            let path = pair.value.filter(|path| !path.is_empty());
            if path.is_none() && pair.key != "default" {
                let message = format!("`build.ssh` needs the path of a key or a socket for `{}`", pair.key);
                if pair.node.value != Value::Null {
                    section.error(&pair.node.place, message);
                    return None;
                }
                section.refuse(&pair.node.place, message);
            }
            let path = path.map(|path| resolved(&path, options).unwrap_or(path));
            Some(SshForward { id: pair.key, path })
        })
        .collect()
}
