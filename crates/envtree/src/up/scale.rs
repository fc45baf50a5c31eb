//! How many containers the person asks for.

use std::collections::BTreeMap;

use crate::environment::Definition;
use crate::error::Error;

/// Refuses a number of containers for a service that the files do not name.
pub(super) fn refuse_unknown(counts: &BTreeMap<String, u32>, definition: &Definition) -> Result<(), Error> {
    let project = &definition.wanted.project;
    match counts.keys().find(|name| !project.services.contains_key(name.as_str())) {
        Some(service) => Err(Error::UnknownService {
            project: project.name.to_string(),
            service: service.clone(),
            known: project.services.keys().map(ToString::to_string).collect(),
        }),
        None => Ok(()),
    }
}
