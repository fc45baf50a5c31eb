//! Reading what describes a dev container never panics, whatever is in it.

use envtree_core::compose_file::node::{Node, Place};
use envtree_core::devcontainer::document::{parse_document, to_json};
use envtree_core::devcontainer::lifecycle::{Occasion, steps};
use envtree_core::devcontainer::locate::{choose, locate};
use envtree_core::devcontainer::metadata::{entries_of_image, label_text, merge, parse_label, read_entry};
use envtree_core::devcontainer::mount::ParsedMount;
use envtree_core::devcontainer::parse::{parse_text, read_dev_container};
use envtree_core::devcontainer::property::Placed;
use envtree_core::devcontainer::run_args::apply_run_args;
use envtree_core::devcontainer::substitute::{LocalVariables, substitute_id, substitute_local};
use envtree_core::devcontainer::workspace::{LocalFolders, workspace, written_folder};
use envtree_core::service::Service;
use proptest::prelude::*;

/// What means something in JSON with comments, in properties or in flags.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u12",
    "//",
    "/*",
    "*/",
    "\n",
    " ",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5e9",
    "70000",
    "'",
    "\u{feff}",
    "ü",
    "\"image\":",
    "\"x\"",
    "\"build\":",
    "\"dockerfile\":",
    "\"dockerComposeFile\":",
    "\"service\":",
    "\"mounts\":",
    "\"source=a,target=/b\"",
    "\"type\":",
    "\"target\":",
    "\"forwardPorts\":",
    "\"db:5432\"",
    "\"appPort\":",
    "\"80-81:80-81\"",
    "\"runArgs\":",
    "\"onCreateCommand\":",
    "\"remoteEnv\":",
    "\"containerEnv\":",
    "\"hostRequirements\":",
    "\"gpu\":",
    "\"memory\":",
    "\"4gb\"",
    "\"customizations\":",
    "\"vscode\":",
    "\"extensions\":",
    "\"settings\":",
    "\"devPort\":",
    "\"portsAttributes\":",
    "\"${localEnv:A:b}\"",
    "\"${localWorkspaceFolder\"",
    "\"${devcontainerId}\"",
    "\"workspaceFolder\":",
    "\"waitFor\":",
];

/// Whole members of an object, so that many configurations are read to their end.
const MEMBERS: &[&str] = &[
    "\"image\": \"x\"",
    "\"dockerFile\": \"D\"",
    "\"build\": {\"dockerfile\": \"D\", \"args\": {\"A\": \"${localEnv:A}\"}}",
    "\"dockerComposeFile\": [\"a\", \"b\"], \"service\": \"s\"",
    "\"mounts\": [\"source=a,target=/a\", {\"type\": \"bind\", \"source\": \"/b\", \"target\": \"/a\"}]",
    "\"workspaceMount\": \"\"",
    "\"workspaceFolder\": \"${containerWorkspaceFolder}/x\"",
    "\"forwardPorts\": [80, \"db:1\"]",
    "\"appPort\": \"1-3:1-3\"",
    "\"postCreateCommand\": {\"a\": \"b\", \"c\": [\"d\"]}",
    "\"onCreateCommand\": []",
    "\"remoteEnv\": {\"A\": null, \"B\": 1}",
    "\"hostRequirements\": {\"gpu\": {\"cores\": 1}, \"memory\": \"8gb\"}",
    "\"extensions\": [1], \"customizations\": {\"vscode\": {\"extensions\": {}}}",
    "\"customizations\": 1",
    "\"settings\": {\"a\": 1}",
    "\"init\": true",
    "\"waitFor\": \"onCreateCommand\"",
    "\"unknown\": [[[]]]",
];

fn lookup(name: &str) -> Option<String> {
    name.len().is_multiple_of(2).then(|| "${value}".to_owned())
}

