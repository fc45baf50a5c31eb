//! Docker contexts: which one is selected, and what it says.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::{Address, Endpoint};
use crate::connect::ConnectError;
use crate::tls::Tls;

impl Endpoint {
    /// Returns the address of the selected context, if one is selected. `default` is the absence of one.
    pub(super) fn context_address(&self) -> Result<Option<Address>, ConnectError> {
        let selected = match &self.docker_context {
            Some(context) => Some((context.clone(), "`DOCKER_CONTEXT`".to_owned())),
            None => self.current_context()?,
        };
        let Some((context, chosen_by)) = selected.filter(|(context, _)| context != "default") else {
            return Ok(None);
        };
        let missing = || ConnectError::ContextMissing { context: context.clone(), chosen_by };
        let (host, tls) = self.read_context(&context).ok_or_else(missing)?;
        Address::parse(&host, tls).map(Some)
    }

    fn current_context(&self) -> Result<Option<(String, String)>, ConnectError> {
        let Some(path) = self.config_dir.as_ref().map(|dir| dir.join("config.json")) else {
            return Ok(None);
        };
        let unreadable = |source| ConnectError::ConfigUnreadable { path: path.display().to_string(), source };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let config: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
        let context = config["currentContext"].as_str().filter(|name| !name.is_empty());
        Ok(context.map(|name| (name.to_owned(), format!("`{}`", path.display()))))
    }

    /// Returns the host of a context and how TLS is spoken with it, if it is.
    ///
    /// Its folder is named after a hash, so each `meta.json` is read until one bears the name.
    fn read_context(&self, context: &str) -> Option<(String, Option<Tls>)> {
        let contexts = self.config_dir.as_ref()?.join("contexts");
        std::fs::read_dir(contexts.join("meta")).ok()?.flatten().find_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
            let meta: Value = serde_json::from_str(&text).ok()?;
            if meta["Name"] != context {
                return None;
            }
            let endpoint = &meta["Endpoints"]["docker"];
            let host = endpoint["Host"].as_str()?.to_owned();
            let skips_verification = endpoint["SkipTLSVerify"] == true;
            let files = contexts.join("tls").join(entry.file_name()).join("docker");
            Some((host, context_tls(&files, skips_verification)))
        })
    }
}

/// Returns how TLS is spoken with a context: not at all if it has no files and says nothing of verification.
fn context_tls(files: &Path, skips_verification: bool) -> Option<Tls> {
    (files.is_dir() || skips_verification).then(|| Tls::in_folder(files, !skips_verification))
}
