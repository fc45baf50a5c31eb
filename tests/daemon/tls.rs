//! An Engine over TCP with TLS: certificates of the variables and of contexts, and what is said where they do not fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{Ran, Sandbox};
use crate::private_engine::PrivateEngine;
use crate::ssh::fed;
use crate::stage::{WEB, sandbox_with};
use crate::support::checked;

const HOST: &str = "tcp://127.0.0.1:2376";

/// An authority with the certificates that it signed.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let certificates = Self { folder: tempfile::tempdir().unwrap() };
        let request =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority"];
        certificates.openssl(&request, &["-keyout", "ca-key.pem", "-out", "ca.pem"]);
        certificates.sign("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
        certificates.sign("client", "extendedKeyUsage=clientAuth\n");
        certificates
    }

    fn openssl(&self, arguments: &[&str], more: &[&str]) {
        checked(Command::new("openssl").args(arguments).args(more).current_dir(self.folder.path()));
    }

    fn sign(&self, name: &str, extensions: &str) {
        let [key, request, signed, ext] =
            ["key.pem", "csr", "cert.pem", "ext"].map(|end| format!("{name}-{end}"));
        fs::write(self.path(&ext), extensions).unwrap();
        self.openssl(
            &["req", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/CN={name}")],
            &["-keyout", &key, "-out", &request],
        );
        self.openssl(
            &["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"],
            &["-days", "2", "-extfile", &ext, "-out", &signed],
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an Engine that shows the certificate of the server, and wants one of the same authority.
    fn engine(&self) -> PrivateEngine {
        let file = |option: &str, name: &str| format!("--{option}={}", self.path(name).display());
        PrivateEngine::start(
            &[
                format!("--host={HOST}"),
                "--tlsverify".to_owned(),
                file("tlscacert", "ca.pem"),
                file("tlscert", "server-cert.pem"),
                file("tlskey", "server-key.pem"),
            ],
            None,
        )
    }

    /// Makes a folder as `DOCKER_CERT_PATH` names it: an authority, and a client's certificate where one is given.
    fn folder(&self, name: &str, authority: &Self, client: Option<&Self>) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(authority.path("ca.pem"), folder.join("ca.pem")).unwrap();
        if let Some(client) = client {
            fs::copy(client.path("client-cert.pem"), folder.join("cert.pem")).unwrap();
            fs::copy(client.path("client-key.pem"), folder.join("key.pem")).unwrap();
        }
        folder
    }
}

/// Returns envtree with the variables of TLS.
fn envtree(
    engine: &PrivateEngine,
    sandbox: &Sandbox,
    arguments: &[&str],
    variable: &str,
    certificates: &Path,
) -> Command {
    let mut command = engine.envtree(sandbox, arguments);
    command.env("DOCKER_HOST", HOST).env(variable, "1").env("DOCKER_CERT_PATH", certificates);
    command
}

fn ran(sandbox: &Sandbox, mut command: Command) -> Ran {
    sandbox.ran(&command.output().unwrap())
}

#[test]
fn an_environment_lives_on_an_engine_with_tls() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let certificates = Certificates::new();
    let engine = certificates.engine();
    engine.bring_image(&sandbox, "busybox:1");
    let folder = certificates.folder("docker", &certificates, Some(&certificates));
    let envtree = |arguments: &[&str]| envtree(&engine, &sandbox, arguments, "DOCKER_TLS_VERIFY", &folder);

    checked(&mut envtree(&["up", "fix"]));
    let names = checked(&mut engine.docker(&["ps", "--format", "{{.Names}}"]));
    assert_eq!(names, sandbox.container("fix", "web"));
    // The end of the input goes over the encrypted connection, and the output still comes back.
    assert_eq!(fed(&mut envtree(&["exec", "fix", "web", "--", "cat"]), "over TLS\n"), "over TLS\n");
    let output = "x".repeat(1 << 20);
    assert_eq!(fed(&mut envtree(&["exec", "fix", "web", "--", "cat"]), &output), output);
    checked(&mut envtree(&["exec", "fix", "web", "--", "sh", "-c", "echo logged >/proc/1/fd/1"]));
    assert!(checked(&mut envtree(&["logs", "fix"])).contains("logged"));
    checked(&mut envtree(&["rm", "fix", "--yes"]));
    assert_eq!(checked(&mut engine.docker(&["ps", "--all", "--quiet"])), "");
}

