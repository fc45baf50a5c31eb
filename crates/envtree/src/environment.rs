//! One environment as its worktree defines it: settings, project, variables, and what is reserved for it.

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use envtree_core::branch::refuse_unbranchable;
use envtree_core::branch::seed::refuse_unknown_service;
use envtree_core::compose_file::interpolate::interpolate_text;
use envtree_core::isolate::{Assignments, Identity, Isolated, isolate};
use envtree_core::name::NetworkName;
use envtree_core::port::{Owner, PortKey, wanted_by_services};
use envtree_core::project::Project;
use envtree_core::service::Protocol;
use envtree_core::settings::Settings;
use envtree_core::shared::join;
use envtree_core::subnet::Subnet;
use envtree_core::variables::{AppPort, View, variables};
use indexmap::IndexMap;

use crate::error::Error;
use crate::load::{
    ComposeRequest, Files, LoadError, OneOffFile, Wanted, is_input, load_compose, load_settings, normal,
};
use crate::secret::{load_or_create_secret, load_secret};
use crate::session::Session;
use crate::shared::SharedEnvironment;
use crate::state::record::EnvironmentRecord;

pub(crate) use shared::{SharedDefinition, database_placeholder};

/// The variable by which Compose files name the repository's secret.
pub(crate) const PASSWORD: &str = "ENVTREE_PASSWORD";

/// How many containers one service may have.
const MOST_CONTAINERS: u32 = 1000;

/// Returns what stands for the secret where it is not to be shown.
pub(crate) fn placeholder() -> String {
    format!("${{{PASSWORD}}}")
}

/// What a worktree defines, before anything is reserved for it.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) settings: Settings,
    /// What the environment has for itself.
    pub(crate) wanted: Wanted,
    pub(crate) identity: Identity,
    /// The folder whose files define it.
    pub(crate) top: String,
    /// What it shares with the other environments of the repository.
    pub(crate) shared: Option<Box<SharedDefinition>>,
}

impl Definition {
    /// Returns an error if no Engine can run what the files define.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        LoadError::unless_empty(self.wanted.refused.clone())
    }
}

/// An environment with its reservations: all that `up` makes true.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) definition: Definition,
    pub(crate) isolated: Isolated,
    /// The variables for the host.
    pub(crate) host: IndexMap<String, String>,
    /// The variables for the environment's network.
    pub(crate) inside: IndexMap<String, String>,
    /// What was noticed, loading included.
    pub(crate) warnings: Vec<String>,
    /// What it shares.
    pub(crate) shared: Option<Box<SharedEnvironment>>,
    /// Containers whose `post_start` hooks have not all run.
    pub(crate) unhooked: BTreeSet<String>,
    watched: Option<Box<Project>>,
}

impl Environment {
    /// Returns the isolated project with the shared services in it.
    pub(crate) fn watched(&self) -> &Project {
        self.watched.as_deref().unwrap_or(&self.isolated.project)
    }
}

impl Session {
    /// Returns the files of an environment's worktree, which must be there; those of its commit, until they are written.
    pub(crate) fn files_of(&self, record: &EnvironmentRecord) -> Result<Files, Error> {
        if !record.worktree.is_dir() {
            return Err(Error::WorktreeGone { task: record.task.clone(), worktree: record.worktree.clone() });
        }
        let Some(commit) = self.repository.unfinished_checkout(&record.worktree) else {
            return Ok(self.present(&record.worktree));
        };
        Ok(Files::Commit {
            repository: Box::new(self.repository.clone()),
            commit,
            name: record.branch.clone().unwrap_or_else(|| commit.short()),
            top: record.worktree.clone(),
        })
    }

    /// Returns the files of the worktree at `top`.
    pub(crate) fn present(&self, top: &Path) -> Files {
        Files::Present {
            repository: Box::new(self.repository.clone()),
            top: top.to_owned(),
            directory: self.directory().to_owned(),
        }
    }

    /// Returns the repository's secret, which is made when it is first needed.
    pub(crate) fn secret(&self, record: &EnvironmentRecord) -> Result<String, Error> {
        Ok(load_or_create_secret(self.state.path(), &record.repository.id)?)
    }

    /// Returns the repository's secret, or what stands for it as long as there is none.
    pub(crate) fn known_secret(&self, record: &EnvironmentRecord) -> Result<String, Error> {
        Ok(load_secret(self.state.path(), &record.repository.id)?.unwrap_or_else(placeholder))
    }

    /// Reads what the worktree of `record` defines; `secret` stands for [`PASSWORD`].
    pub(crate) fn define(
        &self,
        record: &EnvironmentRecord,
        files: &Files,
        secret: &str,
    ) -> Result<Definition, Error> {
        self.define_for(record, files, secret, None)
    }

