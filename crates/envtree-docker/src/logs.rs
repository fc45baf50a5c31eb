//! What containers have written, line by line.

use std::future::ready;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::{LogsOptions as LogsQuery, LogsOptionsBuilder};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::engine::Docker;
use crate::error::DockerError;
use crate::failure::EngineFailure;
use crate::output::{OutputStream, split};

/// A line that is longer is handed on in parts.
const LONGEST_LINE: usize = 1024 * 1024;
/// How long a container may stay silent while its log is followed.
const LONGEST_SILENCE: Duration = Duration::from_hours(7 * 24);

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogsOptions {
    /// Whether to go on until the container ends. Docker 20.10 then leaves out a last line without a line break.
    pub follow: bool,
    /// Only lines from this second on, counted from 1970.
    pub since: Option<i64>,
    /// Only so many lines from the end of what exists; all if absent.
    pub tail: Option<usize>,
    /// Whether lines come with the time of their arrival.
    pub timestamps: bool,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The stream; a container with a pseudo-terminal has one only.
    pub stream: OutputStream,
    /// The time of arrival as RFC 3339, if wanted.
    pub timestamp: Option<String>,
    /// The text without its line break.
    pub text: String,
}

impl Docker {
    /// Returns the lines that a container wrote, as they come.
    ///
    /// The Engine is asked when the stream is first polled. Bytes that are not UTF-8 are replaced.
    pub async fn logs(
        &self,
        container: &str,
        options: &LogsOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, DockerError>>, DockerError> {
        let client = self.client().await?.clone().with_timeout(LONGEST_SILENCE);
        let pieces = client.logs(container, Some(query(options)));
        let lines = Lines::new(container, options.timestamps);
        let lines = pieces
            .map(Some)
            .chain(stream::once(ready(None)))
            .scan(lines, |lines, piece| ready(Some(lines.take(piece))))
            .flat_map(stream::iter);
        Ok(lines.boxed())
    }

    /// Returns the last `count` lines that a container wrote, oldest first, on whichever stream.
    pub async fn last_lines(&self, container: &str, count: usize) -> Result<Vec<String>, DockerError> {
        let options = LogsOptions { tail: Some(count), ..LogsOptions::default() };
        let lines = self.logs(container, &options).await?;
        lines.map_ok(|line| line.text).try_collect().await
    }
}

fn query(options: &LogsOptions) -> LogsQuery {
    let mut query = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .follow(options.follow)
        .timestamps(options.timestamps);
    if let Some(since) = options.since {
        query = query.since(i32::try_from(since).unwrap_or(i32::MAX));
    }
    match options.tail {
        Some(tail) => query.tail(&tail.to_string()).build(),
        None => query.tail("all").build(),
    }
}

/// Puts lines together out of the pieces that the Engine sends, each stream by itself.
struct Lines {
    container: String,
    timestamps: bool,
    stdout: Unfinished,
    stderr: Unfinished,
}

/// The beginning of a line.
#[derive(Default)]
struct Unfinished {
    timestamp: Option<String>,
    bytes: Vec<u8>,
}

impl Lines {
    fn new(container: &str, timestamps: bool) -> Self {
        Self {
            container: container.to_owned(),
            timestamps,
            stdout: Unfinished::default(),
            stderr: Unfinished::default(),
        }
    }

    /// Takes the next piece, or the end, and returns the lines that it completes.
    fn take(&mut self, piece: Option<Result<LogOutput, Bollard>>) -> Vec<Result<LogLine, DockerError>> {
        match piece {
            Some(Ok(piece)) => {
                let (stream, bytes) = split(piece, OutputStream::Stdout);
                self.add(stream, &bytes).into_iter().map(Ok).collect()
            }
            Some(Err(error)) => vec![Err(log_error(&self.container, error.into()))],
            None => [OutputStream::Stdout, OutputStream::Stderr]
                .into_iter()
                .filter_map(|stream| self.finish(stream))
                .map(Ok)
                .collect(),
        }
    }

