//! Commands inside a running container.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use bytes::Bytes;
use envtree_core::service::Hook;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use indexmap::IndexMap;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::engine::Docker;
use crate::error::DockerError;
use crate::failure::EngineFailure;
use crate::output::{OutputStream, split};

/// The largest piece of output that is handed on at once.
const PIECE: usize = 64 * 1024;

/// How many lines of a failed hook's output its error shows.
const HOOK_LINES: usize = 5;

/// What to run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOptions {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// Variables on top of the container's.
    pub env: IndexMap<String, String>,
    /// The user, if not the container's.
    pub user: Option<String>,
    /// The working directory, if not the container's.
    pub working_dir: Option<String>,
    /// Whether the command has all privileges.
    pub privileged: bool,
    /// Whether the command gets a pseudo-terminal.
    pub tty: bool,
    /// The terminal's first size.
    pub size: Option<TerminalSize>,
    /// Whether the command reads [`ExecSession::input`].
    pub stdin: bool,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// A piece of a command's output.
pub type Output = Result<(OutputStream, Bytes), DockerError>;

/// A command that runs. Its parts can be driven side by side.
pub struct ExecSession {
    /// What the command writes; it ends when the command has closed its output. A command blocks if nobody reads.
    pub output: BoxStream<'static, Output>,
    /// What the command reads, if it was asked to. A shutdown of the writer is the end of its input.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Its terminal and its end.
    pub control: ExecControl,
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExecSession").field("control", &self.control).finish_non_exhaustive()
    }
}

/// Resizes the terminal of a command, and tells its exit status.
#[derive(Debug, Clone)]
pub struct ExecControl {
    client: bollard::Docker,
    container: String,
    id: String,
}

/// How a command ended, and what it wrote on both streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecStatus {
    /// The exit status.
    pub code: i64,
    /// Standard output and standard error in the order of their arrival.
    pub output: String,
}

impl Docker {
    /// Starts a command in a running container.
    pub async fn exec_session(
        &self,
        container: &str,
        options: &ExecOptions,
    ) -> Result<ExecSession, DockerError> {
        let client = self.client().await?.clone();
        let failed = |error: bollard::errors::Error| exec_error(container, error.into());
        let id = client.create_exec(container, exec_config(options)).await.map_err(failed)?.id;
        let start = StartExecOptions {
            tty: options.tty,
            output_capacity: Some(PIECE),
            ..StartExecOptions::default()
        };
        let started = client.start_exec(&id, Some(start)).await.map_err(failed)?;
        let StartExecResults::Attached { output, input } = started else {
            unreachable!("a command that is not detached is attached");
        };
        let control = ExecControl { client, container: container.to_owned(), id };
        if let Some(size) = options.size.filter(|_| options.tty) {
            control.resize_at_start(size).await;
        }
        Ok(ExecSession {
            output: attributed(container, output, options.tty),
            input: options.stdin.then_some(input),
            control,
        })
    }

    /// Runs a command without input to its end, for at most `limit`.
    ///
    /// The Engine cannot kill the command: after the limit it runs on, and nobody listens.
    pub async fn exec_status(
        &self,
        container: &str,
        cmd: &[String],
        limit: Duration,
    ) -> Result<ExecStatus, DockerError> {
        let options = ExecOptions { cmd: cmd.to_vec(), ..ExecOptions::default() };
        timeout(limit, self.run(container, &options))
            .await
            .unwrap_or_else(|_| Err(DockerError::ExecTimeout { container: container.to_owned(), limit }))
    }

    /// Runs a command that reads `input` to its end, for at most `limit`.
    pub async fn exec_input(
        &self,
        container: &str,
        cmd: &[String],
        input: &str,
        limit: Duration,
    ) -> Result<ExecStatus, DockerError> {
        let options = ExecOptions { cmd: cmd.to_vec(), stdin: true, ..ExecOptions::default() };
        let run = async {
            let mut session = self.exec_session(container, &options).await?;
            let writer = session.input.take();
            let write = async {
                if let Some(mut writer) = writer {
                    // A command that does not read to the end says why on its own.
                    let _ = writer.write_all(input.as_bytes()).await;
                    let _ = writer.shutdown().await;
                }
            };
            let (output, ()) = tokio::join!(all(&mut session.output), write);
            Ok(ExecStatus { code: session.control.exit_code().await?, output: output? })
        };
        timeout(limit, run)
            .await
            .unwrap_or_else(|_| Err(DockerError::ExecTimeout { container: container.to_owned(), limit }))
    }

