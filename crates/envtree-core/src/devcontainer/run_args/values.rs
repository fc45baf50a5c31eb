//! Reads the values of flags.

use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexMap;

use super::Target;
use crate::branch::prune::parse_age;
use crate::compose_file::lower::parse_port;
use crate::config_hash::is_own_label;
use crate::decimal::Decimal;
use crate::devcontainer::mount::{ParsedMount, fields, host_path};
use crate::devcontainer::path::cleaned;
use crate::devcontainer::property::Placed;
use crate::devcontainer::quantity::parse_bytes;
use crate::name::VolumeName;
use crate::project::Volume;
use crate::service::{
    Attachment, BindOptions, Blkio, Device, DeviceRate, DeviceRequest, DeviceWeight, HealthCheck, HealthTest,
    Logging, Mount, MountSource, Port, PullPolicy, RestartPolicy, Ulimit,
};

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const SIZE: &str = "expected a size such as `64m`";
/// Networks that are no networks: the host's, none, and the Engine's own.
const MODES: [&str; 3] = ["host", "none", "bridge"];

type Outcome = Result<(), String>;

#[expect(clippy::unnecessary_wraps, reason = "flags whose values can be wrong have the same form")]
pub(super) fn set(setting: &mut Option<String>, value: &str) -> Outcome {
    *setting = Some(value.to_owned());
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "flags whose values can be wrong have the same form")]
pub(super) fn push(settings: &mut Vec<String>, value: &str) -> Outcome {
    settings.push(value.to_owned());
    Ok(())
}

pub(super) fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("expected a whole number, not `{value}`"))
}

pub(super) fn integer(setting: &mut Option<i64>, value: &str) -> Outcome {
    *setting = Some(number(value)?);
    Ok(())
}

pub(super) fn decimal(setting: &mut Option<Decimal>, value: &str) -> Outcome {
    let number = value.parse().ok().filter(|number: &Decimal| number.billionths() >= 0);
    *setting = Some(number.ok_or_else(|| format!("expected a number such as `1.5`, not `{value}`"))?);
    Ok(())
}

pub(super) fn bytes(setting: &mut Option<i64>, value: &str) -> Outcome {
    *setting = Some(parse_bytes(value).ok_or(SIZE)?);
    Ok(())
}

pub(super) fn bytes_or_unlimited(setting: &mut Option<i64>, value: &str) -> Outcome {
    *setting = Some(if value == "-1" { -1 } else { parse_bytes(value).ok_or(SIZE)? });
    Ok(())
}

pub(super) fn time(value: &str) -> Result<Duration, String> {
    parse_age(value).ok_or_else(|| format!("expected a time such as `30s`, not `{value}`"))
}

