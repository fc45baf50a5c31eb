//! `init` and `trust`: what a repository asks for, written down and accepted.

use std::io::Write;
use std::path::PathBuf;

use crate::data::{seed_text, treatment_texts};
use crate::error::Error;
use crate::hooks::HookKey;
use crate::load::{Files, SETTINGS_FILE, load_settings};
use crate::session::Session;
use crate::template;
use crate::trust::{CommandText, Visible};

/// The text that `init` writes; `{compose}` stands for the section about Compose.
const SETTINGS: &str = include_str!("init/envtree.yaml");

/// A command that a repository wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRequest {
    /// Its key, such as `hooks.post_create`.
    pub key: String,
    /// The file that asks for it.
    pub file: PathBuf,
    /// The commands, control characters escaped for display.
    pub commands: Vec<String>,
    /// Whether exactly this text was accepted before.
    pub trusted: bool,
    /// The SHA-256 of the exact commands, in hexadecimal digits.
    pub sha256: String,
}

impl Session {
    /// Writes a commented `envtree.yaml` at the top of the worktree; never overwrites one. Returns its path.
    pub fn init(&self, template: Option<&str>) -> Result<PathBuf, Error> {
        let name = template.unwrap_or(template::DEFAULT);
        template::find(name)?;
        let path = self.here()?.join(SETTINGS_FILE);
        let text = SETTINGS.replace("{compose}", &compose_section(template));
        let write = |source| Error::Write { path: path.clone(), source };
        let created = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match created {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::SettingsExist { path });
            }
            other => other.map_err(write)?,
        };
        file.write_all(text.as_bytes()).map_err(write)?;
        Ok(path)
    }

    /// Returns the commands that the repository wants to run, as the worktree that the person stands in has them.
    pub fn trust_requests(&self) -> Result<Vec<TrustRequest>, Error> {
        let trusted = self.trusted()?;
        let repository = crate::state::identity::repository_id(self.repository.common_dir());
        let files = self.here_files()?;
        let settings = load_settings(&files)?;
        let request = |(text, commands): (CommandText, Vec<String>)| TrustRequest {
            key: text.key.clone(),
            file: files.top().join(SETTINGS_FILE),
            commands: commands.iter().map(|command| Visible(command).to_string()).collect(),
            trusted: trusted.is_trusted(&text),
            sha256: text.sha256,
        };
        let hooks = HookKey::ALL.into_iter().filter_map(|key| {
            let hook = key.of(&settings)?;
            Some((key.text(&repository, hook), hook))
        });
        let hooks = hooks.chain(seed_text(&repository, &settings));
        let hooks = hooks.map(|(text, hook)| (text, hook.commands.clone()));
        Ok(hooks.chain(treatment_texts(&repository, &settings)).map(request).collect())
    }

    /// Accepts exactly these texts. Inside an environment nothing can be accepted.
    pub async fn accept_trust(&self, requests: &[TrustRequest]) -> Result<(), Error> {
        if self.options.environment.contains_key("ENVTREE_ENVIRONMENT") {
            return Err(Error::TrustInside);
        }
        let repository = crate::state::identity::repository_id(self.repository.common_dir());
        let text = |request: &TrustRequest| CommandText {
            repository: repository.clone(),
            key: request.key.clone(),
            path: SETTINGS_FILE.to_owned(),
            sha256: request.sha256.clone(),
        };
        let texts: Vec<CommandText> = requests.iter().map(text).collect();
        // The lock of the state guards this file too.
        self.update_state(|_| Ok(self.trusted()?.accept(&texts)?)).await
    }

    fn here(&self) -> Result<PathBuf, Error> {
        let directory = self.directory();
        let worktree = self.repository.worktree_containing(directory)?;
        worktree
            .map(|worktree| worktree.path)
            .ok_or_else(|| Error::NotInWorktree { directory: directory.to_owned() })
    }

    fn here_files(&self) -> Result<Files, Error> {
        Ok(self.present(&self.here()?))
    }
}

/// Returns the section `compose`, commented out unless a template was chosen.
fn compose_section(template: Option<&str>) -> String {
    let (mark, name) = match template {
        Some(name) => ("", name),
        None => ("# ", template::DEFAULT),
    };
    format!("{mark}compose:\n{mark}  template: {name}\n#   files: [compose.yaml]\n#   profiles: [dev]")
}

/// Returns the names of the embedded templates.
pub fn template_names() -> impl Iterator<Item = &'static str> {
    template::TEMPLATES.iter().map(|template| template.name)
}

#[cfg(test)]
mod tests {
    use envtree_core::settings::{Settings, parse_settings};

    use super::*;

    #[test]
    fn what_is_written_is_a_valid_file_that_changes_nothing() {
        let text = SETTINGS.replace("{compose}", &compose_section(None));
        assert_eq!(parse_settings(SETTINGS_FILE, &text).unwrap(), Settings::default());
    }

    #[test]
    fn everything_that_is_commented_out_is_valid_too() {
        let text = SETTINGS.replace("{compose}", &compose_section(None));
        let is_example = |line: &&str| line.starts_with("# ") && (line.contains(": ") || line.ends_with(':'));
        let enabled: Vec<&str> = text
            .lines()
            .filter(is_example)
            .map(|line| &line[2..])
            .filter(|line| line.starts_with(|c: char| c.is_lowercase() || c == ' '))
            .filter(|line| !line.contains("postgres-redis, postgres"))
            .collect();
        let settings = parse_settings(SETTINGS_FILE, &enabled.join("\n")).unwrap();
        assert_eq!(settings.compose.template.as_deref(), Some(template::DEFAULT));
        assert!(settings.hooks.pre_remove.is_some());
    }

    #[test]
    fn a_chosen_template_is_not_commented_out() {
        let text = SETTINGS.replace("{compose}", &compose_section(Some("full")));
        let settings = parse_settings(SETTINGS_FILE, &text).unwrap();
        assert_eq!(settings.compose.template.as_deref(), Some("full"));
    }
}
