use insta::assert_snapshot;

use super::complaints;

#[test]
fn what_a_service_refers_to_must_be_there() {
    assert_snapshot!(complaints("
services:
  web: {image: w, depends_on: [bd, tool], volumes: ['dat:/d'], networks: [frnt]}
  db: {image: d}
  tool: {image: t, profiles: [dev]}
volumes: {data: {}}
networks: {front: {}}
"), @"
    compose.yaml:5:1: service `web`: service `bd` is not declared under `services`; did you mean `db`?
    compose.yaml:6:1: service `web`: service `tool` is required, but its profile is not active: `dev`
    compose.yaml:8:1: service `web`: volume `dat` is not declared under `volumes`; did you mean `data`?
    compose.yaml:10:1: service `web`: network `frnt` is not declared under `networks`; did you mean `front`?
    ");
}

#[test]
fn a_cycle_is_named() {
    assert_snapshot!(complaints("
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, depends_on: [c]}
  c: {image: x, depends_on: [b]}
"), @"compose.yaml:9:1: services wait for each other: `b` → `c` → `b`");
}

#[test]
fn every_error_is_found_in_one_go() {
    assert_snapshot!(complaints("
services:
  web:
    imgae: w
    ports: [web, {published: 80}]
    environment: 5
    volumes: ['a:b', {type: cluster, target: /x}]
    cap_add: {a: b}
  api:
    image: a
    frobnicate: 1
    ulimits: {nofile: {soft: 1}}
    mem_limit: much
    stop_grace_period: 10
    deploy: {replicas: 3, resources: {reservations: {devices: [x]}}}
    secrets: [key]
    depends_on: {web: {required: true}}
volumes: [a]
include: [other.yaml]
"), @"
    compose.yaml:2:1: service `web`: `image` is missing
    compose.yaml:3:1: service `web`: `imgae` is not a known key; did you mean `image`?
    compose.yaml:5:1: service `web`: `ports[0]` must be `[[address:]published:]target[/protocol]`, not `web`
    compose.yaml:6:1: service `web`: `ports[1].target` is missing: the container's port
    compose.yaml:8:1: service `web`: `environment` must be a mapping or a list of `KEY=value`, not a number
    compose.yaml:10:1: service `web`: the target of a mount must be an absolute path, not `b`
    compose.yaml:12:1: service `web`: `volumes[1].type` must be `volume`, `bind` or `tmpfs`, not `cluster`
    compose.yaml:14:1: service `web`: `cap_add` must be a list, not a mapping
    compose.yaml:18:1: service `api`: `frobnicate` is not a known key
    compose.yaml:20:1: service `api`: `ulimits.nofile.hard` is missing
    compose.yaml:22:1: service `api`: `mem_limit` must be a size such as `64m`, not `much`
    compose.yaml:23:1: service `api`: `stop_grace_period` must be a time with a unit, such as `30s`, not `10`
    compose.yaml:25:1: service `api`: `deploy.replicas` must be `1`: another number of containers is not supported yet, not `3`
    compose.yaml:29:1: service `api`: `deploy.resources.reservations.devices` is not supported yet
    compose.yaml:31:1: service `api`: `secrets` is not supported yet
    compose.yaml:33:1: service `api`: `depends_on.web.condition` is missing: `service_started`, `service_healthy` or `service_completed_successfully`
    compose.yaml:35:1: `volumes` must be a mapping, not a list
    compose.yaml:38:1: `include` is not supported yet
    ");
}

#[test]
fn what_merely_tunes_is_ignored_with_a_warning() {
    assert_snapshot!(complaints("
services:
  web:
    image: w
    build: .
    x-mine: 1
    logging: {driver: syslog}
    develop: {}
    cpus: 0.5
    deploy: {replicas: 1, resources: {limits: {cpus: '1'}}}
    volumes: ['./a:/a:z']
    command: a && b
version: '3'
x-common: {a: b}
secrets: {key: {file: ./key}}
"), @"
    compose.yaml:4:1: service `web`: `build` is not supported yet; the image `w` is used as it is
    compose.yaml:7:1: service `web`: `logging` is not supported yet and is ignored
    compose.yaml:9:1: service `web`: `cpus` is not supported yet and is ignored
    compose.yaml:14:1: service `web`: `deploy.resources.limits` is not supported yet and is ignored
    compose.yaml:16:1: service `web`: the option `z` of a mount is not supported yet and is ignored
    compose.yaml:17:1: service `web`: `command` ends at the first `&`, for no shell reads it; write `sh -c '…'` for one that does
    ");
}

#[test]
fn a_file_without_services_is_an_error() {
    assert_snapshot!(complaints("{services: {}}"), @"compose.yaml:1:1: `services` is empty");
    assert_snapshot!(complaints("{services: [a]}"), @"compose.yaml:1:1: `services` must be a mapping, not a list");
    assert_snapshot!(complaints("[a]"), @"compose.yaml:1:1: a Compose file must be a mapping, not a list");
}

#[test]
fn an_external_volume_is_not_described() {
    assert_snapshot!(complaints("
services: {web: {image: w}}
volumes: {a: {external: true, driver: local}}
"), @"compose.yaml:7:1: volume `a`: `driver` says how to make what is `external`");
}
