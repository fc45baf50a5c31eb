//! The containers of a service, each of which is watched by itself.

use std::borrow::Cow;

use envtree_core::service::Service;
use tokio::sync::OnceCell;

use super::NotReady;

/// One container of a service.
pub(super) struct Watched<'a> {
    /// What people call it: the service, or the service and a number where it has several containers.
    pub(super) name: String,
    pub(super) definition: Cow<'a, Service>,
    /// It is watched once, however many wait for it.
    pub(super) ready: OnceCell<Result<(), NotReady>>,
    /// Whether its dependents were told that nothing says whether it is healthy.
    pub(super) told: OnceCell<()>,
}

impl<'a> Watched<'a> {
    /// Returns the containers of a service of an isolated project.
    pub(super) fn of(name: &str, service: &'a Service) -> impl Iterator<Item = Self> {
        let several = service.replicas() > 1;
        service.containers().map(move |(number, definition)| Self {
            name: spoken_name(name, number, several),
            definition,
            ready: OnceCell::new(),
            told: OnceCell::new(),
        })
    }

    /// Returns its name on the Engine.
    pub(super) fn container(&self) -> &str {
        self.definition.container_name.as_deref().unwrap_or_default()
    }
}

/// Returns what people call a container: its service, with its number as Compose writes it where there are `several`.
pub(crate) fn spoken_name(service: &str, number: u32, several: bool) -> String {
    if several { format!("{service}-{number}") } else { service.to_owned() }
}
