//! A long random run: several people at once do to their environments whatever comes to mind, and a model says what must
//! come out of it.
//!
//! `ENVTREE_LONG_RUN` is its length in seconds, and `ENVTREE_SEED` repeats the choices of an earlier run, though not the
//! order in which processes happen to run.

use std::env;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::crowd::{Repositories, check_apart};
use crate::process::finish;

/// How long the run is where nothing else is asked for.
const USUAL: u64 = 45;
/// How many people work at once.
const PEOPLE: usize = 4;
/// How many tasks each of them has for himself.
const TASKS: usize = 3;

/// What a task of one person must be like: nobody else touches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Absent,
    Down,
    Stopped,
    Ready,
    /// A command was killed: anything, until the next command that succeeds.
    Broken,
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((number ^ (number >> 31)) % limit as u64).unwrap()
    }
}

/// One person, with tasks of his own beside one that all share.
struct Person<'a> {
    repositories: &'a Repositories,
    number: usize,
    random: Random,
    expected: [Expected; TASKS],
    commands: &'a AtomicUsize,
    kills: &'a AtomicUsize,
}

impl Person<'_> {
    fn repository(&self) -> usize {
        self.number % 2
    }

    fn task(&self, index: usize) -> String {
        format!("person-{}/task-{index}", self.number)
    }

    /// Runs a command and returns its exit status, which none but the expected ones may be; absent after a kill.
    fn run(&mut self, arguments: &[&str], allowed: &[i32], kill_after: Option<Duration>) -> Option<i32> {
        let mut envtree = self.repositories.sandbox.envtree_with(arguments);
        envtree.current_dir(self.repositories.folder(self.repository()));
        let child = envtree.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(after) = kill_after {
            thread::sleep(after);
            // It may have ended by itself, but it was not waited for: the number is still its own.
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
        let output = finish(child);
        self.commands.fetch_add(1, Ordering::Relaxed);
        let status = output.status.code();
        let told =
            || format!("person {}: {arguments:?}: {}", self.number, self.repositories.sandbox.ran(&output));
        assert!(status.is_none_or(|status| allowed.contains(&status)), "{}", told());
        assert!(status.is_some() || kill_after.is_some(), "{}", told());
        status
    }

    /// Does one thing to one of the tasks that nobody else touches, and checks that it does what it should.
    fn act(&mut self) {
        let index = self.random.below(TASKS);
        let task = self.task(index);
        let task = task.as_str();
        let before = self.expected[index];
        let exists = !matches!(before, Expected::Absent | Expected::Broken);
        let known: &[i32] = if exists { &[0] } else { &[0, 1] };
        // Without containers there is nothing to stop, start or look into.
        let made: &[i32] =
            if matches!(before, Expected::Ready | Expected::Stopped) { &[0] } else { &[0, 1, 5] };
        let after = match self.random.below(12) {
            0..=3 => self.run(&["up", task], &[0], None).map(|_| Expected::Ready),
            4 => self.run(&["down", task], known, None).map(|_| if exists { Expected::Down } else { before }),
            5 => self.run(&["stop", task], made, None).map(|_| match before {
                Expected::Ready => Expected::Stopped,
                other => other,
            }),
            6 => self.run(&["start", task], made, None).map(|_| match before {
                Expected::Stopped => Expected::Ready,
                other => other,
            }),
            7 => self.run(&["restart", task], made, None).map(|_| match before {
                Expected::Stopped => Expected::Ready,
                other => other,
            }),
            8 => self.run(&["rm", "--force", "--yes", task], known, None).map(|_| Expected::Absent),
            9 => {
                let moment = Duration::from_millis(self.random.below(1500) as u64);
                let verb = ["up", "down", "rm"][self.random.below(3)];
                let arguments: &[&str] =
                    if verb == "rm" { &["rm", "--force", "--yes", task] } else { &[verb, task] };
                self.run(arguments, &[0, 1, 5], Some(moment));
                Some(Expected::Broken)
            }
            10 => self.run(&["status", task], known, None).map(|_| before),
            _ => {
                let answer = self.repositories.answer(self.repository(), &["ls"]);
                self.check(&answer);
                Some(before)
            }
        };
        self.expected[index] = after.unwrap_or(Expected::Broken);
    }

    /// Does one thing to the task that all people of a repository share; anything may come out of it but a fault.
    fn interfere(&mut self) {
        let arguments: &[&str] = match self.random.below(4) {
            0 | 1 => &["up", "shared"],
            2 => &["down", "shared"],
            _ => &["rm", "--force", "--yes", "shared"],
        };
        // The environment may be gone, or go.
        self.run(arguments, &[0, 1], None);
    }

    /// Holds what is expected against what envtree says.
    fn check(&self, listing: &Value) {
        let environments = listing["environments"].as_array().unwrap();
        for (index, expected) in self.expected.iter().enumerate() {
            let task = self.task(index);
            let found = environments.iter().find(|environment| environment["task"] == *task);
            let state = found.map(|environment| environment["state"].as_str().unwrap());
            let is_right = match expected {
                Expected::Absent => state.is_none(),
                Expected::Down => state == Some("down"),
                Expected::Stopped => state == Some("stopped"),
                Expected::Ready => state == Some("ready"),
                Expected::Broken => true,
            };
            assert!(is_right, "{task} should be {expected:?}: {found:#?}");
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    Some(env::var(variable).ok()?.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

#[test]
fn a_long_random_run_leaves_what_the_model_says() {
    let length = Duration::from_secs(number("ENVTREE_LONG_RUN").unwrap_or(USUAL));
    let seed = number("ENVTREE_SEED").unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}");
    let repositories = Repositories::new();
    let (commands, kills) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let end = Instant::now() + length;
    thread::scope(|scope| {
        for number in 0..PEOPLE {
            let mut person = Person {
                repositories: &repositories,
                number,
                random: Random(seed.wrapping_add(number as u64)),
                expected: [Expected::Absent; TASKS],
                commands: &commands,
                kills: &kills,
            };
            scope.spawn(move || {
                while Instant::now() < end {
                    if person.random.below(6) == 0 {
                        person.interfere();
                    } else {
                        person.act();
                    }
                }
                let listing = person.repositories.answer(person.repository(), &["ls"]);
                person.check(&listing);
            });
        }
    });
    check_apart(&repositories.environments());
    repositories.remove_all();
    println!(
        "{PEOPLE} processes at once for {} s: {} commands, {} of them killed; faults 0, leftovers 0",
        length.as_secs(),
        commands.into_inner(),
        kills.into_inner(),
    );
}
