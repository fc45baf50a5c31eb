//! `ls`, `status`, `env`, `config`: look, and change nothing.

use std::time::Duration;

use envtree_core::branch::upper_of;
use envtree_core::compose_file::render::{model, render};
use envtree_core::label;
use envtree_core::observed::{Health, ObservedContainer, ObservedState, ObservedVolume};
use envtree_core::project::Project;
use envtree_core::variables::View;
use envtree_docker::{Docker, DockerError};
use futures::future::join_all;
use indexmap::IndexMap;
use serde_json::Value;

use crate::checkout::blocking;
use crate::data::VolumeSizes;
use crate::environment::{Environment, database_placeholder, placeholder};
use crate::error::Error;
use crate::event::Event;
use crate::mark;
use crate::observe_status::{Look, environment_status, git_status};
use crate::rebuild::lost_records;
use crate::reserve::TakenPolicy;
use crate::session::{Machine, Session, SessionOptions};
use crate::state::record::EnvironmentRecord;
use crate::status::EnvironmentStatus;
use crate::up::UpOptions;

/// How long a health check may take when somebody only looks.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the Engine may take to measure volumes before they are shown without their sizes.
const SIZES_TIMEOUT: Duration = Duration::from_secs(3);

/// The environments of a repository or of the machine.
#[derive(Debug)]
pub struct Listing {
    /// The environments, those of one repository together, by task.
    pub environments: Vec<EnvironmentStatus>,
    /// Why the Engine could not be asked; the states are then unknown.
    pub engine_error: Option<Error>,
}

/// The key under which a project tells of the services that it shares, as a project of their own.
const SHARED: &str = "x-shared";

/// A Compose project as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// The name of the project.
    pub project: String,
    /// The project as a Compose file. The repository's secret stands as `${ENVTREE_PASSWORD}`.
    pub yaml: String,
    /// The same as a tree, in which dollar signs stand as they are.
    pub model: serde_json::Value,
    /// What was noticed on the way, `path:line:column: message` where it has a place.
    pub warnings: Vec<String>,
}

/// Returns the environments of every repository on this machine; the directory need not lie in one.
pub async fn list_all(options: &SessionOptions) -> Result<Listing, Error> {
    let machine = Machine::open(options)?;
    let loaded = machine.state.read()?;
    for notice in loaded.notices {
        options.events.emit(Event::Warning(notice.to_string()));
    }
    let observed = observe(&machine.docker, None).await;
    let mut records = loaded.value.environments.clone();
    if let Ok(observed) = &observed {
        records.extend(lost_records(&loaded.value, observed));
    }
    sort(&mut records);
    let mut environments = Vec::new();
    for records in records.chunk_by(|one, other| one.repository == other.repository) {
        let directory = records[0].repository.common_dir.clone();
        // Of a repository that is gone, the Engine and the state still tell something.
        let session = Session::open(SessionOptions { directory, ..options.clone() }).ok();
        for record in records {
            environments.push(look_at(session.as_ref(), record, observed.as_ref().ok(), true).await);
        }
    }
    Ok(Listing { environments, engine_error: observed.err().map(Error::from) })
}

fn replace_texts(tree: &mut Value, from: &str, to: &str) {
    match tree {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_texts(item, from, to)),
        Value::Object(entries) => entries.values_mut().for_each(|value| replace_texts(value, from, to)),
        _ => {}
    }
}

impl ConfigReport {
    fn of(project: &Project, shared: Option<&Project>, warnings: &[String]) -> Self {
        let (mut yaml, mut tree) = (render(project), model(project));
        if let Some(shared) = shared {
            yaml.push_str(SHARED);
            yaml.push_str(":\n");
            for line in render(shared).lines() {
                yaml.push_str(if line.is_empty() { "" } else { "  " });
                yaml.push_str(line);
                yaml.push('\n');
            }
            tree[SHARED] = model(shared);
        }
        for placeholder in [placeholder(), database_placeholder()] {
            // The text is escaped as every `$` of a value, and within a URL; here it is meant as a variable.
            yaml = yaml.replace(&format!("${placeholder}"), &placeholder);
            let encoded = placeholder.replace('$', "%24").replace('{', "%7B").replace('}', "%7D");
            yaml = yaml.replace(&encoded, &placeholder);
            replace_texts(&mut tree, &encoded, &placeholder);
        }
        Self { project: project.name.to_string(), yaml, model: tree, warnings: warnings.to_vec() }
    }
}

