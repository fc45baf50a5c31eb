//! Configuration as typed values: a repository's `envtree.yaml`, and a machine's own file in [`machine`].
//!
//! Every key is optional, and a key without a value counts as absent. An unknown key is an error that names the nearest
//! known one.

mod data;
pub mod machine;
mod read;
mod sharing;

use indexmap::IndexMap;

use crate::compose_file::interpolate::interpolate_text;
use crate::compose_file::node::{Diagnostic, Entry, Node, Place, Value};
use crate::compose_file::parse::parse;
use crate::nearest::nearest;
use crate::settings::read::{Fields, entries, expected, integer, reject_tags, text, texts};
use crate::variables::variable_name;

use data::branch_mode;
pub use data::{BranchMode, DataSettings, Seed, Treatment, Work};
pub use sharing::{Isolation, Sharing};

/// The keys of an `envtree.yaml`.
const KEYS: [&str; 9] =
    ["worktrees", "base", "compose", "apps", "env", "hooks", "data", "shared", "services"];

/// What may stand in braces in [`Settings::worktrees`].
const PLACEHOLDERS: [&str; 4] = ["repository", "id", "task", "branch"];

/// The content of `envtree.yaml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Where linked worktrees are made, with the placeholders `{repository}`, `{id}`, `{task}` and `{branch}`.
    pub worktrees: Option<String>,
    /// The revision that new branches begin at.
    pub base: Option<String>,
    /// Which Compose files describe the environment.
    pub compose: ComposeSettings,
    /// The programs that run on the host, by name.
    pub apps: IndexMap<String, App>,
    /// The variables that are written for programs on the host.
    pub env: EnvSettings,
    /// Commands that run when a worktree changes its state.
    pub hooks: Hooks,
    /// Where the first content of the volumes comes from.
    pub data: DataSettings,
    /// The services that all environments of the repository have in common, by name.
    pub sharing: IndexMap<String, Sharing>,
}

/// The key `compose`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComposeSettings {
    /// The Compose files, from the top of the repository; empty if they are to be found as Compose finds them.
    pub files: Vec<String>,
    /// The profiles that are on.
    pub profiles: Vec<String>,
    /// The built-in template for a repository without Compose files.
    pub template: Option<String>,
    /// Where the template is named.
    pub template_place: Option<Place>,
}

/// A program that runs on the host and gets a reserved port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The port that it uses where it is alone, from 1.
    pub port: u16,
    /// The variable that carries the reserved port.
    pub env: Option<String>,
    /// Where its name stands.
    pub place: Place,
}

impl App {
    /// Returns the variable that carries the reserved port of the app called `name`.
    pub fn variable(&self, name: &str) -> String {
        self.env.clone().unwrap_or_else(|| variable_name(name, "PORT"))
    }
}

/// The key `env`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvSettings {
    /// The file that gets the variables.
    pub file: EnvFile,
    /// More variables; their values are yet to be interpolated, and none is malformed at its top level.
    pub set: IndexMap<String, String>,
}

/// The file that gets the variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EnvFile {
    /// Nothing is configured.
    #[default]
    Default,
    /// This file, from the top of the worktree; named at this place.
    Path(String, Place),
    /// `false`: no file is written.
    Off,
}

/// The key `hooks`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The worktree is made, its services do not run yet.
    pub post_create: Option<Hook>,
    /// The services are ready.
    pub post_up: Option<Hook>,
    /// The worktree is about to be removed.
    pub pre_remove: Option<Hook>,
}

/// Commands that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The commands, at least one, none of them blank.
    pub commands: Vec<String>,
    /// Where the first of them stands.
    pub place: Place,
}

/// Returns the settings in the text of an `envtree.yaml`; `file` is named in places.
pub fn parse_settings(file: &str, text: &str) -> Result<Settings, Diagnostic> {
    let document = parse(file, text)?;
    reject_tags(&document)?;
    let fields = Fields::new(&document, &KEYS)?;
    Ok(Settings {
        worktrees: fields.node("worktrees").map(worktrees).transpose()?,
        base: fields.text("base")?,
        compose: fields.parse("compose", compose)?,
        apps: fields.parse("apps", apps)?,
        env: fields.parse("env", env)?,
        hooks: fields.parse("hooks", hooks)?,
        data: fields.parse("data", data::data)?,
        sharing: sharing::sharing(fields.node("shared"), fields.node("services"))?,
    })
}

