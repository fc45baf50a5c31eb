//! Commands as they are typed where the person stands, and lists that do not grow too long.

use std::path::Path;

use crate::state::record::EnvironmentRecord;
use crate::words::shell_quoted;

/// How many names a line has.
const NAMED: usize = 5;

/// Returns a command of envtree; `-C` leads to the repository, unless that is `here`.
pub(super) fn envtree(here: Option<&Path>, common_dir: &Path, words: &[&str]) -> String {
    let mut command = "envtree".to_owned();
    if here != Some(common_dir) {
        command.push_str(" -C ");
        command.push_str(&quoted(folder_of(common_dir)));
    }
    for word in words {
        command.push(' ');
        command.push_str(&shell_quoted(word));
    }
    command
}

/// Returns what removes environments: a command for each repository, in backticks.
pub(super) fn removal<'a>(
    here: Option<&Path>,
    records: impl Iterator<Item = &'a EnvironmentRecord>,
) -> String {
    let mut tasks: Vec<(&Path, Vec<&str>)> = Vec::new();
    for record in records {
        let common_dir = record.repository.common_dir.as_path();
        match tasks.iter_mut().find(|(known, _)| *known == common_dir) {
            Some((_, tasks)) => tasks.push(&record.task),
            None => tasks.push((common_dir, vec!["rm", &record.task])),
        }
    }
    let commands = tasks.iter().map(|(common_dir, words)| format!("`{}`", envtree(here, common_dir, words)));
    commands.collect::<Vec<_>>().join(" and ")
}

/// Returns the folder that a person knows a repository by.
pub(super) fn folder_of(common_dir: &Path) -> &Path {
    let above = common_dir.parent().filter(|_| common_dir.ends_with(".git"));
    above.unwrap_or(common_dir)
}

/// Quotes a path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    shell_quoted(&path.to_string_lossy())
}

/// Returns names in backticks, the first few of them.
pub(super) fn named<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.to_string())).collect();
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record::tests::record;

    #[test]
    fn a_command_leads_to_the_repository_of_what_it_acts_on() {
        let (shop, bare) = (Path::new("/src/my shop/.git"), Path::new("/src/blog.git"));
        assert_eq!(envtree(Some(shop), shop, &["rm", "it's"]), r"envtree rm 'it'\''s'");
        assert_eq!(envtree(None, shop, &["prune"]), "envtree -C '/src/my shop' prune");
        assert_eq!(envtree(Some(shop), bare, &["prune"]), "envtree -C /src/blog.git prune");
    }

    #[test]
    fn environments_are_removed_by_a_command_for_each_repository() {
        let records = [
            record("/src/shop/.git", "shop", "a", "a"),
            record("/src/blog/.git", "blog", "a", "a"),
            record("/src/shop/.git", "shop", "b", "b"),
        ];
        let removal = removal(Some(Path::new("/src/shop/.git")), records.iter());
        assert_eq!(removal, "`envtree rm a b` and `envtree -C /src/blog rm a`");
    }

    #[test]
    fn a_long_list_is_cut_off() {
        assert_eq!(named(["a", "b"]), "`a`, `b`");
        assert_eq!(named(["a", "b", "c", "d", "e", "f", "g"]), "`a`, `b`, `c`, `d`, `e` and 2 more");
    }
}
