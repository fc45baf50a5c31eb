//! Commands in a container that the adapter did not make.

use std::time::Duration;

use envtree_docker::DockerError;
use envtree_docker::exec::{ExecOptions, TerminalSize};
use envtree_docker::output::OutputStream;
use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;

use crate::stage::{Stage, soon};

const LIMIT: Duration = Duration::from_secs(20);

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn a_command_gives_its_exit_status_and_its_output() {
    let stage = Stage::new().await;
    let redis = stage.redis().await;
    let docker = &stage.docker;
    let status = docker.exec_status(redis.id(), &words(["redis-cli", "ping"]), LIMIT).await.unwrap();
    assert_eq!((status.code, status.output.trim()), (0, "PONG"));
    let failing = words(["sh", "-c", "echo no >&2; exit 7"]);
    let status = docker.exec_status(redis.id(), &failing, LIMIT).await.unwrap();
    assert_eq!((status.code, status.output.as_str()), (7, "no\n"));
    let status = docker.exec_status(redis.id(), &words(["no-such-program"]), LIMIT).await.unwrap();
    assert!(matches!(status.code, 126 | 127), "{status:?}");
}

#[tokio::test]
async fn a_command_without_end_is_given_up() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "sleep 300")).await;
    let limit = Duration::from_millis(300);
    let error = stage.docker.exec_status(&name, &words(["sleep", "60"]), limit).await.unwrap_err();
    assert!(matches!(error, DockerError::ExecTimeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_command_needs_a_running_container() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "true")).await;
    soon(stage.docker.wait_container(&name)).await.unwrap();
    let command = words(["true"]);
    let error = stage.docker.exec_status(&name, &command, LIMIT).await.unwrap_err();
    assert!(matches!(error, DockerError::ContainerNotRunning { .. }), "{error:?}");
    let error = stage.docker.exec_status(&stage.name("none"), &command, LIMIT).await.unwrap_err();
    assert!(matches!(error, DockerError::ContainerMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_session_reads_its_input_to_the_end() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "sleep 300")).await;
    let options = ExecOptions {
        cmd: words(["sh", "-c", "cat; echo $WORD in $PWD as $(id -u) >&2; exit 3"]),
        env: [("WORD".to_owned(), "hello".to_owned())].into(),
        user: Some("1".to_owned()),
        working_dir: Some("/tmp".to_owned()),
        stdin: true,
        ..ExecOptions::default()
    };
    let session = stage.docker.exec_session(&name, &options).await.unwrap();
    let mut input = session.input.unwrap();
    input.write_all(b"first\nsecond\n").await.unwrap();
    input.shutdown().await.unwrap();
    let pieces: Vec<_> = soon(session.output.try_collect()).await.unwrap();
    let written = |wanted| {
        let pieces = pieces.iter().filter(|(stream, _)| *stream == wanted);
        let bytes: Vec<u8> = pieces.flat_map(|(_, bytes)| bytes.to_vec()).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(written(OutputStream::Stdout), "first\nsecond\n");
    assert_eq!(written(OutputStream::Stderr), "hello in /tmp as 1\n");
    assert_eq!(soon(session.control.exit_code()).await.unwrap(), 3);
}

#[tokio::test]
async fn a_terminal_has_the_size_that_it_is_given() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "sleep 300")).await;
    let options = ExecOptions {
        cmd: words(["sh", "-c", "read line; stty size; read line; stty size"]),
        tty: true,
        size: Some(TerminalSize { height: 30, width: 100 }),
        stdin: true,
        ..ExecOptions::default()
    };
    let mut session = stage.docker.exec_session(&name, &options).await.unwrap();
    let mut input = session.input.take().unwrap();
    input.write_all(b"\n").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("30 100") {
        let (_, bytes) = soon(session.output.try_next()).await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    let size = TerminalSize { height: 41, width: 120 };
    session.control.resize(size).await.unwrap();
    input.write_all(b"\n").await.unwrap();
    while let Some((stream, bytes)) = soon(session.output.try_next()).await.unwrap() {
        assert_eq!(stream, OutputStream::Stdout);
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(seen.contains("41 120"), "{seen}");
    assert_eq!(soon(session.control.exit_code()).await.unwrap(), 0);
}
