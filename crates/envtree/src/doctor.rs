//! `doctor`: look at all that environments depend on, and say what is wrong with it and what to do about that.
//!
//! Nothing is changed: no folder is made, nothing is set aside, and the Engine is only asked. What cannot be looked at is a
//! finding of its own, and keeps no other check from being made.

mod check;
mod configuration;
mod data;
mod disk;
mod engine;
mod git;
mod leftovers;
mod networks;
mod ports;
mod state;
mod typed;

use std::path::{Path, PathBuf};

use envtree_core::settings::machine::MachineSettings;
use envtree_docker::Docker;
use jiff::Timestamp;

use crate::event::Events;
use crate::session::{Machine, Session, SessionOptions, wants_classic_builder};
use crate::state::{Holder, State, StateDirectory};
use engine::KnownEngine;

pub use check::{Check, Group, Remedy, Verdict};

/// What was looked at, for the checks to judge.
struct Known {
    now: Timestamp,
    settings: MachineSettings,
    /// The machine's configuration, as remedies name it.
    machine_file: String,
    directory: Option<StateDirectory>,
    /// Empty where it cannot be read.
    state: State,
    is_state_read: bool,
    held: Vec<(String, Option<Holder>)>,
    docker: Docker,
    /// Absent if none answers.
    engine: Option<KnownEngine>,
    /// The repository around the person, if there is one and the state has a place.
    session: Option<Session>,
}

impl Known {
    /// Returns what tells the repository around the person from others.
    fn here(&self) -> Option<&Path> {
        self.session.as_ref().map(|session| session.repository.common_dir())
    }

    /// Returns whether a command works on this Compose project now.
    fn is_busy(&self, project: &str) -> bool {
        self.held.iter().any(|(held, _)| held == project)
    }
}

/// Looks at all that environments depend on; the directory need not lie in a repository.
///
/// The checks come group by group, each group being in the order of [`Group`].
pub async fn doctor(options: &SessionOptions) -> Vec<Check> {
    let options = SessionOptions { events: Events::ignored(), ..options.clone() };
    let mut checks = Vec::new();
    let known = Box::pin(look(&options, &mut checks)).await;
    state::judge(&known, &mut checks);
    git::judge(&known, &mut checks).await;
    configuration::judge(&known, &mut checks);
    Box::pin(ports::judge(&known, &mut checks)).await;
    networks::judge(&known, &mut checks);
    disk::judge(&known, &mut checks);
    Box::pin(data::judge(&known, &mut checks)).await;
    leftovers::judge(&known, &mut checks);
    checks.sort_by_key(|check| check.group);
    checks
}

/// Looks at what several checks judge.
async fn look(options: &SessionOptions, checks: &mut Vec<Check>) -> Known {
    let (settings, machine_file) = configuration::machine(options, checks);
    let directory = state::directory(options, checks);
    let state = directory.as_ref().and_then(|directory| state::read(directory, checks));
    let repository = git::repository(options, checks);
    let place = directory.clone().unwrap_or_else(|| StateDirectory::left_alone(PathBuf::new()));
    let machine = Machine::of(options, place, settings.clone());
    let docker = machine.docker.clone();
    let engine = engine::look(&docker, wants_classic_builder(&options.environment), checks).await;
    // Whatever is done in a repository needs a place for the state.
    let repository = repository.filter(|_| directory.is_some());
    Known {
        now: Timestamp::now(),
        settings,
        machine_file,
        is_state_read: state.is_some(),
        state: state.unwrap_or_default(),
        held: directory.as_ref().map(StateDirectory::held_locks).unwrap_or_default(),
        directory,
        docker,
        engine,
        session: repository.map(|repository| Session::of(options.clone(), repository, machine)),
    }
}

#[cfg(test)]
mod tests;
