//! What `up` refuses and says where the Engine runs on another machine.

use std::collections::BTreeSet;

use envtree_core::host_path::refuse_host_paths;

use crate::environment::Definition;
use crate::error::Error;
use crate::load::LoadError;
use crate::session::Session;

impl Session {
    /// Returns the host ports of the Engine's containers, if it runs on another machine.
    pub(super) async fn remote_ports(&self) -> Result<Option<BTreeSet<u16>>, Error> {
        if !self.docker.is_remote().await? {
            return Ok(None);
        }
        Ok(Some(self.docker.published_ports().await?))
    }

    /// Returns what the person should know where the Engine runs on another machine; refuses what cannot work there.
    pub(super) async fn remote_engine(&self, definition: &Definition) -> Result<Option<String>, Error> {
        let Some(engine) = self.docker.remote_host().await? else {
            return Ok(None);
        };
        LoadError::unless_empty(refuse_host_paths(&definition.wanted.binds, engine))?;
        Ok(Some(format!(
            "the Engine runs on `{engine}`: ports are published there, 127.0.0.1 in an address means that machine, and a port without a check of its own is not probed"
        )))
    }
}
