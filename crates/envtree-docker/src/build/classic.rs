//! A build by the classic builder of Engines without BuildKit: the context goes there as one archive.

mod steps;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{BuildImageOptions, TagImageOptionsBuilder};
use envtree_core::build::{Build, ImageBuild, is_remote};
use envtree_core::reference::Reference;
use futures::StreamExt;
use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::buildkit::Hears;
use super::context::{Entry, Filter, Kind, walk};
use super::error::BuildError;
use super::pattern::{Covered, Patterns, parse_lines};
use super::solve::{Surroundings, dockerfile_of, hosts};
use crate::credentials::credentials;
use crate::engine::Docker;
use crate::error::{DockerError, ImageError};
use crate::failure::EngineFailure;
use steps::Steps;

/// The name in the archive of a Dockerfile that lies outside the context.
const OUTSIDE: &str = ".dockerfile.envtree";
const IGNORE: &str = ".dockerignore";
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
    let mut steps = Steps::new(progress);
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
    steps.end();
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
    use super::*;

    #[test]
    fn keys_beyond_the_builder_are_named() {
        assert_eq!(beyond(&Build::default()), None);
        let definition = Build { privileged: true, cache_to: vec!["type=inline".into()], ..Build::default() };
        assert_eq!(beyond(&definition), Some("cache_to"));
        assert_eq!(beyond(&Build { sbom: Some("false".into()), ..Build::default() }), None);
    }
}
