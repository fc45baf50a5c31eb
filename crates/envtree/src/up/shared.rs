//! What `up` does about services that environments share.

use std::collections::BTreeSet;

use super::UpOptions;
use crate::environment::Definition;
use crate::error::Error;
use crate::session::Session;
use crate::shared::HeldShared;
use crate::state::record::EnvironmentRecord;

impl UpOptions {
    /// Returns the choices for services that other environments use too.
    pub(crate) fn for_shared(&self) -> Self {
        Self { force_recreate: false, remove_orphans: false, ..self.clone() }
    }
}

impl Session {
    /// Reserves what the shared services need; until they are there, no other command works on them.
    pub(super) async fn prepare_shared(
        &self,
        definition: &Definition,
        record: &EnvironmentRecord,
        options: &UpOptions,
        refused: &BTreeSet<u16>,
    ) -> Result<Option<HeldShared>, Error> {
        let (Some(shared), Some((record, lock))) =
            (&definition.shared, self.claim_shared(definition, &record.repository).await?)
        else {
            return Ok(None);
        };
        self.remove_half_made_volumes(&record).await?;
        let (_, observed, _) = self.reserve_for(&record, &shared.definition, options, refused).await?;
        Ok(Some(HeldShared { lock, observed }))
    }
}