/// Adds `name=value`.
pub(super) fn add_pair(settings: &mut IndexMap<String, String>, value: &str) -> Outcome {
    let (name, value) =
        value.split_once('=').ok_or_else(|| format!("expected `name=value`, not `{value}`"))?;
    settings.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// Adds a label; one without a value has an empty one.
pub(super) fn add_label(target: &mut Target<'_>, value: &str) -> Outcome {
    let (name, value) = value.split_once('=').unwrap_or((value, ""));
    if is_own_label(name) {
        return Err(format!("the label `{name}` is for envtree to set"));
    }
    target.service.labels.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// Adds a variable; one without a value has the host's, or is left out where the host has none.
pub(super) fn add_env(target: &mut Target<'_>, value: &str) -> Outcome {
    let (name, given) = match value.split_once('=') {
        Some((name, given)) => (name, Some(given.to_owned())),
        None => (value, (target.lookup)(value)),
    };
    if name.is_empty() {
        return Err("a variable without a name".to_owned());
    }
    if let Some(given) = given {
        target.service.environment.insert(name.to_owned(), given);
    }
    Ok(())
}

/// Adds a line for `/etc/hosts`: `host:address` or `host=address`, brackets around the address or not.
pub(super) fn add_host(target: &mut Target<'_>, value: &str) -> Outcome {
    let split = value.split_once('=').or_else(|| value.split_once(':'));
    let (host, address) = split
        .filter(|(host, address)| !host.is_empty() && !address.is_empty())
        .ok_or_else(|| format!("expected `host:address`, not `{value}`"))?;
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    push(&mut target.service.runtime.extra_hosts, &format!("{host}:{bare}"))
}

/// Publishes a port, for which the environment reserves one of the host: the host's that is written is a wish at best.
pub(super) fn add_port(target: &mut Target<'_>, value: &str) -> Outcome {
    let ports = parse_port(value)
        .ok_or_else(|| format!("expected `[[address:]published:]target[/protocol]`, not `{value}`"))?;
    for port in ports {
        let port = Port { published: None, published_last: None, writes_zero: false, ..port };
        if !target.service.ports.contains(&port) {
            target.service.ports.push(port);
        }
    }
    Ok(())
}

/// Adds a network: a mode, a name, or `name=…,alias=…`.
pub(super) fn add_network(target: &mut Target<'_>, value: &str) -> Outcome {
    if MODES.contains(&value) || value.starts_with("container:") {
        return set(&mut target.service.network_mode, value);
    }
    if value == "default" {
        return set(&mut target.service.network_mode, "bridge");
    }
    if !value.contains('=') {
        return target.join(value, Attachment::default());
    }
    let mut name = None;
    let mut attachment = Attachment::default();
    for field in fields(value)? {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("`{field}` has no value"))?;
        match key {
            "name" => name = Some(value.to_owned()),
            "alias" => attachment.aliases.push(value.to_owned()),
            "mac-address" => attachment.mac_address = Some(value.to_owned()),
            "driver-opt" => add_pair(&mut attachment.driver_opts, value)?,
            "gw-priority" => attachment.gw_priority = Some(number(value)?),
            _ => return Err(format!("`{key}` of a network has no place in an environment")),
        }
    }
    let name = name.ok_or("`name=…` is missing")?;
    target.join(&name, attachment)
}

/// Adds a mount as `--mount` takes it.
pub(super) fn add_mount(target: &mut Target<'_>, value: &str) -> Outcome {
    let parsed: ParsedMount = value.parse()?;
    if let Some((name, volume)) = parsed.named_volume() {
        target.further.volumes.insert(name.clone(), volume.clone());
    }
    target.service.mounts.push(parsed.mount);
    Ok(())
}

/// Adds a mount as `--volume` takes it: `[source:]target[:options]`. A folder that is missing on the host is made.
pub(super) fn add_volume(target: &mut Target<'_>, value: &str) -> Outcome {
    let parts = volume_parts(value);
    let (source, path, options) = match parts.as_slice() {
        [path] => (None, *path, ""),
        [source, path] => (Some(*source), *path, ""),
        [source, path, options] => (Some(*source), *path, *options),
        _ => return Err(format!("expected `[source:]target[:options]`, not `{value}`")),
    };
    let path = cleaned(path).ok_or_else(|| format!("`{path}` is no absolute path in the container"))?;
    let is_path = |source: &str| source.starts_with(['.', '/', '~', '\\']) || source.get(1..2) == Some(":");
    let source = match source {
        None => MountSource::volume(None),
        Some(path) if is_path(path) => MountSource::bind(host_path(path)?),
        Some(name) => {
            let key = VolumeName::new(name).map_err(|error| error.to_string())?;
            let volume = Volume { name: Some(name.to_owned()), ..Volume::default() };
            target.further.volumes.insert(key.clone(), volume);
            MountSource::volume(Some(key))
        }
    };
    let mut mount = Mount::new(path, source);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        apply_option(&mut mount, option)?;
    }
    target.service.mounts.push(mount);
    Ok(())
}

