//! A build by the classic builder of Engines without BuildKit: the context goes there as one archive.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bollard::auth::DockerCredentials;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, TagImageOptionsBuilder};
use envtree_core::build::{Build, ImageBuild, is_remote};
use envtree_core::engine::{BuildProgress, Progress, StepState};
use envtree_core::reference::Reference;
use futures::StreamExt;
use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::buildkit::Hears;
use super::context::{Entry, Filter, Kind, walk};
use super::error::BuildError;
use super::location::in_dockerfile;
use super::pattern::{Covered, Patterns, parse_lines};
use super::solve::{Surroundings, dockerfile_of, hosts};
use crate::credentials::credentials;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;

/// The name in the archive of a Dockerfile that lies outside the context.
const OUTSIDE: &str = ".dockerfile.envtree";
const IGNORE: &str = ".dockerignore";
/// How many of the last lines of a step are kept for the report of its failure.
const KEPT: usize = 20;
/// A step may be silent for long.
const PATIENCE: Duration = Duration::from_hours(24);

/// Returns the first key of a build that only BuildKit can do.
fn beyond(definition: &Build) -> Option<&'static str> {
    let wants = |value: &Option<String>| value.as_deref().is_some_and(|value| value != "false");
    let beyond = [
        ("secrets", !definition.secrets.is_empty()),
        ("ssh", !definition.ssh.is_empty()),
        ("additional_contexts", !definition.additional_contexts.is_empty()),
        ("cache_to", !definition.cache_to.is_empty()),
        ("no_cache_filter", !definition.no_cache_filter.is_empty()),
        ("privileged", definition.privileged),
        ("entitlements", !definition.entitlements.is_empty()),
        ("provenance", wants(&definition.provenance)),
        ("sbom", wants(&definition.sbom)),
    ];
    beyond.iter().find(|(_, is_wanted)| *is_wanted).map(|(key, _)| *key)
}

/// Builds an image with the classic builder.
pub(super) async fn build(
    docker: &Docker,
    build: &ImageBuild,
    surroundings: &Surroundings,
    progress: Hears<'_>,
) -> Result<(), DockerError> {
    let image = build.name().to_owned();
    if let Some(key) = beyond(&build.definition) {
        return Err(BuildError::NeedsBuildKit { image, key, engine: docker.words().await }.into());
    }
    let archive = archive(&build.definition);
    let dockerfile = archive.as_ref().map_or_else(
        || build.definition.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned()),
        |archive| archive.dockerfile.clone(),
    );
    let (parts, sent) = mpsc::channel(16);
    // Without an archive nothing is sent, but there has to be a body.
    let packing = archive.map(move |archive| {
        let parts = Parts { parts, held: Vec::new() };
        tokio::task::spawn_blocking(move || archive.pack(parts))
    });
    let parts = futures::stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let body = Some(bollard::body_try_stream(parts));
    let client = docker.client().await?.clone().with_timeout(PATIENCE);
    let options = options(build, dockerfile, surroundings);
    let credentials = Some(docker.all_credentials().await);
    let mut answers = Box::pin(client.build_image(options, credentials, body));
    let mut steps = Steps { progress, current: None, output: Vec::new() };
    let mut failed = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => failed = steps.hear(answer).or(failed),
            Err(error) => failed = Some(EngineFailure::from(error)),
        }
    }
    drop(answers);
    if let Some(packing) = packing
        && let Ok(Err(cause)) = packing.await
        // The Engine stops reading once something is wrong with what it has read.
        && cause.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(BuildError::Unreadable { image, cause: cause.to_string() }.into());
    }
    if let Some(source) = failed {
        return Err(steps.failure(build, source).into());
    }
    steps.pass(StepState::Done(Duration::ZERO));
    name_again(docker, build).await
}

