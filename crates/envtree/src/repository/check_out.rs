//! Writes the files of a new worktree with all processors, where nothing asks for what only git does.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::bstr::ByteSlice;
use gix::index::entry::Mode;
use gix::progress::Discard;
use gix::worktree::stack::state::attributes::Source;

use super::{CHECKOUT_IN_PROGRESS, CommitId, Repository};

/// What only git does with a file when it writes it: drivers of people's own, other encodings, `$Id$`.
const GITS_OWN_ATTRIBUTES: [&[u8]; 3] = [b"filter", b"working-tree-encoding", b"ident"];

/// Configuration that bears on a checkout and that gix does not follow.
const GITS_OWN_KEYS: [&str; 7] = [
    "attr.tree",
    "checkout.workers",
    "core.attributesFile",
    "core.hooksPath",
    "core.sharedRepository",
    "core.sparseCheckout",
    "extensions.worktreeConfig",
];

/// The same in the environment.
const GITS_OWN_VARIABLES: [&str; 3] = ["GIT_ATTR_SOURCE", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"];

/// The longest line of attributes that git reads, in bytes.
const ATTRIBUTES_LINE: usize = 2048;

/// The largest file, in bytes, that is written from memory; git writes larger ones piece by piece.
const IN_MEMORY: u64 = 4 << 20;

impl Repository {
    /// Returns whether [`Self::check_out`] may do what git would, as far as the configuration tells.
    ///
    /// It may not where a hook is to be run, files are left out or fetched late, attributes come from outside the
    /// tree, or the repository is not trusted.
    pub(crate) fn may_check_out(&self) -> bool {
        let local = self.local();
        let configuration = local.config_snapshot();
        let exists = |path: &str| self.common_dir.join(path).exists();
        local.git_dir_trust() == gix::sec::Trust::Full
            && GITS_OWN_KEYS.iter().all(|key| configuration.string(*key).is_none())
            && GITS_OWN_VARIABLES.iter().all(|name| std::env::var_os(name).is_none())
            && configuration.plumbing().sections_by_name("hook").is_none()
            && !exists("hooks/post-checkout")
            && !exists("info/attributes")
            && !attributes_of_the_machine().iter().any(|path| path.exists())
            && !self.is_partial(&local)
    }

    /// Writes the files of `HEAD` into a worktree that has none, and then its index.
    ///
    /// Returns whether it did. Where it did not there is no index, and some of the files: git must write all of them,
    /// and says what is in the way.
    pub(crate) fn check_out(&self, worktree: &Path) -> bool {
        let written = self.open_worktree(worktree).ok().and_then(|local| write(&local, worktree));
        written.is_some()
    }

    /// Returns the commit whose files a checkout has not written yet that was begun in `worktree`, or that was cut off.
    pub(crate) fn unfinished_checkout(&self, worktree: &Path) -> Option<CommitId> {
        let link = std::fs::read_to_string(worktree.join(".git")).ok()?;
        let git_dir = worktree.join(link.strip_prefix("gitdir:")?.trim());
        let reason = std::fs::read_to_string(git_dir.join("locked")).ok()?;
        if reason.trim_end() != CHECKOUT_IN_PROGRESS || git_dir.join("index").exists() {
            return None;
        }
        let local = self.open_worktree(worktree).ok()?;
        Some(CommitId(local.head_id().ok()?.detach()))
    }
}

/// Returns where git looks for the attributes of a person and of a machine.
fn attributes_of_the_machine() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME").map(|home| home.join(".config"));
    let own = variable("XDG_CONFIG_HOME").or(home).map(|folder| folder.join("git/attributes"));
    own.into_iter().chain([PathBuf::from("/etc/gitattributes")]).collect()
}

fn write(local: &gix::Repository, worktree: &Path) -> Option<()> {
    let tree = local.head_tree_id().ok()?;
    let mut index = local.index_from_tree(&tree).ok()?;
    if asks_for_git(local, &index) {
        return None;
    }
    let mut options = local.checkout_options(Source::IdMapping).ok()?;
    options.destination_is_initially_empty = true;
    // Git makes programs executable whatever `core.fileMode` says, which is about reading modes.
    options.fs.executable_bit = cfg!(unix);
    let objects = local.objects.clone().into_arc().ok()?;
    let is_interrupted = AtomicBool::new(false);
    let outcome = gix::worktree::state::checkout(
        &mut index,
        worktree,
        objects,
        &Discard,
        &Discard,
        &is_interrupted,
        options,
    )
    .ok()?;
    // Two files collide where the file system does not tell their names apart.
    if !outcome.errors.is_empty() || !outcome.collisions.is_empty() {
        return None;
    }
    index.write(gix::index::write::Options::default()).ok()
}

/// Returns whether the tree holds what only git checks out: submodules, large files, and attributes of its own.
fn asks_for_git(local: &gix::Repository, index: &gix::index::File) -> bool {
    index.entries().iter().any(|entry| {
        let path = entry.path(index);
        let name = path.rsplit_once_str("/").map_or(path.as_bytes(), |(_, name)| name);
        entry.mode == Mode::COMMIT
            || local.find_header(entry.id).is_ok_and(|header| header.size() > IN_MEMORY)
            || name == b".gitattributes"
                && local.find_object(entry.id).is_ok_and(|file| are_gits_own(&file.data))
    })
}

/// Returns whether git alone reads a file of attributes as git does, or does what it says.
fn are_gits_own(attributes: &[u8]) -> bool {
    attributes.starts_with(b"\xef\xbb\xbf")
        || attributes.lines().any(|line| line.len() >= ATTRIBUTES_LINE)
        || GITS_OWN_ATTRIBUTES.iter().any(|word| attributes.contains_str(word))
}

