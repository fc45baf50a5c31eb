//! Every environment variable that envtree reads, whichever of its parts reads it.

use std::fmt::Write as _;

/// The configuration file of this machine, instead of `~/.config/envtree/config.yaml`.
pub(crate) const ENVTREE_CONFIG: &str = "ENVTREE_CONFIG";
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
/// The folder below which envtree keeps its state.
pub(crate) const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// Any value but the empty one turns colours off.
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Read by the completion scripts' calls alone: the shell that asks.
pub(crate) const COMPLETE: &str = "COMPLETE";

const DESCRIBED: [(&str, &str); 9] = [
    (ENVTREE_CONFIG, "configuration of this machine [~/.config/envtree/config.yaml]"),
    (ENVTREE_ENVIRONMENT, "set inside an environment; `envtree trust` refuses to run there"),
    (COMPOSE_FILE, "Compose files, where --file names none"),
    (COMPOSE_PROFILES, "profiles, separated by commas"),
    (DOCKER_HOST, "endpoint of the Engine"),
    (DOCKER_CONTEXT, "Docker context, where DOCKER_HOST is not set"),
    (DOCKER_CONFIG, "folder of Docker's configuration [~/.docker]"),
    (XDG_STATE_HOME, "folder below which envtree keeps its state [~/.local/state]"),
    (NO_COLOR, "no colours"),
];

/// Returns the section of `--help` about variables.
pub(crate) fn help() -> String {
    let mut text = String::from("Environment variables:\n");
    for (name, meaning) in DESCRIBED {
        let _ = writeln!(text, "  {name:<20}  {meaning}");
    }
    text.push_str(
        "\nExit status: 0 done, 1 input or repository, 2 usage, 3 a check found something to do,\n\
         4 no Engine answers, 5 failed part-way, 70 a bug, 130 and 143 interrupted.",
    );
    text
}
