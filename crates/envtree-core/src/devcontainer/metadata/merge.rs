//! Merges the entries of an image and of a file, as the specification's table has it.

use indexmap::{IndexMap, IndexSet};
use serde_json::Value as Json;

use super::MetadataEntry;
use crate::devcontainer::lifecycle::{Origin, OwnedCommand, Stage};
use crate::devcontainer::mount::ParsedMount;
use crate::devcontainer::property::{
    ForwardedPort, Gpu, HostRequirements, Placed, PortAttributes, Properties, ShutdownAction, UserEnvProbe,
};

/// What all entries say together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// Whether one of them wants an init process.
    pub init: bool,
    /// Whether one of them wants all privileges.
    pub privileged: bool,
    /// Capabilities that are added, each once.
    pub cap_add: Vec<String>,
    /// Security options, each once.
    pub security_opt: Vec<String>,
    /// Scripts that run before the container's command.
    pub entrypoints: Vec<String>,
    /// What is mounted: for each target what the last entry says.
    pub mounts: Vec<Placed<ParsedMount>>,
    /// Settings of tools, an item for each entry that has some.
    pub customizations: IndexMap<String, Vec<Json>>,
    /// Commands by their stages, those of the earliest entry first.
    pub commands: IndexMap<Stage, Vec<OwnedCommand>>,
    /// The last stage that is waited for.
    pub wait_for: Option<Stage>,
    /// The user that tools and lifecycle commands run as.
    pub remote_user: Option<String>,
    /// The user that the container runs as.
    pub container_user: Option<String>,
    /// Which shell tells the variables of the user.
    pub user_env_probe: Option<UserEnvProbe>,
    /// Variables of tools and lifecycle commands; one without a value is unset.
    pub remote_env: IndexMap<String, Option<String>>,
    /// Variables of the container.
    pub container_env: IndexMap<String, String>,
    /// Whether the container sleeps in place of its image's command.
    pub override_command: Option<bool>,
    /// Attributes of ports.
    pub ports_attributes: IndexMap<String, PortAttributes>,
    /// Attributes of all other ports.
    pub other_ports_attributes: Option<PortAttributes>,
    /// Ports that are reachable from the host, each once.
    pub forward_ports: Vec<Placed<ForwardedPort>>,
    /// What happens when the last tool disconnects.
    pub shutdown_action: Option<ShutdownAction>,
    /// Whether the remote user gets the numbers of the host's user.
    pub update_remote_user_uid: Option<bool>,
    /// What the host must have: the most that any entry wants.
    pub host_requirements: Option<HostRequirements>,
}

/// Merges entries, the earliest first: a list is collected, of a single value the last one counts.
pub fn merge(entries: &[MetadataEntry]) -> Merged {
    let mut merged = Merged::default();
    for entry in entries {
        add_owned(&mut merged, entry);
        add_lists(&mut merged, &entry.properties);
        add_values(&mut merged, &entry.properties);
    }
    merged.mounts = last_of_each_target(entries);
    merged.host_requirements = most(entries);
    merged
}

/// Adds what is told together with whose it is.
fn add_owned(merged: &mut Merged, entry: &MetadataEntry) {
    merged.entrypoints.extend(entry.entrypoint.clone());
    let origin = entry.id.clone().map_or(Origin::Configuration, Origin::Feature);
    for (stage, command) in &entry.properties.commands {
        let owned = OwnedCommand { origin: origin.clone(), command: command.clone() };
        merged.commands.entry(*stage).or_default().push(owned);
    }
}

fn add_lists(merged: &mut Merged, properties: &Properties) {
    add_new(&mut merged.cap_add, &properties.cap_add);
    add_new(&mut merged.security_opt, &properties.security_opt);
    for port in &properties.forward_ports {
        if merged.forward_ports.iter().all(|known| known.value != port.value) {
            merged.forward_ports.push(port.clone());
        }
    }
    for (tool, settings) in &properties.customizations {
        merged.customizations.entry(tool.clone()).or_default().push(settings.clone());
    }
    merged.remote_env.extend(properties.remote_env.clone());
    merged.container_env.extend(properties.container_env.clone());
    merged.ports_attributes.extend(properties.ports_attributes.clone());
}

fn add_new(all: &mut Vec<String>, more: &[String]) {
    for text in more {
        if !all.contains(text) {
            all.push(text.clone());
        }
    }
}

