use super::*;
use crate::service::{HealthTest, MountSource, RestartPolicy};

fn placed(words: &[&str]) -> Vec<Placed<String>> {
    let place = |line| Place { file: "devcontainer.json".into(), line, column: 5 };
    let word = |(line, word): (u32, &&str)| Placed { value: (*word).to_owned(), place: place(line) };
    (1..).zip(words).map(word).collect()
}

fn apply(words: &[&str]) -> (Service, Further) {
    let mut service = Service::default();
    let lookup = |name: &str| (name == "HOME").then(|| "/home/dev".to_owned());
    let further = apply_run_args(&placed(words), &mut service, &lookup).unwrap();
    (service, further)
}

fn faults(words: &[&str]) -> String {
    let faults = apply_run_args(&placed(words), &mut Service::default(), &|_| None).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Shows what flags change about a service.
fn changed(words: &[&str]) -> String {
    let shown = |service: &Service| serde_json::to_value(service).unwrap();
    let (before, after) = (shown(&Service::default()), shown(&apply(words).0));
    let after = after.as_object().unwrap().iter();
    let differs = after.filter(|(key, value)| before.get(*key) != Some(value));
    differs.map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_value_stands_behind_its_flag_in_every_form() {
    for words in [
        &["--hostname=box"] as &[&str],
        &["--hostname", "box"],
        &["-h", "box"],
        &["-hbox"],
        &["-h=box"],
        &["-ith", "box"],
        &["-ithbox"],
    ] {
        assert_eq!(apply(words).0.hostname.as_deref(), Some("box"), "{words:?}");
    }
    let (service, _) = apply(&["-it", "--init", "--privileged=false", "--read-only=true"]);
    assert_eq!((service.runtime.tty, service.runtime.stdin_open), (true, true));
    assert_eq!((service.runtime.init, service.runtime.privileged), (Some(true), false));
    assert!(service.runtime.read_only);
}

#[test]
fn settings_of_the_container_are_read() {
    insta::assert_snapshot!(
        changed(&[
            "--cap-add=SYS_PTRACE", "--cap-drop", "ALL", "--security-opt", "seccomp=unconfined", "--add-host",
            "host.docker.internal:host-gateway", "--add-host=v6=[::1]", "--dns=1.1.1.1", "--dns-search=a", "--dns-option=b",
            "--shm-size=1g", "-m", "2g", "--memory-swap=-1", "--cpus=1.5", "--cpuset-cpus=0-3", "--pids-limit=100",
            "--ulimit=nofile=1024:2048", "--ulimit", "nproc=5", "--sysctl=net.core.somaxconn=1", "--tmpfs=/t:size=1m",
            "-u", "dev:dev", "-l", "a=b", "--label=c", "--name=x", "--ipc=host", "--pid=host", "--userns=host", "--uts=host",
            "--cgroupns=private", "--platform=linux/arm64", "--group-add=video", "--log-driver=none", "--log-opt=a=b",
            "--device=/dev/fuse", "--device=/dev/a:/dev/b:r", "--device", "/dev/kvm:rw", "--stop-timeout=5", "-w/w",
            "--expose=80", "--mac-address=02:42:ac:11:00:02", "--runtime=runc", "--volumes-from=other:ro", "--oom-score-adj=-5",
            "--device-cgroup-rule=c 1:1 r", "--blkio-weight=10", "--device-read-bps=/dev/a:1m", "--stop-signal=INT",
            "--pull=always", "--restart=on-failure:3", "--health-cmd=true", "--health-interval=1m30s", "--health-retries=2",
        ]),
        @r#"
    expose: ["80"]
    volumes_from: ["container:other:ro"]
    health_check: {"test":{"shell":"true"},"interval":{"secs":90,"nanos":0},"timeout":null,"retries":2,"start_period":null,"start_interval":null}
    restart: {"on-failure":3}
    labels: {"a":"b","c":""}
    user: "dev:dev"
    working_dir: "/w"
    container_name: "x"
    pull_policy: "always"
    platform: "linux/arm64"
    cap_add: ["SYS_PTRACE"]
    cap_drop: ["ALL"]
    security_opt: ["seccomp=unconfined"]
    group_add: ["video"]
    extra_hosts: ["host.docker.internal:host-gateway","v6:::1"]
    dns: ["1.1.1.1"]
    dns_search: ["a"]
    dns_opt: ["b"]
    tmpfs: ["/t:size=1m"]
    sysctls: {"net.core.somaxconn":"1"}
    ulimits: {"nofile":{"soft":1024,"hard":2048},"nproc":{"soft":5,"hard":5}}
    stop_signal: "INT"
    stop_grace_period: {"secs":5,"nanos":0}
    shm_size: 1073741824
    cgroup: "private"
    devices: [{"source":"/dev/fuse","target":"/dev/fuse","permissions":"rwm"},{"source":"/dev/a","target":"/dev/b","permissions":"r"},{"source":"/dev/kvm","target":"/dev/kvm","permissions":"rw"}]
    device_cgroup_rules: ["c 1:1 r"]
    ipc: "host"
    pid: "host"
    uts: "host"
    userns_mode: "host"
    logging: {"driver":"none","options":{"a":"b"}}
    mac_address: "02:42:ac:11:00:02"
    runtime: "runc"
    blkio_config: {"weight":10,"weight_device":[],"device_read_bps":[{"path":"/dev/a","rate":1048576}],"device_read_iops":[],"device_write_bps":[],"device_write_iops":[]}
    cpus: 1.5
    cpuset: "0-3"
    mem_limit: 2147483648
    memswap_limit: -1
    oom_score_adj: -5
    pids_limit: 100
    "#
    );
}

#[test]
fn variables_are_taken_from_the_host_where_they_have_no_value() {
    let (service, _) = apply(&["-e", "A=1=2", "-eB=", "--env=HOME", "--env", "NONE"]);
    let variables: Vec<_> =
        service.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["A=1=2", "B=", "HOME=/home/dev"]);
}

#[test]
fn mounts_are_read_in_both_forms() {
    let (service, further) = apply(&[
        "-v",
        "/src/a:/a:ro,z",
        "-v=cache:/c:nocopy",
        "-v/data",
        "--mount",
        "type=bind,source=/b,target=/b,readonly",
        "--mount=source=named,target=/n",
    ]);
    let shown = service.mounts.iter().map(|mount| match &mount.source {
        MountSource::Bind { path, options } => {
            format!("{path} {} {} {:?}", mount.target, mount.read_only, options.selinux)
        }
        MountSource::Volume { volume, options } => format!("{volume:?} {} {}", mount.target, options.nocopy),
        _ => panic!("{mount:?}"),
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "/src/a /a true Some(\"z\")",
            "Some(VolumeName(\"cache\")) /c true",
            "None /data false",
            "/b /b true None",
            "Some(VolumeName(\"named\")) /n false"
        ]
    );
    let names: Vec<_> =
        further.volumes.iter().map(|(key, volume)| (key.as_str(), volume.name.as_deref())).collect();
    assert_eq!(names, [("cache", Some("cache")), ("named", Some("named"))]);
    let makes = |mount: &crate::service::Mount| match &mount.source {
        MountSource::Bind { options, .. } => options.makes_path(),
        _ => false,
    };
    assert_eq!((makes(&service.mounts[0]), makes(&service.mounts[3])), (true, false));
}

#[test]
fn no_port_of_the_host_is_fixed() {
    let (service, _) = apply(&["-p", "8080:80", "-p=0.0.0.0:81:81/udp", "--publish=80"]);
    let ports: Vec<_> =
        service.ports.iter().map(|port| (port.target, port.published, port.host_ip.as_deref())).collect();
    assert_eq!(ports, [(80, None, None), (81, None, Some("0.0.0.0"))]);
}

#[test]
fn a_network_is_a_mode_or_one_that_is_there() {
    assert_eq!(apply(&["--network=host"]).0.network_mode.as_deref(), Some("host"));
    assert_eq!(apply(&["--net", "container:x"]).0.network_mode.as_deref(), Some("container:x"));
    let (service, further) = apply(&["--network-alias=a", "--network=proxy", "--network=name=two,alias=b"]);
    assert_eq!(service.networks["proxy"].aliases, ["a"]);
    assert_eq!(service.networks["two"].aliases, ["b"]);
    assert!(further.networks["proxy"].external && further.aliases.is_empty());
    assert_eq!(further.networks["two"].name.as_deref(), Some("two"));
    assert_eq!(apply(&["--network-alias", "a"]).1.aliases, ["a"]);
}

#[test]
fn graphics_processors_are_asked_for_in_every_form() {
    let request = |value: &str| {
        let request = apply(&["--gpus", value]).0.runtime.gpus.remove(0);
        (request.count, request.device_ids.join("+"), request.capabilities.join("+"), request.driver)
    };
    assert_eq!(request("all"), (Some(-1), String::new(), "gpu".into(), None));
    assert_eq!(request("2"), (Some(2), String::new(), "gpu".into(), None));
    assert_eq!(
        request("\"device=0,1\",driver=nvidia"),
        (None, "0+1".into(), "gpu".into(), Some("nvidia".into()))
    );
    assert_eq!(request("\"capabilities=utility,gpu\""), (Some(1), String::new(), "utility+gpu".into(), None));
}

#[test]
fn a_profile_of_seccomp_is_a_file_to_be_read() {
    let seccomp =
        |option: &str| apply(&["--security-opt", option]).1.seccomp.map(|file| (file.value, file.place.line));
    assert_eq!(seccomp("seccomp=unconfined"), None);
    assert_eq!(seccomp("seccomp=profile.json"), Some(("profile.json".into(), 1)));
    assert_eq!(seccomp("no-new-privileges"), None);
}

#[test]
fn a_later_flag_counts_more() {
    let (service, _) =
        apply(&["-u", "a", "--user=b", "--restart", "always", "--health-cmd=x", "--no-healthcheck"]);
    assert_eq!((service.user.as_deref(), service.restart), (Some("b"), RestartPolicy::Always));
    assert_eq!(service.health_check.unwrap().test, Some(HealthTest::None));
    assert_eq!(apply(&["--no-healthcheck=false"]).0.health_check, None);
}

#[test]
fn what_has_no_equal_is_named_with_its_place() {
    insta::assert_snapshot!(
        faults(&[
            "--env-file", ".env", "--rm", "-d", "-P", "--entrypoint=sh", "--ip=10.0.0.2", "--hostnam", "x", "--zzz", "word",
            "--init=maybe", "-x", "--label=dev.envtree.task=x", "--volume=a", "-v", "../a:/a", "--memory=much", "--cpus=-1",
            "--ulimit=nofile", "--publish=web", "--restart=often", "--mount=type=bind", "--network=alias=a", "--env==x",
            "-v=a:/a:rshared", "--pull=daily", "--gpus=number=1", "--", "--user",
        ]),
        @"
    devcontainer.json:1:5: `runArgs`: `--env-file`: no file is read; use `containerEnv`
    devcontainer.json:3:5: `runArgs`: `--rm`: a dev container stays until `envtree rm`
    devcontainer.json:4:5: `runArgs`: `-d`: the container runs in the background anyway
    devcontainer.json:5:5: `runArgs`: `-P`: name the ports in `forwardPorts`
    devcontainer.json:6:5: `runArgs`: `--entrypoint`: the entrypoint is that of the image, or of `overrideCommand`
    devcontainer.json:7:5: `runArgs`: `--ip`: a fixed address can belong to one environment only
    devcontainer.json:8:5: `runArgs`: the Engine has nothing like the flag `--hostnam`; did you mean `--hostname`?
    devcontainer.json:10:5: `runArgs`: the Engine has nothing like the flag `--zzz`
    devcontainer.json:12:5: `runArgs`: `--init`: expected `true` or `false`, not `maybe`
    devcontainer.json:13:5: `runArgs`: the Engine has nothing like the flag `-x`
    devcontainer.json:14:5: `runArgs`: `--label`: the label `dev.envtree.task` is for envtree to set
    devcontainer.json:15:5: `runArgs`: `--volume`: `a` is no absolute path in the container
    devcontainer.json:16:5: `runArgs`: `-v`: `../a` is no absolute path on the host; `${localWorkspaceFolder}` begins one
    devcontainer.json:18:5: `runArgs`: `--memory`: expected a size such as `64m`
    devcontainer.json:19:5: `runArgs`: `--cpus`: expected a number such as `1.5`, not `-1`
    devcontainer.json:20:5: `runArgs`: `--ulimit`: expected `name=soft[:hard]`, not `nofile`
    devcontainer.json:21:5: `runArgs`: `--publish`: expected `[[address:]published:]target[/protocol]`, not `web`
    devcontainer.json:22:5: `runArgs`: `--restart`: expected `no`, `always`, `unless-stopped` or `on-failure[:number]`, not `often`
    devcontainer.json:23:5: `runArgs`: `--mount`: `target` is missing: the path in the container
    devcontainer.json:24:5: `runArgs`: `--network`: `name=…` is missing
    devcontainer.json:25:5: `runArgs`: `--env`: a variable without a name
    devcontainer.json:26:5: `runArgs`: `-v`: the option `rshared` has no effect on this mount
    devcontainer.json:27:5: `runArgs`: `--pull`: expected `always`, `missing` or `never`, not `daily`
    devcontainer.json:28:5: `runArgs`: `--gpus`: unknown key `number`
    devcontainer.json:29:5: `runArgs`: `--` is no flag
    devcontainer.json:30:5: `runArgs`: `--user` needs a value
    "
    );
}
