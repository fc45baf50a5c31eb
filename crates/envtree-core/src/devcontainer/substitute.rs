//! Fills in variables such as `${localEnv:HOME}`, as the reference implementation does.
//!
//! There are three phases, each of which reads what the one before wrote: [`substitute_local`] when the file is read,
//! [`substitute_id`] before the container is made, [`substitute_container`] once it runs. Every text that is a value is
//! filled in, wherever it stands; keys are not. What no phase knows stays as it is written.
//!
//! A variable ends at the first `}` of its line, and its parts at each colon. So a default ends at the next colon, and
//! holds no braces: `${localEnv:A:http://a}` is `http` where `A` is not set. An empty value is a value: the default is
//! for a variable that is not set, which stands for nothing if there is no default.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::path::base_name;
use crate::compose_file::node::{Diagnostic, Node, Value};

/// How many digits of 32 a number of 256 bits has.
const DIGITS: usize = 52;

/// What the host knows when a file is read.
#[derive(Clone, Copy)]
pub struct LocalVariables<'a> {
    /// The folder that was opened, as it was typed.
    pub workspace_folder: &'a str,
    /// Where its files are in the container; nothing while that is not known.
    pub container_workspace_folder: Option<&'a str>,
    /// Returns the value of a variable; on Windows whatever the case of its name.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Whether the host runs Windows.
    pub is_windows: bool,
}

/// A variable of the environment that is asked for without its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` names no variable of the environment")]
pub struct NamelessVariable {
    /// The text of the variable.
    pub variable: String,
}

/// Fills in what the host knows, in all of a file.
pub fn substitute_local(root: &mut Node, variables: &LocalVariables<'_>) -> Result<(), Vec<Diagnostic>> {
    let mut faults = Vec::new();
    in_texts(root, &mut faults, &|text| local_text(text, variables));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns a text with what the host knows filled in.
pub fn local_text(text: &str, variables: &LocalVariables<'_>) -> Result<String, NamelessVariable> {
    replaced(text, &|variable| match variable.name {
        "env" | "localEnv" => variable.looked_up(variables.lookup),
        "localWorkspaceFolder" => Ok(Some(variables.workspace_folder.to_owned())),
        "localWorkspaceFolderBasename" => {
            Ok(Some(base_name(variables.workspace_folder, variables.is_windows).to_owned()))
        }
        "containerWorkspaceFolder" => Ok(variables.container_workspace_folder.map(str::to_owned)),
        "containerWorkspaceFolderBasename" => {
            Ok(variables.container_workspace_folder.map(|folder| base_name(folder, false).to_owned()))
        }
        _ => Ok(None),
    })
}

/// Fills in the id of the dev container, in all of a file.
pub fn substitute_id(root: &mut Node, id: &str) {
    let text = |text: &str| {
        replaced(text, &|variable| Ok((variable.name == "devcontainerId").then(|| id.to_owned())))
    };
    in_texts(root, &mut Vec::new(), &text);
}

/// Returns a text with the variables of the running container filled in.
pub fn substitute_container(
    text: &str,
    environment: &IndexMap<String, String>,
) -> Result<String, NamelessVariable> {
    replaced(text, &|variable| match variable.name {
        "containerEnv" => variable.looked_up(&|name| environment.get(name).cloned()),
        _ => Ok(None),
    })
}

/// Returns the id of the dev container that bears these labels, of which the order does not matter.
///
/// It is the same as long as the labels are, and consists of 52 digits and lower-case letters.
pub fn dev_container_id(labels: &IndexMap<String, String>) -> String {
    let sorted: BTreeMap<_, _> = labels.iter().collect();
    let json = serde_json::to_string(&sorted).expect("keys and values are texts");
    base_32(&Sha256::digest(json))
}

/// Returns a large number, its highest byte first, in digits of 32.
fn base_32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let bit = |index: usize| bytes.iter().rev().nth(index / 8).map_or(0, |byte| (byte >> (index % 8)) & 1);
    let digit = |index: usize| (0..5).rev().fold(0, |digit, offset| (digit << 1) | bit(index * 5 + offset));
    (0..DIGITS).rev().map(|index| char::from(ALPHABET[usize::from(digit(index))])).collect()
}

