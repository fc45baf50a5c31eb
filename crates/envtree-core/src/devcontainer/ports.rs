//! Turns `forwardPorts`, `appPort` and published ports into ports for which the environment reserves the host's.
//!
//! No port of the host is fixed: another environment may have it. A number that is written is the container's.

use indexmap::IndexMap;

use super::property::{ForwardedPort, Placed};
use crate::compose_file::node::Diagnostic;
use crate::name::ServiceName;
use crate::nearest::nearest;
use crate::service::{Port, Protocol};

/// The ports that an environment's services publish beside those of the Compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardedPorts {
    /// Ports by the service that listens on them: the dev container's own, or another one's.
    pub services: IndexMap<ServiceName, Vec<Port>>,
}

/// Returns the ports that are forwarded and published; `known` are the services of the environment, with what each of
/// them publishes already, and `own` is the dev container's.
///
/// A port that is there already is not there again. The name of a service that does not exist is an error.
pub fn forwarded_ports(
    forward_ports: &[Placed<ForwardedPort>],
    app_port: &[Placed<Port>],
    own: &ServiceName,
    known: &IndexMap<ServiceName, Vec<Port>>,
) -> Result<ForwardedPorts, Vec<Diagnostic>> {
    let mut ports = ForwardedPorts::default();
    let mut faults = Vec::new();
    for port in app_port {
        let unfixed =
            Port { published: None, published_last: None, writes_zero: false, ..port.value.clone() };
        ports.add(own, unfixed, known);
    }
    for port in forward_ports {
        match &port.value {
            ForwardedPort::Own(number) => ports.add(own, Port::new(*number), known),
            ForwardedPort::Of { host, port: number } => match known.get_key_value(host.as_str()) {
                Some((service, _)) => ports.add(service, Port::new(*number), known),
                None if *host == own.as_str() => ports.add(own, Port::new(*number), known),
                None => faults.push(Diagnostic { place: port.place.clone(), message: unknown(host, known) }),
            },
        }
    }
    if faults.is_empty() { Ok(ports) } else { Err(faults) }
}

impl ForwardedPorts {
    fn add(&mut self, service: &ServiceName, port: Port, known: &IndexMap<ServiceName, Vec<Port>>) {
        let is_same = |other: &Port| (other.target, other.protocol) == (port.target, port.protocol);
        if known.get(service).is_some_and(|published| published.iter().any(is_same)) {
            return;
        }
        let ports = self.services.entry(service.clone()).or_default();
        if !ports.iter().any(is_same) {
            ports.push(port);
        }
    }

    /// Returns the ports of the TCP services on which tools forward by themselves.
    pub fn of(&self, service: &str) -> impl Iterator<Item = u16> {
        let ports = self.services.get(service).into_iter().flatten();
        ports.filter(|port| port.protocol == Protocol::Tcp).map(|port| port.target)
    }
}

fn unknown(host: &str, known: &IndexMap<ServiceName, Vec<Port>>) -> String {
    let near = nearest(host, known.keys().map(ServiceName::as_str));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("`forwardPorts`: the environment has no service `{host}`{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose_file::node::Place;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn found(text: &str) -> Result<Vec<(String, Vec<Port>)>, String> {
        let (root, _) = crate::devcontainer::parse::parse_text("devcontainer.json", text).unwrap();
        let read = crate::devcontainer::parse::read_dev_container(&root).unwrap().dev_container;
        let known = IndexMap::from([
            (name("dev"), vec![Port { published: Some(9229), ..Port::new(9229) }]),
            (name("db"), Vec::new()),
        ]);
        let found = forwarded_ports(&read.properties.forward_ports, &read.app_port, &name("dev"), &known);
        match found {
            Ok(found) => {
                Ok(found.services.into_iter().map(|(name, ports)| (name.to_string(), ports)).collect())
            }
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn ports_of_the_container_and_of_services_are_reserved() {
        let found = found(
            r#"{"image": "x", "forwardPorts": [3000, "db:5432", "dev:8080", "localhost:3000"],
                "appPort": [3000, "8000:8010", "0.0.0.0:53:53/udp"]}"#,
        );
        let udp = Port { host_ip: Some("0.0.0.0".into()), protocol: Protocol::Udp, ..Port::new(53) };
        let own = vec![Port::new(3000), Port::new(8010), udp, Port::new(8080)];
        assert_eq!(found, Ok(vec![("dev".to_owned(), own), ("db".to_owned(), vec![Port::new(5432)])]));
    }

    #[test]
    fn what_is_published_already_is_not_published_again() {
        assert_eq!(found(r#"{"image": "x", "forwardPorts": [9229], "appPort": 9229}"#), Ok(Vec::new()));
    }

    #[test]
    fn a_service_that_is_not_there_is_told_with_its_place() {
        assert_eq!(
            found(r#"{"image": "x", "forwardPorts": ["dbb:5432", "example.org:80"]}"#),
            Err("devcontainer.json:1:33: `forwardPorts`: the environment has no service `dbb`; did you mean `db`?\n\
                 devcontainer.json:1:45: `forwardPorts`: the environment has no service `example.org`"
                .to_owned())
        );
    }

    #[test]
    fn only_streams_are_forwarded_by_tools() {
        let placed = |value| Placed { value, place: Place::of_whole("d") };
        let udp = Port { protocol: Protocol::Udp, ..Port::new(53) };
        let ports = [placed(Port::new(80)), placed(udp)];
        let found = forwarded_ports(&[], &ports, &name("dev"), &IndexMap::new()).unwrap();
        assert_eq!(found.of("dev").collect::<Vec<_>>(), [80]);
    }
}