/// Gives the image its further names: the builder takes one alone.
async fn name_again(docker: &Docker, build: &ImageBuild) -> Result<(), DockerError> {
    for name in build.images.iter().skip(1) {
        let reference = Reference::parse(name).map_err(ImageError::from)?;
        let options = TagImageOptionsBuilder::new().repo(&reference.name()).tag(reference.version()).build();
        let tagged = docker.client().await?.tag_image(build.name(), Some(options)).await;
        tagged.map_err(|error| ImageError::TagImage {
            image: name.clone(),
            pulled: build.name().to_owned(),
            source: error.into(),
        })?;
    }
    Ok(())
}

fn options(build: &ImageBuild, dockerfile: String, surroundings: &Surroundings) -> BuildImageOptions {
    let definition = &build.definition;
    let mut arguments: HashMap<String, String> = surroundings.proxies.clone().into_iter().collect();
    let given = definition.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    arguments.extend(given);
    let hosts: Vec<String> = hosts(definition, surroundings).map(|host| host.replacen('=', ":", 1)).collect();
    BuildImageOptions {
        dockerfile,
        t: Some(build.name().to_owned()),
        remote: is_remote(&definition.context).then(|| definition.context.clone()),
        extrahosts: (!hosts.is_empty()).then(|| hosts.join(",")),
        nocache: definition.no_cache,
        cachefrom: (!definition.cache_from.is_empty()).then(|| definition.cache_from.clone()),
        pull: definition.pull.then(|| "true".to_owned()),
        rm: true,
        // Nothing stays of a build that failed.
        forcerm: true,
        buildargs: (!arguments.is_empty()).then_some(arguments),
        shmsize: definition.shm_size.and_then(|size| i32::try_from(size).ok()),
        labels: Some(definition.labels.clone().into_iter().collect()),
        networkmode: definition.network.clone(),
        platform: build.platform.clone().unwrap_or_default(),
        target: definition.target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    }
}

/// A context on its way into an archive.
struct Archive {
    root: PathBuf,
    /// The Dockerfile as the archive has it.
    dockerfile: String,
    /// The text of a Dockerfile that the context has not.
    outside: Option<Outside>,
}

enum Outside {
    Text(String),
    File(PathBuf),
}

/// Returns what is sent of a local context.
fn archive(definition: &Build) -> Option<Archive> {
    if is_remote(&definition.context) {
        return None;
    }
    let root = PathBuf::from(&definition.context);
    if let Some(text) = &definition.dockerfile_inline {
        let outside = Some(Outside::Text(text.clone()));
        return Some(Archive { root, dockerfile: OUTSIDE.to_owned(), outside });
    }
    let path = dockerfile_of(definition);
    let inside = |path: &Path| {
        Some(path.canonicalize().ok()?.strip_prefix(root.canonicalize().ok()?).ok()?.to_owned())
    };
    Some(match inside(&path) {
        Some(below) => {
            let dockerfile = below.to_string_lossy().replace('\\', "/");
            Archive { root, dockerfile, outside: None }
        }
        None => Archive { root, dockerfile: OUTSIDE.to_owned(), outside: Some(Outside::File(path)) },
    })
}

impl Archive {
    /// Writes the archive. What `.dockerignore` leaves out is not sent, except what the builder itself reads.
    fn pack(self, parts: Parts) -> io::Result<()> {
        let mut archive = tar::Builder::new(parts);
        archive.follow_symlinks(false);
        let mut ignored = std::fs::read_to_string(self.root.join(IGNORE)).unwrap_or_default();
        let mut patterns = parse_lines(&ignored);
        let exclude = Patterns::parse(&patterns).map_err(io::Error::other)?;
        for own in [IGNORE, self.dockerfile.as_str()] {
            if exclude.covers(own, &Covered::default()).0 {
                patterns.push(format!("!{own}"));
            }
        }
        let filter = Filter {
            include: Patterns::default(),
            exclude: Patterns::parse(&patterns).map_err(io::Error::other)?,
        };
        let mut failed = None;
        let is_replaced = self.outside.is_some();
        walk(&self.root, &filter, &mut |entry| {
            if is_replaced && entry.path == IGNORE {
                return true;
            }
            failed = append(&mut archive, &self.root, &entry).err();
            failed.is_none()
        })
        .map_err(|error| io::Error::new(error.source.kind(), format!("{error}: {}", error.source)))?;
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(outside) = &self.outside {
            let text = match outside {
                Outside::Text(text) => text.clone(),
                Outside::File(path) => std::fs::read_to_string(path)?,
            };
            append_text(&mut archive, OUTSIDE, &text)?;
            // The Dockerfile is no part of what is copied.
            ignored = format!("{ignored}\n{OUTSIDE}\n");
            append_text(&mut archive, IGNORE, &ignored)?;
        }
        archive.into_inner()?.flush()
    }
}

