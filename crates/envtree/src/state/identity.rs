//! Names for repositories and environments that no other one has.
//!
//! These functions are pure: they are called inside [`StateDirectory::update`](super::StateDirectory::update), and the
//! name is the caller's once a record with it is stored.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use envtree_core::name::{EnvironmentId, ProjectName};
use sha2::{Digest, Sha256};

use super::State;
use super::record::RepositoryRecord;

/// The most characters of an environment id, and of a repository's part of a project name.
const LENGTH: usize = 40;

/// Returns what tells the repository with this common directory from every other one of the machine.
pub fn repository_id(common_dir: &Path) -> String {
    hash(common_dir.as_os_str().as_bytes())[..12].to_owned()
}

/// Returns the repository with this common directory, under the name that it has or will have in project names.
///
/// The name is that of the folder which holds the repository; where another repository has it, a hash of the path
/// follows. A repository without environments holds no name.
pub fn repository(state: &State, common_dir: &Path) -> RepositoryRecord {
    let id = repository_id(common_dir);
    let known = state.of_repository(&id).next();
    let name = known.map_or_else(
        || {
            let taken = |name: &str| state.environments.iter().any(|record| record.repository.name == name);
            first_free(&slug(&folder_name(common_dir)), common_dir.as_os_str().as_bytes(), taken)
        },
        |record| record.repository.name.clone(),
    );
    RepositoryRecord { id, name, common_dir: common_dir.to_owned() }
}

/// Returns what begins the names of a repository's bases: that of its folder with four digits of its id. It stays the same
/// whatever environments there are, and no other repository has it.
pub fn bases_name(common_dir: &Path) -> String {
    let slug = slug(&folder_name(common_dir));
    format!("{}-{}", shortened(&slug, LENGTH - 5), &repository_id(common_dir)[..4])
}

/// Returns the id of the environment of `task`: the one that it has, else one that is free.
///
/// The id is the slug of the task. Four hexadecimal digits of the task's hash follow where another task of the
/// repository has the slug, or another environment of the machine the project name that would come of it.
pub fn environment_id(state: &State, repository: &RepositoryRecord, task: &str) -> EnvironmentId {
    if let Some(record) = state.environment(&repository.id, task) {
        return record.id.clone();
    }
    let taken = |id: &str| {
        state.of_repository(&repository.id).any(|record| record.id == *id)
            || state.by_project(&format!("{}-{id}", repository.name)).is_some()
    };
    let id = first_free(&slug(task), task.as_bytes(), taken);
    EnvironmentId::new(id).expect("a slug is a DNS label of at most 40 characters")
}

/// Returns the name of the Compose project of an environment.
pub fn project_name(repository: &RepositoryRecord, id: &EnvironmentId) -> ProjectName {
    let name = format!("{}-{id}", repository.name);
    ProjectName::new(name).expect("slugs joined by `-` begin with a letter or a digit")
}

/// Returns `text` as a DNS label of at most 40 characters: lower case, `-` for everything but letters and digits.
///
/// A text without any letter or digit of ASCII becomes a hash.
pub fn slug(text: &str) -> String {
    let label: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    // Leading hyphens go first, so that they do not cost characters.
    let label = shortened(label.trim_start_matches('-'), LENGTH);
    if label.is_empty() {
        return hash(text.as_bytes())[..8].to_owned();
    }
    label.to_owned()
}

/// Returns the name of the folder that a person knows the repository by: `shop` for `shop/.git` and for `shop.git`.
fn folder_name(common_dir: &Path) -> String {
    let name = |path: &Path| path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
    let own = name(common_dir);
    if own.starts_with('.') {
        return common_dir.parent().map(name).unwrap_or_default();
    }
    own.strip_suffix(".git").unwrap_or(&own).to_owned()
}

/// Returns `slug` if it is free, else `slug` with four hexadecimal digits of a hash of `origin`.
///
/// Should those be taken too, the next four digits are tried: the outcome depends on nothing but the arguments.
fn first_free(slug: &str, origin: &[u8], taken: impl Fn(&str) -> bool) -> String {
    if !taken(slug) {
        return slug.to_owned();
    }
    let stem = shortened(slug, LENGTH - 5);
    (0..=u64::MAX)
        .flat_map(|round| {
            let digits = match round {
                0 => hash(origin),
                _ => hash(&[origin, &round.to_le_bytes()].concat()),
            };
            (0..digits.len() / 4).map(move |index| format!("{stem}-{}", &digits[index * 4..index * 4 + 4]))
        })
        .find(|candidate| !taken(candidate))
        .expect("one of so many candidates is free")
}

