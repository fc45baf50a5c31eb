//! What the Engine says about itself.

use std::fmt;
use std::str::FromStr;

use bollard::models::SystemVersion;

use crate::endpoint::Address;

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// The part before the dot.
    pub major: u16,
    /// The part after the dot.
    pub minor: u16,
}

/// The Engine is older than what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{owner}` asks for {what}, which needs Engine API {needs}; this Engine speaks {has}")]
pub struct TooOld {
    /// The service or the network.
    pub owner: String,
    /// What it asks for.
    pub what: &'static str,
    /// Where it does.
    pub asked: Asked,
    /// The first version that knows it.
    pub needs: ApiVersion,
    /// The version that the Engine speaks.
    pub has: ApiVersion,
}

/// What asks for something that an Engine may be too old for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A key of the service or the network.
    Key(&'static str),
    /// A mount of the service.
    Mount {
        /// Where it is mounted in the container.
        target: String,
    },
}

impl ApiVersion {
    /// The oldest version that envtree works with: Docker Engine 20.10.
    pub const MINIMUM: Self = Self::new(1, 41);
    /// The first version whose bind mounts can ask for the host's folder to be made.
    pub(crate) const CREATE_MOUNTPOINT: Self = Self::new(1, 42);
    /// The first version that obeys a health check's `start_interval`; earlier ones drop it without a word.
    const START_INTERVAL: Self = Self::new(1, 44);

    /// The first version that is known to tell when a volume was made; earlier ones tell of its folder's last change.
    pub(crate) const VOLUME_AGE: Self = Self::new(1, 43);
    /// The first version whose containers bear annotations.
    pub(crate) const ANNOTATIONS: Self = Self::new(1, 43);
    /// The first version that takes a hardware address for each network of a container.
    pub(crate) const ENDPOINT_MAC_ADDRESS: Self = Self::new(1, 44);
    /// The first version that tells apart how mounts below a read-only one are mounted.
    pub(crate) const READ_ONLY_RECURSION: Self = Self::new(1, 44);
    /// The first version that mounts a folder of a volume.
    pub(crate) const VOLUME_SUBPATH: Self = Self::new(1, 45);
    /// The first version whose networks can do without IPv4.
    pub(crate) const NO_IPV4: Self = Self::new(1, 47);
    /// The first version that mounts an image.
    pub(crate) const IMAGE_MOUNT: Self = Self::new(1, 48);
    /// The first version that ranks the networks that a container leaves by.
    pub(crate) const GATEWAY_PRIORITY: Self = Self::new(1, 48);
    /// The first version that names the interface of a network in a container.
    pub(crate) const INTERFACE_NAME: Self = Self::new(1, 49);

    /// Returns the version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Returns an error unless an Engine that speaks `api` knows what this version was the first to know: `what` of
    /// `owner`.
    pub(crate) fn demand(
        self,
        api: Self,
        owner: &str,
        what: &'static str,
        asked: Asked,
    ) -> Result<(), TooOld> {
        if api >= self {
            return Ok(());
        }
        Err(TooOld { owner: owner.to_owned(), what, asked, needs: self, has: api })
    }

    /// Returns whether the Engine obeys a health check's `start_interval`.
    pub fn has_start_interval(self) -> bool {
        self >= Self::START_INTERVAL
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self::new(major.parse()?, minor.parse()?))
    }
}

/// Facts about the Engine that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Where it answered.
    pub endpoint: String,
    /// The newest API version that it speaks.
    pub api: ApiVersion,
    /// The Engine's own version.
    pub version: String,
    /// The operating system of its containers.
    pub os: String,
    /// The processor architecture of its containers, in Go's words.
    pub arch: String,
    /// What it calls itself: `Docker Engine`, `Docker Desktop 4.38.0`, `Podman` and so on.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
    /// Whether the host reaches containers at their own addresses: the Engine runs on this kernel, as root.
    pub is_local: bool,
}

impl EngineFacts {
    /// Returns whether the Engine is Podman behind Docker's API.
    pub fn is_podman(&self) -> bool {
        self.name.starts_with("Podman")
    }

