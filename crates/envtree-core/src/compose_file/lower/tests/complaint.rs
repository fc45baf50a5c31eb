use insta::assert_snapshot;

use super::{complaints, lowered};

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
    compose.yaml:5:1: service `web`: `depends_on`: service `bd` is not declared under `services`; did you mean `db`?
    compose.yaml:6:1: service `web`: `depends_on`: service `tool` is required, but its profile is not active: `dev`
    compose.yaml:8:1: service `web`: `volumes[0]`: volume `dat` is not declared under `volumes`; did you mean `data`?
    compose.yaml:10:1: service `web`: `networks`: network `frnt` is not declared under `networks`; did you mean `front`?
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
    volumes: ['data:b', {type: cluster, target: /x}]
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
    compose.yaml:2:1: service `web`: `image` and `build` are missing: one of them is needed
    compose.yaml:3:1: service `web`: `imgae` is not a known key; did you mean `image`?
    compose.yaml:5:1: service `web`: `ports[0]` must be `[[address:]published:]target[/protocol]`, not `web`
    compose.yaml:6:1: service `web`: `ports[1].target` is missing: the container's port
    compose.yaml:8:1: service `web`: `environment` must be a mapping or a list of `KEY=value`, not a number
    compose.yaml:10:1: service `web`: `volumes[0]`: volume `data` is not declared under `volumes`
    compose.yaml:10:1: service `web`: the target of a mount must be an absolute path, not `b`
    compose.yaml:12:1: service `web`: `volumes[1].type` must be `volume`, `bind`, `tmpfs` or `image`, not `cluster`
    compose.yaml:14:1: service `web`: `cap_add` must be a list, not a mapping
    compose.yaml:18:1: service `api`: `frobnicate` is not a known key
    compose.yaml:20:1: service `api`: `ulimits.nofile.hard` is missing
    compose.yaml:22:1: service `api`: `mem_limit` must be a size such as `64m`, not `much`
    compose.yaml:23:1: service `api`: `stop_grace_period` must be a time with a unit, such as `30s`, not `10`
    compose.yaml:29:1: service `api`: `deploy.resources.reservations.devices[0]` must be a mapping, not a text
    compose.yaml:31:1: service `api`: `secrets[0]`: secret `key` is not declared under `secrets`
    compose.yaml:33:1: service `api`: `depends_on.web.condition` is missing: `service_started`, `service_healthy` or `service_completed_successfully`
    compose.yaml:35:1: `volumes` must be a mapping, not a list
    compose.yaml:38:1: `include` is not supported: the files were not brought together
    ");
}

