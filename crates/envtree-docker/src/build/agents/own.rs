//! An agent that holds one key for the time of a build.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

/// `ssh-agent` with one key; it ends, and its socket goes, when it is dropped.
#[derive(Debug)]
pub(super) struct OwnAgent {
    folder: PathBuf,
    _child: Child,
}

pub(super) fn is_socket(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

impl OwnAgent {
    /// Starts an agent with the private key at `path`. A key with a passphrase is refused: nobody could type it.
    pub(super) async fn start(path: &str) -> Result<Self, String> {
        fs::metadata(path).map_err(|error| format!("the key `{path}` cannot be read: {error}"))?;
        let folder =
            private_folder().map_err(|error| format!("cannot make a folder for an agent: {error}"))?;
        let started = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(folder.join("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = started.map_err(|error| {
            let _ = fs::remove_dir_all(&folder);
            format!("cannot start `ssh-agent`: {error}")
        })?;
        let agent = Self { folder, _child: child };
        agent.add(path).await?;
        Ok(agent)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("agent")
    }

    async fn add(&self, path: &str) -> Result<(), String> {
        let mut tries = 0;
        // The agent takes a moment to make its socket.
        while !self.socket().exists() && tries < 250 {
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(Path::new(path))
            .env("SSH_AUTH_SOCK", self.socket())
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| format!("cannot start `ssh-add`: {error}"))?;
        if added.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&added.stderr);
        Err(format!("`ssh-add` cannot take the key `{path}`: {}", said.trim()))
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        // What cannot be removed is an empty socket in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn private_folder() -> io::Result<PathBuf> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let name = format!("envtree-agent-{}", envtree_core::config_hash::hex(&bytes));
    let folder = std::env::temp_dir().join(name);
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}
