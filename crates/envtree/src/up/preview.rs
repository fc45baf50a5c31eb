//! What `up` would do: the environment and the plan, without a change to anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use envtree_core::adopt::Adopted;
use envtree_core::engine::Scope;
use envtree_core::isolate::own_images;
use envtree_core::name::{ProjectName, VolumeName};
use envtree_core::observed::ObservedState;
use envtree_core::plan::Plan;
use envtree_core::project::Volume;
use envtree_core::reconcile::{ReconcileOptions, plan_images, reconcile};
use jiff::Timestamp;

use super::UpOptions;
use super::refusal::refuse_unmakeable;
use super::scale::refuse_unknown;
use crate::adopt;
use crate::apply::describe;
use crate::checkout::{files_of, refuse_env_file};
use crate::data::{Branches, refuse_begun};
use crate::environment::{Definition, Environment};
use crate::error::{Error, Unreachable};
use crate::event::Act;
use crate::load::{Files, load_settings};
use crate::reserve::{Circumstances, TakenPolicy, reserve};
use crate::route::host_subnets;
use crate::session::Session;
use crate::state::State;
use crate::state::record::EnvironmentRecord;
use crate::target::{Origin, Target, resolve};

/// The environment as `up` would make it.
pub(crate) struct Preview {
    record: EnvironmentRecord,
    target: Target,
    pub(crate) environment: Environment,
    observed: Option<ObservedState>,
    adopted: Adopted,
    observed_shared: Option<ObservedState>,
}

/// What the files define that `up` would read.
pub(crate) struct Outline {
    state: State,
    target: Target,
    record: EnvironmentRecord,
    files: Files,
    pub(crate) definition: Definition,
}

/// What `up` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedUp {
    /// The task.
    pub task: String,
    /// The Compose project.
    pub project: String,
    /// The worktree.
    pub worktree: PathBuf,
    /// The branch.
    pub branch: Option<String>,
    /// Whether the worktree would be made.
    pub creates_worktree: bool,
    /// The Engine calls, in an order in which they can happen.
    pub steps: Vec<PlannedStep>,
    /// What the person should know.
    pub warnings: Vec<String>,
    /// What would need consent.
    pub confirmations: Vec<String>,
}

/// One Engine call of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// Its kind.
    pub act: Act,
    /// What it acts on.
    pub object: String,
    /// Why.
    pub cause: String,
}

impl Session {
    /// Returns the files that decide where worktrees go and branches start: those around the person, else those of the
    /// main worktree, else, in a bare repository, those of `HEAD`.
    pub(crate) fn home_files(&self) -> Files {
        let present = self.repository.current_worktree().or(self.repository.main_worktree());
        if let Some(top) = present {
            return self.present(top);
        }
        match self.repository.resolve_commit("HEAD") {
            Ok(commit) => Files::Commit {
                repository: Box::new(self.repository.clone()),
                commit,
                name: "HEAD".into(),
                top: self.repository.top().to_owned(),
            },
            // A bare repository without a commit has no settings either.
            Err(_) => self.present(self.repository.top()),
        }
    }

