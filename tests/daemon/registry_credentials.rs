//! Images of a registry that wants a password: each place where Docker keeps one is asked.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Ran, Sandbox};
use crate::interruption::{SIGNALS, interrupted};
use crate::no_image::failure_of;
use crate::stage::{idle, sandbox_with};
use crate::support::{SOON, checked, docker, eventually};

/// `me` with the password `secret`.
const HTPASSWD: &str = "me:$2y$05$bst2jSFj6XnqgUmawLzD.uB1X3m2Nr50rCmfS.KaTnlRW7BqnjSLW\n";
/// `me:secret` in base 64, as `docker login` keeps it.
const AUTH: &str = "bWU6c2VjcmV0";

/// A registry that lets `me` in alone; dropping it ends it.
struct Registry {
    folder: TempDir,
    process: Child,
    address: String,
    image: String,
}

impl Registry {
    /// Starts a registry that has an image, for `me` alone.
    fn start() -> Self {
        Self::with_access("auth: { htpasswd: { realm: test, path: {} } }")
    }

    /// Starts a registry that has an image; `access` says who may have it, `{}` being the file of passwords.
    fn with_access(access: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let configuration = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:0 }}\n\
             {}\n",
            path("data").display(),
            access.replacen("{}", &path("htpasswd").display().to_string(), 1),
        );
        fs::write(path("config.yml"), configuration).unwrap();
        let log = File::create(path("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut registry = Self { folder, process, address: String::new(), image: String::new() };
        eventually(|| registry.listens_at().is_some(), SOON);
        registry.address = registry.listens_at().unwrap();
        registry.image = format!("{}/private/busybox:1", registry.address);
        registry.push();
        registry
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the address that the system gave it, which its log names.
    fn listens_at(&self) -> Option<String> {
        let log = fs::read_to_string(self.path("log")).unwrap();
        let (_, address) = log.split_once("listening on ")?;
        let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
        Some(address[..end].to_owned())
    }

    fn push(&self) {
        // Brings the image to the Engine, from wherever this machine has it.
        let sandbox = idle();
        sandbox.succeed(&["up", "any"]);
        docker(&["tag", "busybox:1", &self.image]);
        let config = self.configured(&self.auths(AUTH));
        checked(Command::new("docker").args(["push", "--quiet", &self.image]).env("DOCKER_CONFIG", config));
        self.forget();
    }

    /// Removes the image from the Engine.
    fn forget(&self) {
        docker(&["image", "rm", &self.image]);
    }

    fn auths(&self, auth: &str) -> Value {
        json!({ "auths": { &self.address: { "auth": auth } } })
    }

    /// Returns Docker's folder with this configuration.
    fn configured(&self, configuration: &Value) -> PathBuf {
        let config = self.path("docker");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("config.json"), configuration.to_string()).unwrap();
        config
    }

    /// Writes a helper that gives out the credentials of this registry alone.
    fn helper(&self, name: &str) {
        let script = format!(
            "read -r server\n[ \"$1 $server\" = 'get {address}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\necho '{{\"ServerURL\":\"{address}\",\"Username\":\"me\",\"Secret\":\"secret\"}}'",
            address = self.address
        );
        self.helper_of(name, &script);
    }

    /// Writes a helper that runs a shell script.
    fn helper_of(&self, name: &str, script: &str) {
        let folder = self.path("bin");
        fs::create_dir_all(&folder).unwrap();
        let helper = folder.join(format!("docker-credential-{name}"));
        fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Brings an environment up whose image is this registry's, with this configuration of Docker.
    fn up(&self, sandbox: &Sandbox, configuration: &Value) -> Ran {
        sandbox.ran(&self.up_command(sandbox, configuration).output().unwrap())
    }

    fn up_command(&self, sandbox: &Sandbox, configuration: &Value) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = sandbox.envtree_with(&["up", "fix"]);
        command
            .env("DOCKER_CONFIG", self.configured(configuration))
            .env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    fn sandbox(&self) -> Sandbox {
        let compose =
            format!("services:\n  app:\n    image: {}\n    command: sleep inf\n    init: true\n", self.image);
        sandbox_with(&[("compose.yaml", &compose)])
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn credentials_are_found_wherever_docker_keeps_them() {
    let registry = Registry::start();
    let sandbox = registry.sandbox();
    registry.helper("teststore");
    registry.helper("testhelper");
    let configurations = [
        registry.auths(AUTH),
        // What `docker login` leaves where a store keeps the secret.
        json!({ "auths": { &registry.address: {} }, "credsStore": "teststore" }),
        json!({ "credHelpers": { &registry.address: "testhelper" } }),
    ];
    for configuration in configurations {
        let up = registry.up(&sandbox, &configuration);
        assert_eq!(up.status, Some(0), "{configuration}\n{up}");
        sandbox.succeed(&["rm", "fix", "--yes"]);
        registry.forget();
    }
}

#[test]
fn refused_credentials_are_told_with_a_remedy() {
    let registry = Registry::start();
    let sandbox = registry.sandbox();
    // `me:wrong` is the other.
    for configuration in [json!({}), registry.auths("bWU6d3Jvbmc=")] {
        let ran = registry.up(&sandbox, &configuration);
        assert_eq!(ran.status, Some(5), "{ran}");
        let (registry, image) = (&registry.address, &registry.image);
        let cause = format!("caused by: registry `{registry}` denies access to image `{image}`\n");
        assert!(ran.stderr.contains(&cause), "{ran}");
        assert!(ran.stderr.contains(&format!("hint: `docker login {registry}` gives credentials")), "{ran}");
    }
}

#[test]
fn a_helper_that_gives_no_credentials_is_told_where_they_are_wanted() {
    let registry = Registry::start();
    let sandbox = registry.sandbox();
    registry.helper_of("locked", "echo keychain locked; exit 1");
    for (name, fault) in [("nosuch", "is not installed"), ("locked", "failed: keychain locked")] {
        let ran = registry.up(&sandbox, &json!({ "credsStore": name }));
        assert_eq!(ran.status, Some(5), "{ran}");
        let denied =
            format!("caused by: registry `{}` denies access to image `{}`", registry.address, registry.image);
        let told = format!("{denied}, and credential helper `docker-credential-{name}` {fault}\n");
        assert!(ran.stderr.contains(&told), "{ran}");
        assert!(ran.stderr.contains(&format!("hint: mend `docker-credential-{name}`")), "{ran}");
        assert!(!ran.stderr.contains("docker login"), "{ran}");
    }
}

#[test]
fn a_helper_that_fails_does_not_matter_to_a_registry_for_everybody() {
    let registry = Registry::with_access("");
    let sandbox = registry.sandbox();
    let up = registry.up(&sandbox, &json!({ "credsStore": "nosuch" }));
    assert_eq!(up.status, Some(0), "{up}");
    assert!(!up.stderr.contains("nosuch"), "{up}");
    sandbox.succeed(&["rm", "fix", "--yes"]);
    registry.forget();
}

#[test]
fn an_image_that_the_registry_does_not_have_is_told() {
    let registry = Registry::with_access("");
    let failure = failure_of(&format!("{}/nobody/nothing:1", registry.address), "");
    insta::assert_snapshot!(failure.replace(&registry.address, "[registry]"), @"
    pulling [registry]/nobody/nothing:1
    failed pulling [registry]/nobody/nothing:1
    error: cannot bring up environment `sandbox-xxxxxxxx-fix`
      caused by: registry `[registry]` has no image `[registry]/nobody/nothing:1`
      caused by: manifest for [registry]/nobody/nothing:1 not found: manifest unknown: manifest unknown
    hint: `envtree up fix` continues from here, `envtree status fix` shows what there is
    note: created and kept: network `sandbox-xxxxxxxx-fix_default`
    ");
}

#[test]
fn an_interrupt_ends_a_helper_that_hangs() {
    let registry = Registry::start();
    let sandbox = registry.sandbox();
    let begun = registry.path("begun");
    registry.helper_of("hang", &format!("sleep 1000 & touch {}; sleep 1000", begun.display()));
    for (signal, status) in SIGNALS {
        let mut up = registry.up_command(&sandbox, &json!({ "credsStore": "hang" }));
        let running = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually(|| fs::remove_file(&begun).is_ok(), SOON);
        let ran = interrupted(&sandbox, running, signal);
        assert_eq!(ran.status, Some(status), "{ran}");
    }
}
