//! Feeds mutated Compose files to the loader for some seconds: `loader SECONDS FOLDER…`.
//!
//! The folders hold the files to begin with. A panic, a run of more than a second, or a peak of more than 200 MB is a
//! find: its input is written to `finds/`, and the exit status is 1. It needs no nightly compiler, and so knows nothing
//! of coverage; what makes up for it is a dictionary and whole lines as the unit of mutation.

mod mutate;
mod project;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, panic};

use mutate::Mutator;

/// How long one input may take.
const SLOW: Duration = Duration::from_secs(1);
/// How much memory the process may ever have had, in kB.
const MEMORY: u64 = 200_000;
/// How long an input may become, in bytes.
const LENGTH: usize = 64 * 1024;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).expect("usage: loader SECONDS FOLDER…");
    let seeds = seeds(arguments.map(PathBuf::from));
    assert!(!seeds.is_empty(), "the folders hold no files to begin with");
    panic::set_hook(Box::new(|_| {}));
    let (started, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut mutator = Mutator::new(seeds);
    let (mut runs, mut accepted, mut finds) = (0_u64, 0_u64, 0_u64);
    while started.elapsed() < limit {
        let input = mutator.next(LENGTH);
        let (begun, peak) = (Instant::now(), peak_memory());
        let outcome = panic::catch_unwind(|| project::load(&input));
        let fault = match outcome {
            Err(_) => Some("panic"),
            Ok(_) if begun.elapsed() > SLOW => Some("slow"),
            Ok(_) if peak_memory() > MEMORY.max(peak) => Some("memory"),
            Ok(_) => None,
        };
        runs += 1;
        if let Ok(is_accepted) = outcome {
            accepted += u64::from(is_accepted);
            if is_accepted {
                mutator.keep(&input);
            }
        }
        if let Some(fault) = fault {
            finds += 1;
            println!("{fault}: {}", write_find(fault, &input).display());
        }
    }
    println!("{runs} inputs, {accepted} of them accepted, {finds} finds, peak {} kB", peak_memory());
    if finds == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(folders: impl Iterator<Item = PathBuf>) -> Vec<String> {
    let mut seeds = Vec::new();
    let mut rest: Vec<PathBuf> = folders.collect();
    while let Some(path) = rest.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            rest.extend(entries.flatten().map(|entry| entry.path()));
        } else if let Ok(text) = fs::read_to_string(&path)
            && text.len() <= LENGTH
        {
            seeds.push(text);
        }
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn write_find(fault: &str, input: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("finds");
    let path = folder.join(format!("{fault}-{:016x}.yaml", hasher.finish()));
    fs::create_dir_all(folder).and_then(|()| fs::write(&path, input)).expect("the find can be written");
    path
}

/// Returns the most memory that the process ever had, in kB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
