//! Sessions for tests: a repository, and a home and a state directory of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Session, SessionOptions};
use crate::event::Events;
use crate::load::Input;
use crate::repository::test_repository::TestRepository;
use crate::state::State;
use crate::state::record::EnvironmentRecord;
use crate::target::{Target, resolve};
use crate::up::UpOptions;

/// The options of a session in `directory` of `shop`, with nothing in the environment but a home.
pub(crate) fn options(shop: &TestRepository, directory: &Path) -> SessionOptions {
    let path = |name: &str| shop.beside(name).display().to_string();
    SessionOptions {
        directory: directory.to_owned(),
        files: Vec::new(),
        input: Input::empty(),
        profiles: Vec::new(),
        environment: [("HOME".to_owned(), path("home")), ("ENVTREE_STATE_DIR".to_owned(), path("state"))]
            .into(),
        command: "envtree test".into(),
        lock_timeout: Duration::from_mins(1),
        events: Events::ignored(),
        confirm: Arc::new(|_| false),
    }
}

pub(crate) fn session(shop: &TestRepository, directory: &Path) -> Session {
    Session::open(options(shop, directory)).unwrap()
}

/// Returns the record of a new environment on the main worktree.
pub(crate) fn main_record(session: &Session) -> EnvironmentRecord {
    let target = resolve(session, &State::default(), &UpOptions::of(Some("main")), None).unwrap();
    session.identify(&State::default(), &target, None)
}

/// Resolves `up` and puts the environment into `state`, as `up` does before anything is made.
pub(crate) fn claim(session: &Session, state: &mut State, up: &UpOptions) -> Target {
    let target = resolve(session, state, up, None).unwrap();
    let record = session.identify(state, &target, None);
    state.put(record);
    target
}