    /// Reads what the worktree of `record` defines, as the command `one_off` changes it.
    pub(crate) fn define_for(
        &self,
        record: &EnvironmentRecord,
        files: &Files,
        secret: &str,
        one_off: Option<&OneOffFile>,
    ) -> Result<Definition, Error> {
        let definition = self.define_to_show(record, files, secret, one_off)?;
        definition.check()?;
        Ok(definition)
    }

    /// Reads what the worktree of `record` defines, also what no Engine can run.
    pub(crate) fn define_to_show(
        &self,
        record: &EnvironmentRecord,
        files: &Files,
        secret: &str,
        one_off: Option<&OneOffFile>,
    ) -> Result<Definition, Error> {
        let settings = load_settings(files)?;
        let mut definition = self.load(record, settings, (files, one_off), secret)?;
        let Definition { settings, wanted, .. } = &mut definition;
        wanted.refused.extend(refuse_unbranchable(&settings.data.volumes, &wanted.project, &wanted.inactive));
        let service = settings.data.seed.as_ref().and_then(|seed| seed.service.as_ref());
        let unknown =
            service.and_then(|service| refuse_unknown_service(service, &wanted.project, &wanted.inactive));
        wanted.refused.extend(unknown);
        if !definition.settings.sharing.is_empty()
            && let Some(shared) = self.shared_record(&self.read_state()?, &record.repository)
        {
            self.set_apart(&mut definition, &shared, files, secret)?;
        }
        Ok(definition)
    }

