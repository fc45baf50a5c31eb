//! Keeps the variables of an environment in a managed block of an env file.
//!
//! Everything outside the block belongs to the user and is kept byte for byte. A file is replaced as a whole and
//! only if it changes. Calls block, so async callers wrap them in `spawn_blocking`.

mod block;
mod render;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use envtree_core::compose_file::node::Diagnostic;
use indexmap::IndexMap;

pub use block::MarkerFault;
pub use render::{is_name, render_dotenv, render_shell};

use crate::load::not_utf8;
use crate::repository::{Repository, RepositoryError};

/// How many symlinks are followed one after the other: as many as Linux follows.
const SYMLINK_LIMIT: usize = 40;

/// An env file that could not be read or written. It is then as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvFileError {
    /// The lines that mark the block are not a pair.
    #[error("{}:{line}:1: {fault}", path.display())]
    Markers {
        /// The file.
        path: PathBuf,
        /// The line of the faulty marker, from 1.
        line: usize,
        /// What is wrong.
        fault: MarkerFault,
    },
    /// The file cannot hold a variable of this name.
    #[error("`{name}` cannot be the name of a variable")]
    Name {
        /// The name.
        name: String,
    },
    /// The file is not UTF-8.
    #[error("{0}")]
    NotText(Diagnostic),
    /// It is a directory, a pipe or the like.
    #[error("env file `{}` is not a regular file", path.display())]
    NotAFile {
        /// What was taken for a file.
        path: PathBuf,
    },
    /// The folder of the file belongs to somebody else.
    #[error("cannot write env file `{}`: its folder is not writable for this user", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// The path cannot be written as a line of `info/exclude`.
    #[error("`{}` cannot be excluded by git: it is outside the worktree or has a line break", path.display())]
    NotExcludable {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be read, written or deleted.
    #[error("cannot {act} `{}`", path.display())]
    File {
        /// `read`, `replace` and the like.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Git could not be asked about the file.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Makes `variables` the content of the managed block of the file at `path`, and returns whether that changed the
/// file.
///
/// A block that is there is replaced in its place, a new one goes to the end, where it wins over earlier lines.
/// A new file can be read by its owner alone, for it holds passwords; an existing one keeps its mode. A symlink
/// is followed.
///
/// The new text is put together in `staging`, a folder of git's own, where a command that is killed leaves nothing that
/// git would show; next to the file if they are not on one file system.
pub fn write_block(
    path: &Path,
    variables: &IndexMap<String, String>,
    staging: Option<&Path>,
) -> Result<bool, EnvFileError> {
    if let Some(name) = variables.keys().find(|name| !is_name(name)) {
        return Err(EnvFileError::Name { name: name.clone() });
    }
    let target = follow(path)?;
    let old = read(&target)?;
    let text = old.as_deref().unwrap_or_default();
    let block = locate(&target, text)?;
    let new = block::replace(text, block, &render_dotenv(variables));
    if old.as_ref() == Some(&new) {
        return Ok(false);
    }
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed("create", folder))?;
    }
    replace_file(&target, &new, staging)?;
    Ok(true)
}

/// Returns whether writing `path`, which lies in `worktree`, would lead out of it or into git's own folder by a symlink:
/// of the file, or of a folder above it.
pub fn leads_out(worktree: &Path, path: &Path) -> bool {
    let Ok(top) = worktree.canonicalize() else { return false };
    let Some(real) = real_path(path) else { return true };
    let is_git = |part: Component<'_>| part.as_os_str().eq_ignore_ascii_case(".git");
    !real.strip_prefix(&top).is_ok_and(|inside| !inside.components().any(is_git))
}

/// Returns the path without symlinks at which `path` would be written, whether or not it exists; none if that cannot be
/// told.
fn real_path(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..SYMLINK_LIMIT {
        let there = path.ancestors().find(|part| part.symlink_metadata().is_ok())?;
        let missing = path.strip_prefix(there).ok()?;
        // What `..` stands for below a folder that does not exist yet is not known.
        if missing.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        if let Ok(real) = there.canonicalize() {
            return Some(real.components().chain(missing.components()).collect());
        }
        // A dangling symlink would be written through, too.
        let target = there.parent()?.join(std::fs::read_link(there).ok()?);
        path = target.components().chain(missing.components()).collect();
    }
    None
}

