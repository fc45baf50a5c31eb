//! Asks a credential helper: a program that reads a server's address and writes its user and secret as JSON.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval_at, timeout};

use super::{CredentialFailure, of_token, of_user};
use crate::running::{Leash, Mark};

/// How long a helper may take, which may ask the person to open a key ring.
pub(super) const LIMIT: Duration = Duration::from_mins(1);
/// How often the person is told that it is awaited.
const NOTICE: Duration = Duration::from_secs(1);
/// What every helper says when it has nothing for a server.
const NOTHING: &str = "credentials not found in native keychain";
/// The user by which a helper tells that the secret is a token.
const TOKEN: &str = "<token>";

/// Asks the helper `program`; `waiting` is called now and then while it takes its time.
pub(super) async fn ask(
    program: &str,
    server: &str,
    limit: Duration,
    waiting: &(dyn Fn() + Send + Sync),
) -> Result<Option<DockerCredentials>, CredentialFailure> {
    let mut command = Command::new(program);
    // It stays in envtree's process group, so that it may ask at the terminal.
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mark = Mark::unique();
    command.env(Mark::VARIABLE, mark.to_string());
    let mut child = command.spawn().map_err(|error| not_started(program, &error))?;
    // Dropped before the child, whose descendants could not be told once it is dead.
    let mut leash = Leash::of_tree(child.id(), Some(mark));
    let ended = timeout(limit, answer_of(&mut child, server));
    tokio::pin!(ended);
    let mut notices = interval_at(Instant::now() + NOTICE, NOTICE);
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            _ = notices.tick() => waiting(),
        }
    };
    let failed = |what: &str| CredentialFailure::of_helper(program, what);
    let Ok(ended) = ended else {
        return Err(failed(&format!("did not answer within {} s", limit.as_secs_f32())));
    };
    let answer = ended.map_err(|error| failed(&format!("cannot be heard: {error}")))?;
    leash.release();
    if answer.status.success() {
        return read(&answer.stdout, server)
            .map_err(|NoAnswer| failed("gave an answer that is not user and secret"));
    }
    match answer.said() {
        said if said.contains(NOTHING) => Ok(None),
        said if said.is_empty() => Err(failed(&format!("failed without a word ({})", answer.status))),
        said => Err(failed(&format!("failed: {said}"))),
    }
}

fn not_started(program: &str, error: &io::Error) -> CredentialFailure {
    match error.kind() {
        io::ErrorKind::NotFound => CredentialFailure::of_helper(program, "is not installed"),
        _ => CredentialFailure::of_helper(program, &format!("cannot be run: {error}")),
    }
}

/// How a helper ended, and what it wrote.
struct Answer {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Answer {
    /// Returns what a helper that failed gave as the reason: on its standard output, as Docker's own do, or else.
    fn said(&self) -> String {
        let line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            // What went wrong in the end stands last.
            lines[lines.len().saturating_sub(3)..].join("; ")
        };
        let stdout = line(&self.stdout);
        if stdout.is_empty() { line(&self.stderr) } else { stdout }
    }
}

async fn answer_of(child: &mut Child, server: &str) -> io::Result<Answer> {
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let mut output = child.stdout.take().expect("its output is a pipe");
    let mut errors = child.stderr.take().expect("its errors are a pipe");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let tell = async {
        // A helper that ends without reading says why.
        let _ = stdin.write_all(server.as_bytes()).await;
        drop(stdin);
    };
    let ((), status, read, also_read) =
        tokio::join!(tell, child.wait(), output.read_to_end(&mut stdout), errors.read_to_end(&mut stderr));
    read.and(also_read)?;
    Ok(Answer { status: status?, stdout, stderr })
}

/// What a helper wrote is not what helpers write; it may hold a secret all the same.
struct NoAnswer;

/// Reads the answer of a helper that succeeded; without a user and a secret it has none.
fn read(answer: &[u8], server: &str) -> Result<Option<DockerCredentials>, NoAnswer> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| NoAnswer)?;
    let text = |key: &str| answer[key].as_str().ok_or(NoAnswer);
    Ok(match (text("Username")?, text("Secret")?) {
        ("", "") => None,
        (TOKEN, token) => Some(of_token(server, token)),
        (user, secret) => Some(of_user(server, user, secret)),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tempfile::TempDir;

    use super::*;

    /// Makes a helper of a shell script that finds its folder in `$here`; returns the folder and the program.
    fn helper(script: &str) -> (TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("helper");
        let script = format!("#!/bin/sh\nhere={}\n{script}\n", folder.path().display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.display().to_string();
        (folder, program)
    }

    /// Returns what a helper of `script` gives for the server `r:1`, or why it gives nothing.
    async fn told(script: &str) -> String {
        let (_folder, program) = helper(script);
        match ask(&program, "r:1", LIMIT, &|| ()).await {
            Ok(Some(found)) => format!("{:?} {:?} {:?}", found.username, found.password, found.identitytoken),
            Ok(None) => "none".to_owned(),
            Err(failure) => failure.to_string().replace(&program, "helper"),
        }
    }

    #[tokio::test]
    async fn a_helper_is_asked_as_docker_asks_it() {
        let asked = r#"printf '{"Username":"%s","Secret":"%s"}' "$1" "$(cat)""#;
        assert_eq!(told(asked).await, r#"Some("get") Some("r:1") None"#);
        assert_eq!(told(r#"echo '{"Username":"<token>","Secret":"t"}'"#).await, r#"None None Some("t")"#);
        assert_eq!(told(r#"echo '{"Username":"","Secret":""}'"#).await, "none");
        assert_eq!(told("echo credentials not found in native keychain; exit 1").await, "none");
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_named_with_what_it_said() {
        assert_eq!(
            told("echo keychain locked; exit 1").await,
            "credential helper `helper` failed: keychain locked"
        );
        assert_eq!(told("echo no bus >&2; exit 1").await, "credential helper `helper` failed: no bus");
        assert_eq!(told("exit 3").await, "credential helper `helper` failed without a word (exit status: 3)");
        // What a helper that succeeds writes may be a secret.
        assert_eq!(
            told("echo secret").await,
            "credential helper `helper` gave an answer that is not user and secret"
        );
        let missing = ask("docker-credential-none-such", "r", LIMIT, &|| ()).await.unwrap_err();
        assert_eq!(missing.to_string(), "credential helper `docker-credential-none-such` is not installed");
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_told_of_and_ended_with_all_that_it_started() {
        // Every process holds the pipe open for writing; its reader meets the end once all of them are gone.
        let (folder, program) = helper("exec 3>$here/fifo; (trap '' TERM INT HUP; sleep 600) & sleep 600");
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = std::thread::spawn(move || std::io::read_to_string(std::fs::File::open(fifo).unwrap()));
        let notices = AtomicU32::new(0);
        let waiting = || {
            notices.fetch_add(1, Ordering::SeqCst);
        };
        let limit = Duration::from_secs(3);
        let failure = ask(&program, "r", limit, &waiting).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("credential helper `{program}` did not answer within 3 s"));
        assert!(notices.into_inner() >= 1);
        let end = tokio::task::spawn_blocking(move || reader.join().unwrap());
        let text = timeout(LIMIT, end).await.expect("every process is gone").unwrap();
        assert_eq!(text.unwrap(), "");
    }
}