fn shortened(label: &str, length: usize) -> &str {
    label[..label.len().min(length)].trim_end_matches('-')
}

fn hash(bytes: &[u8]) -> String {
    super::hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn shop(state: &State) -> RepositoryRecord {
        repository(state, Path::new("/a/shop/.git"))
    }

    /// Puts a record for `task` as `up` does.
    fn reserve(state: &mut State, common_dir: &str, task: &str) -> ProjectName {
        let repository = repository(state, Path::new(common_dir));
        let id = environment_id(state, &repository, task);
        let project = project_name(&repository, &id);
        state.put(record(common_dir, &repository.name, task, &id));
        project
    }

    #[test]
    fn a_slug_is_a_dns_label() {
        for (task, expected) in [
            ("fix-login", "fix-login"),
            ("Feature/Auth_2", "feature-auth-2"),
            ("--x--", "x"),
            ("über", "ber"),
            ("a.b c", "a-b-c"),
        ] {
            assert_eq!(slug(task), expected, "{task}");
        }
        for task in ["日本語", "", "---", &"x".repeat(100), &format!("{}-y", "x".repeat(39))] {
            assert!(EnvironmentId::new(slug(task)).is_ok(), "{task}");
            assert!(slug(task).len() <= 40, "{task}");
        }
        assert_ne!(slug("日本語"), slug("中文"));
    }

    #[test]
    fn tasks_with_one_slug_get_ids_of_their_own() {
        let mut state = State::default();
        assert_eq!(reserve(&mut state, "/a/shop/.git", "feature/auth"), "shop-feature-auth");
        let second = reserve(&mut state, "/a/shop/.git", "feature-auth");
        assert!(second.starts_with("shop-feature-auth-"), "{second}");
        assert_eq!(second.len(), "shop-feature-auth-1234".len());
        assert_eq!(reserve(&mut state, "/a/shop/.git", "feature-auth"), second);
        assert_eq!(reserve(&mut state, "/a/shop/.git", "feature/auth"), "shop-feature-auth");
        assert_eq!(state.environments.len(), 2);
    }

    #[test]
    fn the_suffix_of_a_long_id_keeps_it_within_forty_characters() {
        let mut state = State::default();
        let long = "x".repeat(60);
        reserve(&mut state, "/a/shop/.git", &format!("{long}1"));
        let id = environment_id(&state, &shop(&state), &format!("{long}2"));
        assert_eq!(id.len(), 40);
    }

    #[test]
    fn a_taken_suffix_gives_way_to_the_next_digits() {
        let mut state = State::default();
        reserve(&mut state, "/a/shop/.git", "feature/auth");
        let wanted = environment_id(&state, &shop(&state), "feature-auth");
        reserve(&mut state, "/a/shop/.git", &wanted);
        let other = environment_id(&state, &shop(&state), "feature-auth");
        assert_ne!(other, wanted);
        assert!(other.starts_with("feature-auth-"), "{other}");
    }

    #[test]
    fn repositories_in_folders_of_one_name_do_not_share_projects() {
        let mut state = State::default();
        assert_eq!(reserve(&mut state, "/a/shop/.git", "x"), "shop-x");
        let second = reserve(&mut state, "/b/Shop.git", "x");
        assert!(second.starts_with("shop-") && second.ends_with("-x"), "{second}");
        assert_eq!(second.len(), "shop-1234-x".len());
        assert_eq!(repository(&state, Path::new("/b/Shop.git")).name.len(), 9);
        assert_eq!(shop(&state).name, "shop");
    }

    #[test]
    fn a_hyphen_in_a_folder_name_does_not_lead_to_a_shared_project() {
        let mut state = State::default();
        assert_eq!(reserve(&mut state, "/a/shop/.git", "admin-x"), "shop-admin-x");
        let other = reserve(&mut state, "/a/shop-admin/.git", "x");
        assert!(other.starts_with("shop-admin-x-"), "{other}");
    }

    #[test]
    fn the_folder_that_holds_a_repository_names_it() {
        for (common_dir, name) in [
            ("/src/shop/.git", "shop"),
            ("/src/shop.git", "shop"),
            ("/src/shop/.bare", "shop"),
            ("/src/shop", "shop"),
            ("/src/app/.git/modules/lib", "lib"),
        ] {
            assert_eq!(folder_name(Path::new(common_dir)), name);
        }
        assert!(!repository(&State::default(), Path::new("/.git")).name.is_empty());
    }
}
