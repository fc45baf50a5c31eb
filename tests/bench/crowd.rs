//! Five environments that are brought up at once.

use std::process::Command;

use crate::Fault;
use crate::compose::{ComposeProject, POSTGRES_AND_REDIS, repository};
use crate::program::{timed, timed_at_once};
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How many at once.
const CROWD: usize = 5;

/// Measures how long it takes until all of them are ready.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = repository(POSTGRES_AND_REDIS);
    let [mut own, mut compose] = [Samples::default(), Samples::default()];
    for round in 0..rounds {
        let tasks: Vec<String> = (0..CROWD).map(|number| format!("task-{round}-{number}")).collect();
        let mut ups: Vec<Command> = tasks.iter().map(|task| sandbox.envtree_with(&["up", task])).collect();
        own.push(timed_at_once(&mut ups)?);
        timed(sandbox.envtree().args(["rm", "--yes"]).args(&tasks))?;
        let projects: Vec<_> = tasks.iter().map(|task| ComposeProject::new(&sandbox, task)).collect();
        let mut ups: Vec<Command> = projects.iter().map(ComposeProject::up).collect();
        compose.push(timed_at_once(&mut ups)?);
        for project in projects {
            project.remove()?;
        }
    }
    Ok(vec![Row {
        name: "five `up`s at once",
        unit: Unit::Seconds,
        own,
        rival: Some(("five `docker compose up --wait`", compose)),
        expected: Expected::Nothing,
    }])
}