#[cfg(test)]
mod tests {
    use super::super::test_repository::{TestRepository, git_in};
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Returns a new worktree without files.
    fn empty_worktree(shop: &TestRepository) -> PathBuf {
        let path = shop.beside("empty");
        shop.git(&["worktree", "add", "-q", "--no-checkout", "-b", "empty", path.to_str().unwrap()]);
        path
    }

    /// Returns every file below a folder, with its mode and its content, or its target.
    fn files(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            for entry in
                std::fs::read_dir(at).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != ".git")
            {
                let (path, metadata) = (entry.path(), entry.path().symlink_metadata().unwrap());
                let content = match metadata.file_type() {
                    kind if kind.is_dir() => {
                        folders.push(path);
                        continue;
                    }
                    kind if kind.is_symlink() => {
                        std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                    }
                    _ => std::fs::read(&path).unwrap(),
                };
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.push((name, metadata.permissions().mode(), content));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_files_and_the_index_are_what_git_makes() {
        for autocrlf in ["false", "input", "true"] {
            let shop = TestRepository::new();
            shop.write(".gitattributes", "* text=auto\n*.bat text eol=crlf\n*.sh text eol=lf\n*.bin -text\n");
            shop.write("deep/er/größe und mehr.txt", "one\ntwo\n");
            shop.write("deep/.gitattributes", "*.txt -text\n");
            shop.write("run.bat", "echo\r\n");
            shop.write("run.sh", "#!/bin/sh\n");
            shop.write("data.bin", "a\r\nb\n\0");
            shop.write("empty", "");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(shop.path.join("run.sh"), executable).unwrap();
            symlink("deep/er", shop.path.join("link")).unwrap();
            shop.commit("Add files");
            shop.git(&["config", "core.autocrlf", autocrlf]);
            shop.git(&["config", "core.fileMode", if autocrlf == "true" { "false" } else { "true" }]);
            let by_git = shop.beside("by-git");
            shop.git(&["worktree", "add", "-q", "-b", "by-git", by_git.to_str().unwrap()]);
            let path = empty_worktree(&shop);
            let repository = shop.open();
            assert!(repository.may_check_out() && repository.check_out(&path), "{autocrlf}");
            assert_eq!(files(&path), files(&by_git), "{autocrlf}");
            let index = |path: &Path| git_in(path, &["ls-files", "--stage"]);
            assert_eq!(index(&path), index(&by_git), "{autocrlf}");
            // Without a look at the content: the index knows the files as they are.
            assert_eq!(git_in(&path, &["diff-files"]), "", "{autocrlf}");
            assert_eq!(git_in(&path, &["status", "--porcelain"]), "", "{autocrlf}");
        }
    }

    #[test]
    fn a_checkout_is_unfinished_until_its_index_is_written() {
        let shop = TestRepository::new();
        let path = empty_worktree(&shop);
        let repository = shop.open();
        assert_eq!(repository.unfinished_checkout(&path), None);
        shop.git(&["worktree", "lock", "--reason", CHECKOUT_IN_PROGRESS, path.to_str().unwrap()]);
        assert_eq!(repository.unfinished_checkout(&path), Some(repository.base(None).unwrap().commit));
        assert!(repository.check_out(&path));
        assert_eq!(repository.unfinished_checkout(&path), None);
        assert_eq!(repository.unfinished_checkout(&shop.path), None);
    }

    #[test]
    fn what_only_git_does_is_left_to_git() {
        type Arrange = fn(&TestRepository);
        let arrangements: [(&str, Arrange); 8] = [
            ("attributes of a commit", |shop| drop(shop.git(&["config", "attr.tree", "HEAD"]))),
            ("processes", |shop| drop(shop.git(&["config", "checkout.workers", "1"]))),
            ("hook", |shop| shop.write(".git/hooks/post-checkout", "#!/bin/sh\n")),
            ("hooks elsewhere", |shop| drop(shop.git(&["config", "core.hooksPath", ".husky"]))),
            ("sparse", |shop| drop(shop.git(&["sparse-checkout", "set", "web"]))),
            ("attributes of the machine's", |shop| shop.write(".git/info/attributes", "* -text\n")),
            ("shared", |shop| drop(shop.git(&["config", "core.sharedRepository", "group"]))),
            ("partial clone", |shop| drop(shop.git(&["config", "extensions.partialClone", "origin"]))),
        ];
        for (what, arrange) in arrangements {
            let shop = TestRepository::new();
            assert!(shop.open().may_check_out(), "{what}");
            arrange(&shop);
            assert!(!shop.open().may_check_out(), "{what}");
        }
    }

    #[test]
    fn what_the_tree_asks_of_git_alone_is_left_to_git() {
        let long = format!("{} -text", "x".repeat(ATTRIBUTES_LINE));
        for attributes in
            ["*.bin filter=lfs", "*.txt working-tree-encoding=UTF-16", "*.c ident", "\u{feff}* text", &long]
        {
            let shop = TestRepository::new();
            shop.write("deep/.gitattributes", attributes);
            shop.commit("Add attributes");
            let path = empty_worktree(&shop);
            assert!(!shop.open().check_out(&path), "{attributes}");
            assert_eq!(files(&path), [], "{attributes}");
        }
        let shop = TestRepository::new();
        shop.write("large", &"x".repeat(5 << 20));
        shop.commit("Add a large file");
        assert!(!shop.open().check_out(&empty_worktree(&shop)));
        let shop = TestRepository::new();
        let library = TestRepository::new();
        shop.git(&["submodule", "--quiet", "add", library.path.to_str().unwrap(), "library"]);
        shop.commit("Add a submodule");
        assert!(!shop.open().check_out(&empty_worktree(&shop)));
    }
}
