//! Why a connection through ssh ended, read from what `ssh` and the other machine said.

use std::io;

/// What stands between this machine and the Engine behind ssh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SshProblem {
    /// This machine has no `ssh` program.
    NoSsh,
    /// Nobody has yet said that the other machine's key is the right one.
    HostKeyUnknown,
    /// The other machine shows another key than it used to.
    HostKeyChanged,
    /// The other machine lets this person in with none of the keys.
    Refused,
    /// The other machine does not answer.
    Unreachable,
    /// The other machine has no `docker` program.
    NoDocker,
    /// The user on the other machine may not speak to its Engine.
    EngineForbidden,
    /// No Engine answers on the other machine.
    NoEngine,
    /// Anything else.
    Other,
}

/// The end of a connection that was not to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SshFailure {
    pub(crate) problem: SshProblem,
    message: String,
}

impl SshFailure {
    pub(crate) fn not_started(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => {
                Self { problem: SshProblem::NoSsh, message: "there is no program `ssh`".to_owned() }
            }
            _ => Self { problem: SshProblem::Other, message: format!("cannot run `ssh`: {error}") },
        }
    }

    /// Reads the exit status of `ssh`, and what came over its standard error.
    pub(crate) fn of(status: Option<i32>, said: &str) -> Self {
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| is_telling(line)).collect();
        let message = match lines.as_slice() {
            [] => status.map_or_else(
                || "`ssh` was ended by a signal".to_owned(),
                |status| format!("`ssh` exited with status {status} and said nothing"),
            ),
            // What went wrong in the end stands last.
            lines => lines[lines.len().saturating_sub(3)..].join("; "),
        };
        Self { problem: problem(status, said), message }
    }
}

/// A frame around a warning, and what ssh says of every new host, tell nothing.
fn is_telling(line: &str) -> bool {
    line.contains(|c: char| c.is_alphanumeric()) && !line.starts_with("Warning: Permanently added")
}

fn problem(status: Option<i32>, said: &str) -> SshProblem {
    let says = |fragments: &[&str]| fragments.iter().any(|fragment| said.contains(fragment));
    // ssh has this status for itself; any other is that of the command on the other machine.
    let is_of_ssh = status == Some(255);
    if is_of_ssh && says(&["IDENTIFICATION HAS CHANGED"]) {
        SshProblem::HostKeyChanged
    } else if is_of_ssh && says(&["Host key verification failed", "host key is known for"]) {
        SshProblem::HostKeyUnknown
    } else if is_of_ssh && says(&["Permission denied", "Too many authentication failures"]) {
        SshProblem::Refused
    } else if is_of_ssh {
        let unreachable = ["Could not resolve", "Connection refused", "timed out", "No route", "unreachable"];
        if says(&unreachable) { SshProblem::Unreachable } else { SshProblem::Other }
    } else if status == Some(127) || says(&["command not found", "docker: not found"]) {
        SshProblem::NoDocker
    } else if says(&["permission denied"]) {
        SshProblem::EngineForbidden
    } else if says(&["Cannot connect to the Docker daemon", "dial unix", "connection refused"]) {
        SshProblem::NoEngine
    } else {
        SshProblem::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_tells_what_is_in_the_way() {
        let told = |status: i32, said: &str| SshFailure::of(Some(status), said).problem;
        let unknown = "No ED25519 host key is known for h and you have requested strict checking.\r\nHost key verification failed.\r\n";
        assert_eq!(told(255, unknown), SshProblem::HostKeyUnknown);
        let changed =
            "@@@@\r\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\r\nHost key verification failed.";
        assert_eq!(told(255, changed), SshProblem::HostKeyChanged);
        assert_eq!(told(255, "me@h: Permission denied (publickey)."), SshProblem::Refused);
        assert_eq!(told(255, "ssh: connect to host h port 22: Connection refused"), SshProblem::Unreachable);
        assert_eq!(told(127, "bash: line 1: docker: command not found"), SshProblem::NoDocker);
        let denied = "failed to open the raw stream connection: dial unix /run/docker.sock: connect: permission denied";
        assert_eq!(told(1, denied), SshProblem::EngineForbidden);
        assert_eq!(told(1, &denied.replace("permission denied", "no such file")), SshProblem::NoEngine);
        assert_eq!(told(2, ""), SshProblem::Other);
    }

    #[test]
    fn the_message_is_the_end_of_what_was_said() {
        let said = "@@@@@\r\nWarning: Permanently added 'h'\r\na\r\n\r\nb\r\nc\r\nd\r\n";
        assert_eq!(SshFailure::of(Some(255), said).to_string(), "b; c; d");
        assert_eq!(SshFailure::of(Some(9), "").to_string(), "`ssh` exited with status 9 and said nothing");
    }
}
