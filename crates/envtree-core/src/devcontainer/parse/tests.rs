use super::*;
use crate::devcontainer::property::{ForwardedPort, Gpu, ShutdownAction, UserEnvProbe};

fn parse(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let (root, warnings) = parse_text("devcontainer.json", text).map_err(|fault| vec![fault])?;
    let mut parsed = read_dev_container(&root)?;
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

fn read(text: &str) -> DevContainer {
    let parsed = parse(text).unwrap();
    assert_eq!(parsed.warnings, []);
    parsed.dev_container
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn faults(text: &str) -> String {
    lines(&parse(text).unwrap_err())
}

#[test]
fn every_kind_is_told_apart() {
    assert_eq!(read(r#"{"image": "debian"}"#).kind, Kind::Image("debian".into()));
    let dockerfile = |text: &str| match read(text).kind {
        Kind::Dockerfile(build) => build,
        kind => panic!("{kind:?}"),
    };
    let build = dockerfile(
        r#"{"build": {"dockerfile": "D", "context": "..", "args": {"A": "1", "B": 2}, "target": "t",
            "options": ["--pull"], "cacheFrom": "c"}}"#,
    );
    assert_eq!((build.dockerfile.as_str(), build.context.as_deref()), ("D", Some("..")));
    assert_eq!(build.args.values().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((build.target.as_deref(), build.cache_from), (Some("t"), vec!["c".to_owned()]));
    assert_eq!(build.options[0].value, "--pull");
    let old = dockerfile(
        r#"{"dockerFile": "D", "context": "c", "build": {"target": "t", "cacheFrom": ["a", "b"]}}"#,
    );
    assert_eq!((old.dockerfile.as_str(), old.context.as_deref()), ("D", Some("c")));
    assert_eq!((old.target.as_deref(), old.cache_from.len()), (Some("t"), 2));
    let compose = |text: &str| match read(text).kind {
        Kind::Compose(compose) => compose,
        kind => panic!("{kind:?}"),
    };
    let one = compose(r#"{"dockerComposeFile": "c.yml", "service": "app"}"#);
    assert_eq!((one.docker_compose_file, one.run_services), (vec!["c.yml".to_owned()], None));
    let two = compose(r#"{"dockerComposeFile": ["a", "b"], "service": "app", "runServices": []}"#);
    assert_eq!((two.docker_compose_file.len(), two.run_services), (2, Some(Vec::new())));
}

#[test]
fn a_file_without_a_kind_or_with_two_is_refused() {
    insta::assert_snapshot!(faults("\n{}"), @"devcontainer.json:2:1: one of `image`, `build.dockerfile` and `dockerComposeFile` is needed");
    insta::assert_snapshot!(
        faults(r#"{"image": "x", "dockerComposeFile": "c", "service": "s"}"#),
        @"devcontainer.json:1:37: `dockerComposeFile`: it cannot stand beside `image`"
    );
    insta::assert_snapshot!(
        faults(r#"{"dockerComposeFile": "c"}"#),
        @"devcontainer.json:1:1: `service` is missing: the service of the Compose file that tools connect to"
    );
    insta::assert_snapshot!(faults("[]"), @"devcontainer.json:1:1: the file: expected a mapping, found a list");
}

#[test]
fn every_property_is_read() {
    let read = read(
        r#"{
            "$schema": "https://example.org", "name": "shop", "image": "x", "workspaceFolder": "/w",
            "workspaceMount": "source=/src,target=/w,type=bind", "runArgs": ["--init", "-v"],
            "appPort": [3000, "8000:8010"], "initializeCommand": "make", "features": {"a": {"b": 1}, "c": "1"},
            "overrideFeatureInstallOrder": ["c", "a"], "secrets": {"KEY": {"description": "d"}},
            "init": true, "privileged": false, "capAdd": ["SYS_PTRACE"], "securityOpt": ["seccomp=unconfined"],
            "mounts": ["type=volume,source=v,target=/v", {"type": "bind", "source": "/a", "target": "/b"}],
            "onCreateCommand": ["a", "b"], "postStartCommand": {"one": "c", "two": ["d"]}, "postAttachCommand": " ",
            "waitFor": "postCreateCommand", "customizations": {"vscode": {"extensions": ["e"]}},
            "containerUser": "root", "remoteUser": "dev", "userEnvProbe": "none",
            "remoteEnv": {"A": "1", "B": null}, "containerEnv": {"C": "2"}, "overrideCommand": false,
            "portsAttributes": {"3000": {"label": "web", "onAutoForward": "silent"}},
            "otherPortsAttributes": {"protocol": "https"}, "forwardPorts": [3000, "db:5432", "localhost:80"],
            "shutdownAction": "none", "updateRemoteUserUID": false,
            "hostRequirements": {"cpus": 2, "memory": "4gb", "storage": "7", "gpu": {"cores": 3}}
        }"#,
    );
    let properties = &read.properties;
    assert_eq!((read.name.as_deref(), read.workspace_folder.as_deref()), (Some("shop"), Some("/w")));
    assert!(
        matches!(&read.workspace_mount, WorkspaceMount::Written(written) if written.mount.target == "/w")
    );
    assert_eq!(read.run_args.iter().map(|flag| flag.value.as_str()).collect::<Vec<_>>(), ["--init", "-v"]);
    assert_eq!(read.app_port.iter().map(|port| port.value.target).collect::<Vec<_>>(), [3000, 8010]);
    assert!(read.initialize_command.is_some());
    assert_eq!(read.features["a"].to_string(), r#"{"b":1}"#);
    assert_eq!(read.override_feature_install_order, ["c", "a"]);
    assert_eq!(read.secrets["KEY"].description.as_deref(), Some("d"));
    assert_eq!((properties.init, properties.privileged), (Some(true), Some(false)));
    assert_eq!((properties.cap_add.len(), properties.security_opt.len()), (1, 1));
    let texts: Vec<&str> = properties.mounts.iter().map(|mount| mount.value.text.as_str()).collect();
    assert_eq!(texts, ["type=volume,source=v,target=/v", "type=bind,source=/a,target=/b"]);
    assert_eq!(properties.commands.keys().copied().collect::<Vec<_>>(), [Stage::OnCreate, Stage::PostStart]);
    assert_eq!(properties.wait_for, Some(Stage::PostCreate));
    assert_eq!(properties.customizations["vscode"].to_string(), r#"{"extensions":["e"]}"#);
    assert_eq!(
        (properties.container_user.as_deref(), properties.remote_user.as_deref()),
        (Some("root"), Some("dev"))
    );
    assert_eq!(properties.user_env_probe, Some(UserEnvProbe::None));
    assert_eq!(
        (properties.remote_env["A"].as_deref(), properties.remote_env["B"].as_deref()),
        (Some("1"), None)
    );
    assert_eq!((properties.container_env["C"].as_str(), properties.override_command), ("2", Some(false)));
    assert_eq!(properties.ports_attributes["3000"].on_auto_forward.as_deref(), Some("silent"));
    assert_eq!(properties.other_ports_attributes.as_ref().unwrap().protocol.as_deref(), Some("https"));
    let forwarded: Vec<_> = properties.forward_ports.iter().map(|port| port.value.clone()).collect();
    let of_db = ForwardedPort::Of { host: "db".into(), port: 5432 };
    assert_eq!(forwarded, [ForwardedPort::Own(3000), of_db, ForwardedPort::Own(80)]);
    assert_eq!(properties.shutdown_action, Some(ShutdownAction::None));
    assert_eq!(properties.update_remote_user_uid, Some(false));
    let requirements = properties.host_requirements.unwrap();
    assert_eq!(
        (requirements.cpus, requirements.memory, requirements.storage),
        (Some(2), Some(4 << 30), Some(7))
    );
    assert_eq!(requirements.gpu, Some(Gpu::Required { cores: Some(3), memory: None }));
}

#[test]
fn wrong_types_and_unknown_words_are_told_all_at_once() {
    insta::assert_snapshot!(faults(r#"{
  "image": "x",
  "name": 1,
  "init": "yes",
  "capAdd": "SYS_PTRACE",
  "runArgs": ["--init", 2],
  "appPort": [70000, true],
  "forwardPorts": [0, "db", "db:x", {}],
  "waitFor": "postAttachCommand",
  "shutdownAction": "stopContainers",
  "userEnvProbe": true,
  "onCreateCommand": 3,
  "postStartCommand": {"a": 4, "b": ["c", 5]},
  "containerEnv": {"A": null},
  "remoteEnv": ["A=1"],
  "mounts": [{"type": "bind", "source": "/a", "target": "/b", "readonly": true}, {"type": "bond"}, 6, "target=x"],
  "workspaceMount": "type=bind",
  "hostRequirements": {"cpus": 0, "memory": "4 GB", "gpu": "maybe"},
  "portsAttributes": {"80": {"onAutoForward": "silents"}},
  "secrets": {"a b": {}},
  "features": {"f": 1}
}"#), @r#"
    devcontainer.json:3:11: `name`: expected a text, found a number
    devcontainer.json:4:11: `init`: expected `true` or `false`, found a text
    devcontainer.json:5:13: `capAdd`: expected a list of texts, found a text
    devcontainer.json:6:25: `runArgs[1]`: expected a text, found a number
    devcontainer.json:7:15: `appPort[0]`: expected a port, or a text such as `8000:8010`, not `70000`
    devcontainer.json:7:22: `appPort[1]`: expected a port, or a text such as `8000:8010`, found a boolean
    devcontainer.json:8:20: `forwardPorts[0]`: expected a port, or a text such as `db:5432`, not `0`
    devcontainer.json:8:23: `forwardPorts[1]`: expected a port, or a text such as `db:5432`, not `db`
    devcontainer.json:8:29: `forwardPorts[2]`: expected a port, or a text such as `db:5432`, not `db:x`
    devcontainer.json:8:37: `forwardPorts[3]`: expected a port, or a text such as `db:5432`, found a mapping
    devcontainer.json:9:14: `waitFor`: expected one of `initializeCommand`, `onCreateCommand`, `updateContentCommand`, `postCreateCommand`, `postStartCommand`, not `postAttachCommand`; did you mean `postStartCommand`?
    devcontainer.json:10:21: `shutdownAction`: expected one of `none`, `stopContainer`, `stopCompose`, not `stopContainers`; did you mean `stopContainer`?
    devcontainer.json:11:19: `userEnvProbe`: expected one of `none`, `loginShell`, `loginInteractiveShell`, `interactiveShell`, found a boolean
    devcontainer.json:12:22: `onCreateCommand`: expected a text, a list of texts, or a mapping of them, found a number
    devcontainer.json:13:29: `postStartCommand.a`: expected a text or a list of texts, found a number
    devcontainer.json:13:43: `postStartCommand.b[1]`: expected a text, found a number
    devcontainer.json:14:25: `containerEnv.A`: expected a text, found nothing
    devcontainer.json:15:16: `remoteEnv`: expected a mapping, found a list
    devcontainer.json:16:63: `mounts[0].readonly`: a mapping has `type`, `source` and `target` alone; write the mount as a text, `type=…,target=…,readonly`
    devcontainer.json:16:82: `mounts[1].target` is missing
    devcontainer.json:16:91: `mounts[1].type`: expected one of `bind`, `volume`, `tmpfs`, not `bond`; did you mean `bind`?
    devcontainer.json:16:100: `mounts[2]`: expected a text for `--mount`, or a mapping of `type`, `source` and `target`, found a number
    devcontainer.json:16:103: `mounts[3]`: `target`: expected an absolute path in the container, not `x`
    devcontainer.json:17:21: `workspaceMount`: `target` is missing: the path in the container
    devcontainer.json:18:32: `hostRequirements.cpus`: expected a whole number from 1 on, not `0`
    devcontainer.json:18:45: `hostRequirements.memory`: expected a size such as `4gb`, with `kb`, `mb`, `gb` or `tb`, not `4 GB`
    devcontainer.json:18:60: `hostRequirements.gpu`: expected `true`, `false`, `"optional"`, or a mapping of `cores` and `memory`, not `maybe`
    devcontainer.json:19:47: `portsAttributes.80.onAutoForward`: expected one of `notify`, `openBrowser`, `openBrowserOnce`, `openPreview`, `silent`, `ignore`, not `silents`; did you mean `silent`?
    devcontainer.json:20:15: `secrets.a b`: expected the name of a variable
    devcontainer.json:21:21: `features.f`: expected options as a mapping, a version as a text, or a boolean, found a number
    "#);
}

#[test]
fn unknown_keys_are_warnings_that_name_the_nearest() {
    let parsed = parse(
        r#"{"image": "x", "forwardPort": [1], "zzz": 1, "hostRequirements": {"cpu": 1}, "runServices": ["a"],
 "extensions": ["e"], "build": {"arg": {}}}"#,
    )
    .unwrap();
    insta::assert_snapshot!(lines(&parsed.warnings), @"
    devcontainer.json:2:2: `extensions` belongs below `customizations.vscode`
    devcontainer.json:1:16: unknown key `forwardPort` is ignored; did you mean `forwardPorts`?
    devcontainer.json:1:36: unknown key `zzz` is ignored
    devcontainer.json:1:67: unknown key `hostRequirements.cpu` is ignored; did you mean `cpus`?
    devcontainer.json:1:78: `runServices` has no effect without `dockerComposeFile`
    devcontainer.json:2:33: unknown key `build.arg` is ignored; did you mean `args`?
    ");
    let compose = parse(r#"{"dockerComposeFile": "c", "service": "s", "runArgs": []}"#).unwrap();
    insta::assert_snapshot!(lines(&compose.warnings), @"devcontainer.json:1:44: `runArgs` has no effect with `dockerComposeFile`");
    let both = parse(r#"{"image": "x", "dockerFile": "D"}"#).unwrap();
    insta::assert_snapshot!(lines(&both.warnings), @"devcontainer.json:1:2: `image` has no effect beside a Dockerfile");
    assert!(matches!(both.dev_container.kind, Kind::Dockerfile(_)));
}

#[test]
fn what_is_null_or_empty_counts_as_absent() {
    let read = read(
        r#"{"image": "x", "name": null, "remoteUser": "", "mounts": null, "workspaceMount": "", "workspaceFolder": ""}"#,
    );
    assert_eq!((read.name, read.properties.remote_user), (None, None));
    assert_eq!((read.workspace_mount, read.workspace_folder), (WorkspaceMount::Absent, None));
}
