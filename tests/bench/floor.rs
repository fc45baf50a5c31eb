//! The floor: the least that the Engine must be asked for, and nothing else done.
//!
//! Network, volumes and containers are made and started side by side, and the servers are asked directly until they
//! answer: no files are read, no labels compared, no ports kept.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envtree_core::label;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

use crate::Fault;
use crate::engine::socket;

/// How soon a server that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(5);

/// How long a server may take to answer at all.
const DEADLINE: Duration = Duration::from_mins(2);

/// A service of the floor's.
struct Service {
    image: &'static str,
    data: &'static str,
    target: u16,
    variables: &'static [&'static str],
    check: &'static [&'static str],
    /// What a client says first.
    greeting: &'static [u8],
    /// How the answer of a server that is ready begins.
    answer: u8,
}

const POSTGRES: Service = Service {
    image: "postgres:17",
    data: "/var/lib/postgresql/data",
    target: 5432,
    variables: &["POSTGRES_USER=app", "POSTGRES_PASSWORD=secret"],
    check: &["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "app"],
    greeting: b"\0\0\0\x12\0\x03\0\0user\0app\0\0",
    answer: b'R',
};

const REDIS: Service = Service {
    image: "redis:8",
    data: "/data",
    target: 6379,
    variables: &[],
    check: &["CMD", "redis-cli", "ping"],
    greeting: b"PING\r\n",
    answer: b'+',
};

/// Postgres and Redis, made by hand.
pub(crate) struct Floor {
    name: String,
    runtime: Runtime,
}

impl Floor {
    /// Makes nothing yet; what it will make is called after `name`.
    pub(crate) fn new(name: &str) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { name: format!("{name}-by-hand"), runtime })
    }

    /// Makes everything and waits until the servers answer, then takes down what `down` takes down.
    ///
    /// Returns how many seconds each took. The volumes go after that, which is not counted.
    pub(crate) fn live(&self) -> Result<(f64, f64), Fault> {
        let (made, up) = self.timed(self.make());
        let (taken_down, down) = self.timed(self.take_down());
        let removed = self.runtime.block_on(self.remove());
        made.and(taken_down).and(removed).map(|()| (up, down))
    }

    fn timed<T>(&self, work: impl Future<Output = T>) -> (T, f64) {
        let started = Instant::now();
        (self.runtime.block_on(work), started.elapsed().as_secs_f64())
    }

    async fn make(&self) -> Result<(), Fault> {
        let labels = self.labels();
        let network = json!({ "Name": self.name, "CheckDuplicate": true, "Labels": labels });
        let volume = |service: &Service| json!({ "Name": self.part(service), "Labels": labels });
        futures::try_join!(
            call(Method::POST, "/networks/create".to_owned(), Some(network)),
            call(Method::POST, "/volumes/create".to_owned(), Some(volume(&POSTGRES))),
            call(Method::POST, "/volumes/create".to_owned(), Some(volume(&REDIS))),
        )?;
        futures::try_join!(self.start(&POSTGRES), self.start(&REDIS))?;
        Ok(())
    }

    async fn start(&self, service: &Service) -> Result<(), Fault> {
        let name = self.part(service);
        // Nobody else takes the port in the moment until the Engine does.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let target = format!("{}/tcp", service.target);
        let second = 1_000_000_000_u64;
        let body = json!({
            "Image": service.image,
            "Env": service.variables,
            "ExposedPorts": { &target: {} },
            "Labels": self.labels(),
            "Healthcheck": { "Test": service.check, "Interval": second, "Timeout": 5 * second, "Retries": 60 },
            "HostConfig": {
                "NetworkMode": self.name,
                "Binds": [format!("{name}:{}", service.data)],
                "PortBindings": { &target: [{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }] },
            },
        });
        call(Method::POST, format!("/containers/create?name={name}"), Some(body)).await?;
        call(Method::POST, format!("/containers/{name}/start"), None).await?;
        let answered = async {
            while !asked(service, port).await.unwrap_or(false) {
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::time::timeout(DEADLINE, answered)
            .await
            .map_err(|_| format!("{} does not answer", service.image))?;
        Ok(())
    }

    async fn take_down(&self) -> Result<(), Fault> {
        let containers = [POSTGRES, REDIS].map(|service| async move {
            let path = format!("/containers/{}", self.part(&service));
            call(Method::POST, format!("{path}/stop"), None).await?;
            call(Method::DELETE, path, None).await
        });
        try_join_all(containers).await?;
        call(Method::DELETE, format!("/networks/{}", self.name), None).await
    }

    /// Removes what is still there, whatever went before.
    async fn remove(&self) -> Result<(), Fault> {
        let names = [self.part(&POSTGRES), self.part(&REDIS)];
        let containers = names.iter().map(|name| format!("/containers/{name}?force=1&v=1"));
        try_join_all(containers.map(|path| call(Method::DELETE, path, None))).await?;
        let volumes = names.iter().map(|name| format!("/volumes/{name}"));
        let rest = volumes.chain([format!("/networks/{}", self.name)]);
        try_join_all(rest.map(|path| call(Method::DELETE, path, None))).await?;
        Ok(())
    }

    fn part(&self, service: &Service) -> String {
        let kind = service.image.split(':').next().unwrap_or_default();
        format!("{}-{kind}", self.name)
    }

    /// The label by which leftovers are found.
    fn labels(&self) -> Value {
        json!({ label::REPOSITORY_NAME: self.name })
    }
}

/// Asks the Engine for something, which it must do; what it removes may be gone already.
async fn call(method: Method, path: String, body: Option<Value>) -> Result<(), Fault> {
    let stream = UnixStream::connect(socket()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let is_removal = method == Method::DELETE;
    let request = Request::builder()
        .method(method)
        .uri(&path)
        .header("Host", "engine")
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.map(|body| body.to_string()).unwrap_or_default())))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let text = answer.into_body().collect().await?.to_bytes();
    if status.is_success() || is_removal && status == hyper::StatusCode::NOT_FOUND {
        return Ok(());
    }
    Err(format!("the Engine answers {status} to {path}: {}", String::from_utf8_lossy(&text)).into())
}

/// Returns whether the server behind a port answers as one that is ready.
async fn asked(service: &Service, port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(service.greeting).await?;
    Ok(stream.read_u8().await? == service.answer)
}
