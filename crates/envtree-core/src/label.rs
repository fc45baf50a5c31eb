//! Every label key that envtree reads or writes.

/// Compose: the project that an object belongs to. Docker Desktop groups by it.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose: the service that a container runs.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Compose: the container's number within its service, from 1.
pub const COMPOSE_CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
/// Compose: `True` on a container of `run`, `False` on one of `up`.
pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
/// Compose: what tells the containers of `run` apart.
pub const COMPOSE_SLUG: &str = "com.docker.compose.slug";
/// Compose: the hash of the definition that an object was made from. Compose lists only containers that have it.
pub const COMPOSE_CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Compose: the image that a container was made from, by digest.
pub const COMPOSE_IMAGE: &str = "com.docker.compose.image";
/// Compose: the services that a container's service depends on, `service:condition:restart`, by commas.
pub const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Compose: the folder of the project.
pub const COMPOSE_WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Compose: the files of the project, by commas.
pub const COMPOSE_CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Compose: the version of the program that made an object.
pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
/// Compose: the key of a network.
pub const COMPOSE_NETWORK: &str = "com.docker.compose.network";
/// Compose: the key of a volume.
pub const COMPOSE_VOLUME: &str = "com.docker.compose.volume";

/// envtree: the id of the repository. What lacks it is not envtree's, and is never changed or removed.
pub const REPOSITORY: &str = "dev.envtree.repository";
/// envtree: the repository's name, for people.
pub const REPOSITORY_NAME: &str = "dev.envtree.repository.name";
/// envtree: the common git directory of the repository, to rebuild lost state.
pub const COMMON_DIR: &str = "dev.envtree.repository.common-dir";
/// envtree: the environment id.
pub const ENVIRONMENT: &str = "dev.envtree.environment";
/// envtree: the task as it was typed.
pub const TASK: &str = "dev.envtree.task";
/// envtree: the absolute path of the worktree.
pub const WORKTREE: &str = "dev.envtree.worktree";
/// envtree: `service:target` of a volume that neither file nor image names.
pub const ANONYMOUS: &str = "dev.envtree.anonymous";
/// envtree: the host ports of a container, `target/protocol/index=published` by commas, to rebuild lost reservations.
pub const PORTS: &str = "dev.envtree.ports";
/// envtree: the commands that run in a container once it has started, as JSON: a start reads no file.
pub const POST_START: &str = "dev.envtree.post-start";
/// envtree: the commands that run in a container before it is stopped, as JSON: a stop reads no file.
pub const PRE_STOP: &str = "dev.envtree.pre-stop";
/// envtree: the hash of the definition that an object was made from.
pub const CONFIG_HASH: &str = "dev.envtree.config-hash";
/// envtree: what the Compose file calls an image that was built.
pub const IMAGE: &str = "dev.envtree.image";
/// envtree: the volumes of a container that Docker Compose made and envtree took over, `name=created` by commas.
pub const ADOPTED: &str = "dev.envtree.adopted";
/// envtree: what becomes of a container of `run` once its command has ended, as [`crate::one_off::Ended`] has it.
pub const ONE_OFF: &str = "dev.envtree.one-off";
/// envtree: the key of the base that a volume or container belongs to or lies on.
pub const BASE: &str = "dev.envtree.base";
/// envtree: what a base consists of, as JSON, on the volume whose existence says that the base is complete.
pub const BASE_RECORD: &str = "dev.envtree.base.record";
/// envtree: the volume that a branch's upper volume, or the container that keeps it, belongs to.
pub const BRANCH: &str = "dev.envtree.branch";
/// envtree: what a branch lies on, as JSON, on its upper volume.
pub const GROUND: &str = "dev.envtree.ground";
/// envtree: the version of envtree that made an object.
pub const VERSION: &str = "dev.envtree.version";
