//! `configs` and `secrets`, of the file and of a service.

use indexmap::IndexMap;

use super::path::resolved_anywhere;
use super::section::{Reports, Section};
use super::unknown::{Keys, hint};
use super::volume::external;
use super::{LowerOptions, Scope};
use crate::build::SecretText;
use crate::compose_file::node::{Node, Value};
use crate::compose_file::scalar::integer;
use crate::project::FileObject;
use crate::service::{Grant, Origin};

/// What only a swarm heeds.
const SWARM: [&str; 3] = ["driver", "driver_opts", "template_driver"];
const CONFIG_KEYS: Keys = Keys {
    read: &["name", "file", "environment", "content", "external", "labels", "template_driver"],
    ignored: &[],
    refused: &[],
};
const SECRET_KEYS: Keys = Keys {
    read: &["name", "file", "environment", "external", "labels", "driver", "driver_opts", "template_driver"],
    ignored: &[],
    refused: &[],
};
const GRANT_KEYS: Keys =
    Keys { read: &["source", "target", "uid", "gid", "mode"], ignored: &[], refused: &[] };

/// Of the two kinds of files that services are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Secret,
}

impl Kind {
    /// The key under which the file declares them and a service asks for them.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Config => "configs",
            Self::Secret => "secrets",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secret => "secret",
        }
    }

    fn keys(self) -> &'static Keys {
        match self {
            Self::Config => &CONFIG_KEYS,
            Self::Secret => &SECRET_KEYS,
        }
    }

    /// The folder in the container against which targets are resolved.
    fn folder(self) -> &'static str {
        match self {
            Self::Config => "/",
            Self::Secret => "/run/secrets/",
        }
    }

    /// What says where the content comes from.
    fn origins(self) -> &'static [&'static str] {
        match self {
            Self::Config => &["file", "environment", "content"],
            Self::Secret => &["file", "environment"],
        }
    }
}

/// Returns what the file declares of a kind.
pub(super) fn lower_objects(
    kind: Kind,
    declared: Vec<(&str, &Node)>,
    options: &LowerOptions<'_>,
    reports: &Reports,
) -> IndexMap<String, FileObject> {
    let declared = declared.into_iter();
    declared
        .filter_map(|(name, node)| {
            let owner = format!("{} `{name}`: ", kind.noun());
            let section = Section::new(node, owner, kind.keys(), reports)?;
            Some((name.to_owned(), lower_object(kind, &section, options)))
        })
        .collect()
}

fn lower_object(kind: Kind, section: &Section<'_>, options: &LowerOptions<'_>) -> FileObject {
    let (external, name) = external(section, false);
    let given: Vec<&str> =
        kind.origins().iter().copied().filter(|origin| section.node(origin).is_some()).collect();
    let origins = kind.origins().join("`, `");
    if given.is_empty() && !external {
        section.error(section.place, format!("one of `{origins}` is missing"));
    } else if given.len() > 1 {
        section.error(section.place, format!("only one of `{origins}` can be there"));
    }
    for key in SWARM {
        if let (Some(entry), Some(_)) = (section.entries().get(key), section.node(key)) {
            section.warn(&entry.key_place, format!("`{key}` has no effect: only a swarm has drivers for it"));
        }
    }
    FileObject {
        driver: section.text("driver"),
        driver_opts: section.labels("driver_opts"),
        template_driver: section.text("template_driver"),
        name,
        file: section.text("file").map(|path| resolved_anywhere(&path, options).unwrap_or(path)),
        environment: section.text("environment"),
        content: section.parsed("content", "a text", |text| Some(text.to_owned())),
        external,
        labels: section.labels("labels"),
    }
}

/// Returns the files of a kind that the service is given.
pub(super) fn lower_grants(service: &Section<'_>, kind: Kind, scope: &Scope<'_>) -> Vec<Grant> {
    let items = service.items(kind.key()).iter().enumerate();
    items
        .filter_map(|(index, item)| {
            let name = format!("{}[{index}]", kind.key());
            if let Value::Map(_) = item.value {
                return long_grant(&service.within(&name, item, &GRANT_KEYS)?, kind, scope);
            }
            let expected = "a name, or a mapping with a `source`";
            let source = service.parsed_node(&name, item, expected, |text| Some(text.to_owned()))?;
            grant(service, item, kind, source, scope)
        })
        .collect()
}

fn long_grant(section: &Section<'_>, kind: Kind, scope: &Scope<'_>) -> Option<Grant> {
    let source = section.required("source")?;
    let node = section.node("source")?;
    let mut grant = grant(section, node, kind, source, scope)?;
    grant.target = section.text("target");
    if let Some(target) = &grant.target {
        grant.path = if target.starts_with('/') { target.clone() } else { kind.folder().to_owned() + target };
    }
    let number =
        |key| section.parsed_text(key, "a number", |text| text.parse::<u32>().ok().map(|_| text.into()));
    (grant.uid, grant.gid, grant.mode) = (number("uid"), number("gid"), lower_mode(section));
    if let Origin::File(_) = grant.origin {
        for key in ["uid", "gid", "mode"] {
            if let Some(entry) = section.entries().get(key) {
                let name = section.name(key);
                section.warn(
                    &entry.key_place,
                    format!("{name} has no effect: the file is mounted as it is on the host"),
                );
            }
        }
    }
    Some(grant)
}

/// Returns a mode: a number as it is, a text in octal.
pub(super) fn lower_mode(section: &Section<'_>) -> Option<u32> {
    let node = section.node("mode")?;
    section.parsed_node("mode", node, "a mode such as `0o440`", |text| match node.value {
        Value::Number(_) => u32::try_from(integer(text)?).ok(),
        _ => u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok(),
    })
}

fn grant(section: &Section<'_>, node: &Node, kind: Kind, source: String, scope: &Scope<'_>) -> Option<Grant> {
    let objects = scope.objects(kind);
    let Some(object) = objects.get(&source) else {
        let message = format!("{} `{source}` is not declared under `{}`", kind.noun(), kind.key());
        section.error(&node.place, message + &hint(&source, objects.keys().map(String::as_str)));
        return None;
    };
    let origin = origin(object, scope.options);
    if let Origin::File(path) = &origin {
        section.mounts(&node.place, path);
    }
    let path = format!("{}{source}", kind.folder());
    Some(Grant { source, target: None, path, uid: None, gid: None, mode: None, origin })
}

fn origin(object: &FileObject, options: &LowerOptions<'_>) -> Origin {
    match (&object.file, &object.environment, &object.content) {
        (Some(path), ..) => Origin::File(path.clone()),
        (None, Some(variable), _) => match (options.lookup)(variable) {
            Some(value) => Origin::Text(SecretText::new(value)),
            None => Origin::Unavailable(format!("the variable `{variable}` is not set")),
        },
        (None, None, Some(text)) => Origin::Text(SecretText::new(text.clone())),
        (None, None, None) => Origin::Unavailable("it is `external`, and only a swarm keeps such".into()),
    }
}
