use std::time::Duration;

use insta::assert_snapshot;

use super::super::testing::node;
use super::*;
use crate::service::{Condition, HealthTest, PullPolicy, RestartPolicy};

mod complaint;
mod shown;

fn lower_with(yaml: &str, profiles: &[&str]) -> Result<Lowered, Vec<Diagnostic>> {
    lower_for(yaml, profiles, None)
}

fn lower_for(yaml: &str, profiles: &[&str], wanted: Option<&str>) -> Result<Lowered, Vec<Diagnostic>> {
    let profiles: Vec<String> = profiles.iter().map(ToString::to_string).collect();
    let files = |request: &EnvFileRequest<'_>| match request.path {
        "/w/a.env" => Ok(Some(vec![
            ("A".to_owned(), Some("file".to_owned())),
            ("B".to_owned(), Some("file".to_owned())),
            ("HOME".to_owned(), None),
        ])),
        "/w/broken.env" => Err("broken.env:1:1: expected `KEY=value`".to_owned()),
        _ => Ok(None),
    };
    let options = LowerOptions {
        name: ProjectName::new("shop").unwrap(),
        working_dir: "/w",
        home: Some("/home/me"),
        profiles: &profiles,
        wanted,
        missing: &|_| String::new(),
        lookup: &|name| (name == "HOME").then(|| "/home/me".to_owned()),
        read_env_file: &files,
        read_text: &|path| match path {
            "/w/profile.json" => Ok(Some("{\"defaultAction\": \"SCMP_ACT_ALLOW\"}\n".to_owned())),
            "/w/broken.json" => Ok(Some("{".to_owned())),
            _ => Ok(None),
        },
    };
    lower(&node(yaml), &options)
}

fn lowered(yaml: &str) -> Lowered {
    lower_with(yaml, &[]).unwrap()
}

/// Returns the service `web` that has these settings and an image.
fn web(settings: &str) -> Service {
    let yaml = format!("services: {{web: {{image: w, {settings}}}}}\nvolumes: {{data: {{}}}}");
    lowered(&yaml).project.services["web"].clone()
}

