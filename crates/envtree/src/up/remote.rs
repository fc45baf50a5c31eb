//! What `up` refuses and says where the Engine runs on another machine.

use envtree_core::host_path::refuse_host_paths;

use crate::environment::Definition;
use crate::error::Error;
use crate::load::LoadError;
use crate::session::Session;

impl Session {
    /// Returns what the person should know where the Engine runs on another machine; refuses what cannot work there.
    pub(super) async fn remote_engine(&self, definition: &Definition) -> Result<Option<String>, Error> {
        let Some(engine) = &self.docker.facts().await?.remote_host else {
            return Ok(None);
        };
        let refused = refuse_host_paths(&definition.wanted.binds, engine);
        if !refused.is_empty() {
            return Err(LoadError::Invalid(refused).into());
        }
        Ok(Some(format!(
            "the Engine runs on `{engine}`: ports are published there, 127.0.0.1 in an address means that machine, and a port without a check of its own is not probed"
        )))
    }
}
