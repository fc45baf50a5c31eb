//! The `devcontainer.metadata` label: what an image brings, and what a container was made from.
//!
//! A label holds entries, the earliest first: one for each feature, one for each configuration that the image was made
//! from. A container's label ends with the entry of its own configuration, as the file writes it, so that the variables
//! of whoever finds the container count.

use serde_json::Value as Json;

use super::document::{of_json, to_json};
use super::fields::{Fields, Reports};
use super::parse::shared::{PROPERTIES, read_properties};
use super::property::Properties;
use crate::compose_file::node::{Diagnostic, Node, Place, Value};

pub use merge::{Merged, merge};

mod merge;

/// The label that holds the entries.
pub const METADATA: &str = "devcontainer.metadata";
/// The label that holds the folder that was opened, as it was typed.
pub const LOCAL_FOLDER: &str = "devcontainer.local_folder";
/// The label that holds the path of the configuration.
pub const CONFIG_FILE: &str = "devcontainer.config_file";

/// What of a file counts for a container that was made before, whose label says the rest.
const UPDATEABLE: [&str; 3] = ["remoteUser", "userEnvProbe", "remoteEnv"];

/// An entry of a label, or a configuration as one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetadataEntry {
    /// The feature's id; nothing for a configuration.
    pub id: Option<String>,
    /// A script that runs before the container's command.
    pub entrypoint: Option<String>,
    /// What it says.
    pub properties: Properties,
}

/// The entries of a label, whose variables are not filled in yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Label {
    /// The entries.
    pub entries: Vec<Node>,
    /// What cannot be read, and is ignored.
    pub warnings: Vec<Diagnostic>,
}

/// Returns the entries that the text of a label holds: of a list, or of a single mapping.
///
/// `owner` names whose label it is, such as ``image `debian` ``. A label that is no JSON has no entries.
pub fn parse_label(text: &str, owner: &str) -> Label {
    let place = Place::of_whole(&format!("label `{METADATA}` of {owner}"));
    let warning = |message: String| Diagnostic { place: place.clone(), message };
    let mut label = Label::default();
    if text.is_empty() {
        return label;
    }
    let items = match serde_json::from_str(text) {
        Ok(Json::Array(items)) => items,
        Ok(entry @ Json::Object(_)) => vec![entry],
        Ok(_) => {
            label.warnings.push(warning("it is neither a list nor a mapping, and is ignored".to_owned()));
            return label;
        }
        Err(error) => {
            label.warnings.push(warning(format!("it is no JSON, and is ignored: {error}")));
            return label;
        }
    };
    for (index, item) in items.iter().enumerate() {
        if item.is_object() {
            label.entries.push(of_json(item, &place));
        } else {
            label.warnings.push(warning(format!("entry {} is no mapping, and is ignored", index + 1)));
        }
    }
    label
}

/// Returns what an entry of a label says; what of it cannot be read is ignored, and told in the warnings.
pub fn read_entry(entry: &Node) -> (MetadataEntry, Vec<Diagnostic>) {
    let reports = Reports::default();
    let read = Fields::new(entry, "", &reports).map(|fields| MetadataEntry {
        id: fields.filled("id"),
        entrypoint: fields.filled("entrypoint"),
        properties: read_properties(&fields),
    });
    // The label is another author's, so it stops nobody.
    (read.unwrap_or_default(), reports.sorted().0)
}

/// Returns the label of a container that is made from an image with these entries and from the file `root`, neither of
/// which has its variables filled in; nothing if none of them says anything.
pub fn label_text(image: &[Node], root: &Node) -> Option<String> {
    let own = picked(root, &PROPERTIES);
    let entries: Vec<Json> =
        image.iter().chain([&own]).filter(|entry| !entry.is_empty()).map(to_json).collect();
    (!entries.is_empty()).then(|| Json::Array(entries).to_string())
}

/// Returns the entries of a container that was made before: those of its label, and of the file what may change since.
pub fn entries_of_container(label: &[Node], root: &Node) -> Vec<Node> {
    let own = picked(root, &UPDATEABLE);
    label.iter().cloned().chain([own]).filter(|entry| !entry.is_empty()).collect()
}

