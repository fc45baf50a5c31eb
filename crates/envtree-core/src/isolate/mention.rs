//! Moves the addresses that services mention outside their networks: those of other services, by which they reach them.
//!
//! What an entry of `dns` or `extra_hosts` holds is an address, and moves as those of services do. A command or a
//! variable is any text, in which only the addresses move that the file gives to services. What lies in a replaced
//! subnet and stays is said.

use std::net::IpAddr;

use super::address::AddressMap;
use crate::name::ServiceName;
use crate::service::{HealthTest, Service};

/// Moves what `services` mention of the networks of `maps`.
pub(super) fn move_mentions<'a>(
    services: impl Iterator<Item = (&'a ServiceName, &'a mut Service)>,
    maps: &[AddressMap<'_>],
    warnings: &mut Vec<String>,
) {
    for (name, service) in services {
        let mut mentions = Mentions { maps, kept: Vec::new() };
        mentions.move_in(service);
        for (key, mentioned, network) in mentions.kept {
            warnings.push(format!(
                "service `{name}`: `{key}` still mentions {mentioned} of network `{network}`, whose subnet is replaced"
            ));
        }
    }
}

/// What one service mentions.
struct Mentions<'a> {
    maps: &'a [AddressMap<'a>],
    /// What stays: its key, itself and its network.
    kept: Vec<(String, String, String)>,
}

impl Mentions<'_> {
    fn move_in(&mut self, service: &mut Service) {
        for server in &mut service.runtime.dns {
            self.move_entry("dns", server);
        }
        for line in &mut service.runtime.extra_hosts {
            let Some((host, address)) = line.split_once(':') else { continue };
            let (host, mut address) = (host.to_owned(), address.to_owned());
            self.move_entry("extra_hosts", &mut address);
            *line = format!("{host}:{address}");
        }
        for (variable, value) in &mut service.environment {
            self.move_text(&format!("environment.{variable}"), value);
        }
        for (key, line) in [("command", &mut service.command), ("entrypoint", &mut service.entrypoint)] {
            self.move_words(key, line.as_deref_mut().unwrap_or_default());
        }
        match service.health_check.as_mut().and_then(|check| check.test.as_mut()) {
            Some(HealthTest::Cmd(words) | HealthTest::Other(words)) => {
                self.move_words("healthcheck.test", words);
            }
            Some(HealthTest::Shell(line)) => self.move_text("healthcheck.test", line),
            Some(HealthTest::None) | None => {}
        }
        for (key, hooks) in [("post_start", &mut service.post_start), ("pre_stop", &mut service.pre_stop)] {
            for hook in hooks {
                self.move_words(key, &mut hook.command);
                for value in hook.environment.values_mut() {
                    self.move_text(key, value);
                }
            }
        }
    }

    /// Moves what is an address as a whole.
    fn move_entry(&mut self, key: &str, entry: &mut String) {
        let Ok(address) = entry.parse::<IpAddr>() else { return };
        let moved = self.maps.iter().find_map(|map| map.place_of(address));
        match moved {
            Some(moved) => *entry = moved.to_string(),
            None => self.keep(key, address, entry),
        }
    }

    fn move_words(&mut self, key: &str, words: &mut [String]) {
        for word in words {
            self.move_text(key, word);
        }
    }

    fn move_text(&mut self, key: &str, text: &mut String) {
        let mut moved = String::new();
        let mut done = 0;
        for mention in mentions(text) {
            let to = self.maps.iter().find_map(|map| map.given(mention.address));
            match to.filter(|_| !mention.is_subnet) {
                Some(to) => {
                    moved.push_str(&text[done..mention.start]);
                    moved.push_str(&to.to_string());
                    done = mention.end;
                }
                None => self.keep(key, mention.address, &text[mention.start..mention.end]),
            }
        }
        if done > 0 {
            moved.push_str(&text[done..]);
            *text = moved;
        }
    }

    fn keep(&mut self, key: &str, address: IpAddr, mentioned: &str) {
        let Some(map) = self.maps.iter().find(|map| map.replaces(address)) else { return };
        let kept = (key.to_owned(), mentioned.to_owned(), map.key.to_string());
        if !self.kept.contains(&kept) {
            self.kept.push(kept);
        }
    }
}

/// An address in a text, from byte to byte.
#[derive(Debug, PartialEq, Eq)]
struct Mention {
    start: usize,
    end: usize,
    address: IpAddr,
    /// Whether a prefix length follows, which lies before `end` then.
    is_subnet: bool,
}

