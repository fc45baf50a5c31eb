//! Turns errors into what people and scripts see: a kind, causes, hints, notes and an exit status.
//!
//! Nothing else chooses an exit status or words a hint.

mod build;
mod connect;
mod data;
mod library;
mod state;

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use anstyle::{AnsiColor, Style};

/// Stands in a hint behind a command, for the task that was typed; no argument can contain this character.
pub(crate) const TASK: &str = "\0";
/// Stands in a hint for the command that continues what this one began.
pub(crate) const AGAIN: &str = "\x01";

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something is wrong with what the person gave or with the repository.
    Input,
    /// The command line cannot be understood.
    Usage,
    /// A check found something to do.
    Findings,
    /// No Engine answers.
    Engine,
    /// An operation failed part-way; the environment is left resumable.
    PartWay,
    /// envtree is at fault.
    Bug,
    /// A signal ended the command.
    Interrupted {
        /// The signal's number.
        signal: u8,
    },
    /// A command that `exec` was to run could not be started.
    Command {
        /// The status that a shell would return: 127 not found, 126 not executable.
        status: u8,
    },
    /// Whoever read the answer has stopped reading: no failure, and nothing is said.
    Closed,
}

impl Kind {
    /// Returns the exit status.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Input => 1,
            Self::Usage => 2,
            Self::Findings => 3,
            Self::Engine => 4,
            Self::PartWay => 5,
            Self::Bug => 70,
            Self::Interrupted { signal } => 128 + signal,
            Self::Command { status } => status,
        }
    }

    /// Returns the word for scripts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Input => "input",
            Self::Usage => "usage",
            Self::Findings => "findings",
            Self::Engine => "engine",
            Self::PartWay => "part-way",
            Self::Bug => "bug",
            Self::Interrupted { .. } => "interrupted",
            Self::Command { .. } => "command",
        }
    }
}

/// A failure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandError {
    /// What sort of failure it is.
    pub(crate) kind: Kind,
    /// Doing what, to which resource.
    pub(crate) message: String,
    /// Why, outermost first.
    pub(crate) causes: Vec<String>,
    /// What would have been lost, a line each.
    pub(crate) losses: Vec<String>,
    /// What to run next.
    pub(crate) hints: Vec<String>,
    /// What state is left.
    pub(crate) notes: Vec<String>,
    /// The last lines of output of what failed.
    pub(crate) log: Vec<String>,
}

impl CommandError {
    /// Returns a failure with a message alone.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            losses: Vec::new(),
            hints: Vec::new(),
            notes: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Returns a failure of the person's input or of the repository.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// Adds `error` and its sources to the causes.
    pub(crate) fn caused_by(mut self, error: &(dyn StdError + 'static)) -> Self {
        self.causes.push(error.to_string());
        self.causes.extend(sources(error));
        self
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds last lines of output.
    pub(crate) fn log(mut self, lines: &[String]) -> Self {
        self.log.extend_from_slice(lines);
        self
    }

    /// Adds a note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Fills in what hints leave open: the task that they act on, and the command that continues this one's work.
    ///
    /// Hints that are filled in already stay as they are.
    pub(crate) fn addressed(mut self, task: Option<&str>, again: Option<&str>) -> Self {
        let task = task.map(|task| format!(" {}", crate::text::shell_quoted(task))).unwrap_or_default();
        let again = again.map_or_else(|| "the command".to_owned(), |command| format!("`{command}`"));
        for hint in &mut self.hints {
            *hint = hint.replace(TASK, &task).replace(AGAIN, &again);
        }
        self
    }

    /// Returns the lines for people, coloured; the stream strips colours where they are not wanted.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut line = |indent: &str, label: &str, style: Style, body: &str| {
            // Further lines of a body stand below its first, so that no line reads like a new entry.
            let body = body.trim_end().replace('\n', &format!("\n{indent}  "));
            let space = if body.starts_with('\n') { "" } else { " " };
            let _ = writeln!(text, "{indent}{style}{label}:{style:#}{space}{body}");
        };
        line("", "error", AnsiColor::Red.on_default().bold(), &self.message);
        for cause in &self.causes {
            line("  ", "caused by", Style::new().dimmed(), cause);
        }
        if !self.losses.is_empty() {
            line("  ", "this would be lost", Style::new().dimmed(), &format!("\n{}", self.losses.join("\n")));
        }
        for output in &self.log {
            line("  ", "output", Style::new().dimmed(), output);
        }
        for hint in &self.hints {
            line("", "hint", AnsiColor::Cyan.on_default().bold(), hint);
        }
        for note in &self.notes {
            line("", "note", Style::new().bold(), note);
        }
        text
    }
}

fn sources(error: &(dyn StdError + 'static)) -> Vec<String> {
    std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect()
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::Closed, "the output was closed"),
            _ => Self::input("cannot write the output").caused_by(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_cause_stay_below_it() {
        let error = CommandError::input("x").caused_by(&io::Error::other("first\nerror: second"));
        let text = anstream::adapter::strip_str(&error.render()).to_string();
        assert_eq!(text, "error: x\n  caused by: first\n    error: second\n");
    }

    #[test]
    fn hints_act_on_the_task_that_was_typed() {
        let error = || CommandError::input("x").hint(format!("`envtree start{TASK}`, then {AGAIN}"));
        let hint = |task, again| error().addressed(task, again).hints.remove(0);
        assert_eq!(
            hint(Some("it's"), Some("envtree up x")),
            r"`envtree start 'it'\''s'`, then `envtree up x`"
        );
        assert_eq!(hint(None, None), "`envtree start`, then the command");
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        let error = CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.kind.exit_code(), 0);
    }

    #[test]
    fn exit_statuses_are_the_documented_ones() {
        let kinds = [Kind::Input, Kind::Usage, Kind::Findings, Kind::PartWay, Kind::Bug];
        assert_eq!(kinds.map(Kind::exit_code), [1, 2, 3, 5, 70]);
        assert_eq!(Kind::Interrupted { signal: 2 }.exit_code(), 130);
    }
}
