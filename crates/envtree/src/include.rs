//! Brings the files that `.worktreeinclude` names from the main worktree into a new one.
//!
//! [`bring_included`] takes what matches the file at the top of the main worktree (gitignore syntax), and is
//! ignored by git, and is not tracked. It never replaces what exists, so that a call that was interrupted may be
//! made again. Calls block, so async callers wrap them in `spawn_blocking`.

mod staging;

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::repository::{IgnoreRules, Patterns, Repository, RepositoryError};
use staging::Staging;

/// The name of the file that says what a new worktree is given.
pub const INCLUDE_FILE: &str = ".worktreeinclude";

/// What was brought into a worktree.
#[derive(Debug, Default)]
pub struct Included {
    /// The files and whole directories, relative to the top, in the order of their names.
    pub paths: Vec<PathBuf>,
    /// How many files and symlinks they are.
    pub files: u64,
    /// How many bytes the files hold; a reflink shares them with the main worktree.
    pub bytes: u64,
    /// What was left out although it matches.
    pub warnings: Vec<IncludeWarning>,
}

/// Something that was left out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncludeWarning {
    /// It could not be read or not be written.
    #[error("cannot bring `{}`: {source}", path.display())]
    File {
        /// Relative to the top.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is a socket, a pipe or a device.
    #[error("`{}` is neither file, directory nor symlink", path.display())]
    Special {
        /// Relative to the top.
        path: PathBuf,
    },
    /// Its `.git` file belongs to one place only.
    #[error("`{}` is a worktree or submodule of its own", path.display())]
    Worktree {
        /// Relative to the top.
        path: PathBuf,
    },
    /// A file or a symlink stands where a directory is needed.
    #[error("`{}` is not a directory in the new worktree", path.display())]
    InTheWay {
        /// Relative to the top.
        path: PathBuf,
    },
}

