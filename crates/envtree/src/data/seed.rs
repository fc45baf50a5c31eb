//! The seed: its text, where it runs, and its run in the making of a base.

use envtree_core::branch::DataVolume;
use envtree_core::branch::key::{SeedIngredients, SeedService, definition_hash};
use envtree_core::branch::seed::seed_project;
use envtree_core::compose_file::node::Place;
use envtree_core::engine::Engine;
use envtree_core::name::ServiceName;
use envtree_core::observed::ObservedState;
use envtree_core::one_off::{OneOff, plan_one_off};
use envtree_core::project::Project;
use envtree_core::reconcile::plan_missing_images;
use envtree_core::service::Service;
use envtree_core::settings::{Hook, Settings};
use envtree_core::variables::{View, variables};
use serde_json::json;

use super::inputs::inputs;
use super::make::{Making, container, scope};
use super::undirected;
use crate::environment::Environment;
use crate::error::Error;
use crate::event::Events;
use crate::hook::{Inside, run_hook};
use crate::load::{OneOffFile, SETTINGS_FILE};
use crate::session::Session;
use crate::state::record::EnvironmentRecord;
use crate::trust::CommandText;

/// The key of the seed in `envtree.yaml`.
pub(crate) const SEED: &str = "data.seed";

/// Returns the seed's exact text as trust names it, where it runs included.
pub(crate) fn seed_text<'a>(repository: &str, settings: &'a Settings) -> Option<(CommandText, &'a Hook)> {
    let seed = settings.data.seed.as_ref()?;
    let key = match &seed.service {
        Some((service, _)) => format!("{SEED} in service {service}"),
        None => SEED.to_owned(),
    };
    Some((CommandText::new(repository, &key, SETTINGS_FILE, &seed.hook.commands), &seed.hook))
}

/// A service beside the servers of a base, in whose container a seed runs.
#[derive(Debug)]
pub(super) struct SeedBeside {
    name: ServiceName,
    /// The isolated project with it.
    project: Project,
}

impl Session {
    /// Returns the service beside those of `volumes` that the seed runs in; none if it runs on the host or in one of them.
    pub(super) fn seed_beside(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        volumes: &[DataVolume],
    ) -> Result<Option<SeedBeside>, Error> {
        let seed = environment.definition.settings.data.seed.as_ref();
        self.beside(record, seed.and_then(|seed| seed.service.as_ref()), volumes)
    }

    /// Returns the service that commands run in, unless it is one of `volumes` or there is none.
    pub(super) fn beside(
        &self,
        record: &EnvironmentRecord,
        service: Option<&(String, Place)>,
        volumes: &[DataVolume],
    ) -> Result<Option<SeedBeside>, Error> {
        let Some((service, _)) = service else {
            return Ok(None);
        };
        if volumes.iter().any(|volume| volume.service == service.as_str()) {
            return Ok(None);
        }
        // No profile may enable it, and nothing is reserved for it.
        let nothing = "ports: !reset [], depends_on: !reset {}, links: !reset [], network_mode: !reset null";
        let text =
            format!("services: {{ {}: {{ {nothing}, networks: !override [default] }} }}", json!(service));
        let file =
            OneOffFile { service: service.clone(), text: text.replace('$', "$$"), origins: Vec::new() };
        let files = self.files_of(record)?;
        let definition = self.define_for(record, &files, &self.known_secret(record)?, Some(&file))?;
        let project = undirected(&self.assemble(definition, record)?);
        let name = ServiceName::new(&**service).expect("the files name the service");
        Ok(Some(SeedBeside { name, project }))
    }

    /// Brings the image of the service beside those of `volumes` that the seed runs in, unless it is built: the key of the
    /// base depends on it.
    pub(super) async fn bring_seed_image(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        volumes: &[DataVolume],
    ) -> Result<(), Error> {
        let Some(SeedBeside { name, project }) = self.seed_beside(record, environment, volumes)? else {
            return Ok(());
        };
        let service = &project.services[&name];
        if service.build.is_some() || self.docker.inspect_image(&service.image).await?.is_some() {
            return Ok(());
        }
        let mut alone = Project::new(record.project.clone());
        alone.services.insert(name, service.clone());
        let options = Making::options(record, &environment.definition.top);
        let plan = plan_missing_images(&alone, &ObservedState::default(), &options)?;
        self.apply_to_base(&record.project, &plan).await
    }

