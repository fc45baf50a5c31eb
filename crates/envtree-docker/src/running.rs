//! Programs that work for envtree: who gives up on one ends everything that it started.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is to be ended if this process ends at once.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// A program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    id: u32,
    /// What it and all that it starts bear.
    mark: Option<Mark>,
    /// Whether it leads a process group of its own.
    leads_group: bool,
}

/// Tells the processes of one program from all others, by a variable that they inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    process: u32,
    nanoseconds: u128,
    count: u32,
}

impl Mark {
    /// The variable, whose value is the mark.
    pub const VARIABLE: &str = "ENVTREE_RUN";

    /// Returns a mark that nothing bears yet.
    pub fn unique() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { process: std::process::id(), nanoseconds: since.as_nanos(), count }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.process, self.nanoseconds, self.count)
    }
}

/// Ends every program that still works for envtree, for ends of this process that run no destructor.
pub fn end_all() {
    for held in std::mem::take(&mut *all()) {
        held.end();
    }
}

/// Holds on to a program that has not been reaped; it is ended with all that it started when this is dropped.
#[derive(Debug)]
pub struct Leash(Option<Held>);

impl Leash {
    /// Holds the process group that `id` leads, its descendants, and where there is a `/proc` all that bears the mark,
    /// whatever group it went to and whoever its parent is.
    pub fn of_group(id: Option<u32>, mark: Mark) -> Self {
        Self::of(id.map(|id| Held { id, mark: Some(mark), leads_group: true }))
    }

    /// Holds the process `id`, which shares envtree's group so that it may ask at the terminal, its descendants, and
    /// what bears the mark, if there is one.
    pub fn of_tree(id: Option<u32>, mark: Option<Mark>) -> Self {
        Self::of(id.map(|id| Held { id, mark, leads_group: false }))
    }

    fn of(held: Option<Held>) -> Self {
        all().extend(held);
        Self(held)
    }

    /// Lets go of a program that has ended: its id may belong to a stranger.
    pub fn release(&mut self) {
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
    /// Kills all of it. Each process is stopped before the next is looked for: one that runs could start another that is
    /// missed, and the children of a dead one are nobody's.
    #[cfg(unix)]
    fn end(self) {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let send = |id: u32, signal, to: fn(Pid, Signal) -> rustix::io::Result<()>| {
            // What has ended already needs no signal.
            let _ = i32::try_from(id).ok().and_then(Pid::from_raw).map(|id| to(id, signal));
        };
        let send_to_first = |signal| {
            let to = if self.leads_group { kill_process_group } else { kill_process };
            send(self.id, signal, to);
        };
        send_to_first(Signal::STOP);
        let mut found = vec![self.id];
        loop {
            let marked = self.mark.map(marked).unwrap_or_default();
            let mut new = descendants(self.id);
            new.extend(marked);
            new.retain(|id| !found.contains(id));
            if new.is_empty() {
                break;
            }
            for id in &new {
                send(*id, Signal::STOP, kill_process);
            }
            found.extend(new);
        }
        send_to_first(Signal::KILL);
        for id in found {
            send(id, Signal::KILL, kill_process);
        }
    }

    #[cfg(not(unix))]
    fn end(self) {}
}

/// Returns the ids of all processes; none where the system has no `/proc`.
#[cfg(unix)]
fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns the processes that bear `mark`.
#[cfg(unix)]
fn marked(mark: Mark) -> Vec<u32> {
    let wanted = format!("{}={mark}", Mark::VARIABLE);
    let bears = |id: &u32| {
        // The variables of another user's process cannot be read.
        let variables = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    processes().filter(bears).collect()
}

/// Returns the processes below `id`, parents first; none where the system has no `/proc`.
#[cfg(unix)]
fn descendants(id: u32) -> Vec<u32> {
    let families: Vec<(u32, u32)> = processes().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
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
