//! One run of a command: the repository it is about, the state of the machine, and where events and questions go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envtree_core::label;
use envtree_core::settings::machine::MachineSettings;
use envtree_core::shared::is_shared_project;
use envtree_docker::{Docker, Endpoint};

use crate::error::Error;
use crate::event::{Event, Events};
use crate::load::{Input, load_machine_settings};
use crate::repository::Repository;
use crate::state::record::EnvironmentRecord;
use crate::state::{Holder, Lock, LockOptions, Notice, OnWait, State, StateDirectory};

/// Asks the person whether each of the listed losses is wanted; the answer covers all of them.
pub type Confirm = Arc<dyn Fn(&[String]) -> bool + Send + Sync>;

/// What a session needs from the program around it.
#[derive(Clone)]
pub struct SessionOptions {
    /// The directory that the person stands in, absolute.
    pub directory: PathBuf,
    /// Compose files named on the command line, `-` for the standard input; none means those of the configuration.
    pub files: Vec<PathBuf>,
    /// What `-` stands for.
    pub input: Input,
    /// Profiles named on the command line, added to those of the configuration.
    pub profiles: Vec<String>,
    /// The process's environment variables.
    pub environment: BTreeMap<String, String>,
    /// The words of the command, for those who wait for it: `envtree up fix-login`.
    pub command: String,
    /// How long to wait for another command that works on the same environment or changes the state.
    pub lock_timeout: Duration,
    /// Where events go.
    pub events: Events,
    /// How consent is asked for.
    pub confirm: Confirm,
}

/// One run of a command.
pub struct Session {
    pub(crate) options: SessionOptions,
    pub(crate) repository: Repository,
    pub(crate) state: StateDirectory,
    pub(crate) machine: MachineSettings,
    pub(crate) docker: Docker,
    on_wait: Box<OnWait<'static>>,
}

/// What all repositories of a machine share.
pub(crate) struct Machine {
    pub(crate) state: StateDirectory,
    pub(crate) settings: MachineSettings,
    pub(crate) docker: Docker,
}

impl Machine {
    pub(crate) fn open(options: &SessionOptions) -> Result<Self, Error> {
        let variable = |name: &str| options.environment.get(name).map(Into::into);
        let state = StateDirectory::open(StateDirectory::locate(variable)?)?;
        let (path, is_named) = machine_settings_path(&options.environment);
        Ok(Self::of(options, state, load_machine_settings(path, is_named)?))
    }

    /// Puts together what was opened.
    pub(crate) fn of(options: &SessionOptions, state: StateDirectory, settings: MachineSettings) -> Self {
        let docker = Docker::new(Endpoint::from_environment())
            .with_mirrors(settings.mirrors.clone())
            .with_classic_builder(wants_classic_builder(&options.environment));
        Self { state, settings, docker }
    }
}

/// Returns whether images are to be built by the classic builder, as `docker build` and Compose have it.
pub(crate) fn wants_classic_builder(environment: &BTreeMap<String, String>) -> bool {
    environment.get("DOCKER_BUILDKIT").is_some_and(|value| value == "0")
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("repository", &self.repository).finish_non_exhaustive()
    }
}

impl Session {
    /// Finds the repository around the directory, and opens the machine's state.
    ///
    /// The Engine is not asked for anything before a command needs it.
    pub fn open(options: SessionOptions) -> Result<Self, Error> {
        let repository = Repository::discover(&options.directory)?;
        let machine = Machine::open(&options)?;
        Ok(Self::of(options, repository, machine))
    }

    /// Puts together what was opened.
    pub(crate) fn of(options: SessionOptions, repository: Repository, machine: Machine) -> Self {
        let Machine { state, settings: machine, docker } = machine;
        let events = options.events.clone();
        let on_wait = Box::new(move |holder: Option<&Holder>| {
            let holder = holder.map_or_else(|| "another process".to_owned(), Holder::to_string);
            events.emit(Event::WaitingForLock { holder });
        });
        Self { options, repository, state, machine, docker, on_wait }
    }

    /// Returns the tasks of the repository's environments, for completion and for messages.
    pub fn task_names(&self) -> Result<Vec<String>, Error> {
        let state = self.read_state()?;
        Ok(self.own_records(&state).map(|record| record.task.clone()).collect())
    }

    /// Returns the services of an environment, from its reservations and the Engine's labels, for completion.
    pub async fn service_names(&self, task: &str) -> Result<Vec<String>, Error> {
        let record = self.record(Some(task)).await?;
        let observed = self.docker.observe_services(Some(&record.repository.id)).await?;
        let mut names: Vec<String> = observed
            .containers
            .iter()
            .filter(|container| {
                let project = container.labels.get(label::COMPOSE_PROJECT);
                record.owns(&container.labels) || project.is_some_and(|project| is_shared_project(project))
            })
            .filter_map(|container| container.service().map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Returns how this command asks for locks.
    pub(crate) fn lock(&self) -> LockOptions<'_> {
        LockOptions {
            command: &self.options.command,
            timeout: self.options.lock_timeout,
            on_wait: &self.on_wait,
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        self.options.events.emit(event);
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning(text.into()));
    }

    /// Reads the state without waiting for anybody; damage is reported as a warning.
    pub(crate) fn read_state(&self) -> Result<State, Error> {
        let loaded = self.state.read()?;
        self.report(&loaded.notices);
        Ok(loaded.value)
    }

    /// Changes the state while no other process can.
    pub(crate) async fn update_state<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let loaded = self.state.update(&self.lock(), change).await?;
        self.report(&loaded.notices);
        Ok(loaded.value)
    }

    /// Lets others work on an environment; the file of the lock goes if there is none any more.
    pub(crate) fn release(&self, lock: Lock) -> Result<(), Error> {
        drop(lock);
        self.state.sweep_locks(&self.read_state()?);
        Ok(())
    }

    /// Changes the record of one environment, if there still is one.
    pub(crate) async fn update_record(
        &self,
        project: &str,
        change: impl FnOnce(&mut EnvironmentRecord) + Send,
    ) -> Result<(), Error> {
        self.update_state(|state| {
            if let Some(record) = state.by_project_mut(project) {
                change(record);
            }
            Ok(())
        })
        .await
    }

    fn report(&self, notices: &[Notice]) {
        for notice in notices {
            self.warn(notice.to_string());
        }
    }

    /// Returns the records of this repository.
    pub(crate) fn own_records<'a>(&self, state: &'a State) -> impl Iterator<Item = &'a EnvironmentRecord> {
        let common_dir = self.repository.common_dir().to_owned();
        state.environments.iter().filter(move |record| record.repository.common_dir == common_dir)
    }

    /// Returns the directory that the person stands in.
    pub(crate) fn directory(&self) -> &Path {
        &self.options.directory
    }
}

/// Returns the place of the machine's configuration, and whether a variable names it.
pub(crate) fn machine_settings_path(environment: &BTreeMap<String, String>) -> (Option<PathBuf>, bool) {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("ENVTREE_CONFIG") {
        return (Some(path), true);
    }
    // As the XDG specification has it, a relative path names nothing.
    let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    (base.map(|base| base.join("envtree/config.yaml")), false)
}

#[cfg(test)]
pub(crate) mod test_session;
