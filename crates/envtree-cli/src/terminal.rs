//! The terminal in raw mode, and the way back from there.

use std::io::IsTerminal;

/// Returns whether a command that is run can have a terminal: both of its ends are one.
pub(crate) fn at_both_ends() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Returns whether text beyond ASCII can be read where this process writes: whether the locale's character set is UTF-8.
pub(crate) fn reads_utf8() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8")
}

pub(crate) use platform::{RawMode, is_foreground, renew, restore, size};

#[cfg(unix)]
mod platform {
    use std::fs::File;
    use std::io::{self, stdin, stdout};
    use std::sync::{Mutex, PoisonError};

    use rustix::termios::{self, OptionalActions, Termios};

    // The way back is kept outside the guard, for the ends of a process that run no destructor.
    static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

    /// The terminal passes every key on while this lives.
    #[derive(Debug)]
    pub(crate) struct RawMode(());

    impl RawMode {
        /// Switches the terminal of standard input to raw mode.
        pub(crate) fn enter() -> io::Result<Self> {
            let original = termios::tcgetattr(stdin())?;
            let mut raw = original.clone();
            raw.make_raw();
            *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(original);
            termios::tcsetattr(stdin(), OptionalActions::Now, &raw)?;
            Ok(Self(()))
        }
    }

    impl Drop for RawMode {
        fn drop(&mut self) {
            restore();
        }
    }

    /// Puts the terminal back to how it was before raw mode, if it is in raw mode.
    pub(crate) fn restore() {
        if let Some(original) = ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A terminal that is gone needs no restoring.
            let _ = termios::tcsetattr(stdin(), OptionalActions::Now, &original);
        }
    }

    /// Switches the terminal to raw mode again, if it should be in it: a shell switches back while this one is stopped.
    pub(crate) fn renew() {
        if ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner).is_some()
            && let Ok(mut modes) = termios::tcgetattr(stdin())
        {
            modes.make_raw();
            // A terminal that is gone needs no mode.
            let _ = termios::tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
    }

    /// Returns the rows and columns of the terminal of standard output.
    pub(crate) fn size() -> Option<(u16, u16)> {
        let size = termios::tcgetwinsize(stdout()).ok()?;
        // A terminal that does not know its size says zero.
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    }

    /// Returns whether the terminal sends its signals to this process, and so to its children as well.
    pub(crate) fn is_foreground() -> bool {
        let foreground = File::open("/dev/tty").ok().and_then(|tty| termios::tcgetpgrp(tty).ok());
        foreground == Some(rustix::process::getpgrp())
    }
}

#[cfg(not(unix))]
mod platform {
    use std::io;

    /// The terminal passes every key on while this lives.
    #[derive(Debug)]
    pub(crate) struct RawMode(());

    impl RawMode {
        /// Leaves the terminal as it is: raw mode is made on Unix alone.
        pub(crate) fn enter() -> io::Result<Self> {
            Ok(Self(()))
        }
    }

    /// Does nothing.
    pub(crate) fn restore() {}

    /// Does nothing.
    pub(crate) fn renew() {}

    /// Returns the rows and columns of the terminal of standard output.
    pub(crate) fn size() -> Option<(u16, u16)> {
        console::Term::stdout().size_checked()
    }

    /// Returns whether the console sends its signals to this process's children as well: it always does.
    pub(crate) fn is_foreground() -> bool {
        true
    }
}
