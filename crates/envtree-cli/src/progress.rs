//! Shows what a command is doing on standard error: moving lines on a terminal, plain lines elsewhere.

mod bars;
mod plain;
mod step;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use envtree::event::Event;

use bars::Bars;
use plain::Plain;
use step::Step;

/// What is shown of the work that goes on.
pub(crate) struct Progress(Mutex<Drawing>);

enum Drawing {
    Bars(Bars),
    Plain(Plain),
}

impl Progress {
    /// Draws bars if standard error is a terminal; `verbose` shows every step.
    pub(crate) fn new(verbose: bool) -> Self {
        let drawing = if std::io::stderr().is_terminal() {
            Drawing::Bars(Bars::new(verbose))
        } else {
            Drawing::Plain(Plain::new(verbose))
        };
        Self(Mutex::new(drawing))
    }

    /// Shows that `event` happened.
    pub(crate) fn show(&self, event: &Event) {
        let Some(step) = Step::of(event) else { return };
        match &mut *self.drawing() {
            Drawing::Bars(bars) => bars.show(&step),
            Drawing::Plain(plain) => {
                if let Some(line) = plain.line(&step, Instant::now()) {
                    write_line(&line);
                }
            }
        }
    }

    /// Writes a line that stays, above the lines that move.
    pub(crate) fn print(&self, line: &str) {
        self.suspend(|| write_line(line));
    }

    /// Runs `action` while nothing moves on the terminal.
    pub(crate) fn suspend<T>(&self, action: impl FnOnce() -> T) -> T {
        match &*self.drawing() {
            Drawing::Bars(bars) => bars.suspend(action),
            Drawing::Plain(_) => action(),
        }
    }

    /// Takes the lines that move off the terminal.
    pub(crate) fn finish(&self) {
        if let Drawing::Bars(bars) = &mut *self.drawing() {
            bars.clear();
        }
    }

    // A panic elsewhere must not hide the messages that follow it.
    fn drawing(&self) -> MutexGuard<'_, Drawing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_line(line: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(anstream::stderr(), "{line}");
}
