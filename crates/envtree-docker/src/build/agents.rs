//! ssh agents that a build may use: what BuildKit writes goes to the agent's socket, and the answers back.

#[cfg(unix)]
mod own;

use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use envtree_core::build::ImageBuild;
use futures::StreamExt;
use futures::stream::BoxStream;
use indexmap::IndexMap;
use tonic::{Request, Response, Status, Streaming};

use super::error::BuildError;

/// The sockets of the agents of one build, by the names under which the build asks for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Agents(pub(super) Arc<IndexMap<String, PathBuf>>);

/// The name where a build names none.
const DEFAULT: &str = "default";

impl Agents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { DEFAULT } else { id };
        self.0.get(id).ok_or_else(|| Status::not_found(format!("unset ssh forward key {id}")))
    }
}

#[tonic::async_trait]
impl Ssh for Agents {
    type ForwardAgentStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.socket(&request.into_inner().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    #[cfg(unix)]
    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let id = request.metadata().get("buildkit.ssh.id").and_then(|id| id.to_str().ok()).unwrap_or(DEFAULT);
        let socket = self.socket(id)?;
        let stream = tokio::net::UnixStream::connect(socket).await;
        let stream = stream.map_err(|error| Status::unavailable(format!("{}: {error}", socket.display())))?;
        let (answers, mut asks) = stream.into_split();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = requests.message().await {
                if asks.write_all(&message.data).await.is_err() {
                    return;
                }
            }
        });
        let answers = futures::stream::unfold(answers, |mut answers| async move {
            let mut data = vec![0; 32 * 1024];
            match answers.read(&mut data).await {
                Ok(0) => None,
                Ok(length) => {
                    data.truncate(length);
                    Some((Ok(BytesMessage { data }), answers))
                }
                Err(error) => Some((Err(Status::unavailable(error.to_string())), answers)),
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    #[cfg(not(unix))]
    async fn forward_agent(
        &self,
        _: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        Err(Status::unimplemented("agents have sockets on unix only"))
    }
}

/// The agents of a build: the user's own, and one of its own for each key.
#[derive(Debug, Default)]
pub(super) struct Keys {
    sockets: IndexMap<String, PathBuf>,
    /// They end with the build.
    #[cfg(unix)]
    own: Vec<own::OwnAgent>,
}

impl Keys {
    pub(super) fn agents(&self) -> Agents {
        Agents(Arc::new(self.sockets.clone()))
    }

    /// Finds the agents that a build may use, and starts those for keys.
    #[cfg(unix)]
    pub(super) async fn prepare(build: &ImageBuild) -> Result<Self, BuildError> {
        let mut keys = Self::default();
        for forward in &build.definition.ssh {
            let refused = |cause: String| BuildError::Agent {
                image: build.name().to_owned(),
                id: forward.id.clone(),
                cause,
            };
            let socket = match &forward.path {
                None => std::env::var_os("SSH_AUTH_SOCK")
                    .map(PathBuf::from)
                    .ok_or_else(|| refused("no agent runs: SSH_AUTH_SOCK is not set".to_owned()))?,
                Some(path) if own::is_socket(path) => PathBuf::from(path),
                Some(path) => {
                    let agent = own::OwnAgent::start(path).await.map_err(refused)?;
                    let socket = agent.socket();
                    keys.own.push(agent);
                    socket
                }
            };
            keys.sockets.insert(forward.id.clone(), socket);
        }
        Ok(keys)
    }

    #[cfg(not(unix))]
    pub(super) async fn prepare(_: &ImageBuild) -> Result<Self, BuildError> {
        Ok(Self::default())
    }
}
