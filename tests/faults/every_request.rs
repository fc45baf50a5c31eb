//! Harm at every single request that `up`, `down` and `rm` make, one after another.
//!
//! For each number `n`, an environment meets the harm at the `n`th request of each command of its life. After each, the
//! next `up` completes it and the next `rm` leaves nothing. The rounds end once `n` is beyond every command's requests.

use std::fmt;
use std::process::Stdio;

use hyper::StatusCode;
use serde_json::Value;

use crate::common::{Ran, SOON, Sandbox, eventually};
use crate::engine;
use crate::leftovers::{engine_objects, leftovers, processes};
use crate::process::finish;
use crate::proxy::{Harm, Moment, Proxy};

/// One of each: a network, a volume, services of which one waits for another, a health check, a port, a bind mount.
const COMPOSE: &str = "\
services:
  store:
    image: busybox:1
    command: sh -c 'echo kept >/data/note; exec httpd -f -p 80 -h /data'
    init: true
    stop_signal: SIGKILL
    ports: ['80']
    volumes: ['data:/data']
  app:
    image: busybox:1
    command: sleep inf
    init: true
    stop_signal: SIGKILL
    volumes: ['.:/source:ro']
    healthcheck: { test: ['CMD', 'true'], interval: 1s }
    depends_on: { store: { condition: service_healthy } }
volumes:
  data: {}
";

/// By how many requests two runs of a command may differ: it asks again whether something is ready.
const SLACK: usize = 2;

/// A repository whose environments reach the Engine through a proxy.
pub(crate) struct Range {
    pub(crate) sandbox: Sandbox,
    proxy: Proxy,
    pub(crate) report: Report,
}

/// What a kind of harm was tried on.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The most requests that one run of each command made.
    requests: [usize; 3],
    /// How often harm was done.
    pub(crate) harmed: usize,
    /// How often the command came to its end all the same.
    unimpressed: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [up, down, rm] = self.requests;
        write!(
            formatter,
            "requests covered: up {up}, down {down}, rm {rm}; faults injected {}, of these without effect {}; leftovers 0",
            self.harmed, self.unimpressed
        )
    }
}

