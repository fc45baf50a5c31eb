//! The real binary in a temporary repository: standard output, standard error and exit status.

// `cfg(test)` tells clippy that all of it is test code.
#[cfg(test)]
#[path = "../common.rs"]
mod common;
#[cfg(test)]
#[cfg(unix)]
#[path = "../pty.rs"]
mod pty;

mod completions;
#[cfg(test)]
mod doctor;
mod help;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod no_engine;
mod output;
#[cfg(test)]
#[cfg(unix)]
mod terminal;
mod usage;
