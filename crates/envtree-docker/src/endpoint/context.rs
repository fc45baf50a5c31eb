//! Docker contexts: which one is selected, and what it says.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::{Address, Endpoint};
use crate::connect::ConnectError;
use crate::file;
use crate::tls::Tls;

impl Endpoint {
    /// Returns the address of the selected context, if one is selected. `default` is the absence of one.
    pub(super) fn context_address(&self) -> Result<Option<Address>, ConnectError> {
        let Some((context, chosen_by)) = self.selected_context()? else {
            return Ok(None);
        };
        let (host, tls) = self.read_context(&context, chosen_by)?;
        Address::parse(&host, tls).map(Some)
    }

    /// Returns the name of the selected context and what selects it, if one is selected.
    pub(super) fn selected_context(&self) -> Result<Option<(String, String)>, ConnectError> {
        let selected = match &self.docker_context {
            Some(context) => Some((context.clone(), "`DOCKER_CONTEXT`".to_owned())),
            None => self.current_context()?,
        };
        Ok(selected.filter(|(context, _)| context != "default"))
    }

    fn current_context(&self) -> Result<Option<(String, String)>, ConnectError> {
        let Some(path) = self.config_dir.as_ref().map(|dir| dir.join("config.json")) else {
            return Ok(None);
        };
        let unreadable = |source| ConnectError::ConfigUnreadable { path: path.display().to_string(), source };
        let text = match file::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let config: Value = serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
        let context = config["currentContext"].as_str().filter(|name| !name.is_empty());
        Ok(context.map(|name| (name.to_owned(), format!("`{}`", path.display()))))
    }

    /// Returns the host of a context and how TLS is spoken with it, if it is.
    ///
    /// Its folder is named after a hash, so each `meta.json` is read until one bears the name. One that cannot be
    /// understood may be the one.
    fn read_context(&self, context: &str, chosen_by: String) -> Result<(String, Option<Tls>), ConnectError> {
        let contexts = self.config_dir.clone().unwrap_or_default().join("contexts");
        let folders = std::fs::read_dir(contexts.join("meta")).into_iter().flatten().flatten();
        let mut broken = Vec::new();
        for folder in folders {
            let path = folder.path().join("meta.json");
            match read_meta(&path, context) {
                Ok(None) => {}
                Ok(Some(Meta { host, skips_verification })) => {
                    let files = contexts.join("tls").join(folder.file_name()).join("docker");
                    return Ok((host, context_tls(&files, skips_verification)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => broken.push((path, error)),
            }
        }
        let context = context.to_owned();
        match broken.into_iter().min_by(|(one, _), (other, _)| one.cmp(other)) {
            Some((path, source)) => {
                let path = path.display().to_string();
                Err(ConnectError::ContextUnreadable { context, chosen_by, path, source })
            }
            None => Err(ConnectError::ContextMissing { context, chosen_by }),
        }
    }
}

/// What a `meta.json` says of the Engine.
struct Meta {
    host: String,
    skips_verification: bool,
}

/// Reads a `meta.json`; nothing if it describes another context.
fn read_meta(path: &Path, context: &str) -> io::Result<Option<Meta>> {
    let meta: Value = serde_json::from_slice(&file::read(path)?)?;
    let lacks = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    if meta["Name"].as_str().ok_or_else(|| lacks("it names no context"))? != context {
        return Ok(None);
    }
    let endpoint = &meta["Endpoints"]["docker"];
    let host = endpoint["Host"].as_str().ok_or_else(|| lacks("it names no endpoint of Docker"))?.to_owned();
    Ok(Some(Meta { host, skips_verification: endpoint["SkipTLSVerify"] == true }))
}

/// Returns how TLS is spoken with a context: not at all if it has no files and says nothing of verification.
fn context_tls(files: &Path, skips_verification: bool) -> Option<Tls> {
    (files.is_dir() || skips_verification).then(|| Tls::in_folder(files, !skips_verification))
}