fn worktrees(node: &Node) -> Result<String, Diagnostic> {
    if matches!(node.value, Value::Number(_)) {
        return Err(expected("the path of a folder", node));
    }
    let template = text(node)?;
    let mut rest = template.as_str();
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(node.diagnostic("a `{` is not closed by `}`"));
        };
        if !PLACEHOLDERS.contains(&name) {
            let known = match nearest(name, PLACEHOLDERS) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => "known are `{repository}`, `{id}`, `{task}` and `{branch}`".to_owned(),
            };
            let name = name.escape_debug();
            return Err(node.diagnostic(format!("unknown placeholder `{{{name}}}`; {known}")));
        }
        rest = after;
    }
    Ok(template)
}

fn compose(node: &Node) -> Result<ComposeSettings, Diagnostic> {
    let fields = Fields::new(node, &["files", "profiles", "template"])?;
    Ok(ComposeSettings {
        files: fields.parse("files", texts)?,
        profiles: fields.parse("profiles", texts)?,
        template: fields.text("template")?,
        template_place: fields.node("template").map(|node| node.place.clone()),
    })
}

fn apps(node: &Node) -> Result<IndexMap<String, App>, Diagnostic> {
    let mut apps: IndexMap<String, App> = IndexMap::new();
    for (name, entry) in entries(node)? {
        let read = app(name, entry)?;
        let variable = read.variable(name);
        if let Some((other, _)) = apps.iter().find(|(other, app)| app.variable(other) == variable) {
            let message = format!(
                "apps `{other}` and `{name}` have one variable, `{variable}`; give one of them another with `env`"
            );
            return Err(Diagnostic { place: entry.key_place.clone(), message });
        }
        apps.insert(name.clone(), read);
    }
    Ok(apps)
}

fn app(name: &str, entry: &Entry) -> Result<App, Diagnostic> {
    let at_name = |message: String| Diagnostic { place: entry.key_place.clone(), message };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || !name.chars().all(fits) {
        let rule = "letters, digits, `.`, `_` and `-`";
        return Err(at_name(format!("`{name}` is not a valid app name: {rule}")));
    }
    let fields = Fields::new(&entry.node, &["port", "env"])?;
    let Some(port) = fields.node("port") else {
        return Err(at_name(format!("app `{name}` has no `port`")));
    };
    let variable = fields.node("env").map(|node| {
        let variable = text(node)?;
        check_variable(&variable, &node.place)?;
        Ok(variable)
    });
    Ok(App { port: integer(port, 1..=65535)?, env: variable.transpose()?, place: entry.key_place.clone() })
}

fn env(node: &Node) -> Result<EnvSettings, Diagnostic> {
    let fields = Fields::new(node, &["file", "set"])?;
    Ok(EnvSettings { file: fields.parse("file", env_file)?, set: fields.parse("set", env_set)? })
}

fn env_file(node: &Node) -> Result<EnvFile, Diagnostic> {
    match &node.value {
        Value::Bool(false) => Ok(EnvFile::Off),
        Value::Bool(true) => Err(node.diagnostic("expected the path of a file, or `false` for no file")),
        _ => {
            let path = text(node)?;
            if !stays_inside(&path) {
                return Err(node.diagnostic("expected a file inside the worktree, relative to its top"));
            }
            Ok(EnvFile::Path(path, node.place.clone()))
        }
    }
}

/// Returns whether a path names a file below the folder that it is relative to, by its text alone. Git's own folder does
/// not count as being there: its files decide which commands run.
fn stays_inside(path: &str) -> bool {
    let mut depth = 0_i32;
    for part in path.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            name if name.eq_ignore_ascii_case(".git") => return false,
            _ => 1,
        };
        if depth < 0 {
            return false;
        }
    }
    depth > 0 && !path.starts_with(['/', '~']) && !path.ends_with('/')
}

