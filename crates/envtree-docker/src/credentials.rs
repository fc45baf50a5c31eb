//! The credentials of registries where Docker keeps them: in `config.json`, or with a program that this one names.

mod helper;

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bollard::auth::DockerCredentials;
use envtree_core::reference::DOCKER_HUB;
use serde_json::Value;

use crate::file;

/// The key under which Docker keeps the credentials of Docker Hub.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";
/// Passwords are kept with and without the padding of base 64.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why the person's credentials for a registry could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialFailure {
    /// The helper program that gave none, if one was asked.
    pub helper: Option<String>,
    message: String,
}

impl CredentialFailure {
    fn of_config(path: &Path, cause: &dyn std::fmt::Display) -> Self {
        Self { helper: None, message: format!("`{}` cannot be used: {cause}", path.display()) }
    }

    fn of_helper(program: &str, what: &str) -> Self {
        Self { helper: Some(program.to_owned()), message: format!("credential helper `{program}` {what}") }
    }
}

/// Returns the credentials for a registry that Docker's folder `config_dir` leads to, if it leads to any.
///
/// As with Docker's client, a helper comes before what the file itself holds. `waiting` is called every second while a
/// helper is awaited; dropping the future ends the helper with all that it started.
pub(crate) async fn credentials(
    config_dir: &Path,
    registry: &str,
    waiting: &(dyn Fn() + Send + Sync),
) -> Result<Option<DockerCredentials>, CredentialFailure> {
    let path = config_dir.join("config.json");
    let config = match file::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| CredentialFailure::of_config(&path, &error))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CredentialFailure::of_config(&path, &error)),
    };
    let server = if registry == DOCKER_HUB { DOCKER_HUB_SERVER } else { registry };
    let kept = || kept_in_file(&config, server).map_err(|rule| CredentialFailure::of_config(&path, &rule));
    let Some(helper) = helper_for(&config, server) else {
        return kept();
    };
    match helper::ask(&format!("docker-credential-{helper}"), server, helper::LIMIT, waiting).await {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => kept(),
        Err(failure) => kept().ok().flatten().map(Some).ok_or(failure),
    }
}

/// Returns the helper that keeps the secrets of `server`, as the end of its name.
fn helper_for<'a>(config: &'a Value, server: &str) -> Option<&'a str> {
    let own = entry(&config["credHelpers"], server).and_then(Value::as_str);
    let names = [own, config["credsStore"].as_str()];
    names.into_iter().flatten().find(|name| !name.is_empty())
}

fn kept_in_file(config: &Value, server: &str) -> Result<Option<DockerCredentials>, String> {
    let Some(entry) = entry(&config["auths"], server) else {
        return Ok(None);
    };
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(of_token(server, token)));
    }
    if let Some(encoded) = text("auth") {
        let wrong = || format!("`auth` of `{server}` is not `user:password` in base 64");
        let decoded = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or_else(wrong)?;
        let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
        return Ok(Some(of_user(server, user, password.trim_end_matches('\0'))));
    }
    Ok(text("username").zip(text("password")).map(|(user, password)| of_user(server, user, password)))
}

/// Returns the value for `server`, whose key may be an address of which it is the host.
fn entry<'a>(values: &'a Value, server: &str) -> Option<&'a Value> {
    let values = values.as_object()?;
    let of_host = || values.iter().find(|(key, _)| host(key) == host(server)).map(|(_, value)| value);
    values.get(server).or_else(of_host)
}

fn host(server: &str) -> &str {
    let address =
        server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    address.split('/').next().unwrap_or(address)
}

fn of_token(server: &str, token: &str) -> DockerCredentials {
    DockerCredentials {
        serveraddress: Some(server.to_owned()),
        identitytoken: Some(token.to_owned()),
        ..DockerCredentials::default()
    }
}

fn of_user(server: &str, user: &str, password: &str) -> DockerCredentials {
    DockerCredentials {
        serveraddress: Some(server.to_owned()),
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        ..DockerCredentials::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns what the file keeps for `server`, as `user:password`.
    fn kept(auths: &Value, server: &str) -> String {
        match kept_in_file(&json!({ "auths": auths }), server) {
            Ok(Some(found)) => {
                let user = found.identitytoken.or(found.username).unwrap();
                format!("{user}:{}", found.password.unwrap_or_default())
            }
            Ok(None) => "none".to_owned(),
            Err(rule) => rule,
        }
    }

    #[test]
    fn the_file_is_read_as_docker_writes_it() {
        // `me:se:cret`.
        assert_eq!(kept(&json!({ "r:1": { "auth": "bWU6c2U6Y3JldA==" } }), "r:1"), "me:se:cret");
        assert_eq!(kept(&json!({ "https://r:1/v1/": { "auth": "bWU6c2U6Y3JldA" } }), "r:1"), "me:se:cret");
        assert_eq!(kept(&json!({ "r": { "identitytoken": "t", "auth": "bWU6" } }), "r"), "t:");
        assert_eq!(kept(&json!({ "r": { "username": "me", "password": "p" } }), "r"), "me:p");
        assert_eq!(kept(&json!({ "r": {}, "s": { "auth": "bWU6c2VjcmV0" } }), "r"), "none");
        assert_eq!(
            kept(&json!({ "r": { "auth": "bWU" } }), "r"),
            "`auth` of `r` is not `user:password` in base 64"
        );
        assert_eq!(kept(&json!({ DOCKER_HUB_SERVER: { "auth": "bWU6cA==" } }), DOCKER_HUB_SERVER), "me:p");
    }

    #[test]
    fn the_helper_of_a_registry_comes_before_the_one_of_all() {
        let config = json!({ "credsStore": "all", "credHelpers": { "r": "own", "s": "" } });
        assert_eq!(
            ["r", "s", "t"].map(|server| helper_for(&config, server)),
            [Some("own"), Some("all"), Some("all")]
        );
        assert_eq!(helper_for(&json!({ "credsStore": "" }), "r"), None);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_and_one_that_is_missing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let found = credentials(folder.path(), "r", &|| ()).await;
        assert_eq!(found.unwrap(), None);
        std::fs::write(folder.path().join("config.json"), "{").unwrap();
        let failure = credentials(folder.path(), "r", &|| ()).await.unwrap_err();
        let told = failure.to_string().replace(folder.path().to_str().unwrap(), "~");
        assert_eq!(told, "`~/config.json` cannot be used: EOF while parsing an object at line 1 column 1");
    }

    #[tokio::test]
    async fn a_helper_that_fails_does_not_hide_what_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({ "credsStore": "none-such", "auths": { "r": { "auth": "bWU6cA==" } } });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let found = credentials(folder.path(), "r", &|| ()).await.unwrap();
        assert_eq!(found, Some(of_user("r", "me", "p")));
        let failure = credentials(folder.path(), "s", &|| ()).await.unwrap_err();
        assert_eq!(failure.helper.as_deref(), Some("docker-credential-none-such"));
    }
}