fn add_values(merged: &mut Merged, properties: &Properties) {
    merged.init |= properties.init == Some(true);
    merged.privileged |= properties.privileged == Some(true);
    replace(&mut merged.wait_for, properties.wait_for.as_ref());
    replace(&mut merged.remote_user, properties.remote_user.as_ref());
    replace(&mut merged.container_user, properties.container_user.as_ref());
    replace(&mut merged.user_env_probe, properties.user_env_probe.as_ref());
    replace(&mut merged.override_command, properties.override_command.as_ref());
    replace(&mut merged.other_ports_attributes, properties.other_ports_attributes.as_ref());
    replace(&mut merged.shutdown_action, properties.shutdown_action.as_ref());
    replace(&mut merged.update_remote_user_uid, properties.update_remote_user_uid.as_ref());
}

fn replace<T: Clone>(value: &mut Option<T>, later: Option<&T>) {
    if let Some(later) = later {
        *value = Some(later.clone());
    }
}

/// Returns the mounts, of those with the same target the last one, where that one stands.
fn last_of_each_target(entries: &[MetadataEntry]) -> Vec<Placed<ParsedMount>> {
    let mut seen = IndexSet::new();
    let all = entries.iter().flat_map(|entry| &entry.properties.mounts);
    let mut mounts: Vec<_> = all.collect();
    mounts.reverse();
    mounts.retain(|mount| seen.insert(mount.value.mount.target.as_str()));
    mounts.reverse();
    mounts.into_iter().cloned().collect()
}

/// Returns the most of each requirement, and nothing where nothing is required.
fn most(entries: &[MetadataEntry]) -> Option<HostRequirements> {
    let all = || entries.iter().filter_map(|entry| entry.properties.host_requirements);
    let largest =
        |of: fn(HostRequirements) -> Option<u64>| all().filter_map(of).max().filter(|most| *most > 0);
    let requirements = HostRequirements {
        cpus: largest(|one| one.cpus),
        memory: largest(|one| one.memory),
        storage: largest(|one| one.storage),
        gpu: all().filter_map(|one| one.gpu).reduce(both).filter(|gpu| *gpu != Gpu::Unused),
    };
    (requirements != HostRequirements::default()).then_some(requirements)
}