/// Reads a text in every way in which the content of a file or of a label is read.
fn read_all(text: &str) {
    if let Ok(document) = parse_document("devcontainer.json", text) {
        let json = to_json(&document.root);
        assert_eq!(parse_document("again", &json.to_string()).map(|again| to_json(&again.root)), Ok(json));
    }
    if let Ok((mut root, _)) = parse_text("devcontainer.json", text) {
        read_root(&mut root);
    }
    let label = parse_label(text, "image `x`");
    let entries: Vec<_> = label.entries.iter().map(|entry| read_entry(entry).0).collect();
    let merged = merge(&entries);
    let mut targets: Vec<_> = merged.mounts.iter().map(|mount| &mount.value.mount.target).collect();
    targets.sort();
    let count = targets.len();
    targets.dedup();
    assert_eq!(targets.len(), count);
    steps(&merged.commands, merged.wait_for, &Occasion::Created.done());
}

fn read_root(root: &mut Node) {
    let folders = LocalFolders { mounted: "/src/shop", opened: "/src/shop/sub" };
    let written = written_folder(root, &folders);
    let variables = LocalVariables {
        workspace_folder: folders.opened,
        container_workspace_folder: Some(&written),
        lookup: &lookup,
        is_windows: false,
    };
    let raw = root.clone();
    let label = label_text(&[], &raw);
    assert_eq!(label.is_some(), !entries_of_image(&[], &raw).is_empty());
    if substitute_local(root, &variables).is_err() {
        return;
    }
    substitute_id(root, "0id");
    if let Ok(parsed) = read_dev_container(root) {
        let found = workspace(&parsed.dev_container, &folders).expect("the folders are absolute");
        assert!(parsed.dev_container.workspace_folder.is_none_or(|folder| folder == found.folder));
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(prop::sample::select(MEMBERS), 0..8)
            .prop_map(|members| format!("{{{}}}", members.join(", "))),
        "\\PC{0,60}",
    ]
}

/// Words of flags, their values, and of mounts.
const WORDS: &[&str] = &[
    "-",
    "--",
    "-e",
    "-it",
    "-v",
    "-p",
    "-h",
    "--init",
    "--rm",
    "--env",
    "--mount",
    "--gpus",
    "--network",
    "--ulimit",
    "--device",
    "--security-opt",
    "--volume",
    "--publish",
    "--restart",
    "--memory",
    "=",
    ",",
    ":",
    "/",
    "a",
    "/a",
    "ro",
    "80",
    "type=bind",
    "source=",
    "target=/b",
    "\"",
    "device=0",
    "ü",
    "1m",
    "-1",
    "all",
    "name=x",
    "C:\\x",
    "~",
];

fn arguments() -> impl Strategy<Value = Vec<String>> {
    let word = prop::collection::vec(prop::sample::select(WORDS), 0..5).prop_map(|words| words.concat());
    prop::collection::vec(word, 0..6)
}

proptest! {
    #[test]
    fn reading_a_configuration_never_panics(text in texts()) {
        read_all(&text);
        let _ = text.parse::<ParsedMount>();
    }

    #[test]
    fn reading_flags_never_panics(arguments in arguments()) {
        for argument in &arguments {
            let _ = argument.parse::<ParsedMount>();
        }
        let place = |value| Placed { value, place: Place::of_whole("devcontainer.json") };
        let arguments: Vec<_> = arguments.into_iter().map(place).collect();
        let mut service = Service::default();
        let _ = apply_run_args(&arguments, &mut service, &lookup);
        prop_assert!(service.ports.iter().all(|port| port.published.is_none()));
    }

    #[test]
    fn finding_configurations_never_panics(paths in prop::collection::vec("[./a]{0,6}(devcontainer|/devcontainer.json){0,3}", 0..6)) {
        let found = locate(paths.iter().map(String::as_str));
        for location in &found {
            prop_assert!(choose(&found, location.name.as_deref().or(Some(&location.path))).unwrap().is_some());
        }
    }
}