/// Returns the addresses in `text`, none of them a part of a longer word of their characters.
fn mentions(text: &str) -> Vec<Mention> {
    let is_v6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let mut found = Vec::new();
    for (start, run) in runs(text, is_v6) {
        let address = run.parse::<IpAddr>().ok().filter(|address| match address {
            // An IPv4 address in the writing of IPv6 is found as what it is.
            IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
            IpAddr::V4(_) => false,
        });
        if let Some(address) = address {
            found.extend(mention(text, start, run, address));
            continue;
        }
        for (offset, run) in runs(run, |c| c.is_ascii_digit() || c == '.') {
            let run = run.trim_end_matches('.');
            let address = run.parse().ok().map(IpAddr::V4);
            found.extend(address.and_then(|address| mention(text, start + offset, run, address)));
        }
    }
    found
}

/// Returns the longest parts of `text` all of whose characters are `fit`, and where they begin.
fn runs(text: &str, fit: impl Fn(char) -> bool) -> Vec<(usize, &str)> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&fit) {
        let run = &rest[start..];
        let run = &run[..run.find(|c| !fit(c)).unwrap_or(run.len())];
        runs.push((text.len() - rest.len() + start, run));
        rest = &rest[start + run.len()..];
    }
    runs
}

/// Returns the mention that `written` at `start` is, unless it goes on as the name of a host.
fn mention(text: &str, start: usize, written: &str, address: IpAddr) -> Option<Mention> {
    let (before, after) = (&text[..start], &text[start + written.len()..]);
    let is_word = |c: char| c.is_alphanumeric();
    let goes_on = after.trim_start_matches('.').starts_with(is_word);
    if goes_on || (address.is_ipv6() && before.ends_with(is_word)) {
        return None;
    }
    // The path of a URL may begin with a number, too.
    let is_host = before.ends_with("//") || before.ends_with('@');
    let prefix = if is_host { 0 } else { prefix_length(after) };
    Some(Mention { start, end: start + written.len() + prefix, address, is_subnet: prefix > 0 })
}

