//! Reads what files, features and the labels of images can say alike.

use indexmap::IndexMap;

use crate::compose_file::node::{Node, Value};
use crate::devcontainer::document::to_json;
use crate::devcontainer::fields::Fields;
use crate::devcontainer::lifecycle::{Command, Line, Stage};
use crate::devcontainer::mount::{ParsedMount, mount_text};
use crate::devcontainer::property::{
    ForwardedPort, Gpu, HostRequirements, Placed, PortAttributes, Properties, ShutdownAction, UserEnvProbe,
};
use crate::devcontainer::quantity::parse_requirement;

/// The keys that labels of images can have too, in the order in which a label has them.
pub(in crate::devcontainer) const PROPERTIES: [&str; 24] = [
    "onCreateCommand",
    "updateContentCommand",
    "postCreateCommand",
    "postStartCommand",
    "postAttachCommand",
    "waitFor",
    "customizations",
    "mounts",
    "containerEnv",
    "containerUser",
    "init",
    "privileged",
    "capAdd",
    "securityOpt",
    "remoteUser",
    "userEnvProbe",
    "remoteEnv",
    "overrideCommand",
    "portsAttributes",
    "otherPortsAttributes",
    "forwardPorts",
    "shutdownAction",
    "updateRemoteUserUID",
    "hostRequirements",
];
const ATTRIBUTES: [&str; 5] = ["label", "protocol", "onAutoForward", "requireLocalPort", "elevateIfNeeded"];
const FORWARDINGS: [&str; 6] =
    ["notify", "openBrowser", "openBrowserOnce", "openPreview", "silent", "ignore"];
const PROTOCOLS: [&str; 2] = ["http", "https"];
const REQUIREMENTS: [&str; 4] = ["cpus", "memory", "storage", "gpu"];
const SIZE: &str = "a size such as `4gb`, with `kb`, `mb`, `gb` or `tb`";
const FORWARDED: &str = "a port, or a text such as `db:5432`";
const COMMAND: &str = "a text, a list of texts, or a mapping of them";
const MOUNT: &str = "a text for `--mount`, or a mapping of `type`, `source` and `target`";
const MOUNT_KEYS: [&str; 3] = ["type", "source", "target"];
const GPU: &str = "`true`, `false`, `\"optional\"`, or a mapping of `cores` and `memory`";

/// Returns the properties of a mapping that may have others.
pub(in crate::devcontainer) fn read_properties(fields: &Fields<'_>) -> Properties {
    let in_container = Stage::ALL.into_iter().filter(|stage| !stage.is_on_host());
    let container_env = fields.variables("containerEnv", false).into_iter();
    Properties {
        init: fields.boolean("init"),
        privileged: fields.boolean("privileged"),
        cap_add: fields.texts("capAdd"),
        security_opt: fields.texts("securityOpt"),
        mounts: read_mounts(fields),
        commands: in_container.filter_map(|stage| Some((stage, command(fields, stage)?))).collect(),
        wait_for: read_wait_for(fields),
        customizations: read_customizations(fields),
        container_user: fields.filled("containerUser"),
        remote_user: fields.filled("remoteUser"),
        user_env_probe: fields.word("userEnvProbe", &UserEnvProbe::WORDS),
        remote_env: fields.variables("remoteEnv", true),
        container_env: container_env.filter_map(|(name, value)| Some((name, value?))).collect(),
        override_command: fields.boolean("overrideCommand"),
        ports_attributes: read_ports_attributes(fields),
        other_ports_attributes: fields.child("otherPortsAttributes").map(|inner| read_attributes(&inner)),
        forward_ports: read_forward_ports(fields),
        shutdown_action: fields.word("shutdownAction", &ShutdownAction::WORDS),
        update_remote_user_uid: fields.boolean("updateRemoteUserUID"),
        host_requirements: fields.child("hostRequirements").map(|inner| read_requirements(&inner)),
    }
}

/// Returns the command of a stage, unless there is nothing to run.
pub(in crate::devcontainer) fn command(fields: &Fields<'_>, stage: Stage) -> Option<Command> {
    let key = stage.key();
    let node = fields.node(key)?;
    let command = match &node.value {
        Value::Map(entries) => {
            let inner = fields.within(key, node)?;
            let mut lines = IndexMap::new();
            for (name, entry) in entries {
                lines.extend(line(&inner, name, &entry.node).map(|line| (name.clone(), line)));
            }
            Command::Parallel(lines)
        }
        Value::Text(_) | Value::List(_) => Command::Single(line(fields, key, node)?),
        _ => {
            fields.unfit(key, node, COMMAND);
            return None;
        }
    };
    (!command.is_empty()).then_some(command)
}

fn line(fields: &Fields<'_>, key: &str, node: &Node) -> Option<Line> {
    match &node.value {
        Value::Text(text) => Some(Line::Shell(text.clone())),
        Value::List(items) => {
            let words = items.iter().enumerate().map(|(index, item)| fields.item_text(key, index, item));
            words.collect::<Option<_>>().map(Line::Program)
        }
        _ => {
            fields.unfit(key, node, "a text or a list of texts");
            None
        }
    }
}

fn read_wait_for(fields: &Fields<'_>) -> Option<Stage> {
    let words = Stage::ALL.map(|stage| (stage.key(), stage));
    // Nothing runs after the last stage that could be left in the background.
    fields.word("waitFor", &words[..words.len() - 1])
}

fn read_customizations(fields: &Fields<'_>) -> IndexMap<String, serde_json::Value> {
    let Some(tools) = fields.child("customizations") else { return IndexMap::new() };
    tools.entries().iter().map(|(tool, entry)| (tool.clone(), to_json(&entry.node))).collect()
}

