//! Where a piece of output comes from.

use bollard::container::LogOutput;
use bytes::Bytes;

/// One of the two streams that a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output, or all output of a pseudo-terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Splits a piece of output into its stream and its bytes; `unmarked` is the stream of a piece that bears no mark.
pub(crate) fn split(output: LogOutput, unmarked: OutputStream) -> (OutputStream, Bytes) {
    match output {
        LogOutput::StdErr { message } => (OutputStream::Stderr, message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } => (OutputStream::Stdout, message),
        LogOutput::Console { message } => (unmarked, message),
    }
}
