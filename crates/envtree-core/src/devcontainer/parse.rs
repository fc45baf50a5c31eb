//! Reads a `devcontainer.json` as typed values.
//!
//! Wrong types and unknown words are errors; a key that nobody knows, at the top or deeper, is a warning, because tools
//! have keys of their own. A value of `null` counts as absent.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::document::{parse_document, to_json};
use super::fields::{Fields, Reports};
use super::lifecycle::Stage;
use super::old_properties::{OLD, move_old_properties};
use super::property::{ComposeService, DevContainer, DockerfileBuild, Kind, Placed, Secret, WorkspaceMount};
use crate::compose_file::lower::parse_port;
use crate::compose_file::node::{Diagnostic, Node, Value};
use crate::service::Port;
use shared::{PROPERTIES, command, read_properties};

pub(super) mod shared;

/// The keys that only a file has.
const KEYS: [&str; 22] = [
    "$schema",
    "additionalProperties",
    "appPort",
    "build",
    "context",
    "devPort",
    "dockerComposeFile",
    "dockerFile",
    "extensions",
    "features",
    "image",
    "initializeCommand",
    "name",
    "overrideFeatureInstallOrder",
    "runArgs",
    "runServices",
    "secrets",
    "service",
    "settings",
    "workspaceFolder",
    "workspaceMount",
    "configFilePath",
];
const BUILD_KEYS: [&str; 6] = ["dockerfile", "context", "args", "target", "options", "cacheFrom"];
/// What a container that Compose makes does not heed.
const NOT_OF_COMPOSE: [&str; 3] = ["appPort", "runArgs", "workspaceMount"];
/// What only a container that Compose makes heeds.
const ONLY_OF_COMPOSE: [&str; 2] = ["service", "runServices"];
const PORT: &str = "a port, or a text such as `8000:8010`";

/// A configuration, and what its author should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The configuration.
    pub dev_container: DevContainer,
    /// What is ignored.
    pub warnings: Vec<Diagnostic>,
}

/// Returns the tree of the file's text, with properties of old where they belong today, and warnings about it.
pub fn parse_text(file: &str, text: &str) -> Result<(Node, Vec<Diagnostic>), Diagnostic> {
    let document = parse_document(file, text)?;
    let mut root = document.root;
    if !matches!(root.value, Value::Map(_)) {
        return Err(root.diagnostic(format!("the file: expected a mapping, found {}", root.kind())));
    }
    let mut warnings = document.warnings;
    for (key, entry) in OLD.into_iter().filter_map(|key| Some((key, root.entry(key)?))) {
        let message = format!("`{key}` belongs below `customizations.vscode`");
        warnings.push(Diagnostic { place: entry.key_place.clone(), message });
    }
    move_old_properties(&mut root);
    Ok((root, warnings))
}

/// Returns the configuration that a tree describes, whose variables are substituted.
pub fn read_dev_container(root: &Node) -> Result<Parsed, Vec<Diagnostic>> {
    let reports = Reports::default();
    let dev_container = Fields::new(root, "", &reports).and_then(|fields| read(&fields));
    let (errors, warnings) = reports.sorted();
    match dev_container {
        Some(dev_container) if errors.is_empty() => Ok(Parsed { dev_container, warnings }),
        _ => Err(errors),
    }
}

fn read(fields: &Fields<'_>) -> Option<DevContainer> {
    fields.warn_of_unknown(&[KEYS.as_slice(), PROPERTIES.as_slice()].concat());
    let kind = read_kind(fields);
    warn_of_other_kinds(fields, kind.as_ref());
    let dev_container = DevContainer {
        name: fields.filled("name"),
        kind: kind.clone().unwrap_or_else(|| Kind::Image(String::new())),
        workspace_folder: fields.filled("workspaceFolder"),
        workspace_mount: read_workspace_mount(fields),
        run_args: placed_texts(fields, "runArgs"),
        app_port: read_app_port(fields),
        initialize_command: command(fields, Stage::Initialize),
        features: read_features(fields),
        override_feature_install_order: fields.texts("overrideFeatureInstallOrder"),
        secrets: read_secrets(fields),
        properties: read_properties(fields),
    };
    kind.is_some().then_some(dev_container)
}

/// Warns of keys that a container of this kind does not heed.
fn warn_of_other_kinds(fields: &Fields<'_>, kind: Option<&Kind>) {
    let (ignored, what): (&[&str], _) = match kind {
        Some(Kind::Compose(_)) => (&NOT_OF_COMPOSE, "with"),
        _ => (&ONLY_OF_COMPOSE, "without"),
    };
    for key in ignored {
        if let (Some(entry), Some(_)) = (fields.entries().get(*key), fields.node(key)) {
            fields
                .reports
                .warn(&entry.key_place, format!("`{key}` has no effect {what} `dockerComposeFile`"));
        }
    }
}

