//! Progress as plain lines, for logs and pipes: what matters, once, and a pull every few seconds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::step::{Phase, Step, pulled};
use crate::text;

/// How long a pull goes on before it is mentioned again.
const PULL_INTERVAL: Duration = Duration::from_secs(5);

/// Which lines were written, as far as that matters for the next ones.
#[derive(Debug)]
pub(super) struct Plain {
    verbose: bool,
    mentioned: HashMap<String, Instant>,
}

impl Plain {
    /// Begins with nothing written; `verbose` makes a line of every step.
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, mentioned: HashMap::new() }
    }

    /// Returns the line to write for `step`, which happened at `now`.
    pub(super) fn line(&mut self, step: &Step, now: Instant) -> Option<String> {
        if !step.essential && !self.verbose {
            return None;
        }
        let text = &step.text;
        match step.phase {
            Phase::Began => {
                self.mentioned.insert(step.key.clone(), now);
                Some(text.clone())
            }
            Phase::Working => None,
            Phase::Wrote | Phase::Failed | Phase::Ended(None) | Phase::Passed(None) => Some(text.clone()),
            Phase::Ended(Some(elapsed)) | Phase::Passed(Some(elapsed)) => {
                Some(format!("{text} ({})", text::elapsed(elapsed)))
            }
            Phase::Pulling(progress) => {
                let last = self.mentioned.entry(step.key.clone()).or_insert(now);
                if now.duration_since(*last) < PULL_INTERVAL {
                    return None;
                }
                *last = now;
                Some(format!("{text}: {}", pulled(progress)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use envtree::event::{Act, Event};
    use envtree_core::engine::PullProgress;

    use super::*;

    /// Returns the lines for events that happen a second apart.
    fn lines(verbose: bool, events: &[Event]) -> String {
        let mut plain = Plain::new(verbose);
        let start = Instant::now();
        let steps = (0..)
            .zip(events)
            .filter_map(|(second, event)| plain.line(&Step::of(event)?, start + Duration::from_secs(second)));
        steps.collect::<Vec<_>>().join("\n")
    }

    fn performing(act: Act, object: &str) -> [Event; 2] {
        let (object, cause) = (object.to_owned(), "it does not exist".to_owned());
        [
            Event::Performing { act, object: object.clone(), cause },
            Event::Performed { act, object, elapsed: Duration::from_millis(12) },
        ]
    }

    fn first_up() -> Vec<Event> {
        let mut events = vec![Event::CreatedWorktree {
            path: "/home/shop.worktrees/x".into(),
            elapsed: Duration::from_millis(230),
        }];
        events.extend(performing(Act::CreateNetwork, "shop-x_default"));
        events.extend(performing(Act::StartContainer, "shop-x-db-1"));
        events.push(Event::AwaitingService { service: "db".to_owned() });
        events.push(Event::ServiceReady { service: "db".to_owned(), elapsed: Duration::from_millis(1_310) });
        events.push(Event::RunningHook {
            hook: "post_up".to_owned(),
            command: "npm run db:migrate".to_owned(),
        });
        events.push(Event::HookOutput {
            hook: "post_up".to_owned(),
            line: "\u{1b}[32m3 migrations\u{1b}[0m".to_owned(),
        });
        events.push(Event::RanHook { hook: "post_up".to_owned(), elapsed: Duration::from_secs(3) });
        events
    }

    #[test]
    fn the_essential_lines_are_few() {
        insta::assert_snapshot!(lines(false, &first_up()), @"
        created worktree /home/shop.worktrees/x (230 ms)
        db is ready (1.3 s)
        running post_up: npm run db:migrate
        post_up | 3 migrations
        ran post_up (3.0 s)
        ");
    }

    #[test]
    fn every_step_is_a_line_when_details_are_wanted() {
        insta::assert_snapshot!(lines(true, &first_up()), @"
        created worktree /home/shop.worktrees/x (230 ms)
        creating network shop-x_default
        created network shop-x_default (12 ms)
        starting container shop-x-db-1
        started container shop-x-db-1 (12 ms)
        waiting for db
        db is ready (1.3 s)
        running post_up: npm run db:migrate
        post_up | 3 migrations
        ran post_up (3.0 s)
        ");
    }

    #[test]
    fn a_pull_is_mentioned_every_five_seconds() {
        let image = "postgres:17".to_owned();
        let mut events = vec![performing(Act::PullImage, &image)[0].clone()];
        for second in 1..=11 {
            let progress = PullProgress {
                layers: 14,
                layers_done: second / 2,
                bytes: 140_000_000,
                bytes_done: second * 12_000_000,
                awaits_helper: false,
            };
            events.push(Event::Pulling { image: image.clone(), progress });
        }
        events.push(performing(Act::PullImage, &image)[1].clone());
        insta::assert_snapshot!(lines(false, &events), @"
        pulling postgres:17
        pulling postgres:17: 2 of 14 layers, 60.0 MB of 140.0 MB
        pulling postgres:17: 5 of 14 layers, 120.0 MB of 140.0 MB
        pulled postgres:17 (12 ms)
        ");
    }

    #[test]
    fn a_failed_call_is_a_line() {
        let event = Event::Failed { act: Act::StartContainer, object: "shop-x-db-1".to_owned() };
        assert_eq!(lines(false, &[event]), "failed starting container shop-x-db-1");
    }
}
