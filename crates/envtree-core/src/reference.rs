//! Image references: what `postgres:17` means, and where a mirror keeps it.

use std::fmt;

/// The registry that a reference without a host means.
pub const DOCKER_HUB: &str = "docker.io";

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{image}` is not an image reference: {rule}")]
pub struct ReferenceError {
    /// The text.
    pub image: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// An image reference with nothing left implicit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The path within the registry; official images of Docker Hub are under `library/`.
    pub repository: String,
    /// The tag; `latest` if the reference has neither tag nor digest.
    pub tag: Option<String>,
    /// The digest, as `algorithm:hex`. It decides where both are given.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference as people write it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let invalid = |rule| ReferenceError { image: text.to_owned(), rule };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(invalid("a digest is `algorithm:` and hexadecimal digits"));
        }
        let (name, tag) = split_tag(name);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag is letters, digits, `_`, `.` and `-`, at most 128"));
        }
        let (registry, repository) = split_registry(name);
        if !is_repository(&repository) {
            return Err(invalid("a repository is lower-case letters, digits, `.`, `_`, `-` and `/`"));
        }
        Ok(Self {
            registry,
            repository,
            tag: match (tag, digest) {
                (None, None) => Some("latest".to_owned()),
                (tag, _) => tag.map(str::to_owned),
            },
            digest: digest.map(str::to_owned),
        })
    }

    /// Returns registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns what picks one image of the repository: the digest, else the tag.
    pub fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// Returns where `mirror`, a host perhaps followed by a path, keeps the image.
    #[must_use]
    pub fn on_mirror(&self, mirror: &str) -> Self {
        let mirror =
            mirror.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
        let (host, path) = mirror.split_once('/').unwrap_or((mirror, ""));
        let separator = if path.is_empty() { "" } else { "/" };
        Self {
            registry: host.to_owned(),
            repository: format!("{path}{separator}{}", self.repository),
            ..self.clone()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Splits off the tag: a colon after the last slash begins it, one before that begins a registry's port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (name, None),
    }
}

/// Splits off the registry: a first component is one only if it has a dot or a colon, or is `localhost`.
fn split_registry(name: &str) -> (String, String) {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            if host == DOCKER_HUB || host == "index.docker.io" {
                (DOCKER_HUB.to_owned(), official(rest))
            } else {
                (host.to_owned(), rest.to_owned())
            }
        }
        _ => (DOCKER_HUB.to_owned(), official(name)),
    }
}

fn official(repository: &str) -> String {
    if repository.contains('/') { repository.to_owned() } else { format!("library/{repository}") }
}

fn is_repository(repository: &str) -> bool {
    repository.split('/').all(|component| {
        !component.is_empty()
            && component
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
    })
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:9b2c1f9a6d0f7d3c1b2a49586776655443322110ffeeddccbbaa998877665544";

    fn full(text: &str) -> String {
        Reference::parse(text).unwrap().to_string()
    }

    #[test]
    fn a_short_reference_means_docker_hub() {
        assert_eq!(full("postgres"), "docker.io/library/postgres:latest");
        assert_eq!(full("postgres:17"), "docker.io/library/postgres:17");
        assert_eq!(full("bitnami/redis:8"), "docker.io/bitnami/redis:8");
        assert_eq!(full("docker.io/postgres"), "docker.io/library/postgres:latest");
        assert_eq!(full("index.docker.io/a/b:1"), "docker.io/a/b:1");
    }

    #[test]
    fn a_host_is_known_by_its_dot_or_its_port() {
        assert_eq!(full("ghcr.io/a/b"), "ghcr.io/a/b:latest");
        assert_eq!(full("localhost:5000/x"), "localhost:5000/x:latest");
        assert_eq!(full("localhost/x:1"), "localhost/x:1");
        assert_eq!(full("registry:5000/x:2"), "registry:5000/x:2");
    }

    #[test]
    fn a_digest_needs_no_tag_and_decides_over_one() {
        let reference = Reference::parse(&format!("x@{DIGEST}")).unwrap();
        assert_eq!(reference.tag, None);
        assert_eq!(reference.to_string(), format!("docker.io/library/x@{DIGEST}"));
        let both = Reference::parse(&format!("ghcr.io/a/x:1@{DIGEST}")).unwrap();
        assert_eq!(both.tag.as_deref(), Some("1"));
        assert_eq!(both.version(), DIGEST);
    }

    #[test]
    fn a_mirror_keeps_the_full_repository() {
        let reference = Reference::parse("postgres:17").unwrap();
        assert_eq!(reference.on_mirror("127.0.0.1:5000").to_string(), "127.0.0.1:5000/library/postgres:17");
        assert_eq!(
            reference.on_mirror("https://mirror.example/hub/").to_string(),
            "mirror.example/hub/library/postgres:17"
        );
    }

    #[test]
    fn what_is_no_reference_is_rejected() {
        for text in ["", "Postgres", "a//b", "a:", "a:b c", "a@sha256:12", "a@x"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
