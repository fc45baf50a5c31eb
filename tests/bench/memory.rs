//! The most memory that one `up` takes.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::Fault;
use crate::compose::{POSTGRES_AND_REDIS, repository};
use crate::program::timed;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How often a process is looked at; the peak that it reached before is what it tells.
const LOOK: Duration = Duration::from_millis(2);

/// Measures the peak of envtree's own process; Linux alone tells it.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = repository(POSTGRES_AND_REDIS);
    let mut own = Samples::default();
    for _ in 0..rounds {
        let mut up = sandbox.envtree_with(&["up", "task"]);
        let mut child = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut peak = None;
        let status = loop {
            peak = resident_peak(child.id()).or(peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(LOOK);
        };
        if !status.success() {
            return Err(format!("{up:?}: {status}").into());
        }
        own.push(peak.ok_or("this system does not tell how much memory a process took")?);
        timed(sandbox.envtree().args(["rm", "--yes", "task"]))?;
    }
    Ok(vec![Row {
        name: "peak memory of `up`",
        unit: Unit::Bytes,
        own,
        rival: None,
        expected: Expected::AtMost(40e6),
    }])
}

/// Returns the most bytes that a process had in memory, while it lives.
fn resident_peak(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}
