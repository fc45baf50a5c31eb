//! A proxy in front of the Engine's socket, which counts requests and does harm at one of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Fault>;

/// What happens at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The connection ends before the Engine hears of the request.
    CutBefore,
    /// The Engine does what it is asked to, and the connection ends before the answer.
    CutAfter,
    /// The connection ends in the middle of the answer.
    CutWithin,
    /// The Engine hears of the request a good while later.
    Delay,
    /// The answer is 500, and the Engine hears nothing.
    Refuse,
    /// The Engine does what it is asked to, and the answer is another.
    Lie(StatusCode),
    /// The client is killed before the Engine hears of the request.
    KillBefore,
    /// The Engine does what it is asked to, and the client is killed before the answer.
    KillAfter,
    /// The client is killed that long after the Engine heard of the request, whether or not it is done with it.
    KillDuring(Duration),
}

/// How long a delayed request waits.
const DELAY: Duration = Duration::from_millis(500);

/// The request that meets the harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The one of this number, counted from 1.
    Number(usize),
    /// The first whose method and path begin so.
    First(&'static str),
    /// The first whose path ends so.
    FirstTo(&'static str),
}

/// What the proxy was told and what it saw.
#[derive(Debug, Default)]
struct Watch {
    harm: Option<(Moment, Harm)>,
    client: Option<Pid>,
    seen: Vec<String>,
    done: bool,
}

/// The running proxy; dropping it ends it.
pub(crate) struct Proxy {
    socket: PathBuf,
    watch: Arc<Mutex<Watch>>,
    _runtime: Runtime,
}

impl Proxy {
    /// Listens at `socket` and passes on to the Engine at `engine`.
    pub(crate) fn start(socket: PathBuf, engine: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let watch = Arc::new(Mutex::new(Watch::default()));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(listen(listener, engine.to_owned(), Arc::clone(&watch)));
        Self { socket, watch, _runtime: runtime }
    }

    /// Returns the value of `DOCKER_HOST` that leads through the proxy.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Does harm at one request from now on; forgets what was seen.
    pub(crate) fn arm(&self, moment: Moment, harm: Harm) {
        *lock(&self.watch) = Watch { harm: Some((moment, harm)), ..Watch::default() };
    }

    /// Names the process that is killed where killing is the harm.
    pub(crate) fn set_client(&self, pid: u32) {
        lock(&self.watch).client = Pid::from_raw(i32::try_from(pid).unwrap());
    }

    /// Returns whether the harm was done.
    pub(crate) fn has_harmed(&self) -> bool {
        lock(&self.watch).done
    }

    /// Returns what was asked since the proxy was armed, such as `POST /containers/create`.
    pub(crate) fn seen(&self) -> Vec<String> {
        lock(&self.watch).seen.clone()
    }
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap()
}

async fn listen(listener: UnixListener, engine: PathBuf, watch: Arc<Mutex<Watch>>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let engine = engine.clone();
        let watch = Arc::clone(&watch);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &engine, &watch));
            let server = hyper::server::conn::http1::Builder::new();
            // Its error is the cut that was asked for, or a client that is gone.
            let _ = server.serve_connection(TokioIo::new(client), service).with_upgrades().await;
        });
    }
}

/// Answers one request; an error ends the connection.
async fn answer(
    request: Request<Incoming>,
    engine: &Path,
    watch: &Mutex<Watch>,
) -> Result<Response<Body>, Fault> {
    let harm = note(&request, watch);
    match harm {
        Some(Harm::CutBefore) => return Err("cut off".into()),
        Some(Harm::KillBefore) => return Err(kill(watch).await),
        Some(Harm::Refuse) => return Ok(message(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(Harm::Delay) => tokio::time::sleep(DELAY).await,
        Some(Harm::KillDuring(after)) => {
            let engine = engine.to_owned();
            tokio::spawn(async move { forward(request, &engine).await });
            tokio::time::sleep(after).await;
            return Err(kill(watch).await);
        }
        _ => {}
    }
    let answer = forward(request, engine).await?;
    match harm {
        Some(Harm::CutAfter | Harm::KillAfter | Harm::Lie(_) | Harm::CutWithin) => {
            let is_upgrade = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            let (head, body) = answer.into_parts();
            // The Engine has done its work once its answer has ended; that of an upgrade has no end.
            let body = if is_upgrade { Bytes::new() } else { body.collect().await?.to_bytes() };
            match harm {
                Some(Harm::Lie(status)) => Ok(message(status)),
                Some(Harm::KillAfter) => Err(kill(watch).await),
                Some(Harm::CutWithin) if !body.is_empty() => {
                    let half = Ok(hyper::body::Frame::data(body.slice(..body.len() / 2)));
                    let cut = Err(Fault::from("cut off"));
                    let frames = http_body_util::StreamBody::new(futures::stream::iter([half, cut]));
                    Ok(Response::from_parts(head, BodyExt::boxed_unsync(frames)))
                }
                _ => Err("cut off".into()),
            }
        }
        _ => Ok(answer),
    }
}

/// Notes a request, and returns the harm that it is to meet.
fn note(request: &Request<Incoming>, watch: &Mutex<Watch>) -> Option<Harm> {
    let mut watch = lock(watch);
    let line = format!("{} {}", request.method(), request.uri().path());
    let number = watch.seen.len() + 1;
    let is_it = |moment: Moment| match moment {
        Moment::Number(at) => at == number,
        Moment::First(start) => line.starts_with(start) && !watch.done,
        Moment::FirstTo(end) => line.ends_with(end) && !watch.done,
    };
    let harm = watch.harm.filter(|(moment, _)| is_it(*moment)).map(|(_, harm)| harm);
    watch.done |= harm.is_some();
    watch.seen.push(line);
    harm
}

async fn kill(watch: &Mutex<Watch>) -> Fault {
    // The client may ask before the test that started it has named it.
    let client = loop {
        let client = lock(watch).client;
        match client {
            Some(client) => break client,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    // It may have ended by itself.
    let _ = kill_process(client, Signal::KILL);
    "killed".into()
}

async fn forward(mut request: Request<Incoming>, engine: &Path) -> Result<Response<Body>, Fault> {
    let stream = UnixStream::connect(engine).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let client_side = hyper::upgrade::on(&mut request);
    let mut answer = sender.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let engine_side = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            let (client, engine) = tokio::try_join!(client_side, engine_side)?;
            copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(engine)).await?;
            Ok::<_, Fault>(())
        });
    }
    Ok(answer.map(|body| BodyExt::boxed_unsync(body.map_err(Fault::from))))
}

/// Returns an answer in the Engine's form that says nothing true.
fn message(status: StatusCode) -> Response<Body> {
    let text = format!("{{\"message\":\"{} for the sake of it\"}}", status.as_u16());
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut answer = Response::new(BodyExt::boxed_unsync(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    answer
}