    /// Reads what the worktree defines as one project, by the names and with the variables of `record`, and as a command
    /// changes it.
    fn load(
        &self,
        record: &EnvironmentRecord,
        settings: Settings,
        (files, one_off): (&Files, Option<&OneOffFile>),
        secret: &str,
    ) -> Result<Definition, Error> {
        let own = own_variables(record, secret);
        let named = self.named_files(files.top());
        let here = self.standing_in(files.top());
        let mut wanted = load_compose(&ComposeRequest {
            files,
            settings: &settings,
            here: &here,
            named: &named,
            input: &self.options.input,
            profiles: &self.options.profiles,
            environment: &self.options.environment,
            own: &own,
            name: record.project.clone(),
            one_off,
        })?;
        if secret == placeholder() {
            hide_passwords(&mut wanted.project);
        }
        scale(&mut wanted.project, &record.scale)?;
        let identity = Identity {
            repository: record.repository.id.clone(),
            repository_name: record.repository.name.clone(),
            common_dir: record.repository.common_dir.to_string_lossy().into_owned(),
            environment: record.id.clone(),
            task: record.task.clone(),
            worktree: record.worktree.to_string_lossy().into_owned(),
            project: record.project.clone(),
            config_files: wanted
                .compose_files
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let top = files.top().to_string_lossy().into_owned();
        Ok(Definition { settings, wanted, identity, top, shared: None })
    }

    /// Returns the folder of the worktree at `top` that is the like of where the person stands; its top if they do not
    /// stand in a worktree.
    fn standing_in(&self, top: &Path) -> PathBuf {
        let here = self.repository.current_worktree();
        let inside = here.and_then(|here| self.directory().strip_prefix(here).ok());
        inside.map_or_else(|| top.to_owned(), |inside| top.join(inside))
    }

    /// Returns the files of `--file` as the worktree at `top` has them.
    ///
    /// A path is relative to where the person stands. One that lies in the worktree around that place means the same
    /// file of the environment's own worktree; any other file is one for all.
    fn named_files(&self, top: &Path) -> Vec<PathBuf> {
        let here = self.repository.current_worktree();
        let named = self.options.files.iter().map(|file| {
            if is_input(file) {
                return file.clone();
            }
            let path = normal(&self.directory().join(file));
            let inside = here.and_then(|here| path.strip_prefix(here).ok());
            inside.map_or_else(|| path.clone(), |inside| top.join(inside))
        });
        named.collect()
    }

    /// Puts a definition together with what `record` reserves.
    pub(crate) fn assemble(
        &self,
        definition: Definition,
        record: &EnvironmentRecord,
    ) -> Result<Environment, Error> {
        let shared = if definition.shared.is_some() {
            self.shared_record(&self.read_state()?, &record.repository)
        } else {
            None
        };
        self.assemble_with(definition, record, shared)
    }

    /// Puts a definition together with what `record` reserves, and `shared` for what it shares.
    pub(crate) fn assemble_with(
        &self,
        definition: Definition,
        record: &EnvironmentRecord,
        shared: Option<EnvironmentRecord>,
    ) -> Result<Environment, Error> {
        let shared = definition.shared.as_ref().zip(shared).map(|(definition, record)| {
            Box::new(SharedEnvironment::of(definition.definition.clone(), record))
        });
        let apps = app_ports(&definition.settings, record);
        let held = record.held_ports();
        let raw = &definition.wanted.project;
        let mut warnings = definition.wanted.warnings.clone();
        let set = |variables| self.with_settings(variables, &definition);
        let inside = set(variables(raw, &definition.identity, &apps, View::Inside))?;
        let assignments =
            Assignments { ports: held, subnets: subnets(raw, record), inside: inside.0.clone() };
        let mut isolated = isolate(raw, &definition.identity, &assignments);
        let mut watched = None;
        if let Some(shared) = &shared {
            join(&mut isolated.project, &shared.environment.isolated.project);
            isolated.warnings.extend(shared.environment.isolated.warnings.iter().cloned());
            let mut all = isolated.project.clone();
            all.services.extend(std::mem::take(&mut all.shared));
            watched = Some(Box::new(all));
        }
        let host = set(variables(&isolated.project, &definition.identity, &apps, View::Host))?;
        warnings.extend(host.1);
        warnings.extend(isolated.warnings.iter().cloned());
        let unhooked = record.unhooked.clone();
        let (host, inside) = (host.0, inside.0);
        Ok(Environment { definition, isolated, host, inside, warnings, shared, unhooked, watched })
    }

    /// Adds the variables under `env.set`, filled in with those of the environment, of the process and of `.env`.
    pub(crate) fn with_settings(
        &self,
        mut variables: IndexMap<String, String>,
        definition: &Definition,
    ) -> Result<(IndexMap<String, String>, Vec<String>), Error> {
        let mut warnings = Vec::new();
        for (name, text) in &definition.settings.env.set {
            let filled = {
                let lookup = |name: &str| {
                    variables
                        .get(name)
                        .or_else(|| self.options.environment.get(name))
                        .or_else(|| definition.wanted.dotenv.get(name))
                        .cloned()
                };
                interpolate_text(text, &lookup)
                    .map_err(|message| Error::Variable { name: name.clone(), message })?
            };
            for unset in filled.unset {
                warnings.push(format!("envtree.yaml: `env.set.{name}` names `{unset}`, which is not set; an empty text stands in for it"));
            }
            variables.insert(name.clone(), filled.text);
        }
        Ok((variables, warnings))
    }
}

/// Forgets the passwords that stand in files: where the repository's secret is not to be shown, they are not either.
fn hide_passwords(project: &mut Project) {
    for service in project.services.values_mut() {
        service.given.retain(|name, _| !name.ends_with("PASSWORD"));
    }
}

/// Gives services as many containers as they were brought up with, and refuses more than a machine is good for.
///
/// What the files no longer name, they no longer have.
fn scale(project: &mut Project, counts: &BTreeMap<String, u32>) -> Result<(), Error> {
    for (name, service) in &mut project.services {
        if let Some(count) = counts.get(name.as_str()) {
            service.set_replicas(*count);
        }
        let (count, most) = (service.replicas(), MOST_CONTAINERS);
        match &service.container_name {
            _ if count > most => {
                return Err(Error::TooManyContainers { service: name.to_string(), count, most });
            }
            Some(fixed) if count > 1 => {
                let (service, name) = (name.to_string(), fixed.clone());
                return Err(Error::NamedContainer { service, name, count });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the subnet that a record holds for each network of a project.
fn subnets(project: &Project, record: &EnvironmentRecord) -> IndexMap<NetworkName, Subnet> {
    project.networks.keys().filter_map(|key| Some((key.clone(), record.subnet(key)?))).collect()
}

/// Returns the variables by which Compose files may name their environment.
fn own_variables(record: &EnvironmentRecord, secret: &str) -> IndexMap<String, String> {
    [
        (PASSWORD, secret.to_owned()),
        ("ENVTREE_TASK", record.task.clone()),
        ("ENVTREE_ENVIRONMENT", record.id.to_string()),
        ("ENVTREE_WORKTREE", record.worktree.to_string_lossy().into_owned()),
        ("COMPOSE_PROJECT_NAME", record.project.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Returns what host ports the definition wants: services first, then apps.
pub(crate) fn wanted_ports(definition: &Definition) -> Vec<PortKey> {
    let mut keys = wanted_by_services(&definition.wanted.project);
    keys.extend(definition.settings.apps.iter().map(|(name, app)| app_key(name, app.port)));
    keys
}

fn app_key(name: &str, port: u16) -> PortKey {
    let owner = Owner::App(name.to_owned());
    PortKey { owner, replica: 1, target: port, protocol: Protocol::Tcp, index: 0 }
}

fn app_ports(settings: &Settings, record: &EnvironmentRecord) -> Vec<AppPort> {
    let held = record.held_ports();
    let port = |(name, app): (&String, &envtree_core::settings::App)| {
        Some(AppPort {
            name: name.clone(),
            variable: app.variable(name),
            target: app.port,
            published: *held.get(&app_key(name, app.port))?,
        })
    };
    settings.apps.iter().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::test_repository::TestRepository;
    use crate::session::test_session::{main_record, options};
    use crate::state::record::PortReservation;

    /// The environment of the main worktree with these settings, `PROCESS` and `POSTGRES_PORT` set, and ports held.
    fn assembled(settings: &str) -> Result<Environment, Error> {
        let shop = TestRepository::new();
        shop.write("envtree.yaml", settings);
        shop.write(".env", "FROM_DOTENV=dot\nPROCESS=dot\n");
        let mut options = options(&shop, &shop.path);
        let set = [("PROCESS", "process"), ("POSTGRES_PORT", "1")];
        options.environment.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let session = Session::open(options).unwrap();
        let mut record = main_record(&session);
        let definition = session.define(&record, &session.present(&shop.path), "secret")?;
        for (key, published) in wanted_ports(&definition).into_iter().zip(20000..) {
            let PortKey { owner, replica, target, protocol, index } = key;
            let address = std::net::Ipv4Addr::LOCALHOST.into();
            let reservation = PortReservation { owner, replica, target, protocol, index, address, published };
            record.ports.push(reservation);
        }
        session.assemble(definition, &record)
    }

    #[test]
    fn variables_of_the_settings_name_those_of_the_environment_the_process_and_dotenv() {
        let environment = assembled(
            "env:\n  set:\n    DSN: pg://${POSTGRES_HOST}:${POSTGRES_PORT}\n    AGAIN: ${DSN}/x\n    MIX: ${PROCESS}-${FROM_DOTENV}-${NONE:-none}\n",
        )
        .unwrap();
        assert_eq!(environment.host["DSN"], "pg://127.0.0.1:20000");
        assert_eq!(environment.host["AGAIN"], "pg://127.0.0.1:20000/x");
        assert_eq!(environment.inside["DSN"], "pg://postgres:5432");
        assert_eq!(environment.host["MIX"], "process-dot-none");
        assert_eq!(environment.host["COMPOSE_PROJECT_NAME"], "shop-main");
    }

    #[test]
    fn an_unset_variable_is_pointed_out_once_and_a_required_one_is_an_error() {
        let environment = assembled("env: { set: { A: \"${NONE}\" } }\n").unwrap();
        assert_eq!(
            environment.warnings,
            ["envtree.yaml: `env.set.A` names `NONE`, which is not set; an empty text stands in for it"]
        );
        let error = assembled("env: { set: { A: \"${NONE:?needed}\" } }\n").unwrap_err();
        assert!(error.to_string().contains("variable `A`"), "{error}");
    }

    #[test]
    fn an_app_gets_its_own_port_on_the_host() {
        let environment = assembled("apps: { web: { port: 3000 }, api: { port: 80, env: PORT } }\n").unwrap();
        assert_eq!(
            (environment.host["WEB_PORT"].as_str(), environment.host["PORT"].as_str()),
            ("20002", "20003")
        );
    }

    #[test]
    fn the_secret_is_the_password_and_a_wrong_setting_is_named_with_its_place() {
        let environment = assembled("").unwrap();
        assert_eq!(environment.host["POSTGRES_PASSWORD"], "secret");
        let error = assembled("env:\n  sett: {}\n").unwrap_err();
        assert!(error.to_string().starts_with("envtree.yaml:2:3: "), "{error}");
    }

    #[test]
    fn the_password_in_a_secret_is_not_shown_where_that_of_the_repository_is_not() {
        let shop = TestRepository::new();
        let variables = "POSTGRES_PASSWORD_FILE: /run/secrets/p, POSTGRES_USER_FILE: /run/secrets/u";
        let service = format!("image: postgres:17, secrets: [p, u], environment: {{ {variables} }}");
        let secrets = "p: { file: ./p }, u: { file: ./u }";
        shop.write(
            "compose.yaml",
            &format!("services: {{ db: {{ {service} }} }}\nsecrets: {{ {secrets} }}\n"),
        );
        shop.write("p", "hunter2\n");
        shop.write("u", "app\n");
        let session = Session::open(options(&shop, &shop.path)).unwrap();
        let record = main_record(&session);
        let inside = |secret: &str| {
            let definition = session.define(&record, &session.present(&shop.path), secret).unwrap();
            session.assemble(definition, &record).unwrap().inside["DATABASE_URL"].clone()
        };
        assert_eq!(inside("secret"), "postgres://app:hunter2@db:5432/app");
        assert_eq!(inside(&placeholder()), "postgres://app@db:5432/app");
    }
}
