//! Words of other tools and of other places of a Compose file, and the keys that they stand for.

/// Words that people write, and the keys that they may mean, with dots into the mappings below.
///
/// A key that is not known where the word stands is passed over, so a word may be listed with keys of several places.
const MEANT: [(&str, &[&str]); 51] = [
    ("add_host", &["extra_hosts"]),
    ("alias", &["aliases"]),
    ("args", &["build.args"]),
    ("cmd", &["command", "test"]),
    ("command", &["test"]),
    ("context", &["build.context"]),
    ("cpu", &["cpus"]),
    ("cpu_limit", &["cpus"]),
    ("cwd", &["working_dir"]),
    ("delay", &["interval"]),
    ("dest", &["target"]),
    ("destination", &["target"]),
    ("directory", &["working_dir", "project_directory"]),
    ("dockerfile", &["build.dockerfile"]),
    ("dst", &["target"]),
    ("env", &["environment"]),
    ("envs", &["environment"]),
    ("from", &["source", "extends"]),
    ("health", &["healthcheck"]),
    ("health_check", &["healthcheck"]),
    ("host", &["hostname", "host_ip"]),
    ("hosts", &["extra_hosts"]),
    ("interactive", &["stdin_open"]),
    ("ip", &["ipv4_address", "host_ip"]),
    ("ipv4", &["ipv4_address"]),
    ("ipv6", &["ipv6_address", "enable_ipv6"]),
    ("log_driver", &["logging.driver"]),
    ("log_opt", &["logging.options"]),
    ("logs", &["logging"]),
    ("mem", &["mem_limit"]),
    ("memory", &["mem_limit"]),
    ("mounts", &["volumes"]),
    ("name", &["container_name"]),
    ("needs", &["depends_on"]),
    ("net", &["network_mode", "networks"]),
    ("network", &["networks", "network_mode"]),
    ("nproc", &["ulimits.nproc"]),
    ("options", &["driver_opts"]),
    ("opts", &["driver_opts", "options"]),
    ("path", &["file", "context", "source"]),
    ("publish", &["ports"]),
    ("readonly", &["read_only"]),
    ("replicas", &["scale", "deploy.replicas"]),
    ("requires", &["depends_on"]),
    ("resources", &["deploy.resources"]),
    ("restart_policy", &["restart"]),
    ("ro", &["read_only"]),
    ("src", &["source"]),
    ("subnet", &["ipam.config"]),
    ("variables", &["environment"]),
    ("workdir", &["working_dir"]),
];

/// Returns the keys that a word may mean where `known` are the keys; none if it is no such word.
pub(super) fn meant<'a>(word: &str, known: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let keys = MEANT.iter().find(|(written, _)| *written == word).map_or(&[][..], |(_, keys)| *keys);
    let is_known = |key: &&str| known(key.split('.').next().unwrap_or(key));
    keys.iter().copied().filter(is_known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_the_keys_that_are_known() {
        assert_eq!(meant("Net", |_| true), ["network_mode", "networks"]);
        assert_eq!(meant("path", |key| key == "context"), ["context"]);
        assert_eq!(meant("log-driver", |key| key == "logging"), ["logging.driver"]);
        assert!(meant("dockerfile", |key| key == "context").is_empty());
        assert!(meant("image", |_| true).is_empty());
    }

    #[test]
    fn words_are_listed_once_and_in_order() {
        assert!(MEANT.is_sorted_by(|one, other| one.0 < other.0));
    }
}
