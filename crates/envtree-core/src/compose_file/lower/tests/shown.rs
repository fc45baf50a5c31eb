use insta::assert_snapshot;

use super::{complaints, lowered};
use crate::compose_file::render::model;

/// Returns what of a file is refused, a line each.
fn refused(yaml: &str) -> String {
    let lowered = lowered(yaml);
    let refused: Vec<String> = lowered.refused.iter().map(ToString::to_string).collect();
    refused.join("\n")
}

#[test]
fn words_and_numbers_that_no_engine_takes_are_refused() {
    assert_snapshot!(refused("
services:
  web:
    image: w
    restart: sometimes
    scale: -1
    deploy: {update_config: {delay: -1s}, restart_policy: {max_attempts: 99999999999, window: -90s}}
    healthcheck: {test: [CMD, x], interval: -90s, retries: 99999999999}
    cpus: 99999999999
    blkio_config: {weight: 65546, weight_device: [{path: '', weight: 10}]}
    expose: [-1]
    post_start: [{user: root}, {command: ''}]
    pre_stop: [{command: []}]
    build: {context: ., additional_contexts: {base: ''}, ssh: {mine: null}}
"), @"
    compose.yaml:4:1: service `web`: `restart` must be `no`, `always`, `unless-stopped` or `on-failure[:number]`, not `sometimes`
    compose.yaml:5:1: service `web`: `scale` must be a whole number from 0 to 4294967295, not `-1`
    compose.yaml:8:1: service `web`: `deploy.update_config.delay` must be a time from 0 on, such as `30s`, not `-1s`
    compose.yaml:10:1: service `web`: `deploy.restart_policy.max_attempts` must be a whole number from 0 to 4294967295, not `99999999999`
    compose.yaml:11:1: service `web`: `deploy.restart_policy.window` must be a time from 0 on, such as `30s`, not `-90s`
    compose.yaml:16:1: service `web`: `healthcheck.interval` must be a time from 0 on, such as `30s`, not `-90s`
    compose.yaml:17:1: service `web`: `healthcheck.retries` must be a whole number from 0 to 4294967295, not `99999999999`
    compose.yaml:18:1: service `web`: `cpus` must be a number up to 9000000, such as `0.5`, not `99999999999`
    compose.yaml:20:1: service `web`: `blkio_config.weight` must be a weight from 10 to 1000, not `65546`
    compose.yaml:23:1: service `web`: `blkio_config.weight_device[0].path` is empty
    compose.yaml:26:1: service `web`: `expose` must be a list of `port[-port][/protocol]`, not `-1`
    compose.yaml:28:1: service `web`: `post_start[0].command` is missing
    compose.yaml:31:1: service `web`: `post_start[1].command` is empty
    compose.yaml:34:1: service `web`: `pre_stop[0].command` is empty
    compose.yaml:38:1: service `web`: `build.additional_contexts`: the context `base` is empty
    compose.yaml:40:1: service `web`: `build.ssh` needs the path of a key or a socket for `mine`
    ");
}

#[test]
fn mounts_and_files_that_no_engine_makes_are_refused() {
    assert_snapshot!(refused(r"
services:
  web:
    image: w
    volumes:
      - {type: npipe, source: '\\.\pipe\x', target: '\\.\pipe\x'}
      - {type: cluster, source: group, target: /a}
      - {type: '', target: /b}
      - {type: image, target: /c}
      - {type: bind, source: ., target: '', bind: {propagation: up}}
      - {type: tmpfs, target: /d, tmpfs: {mode: 99999999999}}
    configs: [{source: text, uid: root, mode: 99999999999}, {source: file, uid: root}]
    devices: [{source: '', target: /b}]
configs: {text: {content: x}, file: {file: f}}
"), @"
    compose.yaml:6:1: service `web`: `volumes[0].type` must be `volume`, `bind`, `tmpfs` or `image`, not `npipe`
    compose.yaml:10:1: service `web`: `volumes[1].type` must be `volume`, `bind`, `tmpfs` or `image`, not `cluster`
    compose.yaml:14:1: service `web`: `volumes[2].type` is empty
    compose.yaml:16:1: service `web`: `volumes[3].source` is missing
    compose.yaml:22:1: service `web`: `volumes[4].target` is empty
    compose.yaml:24:1: service `web`: `volumes[4].bind.propagation` must be one of `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave`, not `up`
    compose.yaml:29:1: service `web`: `volumes[5].tmpfs.mode` must be a mode such as `0o1777`, not `99999999999`
    compose.yaml:33:1: service `web`: `configs[0].uid` must be a number, not `root`
    compose.yaml:34:1: service `web`: `configs[0].mode` must be a mode such as `0o440`, not `99999999999`
    compose.yaml:40:1: service `web`: `devices[0].source` is empty
    ");
}

#[test]
fn addresses_and_ports_that_are_none_are_refused() {
    assert_snapshot!(refused("
services:
  web:
    image: w
    mac_address: '02:42'
    ports:
      - {target: 0}
      - {target: 80, published: x, host_ip: localhost, protocol: icmp}
    networks: {back: {ipv4_address: 10.0.0, ipv6_address: x, link_local_ips: [fe80], mac_address: z}}
networks:
  back: {ipam: {config: [{subnet: 10.0.0.0, ip_range: 10.0.0.0/33, gateway: a, aux_addresses: {b: c}}]}}
"), @"
    compose.yaml:4:1: service `web`: `mac_address` must be an address such as `02:42:ac:11:00:02`, not `02:42`
    compose.yaml:7:1: service `web`: `ports[0].target` must be a port from 1 to 65535, not `0`
    compose.yaml:10:1: service `web`: `ports[1].published` must be a port or a range of ports, not `x`
    compose.yaml:11:1: service `web`: `ports[1].host_ip` must be an IP address, not `localhost`
    compose.yaml:12:1: service `web`: `ports[1].protocol` must be `tcp`, `udp` or `sctp`, not `icmp`
    compose.yaml:15:1: service `web`: `networks.back.ipv4_address` must be an IP address, not `10.0.0`
    compose.yaml:16:1: service `web`: `networks.back.ipv6_address` must be an IP address, not `x`
    compose.yaml:18:1: service `web`: `networks.back.link_local_ips` must be a list of IP addresses, not `fe80`
    compose.yaml:19:1: service `web`: `networks.back.mac_address` must be an address such as `02:42:ac:11:00:02`, not `z`
    compose.yaml:25:1: network `back`: `ipam.config[0].subnet` must be a subnet such as `10.1.0.0/24`, not `10.0.0.0`
    compose.yaml:26:1: network `back`: `ipam.config[0].ip_range` must be a range such as `10.1.0.0/28`, not `10.0.0.0/33`
    compose.yaml:27:1: network `back`: `ipam.config[0].gateway` must be an IP address, not `a`
    compose.yaml:29:1: network `back`: `ipam.config[0].aux_addresses.b` must be an IP address, not `c`
    ");
}

#[test]
fn what_compose_refuses_itself_is_an_error() {
    assert_snapshot!(complaints("
services:
  web:
    image: w
    healthcheck: {test: [CMD, x], retries: -1}
    deploy: {restart_policy: {max_attempts: -1}}
    cpus: nan
    blkio_config: {weight: -1}
"), @"
    compose.yaml:8:1: service `web`: `healthcheck.retries` must be a whole number from 0 to 4294967295, not `-1`
    compose.yaml:11:1: service `web`: `deploy.restart_policy.max_attempts` must be a whole number from 0 to 4294967295, not `-1`
    compose.yaml:12:1: service `web`: `cpus` must be a number such as `0.5`, not `nan`
    compose.yaml:14:1: service `web`: `blkio_config.weight` must be a weight from 10 to 1000, not `-1`
    ");
}

#[test]
fn what_is_written_in_another_way_than_the_engine_s_is_no_fault() {
    let lowered = lowered(
        "
services:
  web:
    image: w
    restart: on-failure:+3
    ports: [{target: 80, published: '0080', host_ip: '[::1]', protocol: UDP}]
    healthcheck: {test: [CMD, x], interval: +5s}
",
    );
    assert!(lowered.refused.is_empty());
    let web = &model(&lowered.project)["services"]["web"];
    assert_eq!(web["restart"], "on-failure:+3");
    assert_eq!(web["healthcheck"]["interval"], "5s");
    let port = &lowered.project.services["web"].ports[0];
    assert_eq!(
        (port.published, port.host_ip.as_deref(), port.protocol.as_str()),
        (Some(80), Some("::1"), "udp")
    );
    let shown = &web["ports"][0];
    assert_eq!([&shown["published"], &shown["host_ip"], &shown["protocol"]], ["0080", "[::1]", "UDP"]);
}
