//! A machine's own configuration, `~/.config/envtree/config.yaml`.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use indexmap::IndexMap;

use super::read::{Fields, age, boolean, entries, integer, reject_tags, text};
use super::{BranchMode, branch_mode};
use crate::compose_file::node::{Diagnostic, Entry, Node, Value};
use crate::compose_file::parse::parse;
use crate::subnet::Subnet;

/// The longest prefix of an environment's network: it leaves room for a gateway and five containers.
const LONGEST_PREFIX: u8 = 29;

/// What holds for every repository on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSettings {
    /// The registry that is asked in place of another, by the other's name: `docker.io` → `127.0.0.1:5000`.
    pub mirrors: IndexMap<String, String>,
    /// The host ports that are given out.
    pub port_range: RangeInclusive<u16>,
    /// The addresses that the environments' networks are cut out of, the preferred ones first; at least one.
    pub network_pools: Vec<Subnet>,
    /// The prefix length of each of these networks: longer than every pool's, at most 29.
    pub network_size: u8,
    /// Whether servers without a seed are prepared: initialised once for a repository, and branched ever after. Absent
    /// means where branches are overlays.
    pub prepares_data: Option<bool>,
    /// What volumes that branch consist of here, whatever a repository says; `Auto` leaves it to the repository.
    pub data_mode: BranchMode,
    /// For how long bases are kept that nothing uses, in repositories that do not say so themselves.
    pub keeps_data: Option<Duration>,
}

impl Default for MachineSettings {
    fn default() -> Self {
        Self {
            mirrors: IndexMap::new(),
            port_range: 20000..=29999,
            // The second is for machines with a route to all of 10.0.0.0/8, as many a VPN sets; the Engine's own
            // pools begin just behind it.
            network_pools: [[10, 214, 0, 0], [172, 16, 0, 0]]
                .map(|address| Subnet::new(Ipv4Addr::from(address), 16).expect("16 is a prefix length"))
                .to_vec(),
            network_size: 26,
            prepares_data: None,
            data_mode: BranchMode::Auto,
            keeps_data: None,
        }
    }
}

/// Returns the settings in the text of a machine's configuration; `file` is named in places.
pub fn parse_machine_settings(file: &str, text: &str) -> Result<MachineSettings, Diagnostic> {
    let document = parse(file, text)?;
    reject_tags(&document)?;
    let fields = Fields::new(&document, &["mirrors", "ports", "network", "data"])?;
    let mut settings =
        MachineSettings { mirrors: fields.parse("mirrors", mirrors)?, ..MachineSettings::default() };
    if let Some(node) = fields.node("ports")
        && let Some(node) = Fields::new(node, &["range"])?.node("range")
    {
        settings.port_range = port_range(node)?;
    }
    if let Some(node) = fields.node("network") {
        network(node, &mut settings)?;
    }
    if let Some(node) = fields.node("data") {
        let fields = Fields::new(node, &["prepare", "mode", "keep"])?;
        settings.prepares_data = fields.node("prepare").map(boolean).transpose()?;
        settings.data_mode = fields.parse("mode", branch_mode)?;
        settings.keeps_data = fields.node("keep").map(age).transpose()?;
    }
    Ok(settings)
}

fn mirrors(node: &Node) -> Result<IndexMap<String, String>, Diagnostic> {
    let mirror = |(registry, entry): (&String, &Entry)| {
        let address = text(&entry.node)?;
        if !is_registry(registry) {
            return Err(Diagnostic {
                place: entry.key_place.clone(),
                message: format!("`{registry}` is not a registry such as `docker.io`"),
            });
        }
        if !is_registry(&address) {
            let message = "expected the address of a registry, such as `127.0.0.1:5000`";
            return Err(entry.node.diagnostic(message));
        }
        Ok((registry.clone(), address))
    };
    entries(node)?.map(mirror).collect()
}

/// Returns whether `text` can stand before the first `/` of an image's name.
fn is_registry(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    !text.is_empty() && text.chars().all(fits)
}

fn port_range(node: &Node) -> Result<RangeInclusive<u16>, Diagnostic> {
    let text = text(node)?;
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    text.split_once('-')
        .and_then(|(first, last)| Some(port(first)?..=port(last)?))
        .filter(|range| !range.is_empty())
        .ok_or_else(|| node.diagnostic("expected a range of ports such as `20000-29999`"))
}

/// Networks of which no container can have an address: this host, loopback, the link, groups, and what is reserved.
const UNUSABLE: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

fn subnet(node: &Node) -> Result<Subnet, Diagnostic> {
    let text = text(node)?;
    let pool: Subnet =
        text.parse().map_err(|_| node.diagnostic("expected an IPv4 network such as `10.214.0.0/16`"))?;
    if pool.to_string() != text {
        return Err(node.diagnostic(format!("`{text}` lies within a network; did you mean `{pool}`?")));
    }
    let unusable = UNUSABLE.iter().find(|taken| taken.parse().is_ok_and(|taken| pool.overlaps(taken)));
    match unusable {
        Some(taken) => {
            Err(node.diagnostic(format!("`{text}` has addresses of {taken}, which containers cannot have")))
        }
        None => Ok(pool),
    }
}