impl Session {
    /// Returns the environments of this repository.
    pub async fn list(&self) -> Result<Listing, Error> {
        let state = self.read_state()?;
        let mut records: Vec<EnvironmentRecord> = self.own_records(&state).cloned().collect();
        let repository = crate::state::identity::repository_id(self.repository.common_dir());
        let observed = observe(&self.docker, Some(&repository)).await;
        let mut lost = observed.as_ref().map(|observed| lost_records(&state, observed)).unwrap_or_default();
        mark::complete(&mut lost, &state, &self.repository)?;
        records.extend(lost);
        sort(&mut records);
        let statuses = records.iter().map(|record| look_at(Some(self), record, observed.as_ref().ok(), true));
        Ok(Listing { environments: join_all(statuses).await, engine_error: observed.err().map(Error::from) })
    }

    /// Returns one environment in full.
    pub async fn status(&self, task: Option<&str>) -> Result<EnvironmentStatus, Error> {
        let record = self.record(task).await?;
        let observed = self.with_bases(&record, self.observe_project(&record).await?).await?;
        let has_volumes = observed.volumes.iter().any(|volume| record.owns(&volume.labels));
        let sizes = async {
            if has_volumes { self.volume_sizes(SIZES_TIMEOUT).await } else { VolumeSizes::default() }
        };
        let uppers = observed.uppers.clone();
        let look = async {
            let observed = with_own_checks(&self.docker, observed).await;
            look_at(Some(self), &record, Some(&observed), true).await
        };
        let (mut status, sizes) = tokio::join!(look, sizes);
        for volume in &mut status.volumes {
            match (&mut volume.branch, upper_of(&uppers, &volume.name)) {
                (Some(branch), Some(upper)) => {
                    (branch.own, branch.logical_at_most) = (sizes.of(&upper.name), sizes.of_branch(upper));
                }
                _ => volume.size = sizes.of(&volume.name),
            }
        }
        Ok(status)
    }

    /// Returns an environment that was just brought up; what was waited for is ready, so that no check is run again.
    ///
    /// The sizes of volumes are left out: the Engine takes its time to measure them.
    pub(crate) async fn brought_up(
        &self,
        record: &EnvironmentRecord,
        options: &UpOptions,
    ) -> Result<EnvironmentStatus, Error> {
        let record = self.record(Some(&record.task)).await?;
        let mut observed = self.with_bases(&record, self.observe_project(&record).await?).await?;
        if options.no_wait {
            observed = with_own_checks(&self.docker, observed).await;
        } else {
            for container in starting(&mut observed) {
                container.health = Some(Health::Healthy);
            }
        }
        Ok(look_at(Some(self), &record, Some(&observed), options.git_status).await)
    }

    /// Adds the records of the repository's bases and snapshots, so that what branches lie on can be named.
    async fn with_bases(
        &self,
        record: &EnvironmentRecord,
        mut observed: ObservedState,
    ) -> Result<ObservedState, Error> {
        if !observed.uppers.is_empty() {
            let volumes = self.docker.volumes_of_bases(&record.repository.id).await?;
            let is_record = |volume: &ObservedVolume| volume.labels.contains_key(label::BASE_RECORD);
            observed.volumes.extend(volumes.into_iter().filter(is_record));
        }
        Ok(observed)
    }

