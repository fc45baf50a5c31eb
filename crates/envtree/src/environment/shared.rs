//! What a worktree defines that its environment shares with others, and the databases that it has there.

use envtree_core::database::{accounts, point};
use envtree_core::isolate::{Assignments, isolate};
use envtree_core::project::Project;
use envtree_core::settings::Isolation;
use envtree_core::shared::part;
use indexmap::IndexMap;

use super::{Definition, Environment, placeholder, subnets};
use crate::error::Error;
use crate::load::{Files, LoadError};
use crate::secret::{load_or_create_secret, load_secret};
use crate::session::Session;
use crate::shared::SharedEnvironment;
use crate::state::record::EnvironmentRecord;

/// Returns what stands for the password of an environment's databases where it is not to be shown, or not made yet.
pub(crate) fn database_placeholder() -> String {
    "${ENVTREE_DATABASE_PASSWORD}".to_owned()
}

/// What an environment shares with the others of its repository.
#[derive(Debug, Clone)]
pub(crate) struct SharedDefinition {
    /// The shared services, as a project of their own.
    pub(crate) definition: Definition,
    /// The project as the files have it, in which nothing is set apart.
    pub(crate) raw: Project,
}

impl Definition {
    /// Returns the project as the files have it.
    pub(crate) fn raw(&self) -> &Project {
        self.shared.as_ref().map_or(&self.wanted.project, |shared| &shared.raw)
    }
}

impl SharedEnvironment {
    /// Puts what is shared together with what is reserved for it. It gets no variables of an environment.
    pub(super) fn of(definition: Definition, record: EnvironmentRecord) -> Self {
        let raw = &definition.wanted.project;
        let assignments = Assignments {
            ports: record.held_ports(),
            subnets: subnets(raw, &record),
            inside: IndexMap::new(),
        };
        let environment = Environment {
            isolated: isolate(raw, &definition.identity, &assignments),
            definition,
            host: IndexMap::new(),
            inside: IndexMap::new(),
            warnings: Vec::new(),
            shared: None,
            unhooked: record.unhooked.clone(),
            watched: None,
        };
        Self { record, environment }
    }
}

impl Session {
    /// Takes what is shared out of a definition; `shared` is the record that it gets its names from.
    ///
    /// It is read anew with its own variables: with those of one environment, every `up` of another would change it.
    pub(super) fn set_apart(
        &self,
        definition: &mut Definition,
        shared: &EnvironmentRecord,
        files: &Files,
        secret: &str,
    ) -> Result<(), Error> {
        let parts = |definition: &Definition| {
            let Definition { settings, wanted, top, .. } = definition;
            part(&wanted.project, &settings.sharing, &wanted.inactive, top).map_err(LoadError::Invalid)
        };
        let own = parts(definition)?;
        let mut common = self.load(shared, definition.settings.clone(), (files, None), secret)?;
        common.wanted.project = parts(&common)?.common;
        let raw = std::mem::replace(&mut definition.wanted.project, own.own);
        definition.wanted.warnings.extend(own.warnings);
        self.give_databases(definition, secret)?;
        definition.shared = Some(Box::new(SharedDefinition { definition: common, raw }));
        Ok(())
    }

    /// Points a definition at databases of its own on the servers that it shares but for them.
    fn give_databases(&self, definition: &mut Definition, secret: &str) -> Result<(), Error> {
        let Definition { settings, wanted, identity, .. } = definition;
        let is_isolated =
            |name: &str| settings.sharing.get(name).is_some_and(|how| how.isolation == Isolation::Database);
        let known =
            if secret == placeholder() { None } else { load_secret(self.state.path(), &identity.project)? };
        let password = known.unwrap_or_else(database_placeholder);
        let project = &mut wanted.project;
        project.accounts = accounts(&project.shared, is_isolated, &identity.environment, &password);
        wanted.warnings.extend(point(project, &wanted.places));
        Ok(())
    }

    /// Makes the password of an environment that has databases on a shared server and no password yet; returns whether
    /// it did.
    pub(crate) fn make_password(&self, definition: &Definition) -> Result<bool, Error> {
        let lacks = definition
            .wanted
            .project
            .accounts
            .values()
            .any(|account| account.password == database_placeholder());
        if lacks {
            load_or_create_secret(self.state.path(), &definition.identity.project)?;
        }
        Ok(lacks)
    }
}
