//! Programs that are run and timed, and how long the shortest run of one takes.

use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::Fault;
use crate::common::Sandbox;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How often each program is started in a round: a start is short, and so its time is noisy.
const STARTS: usize = 20;

/// Runs a program, which must succeed; returns how many seconds it took.
pub(crate) fn timed(command: &mut Command) -> Result<f64, Fault> {
    let started = Instant::now();
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let elapsed = started.elapsed().as_secs_f64();
    succeeded(command, &output)?;
    Ok(elapsed)
}

/// Runs a program, which must succeed; returns what it wrote.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Fault> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    succeeded(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts programs at once, which must all succeed; returns how many seconds it took until the last had ended.
pub(crate) fn timed_at_once(commands: &mut [Command]) -> Result<f64, Fault> {
    let started = Instant::now();
    let children: Result<Vec<_>, _> = commands
        .iter_mut()
        .map(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
        .collect();
    // Each has a reader of its own, so that none waits for another to be read.
    let readers: Vec<_> =
        children?.into_iter().map(|child| std::thread::spawn(move || child.wait_with_output())).collect();
    let outputs: Vec<_> = readers.into_iter().map(std::thread::JoinHandle::join).collect();
    let elapsed = started.elapsed().as_secs_f64();
    for (command, output) in commands.iter().zip(outputs) {
        succeeded(command, &output.map_err(|_| "a reader ended early")??)?;
    }
    Ok(elapsed)
}

/// Returns the first line of what a program of the person's own environment wrote.
pub(crate) fn version(words: &[&str]) -> Result<String, Fault> {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).output()?;
    succeeded(&command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

fn succeeded(command: &Command, output: &Output) -> Result<(), Fault> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{stderr}", output.status).into())
}

/// Measures how long `--version` takes: the start of the program and nothing else.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = Sandbox::new();
    let [mut own, mut git] = [Samples::default(), Samples::default()];
    for _ in 0..rounds * STARTS {
        own.push(timed(sandbox.envtree().arg("--version"))?);
        git.push(timed(sandbox.command("git").arg("--version"))?);
    }
    Ok(vec![Row {
        name: "start-up, `--version`",
        unit: Unit::Seconds,
        own,
        rival: Some(("`git --version`", git)),
        expected: Expected::Ratio(1.0),
    }])
}
