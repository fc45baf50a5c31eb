# What the entrypoints of several images need. Sourced by bash.
# shellcheck shell=bash

log() {
    printf '%s entrypoint: %s\n' "$(date -u '+%F %T')" "$*" >&2
}

die() {
    log "error: $*"
    exit 1
}

# setting NAME [DEFAULT]: sets the variable NAME from itself, from the file that NAME_FILE names, or to DEFAULT.
# The variable is exported for the sake of scripts under /docker-entrypoint-initdb.d; NAME_FILE is unset.
setting() {
    local name=$1 file_name=$1_FILE value=${2:-}
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        die "$name and $file_name are both set; set one of them"
    fi
    if [ -n "${!name:-}" ]; then
        value=${!name}
    elif [ -n "${!file_name:-}" ]; then
        value=$(<"${!file_name}")
    fi
    export "$name=$value"
    unset "$file_name"
}

# become USER COMMAND…: continues as USER, in this process.
become() {
    local user=$1
    shift
    exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
}

# own USER PATH…: gives directories and all they hold to USER, without touching what is right already.
own() {
    local user=$1
    shift
    find "$@" ! -user "$user" -exec chown --no-dereference "$user" {} +
}

# run_init_files SQL_COMMAND…: runs the files of /docker-entrypoint-initdb.d in the order of their names.
# SQL_COMMAND reads SQL from stdin. A script that may not be executed is sourced, and so can set variables.
run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) run_script "$file" ;;
        *.sql) log "running $file" && "$@" <"$file" ;;
        *.sql.gz) log "running $file" && gunzip -c "$file" | "$@" ;;
        '/docker-entrypoint-initdb.d/*') ;;
        *) log "ignoring $file" ;;
        esac
    done
}

run_script() {
    if [ -x "$1" ]; then
        log "running $1"
        "$1"
    else
        log "sourcing $1"
        # shellcheck disable=SC1090 # the file is the user's
        . "$1"
    fi
}
