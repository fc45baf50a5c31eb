//! A build by the Engine's BuildKit: one session that offers files, and one call that builds.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{SolveRequest, StatusRequest};
use envtree_core::build::ImageBuild;
use envtree_core::engine::{BuildProgress, Progress};
use tonic::Status;

use super::agents::Keys;
use super::arguments::Arguments;
use super::credentials::Credentials;
use super::error::BuildError;
use super::files::Files;
use super::location::{in_dockerfile, location};
use super::secrets::Secrets;
use super::session::{Services, Session};
use super::solve::{Solve, Surroundings, solve};
use super::trace::Trace;
use super::wire::{Channel, WireError, upgrade};
use crate::endpoint::Address;
use crate::engine::Docker;
use crate::failure::EngineFailure;

/// How long the rest of the trace may take once the build has ended.
const REST_OF_TRACE: Duration = Duration::from_secs(2);
/// The largest message that BuildKit sends.
const LARGEST_MESSAGE: usize = 16 << 20;

/// Whether there was a BuildKit to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Built,
    /// The Engine lends none.
    NoBuildKit,
}

/// Hears what happens in a build.
pub(super) type Hears<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Builds an image with the BuildKit of the Engine at `address`.
pub(super) async fn build(
    docker: &Docker,
    address: &Address,
    build: &ImageBuild,
    surroundings: &Surroundings,
    progress: Hears<'_>,
) -> Result<Outcome, BuildError> {
    let image = build.name();
    let secrets = Secrets(Arc::new(build.definition.secrets.clone()));
    if let Some((secret, cause)) = secrets.missing() {
        return Err(BuildError::Secret { image: image.to_owned(), secret, cause: cause.to_string() });
    }
    let keys = Keys::prepare(build).await?;
    let id = random_id();
    let Solve { request, sources, remarks } = solve(build, &id, surroundings)?;
    let files = Files { sources: Arc::new(sources), ..Files::default() };
    let services = Services::new(files.clone(), secrets, Credentials(docker.clone()), keys.agents());
    let opened = Session::open(address, &id, &shared_key(build), services).await;
    let upgraded = match opened {
        Ok(session) => upgrade(address, "/grpc", &[]).await.map(|upgraded| (session, upgraded)),
        Err(error) => Err(error),
    };
    let (session, upgraded) = match upgraded {
        Ok(opened) => opened,
        Err(WireError::Refused(_)) => return Ok(Outcome::NoBuildKit),
        Err(error) => return Err(broken(image, &error)),
    };
    let channel = Channel::open(upgraded).await.map_err(|error| broken(image, &error))?;
    for remark in remarks {
        progress(Progress::Build(BuildProgress::Remark(remark)));
    }
    let mut trace = Trace::new(&build.definition.args);
    let solved = run(channel, request, &mut trace, progress).await;
    drop(session);
    let Err(status) = solved else {
        return Ok(Outcome::Built);
    };
    if let Some(cause) = files.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(BuildError::Unreadable { image: image.to_owned(), cause });
    }
    Err(failure(docker, build, &trace, &status).await)
}

/// Builds, and hands on what BuildKit tells meanwhile.
async fn run(
    channel: Channel,
    request: SolveRequest,
    trace: &mut Trace,
    progress: Hears<'_>,
) -> Result<(), Status> {
    // Nobody looks at the name, but HTTP/2 wants one.
    let origin = http::Uri::from_static("http://engine");
    let mut client = ControlClient::with_origin(channel, origin).max_decoding_message_size(LARGEST_MESSAGE);
    let mut observer = client.clone();
    let status = StatusRequest { r#ref: request.r#ref.clone() };
    let watching = async {
        // The build goes on, told of or not.
        let Ok(answers) = observer.status(status).await else { return };
        let mut answers = answers.into_inner();
        while let Ok(Some(answer)) = answers.message().await {
            trace.hear(answer, &mut |step| progress(Progress::Build(step)));
        }
    };
    tokio::pin!(watching);
    let solving = client.solve(request);
    tokio::pin!(solving);
    let mut is_watched = false;
    let solved = loop {
        tokio::select! {
            solved = &mut solving => break solved,
            () = &mut watching, if !is_watched => is_watched = true,
        }
    };
    if !is_watched {
        let _ = tokio::time::timeout(REST_OF_TRACE, watching).await;
    }
    solved.map(|_| ())
}

/// Returns the error of a build from what BuildKit said of it.
async fn failure(docker: &Docker, build: &ImageBuild, trace: &Trace, status: &Status) -> BuildError {
    let image = build.name().to_owned();
    let message = status.message().trim_start_matches("failed to solve: ");
    let message = message.trim_start_matches("rpc error: code = Unknown desc = ");
    if message.contains("unsupported frontend capability moby.buildkit.frontend.contexts") {
        return BuildError::NeedsContexts { image, engine: docker.words().await };
    }
    // The Engine did answer.
    let message = Arguments::new(&build.definition.args).hide(message.to_owned());
    let source = EngineFailure { status: Some(500), message };
    let Some(step) = trace.failed() else {
        return BuildError::Engine { image, source };
    };
    let location = location(status).or_else(|| in_dockerfile(&build.definition, &step.name));
    let source = EngineFailure { message: without_command(&step.message), ..source };
    BuildError::Step {
        image,
        step: step.name,
        dockerfile: location.as_ref().map(|location| location.file.clone()),
        line: location.map(|location| location.line),
        output: step.output,
        source,
    }
}

/// BuildKit names the step again in why it failed: `executor failed running [/bin/sh -c x]: exit code: 1`.
fn without_command(message: &str) -> String {
    let end = message.rsplit_once(": exit code: ").map(|(_, code)| format!("exit code: {code}"));
    end.unwrap_or_else(|| message.to_owned())
}

fn broken(image: &str, error: &WireError) -> BuildError {
    let source = EngineFailure { status: None, message: error.to_string() };
    BuildError::Engine { image: image.to_owned(), source }
}

fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    envtree_core::config_hash::hex(&bytes)
}

/// Returns what tells the files of one context from those of another, run after run.
fn shared_key(build: &ImageBuild) -> String {
    build.definition.context.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_not_said_twice() {
        assert_eq!(
            without_command("executor failed running [/bin/sh -c a: b]: exit code: 3"),
            "exit code: 3"
        );
        assert_eq!(
            without_command("process \"/bin/sh -c x\" did not complete successfully: exit code: 1"),
            "exit code: 1"
        );
        assert_eq!(without_command("not found"), "not found");
    }
}
