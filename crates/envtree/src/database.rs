//! Makes and drops the databases of an environment on servers that it shares.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use envtree_core::database::{Account, client, dropping};
use envtree_core::known_image::KnownImage;
use envtree_core::name::ServiceName;
use envtree_core::observed::{ObservedContainer, ObservedState};
use envtree_core::project::Project;
use envtree_core::teardown::plan_start;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::readiness::{Fault, NotReady, Readiness};
use crate::ready::backoff::Backoff;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;

/// How long a server may take to carry out the statements.
const LIMIT: Duration = Duration::from_mins(1);

/// The databases of one environment, each server's made once.
pub(crate) struct Databases<'a> {
    session: &'a Session,
    record: &'a EnvironmentRecord,
    project: &'a Project,
    made: BTreeMap<ServiceName, OnceCell<Result<(), NotReady>>>,
}

impl<'a> Databases<'a> {
    /// Returns what makes the databases of an isolated project.
    pub(crate) fn new(session: &'a Session, record: &'a EnvironmentRecord, project: &'a Project) -> Self {
        let made = project.accounts.keys().map(|name| (name.clone(), OnceCell::new())).collect();
        Self { session, record, project, made }
    }

    /// Returns what makes those that the environment has not been given yet.
    pub(crate) fn lacking(session: &'a Session, record: &'a EnvironmentRecord, project: &'a Project) -> Self {
        let mut databases = Self::new(session, record, project);
        databases.made.retain(|server, _| !record.databases.contains_key(server.as_str()));
        databases
    }

    /// Makes the environment's databases on a server that is ready, if it has any there.
    pub(crate) async fn make(&self, server: &str) -> Result<(), NotReady> {
        let Some((name, cell)) = self.made.get_key_value(server) else {
            return Ok(());
        };
        cell.get_or_init(|| self.make_on(name)).await.clone()
    }

    /// Makes the databases on every server as soon as it is ready; returns every failure.
    pub(crate) async fn make_all(&self, readiness: &Readiness<'_>) -> Vec<NotReady> {
        let each = self.made.keys().map(|name| async move {
            readiness.wait_for(name, false).await?;
            self.make(name).await
        });
        futures::future::join_all(each).await.into_iter().filter_map(Result::err).collect()
    }

    async fn make_on(&self, server: &ServiceName) -> Result<(), NotReady> {
        let account = &self.project.accounts[server];
        let made = async {
            // Noted first: what a process that is killed on the way has made, `rm` drops.
            let note = |record: &mut EnvironmentRecord| {
                record.databases.insert(server.to_string(), account.known.scheme().to_owned());
            };
            self.session
                .update_record(&self.record.project, note)
                .await
                .map_err(|error| crate::error::causes(&error).join(": "))?;
            let container = self.project.shared[server].container_name.clone().unwrap_or_default();
            self.run(&container, account).await
        };
        made.await.map_err(|reason| NotReady {
            service: server.to_string(),
            fault: Fault::Databases(reason),
            log: Vec::new(),
            silent: None,
        })
    }

    async fn run(&self, container: &str, account: &Account) -> Result<(), String> {
        let statements = account.making();
        let ran = self.session.docker.exec_input(container, &client(account.known), &statements, LIMIT).await;
        match ran {
            Ok(status) if status.code == 0 => Ok(()),
            // A server may show the statement that it refuses.
            Ok(status) => Err(status.output.trim().replace(&account.password, "…")),
            Err(error) => Err(crate::error::causes(&error).join(": ")),
        }
    }
}

/// Returns what runs a server by the scheme of its URLs.
fn of_scheme(scheme: &str) -> KnownImage {
    if scheme == "postgres" { KnownImage::Postgres } else { KnownImage::MySql }
}

/// Returns the databases that an environment has on each server.
fn databases(known: KnownImage, record: &EnvironmentRecord) -> [String; 2] {
    let account = Account::new(known, &record.id, "");
    [account.database, account.test_database]
}

/// Returns the container of a shared server, if there is one.
fn server_of<'a>(
    containers: &'a [ObservedContainer],
    shared: &EnvironmentRecord,
    server: &str,
) -> Option<&'a ObservedContainer> {
    containers.iter().find(|container| shared.owns(&container.labels) && container.service() == Some(server))
}

impl Session {
    /// Drops the databases of an environment; returns what was done.
    ///
    /// The caller holds the lock of what is shared. A server that is stopped runs for the while.
    pub(crate) async fn drop_databases(&self, record: &EnvironmentRecord) -> Result<Vec<String>, Error> {
        let Some(shared) = self.known_shared(&record.repository.id)?.filter(|_| !record.databases.is_empty())
        else {
            return Ok(Vec::new());
        };
        let mut done = Vec::new();
        for (server, scheme) in &record.databases {
            let known = of_scheme(scheme);
            let observed = self.observe_project(&shared).await?;
            let Some(container) = server_of(&observed.containers, &shared, server) else {
                self.warn(format!(
                    "server `{server}` is gone, so the databases of `{}` on it were not dropped",
                    record.project
                ));
                continue;
            };
            let plan = plan_start(&observed, &record.repository.id, std::slice::from_ref(server));
            self.carry_out(&shared, &plan, "remove").await?;
            self.drop_on(&container.name, server, &dropping(known, &record.id), known).await?;
            for database in databases(known, record) {
                done.push(format!("remove database {database} of {}", container.name));
            }
        }
        self.update_record(&record.project, |record| record.databases.clear()).await?;
        Ok(done)
    }

    /// Returns what [`Self::drop_databases`] would lose; `observed` is what the environment has and shares.
    pub(crate) fn lost_databases(
        &self,
        record: &EnvironmentRecord,
        observed: &ObservedState,
    ) -> Result<Vec<String>, Error> {
        let Some(shared) = self.known_shared(&record.repository.id)? else {
            return Ok(Vec::new());
        };
        let servers = record.databases.iter().filter_map(|(server, scheme)| {
            Some((server_of(&observed.shared, &shared, server)?, of_scheme(scheme)))
        });
        let losses = servers.flat_map(|(server, known)| {
            databases(known, record)
                .map(|database| format!("remove database `{database}` of `{}` and its data", server.name))
        });
        Ok(losses.collect())
    }

    /// Runs the statements, which can be run again, until a server that may just have started takes them.
    async fn drop_on(
        &self,
        container: &str,
        server: &str,
        statements: &str,
        known: KnownImage,
    ) -> Result<(), Error> {
        let (started, mut backoff) = (Instant::now(), Backoff::new());
        loop {
            let ran = self.docker.exec_input(container, &client(known), statements, LIMIT).await;
            let reason = match ran {
                Ok(status) if status.code == 0 => return Ok(()),
                Ok(status) => status.output.trim().to_owned(),
                Err(error) => crate::error::causes(&error).join(": "),
            };
            if started.elapsed() >= LIMIT {
                return Err(Error::Databases { service: server.to_owned(), reason });
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}
