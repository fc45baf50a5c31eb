//! `ports` and `expose`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use indexmap::{IndexMap, IndexSet};

use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::service::{Port, Protocol};

const KEYS: Keys = Keys {
    read: &["target", "published", "host_ip", "protocol", "app_protocol", "mode", "name"],
    ignored: &[],
    refused: &[],
};

const SHORT: &str = "`[[address:]published:]target[/protocol]`";

/// Returns the published ports, ranges spread out.
///
/// Each is there once. Compose writes one down twice whose `published` is a number here and a text there, and publishes it
/// once all the same.
pub(super) fn lower_ports(service: &Section<'_>) -> Vec<Port> {
    let mut ports: IndexMap<String, Port> = IndexMap::new();
    for (index, item) in service.items("ports").iter().enumerate() {
        let name = format!("ports[{index}]");
        let found = match (&item.value, scalar(item)) {
            (Value::Map(_), _) => long_port(service, &name, item).into_iter().collect(),
            (_, Some(text)) => parse_short(&text).unwrap_or_else(|| {
                service.unfit(&name, item, SHORT);
                Vec::new()
            }),
            _ => {
                service.unfit(&name, item, SHORT);
                Vec::new()
            }
        };
        ports.extend(found.into_iter().map(|port| (identity(&port), port)));
    }
    ports.into_values().collect()
}

/// Returns what a port has in common with a later one that stands in its place.
fn identity(port: &Port) -> String {
    let address = port.host_ip.as_deref().unwrap_or("0.0.0.0");
    let Port { target, published, published_last, protocol, writes_zero, .. } = port;
    format!("{address} {published:?} {published_last:?} {writes_zero} {target} {}", protocol.as_str())
}

/// Returns the ports that `[[address:]published:]target[/protocol]` publishes, ranges spread out.
pub fn parse_short(text: &str) -> Option<Vec<Port>> {
    let (text, protocol) = split_protocol(text)?;
    let (host_ip, text) = split_address(text)?;
    let (published, target) = match text.rsplit_once(':') {
        Some((published, target)) => (published, target),
        None => ("", text),
    };
    let targets = parse_range(target).filter(|range| *range.start() > 0)?;
    let published = match published {
        "" => None,
        range => Some(parse_range(range)?),
    };
    let single = targets.len() == 1;
    if published.as_ref().is_some_and(|range| !single && range.len() != targets.len()) {
        return None;
    }
    let first = *targets.start();
    let start = published.as_ref().map_or(0, |range| *range.start());
    let ports = targets.map(|target| Port {
        target,
        published: published.as_ref().map(|range| range.start() + (target - first)).filter(|port| *port != 0),
        // A range for one port leaves the choice to the Engine.
        published_last: published.as_ref().map(|range| *range.end()).filter(|end| single && *end > start),
        host_ip: host_ip.clone(),
        protocol,
        app_protocol: None,
        name: None,
        mode: None,
        writes_zero: published.as_ref().is_some_and(|range| *range.end() == 0),
    });
    Some(ports.collect())
}

fn split_protocol(text: &str) -> Option<(&str, Protocol)> {
    match text.split_once('/') {
        // As in Compose, a slash with nothing behind it says nothing, and neither does what stands behind another one.
        Some((ports, rest)) => match rest.split('/').next() {
            None | Some("") => Some((ports, Protocol::Tcp)),
            Some(protocol) => Some((ports, parse_protocol(protocol)?)),
        },
        None => Some((text, Protocol::Tcp)),
    }
}

fn parse_protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
}

/// Splits the host's address off; an IPv6 address stands in brackets, or before two further colons. An empty one is
/// none.
fn split_address(text: &str) -> Option<(Option<String>, &str)> {
    let Some((before, _)) = text.rsplit_once(':') else {
        return Some((None, text));
    };
    let Some((address, _)) = before.rsplit_once(':') else {
        return Some((None, text));
    };
    let rest = &text[address.len() + 1..];
    match address {
        "" => Some((None, rest)),
        address => Some((Some(parse_address(address)?), rest)),
    }
}

