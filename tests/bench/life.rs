//! One environment's life, beside the same services in Docker Compose's hands and beside the floor.

use crate::Fault;
use crate::common::Sandbox;
use crate::compose::{ComposeProject, POSTGRES_AND_REDIS, repository};
use crate::floor::Floor;
use crate::program::timed;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How often `up` finds nothing to do in a round.
const AGAIN: usize = 3;

/// How long each stage of a life took, of all rounds.
#[derive(Default)]
struct Life {
    up: Samples,
    again: Samples,
    down: Samples,
    remove: Samples,
}

/// Measures `up`, `up` with nothing to do, `down` and `rm`.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = repository(POSTGRES_AND_REDIS);
    let floor = Floor::new(&sandbox.repository().file_name().unwrap_or_default().to_string_lossy())?;
    let [mut own, mut compose] = [Life::default(), Life::default()];
    let mut least = Life::default();
    for round in 0..rounds {
        own.live(&sandbox, &format!("task-{round}"))?;
        compose.live_by_compose(&sandbox, &format!("task-{round}"))?;
        let (up, down) = floor.live()?;
        least.up.push(up);
        least.down.push(down);
    }
    let row =
        |name, own, rival, expected| Row { name, unit: Unit::Seconds, own, rival: Some(rival), expected };
    Ok(vec![
        row("`up`", own.up.clone(), ("`docker compose up --wait`", compose.up), Expected::Ratio(0.5)),
        row("`up`", own.up, ("the floor", least.up), Expected::Ratio(1.15)),
        row(
            "`up`, nothing to do",
            own.again,
            ("`docker compose up --wait`", compose.again),
            Expected::Ratio(0.3),
        ),
        row("`down`", own.down.clone(), ("`docker compose down`", compose.down), Expected::Ratio(0.8)),
        row("`down`", own.down, ("the floor", least.down), Expected::Nothing),
        row(
            "`rm`",
            own.remove,
            ("`docker compose down -v`, `git worktree remove`", compose.remove),
            Expected::Nothing,
        ),
    ])
}

impl Life {
    fn live(&mut self, sandbox: &Sandbox, task: &str) -> Result<(), Fault> {
        self.up.push(timed(&mut sandbox.envtree_with(&["up", task]))?);
        for _ in 0..AGAIN {
            self.again.push(timed(&mut sandbox.envtree_with(&["up", task]))?);
        }
        self.down.push(timed(&mut sandbox.envtree_with(&["down", task]))?);
        timed(&mut sandbox.envtree_with(&["up", task]))?;
        self.remove.push(timed(&mut sandbox.envtree_with(&["rm", "--yes", task]))?);
        Ok(())
    }

    fn live_by_compose(&mut self, sandbox: &Sandbox, task: &str) -> Result<(), Fault> {
        let project = ComposeProject::new(sandbox, task);
        self.up.push(timed(&mut project.up())?);
        for _ in 0..AGAIN {
            self.again.push(timed(&mut project.up())?);
        }
        self.down.push(timed(&mut project.down())?);
        timed(&mut project.up())?;
        self.remove.push(project.remove()?);
        Ok(())
    }
}
