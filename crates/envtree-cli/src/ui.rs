//! Who may write where: standard output carries the answer alone, standard error everything else.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use envtree::event::{Event, Events};
use envtree::session::Confirm;
use serde::Serialize;

use crate::cli::GlobalArgs;
use crate::command_error::CommandError;
use crate::interrupt;
use crate::ledger::Ledger;
use crate::output::ErrorOutput;
use crate::progress::Progress;
use crate::text;

/// The terminal, and what the person wants to see there.
#[derive(Clone)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    yes: bool,
    progress: Arc<Progress>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Ui {
    /// Sets colours for the whole process. JSON is written only if standard output carries an answer of envtree's.
    pub(crate) fn new(args: &GlobalArgs, answers: bool) -> Self {
        anstream::ColorChoice::from(args.color).write_global();
        let stderr = anstream::AutoStream::choice(&io::stderr());
        console::set_colors_enabled_stderr(stderr != anstream::ColorChoice::Never);
        Self {
            json: args.json && answers,
            quiet: args.quiet,
            verbose: args.verbose,
            yes: args.yes,
            progress: Arc::new(Progress::new(args.verbose)),
            ledger: Arc::default(),
        }
    }

    /// Returns whether the answer is wanted as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    /// Returns whether nobody need be asked.
    pub(crate) fn says_yes(&self) -> bool {
        self.yes
    }

    /// Returns whether details are wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Writes the answer: `value` as JSON if that is wanted, else the text that `text` makes of it.
    pub(crate) fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        self.progress.finish();
        if self.json { self.write_json(value) } else { self.write(text().as_bytes()) }
    }

    /// Writes bytes of the answer as they are.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), CommandError> {
        Ok(self.progress.suspend(|| {
            let mut stdout = anstream::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })?)
    }

    /// Writes one line of JSON.
    pub(crate) fn write_json<T: Serialize>(&self, value: &T) -> Result<(), CommandError> {
        let mut line =
            serde_json::to_string(value).expect("output types have text keys and no failing parts");
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Tells the person something beside the answer, unless they want quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.progress.print(text);
        }
    }

    /// Tells the person something that even quiet must not hide.
    pub(crate) fn insist(&self, text: &str) {
        self.progress.print(text);
    }

    /// Warns the person, unless they want quiet.
    pub(crate) fn warn(&self, text: &str) {
        let style = AnsiColor::Yellow.on_default().bold();
        self.note(&format!("{style}warning:{style:#} {text}"));
    }

    /// Reports a failure: on standard output as JSON if that is wanted, else on standard error.
    pub(crate) fn fail(&self, error: &CommandError) {
        self.progress.finish();
        let written = if self.json {
            self.write_json(&ErrorOutput::from(error))
        } else {
            // Nobody can be told that standard error is closed.
            let _ = anstream::stderr().write_all(error.render().as_bytes());
            Ok(())
        };
        // The exit status tells it where the output cannot.
        let _ = written;
    }

    /// Returns where the library's events go.
    pub(crate) fn events(&self) -> Events {
        let ui = self.clone();
        Events::new(move |event| {
            ui.ledger().note(&event);
            match event {
                Event::Warning(text) => ui.warn(&text),
                event if !ui.quiet => ui.progress.show(&event),
                _ => {}
            }
        })
    }

    /// Returns what was done so far, a line for each sort.
    pub(crate) fn done_so_far(&self) -> Vec<String> {
        self.ledger().notes()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how the library asks for consent: nobody consents to anything without a terminal or `--yes`.
    pub(crate) fn confirm(&self) -> Confirm {
        let ui = self.clone();
        Arc::new(move |losses| {
            let style = Style::new().bold();
            let list = text::lines("  ", losses);
            ui.ask(&format!("{style}This would be lost:{style:#}\n{list}Go on?"))
        })
    }

    /// Asks a question that yes or no answers; no is the answer where nobody can be asked.
    pub(crate) fn ask(&self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return false;
        }
        self.progress.suspend(|| {
            let mut stderr = anstream::stderr();
            let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
            let mut answer = String::new();
            asked.is_ok()
                && interrupt::while_asking(|| io::stdin().lock().read_line(&mut answer)).is_ok()
                && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
        })
    }

    /// Takes unfinished progress off the terminal.
    pub(crate) fn finish(&self) {
        self.progress.finish();
    }
}
