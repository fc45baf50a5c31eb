//! Where the Engine is: the endpoint that the `docker` program would use.
//!
//! Docker contexts are read here because bollard ignores them. Where nothing is selected, the usual sockets are named
//! in turn.

mod address;
mod context;
mod sockets;

use std::fmt;
use std::path::PathBuf;

use crate::connect::ConnectError;
use crate::tls::Tls;

pub use address::Address;
pub(crate) use address::host_of;

/// The values that select the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// Whether `DOCKER_TLS` asks for encryption.
    pub tls: bool,
    /// Whether `DOCKER_TLS_VERIFY` asks for encryption with an Engine that proves who it is.
    pub tls_verify: bool,
    /// The folder of certificates: `DOCKER_CERT_PATH`, else that of Docker's `config.json`.
    pub cert_dir: Option<PathBuf>,
    /// The folder of Docker's `config.json`: `DOCKER_CONFIG`, else `~/.docker`.
    pub config_dir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, else the folder that the system makes for the user.
    pub runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `COLIMA_HOME`.
    pub colima_home: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary_dir: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
}

/// What selects the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `DOCKER_HOST`.
    Variable,
    /// A Docker context.
    Context {
        /// Its name.
        context: String,
        /// What selected it, such as `` `DOCKER_CONTEXT` ``.
        chosen_by: String,
    },
    /// A variable that asks for TLS, and with it for Docker's port on this machine.
    Tls,
    /// Nothing, so that the usual sockets are tried.
    Usual,
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => formatter.write_str("`DOCKER_HOST`"),
            Self::Context { context, chosen_by } => {
                write!(formatter, "Docker context `{context}`, chosen by {chosen_by}")
            }
            Self::Tls => formatter.write_str("`DOCKER_TLS` or `DOCKER_TLS_VERIFY`"),
            Self::Usual => formatter.write_str("the usual sockets"),
        }
    }
}

impl Endpoint {
    /// Takes the values from the environment of this process.
    pub fn from_environment() -> Self {
        // Like Docker's client, which asks of each of its variables only whether it is empty.
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        let home = std::env::home_dir();
        let config_dir = path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS").is_some(),
            tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            cert_dir: path("DOCKER_CERT_PATH").or_else(|| config_dir.clone()),
            config_dir,
            runtime_dir: path("XDG_RUNTIME_DIR").or_else(user_runtime_dir),
            config_home: path("XDG_CONFIG_HOME"),
            colima_home: path("COLIMA_HOME"),
            temporary_dir: Some(std::env::temp_dir()),
            home,
        }
    }

    /// Returns the addresses to try, in order: one if `DOCKER_HOST`, a context or TLS selects it, else the usual sockets.
    ///
    /// `DOCKER_HOST` comes before every context. A context brings its own certificates, so the variables about TLS
    /// count only where none is selected.
    pub fn addresses(&self) -> Result<Vec<Address>, ConnectError> {
        if let Some(host) = &self.docker_host {
            let host = host.trim();
            return if host.is_empty() { self.default_addresses() } else { Ok(vec![self.named(host)?]) };
        }
        match self.context_address()? {
            Some(address) => Ok(vec![address]),
            None => self.default_addresses(),
        }
    }

    /// Returns what selects the Engine, whether there is one or not.
    pub fn selection(&self) -> Result<Selection, ConnectError> {
        if self.docker_host.as_ref().is_some_and(|host| !host.trim().is_empty()) {
            return Ok(Selection::Variable);
        }
        // A blank `DOCKER_HOST` turns contexts off all the same.
        let selected = if self.docker_host.is_some() { None } else { self.selected_context()? };
        Ok(match selected {
            Some((context, chosen_by)) => Selection::Context { context, chosen_by },
            None if self.tls || self.tls_verify => Selection::Tls,
            None => Selection::Usual,
        })
    }

    fn named(&self, host: &str) -> Result<Address, ConnectError> {
        let tls =
            self.tls_of_variables().or_else(|| host.starts_with("https://").then(|| self.tls_of_https()));
        Address::parse(host, tls)
    }

    fn default_addresses(&self) -> Result<Vec<Address>, ConnectError> {
        // With TLS, Docker's client does not look for sockets.
        if self.tls || self.tls_verify {
            return Ok(vec![self.named("tcp://localhost:2376")?]);
        }
        if cfg!(windows) {
            let pipes = ["docker_engine", "dockerDesktopLinuxEngine", "podman-machine-default"];
            return Ok(pipes.map(|name| Address::Pipe(format!("//./pipe/{name}"))).to_vec());
        }
        Ok(sockets::usual_sockets(self).into_iter().map(Address::Unix).collect())
    }

    /// Returns how the variables want TLS to be spoken: `DOCKER_TLS` alone encrypts, but trusts any Engine.
    fn tls_of_variables(&self) -> Option<Tls> {
        let folder = self.cert_dir.clone().unwrap_or_default();
        (self.tls || self.tls_verify).then(|| Tls {
            // Docker's client wants this file even where nothing is verified.
            ca: Some(folder.join("ca.pem")),
            ..Tls::in_folder(&folder, self.tls_verify)
        })
    }

    fn tls_of_https(&self) -> Tls {
        Tls::in_folder(&self.cert_dir.clone().unwrap_or_default(), true)
    }
}