fn env_set(node: &Node) -> Result<IndexMap<String, String>, Diagnostic> {
    let variable = |(name, entry): (&String, &Entry)| {
        check_variable(name, &entry.key_place)?;
        let node = &entry.node;
        let value = match &node.value {
            Value::Text(text) | Value::Number(text) => text.clone(),
            Value::Bool(boolean) => boolean.to_string(),
            _ => {
                let found = node.kind();
                return Err(node.diagnostic(format!("expected a text, found {found}")));
            }
        };
        // With every variable set, what is malformed is an error, but nothing is missing.
        interpolate_text(&value, &|_| Some("set".to_owned())).map_err(|message| node.diagnostic(message))?;
        Ok((name.clone(), value))
    };
    entries(node)?.map(variable).collect()
}

fn check_variable(name: &str, place: &Place) -> Result<(), Diagnostic> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let digit_first = name.starts_with(|first: char| first.is_ascii_digit());
    if !name.is_empty() && name.chars().all(fits) && !digit_first {
        return Ok(());
    }
    let name = name.escape_debug();
    Err(Diagnostic {
        place: place.clone(),
        message: format!(
            "`{name}` is not a valid variable name: letters, digits and `_`, not beginning with a digit"
        ),
    })
}

fn hooks(node: &Node) -> Result<Hooks, Diagnostic> {
    let fields = Fields::new(node, &["post_create", "post_up", "pre_remove"])?;
    Ok(Hooks {
        post_create: fields.node("post_create").map(hook).transpose()?,
        post_up: fields.node("post_up").map(hook).transpose()?,
        pre_remove: fields.node("pre_remove").map(hook).transpose()?,
    })
}