/// A reason to give up. What was brought before stays, and each of it is complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncludeError {
    /// There is no room for more.
    #[error("cannot bring `{}` into worktree `{}`", path.display(), worktree.display())]
    NoSpace {
        /// Relative to the top.
        path: PathBuf,
        /// The new worktree.
        worktree: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder in which copies are made could not be made or not be emptied.
    #[error("cannot use `{}` for copies", path.display())]
    Staging {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file of patterns could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The main worktree could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Brings what `.worktreeinclude` at the top of `main` names into `worktree`, files by reflink where the file
/// system can, else by copy; modes, times and symlinks are kept.
///
/// Other worktrees inside `main`, and its `.git`, are never entered. Without the file nothing is done. What
/// cannot be brought becomes a warning.
pub fn bring_included(main: &Path, worktree: &Path) -> Result<Included, IncludeError> {
    let file = main.join(INCLUDE_FILE);
    if !file.is_file() || main == worktree {
        return Ok(Included::default());
    }
    let repository = Repository::discover(main)?;
    let patterns = Patterns::load(&repository, &file);
    let patterns = patterns.map_err(|source| IncludeError::Read { path: file, source })?;
    let mut walk = Walk {
        main,
        worktree,
        patterns,
        rules: IgnoreRules::of(&repository, main)?,
        staging: Staging::begin(worktree)?,
        included: Included::default(),
    };
    let walked = walk.directory(Path::new(""), Verdict::default());
    let Walk { staging, included, .. } = walk;
    let ended = staging.end();
    walked?;
    ended?;
    Ok(included)
}

/// Returns whether [`bring_included`] would bring the file at `path`, relative to the top of `main`.
pub fn is_included(repository: &Repository, main: &Path, path: &Path) -> Result<bool, IncludeError> {
    let file = main.join(INCLUDE_FILE);
    if !file.is_file() || !main.join(path).is_file() {
        return Ok(false);
    }
    let patterns = Patterns::load(repository, &file);
    let patterns = patterns.map_err(|source| IncludeError::Read { path: file, source })?;
    let mut rules = IgnoreRules::of(repository, main)?;
    let mut parts: Vec<&Path> = path.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
    parts.reverse();
    let mut verdict = Verdict::default();
    for part in parts {
        let is_directory = part != path;
        verdict.is_included |= patterns.matches(part, is_directory)?;
        verdict.is_ignored |= rules.is_ignored(part, is_directory)?;
    }
    Ok(verdict.is_included && verdict.is_ignored && !rules.is_tracked(path)?)
}

/// What holds for a path, and for everything below it.
#[derive(Clone, Copy, Default)]
struct Verdict {
    /// A pattern of the file matches.
    is_included: bool,
    /// Git ignores it.
    is_ignored: bool,
}

struct Walk<'a> {
    main: &'a Path,
    worktree: &'a Path,
    patterns: Patterns,
    rules: IgnoreRules,
    staging: Staging,
    included: Included,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, above: Verdict) -> Result<(), IncludeError> {
        let names = match names_in(&self.main.join(directory)) {
            Ok(names) => names,
            Err(source) => {
                self.leave_out(directory, above, source);
                return Ok(());
            }
        };
        for name in names {
            if name != ".git" {
                self.entry(&directory.join(name), above)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, above: Verdict) -> Result<(), IncludeError> {
        let source = self.main.join(path);
        let metadata = match source.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(source) => {
                self.leave_out(path, above, source);
                return Ok(());
            }
        };
        let is_directory = metadata.is_dir();
        let verdict = Verdict {
            is_included: above.is_included || self.patterns.matches(path, is_directory)?,
            is_ignored: above.is_ignored || self.rules.is_ignored(path, is_directory)?,
        };
        let is_wanted = verdict.is_included && verdict.is_ignored;
        if is_directory && source.join(".git").is_file() {
            if is_wanted && !self.rules.is_tracked(path)? {
                let path = path.to_owned();
                self.included.warnings.push(IncludeWarning::Worktree { path });
            }
            return Ok(());
        }
        let is_there = self.worktree.join(path).symlink_metadata().is_ok();
        if is_wanted && !is_there && !self.rules.is_tracked(path)? {
            return self.bring(path, &metadata);
        }
        // A repository of its own is brought as a whole or not at all.
        if is_directory && !source.join(".git").exists() {
            self.directory(path, verdict)?;
        }
        Ok(())
    }

    /// Brings a file or a whole directory to a place where nothing is yet.
    fn bring(&mut self, path: &Path, metadata: &Metadata) -> Result<(), IncludeError> {
        if let Some(blocked) = self.make_parents(path) {
            self.included.warnings.push(blocked);
            return Ok(());
        }
        let brought = self.staging.bring(&self.main.join(path), path, metadata, &mut self.included);
        match brought {
            Ok(true) => self.included.paths.push(path.to_owned()),
            Ok(false) => {}
            Err(source) if staging::is_full(&source) => {
                return Err(IncludeError::NoSpace {
                    path: path.to_owned(),
                    worktree: self.worktree.to_owned(),
                    source,
                });
            }
            Err(source) => {
                self.included.warnings.push(IncludeWarning::File { path: path.to_owned(), source });
            }
        }
        Ok(())
    }

    /// Makes the directories above `path`, with the modes they have in the main worktree. One that is a symlink
    /// on this branch would lead out of the worktree, so it is in the way.
    fn make_parents(&self, path: &Path) -> Option<IncludeWarning> {
        let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents {
            let target = self.worktree.join(parent);
            let made = match target.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => {
                    let path = parent.to_owned();
                    return Some(IncludeWarning::InTheWay { path });
                }
                Err(_) => std::fs::create_dir(&target)
                    .and_then(|()| self.main.join(parent).metadata())
                    .and_then(|metadata| std::fs::set_permissions(&target, metadata.permissions())),
            };
            if let Err(source) = made {
                let path = parent.to_owned();
                return Some(IncludeWarning::File { path, source });
            }
        }
        None
    }

    /// Notes a path that cannot be read, if it could have been wanted.
    fn leave_out(&mut self, path: &Path, verdict: Verdict, source: io::Error) {
        let is_gone = source.kind() == io::ErrorKind::NotFound;
        if verdict.is_included && verdict.is_ignored && !is_gone {
            let path = path.to_owned();
            self.included.warnings.push(IncludeWarning::File { path, source });
        }
    }
}