fn parse_address(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|_| bare.to_owned())
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?;
    (!range.is_empty()).then_some(range)
}

fn long_port(service: &Section<'_>, name: &str, item: &Node) -> Option<Port> {
    let section = service.within(name, item, &KEYS)?;
    if section.node("target").is_none() {
        section.error(section.place, format!("{} is missing: the container's port", section.name("target")));
    }
    let port = "a port from 1 to 65535";
    let published = section.parsed_text("published", "a port or a range of ports", parse_range);
    let writes_zero = published.as_ref().is_some_and(|range| *range.end() == 0);
    Some(Port {
        target: section.parsed("target", port, |text| text.parse::<u16>().ok().filter(|port| *port > 0))?,
        published: published.as_ref().map(|range| *range.start()).filter(|port| *port != 0),
        published_last: published.filter(|range| range.len() > 1).map(|range| *range.end()),
        host_ip: section.parsed_text("host_ip", "an IP address", parse_address),
        protocol: section
            .parsed_text("protocol", "`tcp`, `udp` or `sctp`", parse_protocol)
            .unwrap_or_default(),
        app_protocol: section.text("app_protocol"),
        name: section.text("name"),
        mode: lower_mode(&section).filter(|mode| mode != "ingress"),
        writes_zero,
    })
}

/// Returns how a swarm would publish the port.
fn lower_mode(section: &Section<'_>) -> Option<String> {
    let mode = section.text("mode")?;
    if let (Some(node), false) = (section.node("mode"), ["ingress", "host"].contains(&mode.as_str())) {
        let name = section.name("mode");
        section.warn(&node.place, format!("{name} is neither `ingress` nor `host`, and has no effect"));
    }
    Some(mode)
}

/// Returns the exposed ports as they are written, checked.
pub(super) fn lower_expose(service: &Section<'_>) -> Vec<String> {
    let expected = "a list of `port[-port][/protocol]`";
    let mut exposed = IndexSet::new();
    for item in service.filled_items("expose") {
        let port = service.parsed_node("expose", item, expected, |text| {
            let (ports, _) = split_protocol(text)?;
            parse_range(ports).map(|_| text.to_owned())
        });
        exposed.extend(port);
    }
    exposed.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> Option<Vec<String>> {
        let shown = |port: &Port| {
            let address = port.host_ip.clone().unwrap_or("*".into());
            let published = port.published.map_or("?".into(), |port| port.to_string());
            format!("{address} {published} {} {}", port.target, port.protocol.as_str())
        };
        Some(parse_short(text)?.iter().map(shown).collect())
    }

    #[test]
    fn every_short_form_is_read() {
        for (text, expected) in [
            ("80", "* ? 80 tcp"),
            ("8080:80", "* 8080 80 tcp"),
            ("0:80", "* ? 80 tcp"),
            (":80", "* ? 80 tcp"),
            ("53:53/UDP", "* 53 53 udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080 80 tcp"),
            ("127.0.0.1::80", "127.0.0.1 ? 80 tcp"),
            ("[::1]:8080:80/sctp", "::1 8080 80 sctp"),
            ("::1:8080:80", "::1 8080 80 tcp"),
            ("8000-8010:80", "* 8000 80 tcp"),
            ("8080:80/", "* 8080 80 tcp"),
            ("53:53/udp/x", "* 53 53 udp"),
        ] {
            assert_eq!(short(text).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn ranges_are_spread_out() {
        assert_eq!(
            short("127.0.0.1:3000-3001:4000-4001").unwrap(),
            ["127.0.0.1 3000 4000 tcp", "127.0.0.1 3001 4001 tcp"]
        );
        assert_eq!(short("4000-4001").unwrap(), ["* ? 4000 tcp", "* ? 4001 tcp"]);
    }

    #[test]
    fn what_is_no_port_is_nothing() {
        for text in ["", "web", "0", "70000", "80/icmp", "1-2:3-5", "5-3", "host:80:80", "80:"] {
            assert_eq!(short(text), None, "{text}");
        }
    }
}
