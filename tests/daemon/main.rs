//! Scenarios on a real Engine with real services: what people do with environments, from the outside.

// `cfg(test)` tells clippy that all of it is test code.
#[cfg(test)]
#[path = "../common.rs"]
mod common;
#[cfg(test)]
#[path = "../engine.rs"]
mod engine;
#[cfg(test)]
#[cfg(feature = "private-engine")]
#[path = "../private_engine.rs"]
mod private_engine;
#[cfg(test)]
#[cfg(unix)]
#[path = "../pty.rs"]
mod pty;

#[cfg(test)]
mod again;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod another_user;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_state;
#[cfg(test)]
mod branches;
#[cfg(test)]
#[cfg(unix)]
mod build;
#[cfg(test)]
mod clock;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod clock_jump;
#[cfg(test)]
mod compose_file;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod data;
#[cfg(test)]
mod database;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod down_and_rm;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod engine_restart;
#[cfg(test)]
mod env_file;
#[cfg(test)]
mod exec_and_logs;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod host_safety;
#[cfg(test)]
mod include;
#[cfg(test)]
mod interoperation;
#[cfg(test)]
#[cfg(unix)]
mod interruption;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod layouts;
#[cfg(test)]
#[path = "../faults/leftovers.rs"]
mod leftovers;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod mend;
#[cfg(test)]
mod no_image;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod refusals;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod registry_credentials;
#[cfg(test)]
#[cfg(unix)]
mod run;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod seed;
mod seed_inputs;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod side_by_side;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod ssh;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
#[cfg(unix)]
mod terminal;
#[cfg(test)]
#[cfg(feature = "private-engine")]
mod tls;
#[cfg(test)]
mod worktrees;