fn hook(node: &Node) -> Result<Hook, Diagnostic> {
    let commands = texts(node)?;
    if commands.is_empty() {
        return Err(node.diagnostic("expected a command or a list of commands"));
    }
    let place = match &node.value {
        Value::List(items) => items.first().unwrap_or(node).place.clone(),
        _ => node.place.clone(),
    };
    Ok(Hook { commands, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
worktrees: ../{repository}.worktrees/{id}
base: origin/HEAD
compose:
  files: compose.yaml
  profiles: [dev]
  template: postgres-redis
apps:
  web: { port: 3000, env: PORT }
env:
  file: .env.local
  set:
    DATABASE_URL: postgres://app:${POSTGRES_PASSWORD}@${POSTGRES_HOST}/app
    VERSION: 1.10
    DEBUG: true
hooks:
  post_create: npm ci
  post_up:
    - npm run db:migrate
    - npm run warm
data:
  seed: npm run db:seed
  inputs: [db/migrations/**, db/seeds/**]
  prepare: true
  mode: copy
  keep: 30d
";

    fn error(text: &str) -> String {
        parse_settings("envtree.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let settings = parse_settings("envtree.yaml", EXAMPLE).unwrap();
        assert_eq!(settings.worktrees.as_deref(), Some("../{repository}.worktrees/{id}"));
        assert_eq!(settings.base.as_deref(), Some("origin/HEAD"));
        assert_eq!(settings.compose.files, ["compose.yaml"]);
        assert_eq!(settings.compose.profiles, ["dev"]);
        assert_eq!(settings.compose.template.as_deref(), Some("postgres-redis"));
        let web = &settings.apps["web"];
        assert_eq!((web.port, web.env.as_deref()), (3000, Some("PORT")));
        assert_eq!(web.place.to_string(), "envtree.yaml:8:3");
        assert!(matches!(&settings.env.file, EnvFile::Path(path, _) if path == ".env.local"));
        assert_eq!(settings.env.set["VERSION"], "1.10");
        assert_eq!(settings.env.set["DEBUG"], "true");
        assert_eq!(settings.hooks.post_create.unwrap().place.to_string(), "envtree.yaml:16:16");
        assert_eq!(settings.hooks.post_up.unwrap().commands, ["npm run db:migrate", "npm run warm"]);
        assert_eq!(settings.hooks.pre_remove, None);
        assert_eq!(settings.data.seed.unwrap().hook.commands, ["npm run db:seed"]);
        assert_eq!((settings.data.inputs.len(), settings.data.prepare), (2, Some(true)));
        assert_eq!(settings.data.mode, BranchMode::Copy);
    }

    #[test]
    fn everything_is_optional() {
        let empty = Settings::default();
        assert_eq!(parse_settings("e", "").unwrap(), empty);
        assert_eq!(parse_settings("e", "compose:\nbase:\nhooks:\n  post_up:\n").unwrap(), empty);
    }

    #[test]
    fn the_environment_file_can_be_turned_off() {
        let settings = parse_settings("e", "env: {file: false}").unwrap();
        assert_eq!(settings.env.file, EnvFile::Off);
    }

    #[test]
    fn errors_have_a_place_and_a_way_out() {
        let errors: Vec<_> = [
            "wroktrees: x",
            "zzz: x",
            "compose:\n  file: x",
            "compose: x",
            "worktrees: ../{repo}/{id}",
            "worktrees: ../{xyzzy}",
            "worktrees: ../{id",
            "worktrees: 3",
            "base: [x]",
            "base: ''",
            "apps: {web: {}}",
            "apps: {web: {port: 0}}",
            "apps: {web: {port: http}}",
            "apps: {web: {port: 65536}}",
            "apps: {a b: {port: 1}}",
            "apps: {web: {port: 1, env: A-B}}",
            "apps: {a: {port: 1}, A: {port: 2}}",
            "apps: {a: {port: 1, env: PORT}, b: {port: 2, env: PORT}}",
            "env: {file: true}",
            "env: {set: {1A: x}}",
            "env: {set: {A: '${B'}}",
            "env: {set: {A: }}",
            "hooks: {post_up: []}",
            "hooks: {post_up: [' ']}",
            "hooks: {post_up: [{}]}",
            "base: !reset x",
            "- a",
        ]
        .map(error)
        .into();
        insta::assert_snapshot!(errors.join("\n"), @"
        envtree.yaml:1:1: unknown key `wroktrees`; did you mean `worktrees`?
        envtree.yaml:1:1: unknown key `zzz`; known are `worktrees`, `base`, `compose`, `apps`, `env`, `hooks`, `data`, `shared`, `services`
        envtree.yaml:2:3: unknown key `file`; did you mean `files`?
        envtree.yaml:1:10: expected a mapping, found a text
        envtree.yaml:1:12: unknown placeholder `{repo}`; did you mean `{repository}`?
        envtree.yaml:1:12: unknown placeholder `{xyzzy}`; known are `{repository}`, `{id}`, `{task}` and `{branch}`
        envtree.yaml:1:12: a `{` is not closed by `}`
        envtree.yaml:1:12: expected the path of a folder, found a number
        envtree.yaml:1:7: expected a text, found a list
        envtree.yaml:1:7: expected a text that is not empty
        envtree.yaml:1:8: app `web` has no `port`
        envtree.yaml:1:20: expected a whole number from 1 to 65535
        envtree.yaml:1:20: expected a whole number from 1 to 65535
        envtree.yaml:1:20: expected a whole number from 1 to 65535
        envtree.yaml:1:8: `a b` is not a valid app name: letters, digits, `.`, `_` and `-`
        envtree.yaml:1:28: `A-B` is not a valid variable name: letters, digits and `_`, not beginning with a digit
        envtree.yaml:1:22: apps `a` and `A` have one variable, `A_PORT`; give one of them another with `env`
        envtree.yaml:1:33: apps `a` and `b` have one variable, `PORT`; give one of them another with `env`
        envtree.yaml:1:13: expected the path of a file, or `false` for no file
        envtree.yaml:1:13: `1A` is not a valid variable name: letters, digits and `_`, not beginning with a digit
        envtree.yaml:1:16: `${B` is not closed by `}`
        envtree.yaml:1:14: expected a text, found nothing
        envtree.yaml:1:18: expected a command or a list of commands
        envtree.yaml:1:19: expected a text that is not empty
        envtree.yaml:1:19: expected a text, found a mapping
        envtree.yaml:1:14: `!reset` and `!override` belong in Compose files
        envtree.yaml:1:1: expected a mapping, found a list
        ");
    }

    #[test]
    fn an_env_file_lies_inside_the_worktree() {
        for path in
            ["/home/x/.bashrc", "../out.env", "a/../../b", "~/.env", ".", "conf/", ".git/config", "a/.GIT/x"]
        {
            let error = parse_settings("envtree.yaml", &format!("env:\n  file: {path}\n")).unwrap_err();
            assert!(
                error.to_string().starts_with("envtree.yaml:2:9: expected a file inside"),
                "{path}: {error}"
            );
        }
        for path in [".env", "conf/.env", "a/../.env", ".github/.env"] {
            assert!(parse_settings("envtree.yaml", &format!("env: {{ file: {path} }}")).is_ok(), "{path}");
        }
    }
}
