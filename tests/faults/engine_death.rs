//! An Engine that is killed in the middle of a command, and comes back.

use crate::common::Sandbox;
use crate::crowd::WEB;
use crate::engine::checked;
use crate::leftovers::leftovers;
use crate::private_engine::PrivateEngine;
use crate::proxy::{Harm, Moment, Proxy};

/// The requests at which it is killed: looks, creations, starts and removals.
const MOMENTS: [&str; 7] = [
    "GET /containers/json",
    "POST /networks/create",
    "POST /containers/create",
    "GET /containers/sandbox",
    "DELETE /containers",
    "DELETE /volumes",
    "DELETE /networks",
];

#[test]
fn an_engine_that_is_killed_leaves_what_the_next_up_completes() {
    let sandbox = Sandbox::with_files(&[("compose.yaml", WEB)]);
    let mut engine = PrivateEngine::start(&[], None);
    engine.bring_image(&sandbox, "busybox:1");
    let proxy = Proxy::start(sandbox.repository().with_file_name("engine.sock"), &engine.socket());
    let mut killed = 0;
    for harm in [Harm::KillBefore, Harm::KillAfter] {
        for moment in MOMENTS {
            for command in [&["up", "fix"][..], &["rm", "fix", "--yes"]] {
                proxy.arm(Moment::First(moment), harm);
                proxy.set_client(engine.process.id());
                let mut envtree = engine.envtree(&sandbox, command);
                let ran = sandbox.ran(&envtree.env("DOCKER_HOST", proxy.host()).output().unwrap());
                let told = format!("{harm:?} at {moment} of {command:?}: {ran}");
                assert!(proxy.has_harmed() || ran.status == Some(0), "{told}");
                if !proxy.has_harmed() {
                    continue;
                }
                killed += 1;
                assert!(matches!(ran.status, Some(0 | 4 | 5)), "{told}");
                engine.restart();
                let again = engine.answer(&sandbox, &["up", "fix", "--json"]);
                assert_eq!(again["environment"]["state"], "ready", "{told}\n{again:#}");
            }
            let ran = sandbox.ran(&engine.envtree(&sandbox, &["rm", "fix", "--yes"]).output().unwrap());
            assert!(matches!(ran.status, Some(0 | 1)), "{ran}");
            let containers = checked(&mut engine.docker(&["ps", "--all", "--quiet"]));
            let volumes = checked(&mut engine.docker(&["volume", "ls", "--quiet"]));
            assert_eq!((containers.as_str(), volumes.as_str()), ("", ""), "{harm:?} at {moment}");
            assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
        }
    }
    assert!(killed >= 10, "the Engine was killed {killed} times only");
    println!("the Engine was killed {killed} times; leftovers 0");
}

/// A service whose data a seed in it writes, and whose ending says that it ended well.
pub(crate) const STORE: &str = "\
services:
  store:
    image: busybox:1
    command: sleep inf
    init: true
    stop_signal: SIGTERM
    volumes: ['data:/data']
volumes: { data: }
";
/// Data in two steps.
const SEED: &str = "\
data:
  volumes: [data]
  seed: { service: store, run: ['echo first >/data/note', 'echo second >>/data/note'] }
";

/// The requests of a base in the making at which the Engine is killed.
const MOMENTS_OF_A_BASE: [&str; 6] =
    ["/volumes/create", "/containers/create", "/start", "/exec", "/stop", "/networks/create"];

#[test]
fn an_engine_or_a_machine_that_dies_while_a_base_is_made_leaves_none_that_is_torn() {
    let sandbox = Sandbox::with_files(&[("compose.yaml", STORE), ("envtree.yaml", SEED)]);
    let mut engine = PrivateEngine::start(&[], None);
    engine.bring_image(&sandbox, "busybox:1");
    assert_eq!(sandbox.run(&["trust", "--yes"]).status, Some(0));
    let proxy = Proxy::start(sandbox.repository().with_file_name("engine.sock"), &engine.socket());
    let mut killed = 0;
    for harm in [Harm::KillBefore, Harm::KillAfter] {
        for moment in MOMENTS_OF_A_BASE {
            proxy.arm(Moment::FirstTo(moment), harm);
            proxy.set_client(engine.process.id());
            let mut envtree = engine.envtree(&sandbox, &["up", "fix"]);
            let ran = sandbox.ran(&envtree.env("DOCKER_HOST", proxy.host()).output().unwrap());
            let told = format!("{harm:?} at {moment}: {ran}");
            assert!(proxy.has_harmed() && matches!(ran.status, Some(0 | 4 | 5)), "{told}");
            killed += 1;
            if harm == Harm::KillAfter {
                engine.lose_power();
            }
            engine.restart();
            let again = engine.answer(&sandbox, &["up", "fix", "--json"]);
            assert_eq!(again["environment"]["state"], "ready", "{told}\n{again:#}");
            let note =
                checked(&mut engine.envtree(&sandbox, &["exec", "fix", "store", "--", "cat", "/data/note"]));
            assert_eq!(note, "first\nsecond", "{told}");
            checked(&mut engine.envtree(&sandbox, &["rm", "fix", "--yes"]));
            checked(&mut engine.envtree(&sandbox, &["data", "drop", "--unused"]));
            let containers = checked(&mut engine.docker(&["ps", "--all", "--quiet"]));
            let volumes = checked(&mut engine.docker(&["volume", "ls", "--quiet"]));
            assert_eq!((containers.as_str(), volumes.as_str()), ("", ""), "{told}");
            assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
        }
    }
    println!(
        "the Engine was killed {killed} times while a base was made, and half of them the machine with it; leftovers 0"
    );
}