/// Splits by colons, but for one behind the letter of a drive: a volume of one letter stands before a single path.
fn volume_parts(text: &str) -> Vec<&str> {
    let has_letter = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_drive = match text.get(1..3) {
        Some(":\\") => has_letter,
        Some(":/") => has_letter && text[2..].split(':').nth(1).is_some_and(|next| next.starts_with('/')),
        _ => false,
    };
    let begin = if is_drive { 2 } else { 0 };
    match text[begin..].find(':') {
        None => vec![text],
        Some(end) => {
            let (first, rest) = text.split_at(begin + end);
            [first].into_iter().chain(rest[1..].split(':')).collect()
        }
    }
}

fn apply_option(mount: &mut Mount, option: &str) -> Outcome {
    let bind = |options: &mut BindOptions| match option {
        "z" | "Z" => options.selinux = Some(option.to_owned()),
        _ => options.propagation = Some(option.to_owned()),
    };
    match (option, &mut mount.source) {
        ("ro", _) => mount.read_only = true,
        ("rw" | "cached" | "delegated" | "consistent", _) => {}
        ("nocopy", MountSource::Volume { options, .. }) => options.nocopy = true,
        ("z" | "Z", MountSource::Volume { options, .. }) => options.selinux = Some(option.to_owned()),
        ("z" | "Z", MountSource::Bind { options, .. }) => bind(options),
        (word, MountSource::Bind { options, .. }) if PROPAGATIONS.contains(&word) => bind(options),
        _ => return Err(format!("the option `{option}` has no effect on this mount")),
    }
    Ok(())
}

/// Adds a device: `/path[:/path-in-the-container[:permissions]]`.
pub(super) fn add_device(target: &mut Target<'_>, value: &str) -> Outcome {
    let device = |source: &str, target: &str, permissions: &str| Device {
        source: source.to_owned(),
        target: target.to_owned(),
        permissions: permissions.to_owned(),
    };
    let device = match value.split(':').collect::<Vec<_>>().as_slice() {
        [source] if !source.is_empty() => device(source, source, "rwm"),
        [source, target] => device(source, target, "rwm").meant(),
        [source, target, permissions] => device(source, target, permissions),
        _ => return Err(format!("expected `/path[:/path-in-the-container[:permissions]]`, not `{value}`")),
    };
    target.service.runtime.devices.push(device);
    Ok(())
}

/// Adds graphics processors: `all`, a number, or fields such as `driver=nvidia,"device=0,1"`.
pub(super) fn add_gpus(target: &mut Target<'_>, value: &str) -> Outcome {
    let mut request = DeviceRequest::default();
    for field in fields(value)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        match key {
            "count" if value == "all" => request.count = Some(-1),
            "count" => request.count = Some(number(value)?),
            "device" => request.device_ids.extend(value.split(',').map(str::to_owned)),
            "driver" => request.driver = Some(value.to_owned()),
            "capabilities" => request.capabilities.extend(value.split(',').map(str::to_owned)),
            "options" => value.split(',').try_for_each(|pair| add_pair(&mut request.options, pair))?,
            _ => return Err(format!("unknown key `{key}`")),
        }
    }
    if request.count.is_none() && request.device_ids.is_empty() {
        request.count = Some(1);
    }
    if !request.capabilities.iter().any(|capability| capability == "gpu") {
        request.capabilities.push("gpu".to_owned());
    }
    target.service.runtime.gpus.push(request);
    Ok(())
}

/// Adds a limit of processes: `name=soft[:hard]`.
pub(super) fn add_ulimit(target: &mut Target<'_>, value: &str) -> Outcome {
    let fault = || format!("expected `name=soft[:hard]`, not `{value}`");
    let (name, limits) = value.split_once('=').ok_or_else(fault)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit = |text: &str| text.parse().map_err(|_| fault());
    let limit = Ulimit { soft: limit(soft)?, hard: limit(hard)? };
    target.service.runtime.ulimits.insert(name.to_owned(), limit);
    Ok(())
}

