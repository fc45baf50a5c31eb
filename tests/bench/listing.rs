//! `ls` among many environments: how long it takes, and how often it asks the Engine.

use crate::Fault;
use crate::compose::repository;
use crate::engine::socket;
use crate::program::{timed, timed_at_once};
use crate::proxy::{Harm, Moment, Proxy};
use crate::samples::{Samples, Unit};
use crate::table::{Expected, Row};

/// How many environments there are.
const ENVIRONMENTS: usize = 50;

/// How many of them are brought up at once.
const AT_ONCE: usize = 5;

/// A service that is quick to start and to stop.
const IDLE: &str = "\
services:
  idle: { image: 'busybox:1', command: sleep inf, init: true, stop_signal: SIGKILL }
";

/// Measures `ls` among 50 environments, of which each has a running container.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>, Fault> {
    let sandbox = repository(IDLE);
    let tasks: Vec<String> = (0..ENVIRONMENTS).map(|number| format!("task-{number}")).collect();
    for some in tasks.chunks(AT_ONCE) {
        let mut ups: Vec<_> = some.iter().map(|task| sandbox.envtree_with(&["up", task])).collect();
        timed_at_once(&mut ups)?;
    }
    let sockets = tempfile::tempdir()?;
    let proxy = Proxy::start(sockets.path().join("engine.sock"), &socket());
    let [mut own, mut compose, mut requests] = [Samples::default(), Samples::default(), Samples::default()];
    for _ in 0..rounds {
        own.push(timed(sandbox.envtree().arg("ls"))?);
        compose.push(timed(sandbox.command("docker").args(["compose", "ls", "--all"]))?);
        proxy.arm(Moment::Number(usize::MAX), Harm::Delay);
        timed(sandbox.envtree().arg("ls").env("DOCKER_HOST", proxy.host()))?;
        requests.push(f64::from(u32::try_from(proxy.seen().len())?));
    }
    // Together they go much faster than one by one.
    timed(sandbox.envtree().args(["rm", "--force", "--yes"]).args(&tasks))?;
    Ok(vec![
        Row {
            name: "`ls`, 50 environments",
            unit: Unit::Seconds,
            own,
            rival: Some(("`docker compose ls --all`", compose)),
            expected: Expected::Nothing,
        },
        Row {
            name: "… Engine requests",
            unit: Unit::Requests,
            own: requests,
            rival: None,
            expected: Expected::AtMost(3.0),
        },
    ])
}