    /// Returns what `up` would do.
    pub(super) async fn plan_only(&self, options: &UpOptions) -> Result<PlannedUp, Error> {
        let facts = self.docker.facts().await?;
        let Preview { mut record, target, environment, observed, adopted, observed_shared } =
            // With a placeholder for the secret, every service that is given it would seem to have changed.
            self.preview(options, options.taken_policy(), Self::known_secret).await?;
        let made = refuse_unmakeable(&environment, &files_of(self, &target, &record), facts)?;
        self.refuse_unjoinable(&environment).await?;
        let observed = observed.unwrap_or_default();
        let choices = reconcile_options(&environment, options, false);
        let mut plan = plan_images(&environment.isolated.project, &observed, &choices)
            .map_err(|error| Unreachable::of(error, &environment.definition.wanted))?;
        let images = plan.steps.len();
        if let Some(shared) = &environment.shared {
            let observed = observed_shared.unwrap_or_default();
            let options = options.for_shared();
            let changes = plan_changes(&shared.environment, &observed, &options, false, &Branches::new())?;
            plan.steps.extend(changes.steps);
        }
        if let Some(base) = self.data_source(options).await? {
            refuse_begun(&record, &environment, &observed, &base)?;
            record.data_from = Some(base.key);
        }
        let branches = self.planned_branches(&record, &environment, &observed).await?;
        let changes = plan_changes(&environment, &observed, options, false, &branches)?;
        plan.steps.extend(changes.steps);
        let mut warnings = environment.warnings;
        warnings.extend(made);
        warnings.extend(adopt::warnings(&record.project, &adopted));
        warnings.extend(self.remote_engine(&environment.definition).await?);
        warnings.extend(changes.warnings);
        Ok(PlannedUp {
            task: record.task,
            project: record.project.to_string(),
            worktree: record.worktree,
            branch: record.branch,
            creates_worktree: matches!(target.origin, Origin::Checkout { .. }),
            steps: planned_steps(&plan, images),
            warnings,
            confirmations: changes.confirmations,
        })
    }

    /// Returns what the files define that `up` would read, also if it would refuse that, with nothing reserved for it. No
    /// Engine is asked.
    pub(crate) fn outline(
        &self,
        options: &UpOptions,
        secret: impl FnOnce(&Self, &EnvironmentRecord) -> Result<String, Error>,
    ) -> Result<Outline, Error> {
        let home = load_settings(&self.home_files())?;
        let state = self.read_state()?;
        let target = resolve(self, &state, options, home.base.as_deref())?;
        let mut record = self.identify(&state, &target, home.worktrees.as_deref());
        record.scale.clone_from(&options.scale);
        let files = files_of(self, &target, &record);
        let definition = self.define_to_show(&record, &files, &secret(self, &record)?, None)?;
        Ok(Outline { state, target, record, files, definition })
    }

    /// Returns the environment as `up` would make it, with the repository's secret, which is made if there is none.
    pub(crate) async fn previewed(
        &self,
        options: &UpOptions,
    ) -> Result<(EnvironmentRecord, Environment), Error> {
        let preview = Box::pin(self.preview(options, TakenPolicy::Keep, Self::secret)).await?;
        Ok((preview.record, preview.environment))
    }

    /// Returns the environment as `up` would make it. Reservations are made in memory alone, and an Engine that does not
    /// answer has nothing. `secret` returns what stands for the repository's secret.
    pub(crate) async fn preview(
        &self,
        options: &UpOptions,
        taken: TakenPolicy,
        secret: impl FnOnce(&Self, &EnvironmentRecord) -> Result<String, Error>,
    ) -> Result<Preview, Error> {
        let Outline { state, target, mut record, files, definition } = self.outline(options, secret)?;
        definition.check()?;
        refuse_unknown(&options.scale, &definition)?;
        refuse_env_file(self, &files, &definition)?;
        let observed = self.observe_and_adopt(&record, &definition).await.ok();
        let (mut observed, adopted) = observed.unzip();
        if let Some(observed) = &mut observed {
            // They are gone before `up` looks.
            let half_made = self.half_made_volumes(&record).await?;
            observed.volumes.retain(|volume| !half_made.contains(&volume.name));
        }
        // Without the Engine, the route to a network of this environment would look like somebody else's.
        let remote_ports = if observed.is_some() { self.remote_ports().await? } else { None };
        let routes = if observed.is_some() && remote_ports.is_none() { host_subnets() } else { Vec::new() };
        let nothing = ObservedState::default();
        let circumstances = Circumstances {
            definition: &definition,
            observed: observed.as_ref().unwrap_or(&nothing),
            routes: &routes,
            machine: &self.machine,
            taken,
            refused: &BTreeSet::new(),
            remote_ports: remote_ports.as_ref(),
        };
        reserve(&mut record, &state, &circumstances)?;
        let own = &record;
        let (mut shared, mut observed_shared) = (None, None);
        if let Some(definition) = &definition.shared
            && let Some(mut record) = self.shared_record(&state, &record.repository)
        {
            let definition = &definition.definition;
            if observed.is_some() {
                observed_shared =
                    self.observe_and_adopt(&record, definition).await.ok().map(|(observed, _)| observed);
            }
            let circumstances = Circumstances {
                definition,
                observed: observed_shared.as_ref().unwrap_or(&nothing),
                routes: &routes,
                machine: &self.machine,
                taken: TakenPolicy::Keep,
                refused: &BTreeSet::new(),
                remote_ports: remote_ports.as_ref(),
            };
            let mut state = state.clone();
            state.put(own.clone());
            reserve(&mut record, &state, &circumstances)?;
            shared = Some(record);
        }
        let environment = self.assemble_with(definition, &record, shared)?;
        let adopted = adopted.unwrap_or_default();
        Ok(Preview { record, target, environment, observed, adopted, observed_shared })
    }
}

