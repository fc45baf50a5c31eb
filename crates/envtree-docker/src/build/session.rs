//! The session of a build: BuildKit asks, over one connection, for files, secrets, credentials and agents.

use std::convert::Infallible;

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service as _;

use super::agents::Agents;
use super::credentials::Credentials;
use super::files::Files;
use super::secrets::Secrets;
use super::wire::{WireError, upgrade};
use crate::endpoint::Address;

/// What the session offers, in the form in which the Engine wants to know it beforehand.
const METHODS: [&str; 6] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];

/// A session, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Session(JoinHandle<()>);

impl Session {
    /// Offers `services` to the builds that name `id`.
    ///
    /// Builds with the same `shared_key` send only the files that changed since the one before.
    pub(super) async fn open(
        address: &Address,
        id: &str,
        shared_key: &str,
        services: Services,
    ) -> Result<Self, WireError> {
        let mut headers = vec![
            ("x-docker-expose-session-uuid", id),
            ("x-docker-expose-session-name", "envtree"),
            ("x-docker-expose-session-sharedkey", shared_key),
        ];
        headers.extend(METHODS.map(|method| ("x-docker-expose-session-grpc-method", method)));
        let upgraded = upgrade(address, "/session", &headers).await?;
        let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(upgraded, services);
        // The Engine ends the connection by closing it, which is no failure of the build.
        Ok(Self(tokio::spawn(serving.map(|_| ()))))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What BuildKit may ask for.
#[derive(Debug, Clone)]
pub(super) struct Services {
    health: HealthServer<Alive>,
    files: FileSyncServer<Files>,
    secrets: SecretsServer<Secrets>,
    credentials: AuthServer<Credentials>,
    agents: SshServer<Agents>,
}

impl Services {
    pub(super) fn new(files: Files, secrets: Secrets, credentials: Credentials, agents: Agents) -> Self {
        Self {
            health: HealthServer::new(Alive),
            files: FileSyncServer::new(files),
            secrets: SecretsServer::new(secrets),
            credentials: AuthServer::new(credentials),
            agents: SshServer::new(agents),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            "grpc.health.v1.Health" => self.health.clone().call(request),
            "moby.filesync.v1.FileSync" => self.files.clone().call(request),
            "moby.buildkit.secrets.v1.Secrets" => self.secrets.clone().call(request),
            "moby.filesync.v1.Auth" => self.credentials.clone().call(request),
            "moby.sshforward.v1.SSH" => self.agents.clone().call(request),
            _ => futures::future::ready(Ok(Status::unimplemented("").into_http())).boxed(),
        }
    }
}

/// Answers that the session is there: BuildKit gives up builds whose client does not say so.
#[derive(Debug, Clone, Copy)]
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Ok(tonic::Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(
        &self,
        _: tonic::Request<HealthListRequest>,
    ) -> Result<tonic::Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("there is one service"))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again"))
    }
}
