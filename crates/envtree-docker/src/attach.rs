//! A container whose command somebody sits in front of: its input, its output, its terminal and its end.

use std::fmt;
use std::pin::Pin;

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use crate::engine::Docker;
use crate::error::DockerError;
use crate::exec::{Output, TerminalSize};
use crate::failure::EngineFailure;
use crate::output::{OutputStream, split};

/// A container that was started with somebody attached.
pub struct Attached {
    /// What its command writes, until it has closed its output.
    pub output: BoxStream<'static, Output>,
    /// What its command reads. A shutdown of the writer is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its terminal and its signals.
    pub control: AttachedControl,
    /// Its exit status, once it has ended.
    pub ended: JoinHandle<Result<i64, DockerError>>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Attached").field("control", &self.control).finish_non_exhaustive()
    }
}

/// Reaches the command of a container.
#[derive(Debug, Clone)]
pub struct AttachedControl {
    docker: Docker,
    container: String,
}

impl Docker {
    /// Starts a container that was made, attached to it from its first word on.
    pub async fn start_attached(&self, container: &str, tty: bool) -> Result<Attached, DockerError> {
        let client = self.client().await?.clone();
        let failed = |error: bollard::errors::Error| attach_error(container, error.into());
        let options =
            AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = client.attach_container(container, Some(options)).await.map_err(failed)?;
        self.start_container(container).await?;
        let (docker, name) = (self.clone(), container.to_owned());
        let ended = tokio::spawn(async move { docker.wait_container(&name).await });
        let unmarked = if tty { OutputStream::Stdout } else { OutputStream::Stderr };
        let name = container.to_owned();
        let output = attached.output.map(move |piece| match piece {
            Ok(piece) => Ok(split(piece, unmarked)),
            Err(error) => Err(attach_error(&name, error.into())),
        });
        Ok(Attached {
            output: output.boxed(),
            input: attached.input,
            control: AttachedControl { docker: self.clone(), container: container.to_owned() },
            ended,
        })
    }
}

impl AttachedControl {
    /// Gives the command's terminal a size.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), DockerError> {
        let options =
            ResizeContainerTTYOptionsBuilder::new().w(size.width.into()).h(size.height.into()).build();
        let resized = self.docker.client().await?.resize_container_tty(&self.container, options).await;
        resized.map_err(|error| attach_error(&self.container, error.into()))
    }

    /// Returns the exit status of the command, once it has ended.
    pub async fn exit_code(&self) -> Result<i64, DockerError> {
        self.docker.wait_container(&self.container).await
    }

    /// Sends the command a signal; one that has ended needs none.
    pub async fn signal(&self, number: u8) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::new().signal(&number.to_string()).build();
        let sent = self.docker.client().await?.kill_container(&self.container, Some(options)).await;
        match sent.map_err(EngineFailure::from) {
            Err(failure) if failure.is(404) || failure.is(409) || failure.says(&["is not running"]) => Ok(()),
            sent => sent.map_err(|failure| attach_error(&self.container, failure)),
        }
    }
}

fn attach_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.is(404) {
        DockerError::ContainerMissing { container }
    } else {
        DockerError::Exec { container, source }
    }
}