/// Takes the managed block out of the file at `path`, and returns whether there was one.
///
/// A file in which there was nothing else is deleted; one behind a symlink is left empty. `staging` is as in
/// [`write_block`].
pub fn remove_block(path: &Path, staging: Option<&Path>) -> Result<bool, EnvFileError> {
    let target = follow(path)?;
    let Some(text) = read(&target)? else {
        return Ok(false);
    };
    let Some(block) = locate(&target, &text)? else {
        return Ok(false);
    };
    let rest = format!("{}{}", &text[..block.start], &text[block.end..]);
    if rest.is_empty() && target == path {
        std::fs::remove_file(path).map_err(failed("delete", path))?;
    } else {
        replace_file(&target, &rest, staging)?;
    }
    Ok(true)
}

/// Returns the text of an env file without its managed block. A text with faulty markers is returned whole.
pub fn outside_block(text: &str) -> Cow<'_, str> {
    match block::locate(text) {
        Ok(Some(block)) if block.end == text.len() => Cow::Borrowed(&text[..block.start]),
        Ok(Some(block)) => Cow::Owned(format!("{}{}", &text[..block.start], &text[block.end..])),
        Ok(None) | Err(_) => Cow::Borrowed(text),
    }
}

/// Makes git leave `file` alone, which is absolute or relative to the top of `worktree`: if it is neither tracked
/// nor ignored, a line is added to `info/exclude`, which all worktrees share. Returns whether that was so.
pub fn exclude(repository: &Repository, worktree: &Path, file: &Path) -> Result<bool, EnvFileError> {
    let relative = file.strip_prefix(worktree).unwrap_or(file);
    if repository.is_tracked(worktree, relative)? || repository.is_ignored(worktree, relative)? {
        return Ok(false);
    }
    let pattern =
        pattern_of(relative).ok_or_else(|| EnvFileError::NotExcludable { path: file.to_owned() })?;
    let info = repository.common_dir().join("info");
    std::fs::create_dir_all(&info).map_err(failed("create", &info))?;
    let path = info.join("exclude");
    let text = match std::fs::read(&path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        text => text.map_err(failed("read", &path))?,
    };
    // A `.gitignore` that says otherwise outweighs the line, which then is there and without effect.
    if text.split(|byte| *byte == b'\n').any(|line| line == pattern.as_bytes()) {
        return Ok(false);
    }
    let open_line = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    // Appended in one piece, so that two environments that are made at once do not lose each other's line.
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create(true).append(true).open(&path);
    opened
        .and_then(|mut exclude| exclude.write_all(format!("{open_line}{pattern}\n").as_bytes()))
        .map_err(failed("write", &path))?;
    Ok(true)
}

/// Returns the pattern that matches this path and no other.
fn pattern_of(path: &Path) -> Option<String> {
    let mut pattern = String::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => {
                pattern.push('/');
                for character in name.to_str()?.chars() {
                    match character {
                        '\n' | '\r' => return None,
                        '*' | '?' | '[' | '\\' | ' ' => pattern.extend(['\\', character]),
                        _ => pattern.push(character),
                    }
                }
            }
            _ => return None,
        }
    }
    Some(pattern).filter(|pattern| !pattern.is_empty())
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EnvFileError {
    let path = path.to_owned();
    move |source| EnvFileError::File { act, path, source }
}

fn locate(path: &Path, text: &str) -> Result<Option<std::ops::Range<usize>>, EnvFileError> {
    block::locate(text).map_err(|(line, fault)| EnvFileError::Markers { path: path.to_owned(), line, fault })
}

