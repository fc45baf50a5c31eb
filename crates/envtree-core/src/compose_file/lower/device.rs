//! `devices`, `gpus`, and the devices that `deploy` reserves.

use super::section::{Section, scalar};
use super::unknown::Keys;
use crate::compose_file::node::{Node, Value};
use crate::service::{Device, DeviceRequest};

const DEVICE_KEYS: Keys = Keys { read: &["source", "target", "permissions"], ignored: &[], refused: &[] };
const REQUEST_KEYS: Keys =
    Keys { read: &["capabilities", "driver", "count", "device_ids", "options"], ignored: &[], refused: &[] };
const SHORT: &str = "`/path[:/path-in-the-container[:permissions]]`";

/// Returns the devices of the host that the service is given.
pub(super) fn lower_devices(service: &Section<'_>) -> Vec<Device> {
    let items = service.items("devices").iter().enumerate();
    items
        .filter_map(|(index, item)| {
            let name = format!("devices[{index}]");
            match &item.value {
                Value::Map(_) => long_device(service, &name, item),
                _ => service.parsed_node(&name, item, SHORT, parse_device),
            }
        })
        .collect()
}

fn parse_device(text: &str) -> Option<Device> {
    let device = |source: &str, target: &str, permissions: &str| {
        Some(Device { source: source.into(), target: target.into(), permissions: permissions.into() })
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [source] => device(source, source, "rwm"),
        // As in Compose, what is allowed counts as a path here; isolation tells them apart.
        [source, target] => device(source, target, "rwm"),
        [source, target, permissions] => device(source, target, permissions),
        _ => None,
    }
}

fn long_device(service: &Section<'_>, name: &str, item: &Node) -> Option<Device> {
    let section = service.within(name, item, &DEVICE_KEYS)?;
    let source = section.required_or_empty("source")?;
    let target = section.parsed("target", "a text", |text| Some(text.to_owned()));
    let target = target.unwrap_or_else(|| source.clone());
    let permissions = section.text("permissions").unwrap_or_default();
    Some(Device { source, target, permissions })
}

/// Returns the graphics processors that the service is given: `all`, or a list.
pub(super) fn lower_gpus(service: &Section<'_>) -> Vec<DeviceRequest> {
    match service.node("gpus").and_then(scalar) {
        Some(text) if text == "all" => {
            vec![DeviceRequest { count: Some(-1), ..DeviceRequest::default() }]
        }
        Some(_) => {
            let node = service.node("gpus").expect("it was read just now");
            service.unfit("gpus", node, "`all` or a list");
            Vec::new()
        }
        None => lower_requests(service, "gpus"),
    }
}

/// Returns the devices that a list of `section` asks for.
pub(super) fn lower_requests(section: &Section<'_>, key: &str) -> Vec<DeviceRequest> {
    section.sections(key, &REQUEST_KEYS).iter().map(request).collect()
}

fn request(section: &Section<'_>) -> DeviceRequest {
    let count = section.parsed("count", "a whole number, or `all`", |text| {
        if text.eq_ignore_ascii_case("all") { Some(-1) } else { text.parse().ok() }
    });
    let device_ids = section.texts("device_ids");
    if let (Some(node), false) = (section.node("count"), device_ids.is_empty()) {
        section.error(&node.place, format!("{} cannot stand beside `device_ids`", section.name("count")));
    }
    DeviceRequest {
        capabilities: section.texts("capabilities"),
        driver: section.text("driver"),
        // As Compose has it: without a word about it all are asked for.
        count: count
            .or_else(|| section.node("device_ids").is_none().then_some(-1))
            .filter(|count| *count != 0),
        device_ids,
        options: section.labels("options"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_form_of_a_device_is_read() {
        let read = |text: &str| {
            let device = parse_device(text)?;
            Some(format!("{} {} {}", device.source, device.target, device.permissions))
        };
        assert_eq!(read("/dev/null").unwrap(), "/dev/null /dev/null rwm");
        assert_eq!(read("/dev/null:/dev/x").unwrap(), "/dev/null /dev/x rwm");
        assert_eq!(read("/dev/null:/dev/x:r").unwrap(), "/dev/null /dev/x r");
        assert_eq!(read("/dev/null:rw").unwrap(), "/dev/null rw rwm");
        assert_eq!(read("vendor.com/gpu=one").unwrap(), "vendor.com/gpu=one vendor.com/gpu=one rwm");
        assert_eq!(read("a:b:c:d"), None);
        assert_eq!(read("").unwrap(), "  rwm");
    }
}
