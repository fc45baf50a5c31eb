//! Why a call of the Engine failed: one variant per call, and one for each refusal that has a remedy of its own.
//!
//! A variant names the resource and carries what the Engine said; it never carries the value of an environment
//! variable.

mod image;
mod words;

use crate::build::BuildError;
use crate::connect::ConnectError;
use crate::failure::EngineFailure;
use crate::version::TooOld;
pub use image::ImageError;
use words::port_words;

/// A failed call of the Engine, or a failed attempt to reach it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerError {
    /// No Engine could be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The Engine did not tell how it is set up.
    #[error("cannot ask the Engine how it is set up")]
    Info(#[source] EngineFailure),
    /// An image was not built.
    #[error(transparent)]
    Build(Box<BuildError>),
    /// An image was not found, pulled or removed.
    #[error(transparent)]
    Image(#[from] ImageError),

    /// The containers could not be listed.
    #[error("cannot list containers")]
    ListContainers(#[source] EngineFailure),
    /// A container could not be inspected.
    #[error("cannot inspect container `{container}`")]
    InspectContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A container could not be made.
    #[error("cannot create container `{container}`")]
    CreateContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The Engine is older than what it is asked for.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// A layer could not be copied.
    #[error("cannot copy volume `{volume}`: {reason}")]
    NotCopied {
        /// The volume that was read.
        volume: String,
        /// What the copying said.
        reason: String,
    },
    /// Files could not be put into a container.
    #[error("cannot put files into container `{container}`")]
    PutFiles {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Files of a container could not be read, because the Engine could not mount a volume.
    #[error("the Engine cannot mount the volumes of container `{container}`")]
    NotMounted {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Files of a container could not be read.
    #[error("cannot read files of container `{container}`")]
    ReadFiles {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A command of the Compose file failed in its container.
    #[error("the {key} hook of container `{container}` ended with status {code}: {output}")]
    HookFailed {
        /// The container's name.
        container: String,
        /// `post_start` or `pre_stop`.
        key: &'static str,
        /// The exit status.
        code: i64,
        /// The end of what it wrote, in words if that is nothing.
        output: String,
    },
    /// A container could not be started.
    #[error("cannot start container `{container}`")]
    StartContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A frozen container could not go on.
    #[error("cannot unpause container `{container}`")]
    UnpauseContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A container could not be stopped.
    #[error("cannot stop container `{container}`")]
    StopContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A container could not be removed.
    #[error("cannot remove container `{container}`")]
    RemoveContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The end of a container could not be awaited.
    #[error("cannot wait for container `{container}`")]
    WaitContainer {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Another container has the name.
    #[error("a container named `{container}` exists already")]
    ContainerAlreadyExists {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// No container has the name.
    #[error("there is no container `{container}`")]
    ContainerMissing {
        /// The container's name.
        container: String,
    },
    /// The container exists, but does not run.
    #[error("container `{container}` does not run")]
    ContainerNotRunning {
        /// The container's name.
        container: String,
    },
    /// The definition of a container mounts a volume whose Engine name is not given.
    #[error("container `{container}` mounts volume `{volume}`, which has no name on the Engine")]
    VolumeUnnamed {
        /// The container's name.
        container: String,
        /// The volume's key in the project.
        volume: String,
    },
    /// A host port that a container publishes is taken.
    #[error("the Engine cannot publish {} of container `{container}`", port_words(*port))]
    PortInUse {
        /// The container's name.
        container: String,
        /// The host's port, if the Engine names it.
        port: Option<u16>,
        /// What the Engine said.
        source: EngineFailure,
    },

    /// The networks could not be listed.
    #[error("cannot list networks")]
    ListNetworks(#[source] EngineFailure),
    /// A network could not be made.
    #[error("cannot create network `{network}`")]
    CreateNetwork {
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A container could not be attached to a network.
    #[error("cannot connect container `{container}` to network `{network}`")]
    ConnectNetwork {
        /// The container's name.
        container: String,
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A container could not be detached from a network.
    #[error("cannot disconnect container `{container}` from network `{network}`")]
    DisconnectNetwork {
        /// The container's name.
        container: String,
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A network could not be removed.
    #[error("cannot remove network `{network}`")]
    RemoveNetwork {
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Another network has the name.
    #[error("a network named `{network}` exists already")]
    NetworkAlreadyExists {
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The subnet overlaps one that the Engine or the host uses.
    #[error("subnet {subnets} of network `{network}` overlaps another network")]
    SubnetOverlap {
        /// The network's name.
        network: String,
        /// The wanted subnets, by commas.
        subnets: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The Engine's own address pools are used up.
    #[error("the Engine has no subnet left for network `{network}`")]
    AddressPoolsExhausted {
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// Containers are attached to the network.
    #[error("network `{network}` is in use")]
    NetworkInUse {
        /// The network's name.
        network: String,
        /// What the Engine said.
        source: EngineFailure,
    },

    /// The volumes could not be listed.
    #[error("cannot list volumes")]
    ListVolumes(#[source] EngineFailure),
    /// A volume could not be inspected.
    #[error("cannot inspect volume `{volume}`")]
    InspectVolume {
        /// The volume's name.
        volume: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A volume could not be made.
    #[error("cannot create volume `{volume}`")]
    CreateVolume {
        /// The volume's name.
        volume: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A volume could not be removed.
    #[error("cannot remove volume `{volume}`")]
    RemoveVolume {
        /// The volume's name.
        volume: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A volume of the name exists, and belongs to something else.
    #[error("a volume named `{volume}` exists already and belongs to {owner}")]
    VolumeAlreadyExists {
        /// The volume's name.
        volume: String,
        /// Whose it is, in words.
        owner: String,
    },
    /// A container, perhaps a stopped one, mounts the volume.
    #[error("volume `{volume}` is in use")]
    VolumeInUse {
        /// The volume's name.
        volume: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// The sizes of the volumes could not be read.
    #[error("cannot read the sizes of volumes")]
    VolumeSizes(#[source] EngineFailure),

    /// A command could not be started in a container.
    #[error("cannot run a command in container `{container}`")]
    Exec {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
    /// A command did not end in time.
    #[error("the command in container `{container}` did not end within {} s", limit.as_secs_f32())]
    ExecTimeout {
        /// The container's name.
        container: String,
        /// The time that it had.
        limit: std::time::Duration,
    },
    /// The output of a container could not be read.
    #[error("cannot read the logs of container `{container}`")]
    Logs {
        /// The container's name.
        container: String,
        /// What the Engine said.
        source: EngineFailure,
    },
}