#[test]
fn certificates_that_do_not_fit_are_refused_with_a_remedy() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let (right, wrong) = (Certificates::new(), Certificates::new());
    let engine = right.engine();
    let plan = ["up", "fix", "--dry-run", "--pull", "never"];
    let said = |variable: &str, folder: &Path| {
        let ran = ran(&sandbox, envtree(&engine, &sandbox, &plan, variable, folder));
        let text = ran.stderr.replace(right.folder.path().to_str().unwrap(), "CERTIFICATES");
        // Which alert it is depends on the Engine's version.
        let alerts = ["BadCertificate", "CertificateRequired", "UnknownCA"];
        let text = alerts.iter().fold(text, |text, alert| text.replace(alert, "ALERT"));
        format!("exit status {}\n{text}", ran.status.unwrap())
    };

    let stranger = right.folder("stranger", &wrong, Some(&right));
    insta::assert_snapshot!(said("DOCKER_TLS_VERIFY", &stranger), @"
    exit status 4
    error: the certificate of the Engine at `tcp://127.0.0.1:2376` is not trusted: invalid peer certificate: BadSignature
    hint: put the certificate of the authority that signed the Engine's into `CERTIFICATES/stranger/ca.pem`
    ");
    let anonymous = right.folder("anonymous", &right, None);
    insta::assert_snapshot!(said("DOCKER_TLS_VERIFY", &anonymous), @"
    exit status 4
    error: the Engine at `tcp://127.0.0.1:2376` refuses a client without a certificate: received fatal alert: ALERT
    hint: put a certificate that the Engine accepts and its key beside `ca.pem`, as `cert.pem` and `key.pem`
    ");
    let unknown = right.folder("unknown", &right, Some(&wrong));
    insta::assert_snapshot!(said("DOCKER_TLS_VERIFY", &unknown), @"
    exit status 4
    error: the Engine at `tcp://127.0.0.1:2376` refuses the certificate `CERTIFICATES/unknown/cert.pem`: received fatal alert: ALERT
    hint: it must be signed by the authority that the Engine was given with `--tlscacert`, for clients
    ");
    insta::assert_snapshot!(said("DOCKER_TLS_VERIFY", &right.path("nothing")), @"
    exit status 4
    error: cannot read certificate file `CERTIFICATES/nothing/ca.pem`
      caused by: No such file or directory (os error 2)
    hint: `DOCKER_CERT_PATH` names the folder of `ca.pem`, `cert.pem` and `key.pem`; a context brings its own, which `docker context inspect` shows
    ");
    insta::assert_snapshot!(said("UNRELATED", &stranger), @"
    exit status 4
    error: the Engine at `tcp://127.0.0.1:2376` speaks TLS only, and TLS is not asked for
    hint: set `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH` to the folder of the certificates
    ");
    // Without verification the Engine may be anyone; it still sees who the client is.
    assert!(!said("DOCKER_TLS", &stranger).contains("exit status 4"));
}

#[test]
fn a_context_brings_its_own_certificates() {
    let sandbox = sandbox_with(&[("compose.yaml", WEB)]);
    let (right, wrong) = (Certificates::new(), Certificates::new());
    let engine = right.engine();
    let config = right.path("config");
    let create = |name: &str, authority: &Certificates, more: &str| {
        let file = |name: &str| right.path(name).display().to_string();
        let ca = authority.path("ca.pem");
        let endpoint = format!(
            "host={HOST},ca={},cert={},key={}{more}",
            ca.display(),
            file("client-cert.pem"),
            file("client-key.pem")
        );
        let mut docker = Command::new("docker");
        docker.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &config);
        checked(docker.args(["context", "create", name, "--docker", &endpoint]));
    };
    create("safe", &right, "");
    create("stranger", &wrong, "");
    create("trusting", &wrong, ",skip-tls-verify=true");
    let used = |context: &str| {
        let mut command = engine.envtree(&sandbox, &["ls"]);
        command.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &config).env("DOCKER_CONTEXT", context);
        ran(&sandbox, command).stderr
    };
    assert!(!used("safe").contains("states are unknown"), "{}", used("safe"));
    assert!(used("stranger").contains("is not trusted"), "{}", used("stranger"));
    assert!(!used("trusting").contains("states are unknown"), "{}", used("trusting"));
}