/// Returns what must change on the Engine; with `consent` also what loses something.
pub(crate) fn plan_changes(
    environment: &Environment,
    observed: &ObservedState,
    options: &UpOptions,
    consent: bool,
    branches: &Branches,
) -> Result<Plan, Error> {
    let branches = branches.clone();
    let choices = ReconcileOptions { branches, ..reconcile_options(environment, options, consent) };
    let plan = reconcile(&environment.isolated.project, observed, &choices);
    plan.map_err(|error| Unreachable::of(error, &environment.definition.wanted).into())
}

/// Returns the choices that a plan for the environment depends on; with `consent` something may be lost.
pub(crate) fn reconcile_options(
    environment: &Environment,
    options: &UpOptions,
    consent: bool,
) -> ReconcileOptions {
    let identity = &environment.definition.identity;
    ReconcileOptions {
        repository: identity.repository.clone(),
        worktree: environment.definition.top.clone(),
        pull: options.pull,
        now: Timestamp::now().as_second(),
        build: options.build,
        inactive: environment.definition.wanted.inactive.clone(),
        remove_orphans: options.remove_orphans || consent,
        recreate_volumes: consent,
        force_recreate: options.force_recreate,
        unhooked: environment.unhooked.clone(),
        branches: Branches::new(),
    }
}

/// Returns what an observation for this definition looks at, where `shared` is what the repository's environments share,
/// whether or not this one does.
pub(crate) fn scope(definition: &Definition, shared: Option<ProjectName>) -> Scope {
    let project = &definition.wanted.project;
    let mut images = own_images(project, &project.name);
    images.sort();
    images.dedup();
    // Those of the project itself are looked for by name too: somebody else's may have it.
    let name = |(key, volume): (&VolumeName, &Volume)| {
        if volume.external {
            volume.name.clone().unwrap_or_else(|| key.to_string())
        } else {
            project.name.object(key)
        }
    };
    let volumes = project.volumes.iter().map(name).collect();
    Scope { project: project.name.clone(), images, volumes, built: false, shared }
}

/// Returns the steps for people. The pull or build of a missing image is not listed twice.
fn planned_steps(plan: &Plan, images: usize) -> Vec<PlannedStep> {
    let mut steps: Vec<PlannedStep> = Vec::new();
    for (position, step) in plan.steps.iter().enumerate() {
        let (act, object) = describe(&step.operation);
        let is_image = position >= images && matches!(act, Act::PullImage | Act::BuildImage);
        if is_image && steps[..images.min(steps.len())].iter().any(|step| step.object == object) {
            continue;
        }
        steps.push(PlannedStep { act, object, cause: step.cause.clone() });
    }
    steps
}