fn complaints(yaml: &str) -> String {
    let lines = match lower_with(yaml, &[]) {
        Ok(lowered) => lowered.warnings,
        Err(errors) => errors,
    };
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Returns what is wrong with these settings of the service `web`, without places.
fn complaints_of(settings: &str) -> String {
    complaints(&format!("services: {{web: {{image: w, {settings}}}}}"))
        .lines()
        .map(|line| line.split_once(": ").unwrap().1)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_usual_project_is_read() {
    let project = lowered(
        "
name: from-the-file
services:
  db:
    image: postgres:17
    environment: {POSTGRES_PASSWORD: x}
    volumes: ['data:/var/lib/postgresql/data']
    healthcheck: {test: pg_isready, interval: 5s, retries: 3}
  web:
    image: web
    command: npm run 'my dev'
    ports: ['8080:80']
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
volumes: {data: null, unused: {}}
networks: {unused: {}}
",
    );
    let warnings: Vec<&str> = project.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warnings.len() == 1 && warnings[0].starts_with("`name` is not used"), "{warnings:?}");
    assert_eq!(project.inactive, [""; 0]);
    let project = project.project;
    assert_eq!(project.name, "shop");
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(project.volumes.keys().collect::<Vec<_>>(), ["data"]);
    let web = &project.services["web"];
    assert_eq!(web.command.as_deref(), Some(["npm", "run", "my dev"].map(String::from).as_slice()));
    assert_eq!(web.ports[0].published, Some(8080));
    assert_eq!(web.depends_on["db"].condition, Condition::ServiceHealthy);
    assert_eq!(web.restart, RestartPolicy::UnlessStopped);
    let check = project.services["db"].health_check.clone().unwrap();
    assert_eq!(check.test, Some(HealthTest::Shell("pg_isready".into())));
    assert_eq!(check.retries, Some(3));
}

#[test]
fn texts_stand_for_numbers_and_booleans() {
    let web =
        web("init: 'true', tty: 'off', healthcheck: {retries: '4'}, ulimits: {nofile: '5'}, user: 1000");
    assert_eq!(web.runtime.init, Some(true));
    assert!(!web.runtime.tty);
    assert_eq!(web.health_check.unwrap().retries, Some(4));
    assert_eq!(web.runtime.ulimits["nofile"].hard, 5);
    assert_eq!(web.user.as_deref(), Some("1000"));
}

#[test]
fn a_profile_of_seccomp_is_read_beside_the_file() {
    let seccomp = |item: &str| web(&format!("security_opt: [{item}]")).runtime.seccomp;
    let profile = Some(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned());
    assert_eq!(seccomp("seccomp=profile.json"), profile);
    assert_eq!(seccomp("'seccomp:./profile.json'"), profile);
    for item in ["seccomp=unconfined", "seccomp=builtin", "no-new-privileges", "seccomp=none.json"] {
        assert_eq!(seccomp(item), None, "{item}");
    }
    let complaints = complaints_of("security_opt: ['seccomp=none.json']")
        + "\n"
        + &complaints_of("security_opt: ['seccomp=broken.json']");
    insta::assert_snapshot!(complaints, @"
    service `web`: `security_opt`: there is no file `/w/none.json`; the Engine will not start the service
    service `web`: `security_opt`: `/w/broken.json` is no profile of seccomp in JSON: EOF while parsing an object at line 1 column 1; the Engine will not start the service
    ");
}

#[test]
fn empty_texts_are_nothing() {
    let web = web(
        "build: {context: ., dockerfile: ''}, platform: '', container_name: '', scale: 2, network_mode: '', dns: [''], \
         networks: {default: {ipv4_address: ''}}, security_opt: [''], tmpfs: '', expose: [''], devices: [''], \
         environment: [''], ports: [{target: 80, published: '', host_ip: '', protocol: '', mode: ''}, ':81:81', '::82']",
    );
    assert_eq!((web.build.unwrap().dockerfile, web.platform, web.container_name), (None, None, None));
    assert_eq!(web.network_mode, None);
    assert_eq!(web.expose, [""]);
    assert_eq!((web.runtime.dns.len(), web.runtime.security_opt.len(), web.runtime.tmpfs.len()), (0, 1, 1));
    assert_eq!((web.runtime.devices.len(), web.environment.len()), (1, 0));
    let ports: Vec<_> = web.ports.iter().map(|port| (port.published, port.target, &port.host_ip)).collect();
    assert_eq!(ports, [(None, 80, &None), (Some(81), 81, &None), (None, 82, &None)]);
    insta::assert_snapshot!(complaints_of("configs: [{source: ''}], healthcheck: {interval: ''}"), @"
    service `web`: `configs[0].source` is empty
    service `web`: `healthcheck.interval` must be a time with a unit, such as `30s`, not ``
    ");
}

#[test]
fn variables_come_from_files_the_service_and_the_caller() {
    let web =
        web("env_file: [a.env, {path: none.env, required: false}], environment: [A=own, HOME, NONE, E=]");
    let shown: Vec<String> = web.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(shown, ["A=own", "B=file", "HOME=/home/me", "E="]);
}

#[test]
fn a_variable_file_without_a_name_is_none_unless_it_is_required() {
    assert!(web("env_file: [{path: '', required: false}]").environment.is_empty());
    assert_snapshot!(complaints_of("env_file: [{path: ''}, {required: false}]"), @"
    service `web`: `env_file.path` is empty
    service `web`: `env_file.path` is missing
    ");
}

#[test]
fn numbers_and_booleans_of_variables_stay_as_they_are_written() {
    let web = web("environment: {A: 1.50, B: true, C: '007'}");
    assert_eq!(web.environment["B"], "true");
    assert_eq!(web.environment["C"], "007");
}

#[test]
fn an_unreadable_variable_file_is_an_error() {
    assert_eq!(
        complaints_of("env_file: [broken.env, none.env]"),
        "service `web`: `env_file`: broken.env:1:1: expected `KEY=value`\nservice `web`: `env_file`: there is no file `/w/none.env`"
    );
}

#[test]
fn every_short_mount_is_read() {
    let web = web(
        "volumes: ['data:/data:ro', './src:/src/:cached', '~/x:/x', '/a/../b:/b:rw,rslave', /anon, 'data:/n:nocopy'], tmpfs: ['/t:size=1m,mode=1770']",
    );
    let shown: Vec<String> = web.mounts.iter().map(|mount| serde_json::to_string(mount).unwrap()).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    {"target":"/data","read_only":true,"type":"volume","volume":"data","nocopy":false,"subpath":null,"labels":{}}
    {"target":"/src","read_only":false,"type":"bind","path":"/w/src","create_host_path":true,"propagation":null,"selinux":null,"recursive":null}
    {"target":"/x","read_only":false,"type":"bind","path":"/home/me/x","create_host_path":true,"propagation":null,"selinux":null,"recursive":null}
    {"target":"/b","read_only":false,"type":"bind","path":"/b","create_host_path":true,"propagation":"rslave","selinux":null,"recursive":null}
    {"target":"/anon","read_only":false,"type":"volume","volume":null,"nocopy":false,"subpath":null,"labels":{}}
    {"target":"/n","read_only":false,"type":"volume","volume":"data","nocopy":true,"subpath":null,"labels":{}}
    "#);
}

#[test]
fn every_long_mount_is_read() {
    let web = web(
        "volumes: [{type: volume, source: data, target: /d, volume: {nocopy: true}}, {type: bind, source: src, target: /s, read_only: true, bind: {create_host_path: false, propagation: shared}}, {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: '0o1770'}}, {type: volume, target: /anon}]",
    );
    let shown: Vec<String> = web.mounts.iter().map(|mount| serde_json::to_string(mount).unwrap()).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    {"target":"/d","read_only":false,"type":"volume","volume":"data","nocopy":true,"subpath":null,"labels":{}}
    {"target":"/s","read_only":true,"type":"bind","path":"/w/src","create_host_path":false,"propagation":"shared","selinux":null,"recursive":null}
    {"target":"/t","read_only":false,"type":"tmpfs","size":67108864,"mode":1016}
    {"target":"/anon","read_only":false,"type":"volume","volume":null,"nocopy":false,"subpath":null,"labels":{}}
    "#);
}

#[test]
fn networks_come_in_the_order_of_their_priority() {
    let project = lowered(
        "
services:
  web:
    image: w
    networks: {back: null, front: {priority: 5, aliases: [www], ipv4_address: 10.1.0.9}}
  api: {image: a, networks: [back]}
networks:
  front: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}]}, driver_opts: {mtu: 1400}}
  back: {internal: true, labels: [a=b]}
",
    )
    .project;
    let web = &project.services["web"];
    assert_eq!(web.networks.keys().collect::<Vec<_>>(), ["front", "back"]);
    assert_eq!(web.networks["front"].aliases, ["www"]);
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["front", "back"]);
    assert_eq!(project.networks["front"].ipam[0].gateway.as_deref(), Some("10.1.0.1"));
    assert_eq!(project.networks["front"].driver_opts["mtu"], "1400");
    assert!(project.networks["back"].internal);
}

