//! Candidates for the words of a command line, from the repository that the person stands in.
//!
//! A completion that fails offers nothing: the shell has no place for a message.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap_complete::{ArgValueCandidates, CompletionCandidate};
use envtree::event::Events;
use envtree::load::Input;
use envtree::session::{Session, SessionOptions};

/// Completes a task.
pub(crate) fn tasks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = session().and_then(|session| session.task_names().ok());
        candidates(names)
    })
}

/// Completes a snapshot or a base.
pub(crate) fn bases() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(base_names()))
}

/// Completes what data can begin with.
pub(crate) fn sources() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let tasks = session().and_then(|session| session.task_names().ok());
        candidates(Some(base_names().into_iter().chain(tasks).flatten().collect()))
    })
}

fn base_names() -> Option<Vec<String>> {
    let session = session()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let bases = runtime.block_on(session.bases()).ok()?;
    Some(bases.into_iter().map(|base| base.name).collect())
}

/// Completes a service of the task that stands before it.
pub(crate) fn services() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = Line::of_process().task.and_then(|task| {
            let session = session()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(session.service_names(&task)).ok()
        });
        candidates(names)
    })
}

fn candidates(names: Option<Vec<String>>) -> Vec<CompletionCandidate> {
    names.into_iter().flatten().map(CompletionCandidate::new).collect()
}

fn session() -> Option<Session> {
    let directory = env::current_dir().ok()?;
    Session::open(SessionOptions {
        directory: directory.join(Line::of_process().directory.unwrap_or_default()),
        files: Vec::new(),
        input: Input::empty(),
        profiles: Vec::new(),
        environment: variables(),
        command: "envtree".to_owned(),
        lock_timeout: Duration::ZERO,
        events: Events::ignored(),
        confirm: Arc::new(|_| false),
    })
    .ok()
}

/// Returns the variables of the process; one that is no UTF-8 is none that envtree reads.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    env::vars_os().filter_map(text).collect()
}

/// What candidates depend on, out of a command line that is not complete.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    directory: Option<PathBuf>,
    task: Option<String>,
}

impl Line {
    /// Reads the command line that the shell wants completed: it stands after the process's own `--`.
    fn of_process() -> Self {
        let words = env::args_os().map(|word| word.to_string_lossy().into_owned());
        Self::of(words.skip_while(|word| word != "--").skip(2))
    }

    /// Reads the words after the program: the command is the first that is no option, the task the second.
    fn of(words: impl Iterator<Item = String>) -> Self {
        let mut line = Self::default();
        let mut plain = 0;
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-C" => line.directory = words.next().map(PathBuf::from),
                "--" => break,
                "--file" | "--profile" | "--color" | "--timeout" | "--since" | "--tail" | "-e" | "--env"
                | "--volume" | "-p" | "--publish" | "-u" | "--user" | "-w" | "--workdir" | "--entrypoint"
                | "--name" | "--pull" => {
                    words.next();
                }
                option if option.starts_with('-') => {}
                _ => {
                    plain += 1;
                    if plain == 2 && words.peek().is_some() {
                        line.task = Some(word);
                    }
                }
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::of(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_task_stands_after_the_command() {
        assert_eq!(line("-C /x -q exec fix --no-tty d").task.as_deref(), Some("fix"));
        assert_eq!(line("-C /x exec fix ").directory, Some(PathBuf::from("/x")));
    }

    #[test]
    fn the_word_under_the_cursor_is_no_task_yet() {
        assert_eq!(line("exec fi"), Line::default());
    }
}
