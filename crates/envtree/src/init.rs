//! `init` and `trust`: what a repository asks for, written down and accepted.

use std::io::Write;
use std::path::PathBuf;

use envtree_core::settings::Hook;

use crate::error::Error;
use crate::hooks::HookKey;
use crate::load::{Files, SETTINGS_FILE, load_settings};
use crate::session::Session;
use crate::template;
use crate::trust::{CommandText, Visible};

/// The text that `init` writes; `{template}` stands for a line.
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
        let line = match template {
            Some(name) => format!("  template: {name}"),
            None => format!("  # template: {name}"),
        };
        // A key without a value would be `null`, so it is commented out with its only child.
        let head = if template.is_some() { "compose:" } else { "# compose:" };
        let text = SETTINGS.replace("{compose}", head).replace("{template}", &line);
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
        let request = |(key, hook): (HookKey, &Hook)| {
            let text = key.text(&repository, hook);
            TrustRequest {
                key: text.key.clone(),
                file: files.top().join(SETTINGS_FILE),
                commands: hook.commands.iter().map(|command| Visible(command).to_string()).collect(),
                trusted: trusted.is_trusted(&text),
                sha256: text.sha256,
            }
        };
        Ok(HookKey::ALL.into_iter().filter_map(|key| Some((key, key.of(&settings)?))).map(request).collect())
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

/// Returns the names of the embedded templates.
pub fn template_names() -> impl Iterator<Item = &'static str> {
    template::TEMPLATES.iter().map(|template| template.name)
}
