# Shared by the scripts in this directory, which source it; never run by itself.
# shellcheck shell=sh

# Everything the set-up makes lives here: logs, build contexts, the registry's data, the machine configuration.
ENVTREE_DEV_DIR=${ENVTREE_DEV_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/envtree-dev}

# Cargo and what it installed are found even where the login shell does not look for them.
export PATH="$PATH:${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin:${CARGO_HOME:-$HOME/.cargo}/bin"

say() {
    printf '%s\n' "$*" >&2
}

# fail MESSAGE [HINT]
fail() {
    say "error: $1"
    [ -z "${2:-}" ] || say "hint: $2"
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# show_log FILE: the end of a daemon's log, for the reader of an error.
show_log() {
    say "the last lines of $1:"
    tail -n 20 "$1" >&2 || true
}

# wait_for SECONDS COMMAND…: repeats COMMAND until it succeeds; fails once the deadline has passed.
wait_for() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# with_lock NAME: holds a lock until the script ends, so that two set-ups do not do the same work at once.
# Daemons that a script starts must close descriptor 9, or they would hold the lock for as long as they live.
with_lock() {
    mkdir -p "$ENVTREE_DEV_DIR"
    exec 9>"$ENVTREE_DEV_DIR/$1.lock"
    flock 9
}

# start_detached LOG COMMAND…: starts a daemon that outlives this shell, its terminal and its process group.
start_detached() {
    log=$1
    shift
    mkdir -p "$(dirname "$log")"
    setsid nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
}

# apt_install PACKAGE…: installs what is missing; silent unless it fails.
apt_install() {
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    log=$ENVTREE_DEV_DIR/log/apt.log
    mkdir -p "$(dirname "$log")"
    # The package lists of a fresh machine are absent or old; they are refreshed only when an install needs it.
    # shellcheck disable=SC2086 # package names are words to split
    apt_quietly install $missing || { apt_quietly update && apt_quietly install $missing; } || {
        show_log "$log"
        fail "cannot install$missing"
    }
}

apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null
}

on_debian_as_root() {
    [ "$(id -u)" = 0 ] && has apt-get && has dpkg-query
}

# One scenario restarts an Engine, and so starts one of its own beside the one that all others share.
# Some scenarios start servers of their own: an Engine beside the one that all others share, an sshd, a registry.
can_start_servers() {
    [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] &&
        has dockerd && has nsenter && has ip && has openssl && has docker-registry && [ -x /usr/sbin/sshd ]
}

# The features that the tests are built with: the same everywhere, so that they are built once.
test_features() {
    features=envtree-docker/daemon,envtree-cli/daemon
    ! can_start_servers || features=$features,envtree-cli/private-engine
    echo "$features"
}