fn read_mounts(fields: &Fields<'_>) -> Vec<Placed<ParsedMount>> {
    let mut mounts = Vec::new();
    for (index, item) in fields.items("mounts", "a list").iter().enumerate() {
        let name = format!("mounts[{index}]");
        let text = match &item.value {
            Value::Text(text) => Some(text.clone()),
            Value::Map(_) => object_mount(fields, &name, item),
            _ => {
                fields.unfit(&name, item, MOUNT);
                None
            }
        };
        match text.as_deref().map(str::parse::<ParsedMount>) {
            Some(Ok(value)) => mounts.push(Placed { value, place: item.place.clone() }),
            Some(Err(fault)) => fields.fault(&name, item, fault),
            None => {}
        }
    }
    mounts
}

/// Returns the text for a mount in its long form, which has no other keys: a wish such as `readonly` would be lost.
fn object_mount<'a>(fields: &Fields<'a>, name: &str, item: &'a Node) -> Option<String> {
    let mount = fields.within(name, item)?;
    let mut entries = mount.entries().iter();
    if let Some((key, entry)) = entries.find(|(key, _)| !MOUNT_KEYS.contains(&key.as_str())) {
        let message = format!(
            "{}: a mapping has `type`, `source` and `target` alone; write the mount as a text, `type=…,target=…,{key}`",
            mount.name(key)
        );
        fields.reports.error(&entry.key_place, message);
        return None;
    }
    for key in ["type", "target"] {
        if mount.node(key).is_none() {
            fields.reports.error(&item.place, format!("{} is missing", mount.name(key)));
        }
    }
    let kind = mount.word("type", &[("bind", "bind"), ("volume", "volume"), ("tmpfs", "tmpfs")]);
    let (source, target) = (mount.filled("source"), mount.filled("target"));
    Some(mount_text(kind?, source.as_deref(), &target?))
}

fn read_forward_ports(fields: &Fields<'_>) -> Vec<Placed<ForwardedPort>> {
    let mut ports = Vec::new();
    for (index, item) in fields.items("forwardPorts", "a list of ports").iter().enumerate() {
        let port = match &item.value {
            Value::Number(text) | Value::Text(text) => parse_forwarded(text),
            _ => None,
        };
        match port {
            Some(value) => ports.push(Placed { value, place: item.place.clone() }),
            None => fields.unfit_value(&format!("forwardPorts[{index}]"), item, FORWARDED),
        }
    }
    ports
}

/// Parses a port, or `host:port`; the host may be the dev container itself.
fn parse_forwarded(text: &str) -> Option<ForwardedPort> {
    let port = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| is_number && *port > 0)
    };
    let Some((host, number)) = text.rsplit_once(':') else { return port(text).map(ForwardedPort::Own) };
    let port = port(number)?;
    match host {
        "localhost" | "127.0.0.1" | "[::1]" => Some(ForwardedPort::Own(port)),
        _ if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == ':' || c == '/') => None,
        _ => Some(ForwardedPort::Of { host: host.to_owned(), port }),
    }
}

fn read_ports_attributes(fields: &Fields<'_>) -> IndexMap<String, PortAttributes> {
    let Some(inner) = fields.child("portsAttributes") else { return IndexMap::new() };
    let attributes = inner.entries().iter().filter_map(|(port, entry)| {
        let attributes = inner.within(port, &entry.node)?;
        Some((port.clone(), read_attributes(&attributes)))
    });
    attributes.collect()
}

fn read_attributes(fields: &Fields<'_>) -> PortAttributes {
    fields.warn_of_unknown(&ATTRIBUTES);
    let protocol = fields.word("protocol", &PROTOCOLS.map(|word| (word, word)));
    let on_auto_forward = fields.word("onAutoForward", &FORWARDINGS.map(|word| (word, word)));
    PortAttributes {
        label: fields.text("label"),
        protocol: protocol.map(str::to_owned),
        on_auto_forward: on_auto_forward.map(str::to_owned),
        require_local_port: fields.boolean("requireLocalPort"),
        elevate_if_needed: fields.boolean("elevateIfNeeded"),
    }
}

fn read_requirements(fields: &Fields<'_>) -> HostRequirements {
    fields.warn_of_unknown(&REQUIREMENTS);
    HostRequirements {
        cpus: fields.integer("cpus", 1),
        memory: size(fields, "memory"),
        storage: size(fields, "storage"),
        gpu: read_gpu(fields),
    }
}

fn read_gpu(fields: &Fields<'_>) -> Option<Gpu> {
    let node = fields.node("gpu")?;
    match &node.value {
        Value::Bool(false) => Some(Gpu::Unused),
        Value::Bool(true) => Some(Gpu::Required { cores: None, memory: None }),
        Value::Text(text) if text == "optional" => Some(Gpu::Optional),
        Value::Map(_) => {
            let inner = fields.child("gpu")?;
            inner.warn_of_unknown(&["cores", "memory"]);
            Some(Gpu::Required { cores: inner.integer("cores", 1), memory: size(&inner, "memory") })
        }
        _ => {
            fields.unfit_value("gpu", node, GPU);
            None
        }
    }
}

fn size(fields: &Fields<'_>, key: &str) -> Option<u64> {
    let node = fields.node(key)?;
    let size = match &node.value {
        Value::Text(text) => parse_requirement(text),
        _ => None,
    };
    if size.is_none() {
        fields.unfit_value(key, node, SIZE);
    }
    size
}
