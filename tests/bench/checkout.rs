//! The worktree of a large repository.

use std::fmt::Write as _;

use crate::Fault;
use crate::common::Sandbox;
use crate::program::timed;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// Folders of the repository, and files of each.
const FOLDERS: usize = 200;
const FILES: usize = 100;

/// Nothing starts unless the profile is asked for, so that `up` makes the worktree and does little else.
const NOTHING: &str = "\
services:
  idle: { image: 'busybox:1', profiles: [never] }
";

/// Measures `up` where no service is to be started, in a repository of 20,000 files.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = Sandbox::new();
    sandbox.write("compose.yaml", NOTHING);
    for number in 0..FOLDERS * FILES {
        let path = format!("source/{}/module_{number}.txt", number / FILES);
        sandbox.write(path, &text(number));
    }
    // The commit would begin a collection of its own in the background.
    sandbox.git(&["config", "gc.auto", "0"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "--quiet", "--message", "Add many files"]);
    sandbox.git(&["gc", "--quiet"]);
    let [mut own, mut git] = [Samples::default(), Samples::default()];
    let add = |name: &str| {
        let mut git = sandbox.command("git");
        git.args(["worktree", "add", "-b", name]).arg(sandbox.repository().with_file_name(name));
        git
    };
    // A file system may look for free blocks for seconds after many files were removed: nothing is until the end.
    timed(&mut add("first"))?;
    for round in 0..rounds {
        // What was written before must not be written to the disk meanwhile.
        timed(&mut sandbox.command("sync"))?;
        own.push(timed(&mut sandbox.envtree_with(&["up", &format!("task-{round}")]))?);
        timed(&mut sandbox.command("sync"))?;
        git.push(timed(&mut add(&format!("by-git-{round}")))?);
    }
    for round in 0..rounds {
        timed(sandbox.envtree().args(["rm", "--yes", &format!("task-{round}")]))?;
    }
    Ok(vec![Row {
        name: "`up` without services, 20,000 files",
        unit: Unit::Seconds,
        own,
        rival: Some(("`git worktree add`", git)),
        expected: Expected::Ratio(0.8),
    }])
}

/// Returns a text of about a kilobyte that no other file has.
fn text(number: usize) -> String {
    let mut text = String::new();
    for line in 0..20 {
        let _ = writeln!(text, "line {line} of file {number}, and {} more words", number * 31 + line * 17);
    }
    text
}
