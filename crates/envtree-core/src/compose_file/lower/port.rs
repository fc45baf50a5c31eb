//! `ports` and `expose`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use indexmap::{IndexMap, IndexSet};

use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::service::{AsWritten, Port, Protocol};

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
    let Port { target, published, published_last, protocol, writes_zero, as_written, .. } = port;
    format!(
        "{address} {published:?} {published_last:?} {writes_zero} {target} {as_written:?} {}",
        protocol.as_str()
    )
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
        as_written: AsWritten::default(),
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
    let published = published_or_shown(&section);
    let writes_zero = published.as_ref().is_some_and(|range| *range.end() == 0);
    let host_ip = section.parsed_or_shown("host_ip", "an IP address", parse_address);
    let protocol = section.parsed_or_shown("protocol", "`tcp`, `udp` or `sctp`", parse_protocol);
    for (key, value) in [("host_ip", host_ip.as_deref()), ("protocol", protocol.map(Protocol::as_str))] {
        if let (Some(value), Some(text)) = (value, section.text(key)) {
            section.show_written(key, text, value);
        }
    }
    Some(Port {
        target: target_or_shown(&section)?,
        published: published.as_ref().map(|range| *range.start()).filter(|port| *port != 0),
        published_last: published.filter(|range| range.len() > 1).map(|range| *range.end()),
        host_ip,
        protocol: protocol.unwrap_or_default(),
        app_protocol: section.text("app_protocol"),
        name: section.text("name"),
        mode: lower_mode(&section).filter(|mode| mode != "ingress"),
        writes_zero,
        as_written: section.shown(),
    })
}

fn published_or_shown(section: &Section<'_>) -> Option<RangeInclusive<u16>> {
    let expected = "a port or a range of ports";
    let node = section.filled("published")?;
    let published = scalar(node).and_then(|text| parse_range(&text));
    match (&published, scalar(node)) {
        (None, Some(text)) => section.refuse_shown("published", node, expected, text),
        (None, None) => section.unfit("published", node, expected),
        (Some(range), Some(text)) => section.show_written("published", text, &shown_range(range)),
        _ => {}
    }
    published
}

/// Returns how a range is shown; one that leaves the choice by its beginning is not.
fn shown_range(range: &RangeInclusive<u16>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (0, _) => String::new(),
        (first, last) => format!("{first}-{last}"),
    }
}

/// Returns the container's port. As in Compose, what is shown of a number that is too large are its last 32 bits.
fn target_or_shown(section: &Section<'_>) -> Option<u16> {
    let number = section.integer("target")?;
    if let Some(port) = u16::try_from(number).ok().filter(|port| *port > 0) {
        return Some(port);
    }
    let (node, expected) = (section.node("target")?, "a port from 1 to 65535");
    let Ok(number) = u64::try_from(number) else {
        section.unfit("target", node, expected);
        return None;
    };
    let shown = Some(number & u64::from(u32::MAX)).filter(|number| *number > 0);
    section.refuse_shown("target", node, expected, shown);
    Some(0)
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

/// Returns the exposed ports as they are written; a text that is none is refused, and shown all the same.
pub(super) fn lower_expose(service: &Section<'_>) -> Vec<String> {
    let expected = "a list of `port[-port][/protocol]`";
    let mut exposed = IndexSet::new();
    for item in service.items("expose") {
        let is_port = |text: &str| split_protocol(text).and_then(|(ports, _)| parse_range(ports)).is_some();
        match &item.value {
            // Such as `${A}` leaves, which isolation drops.
            Value::Text(text) if text.is_empty() => drop(exposed.insert(String::new())),
            Value::Text(text) | Value::Number(text) if !is_port(text) => {
                service.refuse_unfit("expose", item, expected);
                exposed.insert(text.clone());
            }
            _ => exposed.extend(
                service.parsed_node("expose", item, expected, |text| is_port(text).then(|| text.to_owned())),
            ),
        }
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
