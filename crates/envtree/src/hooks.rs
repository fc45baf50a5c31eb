//! The hooks of a repository: which are due, which are trusted, and what they are told.

use envtree_core::settings::{Hook, Settings};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::environment::Environment;
use crate::error::Error;
use crate::hook::run_hook;
use crate::load::SETTINGS_FILE;
use crate::session::Session;
use crate::state::record::{EnvironmentRecord, HookDone};
use crate::trust::{CommandText, TrustStore};

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookKey {
    /// Once, when the worktree is made.
    PostCreate,
    /// At every `up`, when the services are ready.
    PostUp,
    /// Before `rm`.
    PreRemove,
}

impl HookKey {
    pub(crate) const ALL: [Self; 3] = [Self::PostCreate, Self::PostUp, Self::PreRemove];

    /// Returns the key under `hooks:`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PostCreate => "post_create",
            Self::PostUp => "post_up",
            Self::PreRemove => "pre_remove",
        }
    }

    pub(crate) fn of(self, settings: &Settings) -> Option<&Hook> {
        match self {
            Self::PostCreate => settings.hooks.post_create.as_ref(),
            Self::PostUp => settings.hooks.post_up.as_ref(),
            Self::PreRemove => settings.hooks.pre_remove.as_ref(),
        }
    }

    /// Returns the hook's exact text as trust names it.
    pub(crate) fn text(self, repository: &str, hook: &Hook) -> CommandText {
        CommandText::new(repository, &format!("hooks.{}", self.as_str()), SETTINGS_FILE, &hook.commands)
    }
}

impl Session {
    /// Runs a hook that is due and trusted. One that is not trusted is skipped, and the person is told.
    pub(crate) async fn run_hook_of(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        key: HookKey,
    ) -> Result<(), Error> {
        let Some(hook) = key.of(&environment.definition.settings) else {
            return Ok(());
        };
        let text = key.text(&record.repository.id, hook);
        if key == HookKey::PostCreate && self.is_done(record, key)? {
            return Ok(());
        }
        if !self.trusted()?.is_trusted(&text) {
            self.warn(format!(
                "hook `{}` was skipped: its commands are not trusted yet; `envtree trust` shows and accepts them",
                key.as_str()
            ));
            return Ok(());
        }
        let variables = self.hook_variables(record, &environment.host);
        let events = &self.options.events;
        let ran = run_hook(key.as_str(), &hook.commands, &record.worktree, &variables, events).await;
        let done = HookDone { at: Timestamp::now(), sha256: text.sha256 };
        self.update_record(&record.project, |record| {
            record.hooks_failed.retain(|failed| failed != key.as_str());
            if ran.is_ok() {
                record.hooks_done.insert(key.as_str().to_owned(), done);
            } else {
                record.hooks_failed.push(key.as_str().to_owned());
            }
        })
        .await?;
        Ok(ran?)
    }

    /// Returns whether the hook has succeeded in this worktree, as the state has it now.
    fn is_done(&self, record: &EnvironmentRecord, key: HookKey) -> Result<bool, Error> {
        let state = self.read_state()?;
        Ok(state.by_project(&record.project).is_some_and(|record| record.is_hook_done(key.as_str())))
    }

    /// Returns the accepted commands; a damaged store counts as empty, and the person is told.
    pub(crate) fn trusted(&self) -> Result<TrustStore, Error> {
        let (store, notice) = TrustStore::load(&self.state.path().join("trust.json"))?;
        if let Some(notice) = notice {
            self.warn(format!(
                "`{}` could not be understood ({}); it was kept as `{}`, and nothing is trusted until `envtree trust`",
                notice.path.display(),
                notice.fault,
                notice.aside.display()
            ));
        }
        Ok(store)
    }

    pub(crate) fn hook_variables(
        &self,
        record: &EnvironmentRecord,
        host: &IndexMap<String, String>,
    ) -> IndexMap<String, String> {
        let mut variables = host.clone();
        let main = self.repository.main_worktree().unwrap_or(self.repository.top());
        variables.insert("WORKTREE_PATH".into(), record.worktree.to_string_lossy().into_owned());
        variables.insert("WORKTREE_BRANCH".into(), record.branch.clone().unwrap_or_default());
        variables.insert("WORKTREE_MAIN_PATH".into(), main.to_string_lossy().into_owned());
        variables
    }
}