impl Range {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::with_files(files);
        let socket = sandbox.repository().with_file_name("engine.sock");
        let proxy = Proxy::start(socket, &engine::socket());
        Self { sandbox, proxy, report: Report::default() }
    }

    /// Runs a command that meets the harm at its `number`th request; returns whether it made that many.
    pub(crate) fn harm(
        &mut self,
        command: usize,
        arguments: &[&str],
        number: usize,
        harm: Harm,
    ) -> (bool, Ran) {
        let ran = self.harm_at(Moment::Number(number), arguments, harm);
        let has_harmed = self.proxy.has_harmed();
        let seen = self.proxy.seen();
        self.report.requests[command] = self.report.requests[command].max(seen.len());
        self.report.harmed += usize::from(has_harmed);
        self.report.unimpressed += usize::from(has_harmed && ran.status == Some(0));
        let told = format!("{harm:?} at {number} of {arguments:?}, {:?}\n{ran}", seen.get(number - 1));
        let is_killed = matches!(harm, Harm::KillBefore | Harm::KillAfter);
        match ran.status {
            Some(0) => {}
            None => assert!(is_killed && has_harmed, "{told}"),
            // No Engine answers, or the command failed part-way.
            Some(4 | 5) => assert!(has_harmed && ran.stderr.contains("error: "), "{told}"),
            Some(_) => panic!("{told}"),
        }
        assert!(harm != Harm::Delay || ran.status == Some(0), "{told}");
        (has_harmed, ran)
    }

    /// Runs a command that meets the harm at the request that `moment` says.
    pub(crate) fn harm_at(&self, moment: Moment, arguments: &[&str], harm: Harm) -> Ran {
        self.proxy.arm(moment, harm);
        let mut envtree = self.sandbox.envtree_with(arguments);
        envtree.env("DOCKER_HOST", self.proxy.host()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = envtree.spawn().unwrap();
        self.proxy.set_client(child.id());
        self.sandbox.ran(&finish(child))
    }

    /// Runs a command that no harm meets, and that must succeed; returns its answer.
    pub(crate) fn mend(&self, arguments: &[&str], after: &Ran) -> Value {
        let mut envtree = self.sandbox.envtree_with(arguments);
        let child = envtree.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = finish(child);
        assert!(output.status.success(), "{arguments:?} after\n{after}\n{}", self.sandbox.ran(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Brings the environment up again, after which it is complete and there is nothing to do.
    fn converge(&self, after: &Ran) {
        self.mend(&["up", "fix"], after);
        let again = self.mend(&["up", "fix"], after);
        assert_eq!(again["operations"], 0, "after\n{after}\n{again}");
        assert_eq!(again["environment"]["state"], "ready", "after\n{after}\n{again}");
        let repository = self.sandbox.repository();
        let project = format!("{}-fix", repository.file_name().unwrap().to_str().unwrap());
        let expected = [
            format!("container {project}-app-1"),
            format!("container {project}-store-1"),
            format!("network {project}_default"),
            format!("volume {project}_data"),
        ];
        assert_eq!(engine_objects(&self.sandbox), expected, "after\n{after}");
    }

    /// Removes the environment, whatever there is of it, after which nothing is left.
    fn remove(&self, after: &Ran) {
        let ran = self.sandbox.run(&["rm", "fix", "--yes"]);
        let is_unknown = ran.stderr.starts_with("error: no environment of this repository has the task");
        assert_eq!(ran.status, Some(i32::from(is_unknown)), "after\n{after}\n{ran}");
        self.is_clean(after);
    }

    /// Removes the environment, and then the base that its data was a branch of, after which nothing is left.
    pub(crate) fn remove_with_base(&self, after: &Ran) {
        self.mend(&["rm", "fix", "--yes"], after);
        self.mend(&["data", "drop", "--unused"], after);
        self.is_clean(after);
    }

    pub(crate) fn is_clean(&self, after: &Ran) {
        // A killed envtree leaves git to end by itself.
        eventually(|| processes(&self.sandbox).is_empty(), SOON);
        let left = leftovers(&self.sandbox);
        assert!(left.is_empty(), "left after\n{after}\n{}", left.join("\n"));
    }

    /// Leads an environment through its life; returns whether any command made `number` requests.
    fn round(&mut self, number: usize, harm: Harm) -> bool {
        let (met_up, ran) = self.harm(0, &["up", "fix"], number, harm);
        if met_up {
            self.remove(&ran);
            let (_, ran) = self.harm(0, &["up", "fix"], number, harm);
            self.converge(&ran);
        }
        // Once a command makes fewer requests than that, so do all its later runs, give or take a few.
        if number <= self.report.requests[1].max(1) + SLACK {
            let (_, ran) = self.harm(1, &["down", "fix"], number, harm);
            self.converge(&ran);
        }
        let ran = if number <= self.report.requests[2].max(1) + SLACK {
            self.harm(2, &["rm", "fix", "--yes"], number, harm).1
        } else {
            ran
        };
        self.remove(&ran);
        met_up
    }
}

fn survive(harm: Harm) {
    let mut range = Range::new(&[("compose.yaml", COMPOSE)]);
    let mut number = 1;
    while range.round(number, harm) {
        number += 1;
    }
    println!("{harm:?}: {}", range.report);
    assert!(range.report.harmed >= 20, "{}", range.report);
}

#[test]
fn a_connection_that_ends_before_the_engine_hears_the_request() {
    survive(Harm::CutBefore);
}

#[test]
fn a_connection_that_ends_before_the_answer() {
    survive(Harm::CutAfter);
}

#[test]
fn a_connection_that_ends_within_the_answer() {
    survive(Harm::CutWithin);
}

#[test]
fn a_request_that_is_delayed() {
    survive(Harm::Delay);
}

#[test]
fn an_engine_that_fails() {
    survive(Harm::Refuse);
}

#[test]
fn an_engine_that_claims_a_conflict() {
    survive(Harm::Lie(StatusCode::CONFLICT));
}

#[test]
fn an_engine_that_denies_what_it_just_made() {
    survive(Harm::Lie(StatusCode::NOT_FOUND));
}

#[test]
fn a_kill_before_the_engine_hears_the_request() {
    survive(Harm::KillBefore);
}

#[test]
fn a_kill_before_the_answer() {
    survive(Harm::KillAfter);
}
