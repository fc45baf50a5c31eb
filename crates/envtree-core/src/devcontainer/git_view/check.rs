//! Finds what stands against the mounts: what they would hide, and what would get round them.

use super::build::{Built, Planned};
use super::{OtherMount, Protection, Repository, Surroundings, ViewError, ViewOptions};
use crate::devcontainer::path::{cleaned, lies_in};

/// Folders that no container can do without, though it can do with something mounted in them.
const NEEDED: [&str; 29] = [
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/etc/ssl",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/run",
];
/// Folders in which nothing is mounted: the kernel's, and envtree's own.
const CLOSED: [&str; 4] = ["/dev", "/envtree", "/proc", "/sys"];

/// Fails for a path that is not absolute and clean.
pub(super) fn paths(repository: &Repository, options: &ViewOptions) -> Result<(), Vec<ViewError>> {
    let submodules =
        repository.submodules.iter().flat_map(|submodule| [&submodule.worktree, &submodule.git_dir]);
    let all = [&repository.worktree, &repository.common_dir].into_iter();
    let all = all.chain(&repository.admin_dir).chain(&repository.alternates).chain(submodules);
    let all = all.chain(&options.alias).chain(&options.hooks).chain(&options.system_config);
    let unfit = all.filter(|path| cleaned(path).as_deref() != Some(path.as_str()));
    let faults: Vec<_> = unfit.map(|path| ViewError::Path(path.clone())).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns what stands against the mounts.
pub(super) fn mounts(
    built: &Built,
    repository: &Repository,
    options: &ViewOptions,
    surroundings: &Surroundings,
) -> Vec<ViewError> {
    let mut faults = Vec::new();
    for (index, planned) in built.mounts.iter().enumerate() {
        faults.extend(hidden(planned, &surroundings.image_folders));
        faults.extend(made_on_host(planned, &built.mounts[..index]));
        let is_of_git = is_of_git(planned, repository);
        let others = surroundings.mounts.iter();
        faults.extend(others.filter_map(|other| collision(planned, is_of_git, other)));
    }
    if matches!(options.protection, Protection::Strict | Protection::ReadOnly) {
        faults.extend(surroundings.mounts.iter().filter_map(|other| exposed(other, repository)));
    }
    faults
}

fn hidden(planned: &Planned, image_folders: &[String]) -> Option<ViewError> {
    let target = &planned.mount.target;
    // A file of envtree's own has its place in a folder that is closed to all else.
    let closed = CLOSED.iter().copied().find(|folder| planned.covers.is_some() && lies_in(target, folder));
    let needed = NEEDED.iter().copied().find(|folder| folder == target);
    let of_image = image_folders.iter().map(String::as_str).find(|folder| lies_in(folder, target));
    let hidden = closed.or(needed).or(of_image)?;
    Some(ViewError::Hides { target: target.clone(), hidden: hidden.to_owned() })
}

/// Returns a fault if the mount lies in an earlier one that does not have its path.
fn made_on_host(planned: &Planned, earlier: &[Planned]) -> Option<ViewError> {
    let target = &planned.mount.target;
    let parent = earlier.iter().rev().find(|parent| lies_in(target, &parent.mount.target))?;
    if parent.mount.target == *target {
        // Two different mounts of one path: only one of them would be seen.
        return Some(ViewError::Collides { target: target.clone(), other: parent.mount.target.clone() });
    }
    let seen = format!("{}{}", parent.mount.source, &target[parent.mount.target.len()..]);
    let is_there = planned.covers.as_ref() == Some(&seen);
    (!is_there).then(|| ViewError::MadeOnHost {
        target: target.clone(),
        folder: parent.mount.target.clone(),
        source_folder: parent.mount.source.clone(),
    })
}

/// Returns whether a mount is git's own, rather than one of the worktree's files, into which anything may be mounted.
fn is_of_git(planned: &Planned, repository: &Repository) -> bool {
    let Some(path) = planned.covers.as_ref().filter(|_| !planned.mount.read_only) else { return true };
    let (worktree, common_dir) = (&repository.worktree, &repository.common_dir);
    let is_in_common_dir = lies_in(path, common_dir) && lies_in(common_dir, worktree);
    let mut git_dirs = repository.submodules.iter().map(|submodule| &submodule.git_dir);
    !lies_in(path, worktree) || is_in_common_dir || git_dirs.any(|git_dir| lies_in(path, git_dir))
}

fn collision(planned: &Planned, is_of_git: bool, other: &OtherMount) -> Option<ViewError> {
    let target = &planned.mount.target;
    let collides = *target == other.target || (lies_in(&other.target, target) && is_of_git);
    if collides {
        return Some(ViewError::Collides { target: target.clone(), other: other.target.clone() });
    }
    let source = other.source.as_ref().filter(|_| lies_in(target, &other.target))?;
    let seen = format!("{source}{}", &target[other.target.len()..]);
    (planned.covers.as_ref() != Some(&seen)).then(|| ViewError::MadeOnHost {
        target: target.clone(),
        folder: other.target.clone(),
        source_folder: source.clone(),
    })
}

/// Returns a fault if a mount of the configuration shows what is protected at a path where it is not.
fn exposed(other: &OtherMount, repository: &Repository) -> Option<ViewError> {
    let source = other.source.as_ref().filter(|_| !other.read_only)?;
    let git_file = repository.git_file.as_ref().map(|_| format!("{}/.git", repository.worktree));
    let mut protected = git_file.into_iter().chain([repository.common_dir.clone()]);
    let protected = protected.find(|path| lies_in(path, source) || lies_in(source, path))?;
    Some(ViewError::Exposes { source_path: source.clone(), target: other.target.clone(), protected })
}