/// Returns how many bytes a prefix length in front of `text` has, its slash among them; none if there is no such.
fn prefix_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix('/') else { return 0 };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let ends = !rest[digits..].starts_with(|c: char| c.is_alphanumeric() || c == '/');
    if ends && (1..=3).contains(&digits) { digits + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::name::NetworkName;
    use crate::project::{IpamPool, Network};
    use crate::service::Attachment;

    /// Returns a service beside one that has `172.30.7.5` and `fd00:7::5`, and what is said about it.
    fn moved(service: Service) -> (Service, Vec<String>) {
        let key = NetworkName::new("back").unwrap();
        let pool = |subnet: &str| IpamPool { subnet: Some(subnet.into()), ..IpamPool::default() };
        let ipam = vec![pool("172.30.7.0/24"), pool("fd00:7::/64")];
        let network = Network { ipam, enable_ipv6: true, ..Network::default() };
        let joins = Attachment {
            ipv4_address: Some("172.30.7.5".into()),
            ipv6_address: Some("fd00:7::5".into()),
            ..Attachment::default()
        };
        let db = Service { networks: IndexMap::from([(key.clone(), joins)]), ..Service::default() };
        let name = |name: &str| ServiceName::new(name).unwrap();
        let mut services = IndexMap::from([(name("db"), db), (name("web"), service)]);
        let mut warnings = Vec::new();
        let mut map = AddressMap::new(&key, &network, "10.214.0.64/26".parse().unwrap(), "shop_back");
        map.move_addresses(&mut services, &mut warnings);
        assert!(warnings.is_empty(), "{warnings:?}");
        move_mentions(services.iter_mut(), &[map], &mut warnings);
        (services.swap_remove("web").unwrap(), warnings)
    }

    fn moved_text(text: &str) -> (String, Vec<String>) {
        let (service, warnings) =
            moved(Service { command: Some(vec![text.to_owned()]), ..Service::default() });
        (service.command.unwrap().remove(0), warnings)
    }

    #[test]
    fn entries_that_are_addresses_move_with_their_subnet() {
        let mut web = Service::default();
        web.runtime.dns = vec!["172.30.7.5".into(), "172.30.7.9".into(), "1.1.1.1".into()];
        web.runtime.extra_hosts =
            ["db:172.30.7.5", "db6:fd00:7::5", "far:172.30.7.200", "gate:host-gateway", "other:10.0.0.1"]
                .map(str::to_owned)
                .to_vec();
        let (web, warnings) = moved(web);
        assert_eq!(web.runtime.dns, ["10.214.0.69", "10.214.0.73", "1.1.1.1"]);
        let hosts = &web.runtime.extra_hosts;
        assert_eq!(hosts[0], "db:10.214.0.69");
        assert!(hosts[1].starts_with("db6:fd") && hosts[1].ends_with("::5"), "{hosts:?}");
        assert_ne!(hosts[1], "db6:fd00:7::5");
        assert_eq!(hosts[2..], ["far:172.30.7.200", "gate:host-gateway", "other:10.0.0.1"]);
        assert_eq!(
            warnings,
            [
                "service `web`: `extra_hosts` still mentions 172.30.7.200 of network `back`, whose subnet is replaced"
            ]
        );
    }

    #[test]
    fn every_text_that_runs_is_looked_through() {
        let line = || vec!["x".to_owned(), "172.30.7.5".to_owned()];
        let web = Service {
            command: Some(line()),
            entrypoint: Some(line()),
            environment: IndexMap::from([("DB".into(), "172.30.7.5".into())]),
            health_check: Some(crate::service::HealthCheck {
                test: Some(HealthTest::Shell("nc 172.30.7.5 80".into())),
                ..crate::service::HealthCheck::default()
            }),
            post_start: vec![crate::service::Hook { command: line(), ..crate::service::Hook::default() }],
            ..Service::default()
        };
        let (web, warnings) = moved(web);
        let line = ["x", "10.214.0.69"];
        assert_eq!(web.command.unwrap(), line);
        assert_eq!(web.entrypoint.unwrap(), line);
        assert_eq!(web.environment["DB"], "10.214.0.69");
        assert_eq!(web.health_check.unwrap().test, Some(HealthTest::Shell("nc 10.214.0.69 80".into())));
        assert_eq!(web.post_start[0].command, line);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn addresses_of_services_move_wherever_a_text_has_them() {
        for (text, expected) in [
            ("172.30.7.5", "10.214.0.69"),
            ("tcp://172.30.7.5:5432/a", "tcp://10.214.0.69:5432/a"),
            ("redis://172.30.7.5/0", "redis://10.214.0.69/0"),
            ("postgres://u:p@172.30.7.5/1", "postgres://u:p@10.214.0.69/1"),
            ("-h172.30.7.5 db:172.30.7.5, 172.30.7.5.", "-h10.214.0.69 db:10.214.0.69, 10.214.0.69."),
            ("::ffff:172.30.7.5", "::ffff:10.214.0.69"),
            ("é172.30.7.5é", "é172.30.7.5é"),
            (
                "172.30.7.53 1172.30.7.5 1.172.30.7.5 172.30.7.5.1",
                "172.30.7.53 1172.30.7.5 1.172.30.7.5 172.30.7.5.1",
            ),
            ("172.30.7.5.nip.io a.172.30.7.5", "172.30.7.5.nip.io a.172.30.7.5"),
            ("afd00:7::5 fd00:7::5:1", "afd00:7::5 fd00:7::5:1"),
        ] {
            assert_eq!(moved_text(text).0, expected);
        }
        let (v6, warnings) = moved_text("http://[fd00:7::5]:80");
        assert!(v6.starts_with("http://[fd") && v6.ends_with("::5]:80") && !v6.contains("fd00:7"), "{v6}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_a_text_keeps_of_a_replaced_subnet_is_said_once() {
        let text = "172.30.7.0/24 172.30.7.5/32 172.30.7.9 172.30.7.9 172.30.8.1 10.0.0.0/8 fd00:7::9";
        let (kept, warnings) = moved_text(text);
        assert_eq!(kept, text);
        insta::assert_snapshot!(warnings.join("\n"), @"
        service `web`: `command` still mentions 172.30.7.0/24 of network `back`, whose subnet is replaced
        service `web`: `command` still mentions 172.30.7.5/32 of network `back`, whose subnet is replaced
        service `web`: `command` still mentions 172.30.7.9 of network `back`, whose subnet is replaced
        service `web`: `command` still mentions fd00:7::9 of network `back`, whose subnet is replaced
        ");
    }
}
