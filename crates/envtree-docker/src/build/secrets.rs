//! Secrets of a build: read when BuildKit asks for them, and kept nowhere.

use std::fs;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets as Service;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use envtree_core::build::{BuildSecret, SecretOrigin};
use tonic::{Request, Response, Status};

/// BuildKit takes no larger secret.
const LARGEST: u64 = 500 * 1024;

/// The secrets of one build.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets(pub(super) Arc<Vec<BuildSecret>>);

/// Why a secret cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("the file `{path}` cannot be read: {cause}")]
    Unreadable { path: String, cause: String },
    #[error("the file `{path}` is larger than 500 KiB")]
    TooLarge { path: String },
    #[error("the environment variable `{name}` is not set")]
    Unset { name: String },
    #[error("it is `external`, and only a swarm keeps such")]
    External,
}

impl Secrets {
    /// Returns the first secret that cannot be had, by its name, and why.
    pub(super) fn missing(&self) -> Option<(String, Missing)> {
        self.0.iter().find_map(|secret| Some((secret.id().to_owned(), read(&secret.origin).err()?)))
    }
}

fn read(origin: &SecretOrigin) -> Result<Vec<u8>, Missing> {
    match origin {
        SecretOrigin::File(path) => {
            let unreadable =
                |error: std::io::Error| Missing::Unreadable { path: path.clone(), cause: error.to_string() };
            if fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
                return Err(Missing::TooLarge { path: path.clone() });
            }
            fs::read(path).map_err(unreadable)
        }
        SecretOrigin::Variable(_, Some(value)) => Ok(value.reveal().as_bytes().to_vec()),
        SecretOrigin::Variable(name, None) => Err(Missing::Unset { name: name.clone() }),
        SecretOrigin::Swarm => Err(Missing::External),
    }
}

#[tonic::async_trait]
impl Service for Secrets {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        // A step that can do without the secret goes on.
        let secret = self.0.iter().find(|secret| secret.id() == id);
        let secret = secret.ok_or_else(|| Status::not_found(format!("secret {id} not found")))?.clone();
        let data = tokio::task::spawn_blocking(move || read(&secret.origin)).await;
        let data = data.map_err(|error| Status::internal(error.to_string()))?;
        let data = data.map_err(|missing| Status::unknown(missing.to_string()))?;
        Ok(Response::new(GetSecretResponse { data }))
    }
}