/// Returns the entries of a container that is yet to be made: those of its image, and what the file says.
pub fn entries_of_image(label: &[Node], root: &Node) -> Vec<Node> {
    let own = picked(root, &PROPERTIES);
    label.iter().cloned().chain([own]).filter(|entry| !entry.is_empty()).collect()
}

/// Returns a mapping with these of its keys alone, in this order.
fn picked(root: &Node, keys: &[&str]) -> Node {
    let entries = keys.iter().filter_map(|key| Some(((*key).to_owned(), root.entry(key)?.clone())));
    Node { place: root.place.clone(), tag: None, value: Value::Map(entries.collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::parse::parse_text;

    fn shown(nodes: &[Node]) -> Vec<String> {
        nodes.iter().map(|node| to_json(node).to_string()).collect()
    }

    fn root(text: &str) -> Node {
        parse_text("devcontainer.json", text).unwrap().0
    }

    #[test]
    fn a_label_is_a_list_or_a_single_mapping() {
        let label = parse_label(r#"[{"id": "a"}, {"init": true}]"#, "image `x`");
        assert_eq!(shown(&label.entries), [r#"{"id":"a"}"#, r#"{"init":true}"#]);
        assert_eq!(shown(&parse_label(r#"{"init": true}"#, "x").entries), [r#"{"init":true}"#]);
        assert_eq!(parse_label("", "x"), Label::default());
    }

    #[test]
    fn what_is_no_entry_is_ignored_and_told() {
        let warnings = |text: &str| {
            let label = parse_label(text, "image `x`");
            (
                label.entries.len(),
                label.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"),
            )
        };
        let owner = "label `devcontainer.metadata` of image `x`: ";
        assert_eq!(warnings("1"), (0, format!("{owner}it is neither a list nor a mapping, and is ignored")));
        assert_eq!(warnings("[{}, 2]"), (1, format!("{owner}entry 2 is no mapping, and is ignored")));
        assert!(warnings("{").1.contains("it is no JSON, and is ignored: "));
        let label = parse_label(r#"{"remoteUser": 1, "capAdd": ["A"]}"#, "image `x`");
        let (entry, warnings) = read_entry(&label.entries[0]);
        assert_eq!(entry.properties.cap_add, ["A"]);
        assert_eq!(warnings[0].to_string(), format!("{owner}`remoteUser`: expected a text, found a number"));
    }

    #[test]
    fn an_entry_says_what_a_file_can_say_and_what_features_say() {
        let label = parse_label(r#"[{"id": "f", "entrypoint": "/run.sh", "init": true}]"#, "x");
        let (entry, warnings) = read_entry(&label.entries[0]);
        assert_eq!((entry.id.as_deref(), entry.entrypoint.as_deref()), (Some("f"), Some("/run.sh")));
        assert_eq!((entry.properties.init, warnings.len()), (Some(true), 0));
    }

    #[test]
    fn a_container_bears_the_entries_of_its_image_and_its_own() {
        let image = parse_label(r#"[{"id": "f"}, {}]"#, "x").entries;
        let file = root(
            r#"{"image": "x", "remoteUser": "dev", "init": true, "postCreateCommand": "${localEnv:A}", "name": "n",
                "features": {}, "initializeCommand": "make", "runArgs": []}"#,
        );
        assert_eq!(
            label_text(&image, &file).as_deref(),
            Some(r#"[{"id":"f"},{"postCreateCommand":"${localEnv:A}","init":true,"remoteUser":"dev"}]"#)
        );
        assert_eq!(label_text(&[], &root(r#"{"image": "x"}"#)), None);
        assert_eq!(entries_of_image(&image, &file).len(), 2);
    }

    #[test]
    fn of_a_container_that_is_there_only_the_user_changes() {
        let label = parse_label(r#"[{"init": true}]"#, "x").entries;
        let file = root(r#"{"image": "x", "init": false, "remoteUser": "dev", "postCreateCommand": "new"}"#);
        let entries = entries_of_container(&label, &file);
        assert_eq!(shown(&entries), [r#"{"init":true}"#, r#"{"remoteUser":"dev"}"#]);
    }
}