    /// Returns whether the Engine runs in Docker Desktop's virtual machine.
    pub fn is_docker_desktop(&self) -> bool {
        self.name.starts_with("Docker Desktop")
    }

    /// Returns the platform of images that the Engine runs without emulation: `os/architecture`.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.arch)
    }
}

/// Turns the Engine's answer into facts; `host_kernel` is the release of the kernel that this process runs on.
pub(crate) fn facts(
    address: &Address,
    answer: SystemVersion,
    host_kernel: Option<&str>,
) -> Option<EngineFacts> {
    let api = answer.api_version.as_deref()?.parse().ok()?;
    let kernel = answer.kernel_version.clone().unwrap_or_default();
    let name = engine_name(&answer);
    let is_local = matches!(address, Address::Unix(_))
        && host_kernel == Some(kernel.as_str())
        && !is_rootless(address, &answer, &name);
    Some(EngineFacts {
        endpoint: address.to_string(),
        api,
        version: answer.version.unwrap_or_default(),
        os: answer.os.unwrap_or_default(),
        arch: answer.arch.unwrap_or_default(),
        name,
        kernel,
        is_local,
    })
}

/// Returns the platform's name; distributions leave it empty, so the first component's stands in for it.
fn engine_name(answer: &SystemVersion) -> String {
    let platform = answer.platform.as_ref().map(|platform| platform.name.trim());
    let component = answer
        .components
        .as_ref()
        .and_then(|components| components.first())
        .map(|component| component.name.as_str());
    if component == Some("Podman Engine") {
        return "Podman".to_owned();
    }
    match platform {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "Docker Engine".to_owned(),
    }
}

/// A rootless Engine keeps its networks in a namespace of its own, which the host cannot reach.
fn is_rootless(address: &Address, answer: &SystemVersion, name: &str) -> bool {
    let has_rootlesskit = answer.components.iter().flatten().any(|component| component.name == "rootlesskit");
    // Podman does not say it here, but its root socket has one place only.
    let is_user_podman = name == "Podman" && address.to_string() != "unix:///run/podman/podman.sock";
    has_rootlesskit || is_user_podman
}

/// Returns the release of the kernel that this process runs on, where the system tells it in a file.
pub(crate) fn host_kernel() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn answer(platform: &str, components: &[&str]) -> SystemVersion {
        let components: Vec<_> =
            components.iter().map(|name| json!({"Name": name, "Version": "1"})).collect();
        serde_json::from_value(json!({
            "Platform": {"Name": platform},
            "Components": components,
            "Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
            "Os": "linux", "Arch": "amd64", "KernelVersion": "6.18.44",
        }))
        .unwrap()
    }

    fn socket() -> Address {
        Address::Unix(PathBuf::from("/var/run/docker.sock"))
    }

    #[test]
    fn an_engine_of_a_distribution_has_a_name() {
        let facts = facts(&socket(), answer("", &["Engine", "containerd"]), Some("6.18.44")).unwrap();
        assert_eq!(facts.name, "Docker Engine");
        assert_eq!(facts.api, ApiVersion::new(1, 41));
        assert_eq!(facts.platform(), "linux/amd64");
        assert!(facts.is_local);
    }

    #[test]
    fn containers_in_a_virtual_machine_are_not_local() {
        let facts = facts(&socket(), answer("Docker Desktop 4.38.0 (181591)", &["Engine"]), Some("7.0.1"));
        let facts = facts.unwrap();
        assert!(facts.is_docker_desktop());
        assert!(!facts.is_local);
    }

    #[test]
    fn containers_of_a_rootless_engine_are_not_local() {
        let docker = answer("Docker Engine - Community", &["Engine", "rootlesskit"]);
        assert!(!facts(&socket(), docker, Some("6.18.44")).unwrap().is_local);
        let podman = answer("linux/amd64/fedora-42", &["Podman Engine"]);
        let podman = facts(&socket(), podman, Some("6.18.44")).unwrap();
        assert!(podman.is_podman());
        assert!(!podman.is_local);
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < ApiVersion::MINIMUM);
        assert!("1.100".parse::<ApiVersion>().unwrap() > ApiVersion::START_INTERVAL);
        assert!("latest".parse::<ApiVersion>().is_err());
    }
}