/// Returns what two wishes for graphics processors come to.
fn both(one: Gpu, other: Gpu) -> Gpu {
    let parts = |gpu| match gpu {
        Gpu::Required { cores, memory } => (cores, memory),
        Gpu::Unused | Gpu::Optional => (None, None),
    };
    match (one, other) {
        (Gpu::Unused, gpu) | (gpu, Gpu::Unused) => gpu,
        (Gpu::Optional, Gpu::Optional) => Gpu::Optional,
        (one, other) => {
            let ((cores, memory), (other_cores, other_memory)) = (parts(one), parts(other));
            Gpu::Required { cores: cores.max(other_cores), memory: memory.max(other_memory) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcontainer::lifecycle::{Command, Line};
    use crate::devcontainer::metadata::{parse_label, read_entry};

    fn merged(text: &str) -> Merged {
        let label = parse_label(text, "image `x`");
        assert_eq!(label.warnings, []);
        let entries = label.entries.iter().map(|entry| {
            let (entry, warnings) = read_entry(entry);
            assert_eq!(warnings, []);
            entry
        });
        merge(&entries.collect::<Vec<_>>())
    }

    #[test]
    fn one_wish_for_privileges_is_enough() {
        let found = merged(r#"[{"init": true, "privileged": false}, {"init": false, "privileged": false}]"#);
        assert_eq!((found.init, found.privileged), (true, false));
        assert_eq!((merged("[]").init, merged(r#"[{}, {"privileged": true}]"#).privileged), (false, true));
    }

    #[test]
    fn lists_are_joined_without_doubles() {
        let found = merged(
            r#"[{"capAdd": ["A", "B"], "securityOpt": ["x"], "forwardPorts": [80, "db:1"]},
                {"capAdd": ["B", "C"], "securityOpt": ["x", "y"], "forwardPorts": ["localhost:80", 81]}]"#,
        );
        assert_eq!((found.cap_add, found.security_opt.len()), (vec!["A".into(), "B".into(), "C".into()], 2));
        let ports: Vec<_> = found.forward_ports.into_iter().map(|port| port.value).collect();
        let of_db = ForwardedPort::Of { host: "db".into(), port: 1 };
        assert_eq!(ports, [ForwardedPort::Own(80), of_db, ForwardedPort::Own(81)]);
    }

    #[test]
    fn of_mounts_with_the_same_target_the_last_one_counts() {
        let found = merged(
            r#"[{"mounts": ["source=a,target=/a", "source=b,target=/b"]},
                {"mounts": ["source=c,target=/c", {"type": "volume", "source": "d", "target": "/a/"}]}]"#,
        );
        let texts: Vec<_> = found.mounts.iter().map(|mount| mount.value.text.as_str()).collect();
        assert_eq!(texts, ["source=b,target=/b", "source=c,target=/c", "type=volume,source=d,target=/a/"]);
    }

    #[test]
    fn commands_are_collected_with_their_origins() {
        let found = merged(
            r#"[{"id": "node", "onCreateCommand": "a", "entrypoint": "/e"},
                {"onCreateCommand": ["b"], "postStartCommand": "c"}, {"id": "go", "entrypoint": "/f"}]"#,
        );
        let shell = |text: &str| Command::Single(Line::Shell(text.into()));
        let program = Command::Single(Line::Program(vec!["b".into()]));
        assert_eq!(
            found.commands[&Stage::OnCreate],
            [
                OwnedCommand { origin: Origin::Feature("node".into()), command: shell("a") },
                OwnedCommand { origin: Origin::Configuration, command: program }
            ]
        );
        assert_eq!(found.commands[&Stage::PostStart].len(), 1);
        assert_eq!(found.entrypoints, ["/e", "/f"]);
    }

    #[test]
    fn of_a_single_value_the_last_one_counts() {
        let found = merged(
            r#"[{"waitFor": "onCreateCommand", "remoteUser": "a", "containerUser": "b", "userEnvProbe": "none",
                 "overrideCommand": true, "shutdownAction": "none", "updateRemoteUserUID": true,
                 "otherPortsAttributes": {"label": "x"}},
                {"waitFor": "postCreateCommand", "remoteUser": "c", "overrideCommand": false},
                {"remoteUser": "", "updateRemoteUserUID": false}]"#,
        );
        assert_eq!((found.wait_for, found.remote_user.as_deref()), (Some(Stage::PostCreate), Some("c")));
        assert_eq!((found.container_user.as_deref(), found.override_command), (Some("b"), Some(false)));
        assert_eq!(found.user_env_probe, Some(UserEnvProbe::None));
        assert_eq!(found.shutdown_action, Some(ShutdownAction::None));
        assert_eq!(found.update_remote_user_uid, Some(false));
        assert_eq!(found.other_ports_attributes.unwrap().label.as_deref(), Some("x"));
    }

    #[test]
    fn of_a_variable_the_last_value_counts() {
        let found = merged(
            r#"[{"remoteEnv": {"A": "1", "B": "2"}, "containerEnv": {"C": "3", "D": "4"},
                 "portsAttributes": {"1": {"label": "a"}, "2": {"label": "b"}}},
                {"remoteEnv": {"B": null}, "containerEnv": {"D": "5"}, "portsAttributes": {"2": {}}}]"#,
        );
        assert_eq!((found.remote_env["A"].as_deref(), found.remote_env["B"].as_deref()), (Some("1"), None));
        assert_eq!((found.container_env["C"].as_str(), found.container_env["D"].as_str()), ("3", "5"));
        assert_eq!(found.ports_attributes["1"].label.as_deref(), Some("a"));
        assert_eq!(found.ports_attributes["2"], PortAttributes::default());
    }

    #[test]
    fn settings_of_tools_are_collected() {
        let found = merged(
            r#"[{"customizations": {"vscode": {"a": 1}}}, {"customizations": {"vscode": {"a": 2}, "zed": []}}]"#,
        );
        assert_eq!(Json::from(found.customizations["vscode"].clone()).to_string(), r#"[{"a":1},{"a":2}]"#);
        assert_eq!(found.customizations["zed"].len(), 1);
    }

    #[test]
    fn the_host_must_have_the_most_that_any_entry_wants() {
        let of = |text: &str| merged(text).host_requirements;
        assert_eq!(of("[{}]"), None);
        assert_eq!(of(r#"[{"hostRequirements": {"gpu": false}}]"#), None);
        let found = of(r#"[{"hostRequirements": {"cpus": 2, "memory": "4gb", "gpu": "optional"}},
                {"hostRequirements": {"cpus": 1, "memory": "8gb", "storage": "1tb", "gpu": "optional"}}]"#)
        .unwrap();
        assert_eq!((found.cpus, found.memory, found.storage), (Some(2), Some(8 << 30), Some(1 << 40)));
        assert_eq!(found.gpu, Some(Gpu::Optional));
        let found = of(
            r#"[{"hostRequirements": {"gpu": {"cores": 2}}}, {"hostRequirements": {"gpu": {"cores": 1, "memory": "2gb"}}},
                {"hostRequirements": {"gpu": true}}, {"hostRequirements": {"gpu": false}}]"#,
        );
        assert_eq!(found.unwrap().gpu, Some(Gpu::Required { cores: Some(2), memory: Some(2 << 30) }));
    }
}