    fn add(&mut self, stream: OutputStream, piece: &[u8]) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            // The Engine cuts long lines into pieces of 16 KiB, and puts the time before each of them.
            let (timestamp, text) = match split_timestamp(part).filter(|_| self.timestamps) {
                Some((timestamp, text)) => (Some(timestamp), text),
                None => (None, part),
            };
            let line = self.unfinished(stream);
            line.timestamp = line.timestamp.take().or(timestamp);
            line.bytes.extend_from_slice(text);
            if text.ends_with(b"\n") || line.bytes.len() >= LONGEST_LINE {
                lines.extend(self.finish(stream));
            }
        }
        lines
    }

    /// Returns the line that was begun, if there is one.
    fn finish(&mut self, stream: OutputStream) -> Option<LogLine> {
        let Unfinished { timestamp, bytes } = std::mem::take(self.unfinished(stream));
        if bytes.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Some(LogLine {
            stream,
            timestamp,
            // A terminal ends its lines with a carriage return too.
            text: text.strip_suffix('\r').unwrap_or(text).to_owned(),
        })
    }

    fn unfinished(&mut self, stream: OutputStream) -> &mut Unfinished {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }
}

/// Splits off the time that begins a piece.
fn split_timestamp(piece: &[u8]) -> Option<(String, &[u8])> {
    let end = piece.iter().take(40).position(|byte| *byte == b' ')?;
    let timestamp = std::str::from_utf8(&piece[..end]).ok()?;
    let is_time =
        timestamp.len() >= 20 && timestamp.as_bytes()[4] == b'-' && timestamp.as_bytes()[10] == b'T';
    is_time.then(|| (timestamp.to_owned(), &piece[end + 1..]))
}

fn log_error(container: &str, source: EngineFailure) -> DockerError {
    let container = container.to_owned();
    if source.is(404) {
        DockerError::ContainerMissing { container }
    } else {
        DockerError::Logs { container, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(timestamps: bool) -> Lines {
        Lines::new("shop-db-1", timestamps)
    }

    fn stdout(text: &str) -> LogOutput {
        let message = text.to_owned().into();
        LogOutput::StdOut { message }
    }

    fn texts(lines: Vec<Result<LogLine, DockerError>>) -> Vec<String> {
        lines.into_iter().map(|line| line.unwrap().text).collect()
    }

    #[test]
    fn a_line_in_pieces_becomes_one() {
        let mut lines = lines(false);
        assert!(lines.take(Some(Ok(stdout("database system ")))).is_empty());
        let done = texts(lines.take(Some(Ok(stdout("is ready\nnext")))));
        assert_eq!(done, ["database system is ready"]);
        assert_eq!(texts(lines.take(None)), ["next"]);
    }

    #[test]
    fn the_streams_do_not_mix() {
        let mut lines = lines(false);
        lines.take(Some(Ok(stdout("out"))));
        let message = "err\n".into();
        let done = lines.take(Some(Ok(LogOutput::StdErr { message })));
        let line = done.into_iter().next().unwrap().unwrap();
        assert_eq!((line.stream, line.text.as_str()), (OutputStream::Stderr, "err"));
    }

    #[test]
    fn the_time_before_each_piece_of_a_line_is_taken_off() {
        let mut lines = lines(true);
        lines.take(Some(Ok(stdout("2026-11-21T06:48:01.5Z first "))));
        let done = lines.take(Some(Ok(stdout("2026-11-21T06:48:01.6Z second\n"))));
        let line = done.into_iter().next().unwrap().unwrap();
        assert_eq!(line.text, "first second");
        assert_eq!(line.timestamp.as_deref(), Some("2026-11-21T06:48:01.5Z"));
    }

    #[test]
    fn a_time_that_the_program_wrote_stays() {
        let mut lines = lines(false);
        let done = texts(lines.take(Some(Ok(stdout("2026-11-21T06:48:01.5Z hello\r\n")))));
        assert_eq!(done, ["2026-11-21T06:48:01.5Z hello"]);
    }
}