/// Adds a security option, and notes the file of a profile of seccomp.
pub(super) fn add_security_option(target: &mut Target<'_>, value: &str) -> Outcome {
    if let Some(path) = value.strip_prefix("seccomp").and_then(|rest| rest.strip_prefix(['=', ':'])) {
        let is_file = !matches!(path, "unconfined" | "builtin");
        let placed = || Placed { value: path.to_owned(), place: target.place.clone() };
        target.further.seccomp = is_file.then(placed);
    }
    push(&mut target.service.runtime.security_opt, value)
}

pub(super) fn add_log_option(target: &mut Target<'_>, value: &str) -> Outcome {
    add_pair(&mut target.service.runtime.logging.get_or_insert_with(Logging::default).options, value)
}

/// Returns the limits of reads and writes, to be changed.
pub(super) fn blkio<'a>(target: &'a mut Target<'_>) -> &'a mut Blkio {
    target.service.runtime.limits.blkio_config.get_or_insert_with(Blkio::default)
}

/// Adds a rate for a device: `/path:rate`, in bytes with a unit or a number.
pub(super) fn add_rate(rates: &mut Vec<DeviceRate>, value: &str) -> Outcome {
    let split = value.rsplit_once(':').and_then(|(path, rate)| Some((path, parse_bytes(rate)?)));
    let (path, rate) = split.ok_or_else(|| format!("expected `/path:rate`, not `{value}`"))?;
    rates.push(DeviceRate { path: path.to_owned(), rate });
    Ok(())
}

/// Adds a weight for a device: `/path:weight`.
pub(super) fn add_blkio_weight(target: &mut Target<'_>, value: &str) -> Outcome {
    let split = value.rsplit_once(':').and_then(|(path, weight)| Some((path, weight.parse().ok()?)));
    let (path, weight) = split.ok_or_else(|| format!("expected `/path:weight`, not `{value}`"))?;
    let as_written = crate::service::AsWritten::default();
    blkio(target).weight_device.push(DeviceWeight { path: path.to_owned(), weight, as_written });
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "flags whose values can be wrong have the same form")]
pub(super) fn health_check(target: &mut Target<'_>, change: impl FnOnce(&mut HealthCheck)) -> Outcome {
    change(target.service.health_check.get_or_insert_with(HealthCheck::default));
    Ok(())
}

pub(super) fn leave_out_health_check(target: &mut Target<'_>, is_left_out: bool) {
    if is_left_out {
        target.service.health_check.get_or_insert_with(HealthCheck::default).test = Some(HealthTest::None);
    }
}

pub(super) fn restart(target: &mut Target<'_>, value: &str) -> Outcome {
    target.service.restart = match value {
        "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure(None),
        _ => {
            let number = value.strip_prefix("on-failure:").and_then(|number| number.parse().ok());
            let expected = "expected `no`, `always`, `unless-stopped` or `on-failure[:number]`";
            RestartPolicy::OnFailure(Some(number.ok_or_else(|| format!("{expected}, not `{value}`"))?))
        }
    };
    Ok(())
}

pub(super) fn pull_policy(target: &mut Target<'_>, value: &str) -> Outcome {
    target.service.pull_policy = Some(match value {
        "always" => PullPolicy::Always,
        "missing" => PullPolicy::Missing,
        "never" => PullPolicy::Never,
        _ => return Err(format!("expected `always`, `missing` or `never`, not `{value}`")),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_of_a_drive_is_no_volume() {
        assert_eq!(volume_parts("a:/a:ro"), ["a", "/a", "ro"]);
        assert_eq!(volume_parts("a:/a"), ["a", "/a"]);
        assert_eq!(volume_parts("C:/src:/w:ro"), ["C:/src", "/w", "ro"]);
        assert_eq!(volume_parts(r"C:\src:/w"), [r"C:\src", "/w"]);
        assert_eq!(volume_parts("/data"), ["/data"]);
        assert_eq!(volume_parts("é:/a"), ["é", "/a"]);
    }
}
