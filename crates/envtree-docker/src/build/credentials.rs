//! The user's credentials for registries, when BuildKit asks for them.

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use envtree_core::reference::DOCKER_HUB;
use tonic::{Request, Response, Status};

use crate::credentials::credentials;
use crate::engine::Docker;

/// Looks credentials up where pulls do.
#[derive(Debug, Clone)]
pub(super) struct Credentials(pub(super) Docker);

#[tonic::async_trait]
impl Auth for Credentials {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let registry = if host == "registry-1.docker.io" { DOCKER_HUB } else { &host };
        // Where there are none, or their helper fails, BuildKit goes on as nobody, as pulls do.
        let found = match &self.0.endpoint.config_dir {
            Some(folder) => credentials(folder, registry, &|| {}).await.ok().flatten(),
            None => None,
        };
        let found = found.unwrap_or_default();
        // Without a user, the secret is a token.
        let (username, secret) = match found.identitytoken {
            Some(token) => (String::new(), token),
            None => (found.username.unwrap_or_default(), found.password.unwrap_or_default()),
        };
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented(HERE))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unavailable(HERE))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unavailable(HERE))
    }
}

/// BuildKit goes on by itself then: with the credentials.
const HERE: &str = "tokens are not fetched here";
