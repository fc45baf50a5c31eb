//! Waits for envtree, which must not hang.

use std::process::{Child, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long any command may take on a busy machine; one that hangs takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(150);

/// Returns what a process wrote, which must end in time.
pub(crate) fn finish(child: Child) -> Output {
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("process {pid} hangs"))
}
