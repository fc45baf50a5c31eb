//! Speaks HTTP with an Engine over TLS and through ssh, for which bollard's own ways do not do, and opens connections that leave HTTP.
//!
//! bollard's TLS cannot leave out the verification and wants files where Docker wants none; its ssh opens a session of
//! its own for each call and drops the words of `ssh`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::{BollardRequest, ClientVersion};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Address;
use crate::ssh::{SshDialer, SshStream};
use crate::tls::TlsDialer;

/// How long a connection is kept for the next call: making one takes several ways to the other machine and back.
const IDLE: Duration = Duration::from_secs(30);

/// Opens connections to one Engine.
#[derive(Debug, Clone)]
pub(crate) enum Dialer {
    Tls(TlsDialer),
    Ssh(SshDialer),
}

/// Makes a client whose connections `dialer` opens; nothing is sent yet.
pub(crate) fn client(
    dialer: Dialer,
    timeout_seconds: u64,
    version: &ClientVersion,
) -> Result<bollard::Docker, Bollard> {
    let address = match &dialer {
        Dialer::Tls(dialer) => format!("http://{}", dialer.address()),
        // Nobody looks at the name, but HTTP wants one.
        Dialer::Ssh(_) => "http://engine".to_owned(),
    };
    let client = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .build(dialer);
    let send = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(Bollard::from) }
    };
    bollard::Docker::connect_with_custom_transport(send, Some(address), timeout_seconds, version)
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Wire>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        async move {
            let wire = match dialer {
                Self::Tls(dialer) => Wire::Tls(Box::new(dialer.dial().await?)),
                Self::Ssh(dialer) => Wire::Ssh(Box::new(dialer.dial().await?)),
            };
            Ok(TokioIo::new(wire))
        }
        .boxed()
    }
}

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens a connection of its own to the Engine at `address`.
pub(crate) async fn dial(address: &Address) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        #[cfg(unix)]
        Address::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        #[cfg(windows)]
        Address::Pipe(path) => Box::new(tokio::net::windows::named_pipe::ClientOptions::new().open(path)?),
        Address::Tcp(host) => Box::new(TcpStream::connect(host).await?),
        Address::Tls(host, tls) => {
            Box::new(TlsDialer::load(host, tls).map_err(io::Error::other)?.dial().await?)
        }
        Address::Ssh(host) => Box::new(SshDialer::new(host).dial().await?),
        other => return Err(io::Error::other(format!("`{other}` is for another platform"))),
    })
}

/// A connection of either kind.
#[derive(Debug)]
pub(crate) enum Wire {
    Tls(Box<TlsStream<TcpStream>>),
    Ssh(Box<SshStream>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Ssh(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Ssh(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Ssh(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Ssh(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