#[test]
fn several_containers_cannot_have_one_name() {
    assert_snapshot!(complaints("
services:
  web: {image: w, container_name: web, scale: 2}
  api: {image: a, container_name: api, deploy: {replicas: 3}}
  one: {image: o, container_name: one, scale: 1}
  none: {image: n, container_name: none, scale: 0}
"), @"
    compose.yaml:4:1: service `web`: `container_name` and `scale: 2` exclude each other: no two containers have one name
    compose.yaml:8:1: service `api`: `container_name` and `deploy.replicas: 3` exclude each other: no two containers have one name
    ");
}

#[test]
fn what_has_no_effect_is_pointed_out() {
    assert_snapshot!(complaints("
services:
  web:
    image: w
    build: .
    x-mine: 1
    cpu_count: 2
    credential_spec: {file: a.json}
    deploy: {placement: {constraints: [a]}, restart_policy: {delay: 5s}, resources: {reservations: {cpus: '1'}}}
    volumes: ['./a:/a:nocopy', {type: volume, target: /b, bind: {propagation: slave}}]
    secrets: [{source: key, mode: 256}]
    command: a && b
version: '3'
x-common: {a: b}
secrets: {key: {file: ./key}}
"), @"
    compose.yaml:6:1: service `web`: `cpu_count` has no effect: only an Engine on Windows knows it
    compose.yaml:8:1: service `web`: `credential_spec` has no effect: only an Engine on Windows knows it
    compose.yaml:12:1: service `web`: `deploy.placement` has no effect: only a swarm knows it
    compose.yaml:14:1: service `web`: `deploy.restart_policy.delay` has no effect: only a swarm knows it
    compose.yaml:17:1: service `web`: `deploy.resources.reservations.cpus` has no effect: only a swarm knows it
    compose.yaml:19:1: service `web`: the option `nocopy` has no effect on this mount and is ignored
    compose.yaml:24:1: service `web`: `volumes[1].bind` has no effect on a mount of type `volume`
    compose.yaml:28:1: service `web`: `secrets[0].mode` has no effect: the file is mounted as it is on the host
    compose.yaml:29:1: service `web`: `command` ends at the first `&`, for no shell reads it; write `sh -c '…'` for one that does
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

#[test]
fn what_is_said_of_an_external_network_has_no_effect() {
    let text = "
services: {web: {image: w}}
networks: {default: {external: true, driver: bridge}}
models: {m: {model: ai/m}}
";
    assert_snapshot!(complaints(text), @"
    compose.yaml:7:1: network `default`: `driver` has no effect on what is `external`
    compose.yaml:10:1: `models` has no effect here and is ignored
    ");
}

#[test]
fn words_of_other_tools_lead_to_their_keys() {
    let text = "
services:
  web:
    image: w
    net: host
    cmd: a
    env: {A: b}
    dockerfile: D
    restart_policy: always
    replicas: 2
    healthcheck: {cmd: x}
    volumes: [{type: bind, src: /a, dst: /b, ro: true}]
    pots: [80]
db: {image: d}
srevices: {}
";
    assert_snapshot!(complaints(text), @"
    compose.yaml:4:1: service `web`: `net` is not a known key; did you mean `network_mode` or `networks`?
    compose.yaml:5:1: service `web`: `cmd` is not a known key; did you mean `command`?
    compose.yaml:7:1: service `web`: `env` is not a known key; did you mean `environment`?
    compose.yaml:8:1: service `web`: `dockerfile` is not a known key; did you mean `build.dockerfile`?
    compose.yaml:9:1: service `web`: `restart_policy` is not a known key; did you mean `restart`?
    compose.yaml:10:1: service `web`: `replicas` is not a known key; did you mean `scale` or `deploy.replicas`?
    compose.yaml:12:1: service `web`: `healthcheck.cmd` is not a known key; did you mean `test`?
    compose.yaml:14:1: service `web`: `volumes[0].target` is missing
    compose.yaml:16:1: service `web`: `volumes[0].src` is not a known key; did you mean `source`?
    compose.yaml:17:1: service `web`: `volumes[0].dst` is not a known key; did you mean `target`?
    compose.yaml:18:1: service `web`: `volumes[0].ro` is not a known key; did you mean `read_only`?
    compose.yaml:20:1: service `web`: `pots` is not a known key; did you mean `ports`?
    compose.yaml:22:1: `db` is not a known key; a service stands below `services`
    compose.yaml:23:1: `srevices` is not a known key; did you mean `services`?
    ");
}

#[test]
fn a_file_of_version_1_is_told_as_one() {
    assert_snapshot!(complaints("
web: {image: w, links: [db]}
db: {image: d}
"), @"compose.yaml:4:1: the service `web` stands at the top of the file, as in version 1 of Compose, which is no longer read; put a line `services:` above the services and indent them below it");
    assert_snapshot!(complaints("{web: {imag: w}}"), @"compose.yaml:2:1: `web` is not a known key");
}

#[test]
fn a_space_too_much_or_too_few_is_pointed_at() {
    assert_snapshot!(complaints("
services:
  web: {image: w, volumes: [{./a: /a}], profiles: dev}
  api: 'image:a'
"), @"
    compose.yaml:5:1: service `web`: `volumes[0].target` is missing
    compose.yaml:6:1: service `web`: `volumes[0]../a` is not a known key; in a text such as `./data:/data`, no space stands behind the `:`
    compose.yaml:7:1: service `web`: `profiles` must be a list, not `dev`
    compose.yaml:8:1: service `api` must be a mapping, not a text; is a space missing behind a `:`?
    ");
}

#[test]
fn what_no_engine_runs_is_shown_and_refused() {
    let lowered = lowered(
        "
services:
  web:
    build: {context: 'git+https://github.com/a/b', secrets: [s]}
    volumes: ['./a:b', 'c:/d:ro']
    expose: [a, 80]
    deploy: {restart_policy: {condition: any-time}}
    networks: [out]
  api: {build: 'docker-image://x'}
  job:
    build: 'ftp://x/y'
    tmpfs: 'run:size=1m'
    volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z, recursive: disabled}}]
secrets: {s: {external: true}}
networks: {out: {external: true, name: ''}, idle: {external: true, name: ''}}
",
    );
    let refused: Vec<String> = lowered.refused.iter().map(ToString::to_string).collect();
    assert_snapshot!(refused.join("\n"), @"
    compose.yaml:4:1: service `web`: the context of a build must be a folder, or an address that begins with one of `https://`, `http://`, `git://`, `ssh://`, `github.com/`, `git@`, not `git+https://github.com/a/b`; did you mean `https://github.com/a/b`?
    compose.yaml:6:1: service `web`: secret `s` is `external`, which only a swarm knows
    compose.yaml:8:1: service `web`: the target of a mount must be an absolute path, not `b`
    compose.yaml:9:1: service `web`: the target of a mount must be an absolute path, not `ro`
    compose.yaml:11:1: service `web`: `expose` must be a list of `port[-port][/protocol]`, not `a`
    compose.yaml:15:1: service `web`: `deploy.restart_policy.condition` must be one of `none`, `on-failure`, `any`, `no`, `always`, `unless-stopped`, not `any-time`
    compose.yaml:19:1: service `api`: the context of a build must be a folder, or an address that begins with one of `https://`, `http://`, `git://`, `ssh://`, `github.com/`, `git@`, not `docker-image://x`; `image: x` runs an image that is there
    compose.yaml:21:1: service `job`: the context of a build must be a folder, or an address that begins with one of `https://`, `http://`, `git://`, `ssh://`, `github.com/`, `git@`, not `ftp://x/y`
    compose.yaml:22:1: service `job`: the target of a mount must be an absolute path, not `run`
    compose.yaml:30:1: service `job`: `bind.recursive: disabled` and `bind.selinux` exclude each other
    compose.yaml:37:1: network `out`: `name` is empty: name the network that is meant
    ");
    let web = &lowered.project.services["web"];
    let targets: Vec<&str> = web.mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!((targets, web.expose.len()), (vec!["b", "ro"], 2));
}

#[test]
fn what_only_a_swarm_or_windows_knows_is_pointed_out() {
    assert_snapshot!(complaints("
services:
  a: {image: a, deploy: {mode: global, replicas: 2}}
  b: {image: b, deploy: {mode: replicated-jobs}}
  c: {image: c, deploy: {mode: foo}}
  d: {image: d, deploy: {mode: replicated}}
  e: {build: {context: ., isolation: hyperv, entitlements: [network.host]}}
  f: {build: {context: ., isolation: default}, cpu_shares: 1.5, cpu_quota: 1e3}
"), @"
    compose.yaml:5:1: service `a`: `deploy.mode` has no effect: only a swarm knows `global`
    compose.yaml:10:1: service `b`: `deploy.mode` has no effect: `replicated-jobs` is none of `replicated`, `global`, `replicated-job`, `global-job`; did you mean `replicated-job`?
    compose.yaml:14:1: service `c`: `deploy.mode` has no effect: `foo` is none of `replicated`, `global`, `replicated-job`, `global-job`
    compose.yaml:22:1: service `e`: `build.isolation` has no effect: only an Engine on Windows knows it
    compose.yaml:29:1: service `f`: `cpu_shares` is a whole number: its fraction is cut off, and `1` taken
    ");
}

#[test]
fn a_text_in_place_of_the_list_of_security_options_is_said_once() {
    assert_snapshot!(complaints("services: {web: {image: w, security_opt: x}}"), @"compose.yaml:4:1: service `web`: `security_opt` must be a list, not `x`");
}

#[test]
fn a_variable_of_a_hook_has_no_value_but_that_of_the_file() {
    let lowered =
        lowered("services: {web: {image: w, post_start: [{command: [x], environment: [A=1, HOME, NONE]}]}}");
    let hook = &lowered.project.services["web"].post_start[0];
    assert_eq!((hook.environment.len(), &hook.unset[..]), (1, &["HOME".to_owned(), "NONE".to_owned()][..]));
    let warnings: Vec<&str> = lowered.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "service `web`: `post_start[0].environment` names `HOME` without a value, and as in Compose gets none: `HOME: ${HOME}` hands on your own"
        ]
    );
}