    /// Returns the variables of an environment.
    pub async fn variables(&self, task: Option<&str>, view: View) -> Result<IndexMap<String, String>, Error> {
        let record = self.record(task).await?;
        let secret = self.secret(&record)?;
        let environment = self.environment(&record, &secret)?;
        for warning in &environment.warnings {
            self.warn(warning.clone());
        }
        Ok(match view {
            View::Host => environment.host,
            View::Inside => environment.inside,
        })
    }

    /// Returns the Compose project that `up` would apply, or as the files have it if `raw`.
    pub async fn config(&self, task: Option<&str>, raw: bool) -> Result<ConfigReport, Error> {
        let options = UpOptions::of(task);
        if raw {
            // The files alone are meant: neither ports nor subnets have to be free.
            let definition = self.outline(&options, |_, _| Ok(placeholder()))?.definition;
            let refused = definition.wanted.refused.iter().map(ToString::to_string);
            let noticed: Vec<String> = definition.wanted.warnings.iter().cloned().chain(refused).collect();
            return Ok(ConfigReport::of(definition.raw(), None, &noticed));
        }
        let preview = self.preview(&options, TakenPolicy::Keep, |_, _| Ok(placeholder()));
        let environment = Box::new(Box::pin(preview).await?.environment);
        let shared = environment.shared.as_ref().map(|shared| &shared.environment.isolated.project);
        Ok(ConfigReport::of(&environment.isolated.project, shared, &environment.warnings))
    }

    /// Returns the environment of a record as its worktree defines it now.
    pub(crate) fn environment(&self, record: &EnvironmentRecord, secret: &str) -> Result<Environment, Error> {
        let files = self.files_of(record)?;
        let definition = self.define(record, &files, secret)?;
        self.assemble(definition, record)
    }
}

async fn observe(docker: &Docker, repository: Option<&str>) -> Result<ObservedState, DockerError> {
    Ok(with_own_checks(docker, docker.observe_services(repository).await?).await)
}

/// Runs the health checks that the Engine has not run yet: it waits a whole interval before the first.
///
/// Without that, a service that `up` has just proved ready would be told to be starting.
async fn with_own_checks(docker: &Docker, mut observed: ObservedState) -> ObservedState {
    let checks = starting(&mut observed).map(|container| async move {
        let Ok(detail) = docker.inspect_container(&container.name).await else { return };
        let Some(command) = &detail.health_command else { return };
        let checked = docker.exec_status(&container.name, command, CHECK_TIMEOUT).await;
        if checked.is_ok_and(|status| status.code == 0) {
            container.health = Some(Health::Healthy);
        }
    });
    join_all(checks).await;
    observed
}

/// Returns the containers, shared ones included, whose health the Engine does not know yet.
fn starting(observed: &mut ObservedState) -> impl Iterator<Item = &mut ObservedContainer> {
    let ObservedState { containers, shared, .. } = observed;
    containers.iter_mut().chain(shared).filter(|container| container.health == Some(Health::Starting))
}

/// Puts together what one look at the Engine, the worktree's files and git tell.
async fn look_at(
    session: Option<&Session>,
    record: &EnvironmentRecord,
    observed: Option<&ObservedState>,
    asks_git: bool,
) -> EnvironmentStatus {
    // The files add services and addresses; a worktree whose files are broken is listed without.
    let environment = session.and_then(|session| session.environment(record, &placeholder()).ok());
    let trusted = session.and_then(|session| session.trusted().ok());
    let repository = session.filter(|_| asks_git).map(|session| session.repository.clone());
    let worktree = record.worktree.clone();
    let git = blocking(move || git_status(&repository?, &worktree)).await;
    let look = Look { environment: environment.as_ref(), observed, git, trusted: trusted.as_ref() };
    environment_status(record, &look)
}

/// Sorts records by repository, then by task.
fn sort(records: &mut [EnvironmentRecord]) {
    records.sort_by(|one, other| {
        let key = |record: &EnvironmentRecord| {
            (record.repository.name.clone(), record.repository.id.clone(), record.task.clone())
        };
        key(one).cmp(&key(other))
    });
}
