//! Why no Engine could be reached, as people see it, and what they can do.

use envtree::error::{ConnectError, SshProblem};

use super::CommandError;

/// Adds what to do about an Engine that cannot be reached.
pub(super) fn no_engine(shown: CommandError, error: &ConnectError) -> CommandError {
    match error {
        ConnectError::NoEngine { tried } => {
            let attempts = tried.iter().map(|attempt| format!("{}: {}", attempt.endpoint, attempt.cause));
            CommandError { causes: attempts.collect(), ..shown }
                .hint("start Docker, or name another Engine with `DOCKER_HOST` or `docker context use`")
                .note("nothing was changed")
        }
        ConnectError::PermissionDenied { .. } => shown.hint(
            "join the group that owns the socket: `sudo usermod -aG docker \"$USER\"`, then log in again",
        ),
        ConnectError::ApiTooOld { .. } => {
            shown.hint("envtree needs Docker Engine 20.10 or a newer one: update it, or name another with `DOCKER_HOST`")
        }
        ConnectError::EndpointInvalid { .. } | ConnectError::EndpointUnsupported { .. } => {
            shown.hint("`DOCKER_HOST` names the endpoint, and where that is not set the Docker context; `docker context ls` lists these")
        }
        ConnectError::ConfigUnreadable { .. } => {
            shown.hint("mend the file, or name another folder with `DOCKER_CONFIG`")
        }
        ConnectError::ContextUnreadable { .. } => {
            shown.hint("mend the file, or make the context anew with `docker context create`")
        }
        ConnectError::ContextMissing { .. } => shown.hint("`docker context ls` lists the contexts there are"),
        ConnectError::CertificateUnreadable { .. } | ConnectError::CertificateInvalid { .. } => shown.hint(
            "`DOCKER_CERT_PATH` names the folder of `ca.pem`, `cert.pem` and `key.pem`; a context brings its own, which `docker context inspect` shows",
        ),
        ConnectError::ServerUntrusted { ca: Some(ca), .. } => {
            shown.hint(format!("put the certificate of the authority that signed the Engine's into `{ca}`"))
        }
        ConnectError::ServerUntrusted { ca: None, .. } => {
            shown.hint("put the certificate of the authority that signed the Engine's into the context, as `ca.pem`")
        }
        ConnectError::ClientRefused { certificate: Some(_), .. } => {
            shown.hint("it must be signed by the authority that the Engine was given with `--tlscacert`, for clients")
        }
        ConnectError::ClientRefused { certificate: None, .. } => shown.hint(
            "put a certificate that the Engine accepts and its key beside `ca.pem`, as `cert.pem` and `key.pem`",
        ),
        ConnectError::TlsMismatch { engine_speaks_tls: true, .. } => {
            shown.hint("set `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH` to the folder of the certificates")
        }
        ConnectError::TlsMismatch { engine_speaks_tls: false, .. } => {
            shown.hint("unset `DOCKER_TLS_VERIFY` and `DOCKER_TLS` if the Engine listens without TLS")
        }
        ConnectError::Ssh { endpoint, problem, .. } => match ssh_hint(endpoint, *problem) {
            Some(hint) => shown.hint(hint),
            None => shown,
        },
        _ => shown,
    }
}

fn ssh_hint(endpoint: &str, problem: SshProblem) -> Option<String> {
    let address = endpoint.trim_start_matches("ssh://");
    // ssh reads such an address too, but has no use for the socket behind it.
    let address = format!("ssh://{}", address.split('/').next().unwrap_or_default());
    let login = format!("ssh {}", crate::text::shell_quoted(&address));
    Some(match problem {
        SshProblem::NoSsh => {
            "install OpenSSH's client, or reach the Engine over `tcp://` with TLS".to_owned()
        }
        SshProblem::HostKeyUnknown => {
            format!("`{login}` shows the key of the machine; accept it there if it is the right one")
        }
        SshProblem::HostKeyChanged => {
            "find out why the key changed; `ssh-keygen -R HOST` forgets the old one".to_owned()
        }
        SshProblem::Refused => format!(
            "`{login} true` must work without a question: add a key to the agent with `ssh-add`, and to that machine with `ssh-copy-id`"
        ),
        SshProblem::Unreachable => format!("`{login} true` shows when the machine answers"),
        SshProblem::NoDocker => {
            "install Docker's client there, where a command over ssh finds it on its `PATH`".to_owned()
        }
        SshProblem::EngineForbidden => {
            "join the group that owns the Engine's socket there: `sudo usermod -aG docker \"$USER\"`"
                .to_owned()
        }
        SshProblem::NoEngine => {
            format!("start Docker there; `{login} docker version` shows whether it answers")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use envtree::error::{DockerError, Error};

    use super::*;

    fn shown(error: ConnectError) -> String {
        let error = CommandError::from(Error::Docker(DockerError::Connect(error)));
        assert_eq!(error.kind.exit_code(), 4);
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    #[test]
    fn a_way_through_ssh_that_is_barred_comes_with_a_remedy() {
        let error = |problem, message: &str| ConnectError::Ssh {
            endpoint: "ssh://me@build:2222/run/docker.sock".to_owned(),
            problem,
            message: message.to_owned(),
        };
        insta::assert_snapshot!(shown(error(SshProblem::HostKeyUnknown, "Host key verification failed.")), @"
        error: cannot reach the Engine at `ssh://me@build:2222/run/docker.sock` through ssh: Host key verification failed.
        hint: `ssh ssh://me@build:2222` shows the key of the machine; accept it there if it is the right one
        ");
        insta::assert_snapshot!(shown(error(SshProblem::NoDocker, "sh: docker: not found")), @"
        error: cannot reach the Engine at `ssh://me@build:2222/run/docker.sock` through ssh: sh: docker: not found
        hint: install Docker's client there, where a command over ssh finds it on its `PATH`
        ");
    }

    #[test]
    fn a_certificate_that_is_refused_comes_with_a_remedy() {
        let endpoint = "tcp://build:2376".to_owned();
        let cause = "received fatal alert: CertificateRequired".to_owned();
        insta::assert_snapshot!(shown(ConnectError::ClientRefused { endpoint, certificate: None, cause }), @"
        error: the Engine at `tcp://build:2376` refuses a client without a certificate: received fatal alert: CertificateRequired
        hint: put a certificate that the Engine accepts and its key beside `ca.pem`, as `cert.pem` and `key.pem`
        ");
    }
}
