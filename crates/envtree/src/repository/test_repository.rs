//! Real repositories for tests, made by the `git` program and independent of the user's configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Repository;

/// A folder with a repository in it, deleted at the end.
pub(crate) struct TestRepository {
    folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl TestRepository {
    /// A repository `shop` with one commit on `main`.
    pub(crate) fn new() -> Self {
        let repository = Self::without_commit();
        repository.write("readme.md", "shop\n");
        repository.commit("Begin");
        repository
    }

    pub(crate) fn without_commit() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("shop");
        git_in(folder.path(), &["init", "-q", "-b", "main", "shop"]);
        Self { folder, path }
    }

    /// A second folder beside the repository's.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn open(&self) -> Repository {
        Repository::discover(&self.path).unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.path, arguments)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write_in(&self.path, path, text);
    }

    pub(crate) fn commit(&self, subject: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
    }

    /// Makes a bare clone of the repository and registers it as its remote `name`, fetched.
    pub(crate) fn remote(&self, name: &str) -> PathBuf {
        let path = self.beside(&format!("{name}.git"));
        git_in(self.folder.path(), &["clone", "-q", "--bare", "shop", &format!("{name}.git")]);
        self.git(&["remote", "add", name, path.to_str().unwrap()]);
        self.git(&["fetch", "-q", name]);
        path
    }
}

pub(crate) fn write_in(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub(crate) fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=Tester",
            "-c",
            "user.email=tester@example.com",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?} in {}: {stderr}", folder.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
