//! What git is told through its environment, and through the file that stands in for `/etc/gitconfig`.

use std::fmt::Write;

use indexmap::IndexMap;

use super::{Repository, ViewError, ViewOptions};

/// Where the file with the text of [`SystemConfig`] lies in the container.
pub const SYSTEM_CONFIG: &str = "/envtree/gitconfig";
/// The file that git reads where no variable names another.
const USUAL_SYSTEM_CONFIG: &str = "/etc/gitconfig";
const SYSTEM: &str = "GIT_CONFIG_SYSTEM";
const COUNT: &str = "GIT_CONFIG_COUNT";
/// What keeps git from removing, on its own, what it does not see: worktrees that are not mounted, and their objects.
const SETTINGS: [(&str, &str); 3] =
    [("gc.worktreePruneExpire", "never"), ("gc.auto", "0"), ("maintenance.auto", "false")];
/// What keeps git from taking every file for a changed one where owners differ.
const OWNERS: (&str, &str) = ("core.checkStat", "minimal");

/// Returns the variables that git reads, further ones of the same kind kept.
pub(super) fn variables(
    options: &ViewOptions,
    present: &IndexMap<String, String>,
) -> Result<IndexMap<String, String>, ViewError> {
    let first = match present.get(COUNT).map(|text| text.trim()) {
        None | Some("") => 0,
        Some(text) => text.parse::<u16>().map_err(|_| ViewError::ConfigCount(text.to_owned()))?,
    };
    let owners = options.owners_differ.then_some(OWNERS);
    let mut variables = IndexMap::new();
    let mut number = usize::from(first);
    for (key, value) in SETTINGS.into_iter().chain(owners) {
        variables.insert(format!("GIT_CONFIG_KEY_{number}"), key.to_owned());
        variables.insert(format!("GIT_CONFIG_VALUE_{number}"), value.to_owned());
        number += 1;
    }
    variables.insert(COUNT.to_owned(), number.to_string());
    if options.system_config.is_some() {
        variables.insert(SYSTEM.to_owned(), SYSTEM_CONFIG.to_owned());
    }
    Ok(variables)
}

/// What the file says that git in the container reads first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemConfig {
    /// The file that git would read without it.
    pub include: String,
    /// The worktrees whose owner git does not ask for.
    pub safe_directories: Vec<String>,
    /// Whose commits are made, unless another file says.
    pub name: Option<String>,
    /// The address that commits are made with, unless another file says.
    pub email: Option<String>,
}

impl SystemConfig {
    /// Returns what the file says of a repository in a container with these variables, without anybody's name.
    pub fn new(repository: &Repository, alias: Option<&str>, environment: &IndexMap<String, String>) -> Self {
        let include = environment.get(SYSTEM).filter(|path| !path.is_empty() && *path != SYSTEM_CONFIG);
        let include = include.map_or(USUAL_SYSTEM_CONFIG, String::as_str).to_owned();
        let mut safe_directories = Vec::new();
        for folder in [Some(repository.worktree.as_str()), alias].into_iter().flatten() {
            let submodules = repository.submodules.iter().filter_map(|submodule| {
                let below = submodule.worktree.strip_prefix(&repository.worktree)?;
                Some(format!("{folder}{below}"))
            });
            safe_directories.extend([folder.to_owned()].into_iter().chain(submodules));
        }
        let mut seen = std::collections::BTreeSet::new();
        safe_directories.retain(|folder| seen.insert(folder.clone()));
        Self { include, safe_directories, name: None, email: None }
    }

    /// Returns the text of the file.
    pub fn text(&self) -> String {
        let mut text = format!("[include]\n\tpath = {}\n", quoted(&self.include));
        if !self.safe_directories.is_empty() {
            text.push_str("[safe]\n");
        }
        for folder in &self.safe_directories {
            writeln!(text, "\tdirectory = {}", quoted(folder)).expect("a text can be written to");
        }
        let identity = [("name", &self.name), ("email", &self.email)];
        if identity.iter().any(|(_, value)| value.is_some()) {
            text.push_str("[user]\n");
        }
        for (key, value) in identity {
            if let Some(value) = value {
                writeln!(text, "\t{key} = {}", quoted(value)).expect("a text can be written to");
            }
        }
        text
    }
}

