//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the first one cancels the command, the second one ends the process at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::task::Poll;
use std::time::Duration;

use crate::terminal;

/// How long a command may take to end after the first signal.
const GRACE: Duration = Duration::from_secs(3);

static ASKING: AtomicBool = AtomicBool::new(false);

/// Returns the number of the first signal that asks the command to end.
pub(crate) async fn requested() -> u8 {
    // The same listener hears both: one that came between two listeners would be lost.
    let mut signals = Signals::listen();
    let signal = signals.next().await;
    if ASKING.load(Ordering::SeqCst) {
        // The thread that would cancel the command waits for an answer.
        tell();
        exit(signal);
    }
    // The command is being dropped now; whoever asks again does not want to wait for that. Nobody waits for one that
    // hears nothing, because it reads a file that does not come to its end.
    tokio::spawn(async move {
        let again = tokio::time::timeout(GRACE, signals.next()).await;
        if again.is_err() {
            tell();
        }
        exit(again.unwrap_or(signal));
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

/// Says why the process ends; nobody can be told that standard error is closed.
fn tell() {
    let _ = writeln!(anstream::stderr(), "\nerror: interrupted");
}

fn exit(signal: u8) -> ! {
    terminal::restore();
    envtree::running::end_all();
    std::process::exit(128 + i32::from(signal))
}

/// The signals that ask a command to end, without those that whoever started it had it ignore, as `nohup` does.
#[cfg(unix)]
pub(crate) struct Signals(Vec<(u8, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let kinds =
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
        let numbered =
            kinds.into_iter().filter_map(|kind| Some((u8::try_from(kind.as_raw_value()).ok()?, kind)));
        let wanted = numbered.filter(|(number, _)| ignored & (1 << (number - 1)) == 0);
        // Without a handler the system's own reaction stays: the process ends.
        Self(wanted.filter_map(|(number, kind)| Some((number, signal(kind).ok()?))).collect())
    }

    /// Returns the number of the next signal.
    pub(crate) async fn next(&mut self) -> u8 {
        std::future::poll_fn(|context| {
            let heard = self
                .0
                .iter_mut()
                .find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            heard.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Returns the signals that are ignored as bits, the first signal lowest; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The signal that asks a command to end.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        Self
    }

    /// Returns the number of the next signal.
    pub(crate) async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}
