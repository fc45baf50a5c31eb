//! The flags of `docker run`, and what each of them sets.

use super::Target;
use super::values::{
    add_blkio_weight, add_device, add_env, add_gpus, add_host, add_label, add_log_option, add_mount,
    add_network, add_pair, add_port, add_rate, add_security_option, add_ulimit, add_volume, blkio, bytes,
    bytes_or_unlimited, decimal, health_check, integer, leave_out_health_check, number, pull_policy, push,
    restart, set, time,
};
use crate::service::{HealthTest, Logging};

use Kind::{Switch, Value};

/// What a flag does.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It is on or off.
    Switch(fn(&mut Target<'_>, bool)),
    /// It has a value; the error says what is wrong with it.
    Value(fn(&mut Target<'_>, &str) -> Result<(), String>),
    /// It has no place in a dev container.
    Refused {
        /// Whether a value belongs to it.
        takes_value: bool,
        /// Why.
        why: &'static str,
    },
}

const fn refused(why: &'static str) -> Kind {
    Kind::Refused { takes_value: true, why }
}

const fn refused_switch(why: &'static str) -> Kind {
    Kind::Refused { takes_value: false, why }
}

const FILE: &str = "no file is read; use `containerEnv`";
const LABEL_FILE: &str = "no file is read; use `--label`";
const OUTPUT: &str = "the container runs in the background";
const ADDRESS: &str = "a fixed address can belong to one environment only";

/// The flags of one letter.
pub(super) const SHORT: [(char, &str); 15] = [
    ('a', "attach"),
    ('c', "cpu-shares"),
    ('d', "detach"),
    ('e', "env"),
    ('h', "hostname"),
    ('i', "interactive"),
    ('l', "label"),
    ('m', "memory"),
    ('P', "publish-all"),
    ('p', "publish"),
    ('q', "quiet"),
    ('t', "tty"),
    ('u', "user"),
    ('v', "volume"),
    ('w', "workdir"),
];

/// Every flag, by its name.
pub(super) const FLAGS: &[(&str, Kind)] = &[
    ("add-host", Value(add_host)),
    ("annotation", Value(|t, v| add_pair(&mut t.service.runtime.annotations, v))),
    ("attach", refused(OUTPUT)),
    ("blkio-weight", Value(|t, v| number(v).map(|v| blkio(t).weight = Some(v)))),
    ("blkio-weight-device", Value(add_blkio_weight)),
    ("cap-add", Value(|t, v| push(&mut t.service.runtime.cap_add, v))),
    ("cap-drop", Value(|t, v| push(&mut t.service.runtime.cap_drop, v))),
    ("cgroup-parent", Value(|t, v| set(&mut t.service.runtime.cgroup_parent, v))),
    ("cgroupns", Value(|t, v| set(&mut t.service.runtime.cgroup, v))),
    ("cidfile", refused("envtree knows the container by its labels")),
    ("cpu-period", Value(|t, v| integer(&mut t.service.runtime.limits.cpu_period, v))),
    ("cpu-quota", Value(|t, v| integer(&mut t.service.runtime.limits.cpu_quota, v))),
    ("cpu-rt-period", Value(|t, v| integer(&mut t.service.runtime.limits.cpu_rt_period, v))),
    ("cpu-rt-runtime", Value(|t, v| integer(&mut t.service.runtime.limits.cpu_rt_runtime, v))),
    ("cpu-shares", Value(|t, v| integer(&mut t.service.runtime.limits.cpu_shares, v))),
    ("cpus", Value(|t, v| decimal(&mut t.service.runtime.limits.cpus, v))),
    ("cpuset-cpus", Value(|t, v| set(&mut t.service.runtime.limits.cpuset, v))),
    ("detach", refused_switch("the container runs in the background anyway")),
    ("device", Value(add_device)),
    ("device-cgroup-rule", Value(|t, v| push(&mut t.service.runtime.device_cgroup_rules, v))),
    ("device-read-bps", Value(|t, v| add_rate(&mut blkio(t).device_read_bps, v))),
    ("device-read-iops", Value(|t, v| add_rate(&mut blkio(t).device_read_iops, v))),
    ("device-write-bps", Value(|t, v| add_rate(&mut blkio(t).device_write_bps, v))),
    ("device-write-iops", Value(|t, v| add_rate(&mut blkio(t).device_write_iops, v))),
    ("dns", Value(|t, v| push(&mut t.service.runtime.dns, v))),
    ("dns-opt", Value(|t, v| push(&mut t.service.runtime.dns_opt, v))),
    ("dns-option", Value(|t, v| push(&mut t.service.runtime.dns_opt, v))),
    ("dns-search", Value(|t, v| push(&mut t.service.runtime.dns_search, v))),
    ("domainname", Value(|t, v| set(&mut t.service.runtime.domainname, v))),
    ("entrypoint", refused("the entrypoint is that of the image, or of `overrideCommand`")),
    ("env", Value(add_env)),
    ("env-file", refused(FILE)),
    ("expose", Value(|t, v| push(&mut t.service.expose, v))),
    ("gpus", Value(add_gpus)),
    ("group-add", Value(|t, v| push(&mut t.service.runtime.group_add, v))),
    ("health-cmd", Value(|t, v| health_check(t, |check| check.test = Some(HealthTest::Shell(v.to_owned()))))),
    (
        "health-interval",
        Value(|t, v| time(v).and_then(|v| health_check(t, |check| check.interval = Some(v)))),
    ),
    (
        "health-retries",
        Value(|t, v| number(v).and_then(|v| health_check(t, |check| check.retries = Some(v)))),
    ),
    (
        "health-start-interval",
        Value(|t, v| time(v).and_then(|v| health_check(t, |check| check.start_interval = Some(v)))),
    ),
    (
        "health-start-period",
        Value(|t, v| time(v).and_then(|v| health_check(t, |check| check.start_period = Some(v)))),
    ),
    ("health-timeout", Value(|t, v| time(v).and_then(|v| health_check(t, |check| check.timeout = Some(v))))),
    ("hostname", Value(|t, v| set(&mut t.service.hostname, v))),
    ("init", Switch(|t, v| t.service.runtime.init = Some(v))),
    ("interactive", Switch(|t, v| t.service.runtime.stdin_open = v)),
    ("ip", refused(ADDRESS)),
    ("ip6", refused(ADDRESS)),
    ("ipc", Value(|t, v| set(&mut t.service.runtime.ipc, v))),
    ("isolation", Value(|t, v| set(&mut t.service.runtime.isolation, v))),
    ("label", Value(add_label)),
    ("label-file", refused(LABEL_FILE)),
    ("link", Value(|t, v| push(&mut t.service.external_links, v))),
    ("link-local-ip", refused(ADDRESS)),
    (
        "log-driver",
        Value(|t, v| set(&mut t.service.runtime.logging.get_or_insert_with(Logging::default).driver, v)),
    ),
    ("log-opt", Value(add_log_option)),
    ("mac-address", Value(|t, v| set(&mut t.service.runtime.mac_address, v))),
    ("memory", Value(|t, v| bytes(&mut t.service.runtime.limits.mem_limit, v))),
    ("memory-reservation", Value(|t, v| bytes(&mut t.service.runtime.limits.mem_reservation, v))),
    ("memory-swap", Value(|t, v| bytes_or_unlimited(&mut t.service.runtime.limits.memswap_limit, v))),
    ("memory-swappiness", Value(|t, v| integer(&mut t.service.runtime.limits.mem_swappiness, v))),
    ("mount", Value(add_mount)),
    ("name", Value(|t, v| set(&mut t.service.container_name, v))),
    ("net", Value(add_network)),
    ("net-alias", Value(|t, v| push(&mut t.further.aliases, v))),
    ("network", Value(add_network)),
    ("network-alias", Value(|t, v| push(&mut t.further.aliases, v))),
    ("no-healthcheck", Switch(leave_out_health_check)),
    ("oom-kill-disable", Switch(|t, v| t.service.runtime.limits.oom_kill_disable = v)),
    ("oom-score-adj", Value(|t, v| integer(&mut t.service.runtime.limits.oom_score_adj, v))),
    ("pid", Value(|t, v| set(&mut t.service.runtime.pid, v))),
    ("pids-limit", Value(|t, v| integer(&mut t.service.runtime.limits.pids_limit, v))),
    ("platform", Value(|t, v| set(&mut t.service.platform, v))),
    ("privileged", Switch(|t, v| t.service.runtime.privileged = v)),
    ("publish", Value(add_port)),
    ("publish-all", refused_switch("name the ports in `forwardPorts`")),
    ("pull", Value(pull_policy)),
    ("quiet", refused_switch(OUTPUT)),
    ("read-only", Switch(|t, v| t.service.runtime.read_only = v)),
    ("restart", Value(restart)),
    ("rm", refused_switch("a dev container stays until `envtree rm`")),
    ("runtime", Value(|t, v| set(&mut t.service.runtime.runtime, v))),
    ("security-opt", Value(add_security_option)),
    ("shm-size", Value(|t, v| bytes(&mut t.service.runtime.shm_size, v))),
    ("sig-proxy", refused_switch(OUTPUT)),
    ("stop-signal", Value(|t, v| set(&mut t.service.runtime.stop_signal, v))),
    (
        "stop-timeout",
        Value(|t, v| time(&format!("{v}s")).map(|v| t.service.runtime.stop_grace_period = Some(v))),
    ),
    ("storage-opt", Value(|t, v| add_pair(&mut t.service.runtime.storage_opt, v))),
    ("sysctl", Value(|t, v| add_pair(&mut t.service.runtime.sysctls, v))),
    ("tmpfs", Value(|t, v| push(&mut t.service.runtime.tmpfs, v))),
    ("tty", Switch(|t, v| t.service.runtime.tty = v)),
    ("ulimit", Value(add_ulimit)),
    ("user", Value(|t, v| set(&mut t.service.user, v))),
    ("userns", Value(|t, v| set(&mut t.service.runtime.userns_mode, v))),
    ("uts", Value(|t, v| set(&mut t.service.runtime.uts, v))),
    ("volume", Value(add_volume)),
    ("volume-driver", refused("name it with `--mount`, as `volume-driver`")),
    ("volumes-from", Value(|t, v| push(&mut t.service.volumes_from, &format!("container:{v}")))),
    ("workdir", Value(|t, v| set(&mut t.service.working_dir, v))),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_stands_for_a_flag_and_no_flag_is_there_twice() {
        for (letter, name) in SHORT {
            assert_eq!(FLAGS.iter().filter(|(flag, _)| *flag == name).count(), 1, "{letter}");
        }
        assert!(FLAGS.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