#[test]
fn external_objects_take_either_form() {
    let project = lowered(
        "
services: {web: {image: w, volumes: ['one:/a', 'two:/b'], networks: [net]}}
volumes: {one: {external: true, name: real}, two: {external: {name: older}}}
networks: {net: {external: 'true'}}
",
    )
    .project;
    let names = ["one", "two"].map(|key| project.volumes[key].name.clone().unwrap());
    assert_eq!(names, ["real", "older"]);
    assert!(project.networks["net"].external && project.volumes["two"].external);
}

#[test]
fn commands_are_absent_or_empty_or_words() {
    assert_eq!(web("command: null").command, None);
    assert_eq!(web("command: '', entrypoint: []").entrypoint, Some(Vec::new()));
    assert_eq!(web("command: ''").command, Some(Vec::new()));
    assert_eq!(web("command: [a, 1]").command.unwrap(), ["a", "1"]);
}

#[test]
fn health_checks_take_every_form() {
    let test = |settings: &str| web(&format!("healthcheck: {{{settings}}}")).health_check.unwrap().test;
    assert_eq!(test("test: [NONE]"), Some(HealthTest::None));
    assert_eq!(test("disable: true"), Some(HealthTest::None));
    assert_eq!(test("test: [CMD, a, b]"), Some(HealthTest::Cmd(vec!["a".into(), "b".into()])));
    assert_eq!(test("test: [CMD-SHELL, a b]"), Some(HealthTest::Shell("a b".into())));
    assert_eq!(test("interval: 3s"), None);
    assert_snapshot!(complaints_of("healthcheck: {test: [curl, x], interval: 30}"), @"
    service `web`: `healthcheck.test` must begin with `CMD` or `CMD-SHELL` and a command, or be `NONE`
    service `web`: `healthcheck.interval` must be a time with a unit, such as `30s`, not `30`
    ");
}

#[test]
fn restart_and_pull_policies_take_every_word() {
    assert_eq!(web("restart: 'no'").restart, RestartPolicy::No);
    assert_eq!(web("restart: false").restart, RestartPolicy::No);
    assert_eq!(web("restart: 'on-failure:3'").restart, RestartPolicy::OnFailure(Some(3)));
    assert_eq!(web("pull_policy: if_not_present").pull_policy, Some(PullPolicy::Missing));
    let every = |hours| Some(PullPolicy::Every(Duration::from_hours(hours)));
    assert_eq!(web("pull_policy: daily").pull_policy, every(24));
    assert_eq!(web("pull_policy: weekly").pull_policy, every(7 * 24));
    assert_eq!(web("pull_policy: every_1d12h").pull_policy, every(36));
    assert_eq!(web("pull_policy: refresh, pull_refresh_after: 2h").pull_policy, every(2));
    assert_snapshot!(complaints_of("pull_policy: every_12"), @"service `web`: `pull_policy` must be `always`, `missing`, `never`, `build`, `daily`, `weekly` or `every_<time>` such as `every_12h`, not `every_12`");
    assert_snapshot!(complaints_of("pull_policy: sometimes, restart: maybe"), @"
    service `web`: `pull_policy` must be `always`, `missing`, `never`, `build`, `daily`, `weekly` or `every_<time>` such as `every_12h`, not `sometimes`
    service `web`: `restart` must be `no`, `always`, `unless-stopped` or `on-failure[:number]`, not `maybe`
    ");
}

#[test]
fn hosts_take_every_form() {
    let lines = |settings: &str| web(&format!("extra_hosts: {settings}")).runtime.extra_hosts;
    assert_eq!(lines("['a:1.2.3.4', 'b=::1', 'c:[::1]']"), ["a:1.2.3.4", "b:::1", "c:::1"]);
    assert_eq!(lines("{a: host-gateway, b: ['1.1.1.1', '[::1]']}"), ["a:host-gateway", "b:1.1.1.1", "b:::1"]);
}

#[test]
fn long_ports_and_exposed_ranges_are_read() {
    let web = web(
        "ports: ['80', {target: 80, published: 8000-8005, host_ip: 127.0.0.1, protocol: udp, mode: host, name: n, app_protocol: http}], expose: [90, 100-101/udp]",
    );
    assert_eq!(web.ports.len(), 2);
    assert_eq!(web.ports[1].published, Some(8000));
    assert_eq!(web.ports[1].app_protocol.as_deref(), Some("http"));
    assert_eq!(web.expose, ["90", "100-101/udp"]);
}

#[test]
fn a_service_without_an_active_profile_is_left_out() {
    let yaml = "
services:
  web: {image: w, depends_on: {tool: {condition: service_started, required: false}}}
  tool: {image: t, profiles: [dev], secrets: [s]}
";
    let project = lowered(yaml).project;
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["web"]);
    assert!(project.services["web"].depends_on.is_empty());
    let yaml = yaml.replace(", secrets: [s]", "");
    for profile in ["dev", "*"] {
        let project = lower_with(&yaml, &[profile]).unwrap().project;
        assert_eq!(project.services.len(), 2);
        assert_eq!(project.services["web"].depends_on.len(), 1);
    }
}

#[test]
fn links_make_an_order() {
    let project = lowered("services: {web: {image: w, links: [db]}, db: {image: d}}").project;
    assert!(project.services["web"].depends_on["db"].restart);
    assert_snapshot!(complaints_of("links: [{a: b}]"), @"
    service `web`: `links` must be a list of texts, not a mapping
    service `web`: `links` must be a list of `service[:alias]`, not a mapping
    ");
}

#[test]
fn the_host_paths_of_services_and_volumes_are_known() {
    let lowered = lowered(
        "
services: {web: {image: w, volumes: ['./src:/src', 'data:/data', 'nfs:/nfs']}}
volumes:
  data: {driver_opts: {type: none, o: 'ro,bind', device: /srv/data}}
  nfs: {driver_opts: {type: nfs, o: 'addr=files', device: ':/export'}}
",
    );
    let binds: Vec<String> =
        lowered.binds.iter().map(|bind| format!("{}{}", bind.owner, bind.path)).collect();
    assert_eq!(binds, ["service `web`: /w/src", "volume `data`: /srv/data"]);
}

#[test]
fn profiles_of_a_wanted_service_are_active_for_it_and_for_what_it_depends_on() {
    let yaml = "\
services:
  web: { image: w }
  tool: { image: t, profiles: [dev], depends_on: [helper] }
  helper: { image: h, profiles: [dev, ops], links: [far] }
  far: { image: f, profiles: [dev] }
  other: { image: o, profiles: [dev], depends_on: [store] }
  store: { image: s, profiles: [data] }
";
    let active = |wanted: &str| -> Result<String, String> {
        let lowered = lower_for(yaml, &[], Some(wanted)).map_err(|faults| faults[0].to_string())?;
        let names = lowered.project.services.keys().map(ToString::to_string);
        Ok(names.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(active("tool"), Ok("web tool helper far".to_owned()));
    assert_eq!(active("store"), Ok("web store".to_owned()));
    assert_eq!(active("nothing"), Ok("web".to_owned()));
    let refused = active("other").unwrap_err();
    assert!(
        refused.ends_with("service `store` is required, but its profile is not active: `data`"),
        "{refused}"
    );
    assert_eq!(lower_for(yaml, &["dev"], Some("tool")).unwrap_err().len(), 1);
}
