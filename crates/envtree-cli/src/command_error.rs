//! Turns errors into what people and scripts see: a kind, causes, hints, notes and an exit status.
//!
//! Nothing else chooses an exit status or words a hint.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use anstyle::{AnsiColor, Style};
use envtree::error::Error;

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something is wrong with what the person gave or with the repository.
    Input,
    /// The command line cannot be understood.
    Usage,
    /// A check found something to do.
    #[expect(dead_code, reason = "the commands that check are yet to come")]
    Findings,
    /// No Engine answers.
    #[expect(dead_code, reason = "the library does not tell it apart yet")]
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
    /// What to run next.
    pub(crate) hints: Vec<String>,
    /// What state is left.
    pub(crate) notes: Vec<String>,
}

impl CommandError {
    /// Returns a failure with a message alone.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), notes: Vec::new() }
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

    /// Adds a note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Returns the lines for people, coloured; the stream strips colours where they are not wanted.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut line = |indent: &str, label: &str, style: Style, body: &str| {
            // Further lines of a body stand below its first, so that no line reads like a new entry.
            let body = body.trim_end().replace('\n', &format!("\n{indent}  "));
            let _ = writeln!(text, "{indent}{style}{label}:{style:#} {body}");
        };
        line("", "error", AnsiColor::Red.on_default().bold(), &self.message);
        for cause in &self.causes {
            line("  ", "caused by", Style::new().dimmed(), cause);
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

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let shown = Self { causes: sources(&error), ..Self::input(error.to_string()) };
        match error {
            Error::UnknownTask { task, known } => unknown_task(shown, &task, &known),
            Error::PartWay { failures, done, .. } => {
                part_way(shown, failures.into_iter().map(|failure| failure.causes).collect(), &done)
            }
            other => unwanted_loss(shown, other),
        }
    }
}

/// Describes a refusal to lose something; any other error stays as it is shown.
fn unwanted_loss(shown: CommandError, error: Error) -> CommandError {
    match error {
        Error::UnsavedWork { losses, .. } => CommandError { causes: losses, ..shown }
            .hint("commit and push it, or throw it away with `envtree rm --force`")
            .note("nothing was removed"),
        Error::Declined { losses } => CommandError {
            message: "nothing was changed: it needs consent".to_owned(),
            causes: losses,
            ..shown
        }
        .hint("`--yes` consents to exactly this"),
        _ => shown,
    }
}

fn unknown_task(shown: CommandError, task: &str, known: &[String]) -> CommandError {
    let near = known
        .iter()
        .map(|name| (edit_distance(task, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.chars().count() / 3))
        .min();
    let shown = match near {
        Some((_, name)) => shown.hint(format!("did you mean `{name}`?")),
        None if known.is_empty() => shown.hint(format!("`envtree up {task}` makes it")),
        None => shown.hint(format!("`envtree ls` lists them; `envtree up {task}` makes it")),
    };
    if known.is_empty() {
        shown.note("this repository has no environments")
    } else {
        shown.note(format!("there are: {}", quoted(known)))
    }
}

fn part_way(shown: CommandError, failures: Vec<Vec<String>>, done: &[String]) -> CommandError {
    // One failure shows its chain of causes line by line; several show one line each.
    let causes = match <[_; 1]>::try_from(failures) {
        Ok([chain]) => chain,
        Err(several) => several.into_iter().map(|chain| chain.join(": ")).collect(),
    };
    let shown = CommandError { kind: Kind::PartWay, causes, ..shown }
        .hint("`envtree up` continues from here, `envtree status` shows what there is");
    if done.is_empty() {
        shown.note("nothing was changed before that")
    } else {
        shown.note(format!("done before that and kept: {}", done.join(", ")))
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Returns how many characters must be added, dropped or changed to turn one text into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: Error) -> String {
        anstream::adapter::strip_str(&CommandError::from(error).render()).to_string()
    }

    #[test]
    fn a_failure_part_way_says_why_what_is_left_and_what_to_run() {
        let error = Error::PartWay {
            project: "shop-x".to_owned(),
            failures: vec![vec!["cannot start service `db`".to_owned(), "address already in use".to_owned()]],
            done: vec!["create network shop-x_default".to_owned()],
        };
        assert_eq!(CommandError::from(error).kind.exit_code(), 5);
    }

    #[test]
    fn several_failures_take_a_line_each() {
        let failures = vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
        let error = Error::PartWay { project: "shop-x".to_owned(), failures, done: Vec::new() };
        insta::assert_snapshot!(shown(error), @"
        error: could not bring up environment `shop-x`
          caused by: a: b
          caused by: c
        hint: `envtree up` continues from here, `envtree status` shows what there is
        note: nothing was changed before that
        ");
    }

    #[test]
    fn a_mistyped_task_gets_a_suggestion() {
        let error = Error::UnknownTask {
            task: "fix-logn".to_owned(),
            known: vec!["fix-login".to_owned(), "search".to_owned()],
        };
        insta::assert_snapshot!(shown(error), @"
        error: no environment of this repository has the task `fix-logn`
        hint: did you mean `fix-login`?
        note: there are: `fix-login`, `search`
        ");
    }

    #[test]
    fn unsaved_work_is_listed() {
        let error = Error::UnsavedWork {
            worktree: "/work/shop.worktrees/x".into(),
            losses: vec!["2 changed files".to_owned(), "1 commit on no other branch".to_owned()],
        };
        insta::assert_snapshot!(shown(error), @"
        error: worktree `/work/shop.worktrees/x` holds work that exists nowhere else
          caused by: 2 changed files
          caused by: 1 commit on no other branch
        hint: commit and push it, or throw it away with `envtree rm --force`
        note: nothing was removed
        ");
    }

    #[test]
    fn lines_of_a_cause_stay_below_it() {
        let error = CommandError::input("x").caused_by(&io::Error::other("first\nerror: second"));
        let text = anstream::adapter::strip_str(&error.render()).to_string();
        assert_eq!(text, "error: x\n  caused by: first\n    error: second\n");
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        let error = CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.kind.exit_code(), 0);
    }

    #[test]
    fn exit_statuses_are_the_documented_ones() {
        let kinds = [Kind::Input, Kind::Usage, Kind::PartWay, Kind::Bug, Kind::Interrupted { signal: 2 }];
        assert_eq!(kinds.map(Kind::exit_code), [1, 2, 5, 70, 130]);
    }
}
