//! Where the files of a worktree come to lie in its dev container, unless the configuration says otherwise.

use super::mount::{ParsedMount, mount_text};
use super::path::base_name;
use super::property::{DevContainer, Kind, WorkspaceMount};
use crate::compose_file::node::{Node, Value};

/// The folder in which tools look for the files of every dev container that is no Compose service.
const FOLDER: &str = "/workspaces";

/// The folders of the host that a dev container is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalFolders<'a> {
    /// The folder that is mounted: the top of the worktree.
    pub mounted: &'a str,
    /// The folder that was opened: the same, or one in it.
    pub opened: &'a str,
}

/// Where the files are in the container, and how they come there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The folder in which tools begin.
    pub folder: String,
    /// The mount; nothing where the Compose file or the image brings the files.
    pub mount: Option<ParsedMount>,
}

/// Returns the folder inside the container as the file writes it, so with its variables, or the one that is usual.
///
/// It is the value of `${containerWorkspaceFolder}`, once the host's variables are filled in.
pub fn written_folder(root: &Node, folders: &LocalFolders<'_>) -> String {
    let written = root.entry("workspaceFolder").and_then(|entry| match &entry.node.value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    });
    written.unwrap_or_else(|| match root.entry("dockerComposeFile") {
        Some(_) => "/".to_owned(),
        None => usual_folder(folders),
    })
}

/// Returns where the files are in a container of this configuration.
///
/// Fails if the usual mount cannot be written, such as that of a path that is not absolute.
pub fn workspace(dev_container: &DevContainer, folders: &LocalFolders<'_>) -> Result<Workspace, String> {
    let written = dev_container.workspace_folder.clone();
    if let Kind::Compose(_) = dev_container.kind {
        return Ok(Workspace { folder: written.unwrap_or_else(|| "/".to_owned()), mount: None });
    }
    let mount = match &dev_container.workspace_mount {
        WorkspaceMount::Written(mount) => Some((**mount).clone()),
        WorkspaceMount::Absent => None,
        WorkspaceMount::Usual => {
            Some(mount_text("bind", Some(folders.mounted), &usual_target(folders)).parse()?)
        }
    };
    Ok(Workspace { folder: written.unwrap_or_else(|| usual_folder(folders)), mount })
}

/// Returns where the mounted folder lies in the container.
fn usual_target(folders: &LocalFolders<'_>) -> String {
    format!("{FOLDER}/{}", base_name(folders.mounted, false))
}

/// Returns where the opened folder lies in the container.
fn usual_folder(folders: &LocalFolders<'_>) -> String {
    let within = folders.opened.strip_prefix(folders.mounted).unwrap_or_default();
    format!("{}{}", usual_target(folders), within.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::parse::{parse_text, read_dev_container};

    const TOP: LocalFolders<'static> = LocalFolders { mounted: "/src/a,b", opened: "/src/a,b" };

    fn found(text: &str, folders: &LocalFolders<'_>) -> (String, Option<String>) {
        let root = parse_text("d", text).unwrap().0;
        let dev_container = read_dev_container(&root).unwrap().dev_container;
        let workspace = workspace(&dev_container, folders).unwrap();
        assert_eq!(workspace.folder, written_folder(&root, folders));
        (workspace.folder, workspace.mount.map(|mount| mount.text))
    }

    #[test]
    fn files_lie_where_tools_look_for_them() {
        let usual = "type=bind,\"source=/src/a,b\",\"target=/workspaces/a,b\"";
        assert_eq!(found(r#"{"image": "x"}"#, &TOP), ("/workspaces/a,b".into(), Some(usual.into())));
        let below = LocalFolders { opened: "/src/a,b/c/d", ..TOP };
        assert_eq!(found(r#"{"image": "x"}"#, &below).0, "/workspaces/a,b/c/d");
    }

    #[test]
    fn the_configuration_has_its_own_way() {
        let text = r#"{"image": "x", "workspaceFolder": "/w/sub", "workspaceMount": "type=bind,source=/s,target=/w"}"#;
        assert_eq!(found(text, &TOP), ("/w/sub".into(), Some("type=bind,source=/s,target=/w".into())));
        let text = r#"{"image": "x", "workspaceFolder": "/w", "workspaceMount": ""}"#;
        assert_eq!(found(text, &TOP), ("/w".into(), None));
    }

    #[test]
    fn compose_brings_the_files_itself() {
        let text = r#"{"dockerComposeFile": "c", "service": "s"}"#;
        assert_eq!(found(text, &TOP), ("/".into(), None));
        let text = r#"{"dockerComposeFile": "c", "service": "s", "workspaceFolder": "/code"}"#;
        assert_eq!(found(text, &TOP), ("/code".into(), None));
    }
}
