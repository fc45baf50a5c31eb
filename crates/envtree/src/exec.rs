//! `exec` and `logs`: reach into an environment.

use std::path::PathBuf;
use std::pin::Pin;

use envtree_core::observed::ObservedContainer;
use envtree_docker::DockerError;
use envtree_docker::attach::{Attached, AttachedControl};
use envtree_docker::exec::{self, ExecControl, ExecOptions, TerminalSize};
use envtree_docker::logs::LogsOptions;
use envtree_docker::output::OutputStream;
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use indexmap::IndexMap;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::readiness::spoken_name;
use crate::session::Session;

/// Where and with what a command runs on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostExec {
    /// The worktree: the working directory, unless the person stands in a folder below it.
    pub directory: PathBuf,
    /// The environment's variables, to be added to those of the process.
    pub variables: IndexMap<String, String>,
}

/// A command to run inside a service's container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceExec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether the command gets a terminal.
    pub tty: bool,
    /// Whether the command's standard input is open.
    pub interactive: bool,
    /// The number of the container; the first one there is if absent.
    pub index: Option<u32>,
}

/// A command that runs inside a service's container.
pub struct ServiceSession {
    /// The command's standard input; shutting it down ends the input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What the command writes, until it has ended.
    pub output: BoxStream<'static, Result<Output, Error>>,
    control: Control,
}

/// What a command runs in: a container that runs anyway, or one of its own.
enum Control {
    Inside(ExecControl),
    Attached(Box<AttachedControl>, Option<JoinHandle<Result<i64, DockerError>>>),
}

/// A piece of what a command wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether it came on standard error; with a terminal everything comes on standard output.
    pub stderr: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl ServiceSession {
    /// Tells the command's terminal its size.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), Error> {
        let size = TerminalSize { width: columns, height: rows };
        let resized = match &self.control {
            Control::Inside(control) => control.resize(size).await,
            Control::Attached(control, _) => control.resize(size).await,
        };
        Ok(resized?)
    }

    /// Returns the status that the command ended with, once it has.
    pub async fn exit_code(&mut self) -> Result<i64, Error> {
        match &mut self.control {
            Control::Inside(control) => Ok(control.exit_code().await?),
            Control::Attached(control, ended) => match ended.take() {
                Some(ended) => Ok(ended.await.expect("the wait for a container does not panic")?),
                None => Ok(control.exit_code().await?),
            },
        }
    }

    /// Returns a session of a container that was started for one command.
    pub(crate) fn attached(attached: Attached) -> Self {
        Self {
            input: attached.input,
            output: pieces(attached.output),
            control: Control::Attached(Box::new(attached.control), Some(attached.ended)),
        }
    }
}

/// Choices of `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// The services; none means all.
    pub services: Vec<String>,
    /// Whether to go on until interrupted or until every container has ended.
    pub follow: bool,
    /// Seconds since 1970 before which nothing is shown.
    pub since: Option<i64>,
    /// How many lines of each container at the most.
    pub tail: Option<usize>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The service.
    pub service: String,
    /// The number of the container among those of the service, from 1.
    pub number: u32,
    /// What people call the container: the service, with a number where it has several containers.
    pub name: String,
    /// The line without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Whether it came on standard error.
    pub stderr: bool,
}

impl Session {
    /// Returns where and with what a command of the environment runs on the host.
    pub async fn host_exec(&self, task: &str) -> Result<HostExec, Error> {
        let record = self.record(Some(task)).await?;
        let secret = self.secret(&record)?;
        let environment = self.environment(&record, &secret)?;
        let is_inside = self.directory().starts_with(&record.worktree);
        Ok(HostExec {
            directory: if is_inside { self.directory().to_owned() } else { record.worktree },
            variables: environment.host,
        })
    }

    /// Starts a command inside a service's container.
    pub async fn service_exec(
        &self,
        task: &str,
        service: &str,
        options: ServiceExec,
    ) -> Result<ServiceSession, Error> {
        let record = self.record(Some(task)).await?;
        let observed = self.observe_project(&record).await?;
        let containers = self.containers_of(&record, &observed, service)?;
        let is_chosen =
            |container: &&&ObservedContainer| options.index.is_none_or(|number| container.number() == number);
        let container = containers.iter().find(is_chosen).ok_or_else(|| Error::NoContainerOfNumber {
            project: record.project.to_string(),
            service: service.to_owned(),
            number: options.index.unwrap_or_default(),
            known: containers.iter().map(|container| container.number()).collect(),
        })?;
        let choices = ExecOptions {
            cmd: options.command,
            tty: options.tty,
            stdin: options.interactive,
            ..ExecOptions::default()
        };
        let session = self.docker.exec_session(&container.name, &choices).await?;
        Ok(ServiceSession {
            input: session.input.unwrap_or_else(|| Box::pin(tokio::io::sink())),
            output: pieces(session.output),
            control: Control::Inside(session.control),
        })
    }

    /// Returns the lines of an environment's containers, in the order in which they arrive.
    pub async fn logs(
        &self,
        task: Option<&str>,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, Error>>, Error> {
        let record = self.record(task).await?;
        let observed = self.observe_project(&record).await?;
        let choices = LogsOptions {
            follow: options.follow,
            since: options.since,
            tail: options.tail,
            timestamps: options.timestamps,
        };
        let mut streams = Vec::new();
        let containers: Vec<&ObservedContainer> = if options.services.is_empty() {
            let own = observed.containers.iter().filter(|container| record.owns(&container.labels));
            own.filter(|container| !container.is_one_off()).collect()
        } else {
            let named =
                options.services.iter().map(|service| self.containers_of(&record, &observed, service));
            named.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
        };
        let services: Vec<Option<&str>> =
            observed.containers.iter().map(ObservedContainer::service).collect();
        for container in containers {
            let service = container.service().unwrap_or(&container.name).to_owned();
            let has_several = services.iter().filter(|other| **other == container.service()).count() > 1;
            let number = container.number();
            let name = spoken_name(&service, number, has_several || number > 1);
            let lines = self.docker.logs(&container.name, &choices).await?;
            let lines = lines.map(move |line| {
                let line = line?;
                let text = match line.timestamp {
                    Some(time) => format!("{time} {}", line.text),
                    None => line.text,
                };
                let (service, name) = (service.clone(), name.clone());
                let stderr = line.stream == OutputStream::Stderr;
                Ok(LogLine { service, number, name, text, stderr })
            });
            streams.push(lines.boxed());
        }
        Ok(select_all(streams).boxed())
    }
}

fn pieces(output: BoxStream<'static, exec::Output>) -> BoxStream<'static, Result<Output, Error>> {
    let pieces = output.map(|piece| {
        let (stream, bytes) = piece?;
        Ok(Output { stderr: stream == OutputStream::Stderr, bytes: bytes.to_vec() })
    });
    pieces.boxed()
}
