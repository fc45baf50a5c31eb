//! What the files want and no plan leads to, with its place.

use envtree_core::compose_file::node::Place;
use envtree_core::reconcile::ReconcileError;

use super::Error;
use crate::load::Wanted;

/// No plan leads to what the files want.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{error}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct Unreachable {
    /// Where the files want it, as far as that is known.
    pub place: Option<Place>,
    /// Why no plan leads there.
    pub error: ReconcileError,
}

impl Unreachable {
    /// Returns the error in the words of the files: with its place, and an address as it is written there.
    pub(crate) fn of(mut error: ReconcileError, wanted: &Wanted) -> Self {
        if let ReconcileError::AddressShared { service, network, address, .. } = &mut error
            && let Some(joins) = wanted.project.services.get(service).and_then(|it| it.networks.get(network))
        {
            let is_v6 = address.contains(':');
            let written = if is_v6 { &joins.ipv6_address } else { &joins.ipv4_address };
            if let Some(written) = written {
                address.clone_from(written);
            }
        }
        Self { place: place_of(&error, wanted).cloned(), error }
    }
}

fn place_of<'a>(error: &ReconcileError, wanted: &'a Wanted) -> Option<&'a Place> {
    let places = &wanted.places;
    match error {
        ReconcileError::ImageMissing { service, .. } => places.key(service, "image"),
        ReconcileError::ImageNotBuilt { service, .. } => places.key(service, "build"),
        ReconcileError::PlatformNotBuilt { service, .. } => {
            places.key(service, "platform").or_else(|| places.key(service, "build"))
        }
        ReconcileError::FileUnavailable { kind, source_name, .. } => {
            let section = if *kind == "config" { "configs" } else { "secrets" };
            places.declared(section, source_name, &["environment", "external", "file"])
        }
        ReconcileError::AddressShared { service, network, address, .. } => {
            let key = if address.contains(':') { "ipv6_address" } else { "ipv4_address" };
            places.attachment(service, network, key)
        }
        ReconcileError::ExternalNetworkMissing { key, .. } => places.declared("networks", key, &["external"]),
        ReconcileError::ExternalVolumeMissing { key, .. } => places.declared("volumes", key, &["external"]),
        ReconcileError::NoneToJoin { .. } | ReconcileError::NotOwned { .. } => None,
    }
}

impl From<ReconcileError> for Error {
    fn from(error: ReconcileError) -> Self {
        Unreachable { place: None, error }.into()
    }
}