/// Lists a directory in the order of the names.
fn names_in(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let entries = std::fs::read_dir(directory)?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::repository::test_repository::{TestRepository, write_in};

    /// A repository whose ignored files are those of `ignored`, with a linked worktree beside it.
    fn shop(ignored: &str, include: &str) -> (TestRepository, PathBuf) {
        let shop = TestRepository::new();
        shop.write(".gitignore", ignored);
        shop.write(INCLUDE_FILE, include);
        shop.commit("Rules");
        let path = shop.beside("shop fix ü");
        let text = path.to_str().unwrap();
        shop.git(&["worktree", "add", "-q", "-b", "fix", text]);
        (shop, path)
    }

    fn paths(included: &Included) -> Vec<&str> {
        included.paths.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn only_what_matches_and_is_ignored_and_untracked_is_brought() {
        let (shop, path) = shop(".env*\n*.pem\n/build/\n", ".env*\n*.txt\n!.env.example\n");
        for name in [".env", ".env.local", ".env.example", "key.pem", "notes.txt", "build/x"] {
            shop.write(name, name);
        }
        shop.write("apps/größe/.env", "A=1\n");
        shop.write("apps/.env", "tracked");
        shop.git(&["add", "-f", "apps/.env"]);
        let repository = Repository::discover(&shop.path).unwrap();
        let announced = |name: &str| is_included(&repository, &shop.path, Path::new(name)).unwrap();
        assert!(announced(".env") && announced("apps/größe/.env"));
        assert!(!announced("key.pem") && !announced("apps/.env") && !announced("missing.env"));
        let included = bring_included(&shop.path, &path).unwrap();
        assert_eq!(paths(&included), [".env", ".env.local", "apps/größe/.env"]);
        assert_eq!((included.files, included.bytes), (3, 18));
        assert!(included.warnings.is_empty(), "{:?}", included.warnings);
        assert_eq!(std::fs::read_to_string(path.join("apps/größe/.env")).unwrap(), "A=1\n");
        for name in [".env.example", "key.pem", "notes.txt", "build", "apps/.env"] {
            assert!(!path.join(name).exists(), "{name}");
        }
        let again = bring_included(&shop.path, &path).unwrap();
        assert_eq!((again.files, again.paths.len()), (0, 0));
    }

    #[test]
    fn without_the_file_nothing_is_brought() {
        let (shop, path) = shop(".env\n", "");
        shop.write(".env", "");
        assert_eq!(bring_included(&shop.path, &path).unwrap().files, 0);
        std::fs::remove_file(shop.path.join(INCLUDE_FILE)).unwrap();
        assert_eq!(bring_included(&shop.path, &path).unwrap().files, 0);
    }

    #[test]
    fn directories_are_brought_whole_with_modes_times_and_symlinks() {
        let (shop, path) = shop("node_modules/\n", "node_modules\n");
        shop.write("node_modules/a/cli.js", "#!");
        shop.write("node_modules/a/empty/x", "");
        std::fs::remove_file(shop.path.join("node_modules/a/empty/x")).unwrap();
        let at = |top: &Path, name: &str| top.join("node_modules").join(name);
        std::fs::set_permissions(at(&shop.path, "a/cli.js"), PermissionsExt::from_mode(0o750)).unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let file = std::fs::File::open(at(&shop.path, "a/cli.js")).unwrap();
        file.set_modified(past).unwrap();
        symlink("a/cli.js", at(&shop.path, "cli")).unwrap();
        symlink("gone", at(&shop.path, "broken")).unwrap();
        std::fs::set_permissions(at(&shop.path, "a"), PermissionsExt::from_mode(0o555)).unwrap();
        let included = bring_included(&shop.path, &path).unwrap();
        assert_eq!(paths(&included), ["node_modules"]);
        assert_eq!((included.files, included.bytes), (3, 2));
        let metadata = at(&path, "a/cli.js").metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o750);
        assert_eq!(metadata.modified().unwrap(), past);
        assert_eq!(at(&path, "a").metadata().unwrap().permissions().mode() & 0o777, 0o555);
        assert!(at(&path, "a/empty").is_dir());
        assert_eq!(std::fs::read_link(at(&path, "cli")).unwrap(), Path::new("a/cli.js"));
        assert_eq!(std::fs::read_link(at(&path, "broken")).unwrap(), Path::new("gone"));
        for top in [&shop.path, &path] {
            std::fs::set_permissions(at(top, "a"), PermissionsExt::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn what_exists_is_kept_and_what_is_missing_beside_it_brought() {
        let (shop, path) = shop("data/\n", "data/\n");
        shop.write("data/one", "main");
        shop.write("data/two/three", "main");
        write_in(&path, "data/one", "own");
        let included = bring_included(&shop.path, &path).unwrap();
        assert_eq!(paths(&included), ["data/two"]);
        assert_eq!(std::fs::read_to_string(path.join("data/one")).unwrap(), "own");
        assert_eq!(std::fs::read_to_string(path.join("data/two/three")).unwrap(), "main");
    }

    #[test]
    fn other_worktrees_inside_the_main_one_are_not_entered() {
        let (shop, path) = shop(".worktrees/\nvendor/\n.env\n", ".env\n/.worktrees\nvendor\n");
        let inner = shop.path.join(".worktrees/inner");
        shop.git(&["worktree", "add", "-q", "--detach", inner.to_str().unwrap()]);
        write_in(&inner, ".env", "inner");
        shop.write("vendor/tool/.git/config", "a repository of its own");
        shop.write(".git/.env", "not a file of the worktree");
        let included = bring_included(&shop.path, &path).unwrap();
        assert!(!path.join(".worktrees/inner").exists());
        assert!(path.join("vendor/tool/.git/config").exists());
        assert!(path.join(".git").is_file());
        let warnings: Vec<_> = included.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["`.worktrees/inner` is a worktree or submodule of its own"]);
    }

    #[test]
    fn a_symlink_on_the_new_branch_does_not_lead_out_of_the_worktree() {
        let (shop, path) = shop("config/*.key\n", "*.key\n");
        shop.write("config/a.key", "secret");
        let outside = shop.beside("outside");
        std::fs::create_dir(&outside).unwrap();
        symlink(&outside, path.join("config")).unwrap();
        let included = bring_included(&shop.path, &path).unwrap();
        assert_eq!(included.files, 0);
        let warning = included.warnings[0].to_string();
        assert_eq!(warning, "`config` is not a directory in the new worktree");
        assert!(!outside.join("a.key").exists());
    }

    #[test]
    fn what_an_interrupted_call_left_is_cleared_and_what_cannot_be_brought_is_named() {
        let (shop, path) = shop("run/\n", "run/\n");
        write_in(&path, ".envtree-include.partial/half", "");
        shop.write("run/pid", "1");
        let _socket = std::os::unix::net::UnixListener::bind(shop.path.join("run/socket")).unwrap();
        let included = bring_included(&shop.path, &path).unwrap();
        assert_eq!(included.files, 1);
        assert!(path.join("run/pid").exists() && !path.join(".envtree-include.partial").exists());
        let warnings: Vec<_> = included.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0], "`run/socket` is neither file, directory nor symlink");
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let lines = "*.pem !public.pem /top deep/*/x a/**/z {b,c} [de] \\#f #g h\\? dir/ **/i/j !dir/k";
        let names = "s.pem public.pem q/s.pem top q/top deep/1/x deep/1/2/x a/z a/1/2/z b {b,c} d #f #g h? hi \
                     dir/k q/dir/l q/i/j dir2/m";
        let names: Vec<&str> = names.split_whitespace().collect();
        let (shop, path) = shop("*\n", &lines.replace(' ', "\n"));
        for name in &names {
            shop.write(name, "");
        }
        let list = [
            "-c",
            "core.quotePath=false",
            "ls-files",
            "--others",
            "--ignored",
            "--exclude-from",
            INCLUDE_FILE,
        ];
        let expected = shop.git(&list);
        bring_included(&shop.path, &path).unwrap();
        let mut list = list;
        let rules = shop.path.join(INCLUDE_FILE);
        list[6] = rules.to_str().unwrap();
        let brought = crate::repository::test_repository::git_in(&path, &list);
        assert_eq!(brought, expected);
        for name in names {
            assert_eq!(path.join(name).exists(), expected.lines().any(|line| line == name), "{name}");
        }
    }
}
