//! `configs` and `secrets`, of the file and of a service.

use indexmap::IndexMap;

use super::path::resolved_anywhere;
use super::reports::Reports;
use super::section::{Section, is_empty_text};
use super::unknown::Keys;
use super::volume::external;
use super::{LowerOptions, Scope};
use crate::build::SecretText;
use crate::compose_file::node::{Node, Value};
use crate::project::FileObject;
use crate::service::{AsWritten, Grant, Origin};

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
    let is_nameless = external && section.node("name").is_some_and(is_empty_text);
    let name = if is_nameless { Some(String::new()) } else { name };
    let given: Vec<&str> =
        kind.origins().iter().copied().filter(|origin| section.node(origin).is_some()).collect();
    let origins = kind.origins().join("`, `");
    if given.is_empty() && !external {
        section.error(section.place, format!("one of `{origins}` is missing"));
    } else if given.len() > 1 {
        section.error(section.place, format!("only one of `{origins}` can be there"));
    }
    if let Some(node) = section.node("file").filter(|node| is_empty_text(node)) {
        section.warn(&node.place, "`file` is empty, so the project's folder is taken");
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
        file: section
            .parsed("file", "a text", |text| Some(text.to_owned()))
            .map(|path| resolved_anywhere(&path, options).unwrap_or(path)),
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
            grant(service, (&name, item), kind, source, scope)
        })
        .collect()
}

fn long_grant(section: &Section<'_>, kind: Kind, scope: &Scope<'_>) -> Option<Grant> {
    let source = section.required("source")?;
    let node = section.node("source")?;
    let mut grant = grant(section, ("source", node), kind, source, scope)?;
    grant.target = section.parsed("target", "a text", |text| Some(text.to_owned()));
    if let Some(target) = grant.target.as_ref().filter(|target| !target.is_empty()) {
        grant.path = if target.starts_with('/') { target.clone() } else { kind.folder().to_owned() + target };
    }
    // What is mounted from the host keeps its owner.
    let is_file = matches!(grant.origin, Origin::File(_));
    let number = |key| section.fit_or_shown(key, "a number", |text| is_file || text.parse::<u32>().is_ok());
    (grant.uid, grant.gid, grant.mode) = (number("uid"), number("gid"), lower_mode(section));
    grant.as_written = section.shown();
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
    let (node, expected) = (section.node("mode")?, "a mode such as `0o440`");
    if let Value::Number(_) = node.value {
        return section.bits_or_shown("mode", expected, u32::BITS);
    }
    section.parsed_node("mode", node, expected, |text| {
        u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()
    })
}

fn grant(
    section: &Section<'_>,
    (key, node): (&str, &Node),
    kind: Kind,
    source: String,
    scope: &Scope<'_>,
) -> Option<Grant> {
    let objects = scope.objects(kind);
    let Some(object) = objects.get(&source) else {
        let known = objects.keys().map(String::as_str);
        section.undeclared(key, &node.place, (kind.noun(), &source), known);
        return None;
    };
    let origin = origin(object, scope.options);
    if let Origin::File(path) = &origin {
        section.mounts(&node.place, path, false);
    }
    let path = format!("{}{source}", kind.folder());
    Some(Grant {
        source,
        target: None,
        path,
        uid: None,
        gid: None,
        mode: None,
        origin,
        as_written: AsWritten::default(),
    })
}

fn origin(object: &FileObject, options: &LowerOptions<'_>) -> Origin {
    match (&object.file, &object.environment, &object.content) {
        (Some(path), ..) => Origin::File(path.clone()),
        (None, Some(variable), _) => match (options.lookup)(variable) {
            Some(value) => Origin::Text(SecretText::new(value)),
            None => Origin::Unavailable(format!(
                "`environment` names `{variable}`, which is set neither in `.env` nor in the environment"
            )),
        },
        (None, None, Some(text)) => Origin::Text(SecretText::new(text.clone())),
        (None, None, None) if !object.external => Origin::Unavailable("its origin is empty".into()),
        (None, None, None) => Origin::Unavailable("it is `external`, and only a swarm keeps such".into()),
    }
}