fn append(archive: &mut tar::Builder<Parts>, root: &Path, entry: &Entry) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    // The Engine reads whole seconds.
    header.set_mtime(entry.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    match &entry.kind {
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, format!("{}/", entry.path), io::empty())
        }
        Kind::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, &entry.path, target)
        }
        Kind::File { size } => {
            use std::io::Read;

            header.set_size(*size);
            let file = std::fs::File::open(root.join(&entry.path))?;
            // A file that grows or shrinks meanwhile keeps the size that was announced.
            let content = file.chain(io::repeat(0)).take(*size);
            archive.append_data(&mut header, &entry.path, content)
        }
    }
}

fn append_text(archive: &mut tar::Builder<Parts>, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, name, text.as_bytes())
}

/// Hands what is written to the connection, in pieces.
struct Parts {
    parts: mpsc::Sender<io::Result<Bytes>>,
    held: Vec<u8>,
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= 64 * 1024 {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let sent = self.parts.blocking_send(Ok(Bytes::from(held)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The steps of one build so far, read from the builder's lines.
struct Steps<'a> {
    progress: Hears<'a>,
    current: Option<(String, Instant)>,
    output: Vec<String>,
}

impl Steps<'_> {
    /// Takes in one answer; returns why the build failed, if it says so.
    fn hear(&mut self, answer: BuildInfo) -> Option<EngineFailure> {
        for line in answer.stream.iter().flat_map(|text| text.split(['\n', '\r'])) {
            self.line(line);
        }
        let message = answer.error_detail?.message?;
        Some(EngineFailure { status: Some(500), message: message.trim().to_owned() })
    }

    fn line(&mut self, line: &str) {
        if let Some(step) = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP ")) {
            self.pass(StepState::Done(Duration::ZERO));
            let (number, instruction) = step.split_once(':').unwrap_or((step, ""));
            let name = format!("[{}] {}", number.trim(), instruction.trim());
            self.tell(name.clone(), StepState::Running(None));
            self.current = Some((name, Instant::now()));
            self.output.clear();
        } else if line.trim() == "---> Using cache" {
            self.pass(StepState::Cached);
        } else if is_of_builder(line, "Successfully built ") {
            self.pass(StepState::Done(Duration::ZERO));
        } else if is_of_builder(line, "Removing intermediate container ") {
            // The step is over, and nobody wants to know.
        } else if !line.trim().is_empty()
            && !["--->", "-->"].iter().any(|arrow| line.trim_start().starts_with(arrow))
        {
            if self.output.len() == KEPT {
                self.output.remove(0);
            }
            self.output.push(line.to_owned());
            if let Some((step, _)) = self.current.clone() {
                let line = line.to_owned();
                (self.progress)(Progress::Build(BuildProgress::Output { id: step.clone(), step, line }));
            }
        }
    }

    /// Tells that the current step is over.
    fn pass(&mut self, state: StepState) {
        if let Some((name, begun)) = self.current.take() {
            let state = if state == StepState::Cached { state } else { StepState::Done(begun.elapsed()) };
            self.tell(name, state);
        }
    }

    fn tell(&self, name: String, state: StepState) {
        (self.progress)(Progress::Build(BuildProgress::Step { id: name.clone(), name, state }));
    }

    fn failure(self, build: &ImageBuild, source: EngineFailure) -> BuildError {
        let image = build.name().to_owned();
        // The Engine says why outside a step too: a Dockerfile that it cannot read, a base image that is not there.
        let Some((step, _)) =
            self.current.filter(|_| source.says(&["returned a non-zero code", "exit status"]))
        else {
            return BuildError::Engine { image, source };
        };
        tell_of_failure(self.progress, &step);
        let location = in_dockerfile(&build.definition, &step);
        BuildError::Step {
            image,
            dockerfile: location.as_ref().map(|location| location.file.clone()),
            line: location.map(|location| location.line),
            step,
            output: self.output,
            source: EngineFailure { message: exit_code(&source.message), ..source },
        }
    }
}

/// Returns whether the builder itself wrote a line: `words` and the id of something.
fn is_of_builder(line: &str, words: &str) -> bool {
    let id = line.strip_prefix(words).map(str::trim_end);
    id.is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn tell_of_failure(progress: Hears<'_>, step: &str) {
    let name = step.to_owned();
    progress(Progress::Build(BuildProgress::Step { id: name.clone(), name, state: StepState::Failed }));
}

/// The builder names the command again: `The command '…' returned a non-zero code: 7`.
fn exit_code(message: &str) -> String {
    let code =
        message.rsplit_once("returned a non-zero code: ").map(|(_, code)| format!("exit code: {code}"));
    code.unwrap_or_else(|| message.to_owned())
}

impl Docker {
    /// Returns the user's credentials for every registry that the Docker configuration names: the builder finds out by
    /// itself which it needs.
    async fn all_credentials(&self) -> HashMap<String, DockerCredentials> {
        let mut all = HashMap::new();
        let Some(folder) = &self.endpoint.config_dir else {
            return all;
        };
        let text = tokio::fs::read(folder.join("config.json")).await.unwrap_or_default();
        let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let sections = ["auths", "credHelpers"].into_iter().filter_map(|key| config[key].as_object());
        for server in sections.flat_map(serde_json::Map::keys) {
            if let Ok(Some(found)) = credentials(folder, server, &|| {}).await {
                all.insert(server.clone(), found);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn keys_beyond_the_builder_are_named() {
        assert_eq!(beyond(&Build::default()), None);
        let definition = Build { privileged: true, cache_to: vec!["type=inline".into()], ..Build::default() };
        assert_eq!(beyond(&definition), Some("cache_to"));
        assert_eq!(beyond(&Build { sbom: Some("false".into()), ..Build::default() }), None);
    }

    #[test]
    fn steps_are_read_from_the_builders_lines() {
        let told = Mutex::new(Vec::new());
        let hear = |progress| {
            if let Progress::Build(progress) = progress {
                told.lock().unwrap().push(match progress {
                    BuildProgress::Step { name, state: StepState::Done(_), .. } => format!("{name}: done"),
                    BuildProgress::Step { name, state, .. } => format!("{name}: {state:?}"),
                    BuildProgress::Output { line, .. } => format!("| {line}"),
                    BuildProgress::Remark(remark) => remark,
                });
            }
        };
        let mut steps = Steps { progress: &hear, current: None, output: Vec::new() };
        let lines =
            ["Step 1/3 : FROM busybox", "\n", " ---> 0a1b\n", "Step 2/3 : RUN a\n", " ---> Using cache\n"];
        for text in lines.into_iter().chain([
            "Step 3/3 : RUN b\n",
            " ---> Running in 1\n",
            "out\n",
            "Removing intermediate container 79369c66d3ce\n",
        ]) {
            steps.hear(BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() });
        }
        let message = "The command '/bin/sh -c b' returned a non-zero code: 7".to_owned();
        let failure = steps.failure(&ImageBuild::default(), EngineFailure { status: Some(500), message });
        assert!(matches!(failure, BuildError::Step { source, output, .. }
            if source.message == "exit code: 7" && output == ["out"]));
        insta::assert_snapshot!(told.lock().unwrap().join("\n"), @"
        [1/3] FROM busybox: Running(None)
        [1/3] FROM busybox: done
        [2/3] RUN a: Running(None)
        [2/3] RUN a: Cached
        [3/3] RUN b: Running(None)
        | out
        [3/3] RUN b: Failed
        ");
    }
}
