//! The files that data depends on, by their content.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::DataError;
use crate::repository::{Patterns, Repository};
use crate::state::hexadecimal;

/// Returns the digests of the files of `worktree` that match gitignore patterns, by path.
///
/// Untracked files count, for the seed reads them too. Of a symlink its target counts, not what lies there. Folders that
/// cannot be read count only if a pattern names them or one above them.
pub(super) fn inputs(
    repository: &Repository,
    worktree: &Path,
    patterns: &[String],
) -> Result<BTreeMap<String, String>, DataError> {
    let mut found = BTreeMap::new();
    if patterns.is_empty() {
        return Ok(found);
    }
    let source = Path::new("data.inputs");
    let patterns = Patterns::of_text(repository, patterns.join("\n").as_bytes(), source)
        .map_err(|error| DataError::Input { path: source.to_owned(), source: error })?;
    let matches = |path: &Path, is_directory| Ok(patterns.matches(path, is_directory)?);
    let mut walk = Walk { top: worktree, matches: &matches, found: &mut found };
    walk.directory(Path::new(""), false)?;
    Ok(found)
}

/// Returns the patterns that name no file of `worktree`: those that take others away name none of their own.
pub(super) fn unmatched<'a>(
    repository: &Repository,
    worktree: &Path,
    patterns: &'a [String],
) -> Result<Vec<&'a String>, DataError> {
    let names_files = |pattern: &&String| !pattern.trim().is_empty() && !pattern.starts_with(['!', '#']);
    let mut unmatched = Vec::new();
    for pattern in patterns.iter().filter(names_files) {
        if inputs(repository, worktree, std::slice::from_ref(pattern))?.is_empty() {
            unmatched.push(pattern);
        }
    }
    Ok(unmatched)
}

/// Returns the digest of a file, or of all files below a folder with their paths; none if there is neither.
pub(super) fn digest(path: &Path) -> Result<Option<String>, DataError> {
    let failure = |source| DataError::Input { path: path.to_owned(), source };
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(failure)?,
    };
    if !metadata.is_dir() {
        return Ok(Some(if metadata.is_file() { digest_of(path).map_err(failure)? } else { String::new() }));
    }
    let mut found = BTreeMap::new();
    Walk { top: path, matches: &|_, _| Ok(true), found: &mut found }.directory(Path::new(""), true)?;
    let text = serde_json::to_vec(&found).expect("paths are texts");
    Ok(Some(hexadecimal(&Sha256::digest(text))))
}

struct Walk<'a> {
    top: &'a Path,
    matches: &'a dyn Fn(&Path, bool) -> Result<bool, DataError>,
    found: &'a mut BTreeMap<String, String>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, above: bool) -> Result<(), DataError> {
        let path = self.top.join(directory);
        let failure = |source| DataError::Input { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            // It may be the data of a server that runs; what goes meanwhile is not there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !above => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failure)?,
        };
        for entry in entries {
            let entry = entry.map_err(failure)?;
            if entry.file_name() == ".git" {
                continue;
            }
            let inside = directory.join(entry.file_name());
            let kind = entry.file_type().map_err(failure)?;
            let is_wanted = above || (self.matches)(&inside, kind.is_dir())?;
            if kind.is_dir() {
                self.directory(&inside, is_wanted)?;
            } else if is_wanted && (kind.is_file() || kind.is_symlink()) {
                let digest = match digest_of_entry(&self.top.join(&inside), kind.is_symlink()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    digest => {
                        digest.map_err(|source| DataError::Input { path: self.top.join(&inside), source })?
                    }
                };
                self.found.insert(inside.to_string_lossy().into_owned(), digest);
            }
        }
        Ok(())
    }
}

fn digest_of_entry(path: &PathBuf, is_link: bool) -> io::Result<String> {
    if !is_link {
        return digest_of(path);
    }
    let target = fs::read_link(path)?;
    Ok(hexadecimal(&Sha256::digest(format!("link {}", target.display()))))
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            length => digest.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::test_repository::TestRepository;

    fn of(shop: &TestRepository, patterns: &[&str]) -> BTreeMap<String, String> {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        inputs(&shop.open(), &shop.path, &patterns).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let shop = TestRepository::new();
        for path in ["db/migrations/1.sql", "db/migrations/old/0.sql", "db/seeds/a.sql", "seeds/b.sql"] {
            shop.write(path, path);
        }
        let names = |patterns: &[&str]| of(&shop, patterns).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&["db/migrations/**"]), ["db/migrations/1.sql", "db/migrations/old/0.sql"]);
        assert_eq!(names(&["seeds"]), ["db/seeds/a.sql", "seeds/b.sql"]);
        assert_eq!(names(&["/seeds"]), ["seeds/b.sql"]);
        assert_eq!(names(&["*.sql", "!1.sql"]).len(), 3);
        assert_eq!(names(&[]), Vec::<String>::new());
    }

    #[test]
    fn patterns_that_name_nothing_are_told() {
        let shop = TestRepository::new();
        shop.write("db/1.sql", "");
        std::os::unix::fs::symlink("db", shop.path.join("migrations")).unwrap();
        let patterns = ["db/**", "migrations/*.sql", "migrations", "dbb/**", "!db/2.sql", "# x", ""];
        let patterns = patterns.map(str::to_owned);
        assert_eq!(unmatched(&shop.open(), &shop.path, &patterns).unwrap(), ["migrations/*.sql", "dbb/**"]);
    }

    #[test]
    fn content_and_paths_count() {
        let shop = TestRepository::new();
        shop.write("a", "x");
        let before = of(&shop, &["a", "b"]);
        assert_eq!(before, of(&shop, &["a", "b"]));
        shop.write("a", "y");
        assert_ne!(before, of(&shop, &["a", "b"]));
        shop.write("a", "x");
        shop.write("b", "");
        assert_ne!(before, of(&shop, &["a", "b"]));
    }

    #[test]
    fn a_folder_is_one_with_all_that_it_holds() {
        let shop = TestRepository::new();
        shop.write("init/1.sql", "x");
        let folder = shop.path.join("init");
        let before = digest(&folder).unwrap();
        assert!(before.is_some());
        shop.write("init/2.sql", "x");
        assert_ne!(digest(&folder).unwrap(), before);
        assert_eq!(digest(&shop.path.join("none")).unwrap(), None);
    }
}
