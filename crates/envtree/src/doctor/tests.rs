//! What the tests of the checks share.

use std::collections::BTreeSet;

use envtree_core::observed::ObservedState;
use envtree_docker::version::{ApiVersion, EngineFacts};
use envtree_docker::{Endpoint, EngineSetup};

use super::*;
use crate::repository::test_repository::TestRepository;
use crate::session::test_session::options;

/// Returns checks as text: verdict, name, finding, and the remedy below.
pub(super) fn told(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let remedy = match &check.remedy {
            Remedy::Nothing => String::new(),
            Remedy::Words(words) => format!("\n     -> {words}"),
            Remedy::OfError { otherwise, .. } => format!("\n     => {otherwise}"),
        };
        let Check { group, name, finding, .. } = check;
        format!("{:<4} {} {name}: {finding}{remedy}", check.verdict.as_str(), group.as_str())
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Masks the folder that a test's repository is in.
pub(super) fn masked(text: &str, shop: &TestRepository) -> String {
    text.replace(shop.path.parent().unwrap().to_str().unwrap(), "/src")
}

/// Returns what an Engine of this name says about itself.
pub(super) fn facts(name: &str) -> EngineFacts {
    EngineFacts {
        endpoint: "unix:///var/run/docker.sock".to_owned(),
        api: ApiVersion::new(1, 41),
        version: "20.10.24".to_owned(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        name: name.to_owned(),
        kernel: "6.18".to_owned(),
        is_local: true,
    }
}

/// Returns an Engine of this name that has nothing.
pub(super) fn engine(name: &str) -> KnownEngine {
    KnownEngine {
        facts: facts(name),
        setup: EngineSetup::default(),
        remote: None,
        observed: ObservedState::default(),
        networks: Vec::new(),
        published: BTreeSet::new(),
    }
}

/// Returns what is known of a repository where nothing else is, not even an Engine.
pub(super) fn known(shop: &TestRepository) -> Known {
    let options = options(shop, &shop.path);
    let directory = StateDirectory::left_alone(shop.beside("state"));
    let settings = MachineSettings::default();
    let machine = Machine::of(&options, directory.clone(), settings.clone());
    Known {
        now: Timestamp::now(),
        settings,
        machine_file: "/config.yaml".to_owned(),
        directory: Some(directory),
        state: State::default(),
        is_state_read: true,
        held: Vec::new(),
        docker: Docker::new(Endpoint::default()),
        engine: None,
        session: Some(Session::of(options, shop.open(), machine)),
    }
}
