//! Progress on a terminal: a line for every piece of work that goes on, and a kept line for each that is done.

use std::collections::HashMap;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::step::{Phase, Step, pulled};
use crate::{terminal, text};

/// The lines on the terminal.
pub(super) struct Bars {
    verbose: bool,
    marks: Marks,
    lines: MultiProgress,
    running: HashMap<String, ProgressBar>,
}

/// The characters that stand beside the words.
struct Marks {
    done: char,
    failed: char,
    spinner: &'static str,
    bar: &'static str,
}

impl Marks {
    const UTF_8: Self = Self {
        done: '✓', failed: '✗', spinner: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", bar: "█▉▊▋▌▍▎▏ "
    };
    const ASCII: Self = Self { done: '+', failed: '!', spinner: "-\\|/ ", bar: "#>-" };
}

impl Bars {
    /// Begins with an untouched terminal; `verbose` keeps the lines that hooks write.
    pub(super) fn new(verbose: bool) -> Self {
        let marks = if terminal::reads_utf8() { Marks::UTF_8 } else { Marks::ASCII };
        Self { verbose, marks, lines: MultiProgress::new(), running: HashMap::new() }
    }

    /// Shows `step`.
    pub(super) fn show(&mut self, step: &Step) {
        // Whatever happens next, the lock is no longer waited for.
        if step.key != "lock" {
            self.end("lock");
        }
        match step.phase {
            Phase::Began => {
                self.line(step);
            }
            Phase::Wrote => {
                self.line(step).set_message(step.text.clone());
                if self.verbose {
                    self.keep(&format!("  {}", step.text));
                }
            }
            Phase::Pulling(progress) => {
                let bar = self.line(step);
                bar.set_style(pull_style(&self.marks));
                bar.set_length(progress.bytes);
                bar.set_position(progress.bytes_done);
                bar.set_message(format!("{} ({})", step.text, pulled(progress)));
            }
            Phase::Working => self.line(step).set_message(step.text.clone()),
            Phase::Passed(elapsed) => {
                self.end(&step.key);
                if self.verbose {
                    let elapsed = elapsed.map(text::elapsed).unwrap_or_default();
                    self.keep(&format!("  {} {elapsed}", step.text));
                }
            }
            Phase::Ended(elapsed) => {
                self.end(&step.key);
                let done = self.marks.done;
                let (mark, dim) = (AnsiColor::Green.on_default(), Style::new().dimmed());
                let elapsed = elapsed.map(text::elapsed).unwrap_or_default();
                self.keep(&format!("{mark}{done}{mark:#} {} {dim}{elapsed}{dim:#}", step.text));
            }
            Phase::Failed => {
                self.end(&step.key);
                let failed = self.marks.failed;
                let mark = AnsiColor::Red.on_default();
                self.keep(&format!("{mark}{failed}{mark:#} {}", step.text));
            }
        }
    }

    /// Runs `action` while the terminal shows no moving line.
    pub(super) fn suspend<T>(&self, action: impl FnOnce() -> T) -> T {
        self.lines.suspend(action)
    }

    /// Takes every moving line off the terminal.
    pub(super) fn clear(&mut self) {
        for (_, bar) in self.running.drain() {
            bar.finish_and_clear();
        }
        // A terminal that cannot be cleared keeps a stale line.
        let _ = self.lines.clear();
    }

    fn line(&mut self, step: &Step) -> ProgressBar {
        let (lines, marks) = (&self.lines, &self.marks);
        let bar = self.running.entry(step.key.clone()).or_insert_with(|| {
            let bar = lines.add(ProgressBar::new_spinner());
            bar.set_style(spinner_style(marks));
            bar.set_message(step.text.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.clone()
    }

    fn end(&mut self, key: &str) {
        if let Some(bar) = self.running.remove(key) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
    }

    fn keep(&self, line: &str) {
        self.suspend(|| super::write_line(line));
    }
}

fn spinner_style(marks: &Marks) -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}");
    style.expect("the template is valid").tick_chars(marks.spinner)
}

fn pull_style(marks: &Marks) -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner} {bar:12} {wide_msg} {elapsed:>4}");
    style.expect("the template is valid").tick_chars(marks.spinner).progress_chars(marks.bar)
}