    /// Returns what the outcome of the seed depends on, if there is one.
    pub(super) async fn seed_ingredients(
        &self,
        record: &EnvironmentRecord,
        environment: &Environment,
        beside: Option<&SeedBeside>,
    ) -> Result<Option<SeedIngredients>, Error> {
        let settings = &environment.definition.settings.data;
        let Some(seed) = &settings.seed else {
            return Ok(None);
        };
        let inputs = inputs(&self.repository, &record.worktree, &settings.inputs)?;
        let service = match (&seed.service, beside) {
            (_, Some(SeedBeside { name, project })) => {
                let service = &project.services[name];
                let is_built = service.build.is_some();
                let image = if is_built { None } else { self.docker.inspect_image(&service.image).await? };
                let image = image.map(|image| image.id);
                let definition = definition_hash(&without_traces(service, record));
                Some(SeedService { name: name.to_string(), image, definition })
            }
            // The server itself counts already.
            (Some((name, _)), None) => {
                Some(SeedService { name: name.clone(), image: None, definition: String::new() })
            }
            (None, None) => None,
        };
        Ok(Some(SeedIngredients { commands: seed.hook.commands.clone(), inputs, service }))
    }
}

/// Returns a service without what its container is not given for a seed, and without what names the environment: a base
/// is made for all of them.
fn without_traces(service: &Service, record: &EnvironmentRecord) -> Service {
    let traces = [record.worktree.to_string_lossy().into_owned(), record.project.to_string()];
    let mut service = Service { command: None, entrypoint: None, ..service.clone() };
    for value in service.environment.values_mut() {
        for trace in &traces {
            *value = value.replace(trace, "");
        }
    }
    service
}

/// Commands of `envtree.yaml` that work on a base in the making.
pub(super) struct BaseCommands<'a> {
    /// Their key.
    pub(super) key: &'a str,
    pub(super) commands: &'a [String],
    /// The service in whose container they run; none for the host.
    pub(super) service: Option<&'a str>,
    /// That service, if it is none of the base's servers.
    pub(super) beside: Option<&'a SeedBeside>,
}

impl Making<'_> {
    /// Runs the seed with variables that lead to the base: on the host, or in a container.
    pub(super) async fn seed(&self, project: &Project) -> Result<(), Error> {
        let settings = &self.environment.definition.settings.data;
        let Some(seed) = settings.seed.as_ref().filter(|_| self.wanted.is_seeded) else {
            return Ok(());
        };
        let commands = BaseCommands {
            key: SEED,
            commands: &seed.hook.commands,
            service: seed.service.as_ref().map(|(service, _)| service.as_str()),
            beside: self.wanted.beside.as_ref(),
        };
        self.run_commands(&commands, project, &self.session.options.events).await
    }

    /// Runs commands with variables that lead to the base; `project` tells where its servers are.
    pub(super) async fn run_commands(
        &self,
        work: &BaseCommands<'_>,
        project: &Project,
        events: &Events,
    ) -> Result<(), Error> {
        let Self { session, record, environment, .. } = self;
        let BaseCommands { key, commands, service, beside } = *work;
        let definition = &environment.definition;
        let view = if service.is_some() { View::Inside } else { View::Host };
        let of_base = variables(project, &definition.identity, &[], view);
        let (mut variables, _) = session.with_settings(of_base, definition)?;
        variables.insert("COMPOSE_PROJECT_NAME".into(), self.name.to_string());
        let Some(name) = service else {
            let variables = session.hook_variables(record, &variables);
            return Ok(run_hook(key, commands, &record.worktree, &variables, events).await?);
        };
        let services = &beside.map_or(project, |beside| &beside.project).services;
        if let Some(service) = services.get(name) {
            // As in an environment, what the file says of a variable stands.
            variables.retain(|variable, _| !service.environment.contains_key(variable));
        }
        let docker = &session.docker;
        let Some(beside) = beside else {
            let name = ServiceName::new(name).expect("the files name the service");
            let container = container(project, &name);
            return Inside { docker, container, variables: &variables }.run(key, commands, events).await;
        };
        let container = self.start_beside(beside).await?;
        Inside { docker, container: &container, variables: &variables }.run(key, commands, events).await?;
        Ok(docker.remove_container(&container, true).await?)
    }

    /// Starts the container of a seed, and returns its name.
    async fn start_beside(&self, beside: &SeedBeside) -> Result<String, Error> {
        self.start_idle(seed_project(&beside.project, &self.project, &beside.name, &self.labels)).await
    }

    /// Starts a container beside the servers, and returns its name.
    pub(super) async fn start_idle(&self, (project, one_off): (Project, OneOff)) -> Result<String, Error> {
        let Self { session, record, environment, .. } = self;
        let images = project.services.values().map(|service| service.image.clone()).collect();
        let observed = session.docker.observe(&scope(&self.name, images)).await?;
        let options = Self::options(record, &environment.definition.top);
        let plan = plan_one_off(&project, &observed, &one_off, &options)?.plan;
        session.apply_to_base(&self.name, &plan).await?;
        session.docker.start_container(&one_off.container).await?;
        Ok(one_off.container)
    }
}