/// Returns a value as git's files have it, whatever is in it.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // No file of git can hold one.
            '\0' | '\r' => {}
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::git_view::{Protection, Submodule};

    fn options(owners_differ: bool, system_config: Option<&str>) -> ViewOptions {
        ViewOptions {
            protection: Protection::Strict,
            writable_submodules: false,
            alias: None,
            hooks: None,
            system_config: system_config.map(str::to_owned),
            owners_differ,
        }
    }

    fn shown(variables: &IndexMap<String, String>) -> String {
        variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn git_removes_nothing_on_its_own() {
        let none = IndexMap::new();
        insta::assert_snapshot!(shown(&variables(&options(false, Some("/x")), &none).unwrap()), @"
        GIT_CONFIG_KEY_0=gc.worktreePruneExpire
        GIT_CONFIG_VALUE_0=never
        GIT_CONFIG_KEY_1=gc.auto
        GIT_CONFIG_VALUE_1=0
        GIT_CONFIG_KEY_2=maintenance.auto
        GIT_CONFIG_VALUE_2=false
        GIT_CONFIG_COUNT=3
        GIT_CONFIG_SYSTEM=/envtree/gitconfig
        ");
    }

    #[test]
    fn settings_of_the_configuration_are_kept() {
        let present = |count: &str| IndexMap::from([(COUNT.to_owned(), count.to_owned())]);
        let found = variables(&options(true, None), &present("2")).unwrap();
        assert_eq!(found[COUNT], "6");
        assert_eq!(found["GIT_CONFIG_KEY_2"], "gc.worktreePruneExpire");
        assert_eq!((found["GIT_CONFIG_KEY_5"].as_str(), found["GIT_CONFIG_VALUE_5"].as_str()), OWNERS);
        assert!(!found.contains_key("GIT_CONFIG_KEY_1") && !found.contains_key(SYSTEM));
        let fault = variables(&options(true, None), &present("two")).unwrap_err();
        assert_eq!(fault.to_string(), "`GIT_CONFIG_COUNT` must be a number, not `two`");
    }

    #[test]
    fn the_file_names_every_worktree_under_each_of_its_paths() {
        let repository = Repository {
            worktree: "/src/x".into(),
            submodules: vec![Submodule { worktree: "/src/x/sub".into(), ..Submodule::default() }],
            ..Repository::default()
        };
        let file = SystemConfig::new(&repository, Some("/workspaces/x"), &IndexMap::new());
        let file = SystemConfig { name: Some("A \"B\" \\ C".into()), email: Some("a@b".into()), ..file };
        insta::assert_snapshot!(file.text(), @r#"
        [include]
        	path = "/etc/gitconfig"
        [safe]
        	directory = "/src/x"
        	directory = "/src/x/sub"
        	directory = "/workspaces/x"
        	directory = "/workspaces/x/sub"
        [user]
        	name = "A \"B\" \\ C"
        	email = "a@b"
        "#);
        let same = SystemConfig::new(&repository, Some("/src/x"), &IndexMap::new());
        assert_eq!(same.safe_directories, ["/src/x", "/src/x/sub"]);
    }

    #[test]
    fn the_file_that_the_configuration_names_is_read_too() {
        let environment = IndexMap::from([(SYSTEM.to_owned(), "/opt/gitconfig".to_owned())]);
        let file = SystemConfig::new(&Repository::default(), None, &environment);
        assert_eq!(file.include, "/opt/gitconfig");
    }

    #[test]
    fn no_value_ends_its_line() {
        assert_eq!(quoted("a\nb\tc\r\0"), r#""a\nb\tc""#);
    }
}
