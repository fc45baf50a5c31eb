//! Every environment variable that envtree reads, whichever of its parts reads it.

use std::env;
use std::fmt::Write as _;
use std::time::Duration;

use crate::command_error::CommandError;
use crate::text::parse_duration;

/// The configuration file of this machine, instead of `~/.config/envtree/config.yaml`.
pub(crate) const ENVTREE_CONFIG: &str = "ENVTREE_CONFIG";
/// The folder of envtree's state itself, instead of one below [`XDG_STATE_HOME`].
pub(crate) const ENVTREE_STATE_DIR: &str = "ENVTREE_STATE_DIR";
/// How long to wait for another command that holds a lock: a duration such as `60s`.
pub(crate) const ENVTREE_LOCK_TIMEOUT: &str = "ENVTREE_LOCK_TIMEOUT";
/// Set inside every environment to its id: `trust` refuses to run there.
pub(crate) const ENVTREE_ENVIRONMENT: &str = "ENVTREE_ENVIRONMENT";
/// The Compose files, separated as in `PATH`, where `--file` names none.
pub(crate) const COMPOSE_FILE: &str = "COMPOSE_FILE";
/// The profiles to turn on, separated by commas.
pub(crate) const COMPOSE_PROFILES: &str = "COMPOSE_PROFILES";
/// The Engine's endpoint.
pub(crate) const DOCKER_HOST: &str = "DOCKER_HOST";
/// The Docker context that names the endpoint, where `DOCKER_HOST` does not.
pub(crate) const DOCKER_CONTEXT: &str = "DOCKER_CONTEXT";
/// The folder of Docker's own configuration: contexts and registry credentials.
pub(crate) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// `0` builds images by the classic builder.
pub(crate) const DOCKER_BUILDKIT: &str = "DOCKER_BUILDKIT";
/// The platform of services that name none.
pub(crate) const DOCKER_DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";
/// The folder below which envtree keeps its state.
pub(crate) const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// Any value but the empty one turns colours off.
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Read by the completion scripts' calls alone: the shell that asks.
pub(crate) const COMPLETE: &str = "COMPLETE";

const DESCRIBED: [(&str, &str); 13] = [
    (ENVTREE_CONFIG, "configuration of this machine [~/.config/envtree/config.yaml]"),
    (ENVTREE_STATE_DIR, "folder of envtree's state [$XDG_STATE_HOME/envtree]"),
    (ENVTREE_LOCK_TIMEOUT, "how long to wait for other envtree commands [2m]"),
    (ENVTREE_ENVIRONMENT, "set inside an environment; `envtree trust` refuses to run there"),
    (COMPOSE_FILE, "Compose files, where --file names none"),
    (COMPOSE_PROFILES, "profiles, separated by commas"),
    (DOCKER_HOST, "endpoint of the Engine"),
    (DOCKER_CONTEXT, "Docker context, where DOCKER_HOST is not set"),
    (DOCKER_CONFIG, "folder of Docker's configuration [~/.docker]"),
    (DOCKER_DEFAULT_PLATFORM, "platform of services that name none"),
    (DOCKER_BUILDKIT, "0 builds images by the classic builder"),
    (XDG_STATE_HOME, "folder below which envtree keeps its state [~/.local/state]"),
    (NO_COLOR, "no colours"),
];

/// How long a command waits for others where [`ENVTREE_LOCK_TIMEOUT`] does not say.
const LOCK_TIMEOUT: Duration = Duration::from_mins(2);

/// Returns how long to wait for another command that holds a lock.
pub(crate) fn lock_timeout() -> Result<Duration, CommandError> {
    let Some(text) = env::var_os(ENVTREE_LOCK_TIMEOUT).filter(|text| !text.is_empty()) else {
        return Ok(LOCK_TIMEOUT);
    };
    let text = text.to_string_lossy();
    parse_duration(&text).map_err(|rule| {
        CommandError::input(format!("`{text}` in `{ENVTREE_LOCK_TIMEOUT}` is no time to wait: {rule}"))
    })
}

/// Returns the section of `--help` about variables.
pub(crate) fn help() -> String {
    let mut text = String::from("Environment variables:\n");
    for (name, meaning) in DESCRIBED {
        let _ = writeln!(text, "  {name:<23}  {meaning}");
    }
    text.push_str(
        "\nExit status: 0 done, 1 input or repository, 2 usage, 3 a check found something to do,\n\
         4 no Engine answers, 5 failed part-way, 70 a bug, 130 and 143 interrupted.",
    );
    text
}