/// Returns the folder that systemd makes for the user of this process, if it is there.
fn user_runtime_dir() -> Option<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let user = std::fs::metadata("/proc/self").ok()?.uid();
        Some(PathBuf::from(format!("/run/user/{user}"))).filter(|path| path.is_dir())
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Docker's folder with certificates and the contexts `safe`, `lax` and `plain`, of which `plain` is current.
    fn docker_folder() -> (TempDir, Endpoint) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let context = |name: &str, host: &str, skip: bool| {
            let endpoint = format!(r#"{{"Host": "{host}", "SkipTLSVerify": {skip}}}"#);
            let meta = format!(r#"{{"Name": "{name}", "Endpoints": {{"docker": {endpoint}}}}}"#);
            write(&format!("contexts/meta/of-{name}/meta.json"), &meta);
        };
        write("config.json", r#"{"currentContext": "plain"}"#);
        write("ca.pem", "");
        write("cert.pem", "");
        context("plain", "tcp://plain:1", false);
        context("safe", "tcp://safe:2", false);
        write("contexts/tls/of-safe/docker/ca.pem", "");
        write("contexts/tls/of-safe/docker/cert.pem", "");
        write("contexts/tls/of-safe/docker/key.pem", "");
        context("lax", "tcp://lax:3", true);
        let config_dir = Some(folder.path().to_owned());
        let endpoint = Endpoint { cert_dir: config_dir.clone(), config_dir, ..Endpoint::default() };
        (folder, endpoint)
    }

    fn only(endpoint: &Endpoint) -> Address {
        let addresses = endpoint.addresses().unwrap();
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        addresses.into_iter().next().unwrap()
    }

    #[test]
    fn the_variable_comes_before_every_context_and_brings_its_own_tls() {
        let (folder, endpoint) = docker_folder();
        assert_eq!(only(&endpoint), Address::Tcp("plain:1".into()));
        let named = Endpoint { docker_context: Some("safe".into()), ..endpoint };
        let files = folder.path().join("contexts/tls/of-safe/docker");
        assert_eq!(only(&named), Address::Tls("safe:2".into(), Tls::in_folder(&files, true)));
        let host = Endpoint { docker_host: Some(" tcp://host ".into()), ..named };
        assert_eq!(only(&host), Address::Tcp("host:2375".into()));
        let unset = Endpoint { docker_host: Some(" ".into()), ..host };
        assert!(unset.addresses().unwrap().iter().all(|address| matches!(address, Address::Unix(_))));
    }

    #[test]
    fn what_selects_the_engine_is_told() {
        let (folder, endpoint) = docker_folder();
        let told = |endpoint: Endpoint| {
            let told = endpoint.selection().unwrap().to_string();
            told.replace(folder.path().to_str().unwrap(), "~")
        };
        let named = Endpoint { docker_context: Some("safe".into()), ..endpoint.clone() };
        let host = Endpoint { docker_host: Some("tcp://host".into()), ..named.clone() };
        let blank = Endpoint { docker_host: Some(" ".into()), ..named.clone() };
        let tls = Endpoint { docker_context: Some("default".into()), tls: true, ..endpoint.clone() };
        insta::assert_snapshot!([endpoint, named, host, blank, tls].map(told).join("\n"), @"
        Docker context `plain`, chosen by `~/config.json`
        Docker context `safe`, chosen by `DOCKER_CONTEXT`
        `DOCKER_HOST`
        the usual sockets
        `DOCKER_TLS` or `DOCKER_TLS_VERIFY`
        ");
    }

    #[test]
    fn variables_about_tls_do_not_touch_a_context() {
        let (_folder, endpoint) = docker_folder();
        let endpoint = Endpoint { tls_verify: true, ..endpoint };
        assert_eq!(only(&endpoint), Address::Tcp("plain:1".into()));
        let lax = Endpoint { docker_context: Some("lax".into()), ..endpoint };
        let nothing = Tls { ca: None, client: None, verify: false };
        assert_eq!(only(&lax), Address::Tls("lax:3".into(), nothing));
    }

    #[test]
    fn without_verification_any_engine_is_trusted_but_the_files_are_wanted() {
        let (folder, endpoint) = docker_folder();
        let ca = Some(folder.path().join("ca.pem"));
        let encrypted = Endpoint { docker_host: Some("tcp://host".into()), tls: true, ..endpoint };
        // There is no key, so there is no client certificate either.
        let tls = Tls { ca: ca.clone(), client: None, verify: false };
        assert_eq!(only(&encrypted), Address::Tls("host:2375".into(), tls));
        let verified = Endpoint { tls_verify: true, ..encrypted };
        let tls = Tls { ca, client: None, verify: true };
        assert_eq!(only(&verified), Address::Tls("host:2375".into(), tls));
        let nowhere = Endpoint { docker_host: None, docker_context: Some("default".into()), ..verified };
        assert!(matches!(only(&nowhere), Address::Tls(host, _) if host == "localhost:2376"));
    }

    #[test]
    fn a_context_whose_file_is_broken_is_told_with_the_file() {
        let (folder, endpoint) = docker_folder();
        let meta = folder.path().join("contexts/meta/of-safe/meta.json");
        let safe = Endpoint { docker_context: Some("safe".into()), ..endpoint.clone() };
        let told = || {
            let error = safe.addresses().unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            format!("{error}: {cause}").replace(folder.path().to_str().unwrap(), "~")
        };
        let mut all = Vec::new();
        for text in ["{", "{}", r#"{"Name": "safe"}"#] {
            fs::write(&meta, text).unwrap();
            all.push(told());
        }
        fs::remove_file(&meta).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&meta).status().unwrap().success());
        all.push(told());
        insta::assert_snapshot!(all.join("\n"), @"
        cannot read Docker context `safe`, chosen by `DOCKER_CONTEXT`: `~/contexts/meta/of-safe/meta.json` is broken: EOF while parsing an object at line 1 column 1
        cannot read Docker context `safe`, chosen by `DOCKER_CONTEXT`: `~/contexts/meta/of-safe/meta.json` is broken: it names no context
        cannot read Docker context `safe`, chosen by `DOCKER_CONTEXT`: `~/contexts/meta/of-safe/meta.json` is broken: it names no endpoint of Docker
        cannot read Docker context `safe`, chosen by `DOCKER_CONTEXT`: `~/contexts/meta/of-safe/meta.json` is broken: it is no file, but a pipe, a socket or a device
        ");
        // The others are of use.
        assert_eq!(only(&endpoint), Address::Tcp("plain:1".into()));
    }

    #[test]
    fn a_configuration_that_is_a_pipe_is_refused_rather_than_waited_for() {
        let (folder, endpoint) = docker_folder();
        let config = folder.path().join("config.json");
        fs::remove_file(&config).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
        let error = endpoint.addresses().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it is no file, but a pipe, a socket or a device");
    }

    #[test]
    fn a_context_that_does_not_exist_is_named_with_what_chose_it() {
        let (_folder, endpoint) = docker_folder();
        let error = Endpoint { docker_context: Some("gone".into()), ..endpoint }.addresses().unwrap_err();
        insta::assert_snapshot!(error, @"Docker context `gone`, chosen by `DOCKER_CONTEXT`, does not exist");
    }
}
