//! Connections that leave HTTP: the Engine's `/session` and `/grpc`, over which BuildKit speaks.

use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::task::{Context, Poll};

use crate::endpoint::Address;
use crate::transport::dial;

/// Why there is no such connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The Engine has no BuildKit, or none that it lends.
    #[error("the Engine answered with status {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Asks the Engine at `address` to leave HTTP at `path`.
pub(super) async fn upgrade(
    address: &Address,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Upgraded, WireError> {
    let stream = dial(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let mut request =
        Request::post(path).header("host", "engine").header("connection", "Upgrade").header("upgrade", "h2c");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(WireError::Refused(response.status()));
    }
    Ok(hyper::upgrade::on(response).await?)
}

/// A client of gRPC over one connection.
#[derive(Debug, Clone)]
pub(super) struct Channel(http2::SendRequest<tonic::body::Body>);

impl Channel {
    /// Speaks HTTP/2 over an upgraded connection.
    pub(super) async fn open(upgraded: Upgraded) -> Result<Self, WireError> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(upgraded).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }
}

impl tower_service::Service<Request<tonic::body::Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        self.0.send_request(request).boxed()
    }
}