/// A variable as it is written.
struct Variable<'a> {
    /// All of it, with its braces.
    text: &'a str,
    /// What stands before the first colon.
    name: &'a str,
    /// What stands behind it, by colons.
    parts: Option<&'a str>,
}

impl Variable<'_> {
    /// Returns what its first part names, or its second part, or nothing.
    fn looked_up(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, NamelessVariable> {
        let nameless = || NamelessVariable { variable: self.text.to_owned() };
        let mut parts = self.parts.ok_or_else(nameless)?.split(':');
        let name = parts.next().unwrap_or_default();
        Ok(Some(lookup(name).unwrap_or_else(|| parts.next().unwrap_or_default().to_owned())))
    }
}

type Replace<'a> = &'a dyn Fn(&Variable<'_>) -> Result<Option<String>, NamelessVariable>;

/// Returns a text in which the variables that `replace` knows are replaced.
fn replaced(text: &str, replace: Replace<'_>) -> Result<String, NamelessVariable> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        result.push_str(before);
        let end = after.find('}');
        let is_broken = |end: usize| after[..end].contains(['\n', '\r', '\u{2028}', '\u{2029}']);
        let Some(end) = end.filter(|end| !is_broken(*end)) else {
            result.push_str("${");
            rest = &after[2..];
            continue;
        };
        let inner = &after[2..end];
        let (name, parts) = match inner.split_once(':') {
            Some((name, parts)) => (name, Some(parts)),
            None => (inner, None),
        };
        let variable = Variable { text: &after[..=end], name, parts };
        match replace(&variable)? {
            Some(value) => result.push_str(&value),
            None => result.push_str(variable.text),
        }
        rest = &after[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

/// Replaces every text that is a value, and keeps what goes wrong.
fn in_texts(
    node: &mut Node,
    faults: &mut Vec<Diagnostic>,
    replace: &dyn Fn(&str) -> Result<String, NamelessVariable>,
) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => match replace(text) {
            Ok(replaced) => *text = replaced,
            Err(fault) => {
                faults.push(Diagnostic { place: node.place.clone(), message: fault.to_string() });
            }
        },
        Value::List(items) => items.iter_mut().for_each(|item| in_texts(item, faults, replace)),
        Value::Map(entries) => {
            entries.values_mut().for_each(|entry| in_texts(&mut entry.node, faults, replace));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::document::{parse_document, to_json};

    fn lookup(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/dev".to_owned()),
            "EMPTY" => Some(String::new()),
            "ID" => Some("${devcontainerId}".to_owned()),
            _ => None,
        }
    }

    const LOCAL: LocalVariables<'static> = LocalVariables {
        workspace_folder: "/src/shop",
        container_workspace_folder: Some("/workspaces/shop.x"),
        lookup: &lookup,
        is_windows: false,
    };

    #[test]
    fn the_host_knows_its_environment_and_the_folders() {
        for (text, expected) in [
            ("${localEnv:HOME}/.ssh", "/home/dev/.ssh"),
            ("${env:HOME}", "/home/dev"),
            ("${localWorkspaceFolder}|${localWorkspaceFolderBasename}", "/src/shop|shop"),
            ("${containerWorkspaceFolder}|${containerWorkspaceFolderBasename}", "/workspaces/shop.x|shop.x"),
            ("${localEnv:NONE}", ""),
            ("${localEnv:NONE:other}", "other"),
            ("${localEnv:EMPTY:other}", ""),
            ("${localEnv:HOME:other}", "/home/dev"),
            ("bar${localEnv:baz:default:a:b:c}bar", "bardefaultbar"),
            ("${localEnv:NONE:http://a}", "http"),
            ("${localEnv:NONE:}", ""),
            ("${localEnv:}", ""),
            ("${localEnv:NONE:${localEnv:HOME}}", "${localEnv}"),
            ("${localWorkspaceFolder:more}", "/src/shop"),
        ] {
            assert_eq!(local_text(text, &LOCAL).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        for text in [
            "${containerEnv:PATH}",
            "${devcontainerId}",
            "${unknown:HOME}",
            "${LOCALENV:HOME}",
            "${localEnv:HOME",
            "${localEnv:\nHOME}",
            "$localEnv {localEnv:HOME} $",
            "${}",
        ] {
            assert_eq!(local_text(text, &LOCAL).as_deref(), Ok(text));
        }
        let early = LocalVariables { container_workspace_folder: None, ..LOCAL };
        assert_eq!(
            local_text("${containerWorkspaceFolder}", &early).as_deref(),
            Ok("${containerWorkspaceFolder}")
        );
        assert_eq!(local_text("${a\n${localEnv:HOME}", &LOCAL).as_deref(), Ok("${a\n/home/dev"));
    }

    #[test]
    fn the_environment_without_a_name_is_an_error_with_its_place() {
        let mut root = parse_document("d", "{\"a\": \"${localEnv}\",\n\"b\": [\"${env}\"]}").unwrap().root;
        let faults = substitute_local(&mut root, &LOCAL).unwrap_err();
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "d:1:7: `${localEnv}` names no variable of the environment",
                "d:2:7: `${env}` names no variable of the environment"
            ]
        );
        let none = IndexMap::new();
        assert!(substitute_container("${containerEnv}", &none).is_err());
    }

    #[test]
    fn values_are_filled_in_wherever_they_stand_and_keys_are_not() {
        let text = r#"{"${localEnv:HOME}": {"a": ["${localEnv:HOME}", 1, null]}, "b": "${localEnv:ID}"}"#;
        let mut root = parse_document("d", text).unwrap().root;
        substitute_local(&mut root, &LOCAL).unwrap();
        assert_eq!(
            to_json(&root).to_string(),
            r#"{"${localEnv:HOME}":{"a":["/home/dev",1,null]},"b":"${devcontainerId}"}"#
        );
        // The next phase reads what this one wrote.
        substitute_id(&mut root, "0id");
        assert_eq!(root.entry("b").unwrap().node.value, Value::Text("0id".into()));
    }

    #[test]
    fn the_container_knows_its_own_environment() {
        let environment = IndexMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        let filled = |text| substitute_container(text, &environment).unwrap();
        assert_eq!(filled("${containerEnv:PATH}:/opt"), "/bin:/opt");
        assert_eq!(filled("bar${containerEnv:baz:default}bar"), "bardefaultbar");
        assert_eq!(filled("${localEnv:HOME}"), "${localEnv:HOME}");
    }

    #[test]
    fn a_folder_of_windows_has_a_name() {
        let windows = LocalVariables { workspace_folder: r"c:\src\shop", is_windows: true, ..LOCAL };
        assert_eq!(local_text("${localWorkspaceFolderBasename}", &windows).as_deref(), Ok("shop"));
    }

    #[test]
    fn an_id_is_a_number_of_256_bits_in_digits_of_32() {
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(base_32(&one), format!("{:0>52}", "1"));
        assert_eq!(base_32(&[0xff; 32]), format!("1{}", "v".repeat(51)));
        let mut high = [0; 32];
        high[0] = 0x80;
        assert_eq!(base_32(&high), format!("1{}", "0".repeat(51)));
    }

    #[test]
    fn an_id_depends_on_every_label_and_not_on_their_order() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let id = dev_container_id(&labels(&[("a", "b")]));
        assert_eq!(id, "1mqafr5h2iu6dhh3k1m4vtnuhml2uiec4s7bntt1v0f25ao63i1n");
        assert_eq!(
            dev_container_id(&labels(&[("c", "d"), ("a", "b")])),
            dev_container_id(&labels(&[("a", "b"), ("c", "d")]))
        );
        assert_ne!(dev_container_id(&labels(&[("c", "d"), ("a", "b")])), id);
    }
}
