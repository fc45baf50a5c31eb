//! Which paths of a repository a dev container sees, and which of them it may write to.
//!
//! The worktree lies at the path where tools look for it and at its own; the common git directory lies at its own, and
//! wherever a relative `.git` file leads. So what git writes down inside is right outside, and the other way round.
//! A read-only mount is always one of a folder or of a file whose folder is a mount too, because a file that the host
//! replaces loses its mount: under [`Protection::Strict`] what is not allowed is read-only by the mount above it. Folders
//! that lead to a read-only path are mounts too, because a folder with a mount in it can be moved, and replaced.
//!
//! What a container may write to anywhere is what the host's git must not trust: the index, `logs`, `refs` and the
//! files of the worktree, of which any can become a symlink or a repository of its own.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::path::lies_in;
use build::Builder;
pub use environment::{SYSTEM_CONFIG, SystemConfig};

mod build;
mod check;
mod environment;

/// How far a dev container is kept from the repository that its worktree belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// The common git directory is read-only but for what a commit, a branch or a fetch needs.
    Strict,
    /// The common git directory is writable but for what harms siblings by accident. It is no boundary.
    Guarded,
    /// The common git directory is read-only.
    ReadOnly,
    /// Nothing is mounted for git.
    Off,
}

impl Protection {
    /// Returns the word of the setting `git`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Guarded => "guarded",
            Self::ReadOnly => "readonly",
            Self::Off => "off",
        }
    }
}

/// How a repository stores its refs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefFormat {
    /// As files below `refs`.
    #[default]
    Files,
    /// As tables below `reftable`.
    Reftable,
}

/// What is known of a worktree and its repository. All paths are absolute, clean, and of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repository {
    /// The worktree.
    pub worktree: String,
    /// The common git directory.
    pub common_dir: String,
    /// The worktree's own folder in it; nothing for a worktree that is not linked.
    pub admin_dir: Option<String>,
    /// The path that the worktree's `.git` file names, as it is written; nothing where `.git` is a folder.
    pub git_file: Option<String>,
    /// The files and folders directly in the common git directory.
    pub entries: BTreeSet<String>,
    /// How refs are stored.
    pub ref_format: RefFormat,
    /// The submodules of the worktree that are initialised.
    pub submodules: Vec<Submodule>,
    /// The folders of objects that the repository borrows from, and those that they borrow from.
    pub alternates: Vec<String>,
}

/// A submodule that is initialised.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submodule {
    /// Its folder in the worktree.
    pub worktree: String,
    /// Its git directory.
    pub git_dir: String,
    /// The files and folders directly in its git directory.
    pub entries: BTreeSet<String>,
}

impl Submodule {
    /// Returns whether its git directory lies elsewhere, so that its `.git` is a file.
    fn is_separate(&self) -> bool {
        self.git_dir != self.git_file()
    }

    /// Returns the path of its `.git`.
    fn git_file(&self) -> String {
        format!("{}/.git", self.worktree)
    }
}

/// What the person and the machine want of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewOptions {
    /// How far the container is kept away.
    pub protection: Protection,
    /// Whether the git directories of submodules are writable: commits inside them need it, and their configuration is
    /// then the container's to write.
    pub writable_submodules: bool,
    /// Where the worktree lies in the container besides its own path: where tools look for it.
    pub alias: Option<String>,
    /// The folder of the host that stands in for `hooks`, the container's own; absent to leave `hooks` as it is.
    pub hooks: Option<String>,
    /// The file of the host with the text of [`SystemConfig`]; absent if there is none.
    pub system_config: Option<String>,
    /// Whether the files have another owner inside than outside, so that git must not compare owners.
    pub owners_differ: bool,
}

/// What a container has besides: by its configuration and by its image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// What the configuration mounts, without the mount of the worktree at its alias.
    pub mounts: Vec<OtherMount>,
    /// The variables that the configuration sets.
    pub environment: IndexMap<String, String>,
    /// Folders of the image that must not be hidden, such as the homes of its users.
    pub image_folders: Vec<String>,
}

/// A mount that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherMount {
    /// The path in the container.
    pub target: String,
    /// The path on the host; nothing if none is mounted.
    pub source: Option<String>,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// A path of the host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// The path on the host.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// Something that must be there before anything is mounted on it. Making it changes nothing for git.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preparation {
    /// An empty folder.
    Folder(String),
    /// An empty file.
    EmptyFile(String),
}

/// What a container is given so that git works in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitView {
    /// The mounts, each after those that it lies in.
    pub mounts: Vec<BindMount>,
    /// What is made first where it is missing.
    pub preparations: Vec<Preparation>,
    /// Variables, in place of what the configuration says of the same ones.
    pub environment: IndexMap<String, String>,
}

impl GitView {
    /// Returns the mount that shows a path of the container, if one of these does.
    pub fn mount_of(&self, path: &str) -> Option<&BindMount> {
        self.mounts.iter().rev().find(|mount| lies_in(path, &mount.target))
    }
}

/// A container cannot be given what it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Only a linked worktree has files of its own that can be told from those of the others.
    #[error("`git: strict` needs a linked worktree, and `{0}` is none")]
    NotLinked(String),
    /// A path would hide what the container's system needs.
    #[error("`{target}` cannot be mounted, for it would hide `{hidden}` of the container")]
    Hides {
        /// The path in the container.
        target: String,
        /// What it would hide.
        hidden: String,
    },
    /// The configuration mounts something at or below a path that git needs.
    #[error("the mount at `{other}` collides with `{target}`, which git needs")]
    Collides {
        /// The path in the container that git needs.
        target: String,
        /// The target of the configuration's mount.
        other: String,
    },
    /// A path would be made on the host, for it lies in something that is mounted and does not have it.
    #[error("`{target}` would be made within `{source_folder}` on the host, which is mounted at `{folder}`")]
    MadeOnHost {
        /// The path in the container.
        target: String,
        /// The mount that it lies in.
        folder: String,
        /// What is mounted there.
        source_folder: String,
    },
    /// The configuration shows a protected path at another place.
    #[error("the mount of `{source_path}` at `{target}` would let the container write to `{protected}`")]
    Exposes {
        /// The path on the host that is mounted.
        source_path: String,
        /// The path in the container.
        target: String,
        /// What must not be written to.
        protected: String,
    },
    /// The number of git's settings in the environment cannot be read.
    #[error("`GIT_CONFIG_COUNT` must be a number, not `{0}`")]
    ConfigCount(String),
    /// A path that is not absolute, or not clean.
    #[error("`{0}` is no absolute path without `..`")]
    Path(String),
}

/// Returns what a container is given of a repository.
///
/// Fails closed: a mount that cannot be made as it must be is an error, and never left out.
pub fn git_view(
    repository: &Repository,
    options: &ViewOptions,
    surroundings: &Surroundings,
) -> Result<GitView, Vec<ViewError>> {
    if options.protection == Protection::Off {
        return Ok(GitView::default());
    }
    check::paths(repository, options)?;
    let built = Builder::new(repository, options).build()?;
    let mut faults = check::mounts(&built, repository, options, surroundings);
    let environment = environment::variables(options, &surroundings.environment);
    match environment {
        Ok(environment) if faults.is_empty() => Ok(GitView {
            mounts: built.mounts.into_iter().map(|planned| planned.mount).collect(),
            preparations: built.preparations,
            environment,
        }),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

#[cfg(test)]
mod tests;
