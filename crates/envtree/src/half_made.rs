//! Volumes that the Engine was making when it was killed itself: they are there, and their labels are not.

use envtree_core::plan::Operation;

use crate::error::Error;
use crate::session::Session;
use crate::state::record::EnvironmentRecord;

impl Session {
    /// Returns the volumes that were asked for by a command that did not come to its end, and that hold nothing.
    pub(crate) async fn half_made_volumes(&self, record: &EnvironmentRecord) -> Result<Vec<String>, Error> {
        let Some(unsettled) = &record.unsettled else {
            return Ok(Vec::new());
        };
        Ok(self.docker.blank_volumes(&unsettled.volumes).await?)
    }

    /// Removes them; returns what was done. One that a container has taken into use meanwhile stays.
    pub(crate) async fn remove_half_made_volumes(
        &self,
        record: &EnvironmentRecord,
    ) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for name in self.half_made_volumes(record).await? {
            self.docker.remove_unused_volume(&name).await?;
            done.push(Operation::RemoveVolume { name }.to_string());
        }
        Ok(done)
    }
}
