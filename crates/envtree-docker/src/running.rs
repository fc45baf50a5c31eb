//! Programs that work for envtree: who gives up on one ends everything that it started.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is to be ended if this process ends at once.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// A program that runs, by its process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// It leads a process group of its own, and what it starts inherits the mark.
    Group(u32, Mark),
    /// It shares envtree's group, so that it may ask at the terminal.
    Tree(u32),
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
        Self::of(id.map(|id| Held::Group(id, mark)))
    }

    /// Holds the process `id` and its descendants.
    pub fn of_tree(id: Option<u32>) -> Self {
        Self::of(id.map(Held::Tree))
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
    #[cfg(unix)]
    fn end(self) {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let pid = |id| i32::try_from(id).ok().and_then(Pid::from_raw);
        // What has ended already needs no signal.
        let kill = |id| {
            let _ = pid(id).map(|id| kill_process(id, Signal::KILL));
        };
        match self {
            Self::Group(id, mark) => {
                // Looked up before the first is killed: the children of a dead process are nobody's.
                let mut ended = descendants(id);
                let _ = pid(id).map(|id| kill_process_group(id, Signal::KILL));
                ended.iter().copied().for_each(kill);
                // One that was about to start another had time to do so.
                while let new @ [_, ..] = &marked(mark, &ended)[..] {
                    new.iter().copied().for_each(kill);
                    ended.extend(new);
                }
            }
            Self::Tree(id) => std::iter::once(id).chain(descendants(id)).for_each(kill),
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

/// Returns the processes that bear `mark`, those in `known` left out.
#[cfg(unix)]
fn marked(mark: Mark, known: &[u32]) -> Vec<u32> {
    let wanted = format!("{}={mark}", Mark::VARIABLE);
    let bears = |id: &u32| {
        // The variables of another user's process cannot be read.
        let variables = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    processes().filter(|id| !known.contains(id)).filter(bears).collect()
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
