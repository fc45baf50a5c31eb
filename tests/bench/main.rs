//! Measures envtree beside its rivals in one run, in turns, and prints one table.
//!
//! `ENVTREE_BENCH_ROUNDS` sets the number of rounds, 5 where it is not set. The exit status is 0 whatever the figures,
//! and 1 if something could not be measured. An argument is the beginning of the names of the groups to be measured.

#[expect(
    dead_code,
    unused_imports,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "it serves tests, which fail where it does"
)]
#[path = "../common.rs"]
mod common;
#[expect(dead_code, clippy::unwrap_used, reason = "it serves tests, which look at more")]
#[path = "../engine.rs"]
mod engine;
#[expect(dead_code, clippy::unwrap_used, reason = "it serves tests, which do harm too")]
#[path = "../faults/proxy.rs"]
mod proxy;

mod chain;
mod checkout;
mod compose;
mod config;
mod crowd;
mod data;
mod floor;
mod life;
mod listing;
mod memory;
mod program;
mod samples;
mod table;

use std::error::Error;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use table::Row;

/// Why something could not be measured.
type Fault = Box<dyn Error>;

/// Rows that are measured together: their name, and what measures them in a number of rounds.
type Group = (&'static str, fn(usize) -> Result<Vec<Row>, Fault>);

const GROUPS: [Group; 9] = [
    ("life", life::measure),
    ("chain", chain::measure),
    ("crowd", crowd::measure),
    ("data", data::measure),
    ("ls", listing::measure),
    ("config", config::measure),
    ("worktree", checkout::measure),
    ("version", program::measure),
    ("memory", memory::measure),
];

fn main() -> ExitCode {
    let rounds = std::env::var("ENVTREE_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    // Cargo adds `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let before = load();
    for (name, measure) in GROUPS {
        if !chosen.is_empty() && !chosen.iter().any(|beginning| name.starts_with(beginning.as_str())) {
            continue;
        }
        tell(&format!("measuring: {name}"));
        // What tests share panics where it fails; the other groups are measured all the same.
        match catch_unwind(AssertUnwindSafe(|| measure(rounds.max(1)))) {
            Ok(Ok(measured)) => rows.extend(measured),
            Ok(Err(fault)) => faults.push(format!("cannot measure `{name}`: {fault}")),
            Err(_) => faults.push(format!("cannot measure `{name}`: see the panic above")),
        }
    }
    if rows.is_empty() && faults.is_empty() {
        let names = GROUPS.map(|(name, _)| name).join(", ");
        faults.push(format!("no group begins with `{}`: there are {names}", chosen.join("` or `")));
    }
    let mut stdout = std::io::stdout().lock();
    let printed = write!(stdout, "{}\n{}", circumstances(&before), table::Table(&rows));
    for fault in &faults {
        tell(fault);
    }
    if faults.is_empty() && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells how far the run is; nobody can be told that standard error is closed.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Returns what the figures depend on, as far as it can be told.
fn circumstances(load_before: &str) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let version = |words: &[&str]| program::version(words).unwrap_or_else(|_| "unknown".to_owned());
    format!(
        "Engine {}, Docker Compose {}, {}; {processors} processors, load {load_before} before and {} after\n",
        version(&["docker", "version", "--format", "{{.Server.Version}}"]),
        version(&["docker", "compose", "version", "--short"]),
        version(&["git", "--version"]),
        load(),
    )
}

/// Returns how many processes wanted to run in the last minute, where the system tells.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|number| !number.is_empty()).unwrap_or("unknown").to_owned()
}
