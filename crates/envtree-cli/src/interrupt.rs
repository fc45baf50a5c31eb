//! Ctrl-C and SIGTERM: the first one cancels the command, the second one ends the process at once.

use crate::terminal;

const INTERRUPT: u8 = 2;
#[cfg(unix)]
const TERMINATE: u8 = 15;

/// Returns the number of the first signal that asks the command to end.
pub(crate) async fn requested() -> u8 {
    let signal = next().await;
    // The command is being dropped now; whoever asks again does not want to wait for that.
    tokio::spawn(async {
        let signal = next().await;
        terminal::restore();
        std::process::exit(128 + i32::from(signal));
    });
    signal
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