fn network(node: &Node, settings: &mut MachineSettings) -> Result<(), Diagnostic> {
    let fields = Fields::new(node, &["pool", "size"])?;
    let pool = fields.node("pool");
    if let Some(node) = pool {
        settings.network_pools = match &node.value {
            Value::List(items) if !items.is_empty() => items.iter().map(subnet).collect::<Result<_, _>>()?,
            _ => vec![subnet(node)?],
        };
    }
    let prefix = settings.network_pools.iter().map(|pool| pool.prefix()).max().unwrap_or_default();
    if prefix >= LONGEST_PREFIX {
        let message = format!("expected a prefix shorter than /{LONGEST_PREFIX}");
        return Err(pool.unwrap_or(node).diagnostic(message));
    }
    if let Some(node) = fields.node("size") {
        settings.network_size = integer(node, prefix + 1..=LONGEST_PREFIX)?;
    } else if settings.network_size <= prefix {
        let size = settings.network_size;
        return Err(pool.unwrap_or(node).diagnostic(format!(
            "a pool of prefix /{prefix} needs a `size` longer than that; it is {size} by default"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_machine_settings("config.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_configured_gives_the_defaults() {
        let settings = parse_machine_settings("config.yaml", "ports:\nnetwork: {}\n").unwrap();
        assert_eq!(settings, MachineSettings::default());
        assert_eq!(settings.network_pools[0].to_string(), "10.214.0.0/16");
    }

    #[test]
    fn every_key_is_read() {
        let text = "mirrors: {docker.io: 127.0.0.1:5000}\nports: {range: 30000-30999}\n\
            network: {pool: 172.30.0.0/20, size: 24}\ndata: {prepare: true, mode: overlay, keep: 36h}\n";
        let settings = parse_machine_settings("config.yaml", text).unwrap();
        assert_eq!(settings.mirrors["docker.io"], "127.0.0.1:5000");
        assert_eq!(settings.port_range, 30000..=30999);
        assert_eq!(settings.network_pools[0].to_string(), "172.30.0.0/20");
        assert_eq!(settings.network_size, 24);
        assert_eq!(settings.data_mode, BranchMode::Overlay);
        assert_eq!(settings.keeps_data, Some(Duration::from_hours(36)));
        assert_eq!((settings.prepares_data, MachineSettings::default().prepares_data), (Some(true), None));
    }

    #[test]
    fn errors_have_a_place_and_a_way_out() {
        let errors: Vec<_> = [
            "mirror: {}",
            "mirrors: {docker.io: http://x}",
            "mirrors: {a/b: x}",
            "ports: {range: 3000}",
            "ports: {range: 30-20}",
            "ports: {range: 0-20}",
            "network: {pool: here}",
            "network: {pool: 10.0.0.5/24}",
            "network: {pool: 127.0.0.0/16}",
            "network: {pool: 0.0.0.0/0}",
            "network: {pool: 10.0.0.0/29}",
            "network: {pool: 10.0.0.0/27}",
            "network: {size: 16}",
            "network: {size: 30}",
            "data: {prepare: maybe}",
            "data: {mode: automatic}",
            "data: {keep: 14}",
            "data: {keep: forever}",
        ]
        .map(error)
        .into();
        insta::assert_snapshot!(errors.join("\n"), @"
        config.yaml:1:1: unknown key `mirror`; did you mean `mirrors`?
        config.yaml:1:22: expected the address of a registry, such as `127.0.0.1:5000`
        config.yaml:1:11: `a/b` is not a registry such as `docker.io`
        config.yaml:1:16: expected a range of ports such as `20000-29999`
        config.yaml:1:16: expected a range of ports such as `20000-29999`
        config.yaml:1:16: expected a range of ports such as `20000-29999`
        config.yaml:1:17: expected an IPv4 network such as `10.214.0.0/16`
        config.yaml:1:17: `10.0.0.5/24` lies within a network; did you mean `10.0.0.0/24`?
        config.yaml:1:17: `127.0.0.0/16` has addresses of 127.0.0.0/8, which containers cannot have
        config.yaml:1:17: `0.0.0.0/0` has addresses of 0.0.0.0/8, which containers cannot have
        config.yaml:1:17: expected a prefix shorter than /29
        config.yaml:1:17: a pool of prefix /27 needs a `size` longer than that; it is 26 by default
        config.yaml:1:17: expected a whole number from 17 to 29
        config.yaml:1:17: expected a whole number from 17 to 29
        config.yaml:1:17: expected `true` or `false`, found a text
        config.yaml:1:14: expected `auto`, `overlay` or `copy`, found `automatic`
        config.yaml:1:14: expected a time with a unit, such as `14d` or `36h`, found a number
        config.yaml:1:14: expected a time with a unit, such as `14d` or `36h`, found a text
        ");
    }
}
