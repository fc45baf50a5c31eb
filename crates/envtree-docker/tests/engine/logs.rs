//! What containers write.

use std::time::Duration;

use envtree_docker::DockerError;
use envtree_docker::logs::LogsOptions;
use envtree_docker::output::OutputStream;
use futures::TryStreamExt;

use crate::stage::{Stage, soon};

#[tokio::test]
async fn the_last_lines_of_a_log_are_read() {
    let stage = Stage::new().await;
    let redis = stage.redis().await;
    let lines = stage.docker.last_lines(redis.id(), 1).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("Ready to accept connections"), "{lines:?}");
}

#[tokio::test]
async fn lines_are_followed_to_the_end_of_the_container() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "echo one; sleep 1; echo two >&2")).await;
    let options = LogsOptions { follow: true, timestamps: true, ..LogsOptions::default() };
    let lines = stage.docker.logs(&name, &options).await.unwrap();
    let lines: Vec<_> = soon(lines.try_collect()).await.unwrap();
    let mut seen: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.stream)).collect();
    seen.sort_unstable_by_key(|(text, _)| *text);
    let expected = [("one", OutputStream::Stdout), ("two", OutputStream::Stderr)];
    assert_eq!(seen, expected);
    assert!(lines.iter().all(|line| line.timestamp.is_some()), "{lines:?}");
}

#[tokio::test]
async fn a_long_line_stays_whole() {
    let stage = Stage::new().await;
    let line = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next";
    let name = stage.run(stage.shell("app", line)).await;
    soon(stage.docker.wait_container(&name)).await.unwrap();
    let options = LogsOptions { timestamps: true, ..LogsOptions::default() };
    let lines = stage.docker.logs(&name, &options).await.unwrap();
    let lines: Vec<_> = lines.try_collect().await.unwrap();
    let lengths: Vec<_> = lines.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [100_000, 4]);
}

#[tokio::test]
async fn the_lines_of_a_terminal_end_without_a_carriage_return() {
    let stage = Stage::new().await;
    let mut container = stage.shell("app", "echo one; echo two >&2; printf '> '");
    container.definition.runtime.tty = true;
    let name = stage.run(container).await;
    soon(stage.docker.wait_container(&name)).await.unwrap();
    let lines = stage.docker.last_lines(&name, 10).await.unwrap();
    assert_eq!(lines, ["one", "two", "> "]);
}

#[tokio::test]
async fn lines_before_the_wanted_time_are_left_out() {
    let stage = Stage::new().await;
    let name = stage.run(stage.shell("app", "echo old; sleep 3; date +%s; echo new")).await;
    soon(stage.docker.wait_container(&name)).await.unwrap();
    let all = stage.docker.last_lines(&name, 10).await.unwrap();
    let since: i64 = all[1].parse().unwrap();
    let options = LogsOptions { since: Some(since - 1), ..LogsOptions::default() };
    let lines = stage.docker.logs(&name, &options).await.unwrap();
    let lines: Vec<_> = lines.map_ok(|line| line.text).try_collect().await.unwrap();
    assert_eq!(lines, all[1..]);
}

#[tokio::test]
async fn a_missing_container_has_no_log() {
    let stage = Stage::new().await;
    let reading = stage.docker.last_lines("envtree-docker-test-none", 5);
    let error = tokio::time::timeout(Duration::from_secs(5), reading).await.unwrap();
    assert!(matches!(error, Err(DockerError::ContainerMissing { .. })), "{error:?}");
}