/// Returns what the container is made from. As in the reference implementation, a Dockerfile goes before an image.
fn read_kind(fields: &Fields<'_>) -> Option<Kind> {
    let build = fields.child("build");
    if let Some(build) = &build {
        build.warn_of_unknown(&BUILD_KEYS);
    }
    let dockerfile = fields.filled("dockerFile").or_else(|| build.as_ref()?.filled("dockerfile"));
    let image = fields.filled("image");
    if let Some(node) = fields.node("dockerComposeFile") {
        let other = [("a Dockerfile", dockerfile.is_some()), ("`image`", image.is_some())];
        if let Some((other, _)) = other.iter().find(|(_, is_there)| *is_there) {
            fields.fault("dockerComposeFile", node, format!("it cannot stand beside {other}"));
            return None;
        }
        return read_compose(fields).map(Kind::Compose);
    }
    match (dockerfile, image) {
        (Some(dockerfile), image) => {
            if let (Some(entry), Some(_)) = (fields.entries().get("image"), image) {
                fields.reports.warn(&entry.key_place, "`image` has no effect beside a Dockerfile");
            }
            Some(Kind::Dockerfile(read_build(fields, build.as_ref(), dockerfile)))
        }
        (None, Some(image)) => Some(Kind::Image(image)),
        (None, None) => {
            let message = "one of `image`, `build.dockerfile` and `dockerComposeFile` is needed";
            fields.reports.error(fields.place, message);
            None
        }
    }
}

fn read_build(fields: &Fields<'_>, build: Option<&Fields<'_>>, dockerfile: String) -> DockerfileBuild {
    let own = fields.filled("context");
    let Some(build) = build else {
        return DockerfileBuild { dockerfile, context: own, ..DockerfileBuild::default() };
    };
    let args = build.variables("args", false);
    DockerfileBuild {
        dockerfile,
        context: own.or_else(|| build.filled("context")),
        args: args.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        target: build.filled("target"),
        options: placed_texts(build, "options"),
        cache_from: build.text_or_texts("cacheFrom"),
    }
}

fn read_compose(fields: &Fields<'_>) -> Option<ComposeService> {
    let docker_compose_file = fields.text_or_texts("dockerComposeFile");
    let run_services = fields.node("runServices").map(|_| fields.texts("runServices"));
    let Some(service) = fields.filled("service") else {
        if fields.node("service").is_none_or(|node| matches!(node.value, Value::Text(_))) {
            let message = "`service` is missing: the service of the Compose file that tools connect to";
            fields.reports.error(fields.place, message);
        }
        return None;
    };
    Some(ComposeService { docker_compose_file, service, run_services })
}

fn read_workspace_mount(fields: &Fields<'_>) -> WorkspaceMount {
    let (Some(text), Some(node)) = (fields.text("workspaceMount"), fields.node("workspaceMount")) else {
        return WorkspaceMount::Usual;
    };
    if text.is_empty() {
        return WorkspaceMount::Absent;
    }
    match text.parse() {
        Ok(mount) => WorkspaceMount::Written(Box::new(mount)),
        Err(fault) => {
            fields.fault("workspaceMount", node, fault);
            WorkspaceMount::Usual
        }
    }
}

fn placed_texts(fields: &Fields<'_>, key: &str) -> Vec<Placed<String>> {
    let items = fields.items(key, "a list of texts").iter().enumerate();
    items
        .filter_map(|(index, item)| {
            let value = fields.item_text(key, index, item)?;
            Some(Placed { value, place: item.place.clone() })
        })
        .collect()
}

/// Returns the ports that are published, ranges spread out.
fn read_app_port(fields: &Fields<'_>) -> Vec<Placed<Port>> {
    let Some(node) = fields.node("appPort") else { return Vec::new() };
    let named: Vec<(String, &Node)> = match &node.value {
        Value::List(items) => {
            let name = |index| format!("appPort[{index}]");
            items.iter().enumerate().map(|(index, item)| (name(index), item)).collect()
        }
        _ => vec![("appPort".to_owned(), node)],
    };
    let mut ports = Vec::new();
    for (name, item) in named {
        let found = match &item.value {
            Value::Number(text) => {
                text.parse::<u16>().ok().filter(|port| *port > 0).map(|port| vec![Port::new(port)])
            }
            Value::Text(text) => parse_port(text),
            _ => None,
        };
        match found {
            Some(found) => {
                ports.extend(found.into_iter().map(|value| Placed { value, place: item.place.clone() }));
            }
            None => fields.unfit_value(&name, item, PORT),
        }
    }
    ports
}

fn read_features(fields: &Fields<'_>) -> IndexMap<String, Json> {
    let mut features = IndexMap::new();
    let Some(inner) = fields.child("features") else { return features };
    for (id, entry) in inner.entries() {
        match entry.node.value {
            Value::Text(_) | Value::Bool(_) | Value::Map(_) => {
                features.insert(id.clone(), to_json(&entry.node));
            }
            _ => inner.unfit(id, &entry.node, "options as a mapping, a version as a text, or a boolean"),
        }
    }
    features
}

fn read_secrets(fields: &Fields<'_>) -> IndexMap<String, Secret> {
    let mut secrets = IndexMap::new();
    let Some(inner) = fields.child("secrets") else { return secrets };
    for (name, entry) in inner.entries() {
        let Some(secret) = inner.within(name, &entry.node) else { continue };
        secret.warn_of_unknown(&["description", "documentationUrl"]);
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|first: char| !first.is_ascii_digit());
        if !is_name {
            let message = format!("`secrets.{name}`: expected the name of a variable");
            fields.reports.error(&entry.key_place, message);
        }
        let (description, documentation_url) = (secret.text("description"), secret.text("documentationUrl"));
        secrets.insert(name.clone(), Secret { description, documentation_url });
    }
    secrets
}

#[cfg(test)]
mod tests;
