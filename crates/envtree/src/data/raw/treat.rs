//! What makes real data harmless, and what verifies that it is.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use envtree_core::dump::{Dump, asker};
use envtree_core::project::Project;
use envtree_core::settings::{Settings, Treatment, Work};

use super::Import;
use crate::data::inputs::inputs;
use crate::data::make::Making;
use crate::data::seed::BaseCommands;
use crate::data::{DataError, SANITIZE, VERIFY};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::load::SETTINGS_FILE;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::trust::CommandText;

/// How many lines of what a verification reports are shown.
const SHOWN: usize = 10;

/// Returns what is done to real data, as trust names it, with the lines that say so.
pub(crate) fn treatment_texts(repository: &str, settings: &Settings) -> Vec<(CommandText, Vec<String>)> {
    let treatments = [(SANITIZE, &settings.data.sanitize), (VERIFY, &settings.data.verify)];
    let treatments = treatments.into_iter().filter_map(|(key, treatment)| Some((key, treatment.as_ref()?)));
    let text = |(key, treatment): (&str, &Treatment)| {
        let (kind, lines) = match &treatment.work {
            Work::Commands(lines) => ("", lines),
            Work::Files(lines) => (".files", lines),
            Work::Queries(lines) => (".query", lines),
        };
        let service = treatment.service.as_ref().map(|(service, _)| format!(" in service {service}"));
        let key = format!("{key}{kind}{}", service.unwrap_or_default());
        (CommandText::new(repository, &key, SETTINGS_FILE, lines), lines.clone())
    };
    treatments.map(text).collect()
}

impl Session {
    /// Refuses to work on real data where nobody accepted what is to be done to it.
    pub(super) fn refuse_untrusted_treatment(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
    ) -> Result<(), Error> {
        let trusted = self.trusted()?;
        let texts = treatment_texts(&record.repository.id, &environment.definition.settings);
        match texts.into_iter().find(|(text, _)| !trusted.is_trusted(text)) {
            None => Ok(()),
            Some((text, _)) => Err(DataError::Untrusted { key: text.key }.into()),
        }
    }
}

impl Import<'_> {
    /// Makes the data harmless.
    pub(super) async fn treat(
        &self,
        making: &Making<'_>,
        project: &Project,
        treatment: &Treatment,
    ) -> Result<(), Error> {
        self.work(making, project, (SANITIZE, treatment)).await.map(|_| ())
    }

    /// Refuses data of which the verification has something to report.
    pub(super) async fn verify(&self, making: &Making<'_>, project: &Project) -> Result<(), Error> {
        let Some(treatment) = &self.environment.definition.settings.data.verify else {
            return Ok(());
        };
        let mut lines = self.work(making, project, (VERIFY, treatment)).await?;
        if lines.is_empty() {
            return Ok(());
        }
        lines.truncate(SHOWN);
        Err(DataError::NotHarmless { lines }.into())
    }

    /// Does what is to be done, and returns the lines that came of it.
    async fn work(
        &self,
        making: &Making<'_>,
        project: &Project,
        (key, treatment): (&str, &Treatment),
    ) -> Result<Vec<String>, Error> {
        let pipe = self.pipe(making, project);
        let refused = || DataError::NoReader {
            what: format!("`{key}`"),
            service: Some(self.server.service.to_string()),
        };
        if !matches!(treatment.work, Work::Commands(_))
            && treatment.service.as_ref().is_some_and(|(service, _)| *self.server.service != **service)
        {
            return Err(refused().into());
        }
        match &treatment.work {
            Work::Commands(commands) => self.run_commands(making, project, (key, treatment, commands)).await,
            Work::Queries(queries) => {
                let tool = asker(self.server.known, &self.server.login).ok_or_else(refused)?;
                let mut lines = Vec::new();
                for query in queries {
                    let said =
                        pipe.state(&tool, format!("{};\n", query.trim_end().trim_end_matches(';'))).await?;
                    lines.extend(said.into_iter().filter(|line| !line.trim().is_empty()));
                }
                Ok(lines)
            }
            Work::Files(patterns) => {
                let tool =
                    Dump::Statements.reader(self.server.known, &self.server.login, "").ok_or_else(refused)?;
                let top = &self.record.worktree;
                let files = inputs(&self.session.repository, top, patterns)?;
                if files.is_empty() {
                    return Err(DataError::NoFiles { key: key.to_owned(), patterns: patterns.clone() }.into());
                }
                for path in files.keys() {
                    let failed = |source| DataError::DumpRead { path: top.join(path), source };
                    let text = fs::read_to_string(top.join(path)).map_err(failed)?;
                    self.session.emit(Event::RunningHook { hook: key.to_owned(), command: path.clone() });
                    pipe.state(&tool, text).await?;
                }
                Ok(Vec::new())
            }
        }
    }

    async fn run_commands(
        &self,
        making: &Making<'_>,
        project: &Project,
        (key, treatment, commands): (&str, &Treatment, &[String]),
    ) -> Result<Vec<String>, Error> {
        let beside = self.session.beside(self.record, treatment.service.as_ref(), &self.volumes)?;
        let commands = BaseCommands {
            key,
            commands,
            service: treatment.service.as_ref().map(|(service, _)| service.as_str()),
            beside: beside.as_ref(),
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (written, all) = (Arc::clone(&lines), self.session.options.events.clone());
        let events = Events::new(move |event| {
            if let Event::HookOutput { line, .. } = &event {
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            }
            all.emit(event);
        });
        making.run_commands(&commands, project, &events).await?;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(lines.iter().filter(|line| !line.trim().is_empty()).cloned().collect())
    }
}
