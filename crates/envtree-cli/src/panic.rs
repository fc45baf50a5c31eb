//! What happens at a bug: the terminal is restored, a report is asked for, and the exit status is 70.

use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

use crate::command_error::Kind;
use crate::terminal;

/// Makes every panic end the process with a message for the person.
pub(crate) fn install() {
    set_hook(Box::new(|info| {
        terminal::restore();
        envtree::running::end_all();
        let _ = anstream::stderr().write_all(report(info).as_bytes());
        std::process::exit(i32::from(Kind::Bug.exit_code()));
    }));
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!(
        "error: this is a bug in envtree {version}\n  caused by: {message}\n  caused by: panic at {place}\n\
         hint: please report it at {repository}/issues with the command that you ran\n\
         note: whatever was made before is kept; `envtree up` continues from there\n",
        version = env!("CARGO_PKG_VERSION"),
        repository = env!("CARGO_PKG_REPOSITORY"),
    )
}
