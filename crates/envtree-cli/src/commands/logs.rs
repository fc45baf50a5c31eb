//! `envtree logs`: what the services write.

use anstyle::{AnsiColor, Style};
use envtree::exec::{LogLine, LogOptions};
use futures::StreamExt;
use indexmap::IndexSet;
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::completion;
use crate::output::LogLineOutput;
use crate::run::Context;
use crate::text;

const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];

/// Print what services write
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task [default: the worktree you stand in]
    #[arg(add = completion::tasks())]
    task: Option<String>,
    /// Services [default: all of the task]
    #[arg(value_name = "SERVICE", add = completion::services())]
    services: Vec<String>,
    /// Go on until interrupted, or until every container has ended
    #[arg(short, long)]
    follow: bool,
    /// Leave out what is older: a duration such as 10m, or a time such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "WHEN", value_parser = text::parse_since)]
    since: Option<Timestamp>,
    /// Print at most this many lines of each container, the last ones
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
}

impl Args {
    /// Returns the task that was typed.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }
}

/// Prints lines as they arrive.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let options = LogOptions {
        services: args.services.clone(),
        follow: args.follow,
        since: args.since.map(Timestamp::as_second),
        tail: args.tail,
        timestamps: args.timestamps,
    };
    let session = context.session()?;
    let mut lines = session.logs(args.task.as_deref(), &options).await?;
    let mut prefixes = Prefixes::default();
    while let Some(line) = lines.next().await {
        let line = line?;
        if context.ui.wants_json() {
            context.ui.write_json(&LogLineOutput::from(line))?;
        } else {
            context.ui.write(prefixes.line(&line).as_bytes())?;
        }
    }
    Ok(())
}

/// The containers seen so far: the first takes the first colour, and the longest name sets the width.
#[derive(Debug, Default)]
struct Prefixes(IndexSet<String>);

impl Prefixes {
    fn line(&mut self, line: &LogLine) -> String {
        let (position, _) = self.0.insert_full(line.name.clone());
        let width = self.0.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let style: Style = COLORS[position % COLORS.len()].on_default();
        format!("{style}{:<width$} |{style:#} {}\n", line.name, line.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_aligned_as_soon_as_they_are_known() {
        let mut prefixes = Prefixes::default();
        let mut plain = |name: &str| {
            let (service, name) = ("db".to_owned(), name.to_owned());
            let line = LogLine { service, number: 1, name, text: "hello".to_owned(), stderr: false };
            anstream::adapter::strip_str(&prefixes.line(&line)).to_string()
        };
        let lines = [plain("db"), plain("web-2"), plain("db")];
        assert_eq!(lines, ["db | hello\n", "web-2 | hello\n", "db    | hello\n"]);
    }
}
