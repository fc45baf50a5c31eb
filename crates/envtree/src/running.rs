//! Programs that work for envtree: who gives up on one ends everything that it started.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is to be ended if this process ends at once.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// A program that runs, by its process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// It leads a process group of its own.
    Group(u32),
    /// It shares envtree's group, so that it may ask at the terminal.
    Tree(u32),
}

/// Ends every program that still works for envtree, for ends of this process that run no destructor.
pub fn end_all() {
    for held in std::mem::take(&mut *all()) {
        held.end();
    }
}

/// Holds on to a program that has not been reaped; it is ended with all that it started when this is dropped.
#[derive(Debug)]
pub(crate) struct Leash(Option<Held>);

impl Leash {
    /// Holds the process group that `id` leads.
    pub(crate) fn of_group(id: Option<u32>) -> Self {
        Self::of(id.map(Held::Group))
    }

    /// Holds the process `id` and its descendants.
    pub(crate) fn of_tree(id: Option<u32>) -> Self {
        Self::of(id.map(Held::Tree))
    }

    fn of(held: Option<Held>) -> Self {
        all().extend(held);
        Self(held)
    }

    /// Lets go of a program that has ended: its id may belong to a stranger.
    pub(crate) fn release(&mut self) {
        if let Some(held) = self.0.take() {
            all().retain(|other| *other != held);
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(held) = self.0 {
            held.end();
        }
        self.release();
    }
}

fn all() -> MutexGuard<'static, Vec<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    #[cfg(unix)]
    fn end(self) {
        use rustix::process::{Signal, kill_process, kill_process_group};
        let pid = |id| i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
        // What has ended already needs no signal.
        match self {
            Self::Group(id) => {
                let _ = pid(id).map(|id| kill_process_group(id, Signal::KILL));
            }
            Self::Tree(id) => {
                // Looked up before the first is killed: the children of a dead process are nobody's.
                let descendants = descendants(id);
                for id in std::iter::once(id).chain(descendants) {
                    let _ = pid(id).map(|id| kill_process(id, Signal::KILL));
                }
            }
        }
    }

    #[cfg(not(unix))]
    fn end(self) {}
}

/// Returns the processes below `id`, parents first; none where the system has no `/proc`.
#[cfg(unix)]
fn descendants(id: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let families: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(families.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(unix)]
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses, and may contain some.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
