//! Git worktrees with a complete runtime each: the library behind the `envtree` command.
//!
//! It never prints, prompts or exits: work emits [`event::Event`]s, questions go to the caller, results are values.

pub mod apply;
pub mod env_file;
pub mod event;
pub mod hook;
pub mod include;
pub mod port_probe;
pub mod ready;
pub mod repository;
pub mod route;
pub mod secret;
pub mod state;
pub mod status;
pub mod trust;
pub mod worktree;
