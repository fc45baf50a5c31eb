//! Asks servers that run whether they answer, where no health check tells.

use std::net::SocketAddr;
use std::time::Duration;

use envtree_core::known_image::KnownImage;
use envtree_core::observed::ContainerState;
use envtree_core::service::{Port, Protocol, Service};
use envtree_docker::container::ContainerDetail;
use envtree_docker::exec::ExecStatus;

use super::idle::is_idle;
use super::{CHECK_TIMEOUT, Readiness, age, container_of, steady};
use crate::ready::{self, Probe};

/// How old a container is whose server listens if it ever will.
const SETTLED: Duration = Duration::from_secs(10);

impl Readiness<'_> {
    /// Asks a running service without a health check whether it answers.
    pub(super) async fn probe(&self, service: &Service, detail: &ContainerDetail) -> Probe {
        let known = KnownImage::run_by(service);
        if self.docker.is_remote().await.unwrap_or(false) {
            return self.probe_remotely(service, detail, known).await;
        }
        let Some((address, port)) = self.address(service, detail, known).await else {
            return steady(detail);
        };
        match known {
            Some(KnownImage::Postgres) => {
                let credentials = KnownImage::Postgres.credentials(&service.settings(), &[]);
                let user = credentials.user.unwrap_or_default();
                let database = credentials.database.unwrap_or_else(|| user.clone());
                ready::postgres::probe(address, &user, &database).await
            }
            Some(KnownImage::Redis) => ready::redis::probe(address).await,
            Some(known) if port.is_none_or(|port| port.target == known.port()) => match opening(known) {
                Some(opening) => ready::greeting::probe(address, opening).await,
                None => ready::tcp::probe(address, self.watching(detail)).await,
            },
            // Another port of the image, such as that of its administration, speaks another protocol.
            _ => self.probe_unknown(service, detail).await,
        }
    }

    /// Asks a server of a protocol that envtree does not know at its published ports.
    async fn probe_unknown(&self, service: &Service, detail: &ContainerDetail) -> Probe {
        if is_idle(&detail.process) {
            return steady(detail);
        }
        let mut first = None;
        for port in published(service, detail) {
            let Some(address) = address_of(port) else { continue };
            let probe = match port.app_protocol.as_deref() {
                Some("http") => ready::http::probe(address, "/").await,
                _ => ready::tcp::probe(address, self.watching(detail)).await,
            };
            if probe == Probe::Ready || age(detail).is_none_or(|age| age < SETTLED) {
                return probe;
            }
            first.get_or_insert(probe);
        }
        first.unwrap_or_else(|| steady(detail))
    }

    /// Returns how long an open connection is watched. A server that had run for long when the wait began is not still
    /// being proxied to nobody; one that takes long to start is.
    fn watching(&self, detail: &ContainerDetail) -> Duration {
        let before = age(detail).and_then(|age| age.checked_sub(self.began.elapsed()));
        if before.is_some_and(|age| age >= SETTLED) { ready::tcp::WATCH / 10 } else { ready::tcp::WATCH }
    }

    /// Asks a service on another machine, whose loopback cannot be reached from here, by a command of its image.
    ///
    /// Where the image has none, a service is ready when it has run for [`STEADY`](super::STEADY).
    async fn probe_remotely(
        &self,
        service: &Service,
        detail: &ContainerDetail,
        known: Option<KnownImage>,
    ) -> Probe {
        let Some(command) = known.and_then(KnownImage::check) else {
            return steady(detail);
        };
        match self.docker.exec_status(container_of(service), &command, CHECK_TIMEOUT).await {
            Ok(ExecStatus { code: 0, .. }) => Probe::Ready,
            Ok(ExecStatus { output, .. }) => Probe::NotYet(output.trim().to_owned()),
            Err(error) => Probe::NotYet(format!("`{}` could not be run: {error}", command[0])),
        }
    }

    /// Returns where to ask: the published port, else the container's own address where the host reaches it.
    pub(super) async fn address<'s>(
        &self,
        service: &'s Service,
        detail: &'s ContainerDetail,
        known: Option<KnownImage>,
    ) -> Option<(SocketAddr, Option<&'s Port>)> {
        let main = known.map(KnownImage::port);
        let mut tcp = published(service, detail);
        let port = tcp.clone().find(|port| Some(port.target) == main).or_else(|| tcp.next());
        if let Some(port) = port {
            return Some((address_of(port)?, Some(port)));
        }
        let is_local = self.docker.facts().await.is_ok_and(|facts| facts.is_local);
        let address = detail.addresses.values().next().filter(|_| is_local)?;
        Some((SocketAddr::new(*address, main?), None))
    }

    /// Returns the port at which a running service is waited for, if nothing else tells that it is ready.
    pub(super) async fn silent_port(&self, service: &Service) -> Option<u16> {
        let detail = self.docker.inspect_container(container_of(service)).await.ok()?;
        let is_asked = detail.state == ContainerState::Running
            && detail.health_test.is_none()
            && KnownImage::run_by(service).is_none();
        let mut ports = published(service, &detail).filter(|_| is_asked);
        ports.next().map(|port| port.target)
    }
}

/// Returns the TCP ports that the Engine publishes; on internal networks it does not publish all that a file does.
fn published<'s>(
    service: &'s Service,
    detail: &'s ContainerDetail,
) -> impl Iterator<Item = &'s Port> + Clone {
    let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    tcp.filter(|port| detail.ports.contains_key(&format!("{}/tcp", port.target)))
}

/// Returns where the host reaches a published port.
fn address_of(port: &Port) -> Option<SocketAddr> {
    let host = envtree_core::variables::reachable_host(port);
    Some(SocketAddr::new(host.trim_matches(['[', ']']).parse().ok()?, port.published?))
}

/// Returns what makes a server of the image speak, if anything does; nothing at all where it speaks first.
fn opening(known: KnownImage) -> Option<&'static [u8]> {
    match known {
        KnownImage::MySql | KnownImage::MariaDb | KnownImage::Nats => Some(b""),
        // The protocol header of AMQP 0-9-1.
        KnownImage::RabbitMq => Some(b"AMQP\0\0\x09\x01"),
        _ => None,
    }
}
