//! `up` of ten services of which each waits until the one before is healthy.

use std::fmt::Write as _;

use crate::Fault;
use crate::compose::{ComposeProject, repository};
use crate::program::timed;
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How many services.
const LENGTH: usize = 10;

/// Measures how long it takes until the last of them is healthy.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = repository(&chain()?);
    let [mut own, mut compose] = [Samples::default(), Samples::default()];
    for round in 0..rounds {
        let task = format!("task-{round}");
        own.push(timed(&mut sandbox.envtree_with(&["up", &task]))?);
        timed(&mut sandbox.envtree_with(&["rm", "--yes", &task]))?;
        let project = ComposeProject::new(&sandbox, &task);
        compose.push(timed(&mut project.up())?);
        project.remove()?;
    }
    Ok(vec![Row {
        name: "`up`, a chain of ten services",
        unit: Unit::Seconds,
        own,
        rival: Some(("`docker compose up --wait`", compose)),
        expected: Expected::Ratio(0.6),
    }])
}

fn chain() -> Result<String, Fault> {
    let mut text = String::from("services:\n");
    for link in 0..LENGTH {
        writeln!(
            text,
            "  link-{link}:\n    image: busybox:1\n    command: httpd -f -p 80\n    init: true\n    stop_signal: SIGKILL"
        )?;
        writeln!(
            text,
            "    healthcheck: {{ test: nc -w 1 127.0.0.1 80 </dev/null, interval: 1s, timeout: 5s, retries: 60 }}"
        )?;
        if let Some(before) = link.checked_sub(1) {
            writeln!(text, "    depends_on: {{ link-{before}: {{ condition: service_healthy }} }}")?;
        }
    }
    Ok(text)
}
