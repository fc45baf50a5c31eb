//! Ctrl-C and SIGTERM: the first one cancels the command, the second one ends the process at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::terminal;

static ASKING: AtomicBool = AtomicBool::new(false);

const INTERRUPT: u8 = 2;
#[cfg(unix)]
const TERMINATE: u8 = 15;

/// Returns the number of the first signal that asks the command to end.
pub(crate) async fn requested() -> u8 {
    let signal = next().await;
    if ASKING.load(Ordering::SeqCst) {
        // The thread that would cancel the command waits for an answer, and nothing was begun before it.
        let _ = writeln!(anstream::stderr(), "\nerror: interrupted");
        exit(signal);
    }
    // The command is being dropped now; whoever asks again does not want to wait for that.
    tokio::spawn(async {
        exit(next().await);
    });
    signal
}

/// Runs `question`, during which a signal ends the process at once.
pub(crate) fn while_asking<T>(question: impl FnOnce() -> T) -> T {
    ASKING.store(true, Ordering::SeqCst);
    let answer = question();
    ASKING.store(false, Ordering::SeqCst);
    answer
}

fn exit(signal: u8) -> ! {
    terminal::restore();
    std::process::exit(128 + i32::from(signal))
}

#[cfg(unix)]
async fn next() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::interrupt()).and_then(|interrupt| {
        let terminate = signal(SignalKind::terminate())?;
        Ok((interrupt, terminate))
    });
    match signals {
        Ok((mut interrupt, mut terminate)) => tokio::select! {
            _ = interrupt.recv() => INTERRUPT,
            _ = terminate.recv() => TERMINATE,
        },
        // Without a handler the system's own reaction stays: the process ends.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn next() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPT,
        Err(_) => std::future::pending().await,
    }
}
