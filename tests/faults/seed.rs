//! Harm at every single request of an `up` that makes a base, of one kind or another: none that is torn is ever
//! branched, and nothing is left.

use crate::common::Ran;
use crate::engine::docker;
use crate::every_request::Range;
use crate::proxy::Harm;

/// A server whose data is worth nothing unless all three of the seed's commands ran, and it was stopped well.
const COMPOSE: &str = "\
services:
  redis:
    image: redis:8
    ports: ['6379']
    stop_signal: SIGTERM
";

const SETTINGS: &str = "\
data:
  seed:
    - docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli incr seeds
    - docker exec \"$COMPOSE_PROJECT_NAME-redis-1\" redis-cli set whole yes
";

/// Each request meets one of so many kinds of harm.
const KINDS: usize = 3;

/// Does harm at the `first` request and every third one after it.
fn survive(harm: Harm, first: usize) {
    let mut range = Range::new(&[("compose.yaml", COMPOSE), ("envtree.yaml", SETTINGS)]);
    range.sandbox.run(&["trust", "--yes"]);
    let mut number = first;
    loop {
        let (is_met, ran) = range.harm(0, &["up", "fix"], number, harm);
        is_seeded(&range, &ran);
        range.remove_with_base(&ran);
        if !is_met {
            break;
        }
        number += KINDS;
    }
    println!("{harm:?} while a base is made: {}", range.report);
    assert!(range.report.harmed >= 10, "{}", range.report);
}

/// Brings the environment up, and looks whether its data is whole.
fn is_seeded(range: &Range, after: &Ran) {
    let up = range.mend(&["up", "fix"], after);
    assert_eq!(up["environment"]["state"], "ready", "after\n{after}");
    let project = up["environment"]["project"].as_str().unwrap();
    let ask = |words: &[&str]| {
        let container = format!("{project}-redis-1");
        docker(&[&["exec", &container, "redis-cli"], words].concat())
    };
    assert_eq!(ask(&["mget", "seeds", "whole"]), "1\nyes", "after\n{after}");
}

#[test]
fn a_connection_that_ends_before_the_engine_hears_of_a_base() {
    survive(Harm::CutBefore, 1);
}

#[test]
fn an_engine_that_fails_while_a_base_is_made() {
    survive(Harm::Refuse, 2);
}

#[test]
fn a_kill_while_a_base_is_made() {
    survive(Harm::KillAfter, 3);
}