    /// Runs a command of the Compose file to its end, which must be a good one.
    pub(crate) async fn run_hook(
        &self,
        container: &str,
        key: &'static str,
        hook: &Hook,
    ) -> Result<(), DockerError> {
        let options = ExecOptions {
            cmd: hook.command.clone(),
            env: hook.environment.clone(),
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            privileged: hook.privileged,
            ..ExecOptions::default()
        };
        let status = self.run(container, &options).await?;
        if status.code == 0 {
            return Ok(());
        }
        let lines: Vec<&str> = status.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let output = match lines.len() {
            0 => "it wrote nothing".to_owned(),
            number => lines[number.saturating_sub(HOOK_LINES)..].join("; "),
        };
        Err(DockerError::HookFailed { container: container.to_owned(), key, code: status.code, output })
    }

    async fn run(&self, container: &str, options: &ExecOptions) -> Result<ExecStatus, DockerError> {
        let mut session = self.exec_session(container, options).await?;
        let output = all(&mut session.output).await?;
        Ok(ExecStatus { code: session.control.exit_code().await?, output })
    }
}

/// Returns all that a command writes.
async fn all(pieces: &mut BoxStream<'static, Output>) -> Result<String, DockerError> {
    let mut output = Vec::new();
    while let Some((_, bytes)) = pieces.try_next().await? {
        output.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

impl ExecControl {
    /// Gives the command's terminal a size.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), DockerError> {
        let options = ResizeExecOptionsBuilder::new().w(size.width.into()).h(size.height.into()).build();
        let resized = self.client.resize_exec(&self.id, options).await;
        resized.map_err(|error| exec_error(&self.container, error.into()))
    }

    /// Sets the size of a terminal whose command may not have begun: until it has, the Engine refuses.
    async fn resize_at_start(&self, size: TerminalSize) {
        for pause in [0, 5, 10, 20, 40, 80].map(Duration::from_millis) {
            sleep(pause).await;
            if self.resize(size).await.is_ok() {
                return;
            }
        }
    }

    /// Returns the exit status, once the command has ended.
    ///
    /// The Engine announces the end of a command nowhere, so it is asked until it knows.
    pub async fn exit_code(&self) -> Result<i64, DockerError> {
        let mut pause = Duration::from_millis(5);
        loop {
            let answer = self.client.inspect_exec(&self.id).await;
            let answer = answer.map_err(|error| exec_error(&self.container, error.into()))?;
            match answer.exit_code {
                Some(code) if answer.running != Some(true) => return Ok(code),
                _ => sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

fn exec_config(options: &ExecOptions) -> ExecConfig {
    let variables = options.env.iter();
    ExecConfig {
        privileged: Some(options.privileged),
        attach_stdin: Some(options.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(options.tty),
        cmd: Some(options.cmd.clone()),
        env: Some(variables.map(|(name, value)| format!("{name}={value}")).collect()),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        ..ExecConfig::default()
    }
}

/// Names the stream of every piece of output.
///
/// Without a terminal every piece is marked, except the Engine's own words when it cannot start the command.
fn attributed(
    container: &str,
    output: impl futures::Stream<Item = Result<bollard::container::LogOutput, bollard::errors::Error>>
    + Send
    + 'static,
    tty: bool,
) -> BoxStream<'static, Output> {
    let container = container.to_owned();
    let unmarked = if tty { OutputStream::Stdout } else { OutputStream::Stderr };
    output
        .map(move |piece| match piece {
            Ok(piece) => Ok(split(piece, unmarked)),
            Err(error) => Err(exec_error(&container, error.into())),
        })
        .boxed()
}

fn exec_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.is(404) && source.says(&["no such container"]) {
        DockerError::ContainerMissing { container }
    // Docker's words, and Podman's, which come with status 500.
    } else if source.says(&["is not running", "exec sessions on running containers"]) {
        DockerError::ContainerNotRunning { container }
    } else {
        DockerError::Exec { container, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_does_not_run_is_known_by_the_words_of_every_engine() {
        let messages = [
            (409, "Container 1f is not running"),
            (500, "can only create exec sessions on running containers: container state improper"),
        ];
        for (status, message) in messages {
            let failure = EngineFailure { status: Some(status), message: message.to_owned() };
            let error = exec_error("shop-db-1", failure);
            assert!(matches!(error, DockerError::ContainerNotRunning { .. }), "{error:?}");
        }
    }
}