/// Returns what `path` stands for, which may not exist yet: a symlink is kept and its target is written.
fn follow(path: &Path) -> Result<PathBuf, EnvFileError> {
    let mut target = path.to_owned();
    for _ in 0..SYMLINK_LIMIT {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(failed("follow", path)(io::Error::other("too many symlinks, one after the other")))
}

/// Returns the text of the file; none if it does not exist.
fn read(path: &Path) -> Result<Option<String>, EnvFileError> {
    match path.metadata() {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path)(source)),
        // A pipe, as password managers put in the place of a file, would be waited for.
        Ok(metadata) if !metadata.is_file() => {
            return Err(EnvFileError::NotAFile { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(failed("read", path))?;
    let not_text = |error| EnvFileError::NotText(not_utf8(&path.to_string_lossy(), &error));
    String::from_utf8(bytes).map(Some).map_err(not_text)
}

/// Puts a file with `text` in the place of `path`, durably; whoever reads sees the old or the new text.
fn replace_file(path: &Path, text: &str, staging: Option<&Path>) -> Result<(), EnvFileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replaced = match staging {
        Some(staging) => replace_from(staging, path, text).or_else(|_| replace_from(folder, path, text)),
        None => replace_from(folder, path, text),
    };
    replaced.map_err(failed("replace", path))?;
    // Not every file system can do this to a directory; the content is safe already.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Writes a new file in `folder` and moves it to `path`.
fn replace_from(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    // Readable by its owner alone from the first instant.
    let mut file = tempfile::Builder::new().prefix(".envtree-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = path.metadata() {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::repository::test_repository::TestRepository;

    fn variables(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_goes_with_its_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env.local");
        assert!(write_block(&path, &variables(&[("PORT", "20001"), ("TEXT", "a b")]), None).unwrap());
        insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap(), @"
        # >>> envtree >>>
        # Managed by envtree: what stands between these two lines is replaced.
        PORT=20001
        TEXT='a b'
        # <<< envtree <<<
        ");
        assert_eq!(mode(&path), 0o600);
        assert!(remove_block(&path, None).unwrap());
        assert!(!path.exists() && !remove_block(&path, None).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unchanged_block_leaves_the_file_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        write_block(&path, &variables(&[("A", "1")]), None).unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(&path).unwrap().set_modified(past).unwrap();
        assert!(!write_block(&path, &variables(&[("A", "1")]), None).unwrap());
        assert_eq!(path.metadata().unwrap().modified().unwrap(), past);
        assert!(write_block(&path, &variables(&[("A", "2")]), None).unwrap());
    }

    #[test]
    fn foreign_lines_and_the_mode_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let foreign = "# mine\r\nB=2\r\n\r\nA='x'";
        std::fs::write(&path, foreign).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        write_block(&path, &variables(&[("A", "1")]), None).unwrap();
        write_block(&path, &variables(&[("A", "1"), ("C", "3")]), None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(foreign) && text.contains("\r\nC=3\r\n"), "{text:?}");
        let kept = format!("{foreign}\r\n");
        assert_eq!((outside_block(&text).as_ref(), mode(&path)), (kept.as_str(), 0o640));
        assert!(remove_block(&path, None).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
    }

    #[test]
    fn folders_are_made_and_symlinks_out_of_the_worktree_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let (top, outside) = (folder.path().join("top"), folder.path().join("outside"));
        std::fs::create_dir_all(&top).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        write_block(&top.join("conf/.env"), &variables(&[("A", "1")]), None).unwrap();
        symlink(&outside, top.join("away")).unwrap();
        symlink(outside.join("missing"), top.join(".env.dangling")).unwrap();
        symlink("conf/.env", top.join(".env.inside")).unwrap();
        assert!(leads_out(&top, &top.join("away/.env")));
        assert!(leads_out(&top, &top.join(".env.dangling")));
        assert!(!leads_out(&top, &top.join(".env.inside")));
        assert!(!leads_out(&top, &top.join("new/.env")));
    }

    #[test]
    fn a_dangling_symlink_is_judged_by_where_it_would_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        std::fs::create_dir_all(top.join(".git")).unwrap();
        let leads = |name: &str, target: &str| {
            symlink(target, top.join(name)).unwrap();
            leads_out(&top, &top.join(name))
        };
        assert!(!leads("inside", "conf/new.env"));
        assert!(!leads("twice", "inside"));
        assert!(leads("up", "../new.env"));
        assert!(leads("untold", "missing/../../new.env"));
        assert!(leads("loop", "loop"));
        assert!(leads("hidden", ".git"));
        assert!(leads_out(&top, &top.join("hidden/config")));
        write_block(&top.join("inside"), &variables(&[("A", "1")]), None).unwrap();
        assert!(top.join("conf/new.env").is_file() && top.join("inside").is_symlink());
    }

    #[test]
    fn text_glued_to_a_marker_breaks_neither_writing_nor_removal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "A=1\n# >>> envtree >>>x\nB=2\n# <<< envtree <<<Z=2").unwrap();
        assert!(write_block(&path, &variables(&[("C", "3")]), None).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("C=3\n# <<< envtree <<<\nZ=2"), "{text:?}");
        std::fs::write(&path, text.replace("<<<\nZ", "<<<Z")).unwrap();
        assert!(remove_block(&path, None).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "A=1\nZ=2");
    }

    #[test]
    fn a_symlink_is_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("shared")).unwrap();
        symlink("shared/env", at("link")).unwrap();
        symlink("link", at(".env")).unwrap();
        write_block(&at(".env"), &variables(&[("A", "1")]), None).unwrap();
        assert!(at(".env").is_symlink() && at("link").is_symlink());
        assert!(std::fs::read_to_string(at("shared/env")).unwrap().contains("A=1\n"));
        remove_block(&at(".env"), None).unwrap();
        assert_eq!(std::fs::read_to_string(at("shared/env")).unwrap(), "");
        symlink("loop", at("loop")).unwrap();
        let error = write_block(&at("loop"), &IndexMap::new(), None).unwrap_err();
        assert!(matches!(error, EnvFileError::File { act: "follow", .. }), "{error:?}");
    }

    #[test]
    fn what_cannot_be_managed_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let broken = "A=1\n# >>> envtree >>>\n";
        std::fs::write(&path, broken).unwrap();
        let error = write_block(&path, &IndexMap::new(), None).unwrap_err().to_string();
        assert!(
            error.ends_with(".env:2:1: `# >>> envtree >>>` without a `# <<< envtree <<<` after it"),
            "{error}"
        );
        assert!(remove_block(&path, None).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), broken);
        assert_eq!(outside_block(broken), broken);
        std::fs::write(&path, b"A=\xff\n").unwrap();
        let error = write_block(&path, &IndexMap::new(), None).unwrap_err();
        assert!(error.to_string().contains(".env:1:3: the byte 0xff is not UTF-8"), "{error:?}");
        let error = write_block(folder.path(), &IndexMap::new(), None).unwrap_err();
        assert!(matches!(error, EnvFileError::NotAFile { .. }), "{error:?}");
        let error = write_block(&path, &variables(&[("A B", "")]), None).unwrap_err();
        assert_eq!(error.to_string(), "`A B` cannot be the name of a variable");
    }

    #[test]
    fn a_file_that_git_would_show_is_excluded_once() {
        let shop = TestRepository::new();
        let repository = shop.open();
        let path = shop.beside("linked");
        shop.git(&["worktree", "add", "-q", "--detach", path.to_str().unwrap()]);
        std::fs::write(shop.path.join(".git/info/exclude"), "*.log").unwrap();
        let name = Path::new("apps/größe [x] *").join(".env \\!");
        std::fs::create_dir_all(path.join("apps/größe [x] *")).unwrap();
        std::fs::write(path.join(&name), "").unwrap();
        let status = || crate::repository::test_repository::git_in(&path, &["status", "--porcelain"]);
        assert_ne!(status(), "");
        assert!(exclude(&repository, &path, &path.join(&name)).unwrap());
        assert_eq!(status(), "");
        assert!(!exclude(&repository, &path, &name).unwrap());
        assert!(!exclude(&repository, &path, Path::new("a.log")).unwrap());
        assert!(!exclude(&repository, &path, Path::new("readme.md")).unwrap());
        assert!(exclude(&repository, &path, Path::new("../x")).is_err());
        let lines = std::fs::read_to_string(shop.path.join(".git/info/exclude")).unwrap();
        assert_eq!(lines, "*.log\n/apps/größe\\ \\[x]\\ \\*/.env\\ \\\\!\n");
    }
}
